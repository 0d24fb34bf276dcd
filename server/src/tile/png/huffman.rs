//! Huffman codes of DEFLATE (RFC 1951 §3.2.2): lengths from frequencies, codes from lengths.

use super::bits::{BitWriter, Bits};

/// A symbol's code, its first bit the lowest, times 256, plus its length in bits.
pub(super) type Code = u32;

/// A symbol's code for the writer.
#[inline]
pub(super) fn code(code: Code) -> Bits {
    (u64::from(code >> 8), code & 0xFF)
}

/// The longest code RFC 1951 allows, in bits.
const LENGTH_MAX: usize = 15;

/// Bits of a symbol's number, of 286 at most.
const SYMBOL_BITS: u32 = 9;

/// More than the depths of any tree of 32-bit frequencies: one of depth n has at least the n-th Fibonacci number.
const DEPTHS: usize = 64;

/// Lengths in bits, at most `limit`, of an optimal (but for the limit) prefix code; 0 where the frequency is 0.
/// `limit` is at most 15 and leaves room: 2^limit ≥ N.
pub(super) fn lengths<const N: usize>(frequencies: &[u32; N], limit: usize) -> [u8; N] {
    // Sorts by frequency, then symbol.
    let mut sorted: Vec<u64> = Vec::with_capacity(N);
    sorted.extend((0u64..).zip(frequencies).filter(|(_, f)| **f > 0).map(|(s, f)| u64::from(*f) << SYMBOL_BITS | s));
    sorted.sort_unstable();
    let symbol = |leaf: &u64| (leaf & ((1 << SYMBOL_BITS) - 1)) as usize;
    let mut out = [0; N];
    match &sorted[..] {
        [] => return out,
        [only] => {
            out[symbol(only)] = 1;
            return out;
        }
        _ => {}
    }
    let mut counts = depth_counts(&sorted);
    limit_depths(&mut counts, limit);
    // The rarest symbols take the longest codes.
    let mut symbols = sorted.iter().map(symbol);
    for length in (1..=limit).rev() {
        for symbol in symbols.by_ref().take(counts[length] as usize) {
            out[symbol] = length as u8;
        }
    }
    out
}

/// How many leaves the Huffman tree of at least two, from the rarest, has at each depth. Nodes are made from the rarest
/// on too, so that leaves and nodes are two queues, whose heads are compared.
fn depth_counts(sorted: &[u64]) -> [u32; DEPTHS] {
    let leaves = sorted.len();
    let mut counts = [0; DEPTHS];
    let mut weights: Vec<u64> = Vec::with_capacity(2 * leaves);
    weights.extend(sorted.iter().map(|leaf| leaf >> SYMBOL_BITS));
    let mut parents = vec![0; 2 * leaves];
    let (mut leaf, mut node) = (0, leaves);
    for made in leaves..2 * leaves - 1 {
        let mut weight = 0;
        for _ in 0..2 {
            // The rarer of the next leaf and the next node.
            let is_leaf = leaf < leaves && weights.get(node).is_none_or(|weight| weights[leaf] <= *weight);
            let next = if is_leaf { &mut leaf } else { &mut node };
            weight += weights[*next];
            parents[*next] = made;
            *next += 1;
        }
        weights.push(weight);
    }
    let mut depths = vec![0; 2 * leaves];
    for at in (0..2 * leaves - 2).rev() {
        depths[at] = depths[parents[at]] + 1;
    }
    for depth in &depths[..leaves] {
        counts[*depth] += 1;
    }
    counts
}

/// Moves leaves deeper than `limit` up to it, and others down until the code is one again (Kraft's sum is 1).
fn limit_depths(counts: &mut [u32; DEPTHS], limit: usize) {
    for depth in limit + 1..counts.len() {
        counts[limit] += std::mem::take(&mut counts[depth]);
    }
    let mut total: u32 = (1..=limit).map(|depth| counts[depth] << (limit - depth)).sum();
    while total > 1 << limit {
        counts[limit] -= 1;
        if let Some(depth) = (1..limit).rev().find(|depth| counts[*depth] > 0) {
            counts[depth] -= 1;
            counts[depth + 1] += 2;
        }
        total -= 1;
    }
}

/// The canonical codes of these lengths, their bits reversed as DEFLATE writes them.
pub(super) fn codes<const N: usize>(lengths: &[u8; N]) -> [Code; N] {
    let mut next = [0u32; LENGTH_MAX + 2];
    for length in lengths.iter().filter(|length| **length > 0) {
        next[usize::from(*length) + 1] += 1;
    }
    for length in 1..next.len() {
        next[length] = (next[length] + next[length - 1]) << 1;
    }
    let mut out = [0; N];
    for (code, length) in out.iter_mut().zip(lengths) {
        let length = usize::from(*length);
        if length > 0 {
            *code = (next[length] << (32 - length)).reverse_bits() << 8 | length as u32;
            next[length] += 1;
        }
    }
    out
}

/// Symbols of the code that lengths are written in (RFC 1951 §3.2.7), in the order their own lengths are written.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
/// Longest code of such a symbol, in bits: its length is written in three.
const ORDER_CODE_MAX: usize = 7;

/// Appends the lengths of both codes of a block, which are its description (RFC 1951 §3.2.7).
pub(super) fn write_lengths(literals: &[u8], distances: &[u8], out: &mut BitWriter<'_>) {
    // 257 at least: the end of a block always has a code.
    let count = literals.iter().rposition(|length| *length > 0).map_or(0, |last| last + 1);
    let all: Vec<u8> = literals[..count].iter().chain(distances).copied().collect();
    // Symbols with their extra bits.
    let mut items: Vec<(u8, Bits)> = Vec::with_capacity(all.len());
    for same in all.chunk_by(|a, b| a == b) {
        let (length, mut left) = (same[0], same.len());
        if length > 0 {
            items.push((length, (0, 0)));
            left -= 1;
        }
        while left >= 3 {
            let (symbol, least, most, extra) = match (length, left) {
                (0, 11..) => (18, 11, 138, 7),
                (0, _) => (17, 3, 10, 3),
                _ => (16, 3, 6, 2),
            };
            let repeated = left.min(most);
            items.push((symbol, ((repeated - least) as u64, extra)));
            left -= repeated;
        }
        items.extend(std::iter::repeat_n((length, (0, 0)), left));
    }
    let mut frequencies = [0; ORDER.len()];
    for (symbol, _) in &items {
        frequencies[usize::from(*symbol)] += 1;
    }
    let lengths = lengths(&frequencies, ORDER_CODE_MAX);
    let codes = codes(&lengths);
    let used = ORDER.iter().rposition(|symbol| lengths[*symbol] > 0).map_or(4, |last| (last + 1).max(4));
    out.push((count as u64 - 257, 5));
    out.push((distances.len() as u64 - 1, 5));
    out.push((used as u64 - 4, 4));
    out.flush();
    for symbol in &ORDER[..used] {
        out.push((u64::from(lengths[*symbol]), 3));
        out.flush();
    }
    for (symbol, extra) in items {
        out.push(code(codes[usize::from(symbol)]));
        out.push(extra);
        out.flush();
    }
}
