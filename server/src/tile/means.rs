//! Means by weight of source pixels that lie side by side, along one axis after the other: first the axis that leaves fewer numbers to the second.
//! Sums down columns are vector instructions; those along rows pick their columns one by one.

#![expect(
    clippy::inline_always,
    reason = "only what is inlined into a function that is compiled for wide vectors has them"
)]

use std::ops::Range;

use super::pixels::Sample;
use super::sampling::{Axis, Tap};

/// Source pixels, and the axes that say which of them make which picture pixel.
pub(super) struct Means<'m, T> {
    pub(super) values: &'m [T],
    /// Per source pixel; 0 is invalid.
    pub(super) valid: &'m [u8],
    /// Source pixels in a row.
    pub(super) width: usize,
    pub(super) x: &'m Axis,
    pub(super) y: &'m Axis,
}

/// Lines of pixels, one after the other: of each its valid source pixels summed by weight, the weight of these, and that of the core ones.
/// Where all are valid, only the sums are kept.
struct Lines {
    /// Pixels in a line.
    width: usize,
    sum: Vec<f64>,
    weight: Vec<f64>,
    core: Vec<f64>,
}

impl<T: Sample> pulp::NullaryFnOnce for Means<'_, T> {
    /// Picture pixels and which of them are valid.
    type Output = (Vec<f64>, Vec<u8>);

    #[inline(always)]
    fn call(self) -> Self::Output {
        if self.valid.iter().all(|valid| *valid != 0) { self.all::<true>() } else { self.all::<false>() }
    }
}

impl Lines {
    fn new<const WHOLE: bool>(width: usize, lines: usize) -> Self {
        let (pixels, others) = (width * lines, if WHOLE { 0 } else { width * lines });
        Self { width, sum: vec![0.0; pixels], weight: vec![0.0; others], core: vec![0.0; others] }
    }

    fn clear(&mut self) {
        for numbers in [&mut self.sum, &mut self.weight, &mut self.core] {
            numbers.fill(0.0);
        }
    }

    /// Where a line lies.
    fn at(&self, line: usize) -> Range<usize> {
        line * self.width..(line + 1) * self.width
    }

    /// The first line takes in one of others, by weight.
    #[inline(always)]
    fn add<const WHOLE: bool>(&mut self, others: &Self, tap: Tap) {
        fn add(to: &mut [f64], from: &[f64], weight: f64) {
            to.iter_mut().zip(from).for_each(|(to, from)| *to += from * weight);
        }
        let from = others.at(tap.at as usize);
        add(&mut self.sum, &others.sum[from.clone()], tap.weight);
        if !WHOLE {
            add(&mut self.weight, &others.weight[from.clone()], tap.weight);
            add(&mut self.core, &others.core[from], if tap.core { tap.weight } else { 0.0 });
        }
    }

    /// The first line takes in source pixels, by weight.
    #[inline(always)]
    fn add_samples<const WHOLE: bool, T: Sample>(&mut self, values: &[T], valid: &[u8], tap: Tap) {
        if WHOLE {
            self.sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value.to_f64() * tap.weight);
            return;
        }
        let each = self.sum.iter_mut().zip(&mut self.weight).zip(&mut self.core).zip(values.iter().zip(valid));
        for (((sum, weight), core), (value, valid)) in each {
            let by = if *valid != 0 { tap.weight } else { 0.0 };
            // What is invalid may be NaN.
            *sum += if *valid != 0 { value.to_f64() * tap.weight } else { 0.0 };
            *weight += by;
            *core += if tap.core { by } else { 0.0 };
        }
    }

    /// A line becomes the sums by weight along the first of others. `pairs` are the taps of the axis if each pixel has two.
    #[inline(always)]
    fn along<const WHOLE: bool>(&mut self, line: usize, others: &Self, x: &Axis, pairs: Option<&[[Tap; 2]]>) {
        let at = self.at(line);
        if let (Some(pairs), true) = (pairs, WHOLE) {
            let from = others.sum.as_slice();
            for (sum, [a, b]) in self.sum[at].iter_mut().zip(pairs) {
                *sum = from[a.at as usize] * a.weight + from[b.at as usize] * b.weight;
            }
            return;
        }
        for (i, to) in at.enumerate() {
            let (mut sum, mut weight, mut core) = (0.0, 0.0, 0.0);
            for tap in x.taps(i) {
                let at = tap.at as usize;
                sum += others.sum[at] * tap.weight;
                if !WHOLE {
                    weight += others.weight[at] * tap.weight;
                    core += if tap.core { others.core[at] } else { 0.0 };
                }
            }
            self.sum[to] = sum;
            if !WHOLE {
                (self.weight[to], self.core[to]) = (weight, core);
            }
        }
    }
}

