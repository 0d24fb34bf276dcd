//! A look at a TIFF's first image file directory before any pixel is read: does the file hold what it declares? (TIFF 6.0, section 2, and
//! the BigTIFF layout of libtiff.)
//!
//! GDAL opens truncated files and finds out block by block, and it spends hours on 65,535 × 65,535 pixels declared in 400 bytes. This
//! reads only the header, the first directory and its tables, each bounded by the file's size, and follows no chain, so no loop.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::fault::Fault;

/// Entries of a directory that are looked at; real ones have a few dozen.
const ENTRIES_MAX: u64 = 4096;
/// A file of which no block is stored may be this many pixels, all nodata.
const SPARSE_PIXELS_MAX: u64 = 1 << 24;
/// More decoded bytes per stored byte than any codec reaches on real data, ZSTD's runs included.
const RATIO_MAX: u128 = 60_000;
/// Files that decode to less than this need no ratio.
const DECODED_FREE: u128 = 256 << 20;
/// Pixels along a side of the raster or of a block, and samples of a pixel or bits of a sample: GDAL takes no more, and no product of them
/// overflows.
const SIDE_MAX: u64 = 1 << 31;
const SAMPLES_MAX: u64 = u16::MAX as u64;
/// Bytes of a table read at once.
const TABLE_CHUNK: usize = 1 << 16;

/// Refuses a TIFF that cannot hold what it declares. Anything that is not TIFF passes: other checks are for that.
pub(super) fn check(path: &Path) -> Result<(), Fault> {
    let Ok(mut file) = File::open(path) else { return Ok(()) };
    let Ok(length) = file.metadata().map(|m| m.len()) else { return Ok(()) };
    let Some(mut tiff) = Tiff::open(&mut file, length)? else { return Ok(()) };
    tiff.check()
}

struct Tiff<'a> {
    file: &'a mut File,
    length: u64,
    big: bool,
    big_endian: bool,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy)]
struct Entry {
    tag: u16,
    size: u64,
    count: u64,
    /// Where the values lie, in the entry itself or outside.
    at: u64,
}

impl<'a> Tiff<'a> {
    fn open(file: &'a mut File, length: u64) -> Result<Option<Self>, Fault> {
        let mut magic = [0u8; 4];
        if length < 8 || read_at(file, 0, &mut magic).is_err() {
            return Ok(None);
        }
        let (big_endian, big) = match &magic {
            b"II*\0" => (false, false),
            b"MM\0*" => (true, false),
            b"II+\0" => (false, true),
            b"MM\0+" => (true, true),
            _ => return Ok(None),
        };
        let mut tiff = Self { file, length, big, big_endian, entries: Vec::new() };
        tiff.read_directory()?;
        Ok(Some(tiff))
    }

