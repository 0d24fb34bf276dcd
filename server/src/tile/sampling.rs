//! Which source pixels make which tile pixel: the kernels of zooming in and out, along one axis at a time.
//!
//! All kernels are separable. A tile pixel is valid if any of its *core* source pixels is: all of them when zooming out, the nearest one when
//! zooming in, so that the edge of what is valid stays where it is; its value is the mean of its valid source pixels by weight.

/// How source pixels become tile pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kernel {
    /// Zooming out the mean, zooming in bilinear.
    Continuous,
    /// Zooming out the most frequent value, zooming in the nearest.
    Mode,
    /// Always the nearest.
    Nearest,
}

/// One source pixel's part in a tile pixel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tap {
    /// Index into [`Axis::pixels`].
    pub(crate) at: u32,
    /// Weight, above 0.
    pub(crate) weight: f64,
    /// Whether its validity makes the tile pixel valid.
    pub(crate) core: bool,
}

/// One axis of a tile.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Axis {
    /// The source pixels that are needed, counted from the edge of the COG's rectangle, ascending.
    pub(crate) pixels: Vec<u32>,
    taps: Vec<Tap>,
    /// Where each tile pixel's taps begin; one more at the end.
    starts: Vec<u32>,
}

/// Along one axis: the rectangle of a COG and the window of a tile, both in source pixels of one level, from the edge of the world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// First source pixel of the rectangle.
    pub(crate) rect_start: i64,
    /// Source pixels in the rectangle.
    pub(crate) rect_len: i64,
    /// Source pixels round the world, where the axis wraps.
    pub(crate) wraps_at: Option<i64>,
    /// Left (or upper) edge of the window.
    pub(crate) from: f64,
    /// Right (or lower) edge of the window.
    pub(crate) to: f64,
    /// Tile pixels across the window.
    pub(crate) size: u32,
}

impl Window {
    /// The span of rectangle pixels that the window touches, once per way round: `[first, end)`, not clipped to be contiguous.
    fn spans(&self) -> impl Iterator<Item = f64> + use<> {
        let base = -(self.rect_start as f64);
        let wrap = self.wraps_at.map(|w| w as f64);
        [Some(base), wrap.map(|w| base - w), wrap.map(|w| base + w)].into_iter().flatten()
    }

    /// How many of the rectangle's pixels the window may touch.
    pub(crate) fn touched(&self) -> i64 {
        let touched = self.spans().map(|shift| {
            let first = (self.from + shift).floor().max(0.0);
            let end = (self.to + shift).ceil().min(self.rect_len as f64);
            (end - first).max(0.0) as i64
        });
        touched.sum::<i64>().min(self.rect_len)
    }
}

impl Axis {
    /// The taps of every tile pixel.
    pub(crate) fn new(window: Window, kernel: Kernel) -> Self {
        if let Some(block) = Self::of_block(window) {
            return block;
        }
        let size = window.size as usize;
        let mut build = Build { window, taps: Vec::with_capacity(2 * size), starts: Vec::with_capacity(size + 1) };
        build.starts.push(0);
        let ratio = (window.to - window.from) / f64::from(window.size.max(1));
        for i in 0..window.size {
            let from = window.from + f64::from(i) * ratio;
            let to = from + ratio;
            if kernel == Kernel::Nearest || (kernel == Kernel::Mode && ratio <= 1.0) {
                build.tap(f64::midpoint(from, to).floor() as i64, 1.0, true);
            } else if ratio > 1.0 || (from.fract() == 0.0 && ratio >= 1.0) {
                build.cover(from, to);
            } else {
                build.between(f64::midpoint(from, to));
            }
            build.starts.push(build.taps.len() as u32);
        }
        build.finish()
    }

    /// The usual case, in a hundredth of the time: the window is so many pixels of the rectangle as they are.
    fn of_block(window: Window) -> Option<Self> {
        let first = window.from - window.rect_start as f64;
        let fits = first >= 0.0 && first + f64::from(window.size) <= window.rect_len as f64;
        if first.fract() != 0.0 || window.to - window.from != f64::from(window.size) || !fits {
            return None;
        }
        let pixels = (first as u32..).take(window.size as usize).collect();
        let taps = (0..window.size).map(|at| Tap { at, weight: 1.0, core: true }).collect();
        Some(Self { pixels, taps, starts: (0..=window.size).collect() })
    }

    /// Tile pixels along the axis.
    pub(crate) fn size(&self) -> usize {
        self.starts.len() - 1
    }

    /// The taps of a tile pixel.
    pub(crate) fn taps(&self, i: usize) -> &[Tap] {
        &self.taps[self.starts[i] as usize..self.starts[i + 1] as usize]
    }

    /// Whether no tile pixel takes more than one source pixel.
    pub(crate) fn is_gather(&self) -> bool {
        self.starts.windows(2).all(|w| w[1] - w[0] <= 1)
    }

    /// Whether tile pixel i is exactly the i-th of `pixels`.
    pub(crate) fn is_identity(&self) -> bool {
        let exact = self.pixels.len() == self.size() && self.taps.len() == self.size() && self.is_gather();
        exact && self.taps.iter().enumerate().all(|(i, tap)| tap.at as usize == i)
    }

    /// Whether tile pixel i is exactly source pixel `first + i` of a block that begins there.
    pub(crate) fn is_block(&self, block_size: usize) -> bool {
        let (Some(first), Some(last)) = (self.pixels.first(), self.pixels.last()) else { return false };
        let (first, last) = (*first as usize, *last as usize);
        let contiguous = first.is_multiple_of(block_size) && last - first + 1 == block_size;
        self.size() == block_size && contiguous && self.is_identity()
    }
}

