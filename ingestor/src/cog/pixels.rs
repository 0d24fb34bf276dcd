//! Pixels in memory: square planes of samples with their validity, from a window of the source or from an overview.

use std::borrow::Cow;

use shared::dataset::Compression;

use super::sample::Sample;
use super::{CogError, CogSpec, Window};

/// How invalid pixels come to stand in the file. Decided before the first pixel is seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fill<T> {
    /// They get this value: the nodata value, or NaN.
    Value(T),
    /// They are 0 in all samples and in the alpha sample that is added.
    Alpha,
    /// There must be none.
    Opaque,
    /// They are 0, and clear in a mask beside the image.
    Mask,
}

impl<T: Sample> Fill<T> {
    /// DESIGN.md, "Validity".
    pub(super) fn of(spec: &CogSpec) -> Self {
        let nodata = spec.nodata.filter(|_| spec.compression != Compression::Webp);
        if let Some(value) = nodata.and_then(T::from_nodata) {
            Self::Value(value)
        } else if T::TYPE.is_float() {
            Self::Value(T::from_mean(f64::NAN))
        } else if T::TYPE == u8::TYPE && spec.samples == 3 {
            if spec.expect_valid { Self::Opaque } else { Self::Alpha }
        } else {
            Self::Mask
        }
    }

    /// What invalid samples are written as.
    pub(super) fn value(self) -> T {
        if let Self::Value(value) = self { value } else { T::ZERO }
    }

    /// Whether samples of a pixel may differ in validity.
    fn is_per_sample(self) -> bool {
        matches!(self, Self::Value(_))
    }
}

/// Square planes of pixels.
#[derive(Debug)]
pub(super) struct Pixels<'a, T: Clone> {
    /// Pixels along a side: a multiple of the tile's.
    pub(super) side: usize,
    /// One plane per sample.
    pub(super) samples: Vec<Cow<'a, [T]>>,
    /// Validity: one plane for all samples or one for each; 0 is invalid, and under `Fill::Alpha` the rest is alpha. None: all are 255.
    pub(super) valid: Vec<Option<Cow<'a, [u8]>>>,
}

impl<T: Sample> Pixels<'_, T> {
    /// The validity plane of a sample.
    pub(super) fn valid_of(&self, sample: usize) -> Option<&[u8]> {
        self.valid.get(sample).or(self.valid.first()).and_then(Option::as_deref)
    }
}

/// Takes in a window: checks its sizes, makes NaN and infinities invalid, unites validity planes where the file can hold only one.
pub(super) fn take_in<'a, T: Sample>(
    window: &'a mut Window,
    samples: usize,
    side: usize,
    fill: Fill<T>,
) -> Result<Pixels<'a, T>, CogError> {
    let pixels = side * side;
    let sizes_hold = window.samples.len() == samples
        && window.samples.iter().all(|plane| plane.len() == pixels * size_of::<T>())
        && (window.valid.len() == 1 || window.valid.len() == samples)
        && window.valid.iter().all(|plane| plane.len() == pixels);
    if !sizes_hold {
        return Err(CogError::Spec(format!(
            "a window is not {samples} planes of {side} × {side} pixels with validity"
        )));
    }
    let planes: Vec<Cow<'a, [T]>> = window.samples.iter().map(|bytes| typed(bytes)).collect();
    if fill.is_per_sample() && T::TYPE.is_float() && window.valid.len() < samples {
        let first = window.valid.first().cloned().unwrap_or_default();
        window.valid.resize(samples, first);
    } else if !fill.is_per_sample() && window.valid.len() > 1 {
        unite(&mut window.valid);
    }
    if T::TYPE.is_float() {
        for (plane, valid) in planes.iter().zip(&mut window.valid) {
            valid.iter_mut().zip(plane.iter()).for_each(|(v, x)| *v = if x.to_f64().is_finite() { *v } else { 0 });
        }
    }
    let whole = if fill == Fill::Alpha || fill == Fill::Opaque { u8::MAX } else { 1 };
    let valid = window.valid.iter().map(|plane| (lowest(plane) < whole).then_some(Cow::Borrowed(plane.as_slice())));
    Ok(Pixels { side, valid: valid.collect(), samples: planes })
}

/// The smallest value of a plane: 0 if any pixel is invalid.
pub(super) fn lowest(valid: &[u8]) -> u8 {
    valid.iter().fold(u8::MAX, |least, v| least.min(*v))
}

/// The largest value of a plane: 0 if no pixel is valid.
pub(super) fn highest(valid: &[u8]) -> u8 {
    valid.iter().fold(0, |most, v| most.max(*v))
}

fn unite(planes: &mut Vec<Vec<u8>>) {
    let rest = planes.split_off(1);
    let Some(first) = planes.first_mut() else { return };
    for plane in rest {
        first.iter_mut().zip(plane).for_each(|(a, b)| *a = (*a).max(b));
    }
}

fn typed<T: Sample>(bytes: &[u8]) -> Cow<'_, [T]> {
    match bytemuck::try_cast_slice(bytes) {
        Ok(samples) => Cow::Borrowed(samples),
        Err(_) => Cow::Owned(bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect()),
    }
}
