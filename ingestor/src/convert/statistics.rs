//! Statistics of a band's valid raw pixels: range, moments, percentiles, histogram, classes, hull.
//!
//! 8- and 16-bit integers are counted value by value, so everything is exact. Other types take a first pass for range, moments (Chan et al.,
//! 1979, merged row by row) and a histogram of the upper 18 bits of order-preserving keys, and a second one that resolves the bins
//! percentiles fall into by 14 more bits: exact for 32-bit types, within 2⁻²⁰ relative for 64-bit ones. Memory is bounded either way.

pub(super) mod bench;

use shared::metadata::{BandStatistics, Histogram};

use super::coverage::Coverage;
use super::fault::Fault;
use super::hull::Hull;
use super::sample::{EXACT_MAX, Judge, Sample};
use super::source::{Source, View};

/// Distinct values up to which integers are classes.
pub(super) const CLASSES_MAX: usize = 64;
/// Bins of a histogram.
const BINS_MAX: usize = 256;
/// The part of the work that is the first pass, where there are two.
const FIRST_SHARE: f64 = 0.6;
/// Bits of a key in the first pass, and in the second.
const KEY_BITS: u32 = 18;
const FINE_BITS: u32 = 32 - KEY_BITS;

/// What is known of a band's pixels.
#[derive(Clone, Debug)]
pub(super) struct Scanned {
    pub(super) valid: u64,
    /// None without a valid pixel.
    pub(super) statistics: Option<BandStatistics>,
    /// Distinct values, of integers, if there are at most `CLASSES_MAX`.
    pub(super) distinct: Option<usize>,
    /// In pixels.
    pub(super) hull: Vec<[f64; 2]>,
}

/// Reads all bands of a source once and measures them, and says where any of them has a valid pixel.
pub(super) fn scan<T: Sample>(
    source: &mut Source<'_, T>,
    progress: &(dyn Fn(f64) + Sync),
) -> Result<(Vec<Scanned>, Coverage), Fault> {
    let judges = source.judges.clone();
    let size = (source.width, source.height);
    let first = |parts: &mut Vec<First>, view: View<'_, T>| {
        parts.resize_with(judges.len(), || First::new::<T>(size));
        let mut bands = view.bands.iter().zip(&judges).zip(parts);
        bands.try_for_each(|((band, judge), part)| part.add_rows(&view, band, judge))
    };
    let share = if T::VALUES.is_some() { 1.0 } else { FIRST_SHARE };
    let mut lanes = source.scan(&first, &|done| progress(done * share))?.into_iter();
    let mut bands = lanes.next().unwrap_or_default();
    for lane in lanes {
        for (band, part) in bands.iter_mut().zip(&lane) {
            band.merge(part);
        }
    }
    let mut coverage = Coverage::new(size.0, size.1);
    for band in &bands {
        coverage.merge(&band.coverage);
    }
    if T::VALUES.is_some() {
        return Ok((bands.iter().map(First::finish_counted::<T>).collect(), coverage));
    }
    let plans: Vec<Plan> = bands.iter().map(Plan::new).collect();
    let second = |parts: &mut Vec<Second>, view: View<'_, T>| {
        let fresh = plans.iter().skip(parts.len()).map(Second::new::<T>).collect::<Vec<_>>();
        parts.extend(fresh);
        for (((band, judge), plan), part) in view.bands.iter().zip(&judges).zip(&plans).zip(parts) {
            part.add_rows(&view, band, judge, plan);
        }
        Ok(())
    };
    let again = |done: f64| progress(share + done * (1.0 - share));
    let mut lanes = source.rescan(&second, &again)?.into_iter();
    let mut refined = lanes.next().unwrap_or_default();
    for lane in lanes {
        for (band, part) in refined.iter_mut().zip(&lane) {
            band.merge(part);
        }
    }
    let bands = bands.iter().zip(&plans).zip(&refined);
    Ok((bands.map(|((first, plan), second)| first.finish_refined::<T>(plan, second)).collect(), coverage))
}

