//! Values to 8 bits. 0 is transparent; a stretch fills 1 … 255, labels count from 1.
//!
//! `s = clip((v − lo) / (hi − lo), 0, 1)` in f64, the color transform, then `u = rint(1 + 254·s)`, half to even: Terracotta's order of operations, to the last
//! bit. 8- and 16-bit samples go through a lookup table.

#![expect(
    clippy::inline_always,
    reason = "only what is inlined into a function that is compiled for wide vectors has them"
)]

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use super::image::Band;
use super::pixels::{Sample, Samples, with_samples};
use super::plan::Scale;
use super::transform::{Operation, apply_to_band};
use crate::cache::Lru;

/// Ranges narrower than this do not divide.
const RANGE_MIN: f64 = 1e-8;
/// Samples that are stretched together.
const PIECE: usize = 64;
/// Memory for lookup tables: 64 KiB each.
const TABLES_BYTES_MAX: usize = 16 << 20;

/// Tables by scale, transform, nodata and type. Building one costs as much as a tile.
static TABLES: LazyLock<Mutex<Lru<blake3::Hash, Arc<[u8]>>>> = LazyLock::new(|| Mutex::new(Lru::new(TABLES_BYTES_MAX)));

/// One value scaled to [0, 1].
#[derive(Clone, Copy, Debug)]
struct Stretch {
    low: f64,
    factor: f64,
}

impl Stretch {
    fn new(low: f64, high: f64) -> Self {
        let range = high - low;
        Self { low, factor: if range.abs() > RANGE_MIN { 1.0 / range } else { 1.0 } }
    }

    fn unit(self, value: f64) -> f64 {
        ((value - self.low) * self.factor).clamp(0.0, 1.0)
    }
}

/// `[0, 1]` to 1 … 255; NaN to 0.
pub(crate) fn to_u8(unit: f64) -> u8 {
    let scaled = (unit * 254.0 + 1.0).clamp(1.0, 255.0);
    if scaled.is_nan() { 0 } else { scaled.round_ties_even() as u8 }
}

/// A band in 8 bits per pixel. `index` says which band of the picture it is, for the transform.
pub(crate) fn to_indexes(band: &Band<'_>, scale: &Scale, operations: &[Operation], index: usize) -> Vec<u8> {
    let of = |value: f64| -> u8 {
        match scale {
            Scale::Stretch { low, high } => {
                to_u8(apply_to_band(operations, index, Stretch::new(*low, *high).unit(value)))
            }
            Scale::Labels(labels) => label(labels, value),
        }
    };
    let table =
        |width: usize, value: &dyn Fn(usize) -> f64| lookup_table(band, scale, operations, index, width, value, &of);
    let mut indexes = match band.samples.get() {
        Samples::U8(v) => {
            let table = table(256, &|i| f64::from(i as u8));
            each(v, band, |s| table[usize::from(s)])
        }
        Samples::I8(v) => {
            let table = table(256, &|i| f64::from(i as u8 as i8));
            each(v, band, |s| table[usize::from(s as u8)])
        }
        Samples::U16(v) => {
            let table = table(65536, &|i| f64::from(i as u16));
            each(v, band, |s| table[usize::from(s)])
        }
        Samples::I16(v) => {
            let table = table(65536, &|i| f64::from(i as u16 as i16));
            each(v, band, |s| table[usize::from(s as u16)])
        }
        other => with_samples!(other, v => compute(v, band, scale, operations, of)),
    };
    if let Some(valid) = &band.valid {
        indexes.iter_mut().zip(valid.get()).for_each(|(index, valid)| *index *= u8::from(*valid != 0));
    }
    indexes
}

/// A band scaled to [0, 1], and per pixel whether it is valid: for transforms across bands.
pub(crate) fn to_units(band: &Band<'_>, low: f64, high: f64) -> (Vec<f64>, Vec<bool>) {
    let stretch = Stretch::new(low, high);
    with_samples!(band.samples.get(), v => {
        let nodata = nodata_of(v, band);
        let pixels = v.chunks_exact(band.stride).map(|pixel| pixel[band.sample]);
        let mut valid: Vec<bool> = pixels.clone().map(|s| Some(s) != nodata && !s.is_nan()).collect();
        if let Some(also) = &band.valid {
            valid.iter_mut().zip(also.get()).for_each(|(valid, also)| *valid &= *also != 0);
        }
        (pixels.map(|s| stretch.unit(s.to_f64())).collect(), valid)
    })
}

fn each<T: Copy>(samples: &[T], band: &Band<'_>, of: impl Fn(T) -> u8) -> Vec<u8> {
    if band.stride == 1 {
        samples.iter().map(|s| of(*s)).collect()
    } else {
        samples.chunks_exact(band.stride).map(|pixel| of(pixel[band.sample])).collect()
    }
}

fn compute<T: Sample>(
    samples: &[T],
    band: &Band<'_>,
    scale: &Scale,
    operations: &[Operation],
    of: impl Fn(f64) -> u8,
) -> Vec<u8> {
    let nodata = nodata_of(samples, band);
    if let (Scale::Stretch { low, high }, true) = (scale, operations.is_empty()) {
        let stretch = Stretch::new(*low, *high);
        return pulp::Arch::new().dispatch(Stretching { samples, band, stretch, nodata });
    }
    each(samples, band, |s| if Some(s) == nodata || s.is_nan() { 0 } else { of(s.to_f64()) })
}

