//! Bilinear resampling in pieces of spans: most have only valid neighbours or none, and need not ask for each pixel.
//! Most of the time of a conversion goes here: all loops but those that fetch samples are vector instructions.

#![expect(
    clippy::inline_always,
    reason = "only what is inlined into a function that is compiled for wide vectors has them"
)]

use super::cells::Span;
use super::kernel::{Kernel, PIECE, Plane, REACH_MAX, floor, widened};
use super::sample::{Real, Sample};
use super::source::Area;

/// Of a kernel that is not widened, and of one up to `WIDE_MAX` times as wide: samples along an axis.
const PLAIN_TAPS: usize = 2;
const WIDE_TAPS: usize = 3;
const WIDE_MAX: f64 = 1.5;

/// Of each pixel of a piece, along one axis: the first sample that it may take, counted in the plane, and the weights of that and the next. What lies
/// beyond the plane weighs nothing.
struct Taps<const N: usize> {
    first: [i32; PIECE],
    weights: [[f32; PIECE]; N],
    /// The sample under the place.
    center: [i32; PIECE],
}

impl<const N: usize> Taps<N> {
    /// Of places in samples from the center of the plane's first, `step` apart. Where `whole`, all taps are known to lie in the plane.
    #[inline(always)]
    fn new(from: f64, step: f64, widen: f64, size: usize, whole: bool) -> Self {
        // The first sample within reach is the one above this.
        let low = from - widen;
        // Counted from here, f32 is right to 10⁻⁵ samples.
        let base = low.min(low + step * (PIECE - 1) as f64).floor();
        let (low, step, base, last) = ((low - base) as f32, step as f32, base as i32 + 1, size as i32 - 1);
        let (widen, by) = (widen as f32, (1.0 / widen) as f32);
        // Right to 10⁻⁵, a place may lie that far beyond its taps.
        let firsts = if whole { (0, last + 1 - N as i32) } else { (-(N as i32), last + 1) };
        let mut taps = Self { first: [0; PIECE], weights: [[0.0; PIECE]; N], center: [0; PIECE] };
        for i in 0..PIECE {
            let low = low + i as f32 * step;
            taps.first[i] = (base + floor(low)).clamp(firsts.0, firsts.1);
            // From the place up to the first sample.
            let beyond = ((taps.first[i] - base) as f32 - low) + (1.0 - widen);
            taps.center[i] = (base - 1 + floor(low + widen + 0.5)).clamp(0, last);
            for (k, weights) in (0..).zip(&mut taps.weights) {
                let weight = (1.0 - (beyond + k as f32).abs() * by).max(0.0);
                let at = taps.first[i] + k;
                weights[i] = if (0..=last).contains(&at) { weight } else { 0.0 };
            }
        }
        taps
    }
}

