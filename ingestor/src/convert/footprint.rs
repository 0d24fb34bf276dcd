//! Where a raster lies on Earth: bounds by its densified edge, unwrapped across the antimeridian, with poles inside; and the hull of its
//! valid pixels.

use shared::bbox::Bbox;

use super::fault::Fault;
use super::locate::{Georeference, Kind, Locator};

/// Points along each edge of the raster: one for each pixel, but no fewer and no more than these.
const EDGE_POINTS_MIN: usize = 65;
const EDGE_POINTS_MAX: usize = 801;
/// Points along each side of the grids that stand in for edges off the Earth.
const GRID_POINTS: usize = 201;
const GRID_POINTS_FINE: usize = 513;
/// How far, in pixels, a point may come back from a round trip through longitude and latitude; more and it was off the map's domain.
const ROUND_TRIP_PIXELS: f64 = 1.0;
/// A raster this wide in degrees goes all the way round.
const ROUND_DEGREES: f64 = 360.0 - 1e-6;
/// How far latitudes may lie beyond the poles, in degrees, besides a pixel: grids of nodes have half a pixel there.
const BEYOND_POLE_DEGREES: f64 = 0.5;
/// Longitudes a raster may span in degrees, besides a pixel.
const LONGITUDES_MAX: f64 = 361.0;
/// A part of the box's size: hull edges are divided until their middle is that near the chord.
const HULL_TOLERANCE: f64 = 0.002;
/// Times an edge of the hull may be halved.
const HULL_HALVINGS: u32 = 4;
/// Hull edges of boxes wider than this are halved this often whatever they look like.
const WIDE_DEGREES: f64 = 120.0;
const WIDE_HALVINGS: u32 = 2;
/// Vertices of a hull before it is projected.
pub(super) const HULL_VERTICES_MAX: usize = 256;

/// Where a raster lies.
#[derive(Clone, Debug)]
pub(super) struct Footprint {
    /// Degrees, unwrapped: west in [−180, 180), east = west + width.
    pub(super) west: f64,
    pub(super) south: f64,
    pub(super) east: f64,
    pub(super) north: f64,
    /// All the way round, or a pole inside.
    pub(super) round: bool,
    /// What the bounds are said to be, where pixels reach further than they.
    pub(super) said: Option<[f64; 4]>,
    /// The first and the last corner of the raster, unwrapped as the box is, if both lie on Earth and nothing is off it.
    pub(super) corners: Option<[[f64; 2]; 2]>,
    /// The edge, unwrapped, closed, if all of it lies on Earth and it holds no pole.
    pub(super) ring: Vec<[f64; 2]>,
}

impl Footprint {
    /// Of a raster.
    pub(super) fn of(georeference: &Georeference) -> Result<Self, Fault> {
        check_degrees(georeference)?;
        let locator = georeference.locator()?;
        let (x, y) = edge(georeference.size());
        let (lon, lat, whole) = locate(georeference, &locator, &x, &y);
        let mut footprint = if whole { along_edge(&lon, &lat) } else { by_grid(georeference, &locator, &lon, &lat)? };
        let poles = poles_inside(georeference, &locator);
        if footprint.round && footprint.ring.is_empty() && whole && !poles.contains(&true) {
            // The edge winds round a pole that PROJ does not place: the nearer one.
            if footprint.north > -footprint.south { footprint.north = 90.0 } else { footprint.south = -90.0 }
        }
        if poles.contains(&true) {
            footprint.round = true;
            footprint.ring.clear();
            footprint.corners = None;
            footprint.said = None;
            if poles[0] {
                footprint.north = 90.0;
            }
            if poles[1] {
                footprint.south = -90.0;
            }
        }
        footprint.settle();
        Ok(footprint)
    }

    /// For records.
    pub(super) fn bbox(&self) -> Bbox {
        let [west, south, east, north] = self.said.unwrap_or([self.west, self.south, self.east, self.north]);
        Bbox::from_unwrapped(west, south, east, north)
    }

