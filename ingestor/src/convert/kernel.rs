//! Resampling kernels: samples of a raster at places between its pixels, from valid pixels only.
//!
//! Bilinear, the usual one, has a room of its own: `bilinear`.
//!
//! A pixel of the map is valid if the raster's pixel under its center is valid, as GDAL's warper has it; bilinear and cubic weights then go to
//! the valid neighbours and are normalized. Where the map is coarser than the raster, kernels widen by the same factor.

#![expect(
    clippy::inline_always,
    reason = "only what is inlined into a function that is compiled for wide vectors has them"
)]

use pulp::{Arch, NullaryFnOnce};

use super::cells::Span;
use super::sample::{Judge, ROUNDER, Sample};
use super::source::{Area, View};

/// Map pixels up to this many times the raster's need no wider kernel; GDAL's limit.
const SCALE_PLAIN: f64 = 1.0 / 0.95;
/// How many times kernels may widen; coarser, they skip pixels rather than read a thousand for one.
const SCALE_MAX: f64 = 16.0;

/// Pixels of a span that are made together.
pub(super) const PIECE: usize = 64;
/// Pixels around a piece, along an axis, and of a row of the plane, up to which places are counted in 32 bits.
pub(super) const REACH_MAX: usize = 2 * PIECE;
const WIDTH_MAX: usize = 1 << 23;

/// Of each pixel of a piece: where its first sample lies, and how far the place lies beyond that, along both axes.
type Places = ([i32; PIECE], [f32; PIECE], [f32; PIECE]);

/// What is weighed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kernel {
    Nearest,
    Bilinear,
    Cubic,
}

impl Kernel {
    /// How many pixels of the raster it reaches around a place, at this scale.
    pub(super) fn reach(self, scale: f64) -> f64 {
        let radius = match self {
            Self::Nearest => 0.0,
            Self::Bilinear => 1.0,
            Self::Cubic => 2.0,
        };
        radius * scale.clamp(1.0, SCALE_MAX) + 1.0
    }

    fn weight(self, distance: f64) -> f64 {
        let d = distance.abs();
        match self {
            Self::Nearest => f64::from(u8::from(d < 0.5)),
            Self::Bilinear => (1.0 - d).max(0.0),
            // Keys (1981) with a = −0.5.
            Self::Cubic if d < 1.0 => (1.5 * d - 2.5) * d * d + 1.0,
            Self::Cubic if d < 2.0 => ((-0.5 * d + 2.5) * d - 4.0) * d + 2.0,
            Self::Cubic => 0.0,
        }
    }
}

/// One band of a view, with what is valid in it.
#[derive(Debug)]
pub(super) struct Plane<'v, T> {
    pub(super) samples: &'v [T],
    mask: Option<&'v [u8]>,
    judge: Judge<T>,
    /// Every pixel is known to be valid.
    pub(super) all_valid: bool,
    pub(super) x0: isize,
    pub(super) y0: isize,
    pub(super) width: usize,
    pub(super) height: usize,
}

/// A call of `Plane::resample`, compiled for several kinds of machines: closures would not be.
struct Resampling<'r, 'v, T, F> {
    plane: &'r Plane<'v, T>,
    kernel: Kernel,
    spans: &'r [Span],
    at: F,
    out: &'r mut [T],
    valid: &'r mut [u8],
}

impl<T: Sample, F: Fn(&Span) -> usize> NullaryFnOnce for Resampling<'_, '_, T, F> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for span in self.spans {
            let start = (self.at)(span);
            let pixels = start..start + span.length;
            self.plane.resample_span(self.kernel, span, &mut self.out[pixels.clone()], &mut self.valid[pixels]);
        }
    }
}

impl<'v, T: Sample> Plane<'v, T> {
    /// Band `index` of a view.
    pub(super) fn new(view: &View<'v, T>, index: usize, judge: Judge<T>, all_valid: bool) -> Self {
        Self {
            samples: view.bands[index],
            mask: view.mask,
            judge,
            all_valid,
            x0: view.area.x as isize,
            y0: view.area.y as isize,
            width: view.area.width,
            height: view.area.height,
        }
    }

    /// Samples along spans: those of each begin at the place in `out` and `valid` that `at` says. `valid` gets 255 where valid, all else stays as it
    /// is. No valid pixel gets the nodata value.
    pub(super) fn resample(
        &self,
        kernel: Kernel,
        spans: &[Span],
        at: impl Fn(&Span) -> usize,
        out: &mut [T],
        valid: &mut [u8],
    ) {
        Arch::new().dispatch(Resampling { plane: self, kernel, spans, at, out, valid });
    }

