//! A block's bytes to samples: decompression, then the predictor undone, then the mask.
//!
//! Blocks are 256×256 pixels, samples interleaved, little-endian; so are the hosts this runs on.

use std::cell::RefCell;

use shared::dataset::{CogLayout, Compression, DataType, Predictor, Validity};
use shared::grid::{TILE_PIXELS, TILE_SIZE};

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
    // Setting up a decompressor costs as much as a small block.
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Decodes an image block and, where the layout has masks, its mask block.
pub(crate) fn decode(layout: &CogLayout, image: &[u8], mask: Option<&[u8]>) -> Result<Block, DecodeError> {
    let stride = usize::from(layout.samples.max(1));
    let mut samples = Samples::zeros(layout.data_type, TILE_PIXELS * stride);
    decompress(layout.compression, image, samples.bytes_mut())?;
    undo_predictor(layout, stride, &mut samples)?;
    let valid = match (layout.validity, mask) {
        (Validity::Mask, Some(mask)) => {
            let mut bits = vec![0; MASK_BYTES];
            decompress(layout.compression, mask, &mut bits)?;
            (!bits.iter().all(|b| *b == u8::MAX)).then(|| unpack(&bits))
        }
        (Validity::Alpha, _) => alpha(&samples, stride),
        _ => None,
    };
    Ok(Block { samples, stride, valid })
}

fn decompress(compression: Compression, bytes: &[u8], out: &mut [u8]) -> Result<(), DecodeError> {
    let found = match compression {
        Compression::None => {
            if bytes.len() == out.len() {
                out.copy_from_slice(bytes);
            }
            bytes.len()
        }
        Compression::Zstd => DECOMPRESSOR.with_borrow_mut(|kept| {
            let fault = |e: std::io::Error| DecodeError::Compressed(e.to_string());
            let decompressor = match kept {
                Some(decompressor) => decompressor,
                None => kept.insert(zstd::bulk::Decompressor::new().map_err(fault)?),
            };
            decompressor.decompress_to_buffer(bytes, out).map_err(fault)
        })?,
    };
    if found == out.len() { Ok(()) } else { Err(DecodeError::Size { found, expected: out.len() }) }
}

fn undo_predictor(layout: &CogLayout, stride: usize, samples: &mut Samples) -> Result<(), DecodeError> {
    match layout.predictor {
        Predictor::None => Ok(()),
        Predictor::Horizontal => {
            match samples {
                Samples::U8(v) => undo_horizontal(v, stride, u8::wrapping_add),
                Samples::I8(v) => undo_horizontal(v, stride, i8::wrapping_add),
                Samples::U16(v) => undo_horizontal(v, stride, u16::wrapping_add),
                Samples::I16(v) => undo_horizontal(v, stride, i16::wrapping_add),
                Samples::U32(v) => undo_horizontal(v, stride, u32::wrapping_add),
                Samples::I32(v) => undo_horizontal(v, stride, i32::wrapping_add),
                Samples::U64(v) => undo_horizontal(v, stride, u64::wrapping_add),
                Samples::I64(v) => undo_horizontal(v, stride, i64::wrapping_add),
                Samples::F32(v) => undo_horizontal::<u32>(bytemuck::cast_slice_mut(v), stride, u32::wrapping_add),
                Samples::F64(v) => undo_horizontal::<u64>(bytemuck::cast_slice_mut(v), stride, u64::wrapping_add),
            }
            Ok(())
        }
        Predictor::FloatingPoint => match layout.data_type {
            DataType::Float32 => {
                undo_floating_point::<4>(samples.bytes_mut(), stride);
                Ok(())
            }
            DataType::Float64 => {
                undo_floating_point::<8>(samples.bytes_mut(), stride);
                Ok(())
            }
            _ => Err(DecodeError::Predictor),
        },
    }
}

fn undo_horizontal<T: Copy + Default>(samples: &mut [T], stride: usize, add: impl Fn(T, T) -> T + Copy) {
    for row in samples.chunks_exact_mut(TILE_SIZE * stride) {
        accumulate(row, stride, add);
    }
}

/// Adds to each element the one `stride` before it. Sums stay in registers: reading back what was just written would cost five times as much.
fn accumulate<T: Copy + Default>(row: &mut [T], stride: usize, add: impl Fn(T, T) -> T) {
    fn by<T: Copy + Default, const N: usize>(row: &mut [T], add: impl Fn(T, T) -> T) {
        let mut sums = [T::default(); N];
        for pixel in row.chunks_exact_mut(N) {
            for (sample, sum) in pixel.iter_mut().zip(&mut sums) {
                *sum = add(*sample, *sum);
                *sample = *sum;
            }
        }
    }
    match stride {
        1 => by::<T, 1>(row, add),
        3 => by::<T, 3>(row, add),
        4 => by::<T, 4>(row, add),
        _ => (stride..row.len()).for_each(|i| row[i] = add(row[i], row[i - stride])),
    }
}

/// Adobe Photoshop TIFF Technical Note 3: bytes of a row are differenced, and stored most significant bytes of all samples first.
fn undo_floating_point<const BYTES: usize>(bytes: &mut [u8], stride: usize) {
    let row_samples = TILE_SIZE * stride;
    let mut shuffled = vec![0; row_samples * BYTES];
    for row in bytes.chunks_exact_mut(row_samples * BYTES) {
        shuffled.copy_from_slice(row);
        if stride == 1 {
            accumulate_bytes(&mut shuffled);
        } else {
            accumulate(&mut shuffled, stride, u8::wrapping_add);
        }
        let planes: [&[u8]; BYTES] = std::array::from_fn(|k| &shuffled[k * row_samples..(k + 1) * row_samples]);
        let (samples, _) = row.as_chunks_mut::<BYTES>();
        for (i, sample) in samples.iter_mut().enumerate().take(row_samples) {
            *sample = std::array::from_fn(|k| planes[BYTES - 1 - k][i]);
        }
    }
}

/// Adds to each byte all before it. Sixteen at a time, in four steps of one, two, four and eight: one after another would wait for each addition.
fn accumulate_bytes(row: &mut [u8]) {
    fn shifted<const BY: usize>(of: [u8; 16]) -> [u8; 16] {
        std::array::from_fn(|i| if i >= BY { of[i].wrapping_add(of[i - BY]) } else { of[i] })
    }
    let mut before = 0;
    let (chunks, rest) = row.as_chunks_mut::<16>();
    for chunk in chunks {
        let sums = shifted::<8>(shifted::<4>(shifted::<2>(shifted::<1>(*chunk))));
        *chunk = sums.map(|sum| sum.wrapping_add(before));
        before = before.wrapping_add(sums[15]);
    }
    for byte in rest {
        before = before.wrapping_add(*byte);
        *byte = before;
    }
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
        CogLayout { data_type, samples, compression, predictor, validity, placement, header_bytes: 0, levels: vec![] }
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