/// First pass.
#[derive(Clone, Debug)]
struct First {
    /// By value, or by the upper bits of the key.
    counts: Vec<u64>,
    valid: u64,
    mean: f64,
    squares: f64,
    min: f64,
    max: f64,
    distinct: Option<Vec<i64>>,
    hull: Hull,
    coverage: Coverage,
}

impl First {
    fn new<T: Sample>((width, height): (usize, usize)) -> Self {
        Self {
            counts: vec![0; T::VALUES.unwrap_or(1 << KEY_BITS)],
            valid: 0,
            mean: 0.0,
            squares: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            distinct: T::INTEGER.then(Vec::new),
            hull: Hull::default(),
            coverage: Coverage::new(width, height),
        }
    }

    fn add_rows<T: Sample>(&mut self, view: &View<'_, T>, band: &[T], judge: &Judge<T>) -> Result<(), Fault> {
        let width = view.area.width;
        let mut kept: Vec<T> = Vec::with_capacity(width);
        for (y, row) in band.chunks_exact(width).enumerate() {
            let mask = view.mask.map(|mask| &mask[y * width..(y + 1) * width]);
            let valid = |x: usize| judge.accepts(row[x]) && mask.is_none_or(|mask| mask[x] != 0);
            let Some(first) = (0..width).find(|x| valid(*x)) else { continue };
            let last = (first..width).rev().find(|x| valid(*x)).unwrap_or(first);
            self.hull.add(view.area.y + y, first, last);
            self.coverage.add_row(view.area.y + y, first, last, valid);
            let row = &row[first..=last];
            if mask.is_none() && judge.accepts_all() {
                self.add(row)?;
            } else {
                kept.clear();
                match mask.map(|mask| &mask[first..=last]) {
                    None => kept.extend(row.iter().filter(|v| judge.accepts(**v))),
                    Some(mask) => kept
                        .extend(row.iter().zip(mask).filter(|(v, m)| **m != 0 && judge.accepts(**v)).map(|(v, _)| v)),
                }
                self.add(&kept)?;
            }
        }
        Ok(())
    }

    fn add<T: Sample>(&mut self, values: &[T]) -> Result<(), Fault> {
        self.valid += values.len() as u64;
        if T::VALUES.is_some() {
            for value in values {
                self.counts[value.index()] += 1;
            }
            return Ok(());
        }
        let (mut sum, mut min, mut max) = (0.0, f64::INFINITY, f64::NEG_INFINITY);
        for value in values {
            let wide = value.wide();
            sum += wide;
            min = min.min(wide);
            max = max.max(wide);
            self.counts[(value.key() >> FINE_BITS) as usize] += 1;
        }
        if T::INTEGER && (min < -EXACT_MAX || max > EXACT_MAX) {
            return Err(Fault::Refused(format!(
                "64-bit values from {min} to {max} lie beyond 2^53, where browsers lose digits; convert them to another type"
            )));
        }
        let count = values.len() as f64;
        let mean = sum / count;
        let squares: f64 = values.iter().map(|value| (value.wide() - mean).powi(2)).sum();
        let before = self.valid as f64 - count;
        self.join(before, count, mean, squares);
        (self.min, self.max) = (self.min.min(min), self.max.max(max));
        self.add_distinct(values);
        Ok(())
    }

    fn add_distinct<T: Sample>(&mut self, values: &[T]) {
        let Some(distinct) = &mut self.distinct else { return };
        let mut previous = None;
        for value in values {
            let value = value.wide() as i64;
            if previous == Some(value) {
                continue;
            }
            previous = Some(value);
            if let Err(at) = distinct.binary_search(&value) {
                distinct.insert(at, value);
                if distinct.len() > CLASSES_MAX {
                    self.distinct = None;
                    return;
                }
            }
        }
    }

    fn join(&mut self, before: f64, count: f64, mean: f64, squares: f64) {
        if count == 0.0 {
            return;
        }
        let total = before + count;
        let delta = mean - self.mean;
        self.squares += squares + delta * delta * before * count / total;
        self.mean += delta * count / total;
    }

    fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.join(self.valid as f64, other.valid as f64, other.mean, other.squares);
        self.valid += other.valid;
        (self.min, self.max) = (self.min.min(other.min), self.max.max(other.max));
        self.distinct = match (self.distinct.take(), &other.distinct) {
            (Some(mut own), Some(other)) => {
                own.extend(other);
                own.sort_unstable();
                own.dedup();
                (own.len() <= CLASSES_MAX).then_some(own)
            }
            _ => None,
        };
        self.hull.merge(&other.hull);
        self.coverage.merge(&other.coverage);
    }

    /// Everything from the counts of each value.
    fn finish_counted<T: Sample>(&self) -> Scanned {
        let offset = T::of_key(0);
        let present: Vec<(f64, u64)> =
            self.counts.iter().enumerate().filter(|(_, n)| **n > 0).map(|(i, n)| (i as f64 + offset, *n)).collect();
        let distinct = (present.len() <= CLASSES_MAX).then_some(present.len());
        let statistics = present.first().zip(present.last()).map(|(first, last)| {
            let (min, max) = (first.0, last.0);
            let count = self.valid as f64;
            let mean = present.iter().map(|(v, n)| v * *n as f64).sum::<f64>() / count;
            let variance = present.iter().map(|(v, n)| (v - mean).powi(2) * *n as f64).sum::<f64>() / count;
            let mut histogram = empty_histogram::<T>(min, max);
            for (value, n) in &present {
                let at = bin(&histogram, *value);
                histogram.counts[at] += n;
            }
            let percentiles = percentiles(self.valid, |ranks| order_statistics(ranks, &present));
            BandStatistics { min, max, mean, stdev: variance.sqrt(), percentiles, histogram, valid_pixels: self.valid }
        });
        Scanned { valid: self.valid, statistics, distinct, hull: self.hull.vertices() }
    }

    fn finish_refined<T: Sample>(&self, plan: &Plan, second: &Second) -> Scanned {
        let statistics =
            (self.valid > 0).then(|| {
                let mut values: Vec<(f64, u64)> = Vec::new();
                let mut slot = 0;
                for (key, count) in self.counts.iter().enumerate().filter(|(_, n)| **n > 0) {
                    if plan.slots[key] == NO_SLOT {
                        values.push((T::of_key((key as u32) << FINE_BITS), *count));
                        continue;
                    }
                    let fine = &second.fine[slot << FINE_BITS..(slot + 1) << FINE_BITS];
                    slot += 1;
                    values.extend(fine.iter().enumerate().filter(|(_, n)| **n > 0).map(|(low, n)| {
                        (T::of_key((key as u32) << FINE_BITS | low as u32).clamp(self.min, self.max), *n)
                    }));
                }
                BandStatistics {
                    min: self.min,
                    max: self.max,
                    mean: self.mean,
                    stdev: (self.squares / self.valid as f64).sqrt(),
                    percentiles: percentiles(self.valid, |ranks| order_statistics(ranks, &values)),
                    histogram: second.histogram.clone(),
                    valid_pixels: self.valid,
                }
            });
        let distinct = self.distinct.as_ref().map(Vec::len);
        Scanned { valid: self.valid, statistics, distinct, hull: self.hull.vertices() }
    }
}

const NO_SLOT: u16 = u16::MAX;

/// What the second pass resolves.
#[derive(Debug)]
struct Plan {
    /// Per key of the first pass: its slot among the fine counts.
    slots: Vec<u16>,
    count: usize,
    min: f64,
    max: f64,
}

impl Plan {
    fn new(first: &First) -> Self {
        let mut slots = vec![NO_SLOT; first.counts.len()];
        let (mut passed, mut count) = (0u64, 0u16);
        let mut ranks = wanted_ranks(first.valid).into_iter().peekable();
        for (key, n) in first.counts.iter().enumerate() {
            passed += n;
            while ranks.next_if(|rank| *rank < passed).is_some() {
                if slots[key] == NO_SLOT {
                    slots[key] = count;
                    count += 1;
                }
            }
        }
        Self { slots, count: usize::from(count), min: first.min, max: first.max }
    }
}