    #[inline(always)]
    fn resample_span(&self, kernel: Kernel, span: &Span, out: &mut [T], valid: &mut [u8]) {
        match kernel {
            Kernel::Nearest => return self.nearest(span, out, valid),
            Kernel::Bilinear => self.bilinear(span, out, valid),
            Kernel::Cubic => self.weighted(kernel, span, out, valid),
        }
        if let Some(nodata) = self.judge.nodata() {
            let other = nodata.neighbor(true);
            for (sample, valid) in out.iter_mut().zip(valid) {
                *sample = if *sample == nodata && *valid != 0 { other } else { *sample };
            }
        }
    }

    #[inline(always)]
    fn nearest(&self, span: &Span, out: &mut [T], valid: &mut [u8]) {
        for (n, (out, valid)) in out.chunks_mut(PIECE).zip(valid.chunks_mut(PIECE)).enumerate() {
            let piece = span.part(n * PIECE, out.len());
            let Some(under) = self.around(&piece, [0.0; 2], 1) else {
                self.nearest_checked(&piece, out, valid);
                continue;
            };
            let (at, _, _) = self.places(&piece, under, 0.0, 1);
            let first = under.y * self.width + under.x;
            for ((out, valid), at) in out.iter_mut().zip(valid).zip(at) {
                let at = first + at as usize;
                let Some(sample) = self.samples.get(at) else { continue };
                if self.is_valid(at) {
                    (*out, *valid) = (*sample, 255);
                }
            }
        }
    }

    #[inline(never)]
    fn nearest_checked(&self, span: &Span, out: &mut [T], valid: &mut [u8]) {
        for (i, (out, valid)) in out.iter_mut().zip(valid).enumerate() {
            let (x, y) = span.at(i);
            let Some(at) = self.under(x, y) else { continue };
            if self.is_valid(at) {
                (*out, *valid) = (self.samples[at], 255);
            }
        }
    }

    /// The pixels that a piece of a span needs, if they all are there: `taps` along each axis from the one under each place less `shift`.
    #[inline(always)]
    pub(super) fn around(&self, piece: &Span, shift: [f64; 2], taps: usize) -> Option<Area> {
        let ends = [piece.at(0), piece.at(piece.length - 1)];
        let reach = |ends: [f64; 2], shift: f64, first: isize, size: usize| {
            let [low, high] = [ends[0].min(ends[1]), ends[0].max(ends[1])].map(|at| at - shift - first as f64);
            (low >= 0.0 && high < (size + 1 - taps) as f64).then(|| (low as usize, high as usize + taps - low as usize))
        };
        let (x, width) = reach(ends.map(|end| end.0), shift[0], self.x0, self.width)?;
        let (y, height) = reach(ends.map(|end| end.1), shift[1], self.y0, self.height)?;
        (self.width <= WIDTH_MAX && width.max(height) <= REACH_MAX).then_some(Area { x, y, width, height })
    }

    /// Where the first of a piece's pixels lie in the plane, counted from the corner of what is `around`, and how far each place lies beyond it. Places
    /// are counted in f32, which from there is right to 10⁻⁵ pixels.
    #[inline(always)]
    pub(super) fn places(&self, piece: &Span, around: Area, shift: f64, taps: usize) -> Places {
        let start = |at: f64, plane: isize, around: usize| (at - shift - plane as f64 - around as f64) as f32;
        let (u, v) = (start(piece.x, self.x0, around.x), start(piece.y, self.y0, around.y));
        let (du, dv) = (piece.dx as f32, piece.dy as f32);
        let (last_column, last_row) = ((around.width - taps) as i32, (around.height - taps) as i32);
        let stride = self.width as i32;
        let (mut at, mut fx, mut fy) = ([0i32; PIECE], [0f32; PIECE], [0f32; PIECE]);
        for i in 0..PIECE {
            let (x, y) = (u + i as f32 * du, v + i as f32 * dv);
            let (column, row) = (floor(x).clamp(0, last_column), floor(y).clamp(0, last_row));
            at[i] = row * stride + column;
            // Right to 10⁻⁵ pixels, a place may lie that far beyond its neighbours, and what is made there beyond their values.
            (fx[i], fy[i]) = ((x - column as f32).clamp(0.0, 1.0), (y - row as f32).clamp(0.0, 1.0));
        }
        (at, fx, fy)
    }

