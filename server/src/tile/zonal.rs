//! Statistics of the pixels whose centers lie in a polygon. Web Mercator stretches the Earth by 1/cos φ both ways, so that a pixel counts cos² φ.

use shared::grid::{HALF_WORLD_M, TILE_SIZE, from_mercator, pixel_side_m, to_mercator};

use super::image::Band;

/// Bins that values are counted in, between the least and the greatest of the dataset: exact for integers of so small a range.
const BINS: usize = 1 << 16;
/// Pixels across what may lie between their centers.
const SMALL: i64 = 2;
/// Bins of the histogram that is told, as numpy's.
const HISTOGRAM_BINS: usize = 10;

/// Rings in pixels of one zoom, from the world's north-western corner. Even–odd: holes are rings like others.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    edges: Vec<[f64; 4]>,
    /// `[west, north, east, south]`, in whole pixels, the last not included.
    pub(crate) window: [i64; 4],
}

impl Shape {
    /// Rings in degrees, at a zoom. None if it has no area on the grid.
    pub(crate) fn new(rings: &[Vec<[f64; 2]>], zoom: u8) -> Option<Self> {
        let side = pixel_side_m(zoom);
        let pixel = |[lon, lat]: [f64; 2]| {
            let (x, y) = to_mercator(lon, lat);
            [(x + HALF_WORLD_M) / side, (HALF_WORLD_M - y) / side]
        };
        let mut edges = Vec::new();
        let mut window = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
        for ring in rings {
            let points: Vec<[f64; 2]> = ring.iter().map(|point| pixel(*point)).collect();
            for [x, y] in &points {
                window = [window[0].min(*x), window[1].min(*y), window[2].max(*x), window[3].max(*y)];
            }
            let closing = points.last().copied().into_iter().zip(points.first().copied());
            let pairs = points.windows(2).map(|pair| (pair[0], pair[1])).chain(closing);
            edges.extend(pairs.filter(|(a, b)| a[1] != b[1]).map(|(a, b)| [a[0], a[1], b[0], b[1]]));
        }
        if !window.iter().all(|edge| edge.is_finite()) || edges.is_empty() {
            return None;
        }
        let window =
            [window[0].floor() as i64, window[1].floor() as i64, window[2].ceil() as i64, window[3].ceil() as i64];
        Some(Self { edges, window })
    }

    /// Whether it may lie between the centers of pixels.
    pub(crate) fn is_small(&self) -> bool {
        let [west, north, east, south] = self.window;
        (east - west).min(south - north) <= SMALL
    }

    /// Spans `[from, to)` of the pixels of a row whose centers are inside.
    pub(crate) fn row(&self, row: i64) -> Vec<(i64, i64)> {
        let y = row as f64 + 0.5;
        let crossing =
            |[x0, y0, x1, y1]: &[f64; 4]| ((*y0 <= y) != (*y1 <= y)).then(|| x0 + (y - y0) / (y1 - y0) * (x1 - x0));
        let mut crossings: Vec<f64> = self.edges.iter().filter_map(crossing).collect();
        crossings.sort_unstable_by(f64::total_cmp);
        // A center exactly on an edge belongs to what lies east of it.
        let pixel = |x: f64| (x - 0.5).ceil() as i64;
        crossings.chunks_exact(2).map(|pair| (pixel(pair[0]), pixel(pair[1]))).filter(|(from, to)| from < to).collect()
    }

    /// The pixel in its middle: column and row.
    pub(crate) fn middle(&self) -> (i64, i64) {
        let n = self.edges.len() as f64;
        let sum = self.edges.iter().fold((0.0, 0.0), |sum, edge| (sum.0 + edge[0], sum.1 + edge[1]));
        ((sum.0 / n).floor() as i64, (sum.1 / n).floor() as i64)
    }
}

/// Values counted by weight.
#[derive(Debug)]
pub(crate) struct Tally {
    zoom: u8,
    low: f64,
    bin_width: f64,
    bins: Vec<f64>,
    min: f64,
    max: f64,
    count: u64,
    pixels: u64,
    weight: f64,
    weight_all: f64,
    sum: f64,
    squares: f64,
    /// What values are near: keeps sums of squares exact.
    shift: f64,
}

/// What is told of a polygon.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Zonal {
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) mean: f64,
    pub(crate) std: f64,
    pub(crate) median: f64,
    pub(crate) percentile_2: f64,
    pub(crate) percentile_98: f64,
    pub(crate) histogram: (Vec<f64>, Vec<f64>),
    /// Valid pixels.
    pub(crate) count: u64,
}

impl Tally {
    /// Nothing yet. Values are expected between `low` and `high`; those beyond are counted at the ends, but for the extremes and the mean.
    pub(crate) fn new(zoom: u8, low: f64, high: f64, integers: bool) -> Self {
        // A bin for each integer where they are few; its middle is the integer.
        let few = integers && high - low < BINS as f64;
        let (low, bin_width) =
            if few { (low - 0.5, 1.0) } else { (low, ((high - low) / BINS as f64).max(f64::MIN_POSITIVE)) };
        let bins = vec![0.0; BINS];
        let (min, max) = (f64::INFINITY, f64::NEG_INFINITY);
        Self {
            zoom,
            low,
            bin_width,
            bins,
            min,
            max,
            count: 0,
            pixels: 0,
            weight: 0.0,
            weight_all: 0.0,
            sum: 0.0,
            squares: 0.0,
            shift: low,
        }
    }

