//! Blocks by formula, encoded as the ingestor does, and records that lead to them.

use image::ExtendedColorType;
use image::codecs::webp::WebPEncoder;
use serde_json::json;
use shared::bbox::Bbox;
use shared::dataset::{CogLayout, Compression, DataType, Dataset, Level, Predictor, Validity};
use shared::grid::{Placement, TILE_PIXELS, TILE_SIZE, from_mercator};

/// Two by two tiles of one zoom.
pub(super) const PLACE: Placement = Placement { maxzoom: 10, minzoom: 10, col: 512, row: 352, cols: 2, rows: 2 };
/// Blocks of such a file.
const BLOCKS: usize = 4;
/// Of the tables of such a file: places in 64 bits, sizes in 32.
const OFFSETS_BYTES: usize = BLOCKS * 8;
const HEADER_BYTES: usize = OFFSETS_BYTES + BLOCKS * 4;
/// Level of Zstandard that the ingestor writes integers with.
const ZSTD_LEVEL: i32 = 1;
/// Values of uint16 bands, as of reflectance.
const U16_LOW: f64 = 300.0;
const U16_RANGE: f64 = 1700.0;

/// A layout of one level.
pub(super) fn layout(data_type: DataType, samples: u16, compression: Compression, predictor: Predictor) -> CogLayout {
    let validity = if data_type.is_float() { Validity::Nodata(f64::NAN) } else { Validity::Nodata(0.0) };
    let levels = vec![Level { offsets_at: 0, counts_at: OFFSETS_BYTES as u64, mask: None }];
    let header_bytes = HEADER_BYTES as u64;
    let entry_bytes = (8, 4);
    let placement = PLACE;
    CogLayout { data_type, samples, compression, predictor, validity, placement, header_bytes, entry_bytes, levels }
}

/// A record of a dataset with that layout.
#[expect(clippy::expect_used, reason = "the record is written right here")]
pub(super) fn dataset(path: &str, cog: CogLayout, categorical: bool) -> Dataset {
    let [west, south, east, north] = cog.placement.bounds_m();
    let ((west, south), (east, north)) = (from_mercator(west, south), from_mercator(east, north));
    let hull = [[west, south], [east, south], [east, north], [west, north], [west, south]];
    let metadata = json!({
        "bounds": Bbox::from_unwrapped(west, south, east, north), "convex_hull": hull, "valid_percentage": 100.0,
        "statistics": {
            "min": 0.0, "max": 2000.0, "mean": 1000.0, "stdev": 300.0, "percentiles": (1..100).map(|p| f64::from(p) * 20.0).collect::<Vec<_>>(),
            "histogram": {"min": 0.0, "max": 2000.0, "counts": [1, 2]}, "valid_pixels": 9,
        },
        "data_type": cog.data_type, "crs": "EPSG:3857", "size": [512, 512], "resolution": [1.0, 1.0], "nodata": null,
        "band": {"number": 1}, "categorical": {"is": categorical, "reason": "a benchmark"}, "input": "a.tif", "version": "1",
        "source_time_ms": 0, "ingested_at_ms": 0,
    });
    let metadata = serde_json::from_value(metadata).expect("a record");
    Dataset { keys: vec!["a".to_owned(), "1".to_owned()], path: path.to_owned(), sample: 0, cog, metadata }
}

/// The file of a layout: its tables, then its blocks.
pub(super) fn file(cog: &CogLayout) -> Vec<u8> {
    let mut file = vec![0; HEADER_BYTES];
    for i in 0..BLOCKS {
        let block = encoded(cog, i);
        let (offset, count) = (file.len() as u64, block.len() as u32);
        file[i * 8..][..8].copy_from_slice(&offset.to_le_bytes());
        file[OFFSETS_BYTES + i * 4..][..4].copy_from_slice(&count.to_le_bytes());
        file.extend(block);
    }
    file
}

