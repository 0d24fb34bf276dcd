//! Decoded blocks onto the pixels of a picture: as they are where every pixel has one source pixel, else by weights.

#![expect(
    clippy::inline_always,
    reason = "only what is inlined into a function that is compiled for wide vectors has them"
)]

use std::ops::Range;
use std::sync::Arc;

use bytemuck::Zeroable;
use shared::dataset::Validity;
use shared::grid::TILE_SIZE;

use super::decode::Block;
use super::means::Means;
use super::pixels::{Sample, Samples, with_samples};
use super::plan::Source;
use super::sampling::{Axis, Kernel, Tap};

/// One band on a picture's pixels.
#[derive(Debug)]
pub(crate) struct Band<'a> {
    pub(crate) samples: SamplesOf<'a>,
    /// Samples per pixel, and which of them is the band.
    pub(crate) stride: usize,
    pub(crate) sample: usize,
    /// Per pixel; 0 is invalid. None where only `nodata` and NaN tell.
    pub(crate) valid: Option<ValidOf<'a>>,
    /// The value that stands for no value.
    pub(crate) nodata: Option<f64>,
}

impl Band<'_> {
    /// A band of values and their validity.
    pub(crate) fn of_values(values: Vec<f64>, valid: Vec<u8>) -> Self {
        let (samples, valid) = (SamplesOf::Gathered(Samples::F64(values)), Some(ValidOf::Gathered(valid)));
        Self { samples, stride: 1, sample: 0, valid, nodata: None }
    }

    /// Whether values were made from several, so that those of integers may be fractions.
    pub(crate) fn is_resampled(&self) -> bool {
        matches!(self.samples, SamplesOf::Gathered(Samples::F64(_)))
    }

    /// Some pixels as doubles; whether each is valid is added to `valid`.
    pub(crate) fn floats(&self, pixels: Range<usize>, valid: &mut Vec<u8>) -> Vec<f64> {
        with_samples!(self.samples.get(), v => self.values(v, pixels, valid, super::pixels::Sample::to_f64))
    }

    /// Some pixels as 64-bit integers.
    pub(crate) fn longs(&self, pixels: Range<usize>, valid: &mut Vec<u8>) -> Vec<i64> {
        with_samples!(self.samples.get(), v => self.values(v, pixels, valid, super::pixels::Sample::to_i64))
    }

    fn values<T: Sample, V: Copy + Zeroable>(
        &self,
        samples: &[T],
        pixels: Range<usize>,
        valid: &mut Vec<u8>,
        of: impl Fn(T) -> V,
    ) -> Vec<V> {
        let nodata = self.nodata.and_then(T::from_nodata);
        let (has_nodata, nodata) = (nodata.is_some(), nodata.unwrap_or(T::zeroed()));
        let is_valid = |sample: T| u8::from(!((sample == nodata) & has_nodata) & !sample.is_nan());
        let start = valid.len();
        valid.resize(start + pixels.len(), 1);
        let validity = &mut valid[start..];
        let mut values = vec![V::zeroed(); pixels.len()];
        if self.stride == 1 {
            let samples = &samples[pixels.clone()];
            wide(
                #[inline(always)]
                || {
                    values.iter_mut().zip(samples).for_each(|(value, sample)| *value = of(*sample));
                    if has_nodata || T::IS_FLOAT {
                        validity.iter_mut().zip(samples).for_each(|(valid, sample)| *valid = is_valid(*sample));
                    }
                },
            );
        } else {
            let samples = &samples[pixels.start * self.stride..pixels.end * self.stride];
            let samples = samples.chunks_exact(self.stride).map(|pixel| pixel[self.sample]);
            validity.iter_mut().zip(samples.clone()).for_each(|(valid, sample)| *valid = is_valid(sample));
            values.iter_mut().zip(samples).for_each(|(value, sample)| *value = of(sample));
        }
        if let Some(also) = &self.valid {
            validity.iter_mut().zip(&also.get()[pixels]).for_each(|(v, also)| *v &= u8::from(*also != 0));
        }
        values
    }
}

