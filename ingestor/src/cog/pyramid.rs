//! All blocks of all levels, made by several threads with bounded memory.
//!
//! The rectangle is cut into chunks of up to 8×8 tiles, handed out in Z order. A thread takes a chunk's window, encodes its blocks, and makes
//! overviews of it down to the level at which the chunk is one tile. From there on four quarters wait for one another: whoever brings the
//! last one goes on with the tile they make. Z order keeps those that wait few: up to three a level, and one more for each other thread.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use shared::dataset::Validity;
use shared::grid::TILE_SIZE;

use super::block::{Encoded, Encoder};
use super::mean::Mean;
use super::mode::Mode;
use super::pixels::{Fill, Pixels, take_in};
use super::sample::Sample;
use super::spool::{Spool, Stored};
use super::{CogError, CogSpec, StopOnPanic, WindowSource};

/// Tiles along a side of the largest chunk: windows of 2048² pixels.
const CHUNK_TILES_MAX: u32 = 8;
/// Chunks per thread below which chunks are made smaller, so that no thread idles long at the end.
const CHUNKS_PER_THREAD: u64 = 4;
/// Chunks are not made smaller than this for the threads' sake. This size is best where windows cost no reading: more stays in the processor's caches.
const CHUNK_TILES_SPLIT_MIN: u32 = 4;
/// Of a raster of so few tiles, most of a chunk would be empty.
const FEW_TILES: u32 = 64;
/// The part of the work that is done when all blocks are made; the rest is copying.
pub(super) const DONE_WHEN_MADE: f64 = 0.95;

/// What is known of the full-resolution pixels under each pixel of a square of an overview.
pub(super) trait Overview<T: Sample>: Sized + Send {
    /// Level 1, from full resolution.
    fn of(pixels: &Pixels<'_, T>, fill: Fill<T>) -> Self;
    /// The next level.
    fn halved(&self) -> Self;
    /// Four quarters, north-west, north-east, south-west, south-east, as one. None if all are: nothing valid there.
    fn assembled(quarters: [Option<Self>; 4], fill: Fill<T>) -> Option<Self>;
    /// The pixels to be shown.
    fn pixels(&self, fill: Fill<T>) -> Pixels<'static, T>;
}

/// All blocks, compressed, and what they turned out to need.
#[derive(Debug)]
pub(super) struct Made {
    /// Holds the blocks.
    pub(super) spool: Spool,
    /// From full resolution to the smallest overview.
    pub(super) levels: Vec<LevelBlocks>,
    /// Samples per pixel, alpha included.
    pub(super) samples: u16,
    /// How invalid pixels are told.
    pub(super) validity: Validity,
}

/// The blocks of a level, row-major.
#[derive(Debug)]
pub(super) struct LevelBlocks {
    /// Image blocks.
    pub(super) image: Vec<Stored>,
    /// Their masks; empty under other validities than `Mask`.
    pub(super) mask: Vec<Stored>,
}

/// Makes all blocks of a COG.
pub(super) fn build<T: Sample>(
    spec: &CogSpec,
    source: &dyn WindowSource,
    progress: &(dyn Fn(f64) + Sync),
) -> Result<Made, CogError> {
    if spec.categorical { run::<T, Mode<T>>(spec, source, progress) } else { run::<T, Mean>(spec, source, progress) }
}

fn run<T: Sample, O: Overview<T>>(
    spec: &CogSpec,
    source: &dyn WindowSource,
    progress: &(dyn Fn(f64) + Sync),
) -> Result<Made, CogError> {
    let build = Build::<T, O>::new(spec, source, progress)?;
    let threads = (spec.threads.max(1) as u64).min(build.chunks());
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(|| build.work())).collect();
        let mut result = build.work();
        for other in others {
            let answer = other.join().unwrap_or(Err(CogError::Panicked));
            result = result.and(answer);
        }
        result
    })?;
    build.into_made()
}

/// A tile of an overview: level, column, row.
type TileKey = (usize, u32, u32);

/// Quarters that wait for their siblings. A quarter may be there and empty.
struct Quarters<O> {
    arrived: u8,
    quarters: [Option<O>; 4],
}

struct Store {
    spool: Spool,
    levels: Vec<LevelBlocks>,
    whole_mask: Stored,
    any_invalid: bool,
}

struct Build<'a, T: Sample, O> {
    spec: &'a CogSpec,
    source: &'a dyn WindowSource,
    progress: &'a (dyn Fn(f64) + Sync),
    fill: Fill<T>,
    chunk_tiles: u32,
    store: Mutex<Store>,
    waiting: Mutex<HashMap<TileKey, Quarters<O>>>,
    next: AtomicU64,
    done: AtomicU64,
    failed: AtomicBool,
}

