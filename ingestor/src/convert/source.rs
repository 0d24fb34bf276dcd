//! The pixels of the bands of one COG: read once into memory where they fit, else window by window. Each thread reads through a handle of
//! its own.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use gdal::Dataset;

use super::fault::Fault;
use super::open::{Raster, open_dataset};
use super::sample::{Judge, Sample};
use super::session;
use crate::cog::StopOnPanic;

/// The part of a job's memory that decoded bands may take.
const MEMORY_SHARE: u64 = 3;
/// And how much at most: larger rasters are read twice rather than held.
const PLANES_BYTES_MAX: u64 = 400_000_000;
/// Bytes of one band that are read at once, unless a row of blocks is more.
const CHUNK_BYTES: usize = 4 << 20;

/// Pixels of an area that are read at once, when the raster is not in memory: at most, and in the least memory.
const READ_PIXELS_MAX: usize = 16 << 20;
const READ_PIXELS_MIN: usize = 1 << 16;

/// Blocks up to this size are read whatever the memory of a job.
const BLOCK_BYTES_FREE: u64 = 32 << 20;

/// Handles to one file, each used by one thread at a time.
#[derive(Debug)]
pub(super) struct Pool {
    name: PathBuf,
    drivers: Vec<String>,
    idle: Mutex<Vec<Dataset>>,
}

impl Pool {
    /// For a raster that has been opened.
    pub(super) fn new(raster: &Raster) -> Self {
        Self { name: raster.name.clone(), drivers: raster.drivers.clone(), idle: Mutex::new(Vec::new()) }
    }

    /// Lends a handle.
    pub(super) fn with<R>(&self, work: impl FnOnce(&Dataset) -> Result<R, Fault>) -> Result<R, Fault> {
        let idle = self.idle.lock().ok().and_then(|mut idle| idle.pop());
        let dataset = match idle {
            Some(dataset) => dataset,
            None => {
                open_dataset(&self.name, &self.drivers).map_err(|messages| Fault::reading("the file", &messages))?
            }
        };
        let result = work(&dataset);
        if let Ok(mut idle) = self.idle.lock() {
            idle.push(dataset);
        }
        result
    }
}

/// A rectangle of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

/// Where the mask of bands is read: 0 is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MaskBand {
    /// The mask GDAL has of the band with this number.
    Of(usize),
    /// The band with this number, which is alpha.
    Alpha(usize),
}

/// The bands of one COG.
#[derive(Debug)]
pub(super) struct Source<'a, T> {
    pub(super) pool: &'a Pool,
    pub(super) width: usize,
    pub(super) height: usize,
    /// Numbers of the bands, from 1.
    pub(super) bands: Vec<usize>,
    /// How invalid samples are told, per band.
    pub(super) judges: Vec<Judge<T>>,
    /// What tells valid pixels of all of them, beside their values.
    pub(super) mask: Option<MaskBand>,
    /// Columns and rows of a block.
    block: (usize, usize),
    threads: usize,
    memory_bytes: u64,
    planes: Option<Planes<T>>,
}

/// Bands in memory: all of them, or an area.
#[derive(Debug)]
struct Planes<T> {
    bands: Vec<Vec<T>>,
    mask: Option<Vec<u8>>,
}

/// Pixels of an area: samples per band, and the mask, with `stride` samples from row to row.
#[derive(Debug)]
pub(super) struct View<'v, T> {
    pub(super) area: Area,
    pub(super) bands: Vec<&'v [T]>,
    pub(super) mask: Option<&'v [u8]>,
}

/// What a scan gives to its visitor: rows of one chunk.
pub(super) type Visit<'v, T, S> = dyn Fn(&mut S, View<'_, T>) -> Result<(), Fault> + Sync + 'v;

