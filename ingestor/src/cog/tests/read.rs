//! A reader of its own: a level's pixels by the tables its layout names, predictors undone one byte at a time.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use shared::dataset::{CogLayout, Compression, DataType, Predictor, Validity};
use shared::grid::{TILE_PIXELS, TILE_SIZE};

/// A level.
pub(super) struct Image {
    pub(super) width: usize,
    pub(super) height: usize,
    /// Blocks, row-major: whether each is in the file.
    pub(super) present: Vec<bool>,
    /// Per sample, alpha included: pixels row-major, None where invalid.
    pub(super) samples: Vec<Vec<Option<f64>>>,
    /// The same without regard to validity; 0 in blocks that are not there.
    pub(super) raw: Vec<Vec<f64>>,
}

/// Offset and size of a block, if it is in the file.
pub(super) fn entry(
    file: &File,
    layout: &CogLayout,
    offsets_at: u64,
    counts_at: u64,
    i: usize,
) -> Option<(u64, usize)> {
    let integer = |table_at: u64, width: u8| {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes[..usize::from(width)], table_at + u64::from(width) * i as u64).unwrap();
        u64::from_le_bytes(bytes)
    };
    let (offset, count) = (integer(offsets_at, layout.entry_bytes.0), integer(counts_at, layout.entry_bytes.1));
    assert_eq!(offset == 0, count == 0);
    (count > 0).then_some((offset, count as usize))
}

pub(super) fn read_level(path: &Path, layout: &CogLayout, level: usize) -> Image {
    let file = File::open(path).unwrap();
    let (cols, rows) = layout.placement.blocks(level);
    let (cols, rows) = (cols as usize, rows as usize);
    let (width, height) = (cols * TILE_SIZE, rows * TILE_SIZE);
    let samples = usize::from(layout.samples);
    let mut image = Image {
        width,
        height,
        present: vec![false; cols * rows],
        samples: vec![vec![None; width * height]; samples],
        raw: vec![vec![0.0; width * height]; samples],
    };
    let tables = &layout.levels[level];
    for block in 0..cols * rows {
        let Some((at, size)) = entry(&file, layout, tables.offsets_at, tables.counts_at, block) else { continue };
        image.present[block] = true;
        let pixels = samples_of(layout, &decode(&file, layout, at, size, layout.block_bytes()));
        let mask = tables.mask.as_ref().map(|mask| {
            let (mask_at, mask_size) = entry(&file, layout, mask.offsets_at, mask.counts_at, block).unwrap();
            assert_eq!(mask_at, at + size as u64 + 8);
            decode(&file, layout, mask_at, mask_size, TILE_PIXELS / 8)
        });
        for i in 0..TILE_PIXELS {
            let (x, y) = (block % cols * TILE_SIZE + i % TILE_SIZE, block / cols * TILE_SIZE + i / TILE_SIZE);
            for sample in 0..samples {
                let value = pixels[i * samples + sample];
                let valid = !value.is_nan()
                    && match layout.validity {
                        Validity::None => true,
                        Validity::Nodata(nodata) => value != nodata,
                        Validity::Mask => mask.as_ref().unwrap()[i / 8] >> (7 - i % 8) & 1 == 1,
                        Validity::Alpha => pixels[i * samples + samples - 1] != 0.0,
                    };
                image.raw[sample][y * width + x] = value;
                image.samples[sample][y * width + x] = valid.then_some(value);
            }
        }
    }
    image
}

fn decode(file: &File, layout: &CogLayout, at: u64, size: usize, decoded: usize) -> Vec<u8> {
    let mut framed = vec![0; size + 8];
    file.read_exact_at(&mut framed, at - 4).unwrap();
    assert_eq!(framed[..4], (size as u32).to_le_bytes());
    assert_eq!(framed[size..size + 4], framed[size + 4..]);
    let data = &framed[4..size + 4];
    let bytes = match layout.compression {
        Compression::None => data.to_vec(),
        Compression::Zstd => zstd::bulk::decompress(data, decoded).unwrap(),
        Compression::Webp => {
            let picture = ::webp::Decoder::new(data).decode().unwrap();
            let alpha = usize::from(layout.samples) == 4 && !picture.is_alpha();
            let pixel = |pixel: &[u8]| [pixel, if alpha { &[u8::MAX][..] } else { &[] }].concat();
            picture.chunks_exact(if picture.is_alpha() { 4 } else { 3 }).flat_map(pixel).collect()
        }
    };
    assert_eq!(bytes.len(), decoded);
    bytes
}

fn samples_of(layout: &CogLayout, block: &[u8]) -> Vec<f64> {
    let size = layout.data_type.bytes();
    let stride = usize::from(layout.samples);
    let mut bytes = block.to_vec();
    for row in bytes.chunks_exact_mut(TILE_SIZE * stride * size) {
        match layout.predictor {
            Predictor::None => {}
            Predictor::Horizontal => add_left(row, size, stride),
            Predictor::FloatingPoint => {
                for i in stride..row.len() {
                    row[i] = row[i].wrapping_add(row[i - stride]);
                }
                let planes = row.to_vec();
                let n = row.len() / size;
                for (i, byte) in row.iter_mut().enumerate() {
                    *byte = planes[(size - 1 - i % size) * n + i / size];
                }
            }
        }
    }
    bytes.chunks_exact(size).map(|bytes| value(layout.data_type, bytes)).collect()
}

fn add_left(row: &mut [u8], size: usize, stride: usize) {
    for i in stride..row.len() / size {
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |n, b| n << 8 | u64::from(*b));
        let left = number(&row[(i - stride) * size..(i - stride + 1) * size]);
        let sum = number(&row[i * size..(i + 1) * size]).wrapping_add(left);
        row[i * size..(i + 1) * size].copy_from_slice(&sum.to_le_bytes()[..size]);
    }
}

fn value(data_type: DataType, b: &[u8]) -> f64 {
    match data_type {
        DataType::Uint8 => b[0].into(),
        DataType::Int8 => (b[0] as i8).into(),
        DataType::Uint16 => u16::from_le_bytes(b.try_into().unwrap()).into(),
        DataType::Int16 => i16::from_le_bytes(b.try_into().unwrap()).into(),
        DataType::Uint32 => u32::from_le_bytes(b.try_into().unwrap()).into(),
        DataType::Int32 => i32::from_le_bytes(b.try_into().unwrap()).into(),
        DataType::Uint64 => u64::from_le_bytes(b.try_into().unwrap()) as f64,
        DataType::Int64 => i64::from_le_bytes(b.try_into().unwrap()) as f64,
        DataType::Float32 => f32::from_le_bytes(b.try_into().unwrap()).into(),
        DataType::Float64 => f64::from_le_bytes(b.try_into().unwrap()),
    }
}
