//! Windows of a raster on the tile grid, for the COG writer. Called from several threads at once.

use std::sync::Mutex;

use shared::grid::{Placement, TILE_SIZE};

use super::cells::{self, Span};
use super::coverage::Coverage;
use super::fault::Fault;
use super::kernel::{Kernel, Plane};
use super::locate::{Georeference, Kind};
use super::sample::Sample;
use super::source::{Area, Source, View};
use crate::cog::{Window, WindowSource};

/// How near to pixel centers of the grid a raster's own must lie to be taken as they are, in pixels.
const ALIGNED_PIXELS: f64 = 1e-3;

/// The bands of one COG, warped as the writer asks for them.
#[derive(Debug)]
pub(super) struct Warp<'a, T> {
    source: &'a Source<'a, T>,
    georeference: &'a Georeference,
    placement: Placement,
    kernel: Kernel,
    /// Where the raster has valid pixels.
    coverage: &'a Coverage,
    /// Per band: whether all its pixels are valid.
    all_valid: Vec<bool>,
    /// Whether the mask is alpha that is shown, not only validity.
    alpha: bool,
    /// A failure that is more than its words.
    fault: Mutex<Option<Fault>>,
}

impl<'a, T: Sample> Warp<'a, T> {
    /// Of a scanned source. A raster whose pixels already are those of the grid is copied, not resampled.
    pub(super) fn new(
        source: &'a Source<'a, T>,
        (georeference, coverage): (&'a Georeference, &'a Coverage),
        placement: Placement,
        kernel: Kernel,
        (all_valid, alpha): (Vec<bool>, bool),
    ) -> Self {
        let kernel = if is_aligned(georeference, &placement) { Kernel::Nearest } else { kernel };
        Self { source, georeference, placement, kernel, coverage, all_valid, alpha, fault: Mutex::new(None) }
    }

    /// What made a window fail, if it was one of ours.
    pub(super) fn take_fault(&self) -> Option<Fault> {
        self.fault.lock().ok().and_then(|mut fault| fault.take())
    }

    fn try_window(&self, col: u32, row: u32, tiles: u32) -> Result<Option<Window>, Fault> {
        let locator = self.georeference.locator()?;
        let size = [self.source.width as f64, self.source.height as f64];
        let mut target: Option<Target> = None;
        for y in 0..tiles {
            for x in 0..tiles {
                let spans = cells::spans(&locator, &self.placement, (col + x, row + y), size);
                if spans.is_empty() || !self.coverage.touches(self.area(&spans)) {
                    continue;
                }
                let target = target.get_or_insert_with(|| Target::new(tiles as usize * TILE_SIZE, self));
                let corner = (y as usize * TILE_SIZE, x as usize * TILE_SIZE);
                self.fill(&spans, corner, target)?;
            }
        }
        Ok(target.filter(Target::has_valid).map(Target::into_window))
    }

    /// Resamples spans of a tile; reads in parts if they reach over too much of the raster.
    fn fill(&self, spans: &[Span], corner: (usize, usize), target: &mut Target) -> Result<(), Fault> {
        let area = self.area(spans);
        if !self.source.in_memory() && area.width * area.height > self.source.read_pixels_max() {
            if spans.len() > 1 {
                let (first, second) = spans.split_at(spans.len() / 2);
                self.fill(first, corner, target)?;
                return self.fill(second, corner, target);
            }
            if let [span] = spans
                && span.length > 1
            {
                let (first, second) = span.split();
                self.fill(&[first], corner, target)?;
                return self.fill(&[second], corner, target);
            }
        }
        self.source.view(area, |view| self.resample(view, spans, corner, target))?
    }