impl<'a, T: Sample> Source<'a, T> {
    /// Of some bands of a raster. They stay in memory after the first scan if `memory_bytes` allows.
    pub(super) fn new(
        raster: &Raster,
        pool: &'a Pool,
        bands: Vec<usize>,
        judges: Vec<Judge<T>>,
        mask: Option<MaskBand>,
        (threads, memory_bytes): (usize, u64),
    ) -> Result<Self, Fault> {
        let unreadable = |e: gdal::errors::GdalError| Fault::Refused(format!("band {} cannot be read: {e}", bands[0]));
        let block = raster.dataset.rasterband(bands[0]).map_err(unreadable)?.block_size();
        let (width, height) = (raster.width, raster.height);
        let sample = size_of::<T>() as u64;
        let block_bytes = block.0 as u64 * block.1 as u64 * sample * bands.len() as u64;
        if block_bytes > (memory_bytes / 2).max(BLOCK_BYTES_FREE) {
            return Err(Fault::Refused(format!(
                "a block of the file has {block_bytes} bytes, too many for the memory of this job; rewrite it tiled: \
                 gdal_translate -co TILED=YES in.tif out.tif"
            )));
        }
        let total = width as u64 * height as u64 * (sample * bands.len() as u64 + u64::from(mask.is_some()));
        let planes = (total <= (memory_bytes / MEMORY_SHARE).min(PLANES_BYTES_MAX)).then(|| Planes {
            bands: bands.iter().map(|_| vec![T::zeroed(); width * height]).collect(),
            mask: mask.map(|_| vec![0; width * height]),
        });
        Ok(Self {
            pool,
            width,
            height,
            bands,
            judges,
            mask,
            block: (block.0.max(1), block.1.max(1)),
            threads: threads.max(1),
            memory_bytes,
            planes,
        })
    }

    /// Reads everything once, in chunks of whole rows, several threads at a time, and lets `visit` see each chunk with its thread's state. A
    /// thread's chunks come in order of rows. Afterwards windows come from memory, if it fits.
    pub(super) fn scan<S: Default + Send>(
        &mut self,
        visit: &Visit<'_, T, S>,
        progress: &(dyn Fn(f64) + Sync),
    ) -> Result<Vec<S>, Fault> {
        let mut planes = self.planes.take();
        let result = self.visit_chunks(self.chunks(self.chunk_rows(), planes.as_mut()), visit, progress);
        self.planes = planes;
        result
    }

    /// Reads everything in memory again, or from the file.
    pub(super) fn rescan<S: Default + Send>(
        &self,
        visit: &Visit<'_, T, S>,
        progress: &(dyn Fn(f64) + Sync),
    ) -> Result<Vec<S>, Fault> {
        self.visit_chunks(self.chunks(self.chunk_rows(), None), visit, progress)
    }

    /// Deals chunks to threads; the first that fails stops the others.
    fn visit_chunks<S: Default + Send>(
        &self,
        mut chunks: Vec<Chunk<'_, T>>,
        visit: &Visit<'_, T, S>,
        progress: &(dyn Fn(f64) + Sync),
    ) -> Result<Vec<S>, Fault> {
        let (done, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        let threads = self.scan_threads(&chunks);
        let lanes = deal(&mut chunks, threads);
        let lane = |chunks: Vec<Chunk<'_, T>>| {
            let _guard = StopOnPanic(&stop);
            let mut state = S::default();
            for chunk in chunks {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let rows = chunk.rows as u64;
                self.scan_chunk(chunk, &mut state, visit).inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
                let read = done.fetch_add(rows, Ordering::Relaxed) + rows;
                progress((read as f64 / self.height as f64).min(1.0));
            }
            Ok(state)
        };
        run(lanes, &lane)
    }

