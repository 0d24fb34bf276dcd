//! Image file directories of a little-endian BigTIFF, written into memory and read from a file.
//!
//! Format: "The BigTIFF File Format" (Aware Systems, 2007); tags and types of TIFF 6.0.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Bytes of the file header.
pub(super) const FILE_HEADER_BYTES: usize = 16;
/// Bytes of an entry.
const ENTRY_BYTES: usize = 20;
/// Values of up to this many bytes stand in the entry itself.
const INLINE_BYTES: usize = 8;
/// The most entries a directory of ours has.
const ENTRIES_MAX: u64 = 64;

/// The type of a tag's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes of text, ended by a zero.
    Ascii = 2,
    /// `u16`.
    Short = 3,
    /// `u32`.
    Long = 4,
    /// `f64`.
    Double = 12,
    /// `u64`.
    Long8 = 16,
}

impl Kind {
    fn of(code: u16) -> Option<Self> {
        [Self::Ascii, Self::Short, Self::Long, Self::Double, Self::Long8].into_iter().find(|kind| *kind as u16 == code)
    }

    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Ascii => 1,
            Self::Short => 2,
            Self::Long => 4,
            Self::Double | Self::Long8 => 8,
        }
    }
}

/// A tag and its values.
#[derive(Debug)]
pub(super) struct Entry {
    tag: u16,
    kind: Kind,
    value: Value,
}

#[derive(Debug)]
enum Value {
    /// The values' bytes.
    Bytes(Vec<u8>),
    /// Values that stand elsewhere: where, and how many.
    Elsewhere(u64, u64),
}

impl Entry {
    pub(super) fn shorts(tag: u16, values: &[u16]) -> Self {
        Self { tag, kind: Kind::Short, value: Value::Bytes(values.iter().flat_map(|v| v.to_le_bytes()).collect()) }
    }

    pub(super) fn long(tag: u16, value: u32) -> Self {
        Self { tag, kind: Kind::Long, value: Value::Bytes(value.to_le_bytes().to_vec()) }
    }

    pub(super) fn doubles(tag: u16, values: &[f64]) -> Self {
        Self { tag, kind: Kind::Double, value: Value::Bytes(values.iter().flat_map(|v| v.to_le_bytes()).collect()) }
    }

    pub(super) fn text(tag: u16, text: &str) -> Self {
        Self { tag, kind: Kind::Ascii, value: Value::Bytes([text.as_bytes(), &[0]].concat()) }
    }

    /// `count` zeros, to be overwritten later.
    pub(super) fn zeros(tag: u16, kind: Kind, count: usize) -> Self {
        Self { tag, kind, value: Value::Bytes(vec![0; count * kind.bytes()]) }
    }

    /// Shorts that another directory has already.
    pub(super) fn shared_shorts(tag: u16, at: u64, count: u64) -> Self {
        Self { tag, kind: Kind::Short, value: Value::Elsewhere(at, count) }
    }
}

/// Appends a directory at the next even byte (GDAL's validator wants the first just behind the ghost area) and its values at multiples of
/// eight, and returns where each tag's values lie. `next` is the position that points to it, and the answer's second part the one that points
/// to its successor.
pub(super) fn append(out: &mut Vec<u8>, next: usize, entries: &[Entry]) -> (BTreeMap<u16, u64>, usize) {
    align(out, 2);
    let start = out.len();
    patch(out, next, &(start as u64).to_le_bytes());
    out.extend((entries.len() as u64).to_le_bytes());
    out.resize(start + 8 + entries.len() * ENTRY_BYTES + 8, 0);
    let mut places = BTreeMap::new();
    for (i, entry) in entries.iter().enumerate() {
        let at = start + 8 + i * ENTRY_BYTES;
        patch(out, at, &entry.tag.to_le_bytes());
        patch(out, at + 2, &(entry.kind as u16).to_le_bytes());
        let (count, place) = match &entry.value {
            Value::Elsewhere(place, count) => (*count, *place),
            Value::Bytes(bytes) if bytes.len() <= INLINE_BYTES => {
                patch(out, at + 12, bytes);
                ((bytes.len() / entry.kind.bytes()) as u64, at as u64 + 12)
            }
            Value::Bytes(bytes) => {
                align(out, 8);
                let place = out.len() as u64;
                out.extend_from_slice(bytes);
                ((bytes.len() / entry.kind.bytes()) as u64, place)
            }
        };
        patch(out, at + 4, &count.to_le_bytes());
        if place != at as u64 + 12 {
            patch(out, at + 12, &place.to_le_bytes());
        }
        places.insert(entry.tag, place);
    }
    (places, start + 8 + entries.len() * ENTRY_BYTES)
}

