//! Pixel values by formula: the same everywhere, on every run, from no file.

use std::fmt;
use std::sync::Arc;

/// A pixel's place: column and row in the raster, and the coordinates of its centre in the raster's CRS.
#[derive(Clone, Copy, Debug)]
pub struct Pixel {
    /// Column, from the west.
    pub col: f64,
    /// Row, from the north.
    pub row: f64,
    /// Easting or longitude of the centre.
    pub x: f64,
    /// Northing or latitude of the centre.
    pub y: f64,
}

/// A value for every pixel; None where the pixel is invalid.
#[derive(Clone)]
pub struct Formula(Arc<dyn Fn(Pixel) -> Option<f64> + Send + Sync>);

impl Formula {
    /// Any formula.
    pub fn new(value: impl Fn(Pixel) -> Option<f64> + Send + Sync + 'static) -> Self {
        Self(Arc::new(value))
    }

    /// The value at a pixel.
    pub fn at(&self, pixel: Pixel) -> Option<f64> {
        (self.0)(pixel)
    }

    /// The same everywhere.
    pub fn constant(value: f64) -> Self {
        Self::new(move |_| Some(value))
    }

    /// `base + per_x × x + per_y × y`, in coordinates of the CRS.
    pub fn gradient(base: f64, per_x: f64, per_y: f64) -> Self {
        Self::new(move |p| Some(base + per_x * p.x + per_y * p.y))
    }

    /// `base + per_col × column + per_row × row`.
    pub fn ramp(base: f64, per_col: f64, per_row: f64) -> Self {
        Self::new(move |p| Some(base + per_col * p.col + per_row * p.row))
    }

    /// Value noise of several octaves, between `low` and `high`; the largest features are `wavelength` pixels wide.
    pub fn noise(seed: u64, wavelength: f64, low: f64, high: f64) -> Self {
        Self::new(move |p| Some(low + (high - low) * octaves(seed, p.col / wavelength, p.row / wavelength)))
    }

    /// Patches of the given classes.
    pub fn classes(seed: u64, wavelength: f64, classes: &[f64]) -> Self {
        let classes = classes.to_vec();
        Self::new(move |p| {
            let part = octaves(seed, p.col / wavelength, p.row / wavelength) * 1.6 - 0.3;
            let index = (part.clamp(0.0, 0.999_999) * classes.len() as f64) as usize;
            classes.get(index).copied()
        })
    }

    /// Squares of two values, `side` pixels wide.
    pub fn checker(side: f64, first: f64, second: f64) -> Self {
        Self::new(move |p| {
            let odd = ((p.col / side).floor() + (p.row / side).floor()).rem_euclid(2.0) >= 1.0;
            Some(if odd { second } else { first })
        })
    }

    /// This formula, invalid in the corner above the line from (`share` of the width, 0) to (0, `share` of the height).
    #[must_use]
    pub fn with_wedge(self, width: u32, height: u32, share: f64) -> Self {
        let (width, height) = (f64::from(width) * share, f64::from(height) * share);
        Self::new(move |p| if p.col / width + p.row / height < 1.0 { None } else { self.at(p) })
    }

    /// This formula, its values changed.
    #[must_use]
    pub fn map(self, change: impl Fn(Pixel, f64) -> f64 + Send + Sync + 'static) -> Self {
        Self::new(move |p| self.at(p).map(|value| change(p, value)))
    }
}

impl fmt::Debug for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Formula")
    }
}

/// Value noise in [0, 1]: four octaves, each half as strong and twice as fine as the one before.
pub fn octaves(seed: u64, x: f64, y: f64) -> f64 {
    let (mut sum, mut weight, mut scale) = (0.0, 0.5, 1.0);
    for octave in 0..4 {
        sum += weight * value_noise(seed.wrapping_add(octave), x * scale, y * scale);
        weight /= 2.0;
        scale *= 2.0;
    }
    sum / 0.9375
}

fn value_noise(seed: u64, x: f64, y: f64) -> f64 {
    let (left, top) = (x.floor(), y.floor());
    let smooth = |t: f64| t * t * (3.0 - 2.0 * t);
    let (u, v) = (smooth(x - left), smooth(y - top));
    let corner = |dx: f64, dy: f64| lattice(seed, (left + dx) as i64, (top + dy) as i64);
    let upper = corner(0.0, 0.0) + u * (corner(1.0, 0.0) - corner(0.0, 0.0));
    let lower = corner(0.0, 1.0) + u * (corner(1.0, 1.0) - corner(0.0, 1.0));
    upper + v * (lower - upper)
}

/// A number in [0, 1) for each lattice point.
fn lattice(seed: u64, x: i64, y: i64) -> f64 {
    let mixed = scramble(seed ^ scramble((x as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ scramble(y as u64)));
    (mixed >> 11) as f64 / (1u64 << 53) as f64
}

/// The finalizer of `SplitMix64` (Steele, Lea and Flood, 2014): a bijection that scatters every bit.
pub fn scramble(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_the_same_on_every_run_and_stays_in_its_range() {
        let formula = Formula::noise(7, 16.0, 100.0, 200.0);
        let pixel = |col: f64, row: f64| Pixel { col, row, x: 0.0, y: 0.0 };
        for i in 0..500 {
            let value = formula.at(pixel(f64::from(i) * 0.7, f64::from(i) * 1.3)).unwrap();
            assert!((100.0..=200.0).contains(&value));
        }
        assert_eq!(formula.at(pixel(3.0, 5.0)), Formula::noise(7, 16.0, 100.0, 200.0).at(pixel(3.0, 5.0)));
        assert_ne!(formula.at(pixel(3.0, 5.0)), Formula::noise(8, 16.0, 100.0, 200.0).at(pixel(3.0, 5.0)));
    }
}
