//! The convex hull of valid pixels, from the first and the last valid column of each row, as rows come (Andrew's monotone chain).

use super::footprint::HULL_VERTICES_MAX;

/// A hull under construction: two chains from the first row with a valid pixel downwards. Memory is that of the hull, not of the rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Hull {
    left: Vec<[f64; 2]>,
    right: Vec<[f64; 2]>,
}

impl Hull {
    /// Row `y` is valid from column `first` to column `last`. Rows come in order.
    pub(super) fn add(&mut self, y: usize, first: usize, last: usize) {
        let (top, bottom) = (y as f64, y as f64 + 1.0);
        for y in [top, bottom] {
            push(&mut self.left, [first as f64, y], 1.0);
            push(&mut self.right, [last as f64 + 1.0, y], -1.0);
        }
    }

    /// Adds the hull of other rows of the same raster.
    pub(super) fn merge(&mut self, other: &Self) {
        for (chain, more, side) in [(&mut self.left, &other.left, 1.0), (&mut self.right, &other.right, -1.0)] {
            let mut points = std::mem::take(chain);
            points.extend(more);
            points.sort_by(|a, b| a[1].total_cmp(&b[1]).then((a[0] * side).total_cmp(&(b[0] * side))));
            for point in points {
                push(chain, point, side);
            }
        }
    }

    /// The corners, clockwise on screen (y down), in pixels; empty without a valid pixel. Very round ones are thinned out.
    pub(super) fn vertices(&self) -> Vec<[f64; 2]> {
        let mut vertices = self.right.clone();
        vertices.extend(self.left.iter().rev());
        vertices.dedup();
        let step = vertices.len().div_ceil(HULL_VERTICES_MAX).max(1);
        vertices.into_iter().step_by(step).collect()
    }
}

/// Appends a point and drops those before it that no longer stick out on the chain's side.
fn push(chain: &mut Vec<[f64; 2]>, point: [f64; 2], side: f64) {
    while let [.., a, b] = chain.as_slice() {
        let turn = (b[0] - a[0]) * (point[1] - a[1]) - (b[1] - a[1]) * (point[0] - a[0]);
        if turn * side < 0.0 {
            break;
        }
        chain.pop();
    }
    if chain.last() != Some(&point) {
        chain.push(point);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_rows_have_four_corners() {
        let mut hull = Hull::default();
        (0..10).for_each(|y| hull.add(y, 0, 6));
        let mut vertices = hull.vertices();
        vertices.sort_by(|a, b| a.partial_cmp(b).unwrap());
        assert_eq!(vertices, [[0.0, 0.0], [0.0, 10.0], [7.0, 0.0], [7.0, 10.0]]);
    }

    #[test]
    fn every_valid_pixel_lies_inside() {
        let mut whole = Hull::default();
        let mut parts = [Hull::default(), Hull::default()];
        let rows: Vec<(usize, usize)> = (0..40).map(|y| (20 - (y * 7 % 19), 22 + (y * 5 % 17))).collect();
        for (y, (first, last)) in rows.iter().enumerate() {
            whole.add(y, *first, *last);
            parts[y % 2].add(y, *first, *last);
        }
        let [mut joined, below] = parts;
        joined.merge(&below);
        assert_eq!(joined.vertices(), whole.vertices());
        let v = whole.vertices();
        for (y, (first, last)) in rows.iter().enumerate() {
            for point in [[*first as f64, y as f64], [*last as f64 + 1.0, y as f64 + 1.0]] {
                for i in 0..v.len() {
                    let (a, b) = (v[i], v[(i + 1) % v.len()]);
                    let turn = (b[0] - a[0]) * (point[1] - a[1]) - (b[1] - a[1]) * (point[0] - a[0]);
                    assert!(turn >= -1e-9, "{point:?} outside of {a:?} {b:?}");
                }
            }
        }
    }
}