/// Runs loops in the widest vectors that the machine has: those that are inlined into `of`.
#[inline(always)]
pub(crate) fn wide<R>(of: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(of)
}

/// Samples borrowed from a block, or gathered.
#[derive(Debug)]
pub(crate) enum SamplesOf<'a> {
    Block(&'a Samples),
    Gathered(Samples),
}

/// Validity borrowed from a block, or gathered.
#[derive(Debug)]
pub(crate) enum ValidOf<'a> {
    Block(&'a [u8]),
    Gathered(Vec<u8>),
}

impl SamplesOf<'_> {
    pub(crate) fn get(&self) -> &Samples {
        match self {
            Self::Block(samples) => samples,
            Self::Gathered(samples) => samples,
        }
    }
}

impl ValidOf<'_> {
    pub(crate) fn get(&self) -> &[u8] {
        match self {
            Self::Block(valid) => valid,
            Self::Gathered(valid) => valid,
        }
    }
}

/// The blocks of a source, decoded: row-major over its block columns and rows; None is sparse.
#[derive(Debug)]
pub(crate) struct Blocks<'a> {
    source: &'a Source,
    cols: Vec<u32>,
    rows: Vec<u32>,
    decoded: Vec<Option<Arc<Block>>>,
}

impl<'a> Blocks<'a> {
    /// `blocks` in the order of `Source::blocks`.
    pub(crate) fn new(source: &'a Source, decoded: Vec<Option<Arc<Block>>>) -> Self {
        let (cols, rows) = source.blocks();
        Self { source, cols, rows, decoded }
    }

    /// One sample of the source on the picture's pixels. None where nothing is valid.
    pub(crate) fn band(&self, sample: usize) -> Option<Band<'_>> {
        let nodata = match self.source.dataset.cog.validity {
            Validity::Nodata(value) => Some(value),
            _ => None,
        };
        let first = self.decoded.iter().flatten().next()?;
        if self.source.is_one_block() {
            let valid = first.valid.as_deref().map(ValidOf::Block);
            return Some(Band {
                samples: SamplesOf::Block(&first.samples),
                stride: first.stride,
                sample,
                valid,
                nodata,
            });
        }
        let gather = self.source.x.is_gather() && self.source.y.is_gather();
        Some(with_samples!(&first.samples, v => self.resample(v, sample, nodata, gather)))
    }

    fn resample<T: Sample>(&self, _of: &[T], sample: usize, nodata: Option<f64>, gather: bool) -> Band<'_>
    where
        Vec<T>: Into<Samples>,
    {
        let mosaic = self.mosaic::<T>(sample, nodata.and_then(T::from_nodata));
        let (x, y) = (&self.source.x, &self.source.y);
        let (samples, valid) = if gather {
            let (values, valid) = mosaic.gather(x, y);
            (values.into(), valid)
        } else {
            let (values, valid) = match self.source.kernel {
                Kernel::Mode => mosaic.modes(x, y),
                Kernel::Continuous | Kernel::Nearest => mosaic.means(x, y),
            };
            (Samples::F64(values), valid)
        };
        let valid = Some(ValidOf::Gathered(valid));
        Band { samples: SamplesOf::Gathered(samples), stride: 1, sample: 0, valid, nodata: None }
    }

    /// The needed source pixels side by side, and whether each is valid.
    fn mosaic<T: Sample>(&self, sample: usize, nodata: Option<T>) -> Mosaic<T> {
        let (xs, ys) = (&self.source.x.pixels, &self.source.y.pixels);
        let tile = TILE_SIZE as u32;
        let (width, pixels) = (xs.len(), xs.len() * ys.len());
        let mut mosaic = Mosaic { values: vec![T::zeroed(); pixels], valid: vec![0; pixels], width };
        let mut runs = Vec::new();
        for run in xs.chunk_by(|a, b| *b == a + 1 && b % tile != 0) {
            let col = self.cols.partition_point(|b| *b < run[0] / tile);
            runs.push((col, (run[0] % tile) as usize, run.len()));
        }
        for (j, y) in ys.iter().enumerate() {
            let row = self.rows.partition_point(|b| *b < y / tile);
            let line = (y % tile) as usize * TILE_SIZE;
            let mut to = j * width;
            for (col, pixel, len) in &runs {
                let (from, at) = (line + pixel, to);
                to += len;
                let Some(Some(block)) = self.decoded.get(row * self.cols.len() + col) else { continue };
                let Some(values) = T::of(&block.samples) else { continue };
                let source = &values[from * block.stride..(from + len) * block.stride];
                let (values, valid) = (&mut mosaic.values[at..to], &mut mosaic.valid[at..to]);
                if block.stride == 1 {
                    values.copy_from_slice(source);
                } else {
                    let pixels = source.chunks_exact(block.stride);
                    values.iter_mut().zip(pixels).for_each(|(value, pixel)| *value = pixel[sample]);
                }
                for (valid, value) in valid.iter_mut().zip(values) {
                    *valid = u8::from(!value.is_nan() && nodata != Some(*value));
                }
                if let Some(also) = &block.valid {
                    mosaic.valid[at..to].iter_mut().zip(&also[from..from + len]).for_each(|(v, also)| *v &= *also);
                }
            }
        }
        mosaic
    }
}

