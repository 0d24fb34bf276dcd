//! A writer of bits, the least significant first (RFC 1951 §3.1.1).

/// Bits appended to bytes. [`Self::reserve`] makes room first; what does not fit it is not written.
#[derive(Debug)]
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    /// Where the next byte belongs in `out`, whose end is the room reserved.
    at: usize,
    /// Bits that are not in `out` yet, the first the lowest.
    pending: u64,
    /// How many those are: at most 7 after a flush.
    count: u32,
}

/// A code, or several in a row: the bits, the first the lowest, and how many.
pub(super) type Bits = (u64, u32);

/// The most bits to push between two flushes: with 7 that a flush may leave they fit 64.
pub(super) const PUSH_MAX: u32 = 56;

impl<'a> BitWriter<'a> {
    /// Appends to these bytes.
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { at: out.len(), out, pending: 0, count: 0 }
    }

    /// Makes room for so many bytes more.
    pub(super) fn reserve(&mut self, bytes: usize) {
        // A flush writes eight bytes, whatever it moves on by.
        self.out.resize(self.at + bytes + 16, 0);
    }

    /// Appends bits; at most `PUSH_MAX` since the last flush.
    #[inline]
    pub(super) fn push(&mut self, (bits, count): Bits) {
        self.pending |= bits << (self.count & 63);
        self.count += count;
    }

    /// Moves the whole bytes pending to the output.
    #[inline]
    pub(super) fn flush(&mut self) {
        (self.at, self.pending, self.count) = flush(self.out, self.at, self.pending, self.count);
    }

    /// Appends codes of at most `PUSH_MAX` bits, two at a time. It is the innermost loop: the state is in locals.
    #[inline]
    pub(super) fn extend(&mut self, codes: impl Iterator<Item = [Bits; 2]>) {
        let out = self.out.as_mut_slice();
        let (mut at, mut pending, mut count) = (self.at, self.pending, self.count);
        for [(low, low_count), (high, high_count)] in codes {
            pending |= low << (count & 63);
            count += low_count;
            if low_count + high_count > PUSH_MAX {
                (at, pending, count) = flush(out, at, pending, count);
            }
            pending |= high << (count & 63);
            count += high_count;
            (at, pending, count) = flush(out, at, pending, count);
        }
        (self.at, self.pending, self.count) = (at, pending, count);
    }

    /// Fills the byte begun with zeros.
    pub(super) fn align(&mut self) {
        self.count = self.count.next_multiple_of(8);
        self.flush();
    }

    /// Appends whole bytes to an aligned output.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.out.truncate(self.at);
        self.out.extend_from_slice(bytes);
        self.at = self.out.len();
    }

    /// Fills the last byte and gives back the room that was not needed.
    pub(super) fn finish(mut self) {
        self.align();
        self.out.truncate(self.at);
    }
}

/// Writes eight bytes, of which the whole ones among `count` bits count: place, pending bits and their number after it.
#[inline]
fn flush(out: &mut [u8], at: usize, pending: u64, count: u32) -> (usize, u64, u32) {
    if let Some(room) = out.get_mut(at..at + 8) {
        room.copy_from_slice(&pending.to_le_bytes());
    }
    (at + (count >> 3) as usize, pending >> (count & 0x38), count & 7)
}