/// Second pass.
#[derive(Debug)]
struct Second {
    fine: Vec<u64>,
    histogram: Histogram,
}

impl Second {
    fn new<T: Sample>(plan: &Plan) -> Self {
        Self { fine: vec![0; plan.count << FINE_BITS], histogram: empty_histogram::<T>(plan.min, plan.max) }
    }

    fn add_rows<T: Sample>(&mut self, view: &View<'_, T>, band: &[T], judge: &Judge<T>, plan: &Plan) {
        for (i, value) in band.iter().enumerate() {
            if !judge.accepts(*value) || view.mask.is_some_and(|mask| mask[i] == 0) {
                continue;
            }
            let at = bin(&self.histogram, value.wide());
            self.histogram.counts[at] += 1;
            let key = value.key();
            let slot = plan.slots[(key >> FINE_BITS) as usize];
            if slot != NO_SLOT {
                self.fine[usize::from(slot) << FINE_BITS | (key & ((1 << FINE_BITS) - 1)) as usize] += 1;
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        for (count, more) in
            self.fine.iter_mut().zip(&other.fine).chain(self.histogram.counts.iter_mut().zip(&other.histogram.counts))
        {
            *count += more;
        }
    }
}

/// Integers of a small range get a bin per value, its middle the value; else equal bins.
fn empty_histogram<T: Sample>(min: f64, max: f64) -> Histogram {
    let values = max - min + 1.0;
    if T::INTEGER && values <= BINS_MAX as f64 {
        return Histogram { min: min - 0.5, max: max + 0.5, counts: vec![0; values.max(1.0) as usize] };
    }
    let bins = if max > min { BINS_MAX } else { 1 };
    Histogram { min, max, counts: vec![0; bins] }
}

fn bin(histogram: &Histogram, value: f64) -> usize {
    let last = histogram.counts.len() - 1;
    if last == 0 {
        return 0;
    }
    let part = (value - histogram.min) / (histogram.max - histogram.min);
    ((part * (last + 1) as f64) as usize).min(last)
}

/// Ranks (from 0) below and above each percentile.
fn wanted_ranks(count: u64) -> Vec<u64> {
    if count == 0 {
        return Vec::new();
    }
    let mut ranks: Vec<u64> = (1..=99)
        .flat_map(|p| {
            let rank = f64::from(p) / 100.0 * (count - 1) as f64;
            [rank.floor() as u64, rank.ceil() as u64]
        })
        .collect();
    ranks.sort_unstable();
    ranks.dedup();
    ranks
}

/// Percentiles 1 … 99, between order statistics linearly (numpy's default).
fn percentiles(count: u64, values_at: impl FnOnce(&[u64]) -> Vec<f64>) -> Vec<f64> {
    let ranks = wanted_ranks(count);
    let values = values_at(&ranks);
    let at = |rank: u64| ranks.binary_search(&rank).ok().and_then(|i| values.get(i)).copied().unwrap_or(f64::NAN);
    (1..=99)
        .map(|p| {
            let rank = f64::from(p) / 100.0 * (count - 1) as f64;
            let (low, high) = (at(rank.floor() as u64), at(rank.ceil() as u64));
            if low == high { low } else { low + (high - low) * rank.fract() }
        })
        .collect()
}

/// Values at sorted ranks, of values with counts in order.
fn order_statistics(ranks: &[u64], values: &[(f64, u64)]) -> Vec<f64> {
    let mut out = Vec::with_capacity(ranks.len());
    let mut passed = 0;
    for (value, count) in values {
        passed += count;
        while ranks.get(out.len()).is_some_and(|rank| *rank < passed) {
            out.push(*value);
        }
    }
    out
}
