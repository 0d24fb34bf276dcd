//! Where in the raster the pixels of a map tile lie: projected exactly at the corners of cells, linearly in between, cells divided until that is
//! right to a sixteenth of a pixel.

use shared::grid::{HALF_WORLD_M, Placement, TILE_SIZE, pixel_side_m};

use super::locate::Locator;

/// How far a pixel may be from where it would be projected to, in pixels of the raster.
const TOLERANCE_PIXELS: f64 = 0.0625;

/// A smaller bend is rounding.
const BEND_MIN: f64 = 1e-6;

/// A run of pixels of a tile whose places in the raster lie on a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    /// Row and first column in the tile.
    pub(super) row: usize,
    pub(super) column: usize,
    pub(super) length: usize,
    /// Where the first pixel's center lies, in pixels of the raster (0,0 is its first corner).
    pub(super) x: f64,
    pub(super) y: f64,
    /// From one pixel to the next.
    pub(super) dx: f64,
    pub(super) dy: f64,
    /// Pixels of the raster per pixel of the tile, along the raster's axes.
    pub(super) scale: [f64; 2],
}

/// A square of pixel centers: side, corner, and where its four corners lie (north-west, north-east, south-west, south-east).
#[derive(Clone, Copy, Debug)]
struct Cell {
    column: usize,
    row: usize,
    side: usize,
    corners: [[f64; 2]; 4],
}

/// The spans of tile (`col`, `row`) of a placement's own rectangle that lie in a raster of `size` pixels.
pub(super) fn spans(locator: &Locator, placement: &Placement, (col, row): (u32, u32), size: [f64; 2]) -> Vec<Span> {
    let pixel = pixel_side_m(placement.maxzoom);
    let tile = TILE_SIZE as f64;
    let west = -HALF_WORLD_M + f64::from(placement.col + col) * tile * pixel;
    let north = HALF_WORLD_M - f64::from(placement.row + row) * tile * pixel;
    let locate = |points: &mut Vec<[f64; 2]>| {
        let mut x: Vec<f64> = points.iter().map(|p| west + (p[0] + 0.5) * pixel).collect();
        let mut y: Vec<f64> = points.iter().map(|p| north - (p[1] + 0.5) * pixel).collect();
        locator.pixels_of_mercator(&mut x, &mut y);
        for (point, (x, y)) in points.iter_mut().zip(x.into_iter().zip(y)) {
            *point = [x, y];
        }
    };
    let side = TILE_SIZE;
    let mut corners = vec![[0.0, 0.0], [tile, 0.0], [0.0, tile], [tile, tile]];
    locate(&mut corners);
    let mut cells = vec![Cell { column: 0, row: 0, side, corners: [corners[0], corners[1], corners[2], corners[3]] }];
    let mut out = Vec::new();
    while !cells.is_empty() {
        let mut checks: Vec<[f64; 2]> = cells.iter().flat_map(Cell::checks).collect();
        locate(&mut checks);
        let mut next = Vec::new();
        for (cell, checks) in cells.iter().zip(checks.chunks_exact(5)) {
            if cell.side == 1 {
                cell.add_spans(size, &mut out);
            } else if cell.is_linear(checks) {
                cell.balanced(checks).add_spans(size, &mut out);
            } else if !cell.is_hopeless(checks) && !cell.is_outside(checks, size) {
                next.extend(cell.divide(checks));
            }
        }
        cells = next;
    }
    out
}

impl Cell {
    /// Points between the corners: north, west, middle, east, south.
    fn checks(&self) -> [[f64; 2]; 5] {
        let (c, r, s) = (self.column as f64, self.row as f64, self.side as f64);
        let h = s / 2.0;
        [[c + h, r], [c, r + h], [c + h, r + h], [c + s, r + h], [c + h, r + s]]
    }

