//! zlib streams (RFC 1950) of DEFLATE blocks (RFC 1951) made for filtered pixels: literals, and runs of zeros as
//! matches at distance 1. Other matches are not looked for: after a good filter they bring next to nothing.

use super::bits::{BitWriter, Bits, PUSH_MAX};
use super::huffman::{self, code};

/// CMF and FLG (RFC 1950 §2.2): DEFLATE with a window of 32 kB, the fastest level, and their check.
const ZLIB_HEADER: [u8; 2] = [0x78, 0x01];

/// The most bytes of a block: a tile is one or two. In shorter ones codes suit the bytes little better.
const BLOCK_MAX: usize = 1 << 18;

/// Longest code in bits: four of them fit one push.
const CODE_MAX: usize = (PUSH_MAX / 4) as usize;

/// Literals and lengths (RFC 1951 §3.2.5): 256 bytes, the block's end, 29 lengths.
const SYMBOLS: usize = 286;
/// The symbol that ends a block.
const END: usize = 256;
/// The symbol of the shortest match.
const LENGTHS: usize = 257;
/// The shortest match, in bytes.
const MATCH_MIN: usize = 3;
/// The longest match, in bytes.
const MATCH_MAX: usize = 258;

/// Bytes the codes' description takes at most: 286 + 1 lengths of at most 14 bits, and the codes of those.
const HEADER_MAX: usize = 600;

/// The most bytes of a stored block (RFC 1951 §3.2.4).
const STORED_MAX: usize = u16::MAX as usize;

/// Appends data, of a byte at least, as a zlib stream.
pub(super) fn zlib(data: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&ZLIB_HEADER);
    let mut writer = BitWriter::new(out);
    let count = data.len().div_ceil(BLOCK_MAX);
    let mut blocks = data.chunks(data.len().div_ceil(count)).peekable();
    while let Some(bytes) = blocks.next() {
        block(bytes, blocks.peek().is_none(), &mut writer);
    }
    writer.finish();
    out.extend_from_slice(&simd_adler32::adler32(&data).to_be_bytes());
}

/// A run of zeros: the places in bytes of its first, and after its last.
struct Run {
    start: usize,
    end: usize,
}

impl Run {
    /// As a zero and matches: how many of the longest, and the length of what is left.
    fn matches(&self) -> (usize, usize) {
        let length = self.end - self.start - 1;
        (length / MATCH_MAX, length % MATCH_MAX)
    }
}

/// The runs that are worth a match: those that hold a whole word of eight bytes. And how often each byte is elsewhere.
/// Not inlined, like the other loops: so each has the registers to itself, which makes all 3 % faster.
#[inline(never)]
fn survey(data: &[u8]) -> (Vec<Run>, [u32; 256]) {
    let (words, rest) = data.as_chunks::<8>();
    let mut runs = Vec::with_capacity(256);
    // Tables take turns, so that equal neighbours do not wait for each other.
    let mut tables = [[0u32; 256]; 4];
    // Zeros of runs in words that are counted.
    let mut counted = 0;
    let mut at = 0;
    while let Some(word) = words.get(at) {
        if *word != [0; 8] {
            for (i, byte) in word.iter().enumerate() {
                tables[i % 4][usize::from(*byte)] += 1;
            }
            at += 1;
            continue;
        }
        let first = at;
        at += words[at..].iter().take_while(|word| **word == [0; 8]).count();
        // Zeros next to it in the words before and after.
        let before = if first == 0 { 0 } else { u64::from_le_bytes(words[first - 1]).leading_zeros() / 8 };
        let after = words.get(at).map_or(0, |next| u64::from_le_bytes(*next).trailing_zeros() / 8);
        counted += before + after;
        runs.push(Run { start: first * 8 - before as usize, end: at * 8 + after as usize });
    }
    let [mut counts, others @ ..] = tables;
    for table in &others {
        counts.iter_mut().zip(table).for_each(|(sum, count)| *sum += count);
    }
    for byte in rest {
        counts[usize::from(*byte)] += 1;
    }
    counts[0] -= counted;
    (runs, counts)
}

/// Appends a block, its codes made for it; or as it is where that is shorter.
fn block(data: &[u8], last: bool, out: &mut BitWriter<'_>) {
    let (runs, bytes) = survey(data);
    let mut matches = [0u32; MATCH_MAX + 1];
    for run in &runs {
        let (longest, rest) = run.matches();
        matches[MATCH_MAX] += longest as u32;
        matches[rest] += 1;
    }
    let mut frequencies = [0; SYMBOLS];
    frequencies[..END].copy_from_slice(&bytes);
    frequencies[0] += runs.len() as u32 + matches[1] + 2 * matches[2];
    frequencies[END] = 1;
    let mut extra_bits = 0;
    for (length, count) in matches.iter().enumerate().skip(MATCH_MIN) {
        let (symbol, (_, extra)) = length_symbol(length);
        frequencies[symbol] += count;
        extra_bits += u64::from(*count) * u64::from(extra + 1);
    }
    let lengths = huffman::lengths(&frequencies, CODE_MAX);
    let code_bits: u64 = lengths.iter().zip(frequencies).map(|(l, f)| u64::from(*l) * u64::from(f)).sum();
    let size = (code_bits + extra_bits) as usize / 8;
    if size >= data.len() {
        return stored(data, last, out);
    }
    out.reserve(size + HEADER_MAX);
    // BFINAL, and BTYPE 2: dynamic codes.
    out.push((u64::from(last) | 2 << 1, 3));
    // One distance, 1, whose code is one bit: a zero (RFC 1951 §3.2.7).
    huffman::write_lengths(&lengths, &[1], out);
    let codes = huffman::codes(&lengths);
    let coder = Coder::new(&codes);
    let mut at = 0;
    for run in &runs {
        coder.literals(&data[at..run.start], out);
        coder.run(run, out);
        at = run.end;
    }
    coder.literals(&data[at..], out);
    out.push(code(codes[END]));
    out.flush();
}