/// One block, compressed.
#[expect(clippy::expect_used, reason = "memory is enough for a block")]
pub(super) fn encoded(cog: &CogLayout, seed: usize) -> Vec<u8> {
    let width = cog.data_type.bytes();
    let row_bytes = TILE_SIZE * usize::from(cog.samples) * width;
    let mut bytes = plain(cog, seed);
    for row in bytes.chunks_exact_mut(row_bytes) {
        match cog.predictor {
            Predictor::None => {}
            Predictor::Horizontal if width == 2 => difference::<u16>(row, usize::from(cog.samples), u16::wrapping_sub),
            Predictor::Horizontal => difference::<u8>(row, usize::from(cog.samples), u8::wrapping_sub),
            Predictor::FloatingPoint => {
                let samples = row.to_vec();
                for (i, sample) in samples.chunks_exact(width).enumerate() {
                    sample.iter().rev().enumerate().for_each(|(k, byte)| row[k * row_bytes / width + i] = *byte);
                }
                difference::<u8>(row, usize::from(cog.samples), u8::wrapping_sub);
            }
        }
    }
    match cog.compression {
        Compression::None => bytes,
        Compression::Zstd => zstd::bulk::compress(&bytes, ZSTD_LEVEL).expect("a block is compressed"),
        // Lossy WebP is what the ingestor has an encoder for.
        Compression::Webp => {
            let (mut picture, side) = (Vec::new(), TILE_SIZE as u32);
            let color = if cog.samples == 4 { ExtendedColorType::Rgba8 } else { ExtendedColorType::Rgb8 };
            let encoder = WebPEncoder::new_lossless(&mut picture);
            encoder.encode(&bytes, side, side, color).expect("a block is compressed");
            picture
        }
    }
}

fn difference<T: bytemuck::Pod>(row: &mut [u8], stride: usize, sub: impl Fn(T, T) -> T) {
    let row: &mut [T] = bytemuck::cast_slice_mut(row);
    (stride..row.len()).rev().for_each(|i| row[i] = sub(row[i], row[i - stride]));
}

/// The bytes of a block's samples: uint8 in a few classes if alone, else shades; uint16 like reflectance; floats like an elevation.
fn plain(cog: &CogLayout, seed: usize) -> Vec<u8> {
    let samples = usize::from(cog.samples);
    let units = (0..TILE_PIXELS * samples).map(|i| unit(i / samples, seed + i % samples));
    match cog.data_type {
        DataType::Uint8 if samples == 1 => (0..TILE_PIXELS).map(|i| 1 + (smooth(i, seed) * 6.0) as u8).collect(),
        DataType::Uint8 => units.map(|u| 1 + (u * 254.0) as u8).collect(),
        DataType::Uint16 => units.flat_map(|u| ((U16_LOW + u * U16_RANGE) as u16).to_le_bytes()).collect(),
        DataType::Float32 => units.flat_map(|u| (u as f32 * 2000.0).to_le_bytes()).collect(),
        other => vec![1; TILE_PIXELS * samples * other.bytes()],
    }
}

/// Hills with grain on them, in [0, 1).
pub(super) fn unit(pixel: usize, seed: usize) -> f64 {
    // Knuth's multiplicative hash: grain that no predictor foresees.
    let grain = ((pixel + seed * TILE_PIXELS) as u32).wrapping_mul(2_654_435_761) >> 22;
    smooth(pixel, seed) * 0.9 + f64::from(grain) / 1024.0 * 0.1
}

/// Hills alone.
fn smooth(pixel: usize, seed: usize) -> f64 {
    let (x, y) = ((pixel % TILE_SIZE) as f64, (pixel / TILE_SIZE) as f64);
    let phase = seed as f64;
    let waves = (x / 31.0 + phase).sin() + (y / 23.0 - phase).cos() + ((x + y) / 11.0).sin() * 0.5;
    ((waves + 2.5) / 5.0).clamp(0.0, 0.999)
}