impl<T: Sample> Means<'_, T> {
    #[inline(always)]
    fn all<const WHOLE: bool>(&self) -> (Vec<f64>, Vec<u8>) {
        let (x, y) = (self.x, self.y);
        let pixels = x.size() * y.size();
        let (mut means, mut valid) = (Vec::with_capacity(pixels), Vec::with_capacity(pixels));
        let mut line = Lines::new::<WHOLE>(x.size(), 1);
        let pairs: Option<Vec<[Tap; 2]>> = (0..x.size()).map(|i| x.taps(i).try_into().ok()).collect();
        let pairs = pairs.as_deref();
        // Of all that is valid the weights and the core pixels are those of the axes.
        let (weights, cores): (Vec<f64>, Vec<bool>) = (0..x.size()).map(|i| total(x.taps(i))).unzip();
        let even = weights.first().filter(|first| WHOLE && weights.iter().all(|weight| weight == *first));
        let even = even.filter(|_| cores.iter().all(|core| *core));
        let (mut row, mut row_valid) = (vec![0.0; x.size()], vec![0; x.size()]);
        let mut finish = |line: &Lines, taps: &[Tap]| {
            let (weight, core) = total(taps);
            if let Some(inverse) = even.filter(|_| core).and_then(|along| exact_inverse(weight * along)) {
                row.iter_mut().zip(&line.sum).for_each(|(mean, sum)| *mean = sum * inverse);
                row_valid.fill(1);
            } else if WHOLE {
                let along = line.sum.iter().zip(weights.iter().zip(&cores));
                for ((mean, valid), (sum, (along, is_core))) in row.iter_mut().zip(&mut row_valid).zip(along) {
                    let is_valid = core & is_core;
                    *mean = if is_valid { sum / (weight * along) } else { 0.0 };
                    *valid = u8::from(is_valid);
                }
            } else {
                let parts = line.sum.iter().zip(line.weight.iter().zip(&line.core));
                for ((mean, valid), (sum, (weight, core))) in row.iter_mut().zip(&mut row_valid).zip(parts) {
                    *mean = if *core > 0.0 { sum / weight } else { 0.0 };
                    *valid = u8::from(*core > 0.0);
                }
            }
            means.extend_from_slice(&row);
            valid.extend_from_slice(&row_valid);
        };
        let rows = self.values.chunks_exact(self.width.max(1)).zip(self.valid.chunks_exact(self.width.max(1)));
        if y.pixels.len() < y.size() {
            let mut source = Lines::new::<WHOLE>(self.width, 1);
            let mut lines = Lines::new::<WHOLE>(x.size(), y.pixels.len());
            for (row, (values, valid)) in rows.enumerate() {
                source.clear();
                source.add_samples::<WHOLE, T>(values, valid, Tap { at: 0, weight: 1.0, core: true });
                lines.along::<WHOLE>(row, &source, x, pairs);
            }
            for j in 0..y.size() {
                line.clear();
                y.taps(j).iter().for_each(|tap| line.add::<WHOLE>(&lines, *tap));
                finish(&line, y.taps(j));
            }
        } else {
            let rows: Vec<_> = rows.collect();
            let mut columns = Lines::new::<WHOLE>(self.width, 1);
            for j in 0..y.size() {
                columns.clear();
                for tap in y.taps(j) {
                    let (values, valid) = rows[tap.at as usize];
                    columns.add_samples::<WHOLE, T>(values, valid, *tap);
                }
                line.along::<WHOLE>(0, &columns, x, pairs);
                finish(&line, y.taps(j));
            }
        }
        (means, valid)
    }
}

/// What to multiply by instead of dividing, where that is the same to the last bit: by powers of two.
fn exact_inverse(divisor: f64) -> Option<f64> {
    let is_power_of_two = divisor.is_normal() && divisor.to_bits() & ((1 << (f64::MANTISSA_DIGITS - 1)) - 1) == 0;
    is_power_of_two.then(|| divisor.recip())
}

/// The weight of some taps, and whether a core one is among them.
fn total(taps: &[Tap]) -> (f64, bool) {
    (taps.iter().map(|tap| tap.weight).sum(), taps.iter().any(|tap| tap.core))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_powers_of_two_are_multiplied_by() {
        assert_eq!([1.0, 4.0, 0.125].map(exact_inverse), [Some(1.0), Some(0.25), Some(8.0)]);
        assert!([0.0, 3.0, 0.1, f64::INFINITY, f64::NAN, 5e-324].into_iter().all(|v| exact_inverse(v).is_none()));
    }
}