    /// How many pixels of an area of the plane are valid. Counted by whole rows, since that compiles to vector instructions.
    #[inline(always)]
    pub(super) fn valid_within(&self, area: Area) -> usize {
        if self.all_valid {
            return area.width * area.height;
        }
        let mut count = 0;
        for row in area.y..area.y + area.height {
            let row = row * self.width + area.x..row * self.width + area.x + area.width;
            // A row around a piece is short: its count fits 16 bits.
            let mut of_row = 0u16;
            if let Some(mask) = self.mask {
                for (sample, mask) in self.samples[row.clone()].iter().zip(&mask[row]) {
                    of_row += u16::from(self.judge.accepts(*sample)) * u16::from(*mask != 0);
                }
            } else {
                for sample in &self.samples[row] {
                    of_row += u16::from(self.judge.accepts(*sample));
                }
            }
            count += usize::from(of_row);
        }
        count
    }

    pub(super) fn weighted(&self, kernel: Kernel, span: &Span, out: &mut [T], valid: &mut [u8]) {
        for (i, (out, valid)) in out.iter_mut().zip(valid).enumerate() {
            self.weigh_one(kernel, span.at(i), span.scale, out, valid);
        }
    }

    /// One pixel, any kernel, any scale, valid pixels only.
    fn weigh_one(&self, kernel: Kernel, (x, y): (f64, f64), scale: [f64; 2], out: &mut T, valid: &mut u8) {
        let Some(center) = self.under(x, y).filter(|at| self.is_valid(*at)) else {
            return;
        };
        let widen = widened(scale);
        let (u, v) = (x - 0.5, y - 0.5);
        let radius = kernel.reach(1.0) - 1.0;
        let range =
            |at: f64, widen: f64| (at - radius * widen).ceil() as isize..=(at + radius * widen).floor() as isize;
        let (mut sum, mut weights) = (0.0, 0.0);
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for row in range(v, widen[1]) {
            let wy = kernel.weight((row as f64 - v) / widen[1]);
            for column in range(u, widen[0]) {
                let weight = wy * kernel.weight((column as f64 - u) / widen[0]);
                let Some(at) = self.index(column, row).filter(|at| weight != 0.0 && self.is_valid(*at)) else {
                    continue;
                };
                let sample = self.samples[at].wide();
                sum += weight * sample;
                weights += weight;
                (low, high) = (low.min(sample), high.max(sample));
            }
        }
        let mean = sum / weights;
        // Negative lobes beside invalid pixels can blow a mean up; then, and among huge values, the pixel itself is the answer.
        let sane = weights > 1e-6
            && mean.is_finite()
            && (kernel != Kernel::Cubic || (mean - low).max(high - mean) <= 1.5 * (high - low));
        *out = if sane { T::clamp_from(mean) } else { self.samples[center] };
        *valid = 255;
    }

    /// The pixel under a place of a span. The span was cut to the raster; its parts begin anew, so that the last place of one may be rounded beyond it.
    fn under(&self, x: f64, y: f64) -> Option<usize> {
        let within = |at: f64, first: isize, size: usize| {
            let floor = at.floor() as isize;
            if floor as f64 == at && floor - first == size as isize { floor - 1 } else { floor }
        };
        self.index(within(x, self.x0, self.width), within(y, self.y0, self.height))
    }

    fn index(&self, x: isize, y: isize) -> Option<usize> {
        let (column, row) = (x.checked_sub(self.x0)?, y.checked_sub(self.y0)?);
        let inside = column >= 0 && row >= 0 && (column as usize) < self.width && (row as usize) < self.height;
        inside.then(|| row as usize * self.width + column as usize)
    }

    pub(super) fn is_valid(&self, at: usize) -> bool {
        self.all_valid || (self.judge.accepts(self.samples[at]) && self.mask.is_none_or(|mask| mask[at] != 0))
    }
}

/// How many times a kernel widens along each axis.
pub(super) fn widened(scale: [f64; 2]) -> [f64; 2] {
    scale.map(|scale| if scale > SCALE_PLAIN { scale.min(SCALE_MAX) } else { 1.0 })
}