    fn is_linear(&self, checks: &[[f64; 2]]) -> bool {
        let [nw, ne, sw, se] = self.corners;
        let mean = |points: &[[f64; 2]]| {
            let n = points.len() as f64;
            [points.iter().map(|p| p[0]).sum::<f64>() / n, points.iter().map(|p| p[1]).sum::<f64>() / n]
        };
        let expected = [mean(&[nw, ne]), mean(&[nw, sw]), mean(&self.corners), mean(&[ne, se]), mean(&[sw, se])];
        // NaN compares false, so cells that reach off the map are divided.
        expected
            .iter()
            .zip(checks)
            .all(|(e, c)| (e[0] - c[0]).abs() <= TOLERANCE_PIXELS && (e[1] - c[1]).abs() <= TOLERANCE_PIXELS)
    }

    /// Moved so that a bend errs as much to one side as to the other: lines through the corners would all lie on its inside, a shift of the whole.
    fn balanced(mut self, checks: &[[f64; 2]]) -> Self {
        for axis in 0..2 {
            let bend = checks[2][axis] - self.corners.iter().map(|corner| corner[axis]).sum::<f64>() / 4.0;
            if bend.abs() > BEND_MIN {
                // The mean height of a parabola over its chord is two thirds of the highest.
                self.corners.iter_mut().for_each(|corner| corner[axis] += bend * 2.0 / 3.0);
            }
        }
        self
    }

    /// Small, and no point of it is on the map.
    fn is_hopeless(&self, checks: &[[f64; 2]]) -> bool {
        self.side <= TILE_SIZE / 8 && self.corners.iter().chain(checks).all(|p| p[0].is_nan())
    }

    /// Bent, but so far beyond one edge of the raster that it cannot bend back.
    fn is_outside(&self, checks: &[[f64; 2]], size: [f64; 2]) -> bool {
        (0..2).any(|axis| {
            let values = || self.corners.iter().chain(checks).map(|p| p[axis]);
            let (low, high) = values().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
            values().all(f64::is_finite) && (high + (high - low) < 0.0 || low - (high - low) > size[axis])
        })
    }

    fn divide(&self, checks: &[[f64; 2]]) -> [Self; 4] {
        let [nw, ne, sw, se] = self.corners;
        let [n, w, m, e, s] = [checks[0], checks[1], checks[2], checks[3], checks[4]];
        let side = self.side / 2;
        let cell = |east: usize, south: usize, corners| Self {
            column: self.column + east * side,
            row: self.row + south * side,
            side,
            corners,
        };
        [cell(0, 0, [nw, n, w, m]), cell(1, 0, [n, ne, m, e]), cell(0, 1, [w, m, sw, s]), cell(1, 1, [m, e, s, se])]
    }

    /// A span per row, cut to the raster.
    fn add_spans(&self, size: [f64; 2], out: &mut Vec<Span>) {
        let [nw, ne, sw, se] = self.corners;
        if !nw[0].is_finite() {
            return;
        }
        let n = self.side as f64;
        let known = |v: f64| if v.is_finite() { v } else { 0.0 };
        // A raster all the way round begins again at the wrap: a step over it says nothing of the scale there.
        let steady = |v: f64, axis: usize| if self.side == 1 && v.abs() > size[axis] / 2.0 { 0.0 } else { known(v) };
        let scale = [0, 1].map(|axis| {
            let [nw, ne, sw, se] = [nw, ne, sw, se].map(|corner| corner[axis]);
            let (along, down) = if self.side == 1 {
                (ne - nw, sw - nw)
            } else {
                ((ne - nw + se - sw) / 2.0, (sw - nw + se - ne) / 2.0)
            };
            steady(along / n, axis).hypot(steady(down / n, axis))
        });
        for i in 0..self.side {
            let t = i as f64 / n;
            let start = [nw[0] + t * (sw[0] - nw[0]), nw[1] + t * (sw[1] - nw[1])];
            let end = [ne[0] + t * (se[0] - ne[0]), ne[1] + t * (se[1] - ne[1])];
            let [dx, dy] = [(end[0] - start[0]) / n, (end[1] - start[1]) / n];
            let (dx, dy) = if self.side == 1 { (known(dx), known(dy)) } else { (dx, dy) };
            let span = Span {
                row: self.row + i,
                column: self.column,
                length: self.side,
                x: start[0],
                y: start[1],
                dx,
                dy,
                scale,
            };
            out.extend(span.cut(size));
        }
    }
}

