//! Resampling kernels: samples of a raster at places between its pixels, from valid pixels only.
//!
//! A pixel of the map is valid if the raster's pixel under its center is valid, as GDAL's warper has it; bilinear and cubic weights then go to
//! the valid neighbours and are normalized. Where the map is coarser than the raster, kernels widen by the same factor.

use super::cells::Span;
use super::sample::{Judge, Real, Sample};
use super::source::View;

/// Map pixels up to this many times the raster's need no wider kernel; GDAL's limit.
const SCALE_PLAIN: f64 = 1.0 / 0.95;
/// How many times kernels may widen; coarser, they skip pixels rather than read a thousand for one.
const SCALE_MAX: f64 = 16.0;

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
    samples: &'v [T],
    mask: Option<&'v [u8]>,
    judge: Judge<T>,
    /// Every pixel is known to be valid.
    all_valid: bool,
    x0: isize,
    y0: isize,
    width: usize,
    height: usize,
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

    /// Samples along a span into `out`; `valid` gets 255 where valid and stays as it is elsewhere. Both begin at the span's first pixel. No
    /// valid pixel gets the nodata value.
    pub(super) fn resample(&self, kernel: Kernel, span: &Span, out: &mut [T], valid: &mut [u8]) {
        let wide = span.scale.iter().any(|scale| *scale > SCALE_PLAIN);
        match kernel {
            Kernel::Nearest => self.nearest(span, out, valid),
            Kernel::Bilinear if !wide => self.bilinear(span, out, valid),
            _ => self.weighted(kernel, span, out, valid),
        }
        if kernel == Kernel::Nearest {
            return;
        }
        if let Some(nodata) = self.judge.nodata() {
            for (sample, valid) in out.iter_mut().zip(valid) {
                if *sample == nodata && *valid != 0 {
                    *sample = nodata.neighbor(true);
                }
            }
        }
    }

    fn nearest(&self, span: &Span, out: &mut [T], valid: &mut [u8]) {
        for (i, (out, valid)) in out.iter_mut().zip(valid).enumerate() {
            let (x, y) = span.at(i);
            let Some(at) = self.index(x.floor() as isize, y.floor() as isize) else { continue };
            if self.is_valid(at) {
                (*out, *valid) = (self.samples[at], 255);
            }
        }
    }

    fn bilinear(&self, span: &Span, out: &mut [T], valid: &mut [u8]) {
        if self.all_valid && T::INTEGER && self.holds(span) {
            self.bilinear_plain(span, out);
            valid.fill(255);
            return;
        }
        for (i, (out, valid)) in out.iter_mut().zip(valid).enumerate() {
            let (x, y) = span.at(i);
            let (u, v) = (x - 0.5 - self.x0 as f64, y - 0.5 - self.y0 as f64);
            if u < 0.0 || v < 0.0 || u as usize + 1 >= self.width || v as usize + 1 >= self.height {
                self.weigh_one(Kernel::Bilinear, (x, y), [1.0, 1.0], out, valid);
                continue;
            }
            let (column, row) = (u as usize, v as usize);
            let at = row * self.width + column;
            let (top, bottom) = (&self.samples[at..at + 2], &self.samples[at + self.width..at + self.width + 2]);
            if !self.all_valid {
                let plain = [top[0], top[1], bottom[0], bottom[1]].iter().all(|sample| self.judge.accepts(*sample));
                let masked = self
                    .mask
                    .is_some_and(|m| [at, at + 1, at + self.width, at + self.width + 1].iter().any(|i| m[*i] == 0));
                if !plain || masked {
                    self.weigh_one(Kernel::Bilinear, (x, y), [1.0, 1.0], out, valid);
                    continue;
                }
            }
            let (fx, fy) = (T::Real::of(u - column as f64), T::Real::of(v - row as f64));
            let upper = top[0].real() + (top[1].real() - top[0].real()) * fx;
            let lower = bottom[0].real() + (bottom[1].real() - bottom[0].real()) * fx;
            *out = T::round(upper + (lower - upper) * fy);
            *valid = 255;
            if !T::INTEGER && !out.is_finite() {
                // The difference of huge values.
                *out = self.samples
                    [(y.floor() as isize - self.y0) as usize * self.width + (x.floor() as isize - self.x0) as usize];
            }
        }
    }

    /// Whether all four neighbors of every pixel of a span are there.
    fn holds(&self, span: &Span) -> bool {
        let (u0, v0) = self.start(span);
        // The very expressions of `bilinear_plain`: others round otherwise, and a pixel at the edge would be found missing there.
        [0.0, (span.length - 1) as f64].into_iter().all(|i| {
            let (u, v) = (u0 + i * span.dx, v0 + i * span.dy);
            u >= 0.0 && v >= 0.0 && u < (self.width - 1) as f64 && v < (self.height - 1) as f64
        })
    }

    /// Where a span's first pixel lies among the centers of the plane's.
    fn start(&self, span: &Span) -> (f64, f64) {
        (span.x - 0.5 - self.x0 as f64, span.y - 0.5 - self.y0 as f64)
    }

    /// The common case without any question asked per pixel: most of the time of a conversion goes here.
    fn bilinear_plain(&self, span: &Span, out: &mut [T]) {
        let (u0, v0) = self.start(span);
        for (i, out) in out.iter_mut().enumerate() {
            let i = i as i32;
            let (u, v) = (u0 + f64::from(i) * span.dx, v0 + f64::from(i) * span.dy);
            // GDAL counts pixels in 31 bits; converting to those is cheaper than to 64.
            let (column, row) = (u as i32, v as i32);
            let at = row as usize * self.width + column as usize;
            let top = self.samples.get(at..at + 2);
            let bottom = self.samples.get(at + self.width..at + self.width + 2);
            let (Some([a, b]), Some([c, d])) = (top, bottom) else { continue };
            let (fx, fy) = (T::Real::of(u - f64::from(column)), T::Real::of(v - f64::from(row)));
            let upper = a.real() + (b.real() - a.real()) * fx;
            let lower = c.real() + (d.real() - c.real()) * fx;
            *out = T::round(upper + (lower - upper) * fy);
        }
    }

    fn weighted(&self, kernel: Kernel, span: &Span, out: &mut [T], valid: &mut [u8]) {
        for (i, (out, valid)) in out.iter_mut().zip(valid).enumerate() {
            self.weigh_one(kernel, span.at(i), span.scale, out, valid);
        }
    }

    /// One pixel, any kernel, any scale, valid pixels only.
    fn weigh_one(&self, kernel: Kernel, (x, y): (f64, f64), scale: [f64; 2], out: &mut T, valid: &mut u8) {
        let Some(center) = self.index(x.floor() as isize, y.floor() as isize).filter(|at| self.is_valid(*at)) else {
            return;
        };
        let widen = scale.map(|s| if s > SCALE_PLAIN { s.min(SCALE_MAX) } else { 1.0 });
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

    fn index(&self, x: isize, y: isize) -> Option<usize> {
        let (column, row) = (x.checked_sub(self.x0)?, y.checked_sub(self.y0)?);
        let inside = column >= 0 && row >= 0 && (column as usize) < self.width && (row as usize) < self.height;
        inside.then(|| row as usize * self.width + column as usize)
    }

    fn is_valid(&self, at: usize) -> bool {
        self.all_valid || (self.judge.accepts(self.samples[at]) && self.mask.is_none_or(|mask| mask[at] != 0))
    }
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
        plane.resample(kernel, &span, &mut out, &mut valid);
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
            plane.resample(Kernel::Bilinear, &span, &mut out, &mut valid);
            assert!(out.iter().zip(valid).all(|(out, valid)| *out == 7 && valid == 255), "{dx}");
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
    fn infinities_are_invalid_and_never_bleed_in() {
        let samples = [f32::INFINITY, 1.0, f32::NEG_INFINITY, 1.0];
        for kernel in [Kernel::Nearest, Kernel::Bilinear, Kernel::Cubic] {
            let got = |x| sampled(&samples, 2, None, None, kernel, (x, 0.9), 1.0);
            assert_eq!((got(0.9), got(1.1)), (None, Some(1.0)));
        }
    }
}