    /// Threads whose chunks together keep within the job's memory. Chunks that are parts of planes take none of their own.
    fn scan_threads(&self, chunks: &[Chunk<'_, T>]) -> usize {
        if self.in_memory() || chunks.first().is_some_and(|chunk| !chunk.bands.is_empty()) {
            return self.threads;
        }
        let rows = chunks.first().map_or(1, |chunk| chunk.rows);
        let bytes = (rows * self.width) as u64 * self.pixel_bytes();
        self.threads.min((self.memory_bytes / MEMORY_SHARE / bytes.max(1)) as usize).max(1)
    }

    /// Pixels each thread may read at once, so that all together keep within the job's memory.
    pub(super) fn read_pixels_max(&self) -> usize {
        let bytes = self.memory_bytes / MEMORY_SHARE / self.threads as u64;
        ((bytes / self.pixel_bytes()) as usize).clamp(READ_PIXELS_MIN, READ_PIXELS_MAX)
    }

    fn pixel_bytes(&self) -> u64 {
        (size_of::<T>() * self.bands.len()) as u64 + u64::from(self.mask.is_some())
    }

    /// Lends the pixels of an area: from memory (then the whole raster), or read.
    pub(super) fn view<R>(&self, area: Area, work: impl FnOnce(&View<'_, T>) -> R) -> Result<R, Fault> {
        if let Some(planes) = &self.planes {
            let area = Area { x: 0, y: 0, width: self.width, height: self.height };
            return Ok(work(&View {
                area,
                bands: planes.bands.iter().map(Vec::as_slice).collect(),
                mask: planes.mask.as_deref(),
            }));
        }
        let Planes { bands, mask } = self.read(area)?;
        Ok(work(&View { area, bands: bands.iter().map(Vec::as_slice).collect(), mask: mask.as_deref() }))
    }

    /// Whether windows come from memory.
    pub(super) fn in_memory(&self) -> bool {
        self.planes.is_some()
    }

    /// Whether a window needs no blocks that reach all across the raster.
    pub(super) fn is_tiled(&self) -> bool {
        self.block.0 * 2 <= self.width
    }

    fn chunk_rows(&self) -> usize {
        let rows = (CHUNK_BYTES / (self.width * size_of::<T>()).max(1)).max(1);
        (rows.div_ceil(self.block.1) * self.block.1).clamp(1, self.height)
    }

    fn chunks<'p>(&self, rows: usize, planes: Option<&'p mut Planes<T>>) -> Vec<Chunk<'p, T>> {
        let count = self.height.div_ceil(rows);
        let mut chunks: Vec<Chunk<'p, T>> = (0..count)
            .map(|index| Chunk {
                index,
                y: index * rows,
                rows: rows.min(self.height - index * rows),
                bands: Vec::new(),
                mask: None,
            })
            .collect();
        if let Some(planes) = planes {
            for plane in &mut planes.bands {
                for (chunk, part) in chunks.iter_mut().zip(plane.chunks_mut(rows * self.width)) {
                    chunk.bands.push(part);
                }
            }
            if let Some(mask) = &mut planes.mask {
                for (chunk, part) in chunks.iter_mut().zip(mask.chunks_mut(rows * self.width)) {
                    chunk.mask = Some(part);
                }
            }
        }
        chunks
    }

    fn scan_chunk<S>(&self, chunk: Chunk<'_, T>, state: &mut S, visit: &Visit<'_, T, S>) -> Result<(), Fault> {
        let area = Area { x: 0, y: chunk.y, width: self.width, height: chunk.rows };
        if chunk.bands.is_empty() {
            return self.view_rows(area, |view| visit(state, view))?;
        }
        let (mut bands, mut mask) = (chunk.bands, chunk.mask);
        self.fill(area, &mut bands, mask.as_deref_mut())?;
        let bands = bands.iter().map(|band| &**band).collect();
        visit(state, View { area, bands, mask: mask.as_deref() })
    }