    fn settle(&mut self) {
        if self.round || self.east - self.west >= ROUND_DEGREES {
            (self.west, self.east, self.round) = (-180.0, 180.0, true);
        }
        let shift = ((self.west + 180.0) / 360.0).floor() * 360.0;
        self.west -= shift;
        self.east -= shift;
        self.south = self.south.clamp(-90.0, 90.0);
        self.north = self.north.clamp(-90.0, 90.0);
        for point in self.corners.iter_mut().flatten().chain(&mut self.ring) {
            point[0] -= shift;
        }
    }
}

/// A hull in pixels to a ring of longitudes and latitudes: closed, counter-clockwise, unwrapped, near `footprint.west`.
pub(super) fn project_hull(
    hull: &[[f64; 2]],
    georeference: &Georeference,
    footprint: &Footprint,
) -> Result<Vec<[f64; 2]>, Fault> {
    if hull.is_empty() {
        return Ok(Vec::new());
    }
    let locator = georeference.locator()?;
    let size = (footprint.east - footprint.west).max(footprint.north - footprint.south);
    let mut ring: Vec<[f64; 2]> = Vec::new();
    for (i, &from) in hull.iter().enumerate() {
        let to = hull[(i + 1) % hull.len()];
        divide(&locator, from, to, size * HULL_TOLERANCE, HULL_HALVINGS, &mut ring);
    }
    ring.retain(|point| point.iter().all(|v| v.is_finite()));
    if ring.len() < 3 {
        let f = footprint;
        ring = vec![[f.west, f.south], [f.east, f.south], [f.east, f.north], [f.west, f.north]];
    }
    Ok(close(ring, footprint))
}

/// Adds `from` and, as long as the line to `to` bends, points between.
fn divide(locator: &Locator, from: [f64; 2], to: [f64; 2], tolerance: f64, left: u32, ring: &mut Vec<[f64; 2]>) {
    let middle = [from[0].midpoint(to[0]), from[1].midpoint(to[1])];
    let mut x = [from[0], middle[0], to[0]];
    let mut y = [from[1], middle[1], to[1]];
    locator.degrees_of_pixels(&mut x, &mut y);
    let second = unwrap_next(x[0], x[1]);
    let third = unwrap_next(second, x[2]);
    let bend = (x[0].midpoint(third) - second).abs().max((y[0].midpoint(y[2]) - y[1]).abs());
    // An edge as wide as the world has its middle where its ends are; only its quarters tell which way it goes.
    let wide = left + WIDE_HALVINGS > HULL_HALVINGS && tolerance > WIDE_DEGREES * HULL_TOLERANCE;
    // NaN, at the limb of the Earth, is divided too.
    if left > 0 && (wide || bend > tolerance || bend.is_nan()) {
        divide(locator, from, middle, tolerance, left - 1, ring);
        divide(locator, middle, to, tolerance, left - 1, ring);
    } else {
        ring.push([x[0], y[0]]);
    }
}

/// Unwraps, turns counter-clockwise and closes a ring; one that winds round a pole is led along it.
fn close(mut ring: Vec<[f64; 2]>, footprint: &Footprint) -> Vec<[f64; 2]> {
    for i in 1..ring.len() {
        ring[i][0] = unwrap_next(ring[i - 1][0], ring[i][0]);
    }
    let (first, last) = (ring[0], ring[ring.len() - 1]);
    let closing = unwrap_next(last[0], first[0]);
    if (closing - first[0]).abs() > 180.0 {
        let pole = if footprint.north > -footprint.south { 90.0 } else { -90.0 };
        ring.extend([[closing, first[1]], [closing, pole], [first[0], pole]]);
    }
    let middle = ring.iter().map(|p| p[0]).fold(f64::INFINITY, f64::min);
    let shift = ((middle - footprint.west) / 360.0).round() * 360.0;
    let area: f64 = (0..ring.len()).map(|i| cross(ring[i], ring[(i + 1) % ring.len()])).sum();
    if area < 0.0 {
        ring.reverse();
    }
    for point in &mut ring {
        *point = [round_micro(point[0] - shift), round_micro(point[1])];
    }
    ring.dedup();
    let first = ring[0];
    if ring.len() == 1 || ring[ring.len() - 1] != first {
        ring.push(first);
    }
    ring
}