    fn resample(
        &self,
        view: &View<'_, T>,
        spans: &[Span],
        corner: (usize, usize),
        target: &mut Target,
    ) -> Result<(), Fault> {
        let side = target.side;
        let place = |span: &Span| (corner.0 + span.row) * side + corner.1 + span.column;
        for band in 0..view.bands.len() {
            let plane = Plane::new(view, band, self.source.judges[band], self.all_valid[band]);
            let valid = &mut target.valid[band.min(target.valids - 1)];
            // Allocators align buffers of this size far better than any sample needs.
            let out: &mut [T] = bytemuck::try_cast_slice_mut(&mut target.samples[band])
                .map_err(|e| Fault::Machine(format!("a window's buffer cannot be used: {e}")))?;
            plane.resample(self.kernel, spans, place, out, valid);
        }
        let (true, Some(alpha)) = (self.alpha, view.mask) else { return Ok(()) };
        let alpha_view = View { area: view.area, bands: vec![alpha], mask: None };
        let plane = Plane::new(&alpha_view, 0, super::sample::Judge::new(None), true);
        let mut row = [0u8; TILE_SIZE];
        let mut valid = [0u8; TILE_SIZE];
        for span in spans {
            let at = place(span);
            plane.resample(self.kernel, std::slice::from_ref(span), |_| 0, &mut row, &mut valid);
            for (valid, alpha) in target.valid[0][at..at + span.length].iter_mut().zip(&row) {
                *valid = if *valid == 0 { 0 } else { (*alpha).max(1) };
            }
        }
        Ok(())
    }

    /// What of the raster the spans need.
    fn area(&self, spans: &[Span]) -> Area {
        let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
        for span in spans {
            for (x, y) in [span.at(0), span.at(span.length - 1)] {
                for (axis, value) in [x, y].into_iter().enumerate() {
                    let reach = self.kernel.reach(span.scale[axis]);
                    low[axis] = low[axis].min(value - reach);
                    high[axis] = high[axis].max(value + reach);
                }
            }
        }
        let cut = |low: f64, high: f64, size: usize| {
            let first = (low.floor().max(0.0) as usize).min(size - 1);
            (first, (high.ceil().max(0.0) as usize).clamp(first + 1, size) - first)
        };
        let (x, width) = cut(low[0], high[0], self.source.width);
        let (y, height) = cut(low[1], high[1], self.source.height);
        Area { x, y, width, height }
    }
}

impl<T: Sample> WindowSource for Warp<'_, T> {
    fn is_at_hand(&self) -> bool {
        self.source.in_memory()
    }

    fn window(&self, col: u32, row: u32, tiles: u32) -> Result<Option<Window>, String> {
        self.try_window(col, row, tiles).map_err(|fault| {
            let words = fault.to_string();
            if let Ok(mut kept) = self.fault.lock() {
                kept.get_or_insert(fault);
            }
            words
        })
    }
}

/// A window being filled.
struct Target {
    side: usize,
    /// Bytes of samples, as the writer wants them.
    samples: Vec<Vec<u8>>,
    valid: Vec<Vec<u8>>,
    valids: usize,
}

impl Target {
    fn new<T: Sample>(side: usize, warp: &Warp<'_, T>) -> Self {
        let bands = warp.source.bands.len();
        // Bands whose samples tell what is valid may differ in it.
        let valids = if warp.source.judges.iter().any(|judge| !judge.accepts_all()) { bands } else { 1 };
        Self {
            side,
            samples: (0..bands).map(|_| vec![0; side * side * size_of::<T>()]).collect(),
            valid: (0..valids).map(|_| vec![0; side * side]).collect(),
            valids,
        }
    }

    fn has_valid(&self) -> bool {
        self.valid.iter().any(|valid| valid.iter().any(|v| *v != 0))
    }

    fn into_window(self) -> Window {
        Window { samples: self.samples, valid: self.valid }
    }
}

impl Span {
    fn split(&self) -> (Self, Self) {
        let half = self.length / 2;
        (self.part(0, half), self.part(half, self.length - half))
    }
}

/// Whether the raster's pixels are pixels of the grid at the placement's maxzoom.
fn is_aligned(georeference: &Georeference, placement: &Placement) -> bool {
    let gt = georeference.affine();
    if georeference.kind() != Kind::WebMercator || gt[2] != 0.0 || gt[4] != 0.0 {
        return false;
    }
    let side = shared::grid::pixel_side_m(placement.maxzoom);
    let [width, height] = georeference.size();
    let whole = |pixels: f64| (pixels - pixels.round()).abs() < ALIGNED_PIXELS;
    let corner = |x: f64, y: f64| {
        let (x, y) = (gt[0] + x * gt[1] + shared::grid::HALF_WORLD_M, shared::grid::HALF_WORLD_M - gt[3] - y * gt[5]);
        whole(x / side) && whole(y / side)
    };
    let same_size = ((gt[1] / side - 1.0) * width).abs() < ALIGNED_PIXELS
        && ((-gt[5] / side - 1.0) * height).abs() < ALIGNED_PIXELS;
    same_size && corner(0.0, 0.0) && corner(width, height)
}
