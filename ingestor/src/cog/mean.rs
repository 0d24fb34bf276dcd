//! Overviews by mean: sums and counts of the valid full-resolution pixels under each overview pixel, carried through all levels, so that no
//! level is a mean of rounded means.

use std::borrow::Cow;

use super::pixels::{Fill, Pixels, lowest};
use super::pyramid::Overview;
use super::sample::Sample;

/// Sums and counts of one square of overview pixels.
#[derive(Debug)]
pub(super) struct Mean {
    side: usize,
    /// Full-resolution pixels under each pixel: 4 to the power of the level.
    full: u32,
    /// Per sample, the sum of its valid pixels.
    sums: Vec<Vec<f64>>,
    /// Per validity plane, how many are valid; None: all are.
    counts: Vec<Option<Vec<u32>>>,
    /// The sum of alpha over all pixels, valid or not; None: all are opaque, or there is no alpha.
    alpha: Option<Vec<f64>>,
}

impl<T: Sample> Overview<T> for Mean {
    fn of(pixels: &Pixels<'_, T>, fill: Fill<T>) -> Self {
        let side = pixels.side;
        let alpha = (fill == Fill::Alpha).then(|| pixels.valid_of(0)).flatten();
        Self {
            side: side / 2,
            full: 4,
            sums: pixels.samples.iter().enumerate().map(|(s, plane)| sum(plane, pixels.valid_of(s), side)).collect(),
            counts: pixels.valid.iter().map(|plane| plane.as_deref().map(|valid| count(valid, side))).collect(),
            alpha: alpha.map(|valid| sum(valid, None, side)),
        }
    }

    fn halved(&self) -> Self {
        Self {
            side: self.side / 2,
            full: self.full * 4,
            sums: self.sums.iter().map(|plane| halve(plane, self.side)).collect(),
            counts: self.counts.iter().map(|plane| plane.as_ref().map(|plane| halve(plane, self.side))).collect(),
            alpha: self.alpha.as_ref().map(|plane| halve(plane, self.side)),
        }
    }

    fn assembled(quarters: [Option<Self>; 4], fill: Fill<T>) -> Option<Self> {
        let some = quarters.iter().flatten().next()?;
        let (side, full) = (some.side, some.full);
        let opaque = f64::from(u8::MAX) * f64::from(full);
        let sums =
            |s: usize| join(side, &quarters.each_ref().map(|q| Part::of(q.as_ref(), 0.0, 0.0, |q| q.sums.get(s))));
        let counts = |p: usize| {
            let parts = quarters.each_ref().map(|q| Part::of(q.as_ref(), 0, full, |q| q.counts.get(p)?.as_ref()));
            parts.iter().any(|part| *part != Part::All(full)).then(|| join(side, &parts))
        };
        let alpha = || {
            let parts = quarters.each_ref().map(|q| Part::of(q.as_ref(), 0.0, opaque, |q| q.alpha.as_ref()));
            parts.iter().any(|part| *part != Part::All(opaque)).then(|| join(side, &parts))
        };
        Some(Self {
            side: side * 2,
            full,
            sums: (0..some.sums.len()).map(sums).collect(),
            counts: (0..some.counts.len()).map(counts).collect(),
            alpha: if fill == Fill::Alpha { alpha() } else { None },
        })
    }

    fn pixels(&self, fill: Fill<T>) -> Pixels<'static, T> {
        let samples = self.sums.iter().enumerate().map(|(s, sums)| {
            let counts = self.counts.get(s).or(self.counts.first()).and_then(Option::as_deref);
            let mut plane = means(sums, counts, self.full);
            if let Fill::Value(nodata) = fill {
                nudge(&mut plane, sums, counts, self.full, nodata);
            }
            Cow::Owned(plane)
        });
        let valid = self.counts.iter().map(|counts| {
            let counts = counts.as_deref();
            let alpha = self.alpha.as_deref().filter(|_| fill == Fill::Alpha);
            let plane = match (alpha, counts) {
                (Some(alpha), counts) => Some(alphas(alpha, counts, self.full)),
                (None, Some(counts)) => {
                    Some(counts.iter().map(|n| if *n > 0 { u8::MAX } else { 0 }).collect::<Vec<_>>())
                }
                (None, None) => None,
            };
            plane.filter(|plane| lowest(plane) < u8::MAX).map(Cow::Owned)
        });
        Pixels { side: self.side, valid: valid.collect(), samples: samples.collect() }
    }
}

/// A quarter's plane: a value each, or one for all.
#[derive(PartialEq)]
enum Part<'a, A> {
    All(A),
    Each(&'a Vec<A>),
}

impl<'a, A> Part<'a, A> {
    /// `none` where there is no quarter, `all` where it has no such plane.
    fn of(quarter: Option<&'a Mean>, none: A, all: A, plane: impl Fn(&'a Mean) -> Option<&'a Vec<A>>) -> Self {
        match quarter {
            None => Self::All(none),
            Some(quarter) => plane(quarter).map_or(Self::All(all), Self::Each),
        }
    }
}

