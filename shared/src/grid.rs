//! The tile grid, as pure arithmetic: WebMercatorQuad of the OGC Two Dimensional Tile Matrix Set standard (17-083r4,
//! annex D.1), 256-pixel tiles, y down.

use serde::{Deserialize, Serialize};

/// Radius of the sphere EPSG:3857 projects on, in metres.
pub const EARTH_RADIUS_M: f64 = 6_378_137.0;
/// Half the side of the projected world, in metres.
pub const HALF_WORLD_M: f64 = std::f64::consts::PI * EARTH_RADIUS_M;
/// Pixels along a tile's side, and along a COG block's.
pub const TILE_SIZE: usize = 256;
/// Pixels in a tile.
pub const TILE_PIXELS: usize = TILE_SIZE * TILE_SIZE;
/// The deepest zoom a request may name.
pub const ZOOM_MAX: u8 = 30;
/// The deepest zoom a COG is written at: its pixels are 0.6 mm.
pub const COG_ZOOM_MAX: u8 = 28;
/// Latitude at which the square world ends.
pub const LATITUDE_MAX: f64 = 85.051_128_779_806_59;

/// A tile of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TileCoord {
    /// Zoom.
    pub z: u8,
    /// Column, from the west.
    pub x: u32,
    /// Row, from the north.
    pub y: u32,
}

impl TileCoord {
    /// The tile, if it is on the grid.
    pub fn new(z: u8, x: u32, y: u32) -> Option<Self> {
        let n = tiles_across(z)?;
        (u64::from(x) < n && u64::from(y) < n).then_some(Self { z, x, y })
    }

    /// `[west, south, east, north]` in EPSG:3857 metres.
    pub fn bounds_m(&self) -> [f64; 4] {
        let side = tile_side_m(self.z);
        let west = -HALF_WORLD_M + f64::from(self.x) * side;
        let north = HALF_WORLD_M - f64::from(self.y) * side;
        [west, north - side, west + side, north]
    }
}

/// Tiles along a side of the world at a zoom, if the zoom is one of the grid's.
pub fn tiles_across(z: u8) -> Option<u64> {
    (z <= ZOOM_MAX).then(|| 1u64 << z)
}

/// Metres along a tile's side.
pub fn tile_side_m(z: u8) -> f64 {
    2.0 * HALF_WORLD_M / (1u64 << z) as f64
}

/// Metres along a pixel's side.
pub fn pixel_side_m(z: u8) -> f64 {
    tile_side_m(z) / TILE_SIZE as f64
}

/// Longitude and latitude in degrees to EPSG:3857 metres. Latitudes beyond the square world are clamped to it.
pub fn to_mercator(lon: f64, lat: f64) -> (f64, f64) {
    let lat = lat.clamp(-LATITUDE_MAX, LATITUDE_MAX).to_radians();
    (lon.to_radians() * EARTH_RADIUS_M, EARTH_RADIUS_M * lat.tan().asinh())
}

/// EPSG:3857 metres to longitude and latitude in degrees.
pub fn from_mercator(x: f64, y: f64) -> (f64, f64) {
    ((x / EARTH_RADIUS_M).to_degrees(), (y / EARTH_RADIUS_M).sinh().atan().to_degrees())
}

/// Where a COG lies: an integer rectangle of tiles. The server uses only these integers, never a geotransform.
///
/// `col`, `row`, `cols`, `rows` count tiles at `maxzoom`. It begins at a corner of a tile of `minzoom`, so that a block of every level is a tile
/// (GDAL's `ALIGNED_LEVELS`), and ends with the raster: the last blocks of an overview may reach beyond it, where nothing is valid. A COG that
/// crosses the antimeridian has columns past `2^maxzoom`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Placement {
    /// The finest zoom: level 0 of the COG.
    pub maxzoom: u8,
    /// The coarsest zoom: its last overview.
    pub minzoom: u8,
    /// Westernmost tile column.
    pub col: u32,
    /// Northernmost tile row.
    pub row: u32,
    /// Tile columns.
    pub cols: u32,
    /// Tile rows.
    pub rows: u32,
}

impl Placement {
    /// Levels of the COG: `maxzoom − minzoom + 1`.
    pub fn levels(&self) -> usize {
        usize::from(self.maxzoom.saturating_sub(self.minzoom)) + 1
    }

    /// The rectangle `(col, row, cols, rows)` in tiles of zoom `z`, which must be between `minzoom` and `maxzoom`.
    pub fn at(&self, z: u8) -> (u32, u32, u32, u32) {
        let shift = self.maxzoom.saturating_sub(z);
        let whole = |tiles: u32| tiles.div_ceil(1 << shift);
        (self.col >> shift, self.row >> shift, whole(self.cols), whole(self.rows))
    }

    /// Columns and rows of the blocks of a level, counted from full resolution.
    pub fn blocks(&self, level: usize) -> (u32, u32) {
        let (_, _, cols, rows) = self.at(self.maxzoom.saturating_sub(level as u8));
        (cols, rows)
    }

    /// Columns and rows at `maxzoom` up to the end of the last tiles of `minzoom`.
    pub fn padded(&self) -> (u32, u32) {
        let step = 1 << (self.maxzoom - self.minzoom);
        (self.cols.next_multiple_of(step), self.rows.next_multiple_of(step))
    }

    /// What columns and rows must be a multiple of, so that the smallest of so many overviews ends at a whole pixel.
    pub fn unit(overviews: u8) -> u32 {
        ((1 << overviews) / TILE_SIZE as u32).max(1)
    }

