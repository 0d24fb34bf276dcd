//! Which tiles a raster takes: zooms and the integer rectangle of its COG.

use shared::grid::{
    COG_ZOOM_MAX, HALF_WORLD_M, LATITUDE_MAX, Placement, TILE_SIZE, pixel_side_m, tile_side_m, to_mercator,
};

use super::fault::Fault;
use super::footprint::Footprint;

/// The coarsest zoom is taken whose pixel is at most this times the input's.
const PIXEL_RATIO_MAX: f64 = 1.15;
/// Pixels a COG may have per pixel of the input.
const PIXELS_RATIO_MAX: f64 = 16.0;
/// The same when the zoom is set by hand.
const PIXELS_RATIO_SET_MAX: f64 = 1024.0;
/// Few pixels are never too many: a raster of one pixel still needs a tile.
const PIXELS_FREE: f64 = 65_536.0;
/// What an edge may lie beyond a tile's before it takes the next one: a hundredth of a pixel.
const EDGE_TOLERANCE_TILES: f64 = 0.01 / TILE_SIZE as f64;
/// Tiles in each direction at minzoom.
const MINZOOM_TILES: u32 = 2;

/// The rectangle of a raster of `size` pixels. `zoom` is the setting.
pub(super) fn place(footprint: &Footprint, size: [f64; 2], zoom: Option<u8>) -> Result<Placement, Fault> {
    let (south, north) = latitudes(footprint);
    if south >= north {
        return Err(Fault::Refused(format!(
            "the raster lies beyond {LATITUDE_MAX:.2}° (latitudes {} to {}), where a web map ends",
            footprint.south, footprint.north
        )));
    }
    let [west_m, south_m, east_m, north_m] = extent_m(footprint);
    let pixel_m = pixel_m(footprint, size);
    let maxzoom = zoom.map_or_else(|| zoom_of(pixel_m), |zoom| zoom.min(COG_ZOOM_MAX));
    let side = pixel_side_m(maxzoom);
    let pixels = area(footprint, [east_m - west_m, north_m - south_m]) / (side * side);
    let limit = if zoom.is_some() { PIXELS_RATIO_SET_MAX } else { PIXELS_RATIO_MAX } * size[0] * size[1];
    if pixels > limit.max(PIXELS_FREE) {
        return Err(Fault::Refused(format!(
            "zoom {maxzoom} would need {pixels:.0} pixels for a raster of {:.0}; set a coarser one with the setting zoom",
            size[0] * size[1]
        )));
    }
    rectangle(maxzoom, [west_m, south_m, east_m, north_m], footprint.round)
}

/// The input's pixel in web Mercator metres.
pub(super) fn pixel_m(footprint: &Footprint, size: [f64; 2]) -> f64 {
    let (south, north) = latitudes(footprint);
    let [west_m, south_m, east_m, north_m] = extent_m(footprint);
    let clipped = (north - south) / (footprint.north - footprint.south).max(f64::MIN_POSITIVE);
    pixel_size(footprint, size, [east_m - west_m, north_m - south_m], clipped)
}

/// What of a raster's latitudes a web map has.
fn latitudes(footprint: &Footprint) -> (f64, f64) {
    (footprint.south.max(-LATITUDE_MAX), footprint.north.min(LATITUDE_MAX))
}

/// West, south, east and north of that in web Mercator metres.
fn extent_m(footprint: &Footprint) -> [f64; 4] {
    let (south, north) = latitudes(footprint);
    let (west_m, south_m) = to_mercator(footprint.west, south);
    let (east_m, north_m) = to_mercator(footprint.east, north);
    [west_m, south_m, east_m, north_m]
}

/// The input's pixel in web Mercator metres, as `GDALSuggestedWarpOutput2` has it: the distance between the raster's first and last corner
/// over its diagonal in pixels; of the extent where a corner is off the map.
fn pixel_size(footprint: &Footprint, [width, height]: [f64; 2], extent: [f64; 2], clipped: f64) -> f64 {
    let corners = footprint.corners.filter(|_| clipped >= 1.0 && !footprint.round).map(|[first, last]| {
        let ((x0, y0), (x1, y1)) = (to_mercator(first[0], first[1]), to_mercator(last[0], last[1]));
        [x1 - x0, y1 - y0]
    });
    match corners {
        Some([dx, dy]) if dx != 0.0 && dy != 0.0 => dx.hypot(dy) / width.hypot(height),
        _ => extent[0].hypot(extent[1]) / width.hypot((height * clipped).max(1.0)),
    }
}

fn zoom_of(pixel_m: f64) -> u8 {
    (0..COG_ZOOM_MAX).find(|zoom| pixel_side_m(*zoom) <= PIXEL_RATIO_MAX * pixel_m).unwrap_or(COG_ZOOM_MAX)
}

/// Square metres of web Mercator: of the raster itself where its edge is known, else of its box.
fn area(footprint: &Footprint, extent: [f64; 2]) -> f64 {
    let whole = extent[0] * extent[1];
    if footprint.ring.is_empty() {
        return whole;
    }
    let points: Vec<(f64, f64)> = footprint.ring.iter().map(|p| to_mercator(p[0], p[1])).collect();
    let twice: f64 = points.windows(2).map(|p| p[0].0 * p[1].1 - p[1].0 * p[0].1).sum();
    (twice.abs() / 2.0).min(whole)
}

