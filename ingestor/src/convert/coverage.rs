//! Which squares of a raster hold a valid pixel: what holds none need be neither read again nor warped.

use super::source::Area;

/// Side of a square, in pixels, unless there would be too many.
const SIDE: usize = 256;
/// Squares of a raster.
const SQUARES_MAX: usize = 1 << 20;

/// The squares of a raster.
#[derive(Clone, Debug)]
pub(super) struct Coverage {
    side: usize,
    cols: usize,
    held: Vec<bool>,
}

impl Coverage {
    /// Nothing valid yet.
    pub(super) fn new(width: usize, height: usize) -> Self {
        let mut side = SIDE;
        while width.div_ceil(side) * height.div_ceil(side) > SQUARES_MAX {
            side *= 2;
        }
        let cols = width.div_ceil(side);
        Self { side, cols, held: vec![false; cols * height.div_ceil(side)] }
    }

    /// Notes the valid pixels of row `y`, of which `first` is the first and `last` the last.
    pub(super) fn add_row(&mut self, y: usize, first: usize, last: usize, valid: impl Fn(usize) -> bool) {
        let start = y / self.side * self.cols;
        for col in first / self.side..=last / self.side {
            let Some(held) = self.held.get_mut(start + col).filter(|held| !**held) else { continue };
            *held = (first.max(col * self.side)..=last.min((col + 1) * self.side - 1)).any(&valid);
        }
    }

    /// Adds what another knows.
    pub(super) fn merge(&mut self, other: &Self) {
        self.held.iter_mut().zip(&other.held).for_each(|(held, other)| *held |= other);
    }

    /// Whether an area may hold a valid pixel.
    pub(super) fn touches(&self, area: Area) -> bool {
        let last = |start: usize, length: usize| (start + length.max(1) - 1) / self.side;
        (area.y / self.side..=last(area.y, area.height)).any(|row| {
            let (first, last) = (area.x / self.side, last(area.x, area.width).min(self.cols - 1));
            self.held.get(row * self.cols + first..=row * self.cols + last).is_some_and(|held| held.contains(&true))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_hold_a_valid_pixel_is_touched() {
        let mut coverage = Coverage::new(1000, 700);
        coverage.add_row(300, 10, 900, |x| x == 10 || x == 900);
        let area = |x, y, width, height| Area { x, y, width, height };
        assert!(coverage.touches(area(0, 256, 1, 1)) && coverage.touches(area(999, 511, 1, 1)));
        assert!(!coverage.touches(area(256, 0, 512, 700)) && !coverage.touches(area(0, 0, 1000, 256)));
        assert!(coverage.touches(area(255, 255, 2, 2)));
        let mut other = Coverage::new(1000, 700);
        other.add_row(0, 999, 999, |_| true);
        coverage.merge(&other);
        assert!(coverage.touches(area(990, 0, 10, 1)));
    }
}
