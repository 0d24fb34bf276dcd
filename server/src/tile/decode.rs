//! A block's bytes to samples: decompression, then the predictor undone, then the mask.
//!
//! Blocks are 256×256 pixels, samples interleaved, little-endian; so are the hosts this runs on.

mod floating_point;

use std::cell::RefCell;
use std::io::Cursor;

use bytemuck::Pod;
use image::ImageDecoder as _;
use image::codecs::webp::WebPDecoder;
use shared::dataset::{CogLayout, Compression, DataType, Predictor, Validity};
use shared::grid::{TILE_PIXELS, TILE_SIZE};

use self::floating_point::undo_floating_point;
use super::pixels::Samples;

const _: () = assert!(cfg!(target_endian = "little"), "blocks are decoded in place, in the order of their bytes");

/// Bytes of a decoded mask block: a bit per pixel.
const MASK_BYTES: usize = TILE_PIXELS / 8;

/// A decoded block: 256×256 pixels.
#[derive(Debug)]
pub(crate) struct Block {
    /// Interleaved samples.
    pub(crate) samples: Samples,
    /// Samples per pixel.
    pub(crate) stride: usize,
    /// Per pixel, from a mask block or from alpha: 0 is invalid. None where only nodata and NaN tell.
    pub(crate) valid: Option<Vec<u8>>,
}

/// What is wrong with a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("a block does not decompress: {0}")]
    Compressed(String),
    #[error("a block has {found} bytes, not {expected}")]
    Size { found: usize, expected: usize },
    #[error("a predictor that does not go with the data type")]
    Predictor,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = const { RefCell::new(Scratch { decompressor: None, bytes: Vec::new() }) };
}

/// What a thread keeps from block to block: setting up a decompressor costs as much as a small block, and fresh memory as much as a predictor.
struct Scratch {
    decompressor: Option<zstd::bulk::Decompressor<'static>>,
    bytes: Vec<u8>,
}

/// Decodes an image block and, where the layout has masks, its mask block.
pub(crate) fn decode(layout: &CogLayout, image: &[u8], mask: Option<&[u8]>) -> Result<Block, DecodeError> {
    let stride = usize::from(layout.samples.max(1));
    let samples = match layout.compression {
        Compression::Webp => Samples::U8(decode_webp(image, layout.block_bytes(), stride)?),
        compression => {
            with_decompressed(compression, image, layout.block_bytes(), |bytes| undo_predictor(layout, stride, bytes))??
        }
    };
    let valid = match (layout.validity, mask) {
        (Validity::Mask, Some(mask)) => with_decompressed(layout.compression, mask, MASK_BYTES, |bits| {
            (!bits.iter().all(|b| *b == u8::MAX)).then(|| unpack(bits))
        })?,
        (Validity::Alpha, _) => alpha(&samples, stride),
        _ => None,
    };
    Ok(Block { samples, stride, valid })
}

/// A WebP picture as it lies in a TIFF: without alpha where all of it is opaque, whatever the layout has.
fn decode_webp(picture: &[u8], expected: usize, stride: usize) -> Result<Vec<u8>, DecodeError> {
    let fault = |error: image::ImageError| DecodeError::Compressed(error.to_string());
    let decoder = WebPDecoder::new(Cursor::new(picture)).map_err(fault)?;
    let side = TILE_SIZE as u32;
    let samples = usize::from(decoder.color_type().channel_count());
    if decoder.dimensions() != (side, side) || samples > stride || decoder.total_bytes() > expected as u64 {
        return Err(DecodeError::Size { found: decoder.total_bytes() as usize, expected });
    }
    let mut pixels = vec![0; TILE_PIXELS * samples];
    decoder.read_image(&mut pixels).map_err(fault)?;
    if samples < stride {
        let opaque = |rgb: &[u8; 3]| [rgb[0], rgb[1], rgb[2], u8::MAX];
        pixels = pixels.as_chunks().0.iter().flat_map(opaque).collect();
    }
    Ok(pixels)
}

/// Lends `expected` decompressed bytes, which may be written to.
fn with_decompressed<R>(
    compression: Compression,
    compressed: &[u8],
    expected: usize,
    work: impl FnOnce(&mut [u8]) -> R,
) -> Result<R, DecodeError> {
    SCRATCH.with_borrow_mut(|Scratch { decompressor, bytes }| {
        bytes.clear();
        match compression {
            // A lossy picture holds no mask and nothing else that must be exact.
            Compression::Webp => return Err(DecodeError::Compressed("a WebP picture where none can be".to_owned())),
            Compression::None => bytes.extend_from_slice(compressed.get(..expected).unwrap_or(compressed)),
            Compression::Zstd => {
                let fault = |e: std::io::Error| DecodeError::Compressed(e.to_string());
                let decompressor = match decompressor {
                    Some(decompressor) => decompressor,
                    None => decompressor.insert(zstd::bulk::Decompressor::new().map_err(fault)?),
                };
                bytes.reserve(expected);
                decompressor.decompress_to_buffer(compressed, bytes).map_err(fault)?;
            }
        }
        let found = if compression == Compression::None { compressed.len() } else { bytes.len() };
        if found == expected { Ok(work(bytes)) } else { Err(DecodeError::Size { found, expected }) }
    })
}

