//! A dataset's record as the catalogue stores it: small, because of a million there are a million, and quick to read.
//!
//! ```text
//! zstd, with the dictionary record.dict.json:
//!   length of the JSON: varint
//!   the Dataset as JSON, its percentiles and histogram counts left empty
//!   number of percentiles: varint; of each 2·zigzag(difference from the one before) if it is an integer: varint; else the byte 1 and a little-endian f64
//!   number of counts: varint; of each zigzag(difference from the one before): varint
//! ```
//! The two lists are most of a record. A varint is LEB128, as in WebAssembly. Two versions of zstd may pack the same record into other bytes: what is
//! unpacked is the same.

use std::cell::RefCell;
use std::io;
use std::sync::LazyLock;

use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

use crate::dataset::Dataset;

/// A typical record: what others share with it need not be stored. Part of format 1 of the catalogue, so it never changes.
pub(super) const DICTIONARY: &[u8] = include_bytes!("record.dict.json");
/// Higher levels hardly pack better.
const LEVEL: i32 = 3;
/// No record is longer when unpacked.
const RECORD_BYTES_MAX: usize = 64 << 20;
/// Items of a list are read into memory of so many at first.
const ITEMS_AT_ONCE: u64 = 1024;
/// A number of a list takes no more, packed: a varint of 64 bits, or a byte and an f64.
const NUMBER_BYTES_MAX: usize = 10;
/// Integers of this size and more are not told from their neighbours by an f64.
const INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

static ENCODER: LazyLock<EncoderDictionary<'static>> = LazyLock::new(|| EncoderDictionary::copy(DICTIONARY, LEVEL));
static DECODER: LazyLock<DecoderDictionary<'static>> = LazyLock::new(|| DecoderDictionary::copy(DICTIONARY));