    /// Lends whole rows.
    fn view_rows<R>(&self, area: Area, work: impl FnOnce(View<'_, T>) -> R) -> Result<R, Fault> {
        if let Some(planes) = &self.planes {
            let range = area.y * self.width..(area.y + area.height) * self.width;
            let bands = planes.bands.iter().map(|band| &band[range.clone()]).collect();
            return Ok(work(View { area, bands, mask: planes.mask.as_ref().map(|mask| &mask[range.clone()]) }));
        }
        let Planes { bands, mask } = self.read(area)?;
        Ok(work(View { area, bands: bands.iter().map(Vec::as_slice).collect(), mask: mask.as_deref() }))
    }

    fn read(&self, area: Area) -> Result<Planes<T>, Fault> {
        let pixels = area.width * area.height;
        let mut bands: Vec<Vec<T>> = self.bands.iter().map(|_| vec![T::zeroed(); pixels]).collect();
        let mut mask = self.mask.map(|_| vec![0; pixels]);
        let mut slices: Vec<&mut [T]> = bands.iter_mut().map(Vec::as_mut_slice).collect();
        self.fill(area, &mut slices, mask.as_deref_mut())?;
        Ok(Planes { bands, mask })
    }

    fn fill(&self, area: Area, bands: &mut [&mut [T]], mask: Option<&mut [u8]>) -> Result<(), Fault> {
        self.pool.with(|dataset| {
            for (number, buffer) in self.bands.iter().zip(bands) {
                read_band(dataset, *number, area, buffer)?;
            }
            match (self.mask, mask) {
                (Some(MaskBand::Of(number)), Some(buffer)) => read_mask(dataset, number, area, buffer),
                (Some(MaskBand::Alpha(number)), Some(buffer)) => read_band(dataset, number, area, buffer),
                _ => Ok(()),
            }
        })
    }
}

struct Chunk<'p, T> {
    index: usize,
    y: usize,
    rows: usize,
    bands: Vec<&'p mut [T]>,
    mask: Option<&'p mut [u8]>,
}

/// Deals chunks to threads, always the same way, so that a thread's handle finds its blocks in GDAL's cache again.
fn deal<'p, T>(chunks: &mut Vec<Chunk<'p, T>>, threads: usize) -> Vec<Vec<Chunk<'p, T>>> {
    let mut lanes: Vec<Vec<Chunk<'p, T>>> = (0..threads.min(chunks.len()).max(1)).map(|_| Vec::new()).collect();
    let count = lanes.len();
    for chunk in chunks.drain(..) {
        lanes[chunk.index % count].push(chunk);
    }
    lanes
}

/// What a thread does with its share of the work.
type Lane<'l, I, S> = dyn Fn(Vec<I>) -> Result<S, Fault> + Sync + 'l;

/// Runs each lane on a thread of its own, the first on this one.
fn run<I: Send, S: Send>(lanes: Vec<Vec<I>>, lane: &Lane<'_, I, S>) -> Result<Vec<S>, Fault> {
    let mut lanes = lanes.into_iter();
    let first = lanes.next().unwrap_or_default();
    std::thread::scope(|scope| {
        let handles: Vec<_> = lanes.map(|chunks| scope.spawn(move || lane(chunks))).collect();
        let results = std::iter::once(lane(first)).chain(handles.into_iter().map(|handle| {
            handle.join().unwrap_or_else(|_| Err(Fault::Machine("a thread that reads failed".to_owned())))
        }));
        results.collect()
    })
}

fn read_band<T: Sample>(dataset: &Dataset, number: usize, area: Area, buffer: &mut [T]) -> Result<(), Fault> {
    let size = (area.width, area.height);
    let (result, failures) = session::watched(|| {
        dataset.rasterband(number)?.read_into_slice((area.x as isize, area.y as isize), size, size, buffer, None)
    });
    judge_read(result, &failures, || format!("band {number} at rows {} to {}", area.y, area.y + area.height))
}

fn read_mask(dataset: &Dataset, number: usize, area: Area, buffer: &mut [u8]) -> Result<(), Fault> {
    let size = (area.width, area.height);
    let (result, failures) = session::watched(|| {
        let band = dataset.rasterband(number)?;
        band.open_mask_band()?.read_into_slice((area.x as isize, area.y as isize), size, size, buffer, None)
    });
    judge_read(result, &failures, || format!("the mask at rows {} to {}", area.y, area.y + area.height))
}

fn judge_read(
    result: gdal::errors::Result<()>,
    failures: &[String],
    what: impl FnOnce() -> String,
) -> Result<(), Fault> {
    match result {
        Ok(()) if failures.is_empty() => Ok(()),
        Err(error) if failures.is_empty() => Err(Fault::reading(&what(), &[error.to_string()])),
        Ok(()) | Err(_) => Err(Fault::reading(&what(), failures)),
    }
}
