//! Each step of a tile by itself.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use shared::dataset::{Compression, DataType, Dataset, Predictor};
use shared::grid::{TILE_PIXELS, TileCoord};
use shared::store::ReadStore;

use super::block;
use crate::limits::CacheShares;
use crate::metrics::Metrics;
use crate::tile::cog::{CogReader, RawBlock};
use crate::tile::colormap;
use crate::tile::decode::decode;
use crate::tile::encode::{self, Format};
use crate::tile::expression::{OperandKind, Parsed};
use crate::tile::image::{Band, SamplesOf};
use crate::tile::kept::Brought;
use crate::tile::pixels::Samples;
use crate::tile::place::{Place, Size};
use crate::tile::plan::{Layer, Method, Paint, Scale, Scene, ScenePlan, Source};
use crate::tile::render::decode_all;
use crate::tile::scale::to_indexes;

/// A tile's size.
const SIZE: Size = Size { width: 256, height: 256 };
/// Where a store's file of blocks lies in `tables`.
const PATH: &str = "cogs/default/20260101/a.tif";

/// Evaluates an expression over two uint16 bands of `side`² pixels that look like reflectance.
///
/// # Panics
/// If the expression is not one of `v1` and `v2`.
#[expect(clippy::expect_used, reason = "a benchmark of a wrong expression is a mistake of its author")]
pub fn expression(text: &str, side: usize) -> impl Fn() + use<> {
    let pixels = side * side;
    let band = |seed: usize| Samples::U16((0..pixels).map(|i| (300 + (i * seed) % 5000) as u16).collect());
    let (v1, v2) = (band(7919), band(104_729));
    let parsed = Parsed::parse(text).expect("an expression");
    let kinds = vec![OperandKind::Int(0, 65_535); parsed.operands().len()];
    let expression = parsed.check(&kinds).expect("an expression of two bands");
    move || {
        let of =
            |samples| Band { samples: SamplesOf::Block(samples), stride: 1, sample: 0, valid: None, nodata: Some(0.0) };
        let bands = [of(&v1), of(&v2)];
        let used: Vec<&Band<'_>> = parsed.operands().iter().filter_map(|i| bands.get(*i)).collect();
        black_box(expression.evaluate(&used, pixels));
    }
}

/// Reads a block of a COG in `folder`: with its tables and its file known, or, cold, by a reader that knows nothing yet.
///
/// # Panics
/// If the folder cannot be written.
#[expect(clippy::expect_used, reason = "a benchmark without its folder is a mistake of its author")]
pub fn read(folder: &Path, cold: bool) -> impl Fn() + use<> {
    let cog = block::layout(DataType::Uint16, 1, Compression::Zstd, Predictor::Horizontal);
    let place = folder.join(PATH);
    std::fs::create_dir_all(place.parent().expect("a folder")).expect("the folder is made");
    std::fs::write(place, block::file(&cog)).expect("the file is written");
    let store = ReadStore::open(folder.to_str().expect("a name")).expect("a store");
    let dataset = Arc::new(block::dataset(PATH, cog, false));
    let source = source(&dataset, tile(0), SIZE);
    let metrics = Arc::new(Metrics::new());
    let warm = CogReader::new(store.clone(), Arc::clone(&metrics), &CacheShares::of(0));
    move || {
        let fresh = cold.then(|| CogReader::new(store.clone(), Arc::clone(&metrics), &CacheShares::of(0)));
        black_box(fresh.as_ref().unwrap_or(&warm).read_local(&source).expect("a block"));
    }
}

/// Decodes a block.
///
/// # Panics
/// If there is no formula for such blocks.
#[expect(clippy::expect_used, reason = "the block is of our own making")]
pub fn decoding(
    data_type: DataType,
    samples: u16,
    compression: Compression,
    predictor: Predictor,
) -> impl Fn() + use<> {
    let layout = block::layout(data_type, samples, compression, predictor);
    let bytes = block::encoded(&layout, 1);
    move || {
        black_box(decode(&layout, &bytes, None).expect("a block"));
    }
}

/// How the pixels of `resampling` come about.
#[derive(Clone, Copy, Debug)]
pub enum Resampling {
    /// A zoom further out: the mean of four.
    Mean,
    /// The same by the most frequent value.
    Mode,
    /// Two zooms further in, bilinear.
    Bilinear,
}

/// Brings decoded blocks onto the pixels of a tile.
///
/// # Panics
/// Never: the blocks are of our own making.
#[expect(clippy::expect_used, reason = "the blocks are of our own making")]
pub fn resampling(how: Resampling) -> impl Fn() {
    let (data_type, predictor, zooms) = match how {
        Resampling::Mean => (DataType::Uint16, Predictor::Horizontal, -1),
        Resampling::Mode => (DataType::Uint8, Predictor::None, -1),
        Resampling::Bilinear => (DataType::Uint16, Predictor::Horizontal, 2),
    };
    let cog = block::layout(data_type, 1, Compression::Zstd, predictor);
    let dataset = Arc::new(block::dataset(PATH, cog.clone(), data_type == DataType::Uint8));
    let source: &'static Source = Box::leak(Box::new(source(&dataset, tile(zooms), SIZE)));
    let (cols, rows) = source.blocks();
    let raw = (0..cols.len() * rows.len())
        .map(|i| Some(Brought::Raw(RawBlock { image: block::encoded(&cog, i).into(), mask: None }, None)))
        .collect();
    let blocks = decode_all(source, &raw).expect("blocks");
    move || {
        black_box(blocks.band(0));
    }
}