    /// Counts some pixels of a block: `spans` of its row, in pixels of the block.
    pub(crate) fn add(&mut self, band: Option<&Band<'_>>, world_row: i64, row: usize, spans: &[(usize, usize)]) {
        let weight = self.row_weight(world_row);
        for (from, to) in spans {
            self.pixels += (to - from) as u64;
            self.weight_all += weight * (to - from) as f64;
            let Some(band) = band else { continue };
            let at = row * TILE_SIZE;
            let mut valid = Vec::with_capacity(to - from);
            let values = band.floats(at + from..at + to, &mut valid);
            for (value, _) in values.into_iter().zip(valid).filter(|(_, valid)| *valid != 0) {
                let bin = ((value - self.low) / self.bin_width).clamp(0.0, (BINS - 1) as f64) as usize;
                self.bins[bin] += weight;
                (self.min, self.max) = (self.min.min(value), self.max.max(value));
                self.count += 1;
                self.weight += weight;
                self.sum += (value - self.shift) * weight;
                self.squares += (value - self.shift).powi(2) * weight;
            }
        }
    }

    /// Whether any pixel's center was inside.
    pub(crate) fn is_empty(&self) -> bool {
        self.pixels == 0
    }

    /// Valid pixels in percent of those inside.
    pub(crate) fn valid_percent(&self) -> f64 {
        if self.count == self.pixels && self.pixels > 0 {
            // Sums of weights are not quite equal, however equal what they are sums of.
            return 100.0;
        }
        if self.weight_all > 0.0 { (100.0 * self.weight / self.weight_all).min(100.0) } else { 0.0 }
    }

    /// The statistics; None without a valid pixel.
    pub(crate) fn finish(&self) -> Option<Zonal> {
        if self.count == 0 {
            return None;
        }
        let mean = self.sum / self.weight;
        let std = (self.squares / self.weight - mean * mean).max(0.0).sqrt();
        Some(Zonal {
            min: self.min,
            max: self.max,
            mean: mean + self.shift,
            std,
            median: self.percentile(50.0),
            percentile_2: self.percentile(2.0),
            percentile_98: self.percentile(98.0),
            histogram: self.histogram(),
            count: self.count,
        })
    }

    fn value_of(&self, bin: usize) -> f64 {
        (self.low + (bin as f64 + 0.5) * self.bin_width).clamp(self.min, self.max)
    }

    fn percentile(&self, percent: f64) -> f64 {
        let wanted = self.weight * percent / 100.0;
        let mut seen = 0.0;
        let found = self.bins.iter().position(|weight| {
            seen += weight;
            *weight > 0.0 && seen >= wanted
        });
        found.map_or(self.max, |bin| self.value_of(bin))
    }

    fn histogram(&self) -> (Vec<f64>, Vec<f64>) {
        let width = (self.max - self.min) / HISTOGRAM_BINS as f64;
        let mut counts = vec![0.0; HISTOGRAM_BINS];
        for (bin, weight) in self.bins.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            let at = if width > 0.0 { ((self.value_of(bin) - self.min) / width) as usize } else { 0 };
            counts[at.min(HISTOGRAM_BINS - 1)] += weight;
        }
        (counts, (0..=HISTOGRAM_BINS).map(|i| self.min + width * i as f64).collect())
    }

    fn row_weight(&self, world_row: i64) -> f64 {
        let y = HALF_WORLD_M - (world_row as f64 + 0.5) * pixel_side_m(self.zoom);
        from_mercator(0.0, y).1.to_radians().cos().powi(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
        // Pixels of zoom 0 to degrees.
        let to = |[x, y]: [f64; 2]| {
            let m = |p: f64| p * pixel_side_m(0) - HALF_WORLD_M;
            let (lon, lat) = from_mercator(m(x), -m(y));
            [lon, lat]
        };
        points.iter().map(|p| to(*p)).collect()
    }

    #[test]
    fn centers_decide_and_holes_are_holes() {
        let outer = ring(&[[10.2, 10.2], [20.2, 10.2], [20.2, 20.2], [10.2, 20.2], [10.2, 10.2]]);
        let hole = ring(&[[12.0, 12.0], [14.0, 12.0], [14.0, 14.0], [12.0, 14.0]]);
        let shape = Shape::new(&[outer, hole], 0).unwrap();
        assert_eq!(shape.window, [10, 10, 21, 21]);
        assert_eq!(shape.row(10), [(10, 20)]);
        assert_eq!(shape.row(12), [(10, 12), (14, 20)]);
        assert_eq!(shape.row(20), []);
        assert!(Shape::new(&[vec![]], 0).is_none());
    }

    #[test]
    fn a_tally_of_integers_is_exact() {
        let values: Vec<f64> = (0..256).map(f64::from).collect();
        let band = Band::of_values(values, vec![1; 256]);
        let mut tally = Tally::new(0, 0.0, 255.0, true);
        tally.add(Some(&band), 128, 0, &[(0, 101)]);
        tally.add(None, 128, 0, &[(101, 202)]);
        let found = tally.finish().unwrap();
        assert_eq!(
            (found.min, found.max, found.median, found.percentile_98, found.count),
            (0.0, 100.0, 50.0, 98.0, 101)
        );
        assert!((found.mean - 50.0).abs() < 1e-9 && (tally.valid_percent() - 50.0).abs() < 1e-9);
        assert!(found.histogram.0.iter().all(|n| *n > 9.0));
    }
}
