//! Geographic bounding boxes in WGS84 degrees, as GeoJSON (RFC 7946, section 5) has them: `west > east` means that the
//! box crosses the antimeridian.

use serde::{Deserialize, Serialize};

/// `[west, south, east, north]` in degrees. `west` and `east` lie in [−180, 180]; `west > east` crosses the antimeridian.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f64; 4]", into = "[f64; 4]")]
pub struct Bbox {
    /// Western edge in degrees.
    pub west: f64,
    /// Southern edge in degrees.
    pub south: f64,
    /// Eastern edge in degrees.
    pub east: f64,
    /// Northern edge in degrees.
    pub north: f64,
}

impl From<[f64; 4]> for Bbox {
    fn from([west, south, east, north]: [f64; 4]) -> Self {
        Self { west, south, east, north }
    }
}

impl From<Bbox> for [f64; 4] {
    fn from(b: Bbox) -> Self {
        [b.west, b.south, b.east, b.north]
    }
}

impl Bbox {
    /// A box from an unwrapped extent: `east ≥ west`, either may lie beyond ±180. A width of 360° or more is the whole
    /// round.
    pub fn from_unwrapped(west: f64, south: f64, east: f64, north: f64) -> Self {
        if east - west >= 360.0 {
            return Self { west: -180.0, south, east: 180.0, north };
        }
        let shift = ((west + 180.0) / 360.0).floor() * 360.0;
        let (west, east) = (west - shift, east - shift);
        Self { west, south, east: if east > 180.0 { east - 360.0 } else { east }, north }
    }

    /// Whether the box crosses the antimeridian.
    pub fn crosses_antimeridian(&self) -> bool {
        self.west > self.east
    }

    /// The eastern edge, unwrapped: `west ≤ east_unwrapped()`.
    pub fn east_unwrapped(&self) -> f64 {
        if self.crosses_antimeridian() { self.east + 360.0 } else { self.east }
    }

    /// The one or two boxes without a crossing that an R-tree can hold.
    pub fn split(&self) -> (Bbox, Option<Bbox>) {
        if self.crosses_antimeridian() {
            (Self { east: 180.0, ..*self }, Some(Self { west: -180.0, ..*self }))
        } else {
            (*self, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extent_beyond_180_crosses() {
        let b = Bbox::from_unwrapped(178.0, 50.0, 181.5, 52.0);
        assert_eq!((b.west, b.east), (178.0, -178.5));
        assert_eq!(b.east_unwrapped(), 181.5);
        let (first, second) = b.split();
        assert_eq!((first.west, first.east), (178.0, 180.0));
        assert_eq!(second.map(|s| (s.west, s.east)), Some((-180.0, -178.5)));
    }

    #[test]
    fn an_extent_west_of_minus_180_wraps_round() {
        let b = Bbox::from_unwrapped(-185.0, 0.0, -175.0, 1.0);
        assert_eq!((b.west, b.east), (175.0, -175.0));
    }

    #[test]
    fn the_whole_round_stays_ordinary() {
        let b = Bbox::from_unwrapped(-180.0, -90.0, 180.0, 90.0);
        assert_eq!((b.west, b.east), (-180.0, 180.0));
        assert!(Bbox::from_unwrapped(0.0, -90.0, 360.0, 90.0).split().1.is_none());
    }
}