fn undo_predictor(layout: &CogLayout, stride: usize, bytes: &mut [u8]) -> Result<Samples, DecodeError> {
    use DataType::{Float32, Float64, Int8, Int16, Int32, Int64, Uint8, Uint16, Uint32, Uint64};
    Ok(match (layout.data_type, layout.predictor) {
        (Uint8, Predictor::None) => Samples::U8(as_they_are(bytes)),
        (Int8, Predictor::None) => Samples::I8(as_they_are(bytes)),
        (Uint16, Predictor::None) => Samples::U16(as_they_are(bytes)),
        (Int16, Predictor::None) => Samples::I16(as_they_are(bytes)),
        (Uint32, Predictor::None) => Samples::U32(as_they_are(bytes)),
        (Int32, Predictor::None) => Samples::I32(as_they_are(bytes)),
        (Uint64, Predictor::None) => Samples::U64(as_they_are(bytes)),
        (Int64, Predictor::None) => Samples::I64(as_they_are(bytes)),
        (Float32, Predictor::None) => Samples::F32(as_they_are(bytes)),
        (Float64, Predictor::None) => Samples::F64(as_they_are(bytes)),
        (Uint8, Predictor::Horizontal) => Samples::U8(undo_horizontal(bytes, stride, u8::wrapping_add)),
        (Int8, Predictor::Horizontal) => Samples::I8(undo_horizontal(bytes, stride, i8::wrapping_add)),
        (Uint16, Predictor::Horizontal) => Samples::U16(undo_horizontal(bytes, stride, u16::wrapping_add)),
        (Int16, Predictor::Horizontal) => Samples::I16(undo_horizontal(bytes, stride, i16::wrapping_add)),
        (Uint32, Predictor::Horizontal) => Samples::U32(undo_horizontal(bytes, stride, u32::wrapping_add)),
        (Int32, Predictor::Horizontal) => Samples::I32(undo_horizontal(bytes, stride, i32::wrapping_add)),
        (Uint64, Predictor::Horizontal) => Samples::U64(undo_horizontal(bytes, stride, u64::wrapping_add)),
        (Int64, Predictor::Horizontal) => Samples::I64(undo_horizontal(bytes, stride, i64::wrapping_add)),
        (Float32, Predictor::Horizontal) => {
            Samples::F32(bytemuck::cast_vec(undo_horizontal(bytes, stride, u32::wrapping_add)))
        }
        (Float64, Predictor::Horizontal) => {
            Samples::F64(bytemuck::cast_vec(undo_horizontal(bytes, stride, u64::wrapping_add)))
        }
        (Float32, Predictor::FloatingPoint) => Samples::F32(undo_floating_point::<_, 4>(bytes, stride)),
        (Float64, Predictor::FloatingPoint) => Samples::F64(undo_floating_point::<_, 8>(bytes, stride)),
        (_, Predictor::FloatingPoint) => return Err(DecodeError::Predictor),
    })
}

fn as_they_are<T: Pod>(bytes: &[u8]) -> Vec<T> {
    bytemuck::pod_collect_to_vec(bytes)
}

/// Adds to each sample the one of the pixel to its left. Sums stay in registers: reading back what was just written would cost five times as much.
fn undo_horizontal<T: Pod>(bytes: &[u8], stride: usize, add: impl Fn(T, T) -> T + Copy) -> Vec<T> {
    fn by<T: Pod, const N: usize>(row: &mut [T], add: impl Fn(T, T) -> T) {
        let mut sums = [T::zeroed(); N];
        for pixel in row.as_chunks_mut::<N>().0 {
            for (sample, sum) in pixel.iter_mut().zip(&mut sums) {
                *sum = add(*sample, *sum);
                *sample = *sum;
            }
        }
    }
    let size = size_of::<T>();
    if stride == 1 {
        let mut out = Vec::with_capacity(bytes.len() / size);
        for row in bytes.chunks_exact(TILE_SIZE * size) {
            let mut sum = T::zeroed();
            out.extend(row.chunks_exact(size).map(|sample| {
                sum = add(bytemuck::pod_read_unaligned(sample), sum);
                sum
            }));
        }
        return out;
    }
    let mut out: Vec<T> = as_they_are(bytes);
    for row in out.chunks_exact_mut(TILE_SIZE * stride) {
        match stride {
            3 => by::<T, 3>(row, add),
            4 => by::<T, 4>(row, add),
            _ => (stride..row.len()).for_each(|i| row[i] = add(row[i], row[i - stride])),
        }
    }
    out
}

