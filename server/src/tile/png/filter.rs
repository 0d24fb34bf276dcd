//! Filters (W3C PNG §9): each byte less a guess at it, which leaves small numbers; and which guess suits the rows.
//! The loops are written so that they become vector instructions of any CPU.

/// A filter type (W3C PNG §9.2), by its byte. The guess at a byte is made of those of the pixels to the left,
/// above, and above left.
#[derive(Clone, Copy, Debug)]
enum Filter {
    /// 0.
    None = 0,
    /// The one to the left.
    Sub = 1,
    /// The one above.
    Up = 2,
    /// The mean of both, rounded down.
    Average = 3,
    /// Whichever of the three is nearest to left + above - above left.
    Paeth = 4,
}

impl Filter {
    /// All of them; of two that are as good the first is taken. Paeth suits the first row too, which Up does not.
    const ALL: [Self; 5] = [Self::None, Self::Paeth, Self::Sub, Self::Up, Self::Average];
}

/// Rows that share a filter. Fewer rows, or a choice for each, make PNGs of less than 1 % fewer bytes.
const BAND: usize = 64;
/// Of those, the first that is tried, and every so many further: five of a whole band.
const TRIED_FIRST: usize = 6;
const TRIED_EACH: usize = 13;

/// Pixels of `pixel` bytes in rows of `length` bytes, filtered, each row after the byte of its filter.
pub(super) fn filter(pixels: &[u8], length: usize, pixel: usize) -> Vec<u8> {
    // What lies above the first row.
    let zeros = vec![0; length];
    let rows: Vec<(&[u8], &[u8])> =
        std::iter::once(zeros.as_slice()).chain(pixels.chunks_exact(length)).zip(pixels.chunks_exact(length)).collect();
    let mut out = vec![0; rows.len() * (length + 1)];
    let mut scratch = zeros.clone();
    for (rows, out) in rows.chunks(BAND).zip(out.chunks_mut(BAND * (length + 1))) {
        let filter = choose(rows, pixel, &mut scratch);
        for ((above, row), out) in rows.iter().zip(out.chunks_exact_mut(length + 1)) {
            if let [kind, out @ ..] = out {
                *kind = filter as u8;
                apply(filter, pixel, above, row, out);
            }
        }
    }
    out
}

/// The filter that leaves the smallest numbers of some of these rows, each after the one above it.
fn choose(rows: &[(&[u8], &[u8])], pixel: usize, scratch: &mut [u8]) -> Filter {
    let first = TRIED_FIRST.min(rows.len() - 1);
    let cost = |filter: &Filter| -> u64 {
        let tried = rows.iter().skip(first).step_by(TRIED_EACH);
        tried
            .map(|(above, row)| {
                apply(*filter, pixel, above, row, scratch);
                magnitude(scratch)
            })
            .sum()
    };
    Filter::ALL.into_iter().min_by_key(cost).unwrap_or(Filter::None)
}

/// The sum of the bytes' absolutes as signed numbers: a cheap measure of the bits they will take (W3C PNG, filter
/// selection).
fn magnitude(bytes: &[u8]) -> u64 {
    // 32 bits, which are faster, hold the sum of so many.
    let parts = bytes.chunks(1 << 16);
    parts.map(|part| u64::from(part.iter().map(|byte| u32::from((*byte).min(byte.wrapping_neg()))).sum::<u32>())).sum()
}

/// Writes a row, filtered. All of one length.
fn apply(filter: Filter, pixel: usize, above: &[u8], row: &[u8], out: &mut [u8]) {
    match filter {
        Filter::None => subtract(pixel, above, row, out, |_, _, _| 0),
        Filter::Sub => subtract(pixel, above, row, out, |a, _, _| a),
        Filter::Up => subtract(pixel, above, row, out, |_, b, _| b),
        Filter::Average => subtract(pixel, above, row, out, |a, b, _| (a & b) + ((a ^ b) >> 1)),
        Filter::Paeth => subtract(pixel, above, row, out, paeth),
    }
}

/// Writes a row less the guess at each byte from those to the left, above and above left: a, b and c of the standard.
#[inline]
fn subtract(pixel: usize, above: &[u8], row: &[u8], out: &mut [u8], guess: impl Fn(u8, u8, u8) -> u8) {
    let (out_first, out) = out.split_at_mut(pixel);
    // Zeros are to the left of the first pixel.
    for (out, (x, b)) in out_first.iter_mut().zip(row.iter().zip(above)) {
        *out = x.wrapping_sub(guess(0, *b, 0));
    }
    let neighbours = row.iter().zip(&above[pixel..]).zip(above);
    for ((out, x), ((a, b), c)) in out.iter_mut().zip(&row[pixel..]).zip(neighbours) {
        *out = x.wrapping_sub(guess(*a, *b, *c));
    }
}

/// The Paeth predictor (W3C PNG §9.4) without branches or numbers of more than 8 bits. Between a and b, c is the nearest
/// to a + b - c unless it is at least twice as far from one of them as from the other: then that one is. Beyond one of
/// them, the other is.
#[inline]
fn paeth(a: u8, b: u8, c: u8) -> u8 {
    let (low, high) = (a.min(b), a.max(b));
    // How far c is from both; 0 from the one it lies beyond.
    let (to_low, to_high) = (c.saturating_sub(low), high.saturating_sub(c));
    let high_or_c = if to_low.saturating_add(to_low) <= to_high { high } else { c };
    if to_high.saturating_add(to_high) <= to_low { low } else { high_or_c }
}

#[cfg(test)]
mod tests {
    use super::paeth;

    #[test]
    fn the_predictor_is_that_of_the_standard() {
        for (a, b, c) in (0..1 << 24).map(|i: u32| (i as u8, (i >> 8) as u8, (i >> 16) as u8)) {
            let p = i32::from(a) + i32::from(b) - i32::from(c);
            let [pa, pb, pc] = [a, b, c].map(|v| (p - i32::from(v)).abs());
            let expected = if pa <= pb && pa <= pc {
                a
            } else if pb <= pc {
                b
            } else {
                c
            };
            assert_eq!(paeth(a, b, c), expected, "{a} {b} {c}");
        }
    }
}