fn rectangle(maxzoom: u8, [west, south, east, north]: [f64; 4], round: bool) -> Result<Placement, Fault> {
    let side = tile_side_m(maxzoom);
    let n = 1u64 << maxzoom;
    let floor = |v: f64| (v / side + EDGE_TOLERANCE_TILES).floor().max(0.0) as u64;
    let ceil = |v: f64| (v / side - EDGE_TOLERANCE_TILES).ceil().max(0.0) as u64;
    let (row, row_end) = (floor(HALF_WORLD_M - north).min(n - 1), ceil(HALF_WORLD_M - south).min(n));
    let (mut col, mut col_end) = (floor(west + HALF_WORLD_M), ceil(east + HALF_WORLD_M));
    if col >= n {
        (col, col_end) = (col - n, col_end.saturating_sub(n));
    }
    let columns = col_end.max(col + 1);
    let rows = row_end.max(row + 1);
    let aligned = |col: u64, columns: u64| {
        let fits = |s: &u8| {
            ((columns - 1) >> s) - (col >> s) < u64::from(MINZOOM_TILES)
                && ((rows - 1) >> s) - (row >> s) < u64::from(MINZOOM_TILES)
        };
        let s = (0..=maxzoom).find(fits).unwrap_or(maxzoom);
        let unit = u64::from(Placement::unit(s));
        let out = |first: u64, end: u64| {
            let start = (first >> s) << s;
            (start, (end - start).next_multiple_of(unit))
        };
        (s, out(col, columns), out(row, rows))
    };
    let (mut shift, mut c, mut r) = aligned(col, columns);
    if round || c.1 > n {
        (shift, c, r) = aligned(0, n);
    }
    let placement = Placement {
        maxzoom,
        minzoom: maxzoom - shift,
        col: c.0 as u32,
        row: r.0 as u32,
        cols: c.1 as u32,
        rows: r.1 as u32,
    };
    if placement.is_sound() {
        Ok(placement)
    } else {
        Err(Fault::Refused(format!("the raster does not fit the tile grid ({placement:?})")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(west: f64, south: f64, east: f64, north: f64) -> Footprint {
        Footprint {
            west,
            south,
            east,
            north,
            round: east - west >= 360.0,
            said: None,
            corners: Some([[west, north], [east, south]]),
            ring: Vec::new(),
        }
    }

    #[test]
    fn a_tile_exactly_on_the_grid_takes_one_tile() {
        let side = 360.0 / 1024.0;
        let (_, top) = shared::grid::from_mercator(0.0, 3.0 * tile_side_m(10));
        let (_, bottom) = shared::grid::from_mercator(0.0, 2.0 * tile_side_m(10));
        let p = place(&boxed(0.0, bottom, side, top), [256.0, 256.0], None).unwrap();
        assert_eq!((p.maxzoom, p.minzoom, p.col, p.row, p.cols, p.rows), (10, 10, 512, 509, 1, 1));
    }

    #[test]
    fn zoom_is_the_coarsest_that_keeps_the_pixels() {
        assert_eq!(zoom_of(pixel_side_m(7)), 7);
        assert_eq!(zoom_of(pixel_side_m(7) / 1.14), 7);
        assert_eq!(zoom_of(pixel_side_m(7) / 1.16), 8);
        assert_eq!(zoom_of(1e-9), COG_ZOOM_MAX);
    }

    #[test]
    fn columns_run_past_the_antimeridian() {
        let p = place(&boxed(178.0, 50.0, 181.5, 52.0), [2000.0, 2000.0], None).unwrap();
        assert!(p.is_sound());
        assert!(u64::from(p.col) + u64::from(p.cols) > 1 << p.maxzoom, "{p:?}");
        assert!(p.at(p.minzoom).2 <= 2 && p.at(p.minzoom).3 <= 2);
    }

    #[test]
    fn all_the_way_round_is_the_whole_row() {
        let p = place(&boxed(-180.0, -90.0, 180.0, 90.0), [1024.0, 512.0], None).unwrap();
        assert_eq!((p.col, u64::from(p.cols), p.row, u64::from(p.rows)), (0, 1 << p.maxzoom, 0, 1 << p.maxzoom));
        assert_eq!(p.minzoom, 1);
    }

    #[test]
    fn every_placement_is_sound_and_covers_its_box() {
        for i in 0..2000u32 {
            let f = |k: u32| f64::from(i.wrapping_mul(2_654_435_761).wrapping_mul(k) >> 8) / f64::from(1 << 24);
            let (west, width) = (-180.0 + 360.0 * f(3), 300.0 * f(5).powi(4) + 1e-4);
            let (south, height) = (-85.0 + 165.0 * f(7), 60.0 * f(11).powi(3) + 1e-4);
            let foot = boxed(west, south, west + width, (south + height).min(90.0));
            let p = place(&foot, [1.0 + 3000.0 * f(13), 1.0 + 3000.0 * f(17)], Some((f(19) * 14.0) as u8));
            let Ok(p) = p else { continue };
            assert!(p.is_sound(), "{foot:?} {p:?}");
            let [w, s, e, n] = p.bounds_m();
            let tolerance = pixel_side_m(p.maxzoom) * 0.011;
            let (fw, fs) = to_mercator(foot.west, foot.south);
            let (fe, fnorth) = to_mercator(foot.east, foot.north);
            assert!(s <= fs + tolerance && n >= fnorth - tolerance);
            assert!(
                u64::from(p.cols) == 1 << p.maxzoom || (w <= fw + tolerance && e >= fe - tolerance),
                "{foot:?} {p:?}"
            );
        }
    }
}