impl<'a, T: Sample, O: Overview<T>> Build<'a, T, O> {
    fn new(
        spec: &'a CogSpec,
        source: &'a dyn WindowSource,
        progress: &'a (dyn Fn(f64) + Sync),
    ) -> Result<Self, CogError> {
        let fill = Fill::of(spec);
        let folder = spec.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut store = Store {
            spool: Spool::new(folder.to_owned()),
            levels: (0..spec.placement.levels())
                .map(|level| LevelBlocks::new(spec, level, fill == Fill::Mask))
                .collect(),
            whole_mask: Stored::default(),
            any_invalid: false,
        };
        if fill == Fill::Mask {
            store.whole_mask = store.spool.append(&Encoder::new(spec, fill)?.whole_mask()?)?;
        }
        Ok(Self {
            spec,
            source,
            progress,
            fill,
            chunk_tiles: chunk_tiles(spec, source.is_at_hand()),
            store: Mutex::new(store),
            waiting: Mutex::new(HashMap::new()),
            next: AtomicU64::new(0),
            done: AtomicU64::new(0),
            failed: AtomicBool::new(false),
        })
    }

    fn chunks(&self) -> u64 {
        chunks(self.spec, self.chunk_tiles)
    }

    /// One thread's work.
    fn work(&self) -> Result<(), CogError> {
        let _guard = StopOnPanic(&self.failed);
        let result = self.work_until_done();
        if result.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        result
    }

    fn work_until_done(&self) -> Result<(), CogError> {
        let mut encoder = Encoder::new(self.spec, self.fill)?;
        let chunks = self.chunks();
        while !self.failed.load(Ordering::Relaxed) {
            let i = self.next.fetch_add(1, Ordering::Relaxed);
            if i >= chunks {
                break;
            }
            let (col, row) = self.corner(i);
            self.make_chunk(&mut encoder, col, row)?;
            let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
            (self.progress)(done as f64 / chunks as f64 * DONE_WHEN_MADE);
        }
        Ok(())
    }

    /// The north-western tile of the `i`-th chunk: Z order within each tile of the smallest overview.
    fn corner(&self, i: u64) -> (u32, u32) {
        let across = (1u64 << (self.spec.placement.levels() - 1)) / u64::from(self.chunk_tiles);
        let (top, z) = (i / (across * across), i % (across * across));
        let tops = u64::from(self.spec.placement.padded().0) / (across * u64::from(self.chunk_tiles));
        let col = (top % tops) * across + even_bits(z);
        let row = (top / tops) * across + even_bits(z >> 1);
        (col as u32 * self.chunk_tiles, row as u32 * self.chunk_tiles)
    }

    /// Makes all of a chunk down to the level at which it is one tile, and delivers it to the next.
    fn make_chunk(&self, encoder: &mut Encoder<T>, col: u32, row: u32) -> Result<(), CogError> {
        let (last, tip) = (self.spec.placement.levels() - 1, self.chunk_tiles.ilog2() as usize);
        let place = &self.spec.placement;
        let window = if col < place.cols && row < place.rows {
            self.source.window(col, row, self.chunk_tiles).map_err(CogError::Source)?
        } else {
            None
        };
        let Some(mut window) = window else {
            self.found_invalid()?;
            return self.deliver(encoder, (tip + 1, col >> tip, row >> tip), None);
        };
        let side = self.chunk_tiles as usize * TILE_SIZE;
        let pixels = take_in(&mut window, usize::from(self.spec.samples), side, self.fill)?;
        self.encode(encoder, (0, col, row), &pixels)?;
        if last == 0 {
            return Ok(());
        }
        let mut overview = O::of(&pixels, self.fill);
        drop(pixels);
        drop(window);
        for level in 1..=tip {
            self.encode(encoder, (level, col >> level, row >> level), &overview.pixels(self.fill))?;
            if level == last {
                return Ok(());
            }
            overview = overview.halved();
        }
        self.deliver(encoder, (tip + 1, col >> tip, row >> tip), Some(overview))
    }

    /// Brings a quarter of an overview tile; `col` and `row` count quarters. Whoever brings the last one makes the tile, and goes on upwards.
    fn deliver(&self, encoder: &mut Encoder<T>, at: TileKey, quarter: Option<O>) -> Result<(), CogError> {
        let (mut level, mut col, mut row) = at;
        let last = self.spec.placement.levels() - 1;
        let mut quarter = quarter;
        while level <= last {
            let Some(quarters) = self.put_quarter((level, col, row), quarter) else { return Ok(()) };
            (col, row) = (col >> 1, row >> 1);
            let tile = O::assembled(quarters, self.fill);
            if let Some(tile) = &tile {
                self.encode(encoder, (level, col, row), &tile.pixels(self.fill))?;
            }
            quarter = tile.filter(|_| level < last).map(|tile| tile.halved());
            level += 1;
        }
        Ok(())
    }

