//! Doors for benchmarks to the warp's steps; no part of the API.

use std::hint::black_box;

use shared::grid::{TILE_PIXELS, TILE_SIZE};

use super::cells::Span;
use super::kernel::{Kernel, Plane};
use super::sample::{Judge, Sample};
use super::source::{Area, View};
pub use super::statistics::bench::statistics;

/// Pixels along the side of the raster under a tile that lies askew on it.
const SIDE: usize = 420;
/// How the tile's rows run over the raster, per pixel: a little finer than its pixels or, where kernels widen, coarser, and turned.
const FINE: f64 = 0.96;
const COARSE: f64 = 1.12;
const DY: f64 = 0.06;
/// Where the tile's corner lies on the raster.
const CORNER: [f64; 2] = [60.3, 50.7];

/// What resamples.
#[derive(Clone, Copy, Debug)]
pub enum Resampling {
    /// As of classes.
    Nearest,
    /// As of values.
    Bilinear,
    /// The same where the map is coarser, so that the kernel widens.
    WideBilinear,
    /// Where it is asked for.
    Cubic,
}

/// Resamples a tile of uint16 from a raster that lies askew; all valid, or with holes.
pub fn warp(how: Resampling, holes: bool) -> Box<dyn FnMut()> {
    Box::new(warp_of::<u16>(how, move |i| if holes && i % 97 == 0 { 0 } else { value(i) }))
}

/// The same of float32 with NaN.
pub fn warp_floats(how: Resampling) -> Box<dyn FnMut()> {
    Box::new(warp_of::<f32>(how, |i| if i % 97 == 0 { f32::NAN } else { f32::from(value(i)) }))
}

fn warp_of<T: Sample>(how: Resampling, value: impl Fn(usize) -> T) -> impl FnMut() {
    let (kernel, dx) = match how {
        Resampling::Nearest => (Kernel::Nearest, FINE),
        Resampling::Bilinear => (Kernel::Bilinear, FINE),
        Resampling::WideBilinear => (Kernel::Bilinear, COARSE),
        Resampling::Cubic => (Kernel::Cubic, FINE),
    };
    let samples: Vec<T> = (0..SIDE * SIDE).map(value).collect();
    let spans: Vec<Span> = (0..TILE_SIZE)
        .map(|row| Span {
            row,
            column: 0,
            length: TILE_SIZE,
            x: CORNER[0] - DY * row as f64,
            y: CORNER[1] + dx * row as f64,
            dx,
            dy: DY,
            scale: [dx; 2],
        })
        .collect();
    let (mut out, mut valid) = (samples[..TILE_PIXELS].to_vec(), vec![0; TILE_PIXELS]);
    move || {
        let area = Area { x: 0, y: 0, width: SIDE, height: SIDE };
        let view = View { area, bands: vec![samples.as_slice()], mask: None };
        let plane = Plane::new(&view, 0, Judge::new(Some(0.0)), false);
        plane.resample(kernel, &spans, |span| span.row * TILE_SIZE, &mut out, &mut valid);
        black_box((&out, &valid));
    }
}

/// Never 0, which is nodata.
pub(super) fn value(i: usize) -> u16 {
    // Knuth's multiplicative hash.
    300 + ((i as u32).wrapping_mul(2_654_435_761) >> 21) as u16
}