/// The whole number below a place within `REACH_MAX`, in vector instructions: rounded, and one less where that is above it.
#[inline(always)]
pub(super) fn floor(place: f32) -> i32 {
    let rounded = ((place + ROUNDER).to_bits() as i32).wrapping_sub(ROUNDER.to_bits() as i32);
    rounded.wrapping_sub(i32::from(rounded as f32 > place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::source::Area;

    fn sampled<T: Sample>(
        samples: &[T],
        width: usize,
        mask: Option<&[u8]>,
        nodata: Option<f64>,
        kernel: Kernel,
        (x, y): (f64, f64),
        scale: f64,
    ) -> Option<T> {
        let area = Area { x: 0, y: 0, width, height: samples.len() / width };
        let view = View { area, bands: vec![samples], mask };
        let plane = Plane::new(&view, 0, Judge::new(nodata), false);
        let span = Span { row: 0, column: 0, length: 1, x, y, dx: 1.0, dy: 0.0, scale: [scale; 2] };
        let (mut out, mut valid) = ([T::zeroed()], [0]);
        plane.resample(kernel, &[span], |_| 0, &mut out, &mut valid);
        (valid[0] != 0).then_some(out[0])
    }

    #[test]
    fn bilinear_is_exact_on_a_plane_and_at_centers() {
        let samples: Vec<f32> = (0..64).map(|i| (i % 8) as f32 * 3.0 + (i / 8) as f32 * 5.0).collect();
        for (x, y) in [(3.5, 4.5), (2.75, 6.1), (0.5, 0.5), (7.4, 7.4)] {
            let got = sampled(&samples, 8, None, None, Kernel::Bilinear, (x, y), 1.0).unwrap();
            assert!((f64::from(got) - ((x - 0.5) * 3.0 + (y - 0.5) * 5.0)).abs() < 1e-4, "{x} {y} {got}");
            let cubic =
                sampled(&samples, 8, None, None, Kernel::Cubic, (x.clamp(2.0, 6.0), y.clamp(2.0, 6.0)), 1.0).unwrap();
            let (x, y) = (x.clamp(2.0, 6.0), y.clamp(2.0, 6.0));
            assert!((f64::from(cubic) - ((x - 0.5) * 3.0 + (y - 0.5) * 5.0)).abs() < 1e-3);
        }
    }

    #[test]
    fn invalid_pixels_never_bleed_in() {
        let samples = [10u8, 255, 10, 255];
        let got = |x| sampled(&samples, 2, None, Some(255.0), Kernel::Bilinear, (x, 1.0), 1.0);
        assert_eq!(got(0.9), Some(10));
        assert_eq!(got(1.1), None);
        let mask = [1u8, 0, 1, 0];
        let got = |x| sampled(&[10u16, 60_000, 10, 60_000], 2, Some(&mask), None, Kernel::Bilinear, (x, 1.0), 1.0);
        assert_eq!((got(0.9), got(1.1)), (Some(10), None));
        assert_eq!(sampled(&[1.0f32, f32::NAN], 2, None, None, Kernel::Bilinear, (0.9, 0.5), 1.0), Some(1.0));
    }

    #[test]
    fn a_mean_never_becomes_the_nodata_value() {
        let got = sampled(&[-4i16, 4], 2, None, Some(0.0), Kernel::Bilinear, (1.0, 0.5), 1.0);
        assert_eq!(got, Some(1));
        let got = sampled(&[254u8, 254, 254, 254], 2, None, Some(254.5), Kernel::Bilinear, (1.0, 1.0), 1.0);
        assert_eq!(got, Some(254));
    }

    #[test]
    fn no_pixel_of_a_span_up_to_the_edge_stays_unwritten() {
        let samples = [7u8; 100];
        let view = View { area: Area { x: 0, y: 0, width: 10, height: 10 }, bands: vec![&samples], mask: None };
        let plane = Plane::new(&view, 0, Judge::new(None), true);
        for i in 1..3000 {
            let (dx, length) = (0.1 + f64::from(i) * 1e-4, 8);
            let span = Span { row: 0, column: 0, length, x: 9.5 - 7.0 * dx, y: 4.5, dx, dy: 0.0, scale: [1.0; 2] };
            let (mut out, mut valid) = ([0u8; 8], [0u8; 8]);
            plane.resample(Kernel::Bilinear, &[span], |_| 0, &mut out, &mut valid);
            assert!(out.iter().zip(valid).all(|(out, valid)| *out == 7 && valid == 255), "{dx}");
        }
    }

    #[test]
    fn what_is_made_lies_between_its_neighbours() {
        let row: Vec<u32> = (0..128).map(|i| if i % 2 == 0 { 500_000 } else { 0 }).collect();
        let samples = [row.as_slice(), row.as_slice()].concat();
        let view = View { area: Area { x: 0, y: 0, width: 128, height: 2 }, bands: vec![&samples], mask: None };
        let plane = Plane::new(&view, 0, Judge::new(None), true);
        for i in 0..4000 {
            // The last place of a piece lies just below the center of a pixel.
            let dx = (66.0 - f64::from(i) * 1e-8 + f64::from(i % 7) * 1e-6) / 63.0;
            for (x, dx) in [(0.5, dx), (0.5 + 63.0 * dx, -dx)] {
                let span = Span { row: 0, column: 0, length: 64, x, y: 1.0, dx, dy: 0.0, scale: [1.0; 2] };
                let (mut out, mut valid) = ([0u32; 64], [0u8; 64]);
                plane.resample(Kernel::Bilinear, &[span], |_| 0, &mut out, &mut valid);
                assert!(out.iter().all(|sample| *sample <= 500_000), "{dx}: {out:?}");
            }
        }
    }

    #[test]
    fn kernels_widen_where_the_map_is_coarser() {
        let stripes: Vec<u8> = (0..400).map(|i| if i % 2 == 0 { 0 } else { 200 }).collect();
        let got = sampled(&stripes, 20, None, None, Kernel::Bilinear, (10.5, 10.5), 4.0).unwrap();
        assert!((90..=110).contains(&got), "{got}");
        assert_eq!(sampled(&stripes, 20, None, None, Kernel::Nearest, (10.5, 10.5), 4.0), Some(0));
    }

    #[test]
    fn pieces_are_what_single_pixels_are_to_the_edges_and_beside_holes() {
        let samples: Vec<f32> =
            (0..90 * 40).map(|i| if i % 37 == 5 { f32::NAN } else { ((i * 7919) % 1000) as f32 }).collect();
        let whole: Vec<f32> = samples.iter().map(|sample| if sample.is_nan() { 5.0 } else { *sample }).collect();
        for (samples, all_valid) in [(&samples, false), (&whole, true)] {
            let view = View { area: Area { x: 3, y: 2, width: 90, height: 40 }, bands: vec![samples], mask: None };
            let plane = Plane::new(&view, 0, Judge::new(None), all_valid);
            for (scale, dx, dy) in [(0.9, 0.9, 0.02), (1.1, 1.1, 0.1), (1.4, -1.39, -0.05), (1.06, -1.06, 0.0)] {
                for row in 0..260 {
                    let (x, y) = (if dx > 0.0 { 3.01 } else { 92.99 }, 7.0 + f64::from(row) * 0.1);
                    let length = (89.9 / f64::abs(dx)) as usize;
                    let span = Span { row: 0, column: 0, length, x, y, dx, dy, scale: [scale; 2] };
                    let (mut out, mut valid) = (vec![0.0; length], vec![0; length]);
                    plane.resample(Kernel::Bilinear, &[span], |_| 0, &mut out, &mut valid);
                    for (i, (out, valid)) in out.iter().zip(valid).enumerate() {
                        let (mut expected, mut is_valid) = (0.0, 0);
                        plane.weigh_one(Kernel::Bilinear, span.at(i), span.scale, &mut expected, &mut is_valid);
                        // Places within a hair of a pixel's edge may be taken to lie on its other side.
                        let (fx, fy) = (span.at(i).0.fract(), span.at(i).1.fract());
                        let is_sure = [fx, fy].iter().all(|part| (1e-4..=1.0 - 1e-4).contains(part));
                        assert!(!is_sure || valid == is_valid, "{scale} {dx} {dy} {row} {i}");
                        assert!(
                            valid != is_valid || (out - expected).abs() < 0.1,
                            "{out} is not {expected}: {scale} {row} {i}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn infinities_are_invalid_and_never_bleed_in() {
        let samples = [f32::INFINITY, 1.0, f32::NEG_INFINITY, 1.0];
        for kernel in [Kernel::Nearest, Kernel::Bilinear, Kernel::Cubic] {
            let got = |x| sampled(&samples, 2, None, None, kernel, (x, 0.9), 1.0);
            assert_eq!((got(0.9), got(1.1)), (None, Some(1.0)));
        }
    }
}