    /// Puts a quarter to its siblings; all four, once they are there.
    fn put_quarter(&self, (level, col, row): TileKey, quarter: Option<O>) -> Option<[Option<O>; 4]> {
        let key = (level, col >> 1, row >> 1);
        let mut waiting = lock(&self.waiting);
        let tile = waiting.entry(key).or_insert_with(|| Quarters { arrived: 0, quarters: [const { None }; 4] });
        tile.arrived += 1;
        tile.quarters[(row as usize & 1) * 2 + (col as usize & 1)] = quarter;
        if tile.arrived < 4 {
            return None;
        }
        waiting.remove(&key).map(|tile| tile.quarters)
    }

    /// Encodes and stores the tiles of a square whose north-western tile is `at`, but for those beyond the rectangle: where there are such, a tile of the
    /// smallest overview is not whole.
    fn encode(&self, encoder: &mut Encoder<T>, at: TileKey, pixels: &Pixels<'_, T>) -> Result<(), CogError> {
        let (level, col, row) = at;
        let across = (pixels.side / TILE_SIZE) as u32;
        let (cols, rows) = self.spec.placement.blocks(level);
        for ty in 0..across.min(rows.saturating_sub(row)) {
            for tx in 0..across.min(cols.saturating_sub(col)) {
                let encoded = encoder.encode(level, pixels, (tx as usize, ty as usize))?;
                if !matches!(encoded, Encoded::Image { whole: true, .. }) {
                    self.found_invalid()?;
                }
                let Encoded::Image { image, mask, .. } = encoded else { continue };
                let mut store = lock(&self.store);
                let store = &mut *store;
                let Some(blocks) = store.levels.get_mut(level) else { continue };
                let i = (row + ty) as usize * cols as usize + (col + tx) as usize;
                blocks.image[i] = store.spool.append(image)?;
                if let Some(slot) = blocks.mask.get_mut(i) {
                    *slot = mask.map_or(Ok(store.whole_mask), |mask| store.spool.append(mask))?;
                }
            }
        }
        Ok(())
    }

    fn found_invalid(&self) -> Result<(), CogError> {
        if self.fill == Fill::Opaque {
            return Err(CogError::NotAllValid);
        }
        lock(&self.store).any_invalid = true;
        Ok(())
    }

    fn into_made(self) -> Result<Made, CogError> {
        let mut store = self.store.into_inner().unwrap_or_else(PoisonError::into_inner);
        store.spool.finish()?;
        let validity = match self.fill {
            Fill::Value(value) if !value.is_nan() || store.any_invalid || self.spec.nodata.is_some() => {
                Validity::Nodata(value.to_f64())
            }
            Fill::Alpha => Validity::Alpha,
            Fill::Mask if store.any_invalid => Validity::Mask,
            Fill::Value(_) | Fill::Opaque | Fill::Mask => Validity::None,
        };
        if validity != Validity::Mask {
            store.levels.iter_mut().for_each(|level| level.mask = Vec::new());
        }
        let samples = self.spec.samples + u16::from(self.fill == Fill::Alpha);
        Ok(Made { spool: store.spool, levels: store.levels, samples, validity })
    }
}

impl LevelBlocks {
    fn new(spec: &CogSpec, level: usize, masked: bool) -> Self {
        let (cols, rows) = spec.placement.blocks(level);
        let blocks = cols as usize * rows as usize;
        Self { image: vec![Stored::default(); blocks], mask: vec![Stored::default(); if masked { blocks } else { 0 }] }
    }
}

/// Tiles along a side of a chunk.
fn chunk_tiles(spec: &CogSpec, at_hand: bool) -> u32 {
    if at_hand && spec.placement.cols * spec.placement.rows <= FEW_TILES {
        return 1;
    }
    let mut tiles = CHUNK_TILES_MAX.min(1 << (spec.placement.levels() - 1));
    while tiles > CHUNK_TILES_SPLIT_MIN && (at_hand || chunks(spec, tiles) < CHUNKS_PER_THREAD * spec.threads as u64) {
        tiles /= 2;
    }
    tiles
}

fn chunks(spec: &CogSpec, tiles: u32) -> u64 {
    let (cols, rows) = spec.placement.padded();
    u64::from(cols / tiles) * u64::from(rows / tiles)
}

/// The even bits of a Z-order number, pushed together.
fn even_bits(z: u64) -> u64 {
    (0..32).map(|bit| (z >> (2 * bit) & 1) << bit).sum()
}

fn lock<A>(mutex: &Mutex<A>) -> MutexGuard<'_, A> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