struct Build {
    window: Window,
    /// `at` holds rectangle pixels until `finish`.
    taps: Vec<Tap>,
    starts: Vec<u32>,
}

impl Build {
    /// A tap at a source pixel counted from the edge of the world, if it lies in the rectangle.
    fn tap(&mut self, pixel: i64, weight: f64, core: bool) {
        let mut at = pixel - self.window.rect_start;
        if let Some(wraps_at) = self.window.wraps_at {
            at = at.rem_euclid(wraps_at.max(1));
        }
        if (0..self.window.rect_len).contains(&at) && weight > 0.0 {
            self.taps.push(Tap { at: at as u32, weight, core });
        }
    }

    /// Every source pixel that overlaps, by its overlap.
    fn cover(&mut self, from: f64, to: f64) {
        for shift in self.window.spans() {
            let (from, to) = (from + shift, to + shift);
            let first = from.floor().max(0.0) as i64;
            let end = to.ceil().min(self.window.rect_len as f64) as i64;
            for at in first..end {
                let weight = to.min((at + 1) as f64) - from.max(at as f64);
                if weight > 0.0 {
                    self.taps.push(Tap { at: at as u32, weight, core: true });
                }
            }
        }
    }

    /// The two source pixels whose centers lie about a point.
    fn between(&mut self, point: f64) {
        let left = (point - 0.5).floor();
        let part = point - 0.5 - left;
        let nearest = point.floor() as i64;
        let left = left as i64;
        self.tap(left, 1.0 - part, left == nearest);
        self.tap(left + 1, part, left + 1 == nearest);
    }

    fn finish(mut self) -> Axis {
        let mut pixels: Vec<u32> = self.taps.iter().map(|tap| tap.at).collect();
        // Only those of an axis that wraps are not in order.
        if !pixels.is_sorted() {
            pixels.sort_unstable();
        }
        pixels.dedup();
        let first = pixels.first().copied().unwrap_or_default();
        let is_contiguous = pixels.last().is_some_and(|last| (last - first) as usize + 1 == pixels.len());
        for tap in &mut self.taps {
            tap.at = if is_contiguous { tap.at - first } else { pixels.partition_point(|p| *p < tap.at) as u32 };
        }
        Axis { pixels, taps: self.taps, starts: self.starts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(from: f64, to: f64, size: u32) -> Window {
        Window { rect_start: 256, rect_len: 512, wraps_at: None, from, to, size }
    }

    #[test]
    fn at_its_own_zoom_a_tile_is_a_block() {
        let axis = Axis::new(window(512.0, 768.0, 256), Kernel::Continuous);
        assert!(axis.is_block(256) && axis.is_gather());
        assert_eq!((axis.pixels[0], axis.pixels[255]), (256, 511));
        assert!(
            Axis::of_block(window(512.0, 768.0, 128)).is_none() && Axis::of_block(window(512.5, 768.5, 256)).is_none()
        );
        assert!(Axis::of_block(window(640.0, 896.0, 256)).is_none(), "it reaches beyond the rectangle");
        let mut by_taps = Build { window: window(512.0, 768.0, 256), taps: Vec::new(), starts: vec![0] };
        for i in 0..256 {
            by_taps.cover(512.0 + f64::from(i), 513.0 + f64::from(i));
            by_taps.starts.push(by_taps.taps.len() as u32);
        }
        assert_eq!(axis, by_taps.finish());
    }

    #[test]
    fn zooming_out_takes_all_that_overlaps() {
        let axis = Axis::new(window(256.0, 768.0, 256), Kernel::Continuous);
        assert_eq!(
            axis.taps(3).iter().map(|t| (axis.pixels[t.at as usize], t.weight)).collect::<Vec<_>>(),
            [(6, 1.0), (7, 1.0)]
        );
    }

    #[test]
    fn zooming_in_reaches_into_the_neighbouring_block_but_not_beyond_the_rectangle() {
        let axis = Axis::new(window(512.0, 640.0, 256), Kernel::Continuous);
        let first: Vec<_> = axis.taps(0).iter().map(|t| (axis.pixels[t.at as usize], t.weight, t.core)).collect();
        assert_eq!(first, [(255, 0.25, false), (256, 0.75, true)]);
        let edge = Axis::new(window(256.0, 384.0, 256), Kernel::Continuous);
        assert_eq!(edge.taps(0).len(), 1);
    }

    #[test]
    fn an_axis_that_wraps_finds_its_pixels_on_both_sides() {
        // A world of 1024 pixels; the rectangle runs from 768 to 1280.
        let window = Window { rect_start: 768, rect_len: 512, wraps_at: Some(1024), from: 0.0, to: 256.0, size: 512 };
        let axis = Axis::new(window, Kernel::Continuous);
        let first: Vec<_> = axis.taps(0).iter().map(|t| axis.pixels[t.at as usize]).collect();
        assert_eq!(first, [255, 256]);
        let world = Window { from: 0.0, to: 1024.0, size: 4, ..window };
        let axis = Axis::new(world, Kernel::Continuous);
        assert_eq!((axis.taps(0).len(), axis.taps(1).len(), axis.taps(2).len(), axis.taps(3).len()), (256, 0, 0, 256));
        assert_eq!(world.touched(), 512);
    }

    #[test]
    fn categories_are_never_mixed() {
        let axis = Axis::new(window(512.0, 640.0, 256), Kernel::Mode);
        assert!(axis.is_gather());
        assert_eq!(axis.pixels[axis.taps(3)[0].at as usize], 257);
    }
}