/// Stretches a block of this type to 8 bits; of uint8, looks its classes up.
pub fn scaling(data_type: DataType) -> impl Fn() {
    let samples = match data_type {
        DataType::Uint8 => Samples::U8((0..TILE_PIXELS).map(|i| (block::unit(i, 1) * 7.0) as u8).collect()),
        DataType::Uint16 => Samples::U16((0..TILE_PIXELS).map(|i| (block::unit(i, 1) * 2000.0) as u16).collect()),
        _ => Samples::F32((0..TILE_PIXELS).map(|i| block::unit(i, 1) as f32 * 2000.0).collect()),
    };
    let scale = match data_type {
        DataType::Uint8 => Scale::Labels((0..7).map(f64::from).collect()),
        _ => Scale::Stretch { low: 300.0, high: 2000.0 },
    };
    let nodata = if data_type.is_float() { f64::NAN } else { 0.0 };
    move || {
        let samples = SamplesOf::Block(&samples);
        let band = Band { samples, stride: 1, sample: 0, valid: None, nodata: Some(nodata) };
        black_box(to_indexes(&band, &scale, &[], 0));
    }
}

/// What `encoding` paints.
#[derive(Clone, Copy, Debug)]
pub enum Painted {
    /// One band through a color map.
    Palette,
    /// Seven classes.
    Classes,
    /// One band in grey.
    Grey,
    /// Three bands.
    Rgb,
    /// Nothing.
    Transparent,
}

/// Encodes a picture as what this extension stands for.
///
/// # Panics
/// If the extension is none of a picture.
#[expect(clippy::expect_used, reason = "a benchmark of an unknown format is a mistake of its author")]
pub fn encoding(extension: &str, painted: Painted) -> impl Fn() + use<> {
    let format = Format::of_extension(extension).expect("a format");
    let shades = |seed: usize, count: f64| -> Vec<u8> {
        (0..TILE_PIXELS).map(|i| 1 + (block::unit(i, seed) * (count - 1.0)) as u8).collect()
    };
    let viridis = || Paint::Palette(colormap::named("viridis").expect("a color map").to_vec());
    let (paint, planes) = match painted {
        Painted::Palette => (viridis(), vec![shades(1, 255.0)]),
        Painted::Classes => (viridis(), vec![shades(1, 7.0)]),
        Painted::Grey => (Paint::Grey, vec![shades(1, 255.0)]),
        Painted::Rgb => (Paint::Rgb, vec![shades(1, 255.0), shades(2, 255.0), shades(3, 255.0)]),
        Painted::Transparent => (viridis(), Vec::new()),
    };
    move || {
        black_box(encode::picture(format, &paint, &planes, SIZE).expect("a picture"));
    }
}

/// Plans a tile of one band, which gives its `ETag`.
///
/// # Panics
/// Never: the record is of our own making.
#[expect(clippy::expect_used, reason = "the record is of our own making")]
pub fn planning() -> impl Fn() {
    let cog = block::layout(DataType::Uint16, 1, Compression::Zstd, Predictor::Horizontal);
    let scene = Scene { channels: vec![Some(Arc::new(block::dataset(PATH, cog, false)))] };
    let layer = Layer {
        scenes: vec![scene],
        method: Method::First,
        formula: None,
        scales: vec![Scale::Stretch { low: 300.0, high: 2000.0 }],
        paint: Paint::Palette(colormap::named("viridis").expect("a color map").to_vec()),
        transform: Vec::new(),
        size: SIZE,
        format: Format::Png,
        data_type: DataType::Uint16,
    };
    move || {
        black_box(layer.clone().plan(tile(0)).expect("a plan").etag.to_hex());
    }
}

/// The tile at the corner of the blocks, so many zooms further in.
#[expect(clippy::expect_used, reason = "the place is our own")]
fn tile(zooms: i32) -> Place {
    let at = |first: u32| if zooms < 0 { first >> -zooms } else { (first << zooms) + 1 };
    let z = i32::from(block::PLACE.maxzoom) + zooms;
    let tile = match zooms {
        0 => TileCoord::new(z as u8, block::PLACE.col, block::PLACE.row),
        _ => TileCoord::new(z as u8, at(block::PLACE.col), at(block::PLACE.row)),
    };
    Place::Tile(tile.expect("a tile"))
}

#[expect(clippy::expect_used, reason = "the record is of our own making")]
fn source(dataset: &Arc<Dataset>, place: Place, size: Size) -> Source {
    let planned = ScenePlan::of_one(dataset, size, place).expect("a plan");
    planned.sources.into_iter().next().expect("something in this place")
}
