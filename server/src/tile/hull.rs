//! Whether a valid-data hull meets a box, in degrees. Near misses count as hits: a hull only spares reads.

use shared::bbox::Bbox;

/// A hull's chords may cut off so much of its size: it was made of few points on purpose.
const TOLERANCE: f64 = 0.003;

/// Whether a closed ring (unwrapped: it may lie beyond ±180) and a box come within some degrees of each other. An empty ring meets nothing.
///
/// The ring is convex in the raster's own pixels, and may not be in degrees: what counts is the hull of its points there.
pub(crate) fn meets(ring: &[[f64; 2]], bbox: &Bbox, reach: f64) -> bool {
    let hull = convex(ring);
    let size = |axis: usize| {
        let values = ring.iter().map(|point| point[axis]);
        values.clone().fold(f64::NEG_INFINITY, f64::max) - values.fold(f64::INFINITY, f64::min)
    };
    let slack = reach + TOLERANCE * size(0).max(size(1));
    [-360.0, 0.0, 360.0].iter().any(|shift| meets_unwrapped(&hull, bbox, *shift, slack))
}

/// The convex hull of points, counter-clockwise, closed: Andrew's monotone chain.
fn convex(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let mut sorted = points.to_vec();
    sorted.sort_unstable_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    sorted.dedup();
    if sorted.len() < 3 {
        return sorted;
    }
    let mut hull: Vec<[f64; 2]> = Vec::with_capacity(sorted.len() + 1);
    let backwards = sorted.iter().rev().skip(1);
    let mut floor = 2;
    for (i, point) in sorted.iter().chain(backwards).enumerate() {
        if i == sorted.len() {
            floor = hull.len() + 1;
        }
        while hull.len() >= floor && turn(hull[hull.len() - 2], hull[hull.len() - 1], *point) <= 0.0 {
            hull.pop();
        }
        hull.push(*point);
    }
    hull
}

/// Positive where the way from `a` over `b` to `c` turns left.
fn turn(a: [f64; 2], b: [f64; 2], c: [f64; 2]) -> f64 {
    (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
}

/// By separating axes: those of the box, and the normals of the hull's edges.
fn meets_unwrapped(hull: &[[f64; 2]], bbox: &Bbox, shift: f64, slack: f64) -> bool {
    if hull.is_empty() {
        return false;
    }
    let (west, east) = (bbox.west + shift - slack, bbox.east_unwrapped() + shift + slack);
    let (south, north) = (bbox.south - slack, bbox.north + slack);
    let beyond = |out: &dyn Fn(&[f64; 2]) -> bool| hull.iter().all(out);
    if beyond(&|p| p[0] < west) || beyond(&|p| p[0] > east) || beyond(&|p| p[1] < south) || beyond(&|p| p[1] > north) {
        return false;
    }
    let corners = [[west, south], [east, south], [east, north], [west, north]];
    // Counter-clockwise: what lies to the right of an edge lies outside.
    !hull.windows(2).any(|edge| corners.iter().all(|corner| turn(edge[0], edge[1], *corner) < 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIAMOND: [[f64; 2]; 5] = [[0.0, -10.0], [10.0, 0.0], [0.0, 10.0], [-10.0, 0.0], [0.0, -10.0]];

    fn bbox(west: f64, south: f64, east: f64, north: f64) -> Bbox {
        Bbox { west, south, east, north }
    }

    #[test]
    fn the_corner_of_a_box_around_a_diamond_is_outside() {
        let meets = |ring: &[[f64; 2]], bbox: &Bbox| meets(ring, bbox, 0.0);
        assert!(meets(&DIAMOND, &bbox(-1.0, -1.0, 1.0, 1.0)));
        assert!(meets(&DIAMOND, &bbox(-20.0, -20.0, 20.0, 20.0)));
        assert!(meets(&DIAMOND, &bbox(4.0, 4.0, 9.0, 9.0)));
        assert!(!meets(&DIAMOND, &bbox(6.0, 6.0, 9.0, 9.0)));
        assert!(!meets(&DIAMOND, &bbox(20.0, 0.0, 30.0, 1.0)));
        assert!(!meets(&[], &bbox(-1.0, -1.0, 1.0, 1.0)));
    }

    #[test]
    fn the_antimeridian_is_no_border() {
        let meets = |ring: &[[f64; 2]], bbox: &Bbox| meets(ring, bbox, 0.0);
        let ring = DIAMOND.map(|[x, y]| [x + 180.0, y]);
        assert!(meets(&ring, &bbox(-179.0, -1.0, -178.0, 1.0)));
        assert!(meets(&ring, &bbox(178.0, -1.0, -178.0, 1.0)));
        assert!(!meets(&ring, &bbox(-165.0, -1.0, -160.0, 1.0)));
    }

    #[test]
    fn a_ring_that_is_not_convex_counts_as_its_hull() {
        // An edge bent inwards, as one of a projected raster may be.
        let ring = [[0.0, 0.0], [5.0, 1.0], [10.0, 0.0], [10.0, 10.0], [0.0, 10.0], [0.0, 0.0]];
        assert!(meets(&ring, &bbox(1.0, 5.0, 2.0, 6.0), 0.0) && meets(&ring, &bbox(8.0, 1.0, 9.0, 2.0), 0.0));
        assert!(meets(&ring, &bbox(4.9, 0.1, 5.1, 0.2), 0.0) && !meets(&ring, &bbox(4.0, -2.0, 5.0, -1.0), 0.0));
        assert!(meets(&ring, &bbox(4.0, -2.0, 5.0, -1.0), 1.1), "within reach");
    }
}
