//! Comparing pictures and finding tiles.

use image::RgbaImage;
use shared::grid;

/// The tile of zoom `z` a point lies in: column and row.
pub fn tile_of(lon: f64, lat: f64, z: u8) -> (u32, u32) {
    let (x, y) = grid::to_mercator(lon, lat);
    let side = grid::tile_side_m(z);
    let across = 1u32 << z;
    let col = ((x + grid::HALF_WORLD_M) / side).floor().rem_euclid(f64::from(across)) as u32;
    let row = ((grid::HALF_WORLD_M - y) / side).floor().clamp(0.0, f64::from(across - 1)) as u32;
    (col, row)
}

/// How many pixels are not fully transparent.
pub fn visible(picture: &RgbaImage) -> usize {
    picture.pixels().filter(|pixel| pixel.0[3] > 0).count()
}

/// How many pixels are opaque.
pub fn opaque(picture: &RgbaImage) -> usize {
    picture.pixels().filter(|pixel| pixel.0[3] == 255).count()
}

/// Every colour in a picture, once, sorted; all transparent ones count as `[0, 0, 0, 0]`.
pub fn colors(picture: &RgbaImage) -> Vec<[u8; 4]> {
    let mut colors: Vec<_> = picture.pixels().map(|p| if p.0[3] == 0 { [0; 4] } else { p.0 }).collect();
    colors.sort_unstable();
    colors.dedup();
    colors
}

/// The share of pixels of which a channel differs by more than `levels`, transparent ones being equal whatever their colour.
///
/// # Panics
/// If the sizes differ.
pub fn share_that_differs(a: &RgbaImage, b: &RgbaImage, levels: u8) -> f64 {
    assert_eq!(a.dimensions(), b.dimensions(), "pictures of one size");
    let seen = |pixel: &image::Rgba<u8>| if pixel.0[3] == 0 { [0; 4] } else { pixel.0 };
    let pairs = a.pixels().zip(b.pixels()).map(|(p, q)| (seen(p), seen(q)));
    let differ = pairs.filter(|(p, q)| (0..4).any(|channel| p[channel].abs_diff(q[channel]) > levels)).count();
    differ as f64 / (a.width() * a.height()) as f64
}

/// The 8-bit level of a value under a stretch: `rint(1 + 254·s)`, half to even (`HTTP_API.md` 1.1).
pub fn level(value: f64, low: f64, high: f64) -> u8 {
    (1.0 + 254.0 * ((value - low) / (high - low)).clamp(0.0, 1.0)).round_ties_even() as u8
}

/// A convex outline in degrees, such as the valid hull in `/metadata`.
#[derive(Clone, Debug)]
pub struct Hull(Vec<[f64; 2]>);

impl Hull {
    /// Of a `convex_hull` member: a GeoJSON polygon.
    ///
    /// # Panics
    /// If it is not one.
    pub fn parse(polygon: &serde_json::Value) -> Self {
        let ring = polygon["coordinates"][0].as_array().unwrap_or_else(|| panic!("not a polygon: {polygon}"));
        Self(ring.iter().map(|point| [0, 1].map(|i| point[i].as_f64().unwrap())).collect())
    }

    /// The mean of its corners.
    pub fn center(&self) -> [f64; 2] {
        let corners = &self.0[1..];
        [0, 1].map(|i| corners.iter().map(|corner| corner[i]).sum::<f64>() / corners.len() as f64)
    }

    /// Scaled about its centre.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        let center = self.center();
        Self(self.0.iter().map(|corner| [0, 1].map(|i| center[i] + (corner[i] - center[i]) * factor)).collect())
    }

    /// Whether a point lies in it.
    pub fn contains(&self, lon: f64, lat: f64) -> bool {
        let side = |pair: &[[f64; 2]]| {
            (pair[1][0] - pair[0][0]) * (lat - pair[0][1]) - (pair[1][1] - pair[0][1]) * (lon - pair[0][0])
        };
        let sides: Vec<f64> = self.0.windows(2).map(side).collect();
        sides.iter().all(|s| *s >= 0.0) || sides.iter().all(|s| *s <= 0.0)
    }

    /// Every tile of a zoom that meets its box.
    pub fn tiles(&self, z: u8) -> Vec<(u32, u32)> {
        let range = |i: usize| {
            let values = self.0.iter().map(|corner| corner[i]);
            (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max))
        };
        let ((west, east), (south, north)) = (range(0), range(1));
        let ((left, top), (right, bottom)) = (tile_of(west, north, z), tile_of(east, south, z));
        (top..=bottom).flat_map(|y| (left..=right).map(move |x| (x, y))).collect()
    }
}

/// Longitude and latitude of the centre of a pixel of a 256-pixel tile.
pub fn pixel_center(z: u8, tile: (u32, u32), col: u32, row: u32) -> (f64, f64) {
    let pixel = grid::pixel_side_m(z);
    let x = (f64::from(tile.0) * 256.0 + f64::from(col) + 0.5) * pixel - grid::HALF_WORLD_M;
    let y = grid::HALF_WORLD_M - (f64::from(tile.1) * 256.0 + f64::from(row) + 0.5) * pixel;
    grid::from_mercator(x, y)
}