/// A band stretched in the widest vectors that the machine has.
struct Stretching<'s, T> {
    samples: &'s [T],
    band: &'s Band<'s>,
    stretch: Stretch,
    nodata: Option<T>,
}

impl<T: Sample> pulp::NullaryFnOnce for Stretching<'_, T> {
    type Output = Vec<u8>;

    #[inline(always)]
    fn call(self) -> Vec<u8> {
        let Self { samples, band, stretch: Stretch { low, factor }, nodata } = self;
        let (has_nodata, nodata) = (nodata.is_some(), nodata.unwrap_or(T::zeroed()));
        let of = |s: T| {
            let unit = ((s.to_f64() - low) * factor).clamp(0.0, 1.0);
            // Adding 2^52 rounds half to even, as `rint` does, without a call.
            let rounded = (unit * 254.0 + 1.0 + 4_503_599_627_370_496.0).to_bits() as u32;
            let valid = !((s == nodata) & has_nodata) & !s.is_nan();
            (rounded & 0u32.wrapping_sub(u32::from(valid))) as u8
        };
        let mut out = vec![0; samples.len() / band.stride];
        if band.stride == 1 {
            let (pieces, rest) = samples.as_chunks::<PIECE>();
            let (outs, out_rest) = out.as_chunks_mut::<PIECE>();
            for (out, piece) in outs.iter_mut().zip(pieces) {
                for i in 0..PIECE {
                    out[i] = of(piece[i]);
                }
            }
            out_rest.iter_mut().zip(rest).for_each(|(out, s)| *out = of(*s));
        } else {
            let pixels = samples.chunks_exact(band.stride);
            out.iter_mut().zip(pixels).for_each(|(out, pixel)| *out = of(pixel[band.sample]));
        }
        out
    }
}

fn nodata_of<T: Sample>(_of: &[T], band: &Band<'_>) -> Option<T> {
    band.nodata.and_then(T::from_nodata)
}

fn label(labels: &[f64], value: f64) -> u8 {
    labels.iter().rposition(|label| *label == value).map_or(0, |at| (at + 1).min(255) as u8)
}

fn lookup_table(
    band: &Band<'_>,
    scale: &Scale,
    operations: &[Operation],
    index: usize,
    width: usize,
    value: &dyn Fn(usize) -> f64,
    of: &dyn Fn(f64) -> u8,
) -> Arc<[u8]> {
    let build = || (0..width).map(value).map(|v| if Some(v) == band.nodata { 0 } else { of(v) }).collect();
    if width < 65536 {
        return build();
    }
    let signed = value(width - 1) < 0.0;
    let name = blake3::hash(format!("{scale:?} {operations:?} {index} {width} {signed} {:?}", band.nodata).as_bytes());
    let mut tables = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(table) = tables.get(&name) {
        return Arc::clone(table);
    }
    drop(tables);
    let table: Arc<[u8]> = build();
    tables = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
    tables.put(name, Arc::clone(&table), table.len());
    table
}

#[cfg(test)]
mod tests {
    use super::super::image::{SamplesOf, ValidOf};
    use super::*;

    fn band(samples: Samples, nodata: Option<f64>) -> Band<'static> {
        Band { samples: SamplesOf::Gathered(samples), stride: 1, sample: 0, valid: None, nodata }
    }

    #[test]
    fn tables_and_arithmetic_agree() {
        let values: Vec<i16> = (-300..300).collect();
        let wide: Vec<i32> = values.iter().map(|v| i32::from(*v)).collect();
        let scale = Scale::Stretch { low: 120.5, high: -77.0 };
        let by_table = to_indexes(&band(Samples::I16(values), Some(-3.0)), &scale, &[], 0);
        let by_hand = to_indexes(&band(Samples::I32(wide), Some(-3.0)), &scale, &[], 0);
        assert_eq!(by_table, by_hand);
        assert_eq!((by_table[297], by_table[0], by_table[599]), (0, 255, 1));
    }

    #[test]
    fn nan_and_masked_are_transparent_and_infinity_is_not() {
        let samples = Samples::F32(vec![0.0, f32::NAN, f32::INFINITY, 0.5, 0.25]);
        let mut band = band(samples, Some(0.25));
        band.valid = Some(ValidOf::Gathered(vec![1, 1, 1, 0, 1]));
        assert_eq!(to_indexes(&band, &Scale::Stretch { low: 0.0, high: 1.0 }, &[], 0), [1, 0, 255, 0, 0]);
    }

    #[test]
    fn halves_go_to_the_even_number() {
        // 1 + 254·s = 2.5 and 3.5.
        assert_eq!((to_u8(1.5 / 254.0), to_u8(2.5 / 254.0)), (2, 4));
    }

    #[test]
    fn labels_are_exact() {
        let scale = Scale::Labels(vec![5.0, 7.0, 5.0]);
        assert_eq!(to_indexes(&band(Samples::U8(vec![5, 6, 7]), Some(7.0)), &scale, &[], 0), [3, 0, 0]);
        assert_eq!(to_indexes(&band(Samples::F64(vec![5.0, 5.1, 7.0]), None), &scale, &[], 0), [3, 0, 2]);
    }

    #[test]
    fn a_range_of_nothing_does_not_divide() {
        let stretch = Stretch::new(5.0, 5.0);
        assert_eq!((to_u8(stretch.unit(5.0)), to_u8(stretch.unit(9.0))), (1, 255));
    }
}