    fn read_directory(&mut self) -> Result<(), Fault> {
        let at = if self.big { self.number(8, 8)? } else { self.number(4, 4)? };
        let (count_size, entry_size, inline) = if self.big { (8, 20, 8) } else { (2, 12, 4) };
        let count = self.number(at, count_size)?;
        if count > ENTRIES_MAX {
            return Err(Fault::Refused(format!("the TIFF directory lists {count} tags; the file is damaged")));
        }
        for i in 0..count {
            let entry = at.saturating_add(count_size).saturating_add(i * entry_size);
            let tag = self.number(entry, 2)? as u16;
            let size = match self.number(entry + 2, 2)? {
                1 | 2 | 6 | 7 => 1,
                3 | 8 => 2,
                4 | 9 | 11 | 13 => 4,
                5 | 10 | 12 | 16 | 17 | 18 => 8,
                _ => continue,
            };
            let count = self.number(entry + 4, inline)?;
            let value = entry + 4 + inline;
            let bytes = u128::from(count) * u128::from(size);
            let at = if bytes <= u128::from(inline) { value } else { self.number(value, inline)? };
            if u128::from(at) + bytes > u128::from(self.length) {
                return Err(Fault::Truncated(format!(
                    "the file ends after {} bytes, but tag {tag} lies at {at} and has {bytes} bytes; it is truncated or damaged",
                    self.length
                )));
            }
            self.entries.push(Entry { tag, size, count, at });
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), Fault> {
        let width = self.first(256)?.unwrap_or(0);
        let height = self.first(257)?.unwrap_or(0);
        let samples = self.first(277)?.unwrap_or(1).max(1);
        let bits = self.first(258)?.unwrap_or(1).max(1);
        let planes = if self.first(284)?.unwrap_or(1) == 2 { samples } else { 1 };
        if width == 0 || height == 0 {
            return Ok(());
        }
        let (tiled, block_width, block_height) = match (self.first(322)?, self.first(323)?) {
            (Some(w), Some(h)) if w > 0 && h > 0 => (true, w, h),
            _ => (false, width, self.first(278)?.unwrap_or(height).clamp(1, height)),
        };
        if [width, height, block_width, block_height].iter().any(|side| *side > SIDE_MAX)
            || samples.max(bits) > SAMPLES_MAX
        {
            return Err(Fault::Refused(format!(
                "the file declares {width} × {height} pixels in blocks of {block_width} × {block_height} with {samples} samples of {bits} \
                 bits, more than a raster can have; it is damaged"
            )));
        }
        let per_plane = u128::from(width.div_ceil(block_width)) * u128::from(height.div_ceil(block_height));
        let blocks = per_plane * u128::from(planes);
        let block_bits =
            u128::from(block_width) * u128::from(block_height) * u128::from(samples / planes) * u128::from(bits);
        let (offsets, counts) = if tiled { (324, 325) } else { (273, 279) };
        let (Some(offsets), counts) = (self.entry(offsets), self.entry(counts)) else { return Ok(()) };
        if u128::from(offsets.count) < blocks {
            return Err(Fault::Refused(format!(
                "the file declares {width} × {height} pixels in {blocks} blocks but lists {} of them; it is damaged",
                offsets.count
            )));
        }
        let raw = self.first(259)?.unwrap_or(1) == 1;
        // Uncompressed, the last strip of a plane may hold fewer rows than the others, whatever size it is given.
        let rows_last = if tiled { block_height } else { (height - 1) % block_height + 1 };
        let whole = raw.then_some(Raw {
            block: block_bits / 8,
            last: block_bits / 8 / u128::from(block_height) * u128::from(rows_last),
            per_plane: per_plane as u64,
        });
        let stored = self.check_blocks(offsets, counts, blocks as u64, whole.as_ref())?;
        let pixels = u128::from(width) * u128::from(height);
        if stored.blocks == 0 && pixels > u128::from(SPARSE_PIXELS_MAX) {
            return Err(Fault::Refused(format!(
                "the file declares {width} × {height} pixels but holds no data at all"
            )));
        }
        let decoded = u128::from(stored.blocks).saturating_mul(block_bits) / 8;
        if decoded > DECODED_FREE && decoded > u128::from(stored.bytes) * RATIO_MAX {
            return Err(Fault::Refused(format!(
                "the file declares {width} × {height} pixels but holds only {} bytes of data; its size is not believable",
                stored.bytes
            )));
        }
        Ok(())
    }

    /// Holds every block against the file's end.
    fn check_blocks(
        &mut self,
        offsets: Entry,
        counts: Option<Entry>,
        blocks: u64,
        raw: Option<&Raw>,
    ) -> Result<Stored, Fault> {
        let mut stored = Stored { blocks: 0, bytes: 0 };
        let chunk = (TABLE_CHUNK / 8) as u64;
        let mut first = 0;
        while first < blocks {
            let n = chunk.min(blocks - first);
            let at = self.table(offsets, first, n)?;
            let sizes = match counts {
                Some(counts) if counts.count >= blocks => self.table(counts, first, n)?,
                _ => vec![1; at.len()],
            };
            for (i, (at, size)) in at.into_iter().zip(sizes).enumerate() {
                if at == 0 || size == 0 {
                    continue;
                }
                let needed = raw.map_or(size, |raw| raw.needed(first + i as u64).min(u128::from(size)) as u64);
                if at.saturating_add(needed) > self.length {
                    return Err(Fault::Truncated(format!(
                        "the file ends after {} bytes, but block {} of {blocks} lies at {at} and has {size} bytes; it is truncated or \
                         still being written",
                        self.length,
                        first + i as u64 + 1
                    )));
                }
                stored.blocks += 1;
                stored.bytes = stored.bytes.saturating_add(size.min(self.length - at));
            }
            first += n;
        }
        Ok(stored)
    }

    fn entry(&self, tag: u16) -> Option<Entry> {
        self.entries.iter().copied().find(|entry| entry.tag == tag && entry.count > 0)
    }

    fn first(&mut self, tag: u16) -> Result<Option<u64>, Fault> {
        let Some(entry) = self.entry(tag) else { return Ok(None) };
        self.number(entry.at, entry.size).map(Some)
    }

    /// Values `from … from + n` of an entry that has been held against the file's end.
    fn table(&mut self, entry: Entry, from: u64, n: u64) -> Result<Vec<u64>, Fault> {
        let size = entry.size as usize;
        let mut bytes = vec![0; n as usize * size];
        read_at(self.file, entry.at + from * entry.size, &mut bytes).map_err(|e| unreadable(&e))?;
        Ok(bytes.chunks_exact(size).map(|value| self.decode(value)).collect())
    }

    fn number(&mut self, at: u64, size: u64) -> Result<u64, Fault> {
        if at.saturating_add(size) > self.length {
            return Err(Fault::Truncated(format!(
                "the file ends after {} bytes, but its TIFF directory lies beyond; it is truncated or damaged",
                self.length
            )));
        }
        let mut bytes = [0u8; 8];
        let bytes = &mut bytes[..size as usize];
        read_at(self.file, at, bytes).map_err(|e| unreadable(&e))?;
        Ok(self.decode(bytes))
    }

    fn decode(&self, bytes: &[u8]) -> u64 {
        let append = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        if self.big_endian { bytes.iter().fold(0, append) } else { bytes.iter().rev().fold(0, append) }
    }
}

/// Bytes of uncompressed blocks: of each, and of the last of a plane.
struct Raw {
    block: u128,
    last: u128,
    per_plane: u64,
}

impl Raw {
    fn needed(&self, block: u64) -> u128 {
        if (block + 1).is_multiple_of(self.per_plane) { self.last } else { self.block }
    }
}

struct Stored {
    blocks: u64,
    bytes: u64,
}

fn read_at(file: &mut File, at: u64, bytes: &mut [u8]) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(bytes)
}

