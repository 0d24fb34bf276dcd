//! The floating-point predictor undone. Adobe Photoshop TIFF Technical Note 3: bytes of a row are differenced, and stored most significant bytes
//! of all samples first.

#![expect(
    clippy::inline_always,
    reason = "only what is inlined into a function that is compiled for wide vectors has them"
)]

use std::marker::PhantomData;

use bytemuck::Pod;
use shared::grid::TILE_SIZE;

/// Samples that are joined of their bytes together; a row of a block has a multiple of them.
const JOINED: usize = 64;

/// Rows of `stride` interleaved samples of `BYTES` bytes.
pub(super) fn undo_floating_point<T: Pod, const BYTES: usize>(bytes: &mut [u8], stride: usize) -> Vec<T> {
    const { assert!(size_of::<T>() == BYTES, "samples are of these bytes") };
    let row_bytes = TILE_SIZE * stride * BYTES;
    if stride == 1 {
        bytes.chunks_mut(2 * row_bytes).for_each(|rows| accumulate(rows, row_bytes));
    } else {
        for row in bytes.chunks_exact_mut(row_bytes) {
            (stride..row.len()).for_each(|i| row[i] = row[i].wrapping_add(row[i - stride]));
        }
    }
    pulp::Arch::new().dispatch(Joining::<T, BYTES> { bytes, row_bytes, samples: PhantomData })
}

/// Adds to each byte of one or two rows all before it.
fn accumulate(rows: &mut [u8], row_bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    if rows.len() == 2 * row_bytes
        && let Some(simd) = pulp::x86::V3::try_new()
    {
        let (first, second) = rows.split_at_mut(row_bytes);
        return simd.vectorize(Accumulating { simd, first, second });
    }
    for row in rows.chunks_exact_mut(row_bytes) {
        (1..row.len()).for_each(|i| row[i] = row[i].wrapping_add(row[i - 1]));
    }
}

/// Sums of the bytes of two rows side by side. Sixteen at a time, in four steps of one, two, four and eight bytes: one after another would wait for
/// each addition.
#[cfg(target_arch = "x86_64")]
struct Accumulating<'r> {
    simd: pulp::x86::V3,
    first: &'r mut [u8],
    second: &'r mut [u8],
}

#[cfg(target_arch = "x86_64")]
impl pulp::NullaryFnOnce for Accumulating<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd: pulp::x86::V3 { avx, avx2, .. }, first, second } = self;
        let (mut before, last) = (avx._mm256_setzero_si256(), avx._mm256_set1_epi8(15));
        let (first, second) = (first.as_chunks_mut::<16>().0, second.as_chunks_mut::<16>().0);
        for (first, second) in first.iter_mut().zip(second) {
            let mut sums = bytemuck::cast([*first, *second]);
            sums = avx2._mm256_add_epi8(sums, avx2._mm256_slli_si256::<1>(sums));
            sums = avx2._mm256_add_epi8(sums, avx2._mm256_slli_si256::<2>(sums));
            sums = avx2._mm256_add_epi8(sums, avx2._mm256_slli_si256::<4>(sums));
            sums = avx2._mm256_add_epi8(sums, avx2._mm256_slli_si256::<8>(sums));
            [*first, *second] = bytemuck::cast(avx2._mm256_add_epi8(sums, before));
            before = avx2._mm256_add_epi8(before, avx2._mm256_shuffle_epi8(sums, last));
        }
    }
}

/// Samples of bytes that lie in a plane for each place of a byte, joined in the widest vectors that the machine has.
struct Joining<'b, T, const BYTES: usize> {
    bytes: &'b [u8],
    row_bytes: usize,
    samples: PhantomData<T>,
}

impl<T: Pod, const BYTES: usize> pulp::NullaryFnOnce for Joining<'_, T, BYTES> {
    type Output = Vec<T>;

    #[inline(always)]
    fn call(self) -> Vec<T> {
        let mut out = Vec::with_capacity(self.bytes.len() / BYTES);
        let mut joined = [T::zeroed(); JOINED];
        for row in self.bytes.chunks_exact(self.row_bytes) {
            let plane = row.len() / BYTES;
            for piece in 0..plane / JOINED {
                // The compiler must know all lengths to make vectors.
                let planes: [&[u8; JOINED]; BYTES] =
                    std::array::from_fn(|k| &row[k * plane..(k + 1) * plane].as_chunks().0[piece]);
                let samples = bytemuck::cast_slice_mut::<T, u8>(&mut joined).as_chunks_mut::<BYTES>().0;
                if let Some(samples) = samples.first_chunk_mut::<JOINED>() {
                    for i in 0..JOINED {
                        for k in 0..BYTES {
                            samples[i][k] = planes[BYTES - 1 - k][i];
                        }
                    }
                }
                out.extend_from_slice(&joined);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_rows_are_summed_as_each_by_itself() {
        for row_bytes in [TILE_SIZE * 4, TILE_SIZE * 8] {
            let bytes: Vec<u8> = (0..2 * row_bytes).map(|i| (i * i / 7 + i) as u8).collect();
            let (mut together, mut alone) = (bytes.clone(), bytes.clone());
            accumulate(&mut together, row_bytes);
            alone.chunks_exact_mut(row_bytes).for_each(|row| accumulate(row, row_bytes));
            assert_eq!(together, alone);
            let second: u8 = bytes[row_bytes..].iter().fold(0, |sum, byte| sum.wrapping_add(*byte));
            assert_eq!(together.last(), Some(&second));
        }
    }

    #[test]
    fn doubles_and_interleaved_samples_are_joined() {
        for stride in [1, 3] {
            let values: Vec<f64> = (0..TILE_SIZE * stride * 2).map(|i| (i as f64).sin() * 1e6).collect();
            let mut bytes = Vec::new();
            for row in values.chunks_exact(TILE_SIZE * stride) {
                let start = bytes.len();
                for k in 0..8 {
                    bytes.extend(row.iter().map(|value| value.to_be_bytes()[k]));
                }
                for i in (start + stride..bytes.len()).rev() {
                    bytes[i] = bytes[i].wrapping_sub(bytes[i - stride]);
                }
            }
            assert_eq!(undo_floating_point::<f64, 8>(&mut bytes, stride), values, "{stride} samples");
        }
    }
}