/// Appends blocks of bytes as they are.
fn stored(data: &[u8], last: bool, out: &mut BitWriter<'_>) {
    let mut parts = data.chunks(STORED_MAX).peekable();
    while let Some(part) = parts.next() {
        out.reserve(0);
        out.push((u64::from(last && parts.peek().is_none()), 3));
        out.align();
        let length = part.len() as u16;
        out.bytes(&length.to_le_bytes());
        out.bytes(&(!length).to_le_bytes());
        out.bytes(part);
    }
}

/// A match's symbol and its extra bits (RFC 1951 §3.2.5).
fn length_symbol(length: usize) -> (usize, Bits) {
    let beyond = length - MATCH_MIN;
    match beyond {
        0..8 => (LENGTHS + beyond, (0, 0)),
        // 258 has a symbol of its own, the last.
        255.. => (SYMBOLS - 1, (0, 0)),
        // Four symbols for each power of two.
        _ => {
            let extra = beyond.ilog2() - 2;
            (LENGTHS + 4 * extra as usize + (beyond >> extra), ((beyond & ((1 << extra) - 1)) as u64, extra))
        }
    }
}

/// A block's codes as the loops want them.
struct Coder {
    /// A byte's code.
    codes: [u64; 256],
    /// 2 to the power of its length: a product is cheaper than a shift by a variable where there is no BMI2.
    powers: [u64; 256],
    /// Its length in bits.
    lengths: [u8; 256],
    /// So many zeros that follow a zero: a match with its distance, or one or two literals.
    zeros: [Bits; MATCH_MAX + 1],
}

impl Coder {
    /// Of the block's codes, by symbol.
    fn new(symbols: &[huffman::Code; SYMBOLS]) -> Self {
        let mut coder = Self { codes: [0; 256], powers: [0; 256], lengths: [0; 256], zeros: [(0, 0); MATCH_MAX + 1] };
        for (byte, symbol) in symbols[..END].iter().enumerate() {
            let (bits, length) = code(*symbol);
            coder.codes[byte] = bits;
            coder.powers[byte] = 1 << length;
            coder.lengths[byte] = length as u8;
        }
        for (length, zeros) in coder.zeros.iter_mut().enumerate().skip(MATCH_MIN) {
            let (symbol, (extra, extra_count)) = length_symbol(length);
            let (bits, count) = code(symbols[symbol]);
            // The distance's bit is a zero.
            *zeros = (bits | extra << count, count + extra_count + 1);
        }
        let (zero, length) = code(symbols[0]);
        coder.zeros[1] = (zero, length);
        coder.zeros[2] = (zero | zero << length, 2 * length);
        coder
    }

    /// Four literals as one code of at most `PUSH_MAX` bits.
    #[inline]
    fn four(&self, bytes: [u8; 4]) -> Bits {
        let [a, b, c, d] = bytes.map(usize::from);
        let mut bits = self.codes[d];
        bits = bits * self.powers[c] + self.codes[c];
        bits = bits * self.powers[b] + self.codes[b];
        bits = bits * self.powers[a] + self.codes[a];
        (bits, u32::from(self.lengths[a] + self.lengths[b] + self.lengths[c] + self.lengths[d]))
    }

    /// Appends literals.
    #[inline(never)]
    fn literals(&self, bytes: &[u8], out: &mut BitWriter<'_>) {
        let (eights, rest) = bytes.as_chunks::<8>();
        out.extend(eights.iter().map(|&[a, b, c, d, e, f, g, h]| [self.four([a, b, c, d]), self.four([e, f, g, h])]));
        for four in rest.chunks(4) {
            for byte in four.iter().map(|byte| usize::from(*byte)) {
                out.push((self.codes[byte], u32::from(self.lengths[byte])));
            }
            out.flush();
        }
    }

    /// Appends a run.
    #[inline(never)]
    fn run(&self, run: &Run, out: &mut BitWriter<'_>) {
        let (longest, rest) = run.matches();
        out.push(self.zeros[1]);
        for _ in 0..longest {
            out.push(self.zeros[MATCH_MAX]);
            out.flush();
        }
        out.push(self.zeros[rest]);
        out.flush();
    }
}