/// One plane of four quarters of `side`: north-west, north-east, south-west, south-east.
fn join<A: Copy + Default>(side: usize, parts: &[Part<'_, A>; 4]) -> Vec<A> {
    let mut plane = vec![A::default(); 4 * side * side];
    for (i, part) in parts.iter().enumerate() {
        let corner = (i / 2) * side * 2 * side + (i % 2) * side;
        for y in 0..side {
            let Some(row) = plane.get_mut(corner + y * 2 * side..).and_then(|rest| rest.get_mut(..side)) else {
                continue;
            };
            match part {
                Part::All(value) => row.fill(*value),
                Part::Each(values) => row.copy_from_slice(&values[y * side..(y + 1) * side]),
            }
        }
    }
    plane
}

/// Sums of 2 × 2 samples, the invalid left out.
fn sum<T: Sample>(plane: &[T], valid: Option<&[u8]>, side: usize) -> Vec<f64> {
    let mut sums = vec![0.0; side * side / 4];
    for (y, out) in sums.chunks_exact_mut(side / 2).enumerate() {
        let (north, south) = pair_of_rows(plane, y, side);
        let pairs = north.as_chunks::<2>().0.iter().zip(south.as_chunks::<2>().0);
        if let Some(valid) = valid {
            let (north, south) = pair_of_rows(valid, y, side);
            let valid = north.as_chunks::<2>().0.iter().zip(south.as_chunks::<2>().0);
            let kept = |x: T, v: u8| if v != 0 { x } else { T::ZERO };
            for ((out, (n, s)), (vn, vs)) in out.iter_mut().zip(pairs).zip(valid) {
                *out = T::sum4(kept(n[0], vn[0]), kept(n[1], vn[1]), kept(s[0], vs[0]), kept(s[1], vs[1]));
            }
        } else {
            for (out, (n, s)) in out.iter_mut().zip(pairs) {
                *out = T::sum4(n[0], n[1], s[0], s[1]);
            }
        }
    }
    sums
}

/// How many of 2 × 2 pixels are valid.
fn count(valid: &[u8], side: usize) -> Vec<u32> {
    let mut counts = vec![0; side * side / 4];
    for (y, out) in counts.chunks_exact_mut(side / 2).enumerate() {
        let (north, south) = pair_of_rows(valid, y, side);
        for (out, (n, s)) in out.iter_mut().zip(north.as_chunks::<2>().0.iter().zip(south.as_chunks::<2>().0)) {
            *out = u32::from(n[0] != 0) + u32::from(n[1] != 0) + u32::from(s[0] != 0) + u32::from(s[1] != 0);
        }
    }
    counts
}

fn halve<A: Copy + Default + std::ops::Add<Output = A>>(plane: &[A], side: usize) -> Vec<A> {
    let mut half = vec![A::default(); side * side / 4];
    for (y, out) in half.chunks_exact_mut(side / 2).enumerate() {
        let (north, south) = pair_of_rows(plane, y, side);
        for (out, (n, s)) in out.iter_mut().zip(north.as_chunks::<2>().0.iter().zip(south.as_chunks::<2>().0)) {
            *out = n[0] + n[1] + (s[0] + s[1]);
        }
    }
    half
}

fn pair_of_rows<A>(plane: &[A], y: usize, side: usize) -> (&[A], &[A]) {
    plane[2 * y * side..(2 * y + 2) * side].split_at(side)
}

fn means<T: Sample>(sums: &[f64], counts: Option<&[u32]>, full: u32) -> Vec<T> {
    let Some(counts) = counts else {
        // `full` is a power of two, so that its inverse is exact.
        let part = 1.0 / f64::from(full);
        return sums.iter().map(|sum| T::from_mean(sum * part)).collect();
    };
    let mean = |(sum, n): (&f64, &u32)| T::from_mean(sum / f64::from((*n).max(1)));
    sums.iter().zip(counts).map(mean).collect()
}

/// A mean must not turn into the nodata value: its pixel would become invalid.
fn nudge<T: Sample>(plane: &mut [T], sums: &[f64], counts: Option<&[u32]>, full: u32, nodata: T) {
    for (i, value) in plane.iter_mut().enumerate() {
        if *value == nodata {
            let n = counts.map_or(full, |counts| counts[i]).max(1);
            *value = nodata.nudged(sums[i] / f64::from(n));
        }
    }
}

fn alphas(alpha: &[f64], counts: Option<&[u32]>, full: u32) -> Vec<u8> {
    let part = 1.0 / f64::from(full);
    let any = |i: usize| counts.is_none_or(|counts| counts[i] > 0);
    let one = |(i, sum): (usize, &f64)| if any(i) { u8::from_mean(sum * part).max(1) } else { 0 };
    alpha.iter().enumerate().map(one).collect()
}