fn unreadable(error: &std::io::Error) -> Fault {
    Fault::Machine(format!("the staged file cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A classic little-endian TIFF of one strip.
    fn tiff(width: u32, height: u32, strip_at: u32, strip_bytes: u32, compression: u16) -> Vec<u8> {
        let mut bytes = b"II*\0\x08\0\0\0".to_vec();
        let entries: [(u16, u32); 7] = [
            (256, width),
            (257, height),
            (258, 8),
            (259, u32::from(compression)),
            (273, strip_at),
            (278, height),
            (279, strip_bytes),
        ];
        bytes.extend((entries.len() as u16).to_le_bytes());
        for (tag, value) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(4u16.to_le_bytes());
            bytes.extend(1u32.to_le_bytes());
            bytes.extend(value.to_le_bytes());
        }
        bytes.extend([0; 4]);
        bytes.resize(bytes.len() + 400, 7);
        bytes
    }

    fn verdict(bytes: &[u8]) -> Result<(), Fault> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        check(file.path())
    }

    #[test]
    fn what_the_file_holds_passes() {
        assert!(verdict(&tiff(20, 20, 98, 400, 1)).is_ok());
        assert!(verdict(b"no tiff at all").is_ok());
    }

    #[test]
    fn a_block_beyond_the_end_may_still_come() {
        assert!(matches!(verdict(&tiff(20, 20, 98, 4000, 5)), Err(Fault::Truncated(_))));
        assert!(matches!(verdict(&tiff(20, 20, 98, 400, 1)[..50]), Err(Fault::Truncated(_))));
    }

    #[test]
    fn absurd_sizes_are_refused_without_reading_pixels() {
        let reason = verdict(&tiff(65_535, 65_535, 98, 300, 5)).unwrap_err().to_string();
        assert!(reason.contains("not believable"), "{reason}");
        let reason = verdict(&tiff(66_000, 66_000, 0, 0, 5)).unwrap_err().to_string();
        assert!(reason.contains("no data at all"), "{reason}");
    }

    /// A BigTIFF of one tile, all numbers of 64 bits.
    fn big_tiff(width: u64, height: u64, tile: u64, samples: u64, bits: u64) -> Vec<u8> {
        let mut bytes = b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0".to_vec();
        let entries: [(u16, u64); 9] = [
            (256, width),
            (257, height),
            (258, bits),
            (259, 5),
            (277, samples),
            (322, tile),
            (323, tile),
            (324, 16),
            (325, 100),
        ];
        bytes.extend((entries.len() as u64).to_le_bytes());
        for (tag, value) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(16u16.to_le_bytes());
            bytes.extend(1u64.to_le_bytes());
            bytes.extend(value.to_le_bytes());
        }
        bytes.resize(bytes.len() + 400, 7);
        bytes
    }

    #[test]
    fn numbers_whose_products_overflow_are_refused() {
        const M: u64 = u64::MAX;
        assert!(verdict(&big_tiff(64, 64, 64, 1, 8)).is_ok());
        for (width, height, tile, samples, bits) in
            [(M, M, 64, 1, 8), (64, 64, M, 1, 8), (64, 64, 64, M, 8), (64, 64, 64, 1, M), (M, M, M, M, M)]
        {
            let reason = verdict(&big_tiff(width, height, tile, samples, bits)).unwrap_err().to_string();
            assert!(reason.contains("more than a raster can have"), "{reason}");
        }
        let largest = verdict(&big_tiff(1 << 31, 1 << 31, 1 << 31, 65_535, 65_535)).unwrap_err().to_string();
        assert!(largest.contains("not believable"), "{largest}");
    }

    #[test]
    fn cut_anywhere_it_ends_with_a_verdict() {
        let whole = tiff(20, 20, 98, 400, 5);
        for length in 0..whole.len() {
            let _ = verdict(&whole[..length]);
        }
    }
}