/// Overwrites bytes that are there.
pub(super) fn patch(out: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = out.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

fn align(out: &mut Vec<u8>, bytes: usize) {
    out.resize(out.len().next_multiple_of(bytes), 0);
}

/// A directory that was read: by tag, type, count and place of the values.
#[derive(Debug)]
pub(super) struct Directory {
    tags: BTreeMap<u16, (Kind, u64, u64)>,
}

impl Directory {
    /// Reads the directory at `at` and where the next one is (0: none).
    pub(super) fn read(file: &File, at: u64) -> Result<(Self, u64), String> {
        let count = number(&bytes_at(file, at, 8)?);
        if count == 0 || count > ENTRIES_MAX {
            return Err(format!("{count} tags at byte {at}"));
        }
        let entries_at = at.checked_add(8).ok_or_else(|| format!("a directory at byte {at}"))?;
        let table = bytes_at(file, entries_at, count * ENTRY_BYTES as u64 + 8)?;
        let (entries, next) = table.split_at(table.len() - 8);
        let mut tags = BTreeMap::new();
        for (i, entry) in entries.chunks_exact(ENTRY_BYTES).enumerate() {
            let (tag, kind) = (number(&entry[..2]) as u16, number(&entry[2..4]) as u16);
            let kind = Kind::of(kind).ok_or_else(|| format!("tag {tag} of type {kind}"))?;
            let count = number(&entry[4..12]);
            let bytes =
                count.checked_mul(kind.bytes() as u64).ok_or_else(|| format!("tag {tag} with {count} values"))?;
            let inline = bytes <= INLINE_BYTES as u64;
            let place = if inline { entries_at + (i * ENTRY_BYTES) as u64 + 12 } else { number(&entry[12..]) };
            tags.insert(tag, (kind, count, place));
        }
        Ok((Self { tags }, number(next)))
    }

    /// Whether a tag is there.
    pub(super) fn has(&self, tag: u16) -> bool {
        self.tags.contains_key(&tag)
    }

    /// The values of a tag as bytes, if it is there with `kind` and at most `count_max` values.
    fn values(&self, file: &File, tag: u16, kind: Kind, count_max: u64) -> Result<Vec<u8>, String> {
        match self.tags.get(&tag) {
            None => Err(format!("no tag {tag}")),
            Some((found, count, at)) if *found == kind && *count <= count_max => {
                bytes_at(file, *at, count * kind.bytes() as u64)
            }
            Some((found, count, _)) => Err(format!("tag {tag} with {count} values of type {found:?}")),
        }
    }

    /// Integers of `kind`.
    pub(super) fn numbers(&self, file: &File, tag: u16, kind: Kind, count_max: u64) -> Result<Vec<u64>, String> {
        Ok(self.values(file, tag, kind, count_max)?.chunks_exact(kind.bytes()).map(number).collect())
    }

    /// The first integer of `kind`.
    pub(super) fn number(&self, file: &File, tag: u16, kind: Kind, count_max: u64) -> Result<u64, String> {
        self.numbers(file, tag, kind, count_max)?.first().copied().ok_or_else(|| format!("tag {tag} without a value"))
    }

    /// Doubles.
    pub(super) fn doubles(&self, file: &File, tag: u16, count_max: u64) -> Result<Vec<f64>, String> {
        Ok(self.numbers(file, tag, Kind::Double, count_max)?.into_iter().map(f64::from_bits).collect())
    }

    /// Text without its zero at the end.
    pub(super) fn text(&self, file: &File, tag: u16, count_max: u64) -> Result<String, String> {
        let mut bytes = self.values(file, tag, Kind::Ascii, count_max)?;
        if bytes.pop() != Some(0) {
            return Err(format!("tag {tag} without a zero at its end"));
        }
        String::from_utf8(bytes).map_err(|_| format!("tag {tag} is not UTF-8"))
    }
}

/// A little-endian integer of up to eight bytes.
pub(super) fn number(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Bytes of a file. What lies outside of it is refused before anything is allocated.
pub(super) fn bytes_at(file: &File, at: u64, count: u64) -> Result<Vec<u8>, String> {
    let size = file.metadata().map_err(|e| e.to_string())?.len();
    if at.checked_add(count).is_none_or(|end| end > size) {
        return Err(format!("bytes {at} + {count} lie outside of a file of {size}"));
    }
    let mut bytes = vec![0; count as usize];
    file.read_exact_at(&mut bytes, at).map_err(|e| format!("bytes {at} + {count} cannot be read: {e}"))?;
    Ok(bytes)
}
