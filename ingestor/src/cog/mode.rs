//! Overviews by mode: for each overview pixel, how often each value occurs among the valid full-resolution pixels under it. A mode of modes
//! would drift.

use std::borrow::Cow;

use super::pixels::{Fill, Pixels};
use super::pyramid::Overview;
use super::sample::Sample;

/// The most values counted for one pixel: every value of an 8-bit raster, and of wider types as many as make an integer raster classes by its
/// values. Beyond it the rarest are forgotten, which bounds memory and can alter the mode only where more than this many values lie under
/// one pixel.
const fn values_max<T>() -> usize {
    if size_of::<T>() == 1 { 256 } else { 64 }
}

/// Value counts of one square of overview pixels.
#[derive(Debug)]
pub(super) struct Mode<T> {
    side: usize,
    /// Where each pixel's counts start in `counts`; one more at the end.
    starts: Vec<u32>,
    /// Values with how often they occur, ascending by value within a pixel.
    counts: Vec<(T, u32)>,
}

impl<T: Sample> Mode<T> {
    fn sized(side: usize) -> Self {
        let mut starts = Vec::with_capacity(side * side + 1);
        starts.push(0);
        Self { side, starts, counts: Vec::with_capacity(side * side) }
    }

    fn at(&self, x: usize, y: usize) -> &[(T, u32)] {
        let i = y * self.side + x;
        &self.counts[self.starts[i] as usize..self.starts[i + 1] as usize]
    }

    fn push(&mut self, counts: &[(T, u32)]) {
        self.counts.extend_from_slice(counts);
        self.starts.push(self.counts.len() as u32);
    }
}

impl<T: Sample> Overview<T> for Mode<T> {
    fn of(pixels: &Pixels<'_, T>, _fill: Fill<T>) -> Self {
        let side = pixels.side;
        let mut made = Self::sized(side / 2);
        let Some(plane) = pixels.samples.first() else { return made };
        let valid = pixels.valid_of(0);
        let mut tally = Vec::with_capacity(4);
        for y in 0..side / 2 {
            for x in 0..side / 2 {
                let i = 2 * y * side + 2 * x;
                let under = [i, i + 1, i + side, i + side + 1];
                let values = under.map(|i| plane[i]);
                let kept = valid.map_or([true; 4], |valid| under.map(|i| valid[i] != 0));
                if kept == [true; 4] && values == [values[0]; 4] {
                    made.push(&[(values[0], 4)]);
                    continue;
                }
                tally.clear();
                values.iter().zip(kept).filter(|(_, kept)| *kept).for_each(|(v, _)| add(&mut tally, *v, 1));
                made.push(&tally);
            }
        }
        made
    }

    fn halved(&self) -> Self {
        let mut made = Self::sized(self.side / 2);
        let mut tally = Vec::new();
        for y in 0..self.side / 2 {
            for x in 0..self.side / 2 {
                let under = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(dx, dy)| self.at(2 * x + dx, 2 * y + dy));
                tally.clear();
                under.iter().copied().flatten().for_each(|(value, n)| add(&mut tally, *value, *n));
                forget_rarest(&mut tally);
                made.push(&tally);
            }
        }
        made
    }

    fn assembled(quarters: [Option<Self>; 4], _fill: Fill<T>) -> Option<Self> {
        let side = quarters.iter().flatten().next()?.side;
        let mut made = Self::sized(2 * side);
        for y in 0..2 * side {
            for x in 0..2 * side {
                let quarter = quarters[(y / side) * 2 + x / side].as_ref();
                made.push(quarter.map_or(&[], |quarter| quarter.at(x % side, y % side)));
            }
        }
        Some(made)
    }

    fn pixels(&self, _fill: Fill<T>) -> Pixels<'static, T> {
        let mut plane = Vec::with_capacity(self.side * self.side);
        let mut valid = Vec::with_capacity(self.side * self.side);
        for counts in self.starts.windows(2).map(|ends| &self.counts[ends[0] as usize..ends[1] as usize]) {
            let mode = counts.iter().reduce(|most, next| if next.1 > most.1 { next } else { most });
            plane.push(mode.map_or(T::ZERO, |(value, _)| *value));
            valid.push(if mode.is_some() { u8::MAX } else { 0 });
        }
        let whole = self.starts.windows(2).all(|ends| ends[0] < ends[1]);
        Pixels { side: self.side, samples: vec![Cow::Owned(plane)], valid: vec![(!whole).then_some(Cow::Owned(valid))] }
    }
}

/// Adds `n` occurrences to a tally that ascends by value.
fn add<T: Sample>(tally: &mut Vec<(T, u32)>, value: T, n: u32) {
    let at = tally.partition_point(|(other, _)| *other < value);
    match tally.get_mut(at) {
        Some((other, count)) if *other == value => *count += n,
        _ => tally.insert(at, (value, n)),
    }
}

fn forget_rarest<T: Sample>(tally: &mut Vec<(T, u32)>) {
    if tally.len() > values_max::<T>() {
        // A stable sort keeps the smaller of equally frequent values first.
        tally.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        tally.truncate(values_max::<T>());
        tally.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(std::cmp::Ordering::Equal));
    }
}