fn unpack(bits: &[u8]) -> Vec<u8> {
    bits.iter().flat_map(|byte| (0..8).map(move |i| (byte >> (7 - i)) & 1)).collect()
}

/// Whether alpha, the last sample, is other than 0; None if it is everywhere.
fn alpha(samples: &Samples, stride: usize) -> Option<Vec<u8>> {
    let valid: Vec<u8> = super::pixels::with_samples!(samples, v => {
        v.chunks_exact(stride).map(|pixel| u8::from(super::pixels::Sample::to_f64(pixel[stride - 1]) != 0.0)).collect()
    });
    (!valid.iter().all(|v| *v == 1)).then_some(valid)
}

#[cfg(test)]
pub(crate) mod tests {
    use shared::grid::Placement;

    use super::*;

    /// A layout whose blocks hold `data_type`.
    pub(crate) fn layout(
        data_type: DataType,
        samples: u16,
        compression: Compression,
        predictor: Predictor,
        validity: Validity,
    ) -> CogLayout {
        let placement = Placement { maxzoom: 0, minzoom: 0, col: 0, row: 0, cols: 1, rows: 1 };
        CogLayout {
            data_type,
            samples,
            compression,
            predictor,
            validity,
            placement,
            header_bytes: 0,
            entry_bytes: (8, 4),
            levels: vec![],
        }
    }

    #[test]
    fn a_horizontal_predictor_is_undone_for_every_width_and_stride() {
        for (data_type, samples) in [(DataType::Uint8, 3), (DataType::Int16, 1), (DataType::Float64, 1)] {
            let layout = layout(data_type, samples, Compression::None, Predictor::Horizontal, Validity::None);
            let mut want = Samples::zeros(data_type, TILE_PIXELS * usize::from(samples));
            for (i, byte) in want.bytes_mut().iter_mut().enumerate() {
                *byte = (i * 7 + i / 300) as u8;
            }
            let mut stored = want.clone();
            let stride = usize::from(samples);
            match &mut stored {
                Samples::U8(v) => difference(v, stride, u8::wrapping_sub),
                Samples::I16(v) => difference(v, stride, i16::wrapping_sub),
                Samples::F64(v) => difference::<u64>(bytemuck::cast_slice_mut(v), stride, u64::wrapping_sub),
                _ => unreachable!(),
            }
            let mut got = decode(&layout, stored.bytes_mut(), None).unwrap();
            assert_eq!(got.samples.bytes_mut(), want.bytes_mut());
        }
    }

    fn difference<T: Copy>(v: &mut [T], stride: usize, sub: impl Fn(T, T) -> T) {
        for row in v.chunks_exact_mut(TILE_SIZE * stride) {
            for i in (stride..row.len()).rev() {
                row[i] = sub(row[i], row[i - stride]);
            }
        }
    }

    #[test]
    fn a_floating_point_predictor_is_undone() {
        let values: Vec<f32> = (0..TILE_PIXELS).map(|i| (i as f32).sin() * 1e3).collect();
        let mut stored = vec![0u8; TILE_PIXELS * 4];
        for (row, out) in values.chunks_exact(TILE_SIZE).zip(stored.chunks_exact_mut(TILE_SIZE * 4)) {
            for (i, v) in row.iter().enumerate() {
                for (k, byte) in v.to_be_bytes().into_iter().enumerate() {
                    out[k * TILE_SIZE + i] = byte;
                }
            }
            for i in (1..out.len()).rev() {
                out[i] = out[i].wrapping_sub(out[i - 1]);
            }
        }
        let packed = zstd::bulk::compress(&stored, 1).unwrap();
        let layout = layout(DataType::Float32, 1, Compression::Zstd, Predictor::FloatingPoint, Validity::None);
        assert_eq!(decode(&layout, &packed, None).unwrap().samples, Samples::F32(values));
    }

    #[test]
    fn garbage_is_an_error_not_a_panic() {
        let layout = layout(DataType::Uint16, 1, Compression::Zstd, Predictor::Horizontal, Validity::Mask);
        assert!(matches!(decode(&layout, b"garbage", None), Err(DecodeError::Compressed(_))));
        let short = zstd::bulk::compress(&[0; 100], 1).unwrap();
        assert!(matches!(decode(&layout, &short, None), Err(DecodeError::Size { found: 100, .. })));
    }
}