thread_local! {
    // Made once per thread: making one takes longer than using it.
    static UNPACK: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Packs a record.
pub(super) fn pack(dataset: &Dataset) -> Result<Vec<u8>, serde_json::Error> {
    let mut plain = dataset.clone();
    let (percentiles, counts) = match &mut plain.metadata.statistics {
        Some(s) => (std::mem::take(&mut s.percentiles), std::mem::take(&mut s.histogram.counts)),
        None => (Vec::new(), Vec::new()),
    };
    let json = serde_json::to_vec(&plain)?;
    let mut bytes = Vec::with_capacity(json.len() + 4 * (percentiles.len() + counts.len()));
    write_varint(&mut bytes, json.len() as u64);
    bytes.extend(&json);
    write_varint(&mut bytes, percentiles.len() as u64);
    let mut last = 0;
    for value in percentiles {
        let integer = value as i64;
        if value.abs() < INTEGER_MAX && (integer as f64).to_bits() == value.to_bits() {
            let step = integer - last;
            last = integer;
            write_varint(&mut bytes, zigzag(step) << 1);
        } else {
            bytes.push(1);
            bytes.extend(value.to_le_bytes());
        }
    }
    write_varint(&mut bytes, counts.len() as u64);
    let mut last = 0;
    for count in counts {
        // Wrapping there and back gives every count, however large.
        write_varint(&mut bytes, zigzag(count.wrapping_sub(last) as i64));
        last = count;
    }
    if bytes.len() > RECORD_BYTES_MAX {
        return Err(serde_json::Error::io(too_long()));
    }
    let mut compressor = Compressor::with_prepared_dictionary(&ENCODER).map_err(serde_json::Error::io)?;
    compressor.compress(&bytes).map_err(serde_json::Error::io)
}

/// Unpacks a record.
pub(super) fn unpack(packed: &[u8]) -> Result<Dataset, serde_json::Error> {
    let bytes = decompress(packed).map_err(serde_json::Error::io)?;
    let mut rest = bytes.as_slice();
    let damaged = || serde_json::Error::io(io::Error::other("its record is cut short"));
    let length = read_varint(&mut rest).and_then(|n| usize::try_from(n).ok()).ok_or_else(damaged)?;
    let (json, lists) = rest.split_at_checked(length).ok_or_else(damaged)?;
    let mut dataset: Dataset = serde_json::from_slice(json)?;
    if let Some(statistics) = &mut dataset.metadata.statistics {
        let mut rest = lists;
        statistics.percentiles = read_percentiles(&mut rest).ok_or_else(damaged)?;
        statistics.histogram.counts = read_counts(&mut rest).ok_or_else(damaged)?;
    }
    Ok(dataset)
}

/// Whether a record is short enough to be read again.
pub(super) fn fits(dataset: &Dataset) -> bool {
    struct Room(usize);
    impl io::Write for Room {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or_else(too_long)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    // Its lists may take more as JSON than packed, where no number takes more than these.
    let lists = dataset.metadata.statistics.as_ref().map_or(0, |s| s.percentiles.len() + s.histogram.counts.len());
    let room = RECORD_BYTES_MAX.saturating_sub(NUMBER_BYTES_MAX * (lists + 3));
    serde_json::to_writer(Room(room), dataset).is_ok()
}

fn too_long() -> io::Error {
    io::Error::other("its record is longer than any")
}

fn decompress(packed: &[u8]) -> io::Result<Vec<u8>> {
    let bytes = Decompressor::upper_bound(packed).filter(|bytes| *bytes <= RECORD_BYTES_MAX);
    let bytes = bytes.ok_or_else(too_long)?;
    UNPACK.with_borrow_mut(|known| {
        let decompressor = match known {
            Some(decompressor) => decompressor,
            None => known.insert(Decompressor::with_prepared_dictionary(&DECODER)?),
        };
        decompressor.decompress(packed, bytes)
    })
}

fn read_percentiles(rest: &mut &[u8]) -> Option<Vec<f64>> {
    let mut last = 0i64;
    read_list(rest, |rest| {
        let written = read_varint(rest)?;
        if written & 1 == 1 {
            let (value, after) = rest.split_first_chunk()?;
            *rest = after;
            return Some(f64::from_le_bytes(*value));
        }
        let step = written >> 1;
        last = last.checked_add(unzigzag(step))?;
        Some(last as f64)
    })
}

fn read_counts(rest: &mut &[u8]) -> Option<Vec<u64>> {
    let mut last = 0u64;
    read_list(rest, |rest| {
        last = last.wrapping_add(unzigzag(read_varint(rest)?) as u64);
        Some(last)
    })
}

/// Small numbers of either sign as small ones without.
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

fn read_list<T>(rest: &mut &[u8], mut item: impl FnMut(&mut &[u8]) -> Option<T>) -> Option<Vec<T>> {
    let count = read_varint(rest)?;
    let mut items = Vec::with_capacity(count.min(ITEMS_AT_ONCE) as usize);
    for _ in 0..count {
        items.push(item(rest)?);
    }
    Some(items)
}

fn write_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn read_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{BandStatistics, Histogram};

    fn record(percentiles: Vec<f64>, counts: Vec<u64>) -> Dataset {
        let mut dataset: Dataset = serde_json::from_slice(DICTIONARY).unwrap();
        let histogram = Histogram { min: 0.0, max: 1.0, counts };
        dataset.metadata.statistics =
            Some(BandStatistics { min: 0.0, max: 1.0, mean: 0.5, stdev: 0.1, percentiles, histogram, valid_pixels: 7 });
        dataset
    }

    #[test]
    fn every_record_comes_back_as_it_was() {
        let odd = vec![-0.0, 0.0, 1.5, -7.0, f64::INFINITY, f64::NEG_INFINITY, 1e300, INTEGER_MAX, -3.0, f64::MIN];
        let mut without = record(Vec::new(), Vec::new());
        without.metadata.statistics = None;
        let large = (1..=99).map(|p| f64::from(p * 40)).collect();
        for dataset in
            [without, record(odd, vec![0, 1, 127, 128, u64::MAX, 0, 1 << 63]), record(large, (0..256).collect())]
        {
            let back = unpack(&pack(&dataset).unwrap()).unwrap();
            assert_eq!(back, dataset);
            let bits = |d: &Dataset| -> Vec<u64> {
                d.metadata.statistics.iter().flat_map(|s| &s.percentiles).map(|p| p.to_bits()).collect()
            };
            assert_eq!(bits(&back), bits(&dataset), "a negative zero stays one");
        }
    }

    #[test]
    fn a_record_that_would_not_read_again_is_refused() {
        let mut dataset = record(vec![1.5; 99], vec![u64::MAX; 256]);
        assert!(fits(&dataset));
        dataset.metadata.user.insert("text".to_owned(), "x".repeat(RECORD_BYTES_MAX - 32_768).into());
        assert!(fits(&dataset) && pack(&dataset).is_ok());
        dataset.metadata.user.insert("more".to_owned(), "x".repeat(32_768).into());
        assert!(!fits(&dataset) && pack(&dataset).is_err());
    }

    #[test]
    fn what_is_cut_short_or_no_record_is_an_error() {
        let packed = pack(&record(vec![1.0; 99], vec![5; 256])).unwrap();
        for length in 0..packed.len() {
            assert!(unpack(&packed[..length]).is_err(), "{length} bytes");
        }
        for bytes in [&b""[..], b"{}", &zstd::bulk::compress(&[0xff; 20], 1).unwrap()] {
            assert!(unpack(bytes).is_err());
        }
    }

    #[test]
    fn the_dictionary_is_part_of_the_format() {
        // Were it another, no record written so far would read.
        let sum = crate::record::sha256_hex(DICTIONARY);
        assert_eq!(sum, "376f4763433d42cb52e126722ac9131f885de8a8659104818453d8039a90fbd3");
    }
}