impl Span {
    /// The part whose centers lie in the raster.
    fn cut(mut self, size: [f64; 2]) -> Option<Self> {
        let (mut first, mut end) = (0, self.length);
        let inside = |span: &Self, i: usize| {
            let (x, y) = span.at(i);
            x >= 0.0 && y >= 0.0 && x < size[0] && y < size[1]
        };
        // The raster is convex and the span straight, so what lies inside is one run; its ends are found by arithmetic, then held against the test.
        for (start, step, limit) in [(self.x, self.dx, size[0]), (self.y, self.dy, size[1])] {
            let (low, high) = match step {
                s if s > 0.0 => (-start / s, (limit - start) / s),
                s if s < 0.0 => ((limit - start) / s, -start / s),
                _ => continue,
            };
            first = first.max((low.floor() - 1.0).max(0.0) as usize);
            end = end.min((high.ceil() + 1.0).max(0.0) as usize);
        }
        while first < end && !inside(&self, first) {
            first += 1;
        }
        while first < end && !inside(&self, end - 1) {
            end -= 1;
        }
        if first >= end {
            return None;
        }
        (self.x, self.y) = self.at(first);
        self.column += first;
        self.length = end - first;
        Some(self)
    }

    /// The pixels from `first` on.
    pub(super) fn part(&self, first: usize, length: usize) -> Self {
        let (x, y) = self.at(first);
        Self { column: self.column + first, length, x, y, ..*self }
    }

    /// Where pixel `i` lies.
    pub(super) fn at(&self, i: usize) -> (f64, f64) {
        (self.x + i as f64 * self.dx, self.y + i as f64 * self.dy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(x: f64, y: f64, dx: f64, dy: f64) -> Span {
        Span { row: 3, column: 10, length: 100, x, y, dx, dy, scale: [1.0, 1.0] }
    }

    #[test]
    fn a_span_is_cut_to_the_raster() {
        let cut = span(-5.25, 2.0, 1.0, 0.0).cut([20.0, 20.0]).unwrap();
        assert_eq!((cut.column, cut.length, cut.x), (16, 20, 0.75));
        let cut = span(25.0, 30.0, -0.5, -0.5).cut([20.0, 20.0]).unwrap();
        assert_eq!(cut.at(0), (14.5, 19.5));
        assert!(span(5.0, 21.0, 1.0, 0.0).cut([20.0, 20.0]).is_none());
        assert!(span(f64::NAN, 1.0, 1.0, 0.0).cut([20.0, 20.0]).is_none());
    }

    #[test]
    fn a_step_over_the_wrap_widens_no_kernel() {
        let corners = [[359.5, 10.0], [0.5, 10.0], [359.5, 11.0], [0.5, 11.0]];
        let mut spans = Vec::new();
        Cell { column: 4, row: 5, side: 1, corners }.add_spans([360.0, 180.0], &mut spans);
        assert_eq!((spans.len(), spans[0].x, spans[0].scale), (1, 359.5, [0.0, 1.0]));
        let corners = [[100.0, 10.0], [103.0, 10.0], [100.0, 12.0], [103.0, 12.0]];
        Cell { column: 4, row: 5, side: 1, corners }.add_spans([360.0, 180.0], &mut spans);
        assert_eq!(spans[1].scale, [3.0, 2.0]);
    }

    #[test]
    fn cut_spans_hold_exactly_the_centers_inside() {
        for i in 0..500u32 {
            let f = |k: u32| f64::from(i.wrapping_mul(2_654_435_761).wrapping_mul(k) >> 8) / f64::from(1 << 24);
            let whole = span(60.0 * f(3) - 20.0, 60.0 * f(5) - 20.0, 3.0 * f(7) - 1.5, 3.0 * f(11) - 1.5);
            let inside = |i: &usize| {
                let (x, y) = whole.at(*i);
                (0.0..20.0).contains(&x) && (0.0..20.0).contains(&y)
            };
            let expected = (0..100).filter(inside).count();
            assert_eq!(whole.cut([20.0, 20.0]).map_or(0, |s| s.length), expected, "{whole:?}");
        }
    }
}