impl<T: Sample> Plane<'_, T> {
    #[inline(always)]
    pub(super) fn bilinear(&self, span: &Span, out: &mut [T], valid: &mut [u8]) {
        let widen = widened(span.scale);
        let is_close = widen.iter().all(|widen| *widen <= WIDE_MAX);
        let is_short =
            [span.dx, span.dy].iter().all(|step| step.abs() * ((PIECE + WIDE_TAPS) as f64) < REACH_MAX as f64);
        for (n, (out, valid)) in out.chunks_mut(PIECE).zip(valid.chunks_mut(PIECE)).enumerate() {
            let piece = span.part(n * PIECE, out.len());
            match (is_short && is_close, widen == [1.0; 2]) {
                (true, true) => self.piece::<PLAIN_TAPS>(&piece, widen, out, valid),
                (true, false) => self.piece::<WIDE_TAPS>(&piece, widen, out, valid),
                (false, _) => self.weighted(Kernel::Bilinear, &piece, out, valid),
            }
        }
    }

    #[inline(always)]
    fn piece<const N: usize>(&self, piece: &Span, widen: [f64; 2], out: &mut [T], valid: &mut [u8]) {
        let around = self.around(piece, widen.map(|widen| widen - 0.5), N);
        match around.map(|around| (around, self.valid_within(around))) {
            Some((_, 0)) => {}
            Some((around, count)) if count == around.width * around.height => {
                if N == PLAIN_TAPS {
                    self.lerped(piece, around, out);
                    valid.fill(255);
                } else {
                    self.gathered::<N>(piece, widen, true, out, valid);
                }
            }
            _ => self.gathered::<N>(piece, widen, false, out, valid),
        }
    }

    /// Where all four neighbours of all pixels are there and valid.
    #[inline(always)]
    fn lerped(&self, piece: &Span, around: Area, out: &mut [T]) {
        let n = out.len().min(PIECE);
        let window = &self.samples[around.y * self.width + around.x..];
        let (at, fx, fy) = self.places(piece, around, 0.5, PLAIN_TAPS);
        let mut near = [[T::zeroed(); PIECE]; 4];
        for (i, at) in at.iter().take(n).enumerate() {
            let at = *at as usize;
            let (top, bottom) = (window.get(at..at + 2), window.get(at + self.width..at + self.width + 2));
            if let (Some([a, b]), Some([c, d])) = (top, bottom) {
                (near[0][i], near[1][i], near[2][i], near[3][i]) = (*a, *b, *c, *d);
            }
        }
        let mut made = [T::zeroed(); PIECE];
        for i in 0..PIECE {
            let (fx, fy) = (T::Real::of_f32(fx[i]), T::Real::of_f32(fy[i]));
            made[i] = lerp([near[0][i], near[1][i], near[2][i], near[3][i]], fx, fy);
        }
        out.copy_from_slice(&made[..n]);
    }

    /// Means by weight of the samples that are there and valid; all are where `whole`.
    #[inline(always)]
    fn gathered<const N: usize>(&self, piece: &Span, widen: [f64; 2], whole: bool, out: &mut [T], valid: &mut [u8]) {
        let n = out.len().min(PIECE);
        let columns = Taps::<N>::new(piece.x - 0.5 - self.x0 as f64, piece.dx, widen[0], self.width, whole);
        let rows = Taps::<N>::new(piece.y - 0.5 - self.y0 as f64, piece.dy, widen[1], self.height, whole);
        let mut near = [[[T::zeroed(); PIECE]; N]; N];
        let mut parts = [[[1f32; PIECE]; N]; N];
        let center = |i: usize| rows.center[i] as usize * self.width + columns.center[i] as usize;
        if whole {
            for i in 0..n {
                let at = rows.first[i] as usize * self.width + columns.first[i] as usize;
                for (row, near) in near.iter_mut().enumerate() {
                    let at = at + row * self.width;
                    let Some(samples) = self.samples.get(at..at + N) else { continue };
                    near.iter_mut().zip(samples).for_each(|(near, sample)| near[i] = *sample);
                }
            }
        } else {
            let (last_column, last_row) = (self.width as i32 - 1, self.height as i32 - 1);
            for i in 0..n {
                for (row, (near, parts)) in (rows.first[i]..).zip(near.iter_mut().zip(&mut parts)) {
                    let line = row.clamp(0, last_row) as usize * self.width;
                    for (column, (near, parts)) in (columns.first[i]..).zip(near.iter_mut().zip(parts)) {
                        let at = line + column.clamp(0, last_column) as usize;
                        // What is invalid may be NaN.
                        (near[i], parts[i]) =
                            if self.is_valid(at) { (self.samples[at], 1.0) } else { (T::zeroed(), 0.0) };
                    }
                }
            }
        }
        let (mut sums, mut weights) = ([T::Real::of_f32(0.0); PIECE], [T::Real::of_f32(0.0); PIECE]);
        for ((near, parts), down) in near.iter().zip(&parts).zip(&rows.weights) {
            for ((near, parts), along) in near.iter().zip(parts).zip(&columns.weights) {
                for i in 0..PIECE {
                    let weight = T::Real::of_f32(down[i] * along[i] * parts[i]);
                    sums[i] = sums[i] + near[i].real() * weight;
                    weights[i] = weights[i] + weight;
                }
            }
        }
        let mut made = [T::zeroed(); PIECE];
        for i in 0..PIECE {
            made[i] = T::round(sums[i] / weights[i]);
        }
        for (i, (out, valid)) in out.iter_mut().zip(valid).enumerate() {
            let center = center(i);
            if whole || self.is_valid(center) {
                // Huge values add up to infinity.
                *out = if T::INTEGER || made[i].is_finite() { made[i] } else { self.samples[center] };
                *valid = 255;
            }
        }
    }
}

/// Between four valid samples: north-west, north-east, south-west, south-east.
#[inline(always)]
fn lerp<T: Sample>([a, b, c, d]: [T; 4], fx: T::Real, fy: T::Real) -> T {
    let upper = a.real() + (b.real() - a.real()) * fx;
    let lower = c.real() + (d.real() - c.real()) * fx;
    let made = T::round(upper + (lower - upper) * fy);
    // The difference of huge values is infinite.
    if T::INTEGER || made.is_finite() { made } else { a }
}
