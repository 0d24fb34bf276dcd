//! Several datasets taken together: where they lie, their zooms, their statistics.

use std::sync::Arc;

use shared::bbox::Bbox;
use shared::dataset::Dataset;
use shared::metadata::{BandStatistics, Histogram};

/// The smallest box around all, going round the Earth the way the boxes do.
pub(crate) fn bounds(boxes: impl Iterator<Item = Bbox>) -> Option<Bbox> {
    let mut found: Option<[f64; 4]> = None;
    for bbox in boxes {
        let (mut west, mut east) = (bbox.west, bbox.east_unwrapped());
        let Some([w, s, e, n]) = found else {
            found = Some([west, bbox.south, east, bbox.north]);
            continue;
        };
        // The way round that widens least.
        let away = |shift: f64| (e.max(east + shift) - w.min(west + shift)).max(0.0);
        let shift = [0.0, -360.0, 360.0].into_iter().min_by(|a, b| away(*a).total_cmp(&away(*b))).unwrap_or(0.0);
        west += shift;
        east += shift;
        found = Some([w.min(west), s.min(bbox.south), e.max(east), n.max(bbox.north)]);
    }
    found.map(|[w, s, e, n]| Bbox::from_unwrapped(w, s, e, n))
}

/// The coarsest and the finest zoom of any.
pub(crate) fn zooms<'a>(datasets: impl Iterator<Item = &'a Dataset>) -> (u8, u8) {
    let found = datasets.map(|dataset| (dataset.cog.placement.minzoom, dataset.cog.placement.maxzoom));
    found.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or((0, 0))
}

/// Statistics of the pixels of all: extremes and mean exact, percentiles as good as those of each allow.
pub(crate) fn statistics(datasets: &[Arc<Dataset>]) -> Option<BandStatistics> {
    let all: Vec<&BandStatistics> =
        datasets.iter().filter_map(|dataset| dataset.metadata.statistics.as_ref()).collect();
    if let [one] = all.as_slice() {
        return Some((*one).clone());
    }
    let first = all.first()?;
    let (mut min, mut max) = (first.min, first.max);
    let (mut pixels, mut sum, mut squares) = (0u64, 0.0, 0.0);
    let mut points: Vec<(f64, f64)> = Vec::new();
    for statistics in &all {
        (min, max) = (min.min(statistics.min), max.max(statistics.max));
        let weight = statistics.valid_pixels as f64;
        pixels += statistics.valid_pixels;
        sum += statistics.mean * weight;
        squares += (statistics.stdev.powi(2) + statistics.mean.powi(2)) * weight;
        // Each percentile stands for the hundredth of the pixels about it.
        points.extend(statistics.percentiles.iter().map(|value| (*value, weight)));
    }
    points.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = points.iter().map(|(_, weight)| weight).sum();
    let mut percentiles = Vec::with_capacity(99);
    let (mut seen, mut at) = (0.0, points.iter());
    let mut value = min;
    for n in 1..100 {
        while seen < total * f64::from(n) / 100.0 {
            let Some((next, weight)) = at.next() else { break };
            value = *next;
            seen += weight;
        }
        percentiles.push(value);
    }
    let mean = sum / (pixels.max(1)) as f64;
    let stdev = (squares / (pixels.max(1)) as f64 - mean * mean).max(0.0).sqrt();
    let histogram = Histogram { min, max, counts: Vec::new() };
    Some(BandStatistics { min, max, mean, stdev, percentiles, histogram, valid_pixels: pixels })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_on_both_sides_of_the_antimeridian_stay_together() {
        let of = |boxes: &[[f64; 4]]| bounds(boxes.iter().map(|b| Bbox::from(*b))).unwrap();
        let found = of(&[[170.0, -1.0, 175.0, 1.0], [-178.0, -2.0, -175.0, 0.0]]);
        assert_eq!((found.west, found.east, found.south, found.north), (170.0, -175.0, -2.0, 1.0));
        let found = of(&[[178.0, 0.0, -178.0, 1.0], [-180.0, 0.0, 180.0, 1.0]]);
        assert_eq!((found.west, found.east), (-180.0, 180.0));
        assert_eq!(bounds(std::iter::empty()), None);
    }
}
