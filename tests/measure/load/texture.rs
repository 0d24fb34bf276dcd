//! Pictures of ground by formula, quick to ask: octaves of value noise in a table that repeats.

use harness::formula::scramble;

/// Pixels after which it repeats, along both axes.
const SIDE: usize = 2048;

/// Values in [0, 1], about ½ on average.
#[derive(Debug)]
pub(crate) struct Texture(Vec<f32>);

impl Texture {
    /// Octaves from features `widest` pixels wide to ones of `finest`, each `falloff` as strong as the one before; both are powers of two. Besides, grain
    /// of each pixel alone.
    pub(crate) fn new(seed: u64, (widest, finest): (usize, usize), falloff: f32, grain: f32) -> Self {
        let mut sums = vec![0f32; SIDE * SIDE];
        let (mut weight, mut total, mut width, mut octave) = (1.0, 0.0, widest, 0);
        while width >= finest {
            add_octave(&mut sums, seed.wrapping_add(octave), width, weight);
            (total, weight, width, octave) = (total + weight, weight * falloff, width / 2, octave + 1);
        }
        for (i, sum) in sums.iter_mut().enumerate() {
            let noise = unit(scramble(seed ^ i as u64)) - 0.5;
            // Sums of octaves crowd about the middle.
            let spread = (*sum / total - 0.5) * 2.0 + 0.5;
            *sum = (spread + noise * grain).clamp(0.0, 1.0);
        }
        Self(sums)
    }

    /// The value at a pixel.
    pub(crate) fn at(&self, col: f64, row: f64) -> f64 {
        let (x, y) = (col as usize % SIDE, row as usize % SIDE);
        f64::from(self.0[y * SIDE + x])
    }
}

fn add_octave(sums: &mut [f32], seed: u64, width: usize, weight: f32) {
    let across = SIDE / width;
    let corner = |x: usize, y: usize| unit(scramble(seed ^ scramble((y % across * across + x % across) as u64)));
    let smooth = |i: usize| {
        let t = (i % width) as f32 / width as f32;
        t * t * (3.0 - 2.0 * t)
    };
    for (y, row) in sums.chunks_exact_mut(SIDE).enumerate() {
        let v = smooth(y);
        for (left, cell) in row.chunks_exact_mut(width).enumerate() {
            let side = |x: usize| corner(x, y / width) * (1.0 - v) + corner(x, y / width + 1) * v;
            let (west, east) = (side(left), side(left + 1));
            for (x, sum) in cell.iter_mut().enumerate() {
                *sum += weight * (west + (east - west) * smooth(x));
            }
        }
    }
}

fn unit(bits: u64) -> f32 {
    (bits >> 40) as f32 / (1u64 << 24) as f32
}
