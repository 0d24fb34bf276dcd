//! Whether a valid-data hull meets a box, in degrees. Near misses count as hits: a hull only spares reads.

use shared::bbox::Bbox;

/// Degrees by which both may miss each other: what sums of degrees lose.
const SLACK: f64 = 1e-9;

/// Whether a closed convex ring (unwrapped: it may lie beyond ±180) and a box have a point in common. An empty ring meets nothing.
pub(crate) fn meets(ring: &[[f64; 2]], bbox: &Bbox) -> bool {
    [-360.0, 0.0, 360.0].iter().any(|shift| meets_unwrapped(ring, bbox, *shift))
}

/// By separating axes: those of the box, and the normals of the ring's edges.
fn meets_unwrapped(ring: &[[f64; 2]], bbox: &Bbox, shift: f64) -> bool {
    if ring.is_empty() {
        return false;
    }
    let (west, east) = (bbox.west + shift - SLACK, bbox.east_unwrapped() + shift + SLACK);
    let (south, north) = (bbox.south - SLACK, bbox.north + SLACK);
    let beyond = |out: &dyn Fn(&[f64; 2]) -> bool| ring.iter().all(out);
    if beyond(&|p| p[0] < west) || beyond(&|p| p[0] > east) || beyond(&|p| p[1] < south) || beyond(&|p| p[1] > north) {
        return false;
    }
    let corners = [[west, south], [east, south], [east, north], [west, north]];
    !ring.windows(2).any(|edge| {
        let (dx, dy) = (edge[1][0] - edge[0][0], edge[1][1] - edge[0][1]);
        // Counter-clockwise: what lies to the right of an edge lies outside.
        corners.iter().all(|corner| dx * (corner[1] - edge[0][1]) - dy * (corner[0] - edge[0][0]) < 0.0)
    })
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
        assert!(meets(&DIAMOND, &bbox(-1.0, -1.0, 1.0, 1.0)));
        assert!(meets(&DIAMOND, &bbox(-20.0, -20.0, 20.0, 20.0)));
        assert!(meets(&DIAMOND, &bbox(4.0, 4.0, 9.0, 9.0)));
        assert!(!meets(&DIAMOND, &bbox(6.0, 6.0, 9.0, 9.0)));
        assert!(!meets(&DIAMOND, &bbox(20.0, 0.0, 30.0, 1.0)));
        assert!(!meets(&[], &bbox(-1.0, -1.0, 1.0, 1.0)));
    }

    #[test]
    fn the_antimeridian_is_no_border() {
        let ring = DIAMOND.map(|[x, y]| [x + 180.0, y]);
        assert!(meets(&ring, &bbox(-179.0, -1.0, -178.0, 1.0)));
        assert!(meets(&ring, &bbox(178.0, -1.0, -178.0, 1.0)));
        assert!(!meets(&ring, &bbox(-165.0, -1.0, -160.0, 1.0)));
    }
}