fn cross(a: [f64; 2], b: [f64; 2]) -> f64 {
    a[0] * b[1] - b[0] * a[1]
}

/// Millionths of a degree are 0.1 m: finer would only fill records.
fn round_micro(degrees: f64) -> f64 {
    (degrees * 1e6).round() / 1e6
}

/// The longitude of the same meridian nearest to `previous`.
fn unwrap_next(previous: f64, lon: f64) -> f64 {
    lon - ((lon - previous) / 360.0).round() * 360.0
}

/// The edge, from the first corner on, the same number of points on each side.
fn edge([width, height]: [f64; 2]) -> (Vec<f64>, Vec<f64>) {
    let points = (width.max(height) as usize + 1).clamp(EDGE_POINTS_MIN, EDGE_POINTS_MAX);
    let corners = [[0.0, 0.0], [width, 0.0], [width, height], [0.0, height]];
    let mut x = Vec::with_capacity(4 * points);
    let mut y = Vec::with_capacity(4 * points);
    for i in 0..4 {
        let (from, to) = (corners[i], corners[(i + 1) % 4]);
        for step in 0..points - 1 {
            let t = step as f64 / (points - 1) as f64;
            x.push(from[0] + t * (to[0] - from[0]));
            y.push(from[1] + t * (to[1] - from[1]));
        }
    }
    (x, y)
}

/// Longitudes and latitudes of pixels, NaN where they are not on Earth, and whether all are.
fn locate(georeference: &Georeference, locator: &Locator, x: &[f64], y: &[f64]) -> (Vec<f64>, Vec<f64>, bool) {
    let (mut lon, mut lat) = (x.to_vec(), y.to_vec());
    locator.degrees_of_pixels(&mut lon, &mut lat);
    if georeference.kind() == Kind::Projected {
        let (mut back_x, mut back_y) = (lon.clone(), lat.clone());
        locator.pixels_of_degrees(&mut back_x, &mut back_y);
        for i in 0..lon.len() {
            let near = (back_x[i] - x[i]).abs() <= ROUND_TRIP_PIXELS && (back_y[i] - y[i]).abs() <= ROUND_TRIP_PIXELS;
            if !near {
                (lon[i], lat[i]) = (f64::NAN, f64::NAN);
            }
        }
    }
    let whole = lon.iter().chain(&lat).all(|v| v.is_finite());
    (lon, lat, whole)
}

fn along_edge(lon: &[f64], lat: &[f64]) -> Footprint {
    let mut ring: Vec<[f64; 2]> = Vec::with_capacity(lon.len() + 1);
    for (&lon, &lat) in lon.iter().zip(lat) {
        let lon = ring.last().map_or(lon, |last| unwrap_next(last[0], lon));
        ring.push([lon, lat]);
    }
    let closing = unwrap_next(ring[ring.len() - 1][0], lon[0]);
    let pole = (closing - lon[0]).abs() > 180.0;
    let range = |axis: usize| {
        ring.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), p| (low.min(p[axis]), high.max(p[axis])))
    };
    let ((west, east), (south, north)) = (range(0), range(1));
    // Half way round is the corner opposite to the first.
    let corners = [ring[0], ring[ring.len() / 2]];
    ring.push(ring[0]);
    if pole {
        ring.clear();
    }
    Footprint { west, south, east, north, round: pole, said: None, corners: (!pole).then_some(corners), ring }
}

