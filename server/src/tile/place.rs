//! The part of the world a picture shows, and where its pixels lie on a COG's.

use shared::bbox::Bbox;
use shared::dataset::Dataset;
use shared::grid::{HALF_WORLD_M, LATITUDE_MAX, Placement, TILE_SIZE, TileCoord, pixel_side_m, to_mercator};

use super::sampling::{Kernel, Window};

/// Blocks of one COG that one picture may read.
pub(super) const BLOCKS_MAX: u64 = 64;
/// Bounds in degrees and back in metres lose less than this.
const SLACK_PIXELS: f64 = 1e-3;

/// A picture's size in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Size {
    pub(crate) height: u32,
    pub(crate) width: u32,
}

impl Size {
    /// Pixels in all.
    pub(crate) fn pixels(self) -> usize {
        self.height as usize * self.width as usize
    }
}

/// What part of the world a picture shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Place {
    /// A map tile.
    Tile(TileCoord),
    /// A tile off the grid, or too far out for its layer: nothing to show.
    OffGrid,
    /// Each dataset's own bounds, squeezed into the picture.
    Preview,
    /// A box in degrees, squeezed into the picture.
    Crop(Bbox),
    /// The pixel of the finest zoom under a point, in degrees.
    Point { lon: f64, lat: f64 },
}

impl Place {
    /// The place in EPSG:3857 metres, `[west, south, east, north]`, if it has one of its own.
    pub(crate) fn extent_m(&self) -> Option<[f64; 4]> {
        match self {
            Self::Tile(tile) => Some(tile.bounds_m()),
            Self::Crop(bbox) => Some(mercator(bbox)),
            Self::OffGrid | Self::Preview | Self::Point { .. } => None,
        }
    }

    /// The zoom to read of a dataset, and the picture's windows in that zoom's pixels. None where there is nothing to show.
    pub(super) fn windows(&self, dataset: &Dataset, size: Size, kernel: Kernel) -> Option<(u8, [Window; 2])> {
        let placement = &dataset.cog.placement;
        match self {
            Self::OffGrid => None,
            Self::Tile(tile) => Some(tile_windows(placement, size, *tile, kernel)),
            Self::Preview => Some(crop_windows(placement, size, mercator(&dataset.metadata.bounds))),
            Self::Crop(bbox) => Some(crop_windows(placement, size, mercator(bbox))),
            Self::Point { lon, lat } => {
                // Beside the square world there are no pixels.
                if lat.abs() > LATITUDE_MAX {
                    return None;
                }
                let (x, y) = to_mercator(*lon, *lat);
                let zoom = placement.maxzoom;
                let across = (TILE_SIZE as f64) * (1u64 << zoom) as f64;
                let pixel = |m: f64| (m / pixel_side_m(zoom)).floor().clamp(0.0, across - 1.0);
                let (x, y) = (pixel(x + HALF_WORLD_M), pixel(HALF_WORLD_M - y));
                Some((zoom, windows(placement, zoom, size, (x, x + 1.0), (y, y + 1.0))))
            }
        }
    }
}

/// A box in metres; its east may lie beyond the world's edge.
pub(crate) fn mercator(bbox: &Bbox) -> [f64; 4] {
    let (west, north) = to_mercator(bbox.west, bbox.north);
    let (east, south) = to_mercator(bbox.east_unwrapped(), bbox.south);
    [west, south, east, north]
}

/// The zoom to read, and the tile's window in its pixels. The coarsest zoom whose pixels are at least as fine as the picture's; for a mode shallower than
/// minzoom the finest that the number of blocks allows, since a mode of modes drifts.
fn tile_windows(placement: &Placement, size: Size, tile: TileCoord, kernel: Kernel) -> (u8, [Window; 2]) {
    let wanted = size.width.max(size.height) as usize;
    let (mut zoom, mut across) = (i32::from(tile.z), TILE_SIZE);
    while across < wanted {
        across *= 2;
        zoom += 1;
    }
    while across % 2 == 0 && across / 2 >= wanted {
        across /= 2;
        zoom -= 1;
    }
    let at = |zoom: u8| {
        let side = TILE_SIZE as f64 * 2f64.powi(i32::from(zoom) - i32::from(tile.z));
        let span = |at: u32| (f64::from(at) * side, (f64::from(at) + 1.0) * side);
        (zoom, windows(placement, zoom, size, span(tile.x), span(tile.y)))
    };
    let mut best = at(zoom.clamp(i32::from(placement.minzoom), i32::from(placement.maxzoom)) as u8);
    while blocks_at_most(&best.1) > BLOCKS_MAX && best.0 > placement.minzoom {
        best = at(best.0 - 1);
    }
    if kernel == Kernel::Mode && zoom < i32::from(placement.minzoom) {
        while best.0 < placement.maxzoom {
            let finer = at(best.0 + 1);
            if blocks_at_most(&finer.1) > BLOCKS_MAX {
                break;
            }
            best = finer;
        }
    }
    best
}

/// The same for a box in metres, as far as the number of blocks allows.
fn crop_windows(placement: &Placement, size: Size, [west, south, east, north]: [f64; 4]) -> (u8, [Window; 2]) {
    let at = |zoom: u8| {
        let pixels = |m: f64| m / pixel_side_m(zoom);
        let x = (pixels(west + HALF_WORLD_M), pixels(east + HALF_WORLD_M));
        let y = (pixels(HALF_WORLD_M - north), pixels(HALF_WORLD_M - south));
        (zoom, windows(placement, zoom, size, x, y))
    };
    let mut best = at(placement.minzoom);
    for zoom in placement.minzoom + 1..=placement.maxzoom {
        let fine = best.1.iter().all(|w| w.to - w.from >= f64::from(w.size) - SLACK_PIXELS);
        let next = at(zoom);
        if fine || blocks_at_most(&next.1) > BLOCKS_MAX {
            break;
        }
        best = next;
    }
    best
}

fn windows(placement: &Placement, zoom: u8, size: Size, x: (f64, f64), y: (f64, f64)) -> [Window; 2] {
    let tile = TILE_SIZE as i64;
    let (col, row, cols, rows) = placement.at(zoom);
    let axis = |start: u32, len: u32, (from, to): (f64, f64), size, wraps_at| Window {
        rect_start: i64::from(start) * tile,
        rect_len: i64::from(len) * tile,
        wraps_at,
        from,
        to,
        size,
    };
    [axis(col, cols, x, size.width, Some(tile << zoom)), axis(row, rows, y, size.height, None)]
}

/// An upper bound, without listing anything.
pub(super) fn blocks_at_most(windows: &[Window; 2]) -> u64 {
    // Unaligned windows touch a block more than their length says.
    let along = |w: &Window| {
        let touched = w.touched() as u64;
        let block = TILE_SIZE as u64;
        let aligned = w.from.rem_euclid(block as f64) == 0.0 && touched.is_multiple_of(block);
        touched.div_ceil(block) + u64::from(!aligned && touched > 0)
    };
    along(&windows[0]).saturating_mul(along(&windows[1]))
}