    /// The block that is tile `(z, x, y)`: level of the COG, and column and row within it. Looks at `x` and, for a COG that crosses the
    /// antimeridian, at `x + 2^z`. None outside the rectangle or its zooms.
    pub fn block(&self, tile: TileCoord) -> Option<(usize, u32, u32)> {
        if tile.z < self.minzoom || tile.z > self.maxzoom {
            return None;
        }
        let (col, row, cols, rows) = self.at(tile.z);
        let y = tile.y.checked_sub(row).filter(|y| *y < rows)?;
        let wrapped = tile.x.checked_add(1u32 << tile.z);
        let x = [Some(tile.x), wrapped].into_iter().flatten().find_map(|x| x.checked_sub(col).filter(|x| *x < cols))?;
        Some((usize::from(self.maxzoom - tile.z), x, y))
    }

    /// Whether the arithmetic of this rectangle holds: what a reader checks before it trusts a record.
    pub fn is_sound(&self) -> bool {
        if self.minzoom > self.maxzoom || self.maxzoom > COG_ZOOM_MAX || self.cols == 0 || self.rows == 0 {
            return false;
        }
        let n = 1u64 << self.maxzoom;
        let step = 1u32 << (self.maxzoom - self.minzoom);
        u64::from(self.col) < n
            && u64::from(self.cols) <= n
            && u64::from(self.row) + u64::from(self.rows) <= n
            && [self.col, self.row].iter().all(|v| v % step == 0)
            && [self.cols, self.rows].iter().all(|v| v % Self::unit(self.maxzoom - self.minzoom) == 0)
    }

    /// `[west, south, east, north]` in EPSG:3857 metres; east lies beyond the world for a COG that crosses the antimeridian.
    pub fn bounds_m(&self) -> [f64; 4] {
        let side = tile_side_m(self.maxzoom);
        let west = -HALF_WORLD_M + f64::from(self.col) * side;
        let north = HALF_WORLD_M - f64::from(self.row) * side;
        [west, north - f64::from(self.rows) * side, west + f64::from(self.cols) * side, north]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mercator_there_and_back() {
        for (lon, lat) in [(0.0, 0.0), (12.5, 47.25), (-179.9, -84.0), (181.0, 60.0)] {
            let (x, y) = to_mercator(lon, lat);
            let (lon2, lat2) = from_mercator(x, y);
            assert!((lon - lon2).abs() < 1e-9 && (lat - lat2).abs() < 1e-9);
        }
        let (x, y) = to_mercator(180.0, 90.0);
        assert!((x - HALF_WORLD_M).abs() < 1e-6 && (y - HALF_WORLD_M).abs() < 1e-3);
    }

    #[test]
    fn a_tile_knows_its_bounds() {
        let tile = TileCoord::new(1, 1, 0).unwrap();
        let [w, s, e, n] = tile.bounds_m();
        assert!(w.abs() < 1e-6 && s.abs() < 1e-6 && (e - HALF_WORLD_M).abs() < 1e-6 && (n - HALF_WORLD_M).abs() < 1e-6);
        assert!(TileCoord::new(1, 2, 0).is_none());
        assert!(TileCoord::new(31, 0, 0).is_none());
    }

    #[test]
    fn a_rectangle_begins_at_a_coarse_tile_and_ends_with_its_raster() {
        let place = Placement { maxzoom: 5, minzoom: 2, col: 16, row: 8, cols: 11, rows: 5 };
        assert!(place.is_sound());
        assert_eq!((place.padded(), place.at(4), place.at(2)), ((16, 8), (8, 4, 6, 3), (2, 1, 2, 1)));
        assert_eq!([0, 1, 2, 3].map(|level| place.blocks(level)), [(11, 5), (6, 3), (3, 2), (2, 1)]);
        assert_eq!(place.block(TileCoord { z: 5, x: 26, y: 12 }), Some((0, 10, 4)));
        assert_eq!(place.block(TileCoord { z: 5, x: 27, y: 12 }), None);
        assert_eq!(place.block(TileCoord { z: 2, x: 3, y: 1 }), Some((3, 1, 0)));
        assert!(!Placement { col: 17, ..place }.is_sound());
        // Of a tile 2^9 times reduced, half a pixel would be left.
        let deep = |cols| Placement { maxzoom: 9, minzoom: 0, col: 0, row: 0, cols, rows: 2 };
        assert!(deep(4).is_sound() && !deep(3).is_sound());
    }

    #[test]
    fn blocks_are_found_on_both_sides_of_the_antimeridian() {
        let place = Placement { maxzoom: 4, minzoom: 3, col: 14, row: 6, cols: 4, rows: 2 };
        assert!(place.is_sound());
        assert_eq!(place.block(TileCoord { z: 4, x: 15, y: 6 }), Some((0, 1, 0)));
        assert_eq!(place.block(TileCoord { z: 4, x: 0, y: 7 }), Some((0, 2, 1)));
        assert_eq!(place.block(TileCoord { z: 4, x: 2, y: 7 }), None);
        assert_eq!(place.block(TileCoord { z: 3, x: 0, y: 3 }), Some((1, 1, 0)));
        assert_eq!(place.block(TileCoord { z: 3, x: 7, y: 3 }), Some((1, 0, 0)));
        assert_eq!(place.block(TileCoord { z: 2, x: 0, y: 1 }), None);
    }
}