/// For rasters of which a part lies off the Earth: the points on it, of the edge and of grids inside. Bounds are those of the coarser grid, as
/// other tools have them; near the limb degrees run away, and tiles need the finer one.
fn by_grid(georeference: &Georeference, locator: &Locator, lon: &[f64], lat: &[f64]) -> Result<Footprint, Fault> {
    let said = cloud(georeference, locator, (lon, lat), GRID_POINTS)?;
    let fine = cloud(georeference, locator, (lon, lat), GRID_POINTS_FINE)?;
    let near = |degrees: f64, to: f64| unwrap_next(to, degrees);
    let west = fine.west.min(near(said.west, fine.west));
    let east = fine.east.max(near(said.east, fine.east));
    Ok(Footprint {
        west,
        south: fine.south.min(said.south),
        east,
        north: fine.north.max(said.north),
        round: fine.round,
        said: (!fine.round).then_some([said.west, said.south, said.east, said.north]),
        corners: None,
        ring: Vec::new(),
    })
}

struct Cloud {
    west: f64,
    south: f64,
    east: f64,
    north: f64,
    round: bool,
}

/// The box of points of an edge and of a grid, cut open at the widest gap between longitudes.
fn cloud(
    georeference: &Georeference,
    locator: &Locator,
    (lon, lat): (&[f64], &[f64]),
    points: usize,
) -> Result<Cloud, Fault> {
    let [width, height] = georeference.size();
    let at = |i: usize, size: f64| i as f64 / (points - 1) as f64 * size;
    let x: Vec<f64> = (0..points).map(|column| at(column, width)).collect();
    let mut lons: Vec<f64> = Vec::new();
    let (mut south, mut north) = (f64::INFINITY, f64::NEG_INFINITY);
    let mut add = |lon: &[f64], lat: &[f64]| {
        for (lon, lat) in lon.iter().zip(lat).filter(|(lon, lat)| lon.is_finite() && lat.is_finite()) {
            lons.push(unwrap_next(0.0, *lon));
            (south, north) = (south.min(*lat), north.max(*lat));
        }
    };
    add(lon, lat);
    for row in 0..points {
        let (lon, lat, _) = locate(georeference, locator, &x, &vec![at(row, height); points]);
        add(&lon, &lat);
    }
    if lons.is_empty() {
        return Err(Fault::Refused(
            "no part of the raster lies on Earth by its CRS and geotransform; are they the right ones?".to_owned(),
        ));
    }
    lons.sort_by(f64::total_cmp);
    let (mut gap, mut after) = (lons[0] + 360.0 - lons[lons.len() - 1], 0);
    for i in 1..lons.len() {
        if lons[i] - lons[i - 1] > gap {
            (gap, after) = (lons[i] - lons[i - 1], i);
        }
    }
    let west = lons[after];
    Ok(Cloud { west, south, east: west + 360.0 - gap, north, round: gap < 2.0 * 360.0 / points as f64 })
}

/// Whether the north and the south pole lie within the raster.
fn poles_inside(georeference: &Georeference, locator: &Locator) -> [bool; 2] {
    if georeference.kind() != Kind::Projected {
        return [false; 2];
    }
    let [width, height] = georeference.size();
    [90.0, -90.0].map(|latitude| {
        // Where PROJ squeezes all longitudes into one point, the pole is a point of the map.
        let (mut x, mut y) = ([0.0, 120.0, -120.0], [latitude; 3]);
        locator.pixels_of_degrees(&mut x, &mut y);
        let one = (x[0] - x[1]).abs() < ROUND_TRIP_PIXELS
            && (x[0] - x[2]).abs() < ROUND_TRIP_PIXELS
            && (y[0] - y[1]).abs() < ROUND_TRIP_PIXELS
            && (y[0] - y[2]).abs() < ROUND_TRIP_PIXELS;
        let inside = x[0] > 0.0 && x[0] < width && y[0] > 0.0 && y[0] < height;
        let (mut lon, mut lat) = ([x[0]], [y[0]]);
        locator.degrees_of_pixels(&mut lon, &mut lat);
        one && inside && (lat[0] - latitude).abs() < 0.01
    })
}

