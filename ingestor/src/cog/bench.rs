//! Doors for benchmarks to the COG writer's steps; no part of the API.

use std::borrow::Cow;
use std::hint::black_box;
use std::path::PathBuf;

use shared::dataset::{Compression, DataType};
use shared::grid::{Placement, TILE_SIZE};

use super::CogSpec;
use super::block::Encoder;
use super::mean::Mean;
use super::mode::Mode;
use super::pixels::{Fill, Pixels};
use super::pyramid::Overview;
use super::sample::Sample;

/// Pixels along the side that overviews are made of: two by two tiles.
const SIDE: usize = 2 * TILE_SIZE;

/// Makes the first two overviews of 512² pixels: by mean of uint16, or by mode of uint8 classes.
pub fn overviews(by_mode: bool) -> Box<dyn Fn()> {
    if by_mode { Box::new(overviews_of::<u8, Mode<u8>>(classes)) } else { Box::new(overviews_of::<u16, Mean>(hills)) }
}

fn overviews_of<T: Sample, O: Overview<T>>(value: fn(usize) -> T) -> impl Fn() {
    let samples: Vec<T> = (0..SIDE * SIDE).map(value).collect();
    let fill = Fill::Value(T::ZERO);
    move || {
        let pixels = Pixels { side: SIDE, samples: vec![Cow::Borrowed(samples.as_slice())], valid: vec![None] };
        let first = O::of(&pixels, fill);
        black_box(first.pixels(fill));
        black_box(first.halved().pixels(fill));
    }
}

/// Encodes a block of uint8 classes, uint16 or float32.
///
/// # Panics
/// If the type is another.
pub fn encoding(data_type: DataType, compression: Compression) -> Box<dyn FnMut()> {
    let spec = spec(data_type, compression);
    match data_type {
        DataType::Uint8 => Box::new(encoding_of::<u8>(&spec, classes)),
        DataType::Uint16 => Box::new(encoding_of::<u16>(&spec, hills)),
        DataType::Float32 => Box::new(encoding_of::<f32>(&spec, |i| f32::from(hills(i)) * 0.37)),
        other => unreachable!("{other:?} is not benchmarked"),
    }
}

#[expect(clippy::expect_used, reason = "the pixels are of our own making")]
fn encoding_of<T: Sample>(spec: &CogSpec, value: fn(usize) -> T) -> impl FnMut() + use<T> {
    let samples: Vec<T> = (0..TILE_SIZE * TILE_SIZE).map(value).collect();
    let mut encoder = Encoder::new(spec, Fill::Value(T::ZERO)).expect("an encoder");
    move || {
        let pixels = Pixels { side: TILE_SIZE, samples: vec![Cow::Borrowed(samples.as_slice())], valid: vec![None] };
        black_box(encoder.encode(0, &pixels, (0, 0)).expect("a block"));
    }
}

fn spec(data_type: DataType, compression: Compression) -> CogSpec {
    CogSpec {
        placement: Placement { maxzoom: 0, minzoom: 0, col: 0, row: 0, cols: 1, rows: 1 },
        data_type,
        samples: 1,
        nodata: Some(0.0),
        categorical: data_type == DataType::Uint8,
        expect_valid: false,
        compression,
        quality: [75; 2],
        color_table: Vec::new(),
        profile: String::new(),
        describe: String::new(),
        threads: 1,
        path: PathBuf::new(),
    }
}

/// Reflectance on hills, with grain.
fn hills(i: usize) -> u16 {
    let (x, y) = ((i % TILE_SIZE) as f64, (i / TILE_SIZE) as f64);
    // Knuth's multiplicative hash: grain that no predictor foresees.
    let grain = f64::from((i as u32).wrapping_mul(2_654_435_761) >> 25);
    (1000.0 + 300.0 * (x / 31.0).sin() + 300.0 * (y / 23.0).cos() + grain) as u16
}

/// A few classes in patches.
fn classes(i: usize) -> u8 {
    let (x, y) = ((i % TILE_SIZE) as f64, (i / TILE_SIZE) as f64);
    (3.0 + 1.5 * (x / 31.0).sin() + 1.5 * (y / 23.0).cos()) as u8
}