struct Mosaic<T> {
    values: Vec<T>,
    valid: Vec<u8>,
    width: usize,
}

impl<T: Sample> Mosaic<T> {
    fn gather(self, x: &Axis, y: &Axis) -> (Vec<T>, Vec<u8>) {
        if x.is_identity() && y.is_identity() {
            return (self.values, self.valid);
        }
        let mut values = vec![T::zeroed(); x.size() * y.size()];
        let mut valid = vec![0; values.len()];
        for j in 0..y.size() {
            let Some(row) = y.taps(j).first() else { continue };
            for i in 0..x.size() {
                let Some(col) = x.taps(i).first() else { continue };
                let (from, to) = (row.at as usize * self.width + col.at as usize, j * x.size() + i);
                values[to] = self.values[from];
                valid[to] = self.valid[from];
            }
        }
        (values, valid)
    }

    /// Each picture pixel as the mean of its valid source pixels by weight.
    fn means(&self, x: &Axis, y: &Axis) -> (Vec<f64>, Vec<u8>) {
        let Self { values, valid, width } = self;
        pulp::Arch::new().dispatch(Means { values, valid, width: *width, x, y })
    }

    /// Each picture pixel as the mode of its source pixels.
    fn modes(&self, x: &Axis, y: &Axis) -> (Vec<f64>, Vec<u8>) {
        let mut values = vec![0.0; x.size() * y.size()];
        let mut valid = vec![0; values.len()];
        let mut parts = Vec::new();
        for j in 0..y.size() {
            let rows = y.taps(j);
            for i in 0..x.size() {
                if let Some(value) = self.mode(x.taps(i), rows, &mut parts) {
                    let to = j * x.size() + i;
                    values[to] = value;
                    valid[to] = 1;
                }
            }
        }
        (values, valid)
    }

    /// The value of the greatest weight; of several, the smallest.
    fn mode(&self, cols: &[Tap], rows: &[Tap], parts: &mut Vec<(f64, f64)>) -> Option<f64> {
        parts.clear();
        let mut core = false;
        for row in rows {
            let line = row.at as usize * self.width;
            for col in cols {
                let at = line + col.at as usize;
                if self.valid[at] != 0 {
                    parts.push((self.values[at].to_f64(), row.weight * col.weight));
                    core |= row.core && col.core;
                }
            }
        }
        parts.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let (mut best, mut most) = (None, 0.0);
        for run in parts.chunk_by(|a, b| a.0 == b.0) {
            let weight: f64 = run.iter().map(|(_, w)| w).sum();
            if weight > most {
                (best, most) = (Some(run[0].0), weight);
            }
        }
        best.filter(|_| core)
    }
}