/// Refuses degrees that no place on Earth has, e.g. of rasters whose "geotransform" only counts pixels.
fn check_degrees(georeference: &Georeference) -> Result<(), Fault> {
    let Kind::Geographic { period, .. } = georeference.kind() else { return Ok(()) };
    let degrees = 360.0 / period;
    let gt = georeference.affine();
    let [width, height] = georeference.size();
    let at = |i: usize, x: f64, y: f64| (gt[i] + x * gt[i + 1] + y * gt[i + 2]) * degrees;
    let corners = [[0.0, 0.0], [width, 0.0], [0.0, height], [width, height]];
    let range = |i: usize| {
        let values = corners.map(|[x, y]| at(i, x, y));
        (values.iter().copied().fold(f64::INFINITY, f64::min), values.iter().copied().fold(f64::NEG_INFINITY, f64::max))
    };
    let ((west, east), (south, north)) = (range(0), range(3));
    let pixel = (gt[4].abs() + gt[5].abs()) * degrees;
    if south < -90.0 - BEYOND_POLE_DEGREES - pixel || north > 90.0 + BEYOND_POLE_DEGREES + pixel {
        return Err(Fault::Refused(format!(
            "latitudes from {south} to {north} are not on Earth; the georeferencing is wrong"
        )));
    }
    if east - west > LONGITUDES_MAX + (gt[1].abs() + gt[2].abs()) * degrees || west < -540.0 || east > 720.0 {
        return Err(Fault::Refused(format!(
            "longitudes from {west} to {east} are not on Earth; the georeferencing is wrong"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longitudes_are_unwrapped_along_a_line() {
        assert_eq!(unwrap_next(179.5, -179.5), 180.5);
        assert_eq!(unwrap_next(-541.0, 179.0), -541.0);
    }

    #[test]
    fn an_edge_across_the_antimeridian_is_one_box() {
        let ring = |lon: f64| if lon > 180.0 { lon - 360.0 } else { lon };
        let (x, y) = edge([4.0, 2.0]);
        let lon: Vec<f64> = x.iter().map(|x| ring(178.0 + x)).collect();
        let lat: Vec<f64> = y.iter().map(|y| 52.0 - y).collect();
        let mut footprint = along_edge(&lon, &lat);
        footprint.settle();
        assert_eq!((footprint.west, footprint.east, footprint.south, footprint.north), (178.0, 182.0, 50.0, 52.0));
        assert!(!footprint.round);
        let bbox = footprint.bbox();
        assert_eq!((bbox.west, bbox.east), (178.0, -178.0));
    }

    #[test]
    fn an_edge_round_a_pole_goes_all_the_way() {
        let (x, y) = edge([2.0, 2.0]);
        let (mut lon, mut lat) = (Vec::new(), Vec::new());
        for (x, y) in x.iter().zip(&y) {
            lon.push((x - 1.0).atan2(1.0 - y).to_degrees());
            lat.push(-90.0 + 10.0 * (x - 1.0).hypot(y - 1.0));
        }
        let footprint = along_edge(&lon, &lat);
        assert!(footprint.round && footprint.ring.is_empty());
    }

    #[test]
    fn a_hull_is_closed_and_counter_clockwise() {
        let footprint = Footprint {
            west: 178.0,
            south: 0.0,
            east: 182.0,
            north: 2.0,
            round: false,
            said: None,
            corners: None,
            ring: Vec::new(),
        };
        let ring = close(vec![[178.0, 2.0], [-178.0, 2.0], [-178.0, 0.0], [178.0, 0.0]], &footprint);
        assert_eq!(ring.first(), ring.last());
        assert_eq!(ring.len(), 5);
        assert!(ring.iter().all(|p| p[0] == 178.0 || p[0] == 182.0), "{ring:?}");
        let area: f64 = ring.windows(2).map(|p| cross(p[0], p[1])).sum();
        assert!(area > 0.0);
    }
}
