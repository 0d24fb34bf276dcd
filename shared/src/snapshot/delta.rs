//! The difference between the files of two snapshots: the pages that changed.
//!
//! ```text
//! magic "KilnDlt1", page size u32, from n u64, to n u64, length of the result u64, 16 bytes of the BLAKE3 of these      little-endian
//! one zstd frame with a checksum: for each page that changed, in order: its number u32, its bytes
//! ```
//! What comes out is verified by the sum in its manifest; what a delta itself says only keeps it from doing harm.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use super::sum_file;

/// Bytes of a page of a catalogue, as `schema.sql` sets them.
const PAGE_BYTES: usize = 4096;
const MAGIC: &[u8; 8] = b"KilnDlt1";
/// Bytes of a page's hash: two pages of one catalogue never meet in so many.
const HASH_BYTES: usize = 16;
/// Pages read from a file at a time.
const PAGES_AT_ONCE: usize = 256;
/// Higher levels take longer than the bytes they save do on their way.
const LEVEL: i32 = 3;
/// The farthest back, as a power of two, that packed bytes may refer to: what unpacking takes of memory.
const WINDOW_LOG_MAX: u32 = 23;
/// No snapshot is longer: a reader's bound.
const RESULT_BYTES_MAX: u64 = 1 << 40;

/// A snapshot's file page by page, as hashes: enough to tell which pages of a later one differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pages(Vec<[u8; HASH_BYTES]>);

/// What was learnt of a file while it was compared.
#[derive(Debug)]
pub struct Compared {
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
    /// Its pages.
    pub pages: Pages,
    /// How many of them differ.
    pub changed: usize,
}

/// What a delta says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    from: u64,
    to: u64,
    bytes: u64,
}

impl Pages {
    /// Of a file.
    pub fn of(file: &Path) -> io::Result<Self> {
        let mut pages = Vec::new();
        each_page(file, |page| {
            pages.push(hash(page));
            Ok(())
        })?;
        Ok(Self(pages))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Brings these pages of snapshot `from` to those of `to`.
    pub fn advance(&mut self, delta: &Path, from: u64, to: u64) -> io::Result<()> {
        let mut delta = Reader::open(delta, from, to)?;
        self.0.resize(delta.pages, [0; HASH_BYTES]);
        let mut page = vec![0; PAGE_BYTES];
        while let Some(number) = delta.read_page(&mut page)? {
            self.0[number] = hash(&page);
        }
        Ok(())
    }
}

/// Writes a delta that makes a file with the pages `before`, of snapshot `from`, into `file`, of snapshot `to`.
pub fn make(file: &Path, before: &Pages, (from, to): (u64, u64), delta: &Path) -> io::Result<Compared> {
    // Summing takes as long as comparing.
    std::thread::scope(|scope| {
        let summing = scope.spawn(|| sum_file(file));
        let compared = compare(file, before, (from, to), delta);
        let summed = summing.join().unwrap_or_else(|_| Err(io::Error::other("summing failed")));
        let ((bytes, sha256), (pages, changed)) = (summed?, compared?);
        Ok(Compared { bytes, sha256, pages, changed })
    })
}

fn compare(file: &Path, before: &Pages, (from, to): (u64, u64), delta: &Path) -> io::Result<(Pages, usize)> {
    let bytes = std::fs::metadata(file)?.len();
    let mut out = BufWriter::new(File::create_new(delta)?);
    out.write_all(&Header { from, to, bytes }.encode())?;
    let mut packed = zstd::Encoder::new(out, LEVEL)?;
    packed.include_checksum(true)?;
    let (mut pages, mut changed) = (Vec::new(), 0);
    each_page(file, |page| {
        let hash = hash(page);
        if before.0.get(pages.len()) != Some(&hash) {
            let number = u32::try_from(pages.len()).map_err(io::Error::other)?;
            packed.write_all(&number.to_le_bytes())?;
            packed.write_all(page)?;
            changed += 1;
        }
        pages.push(hash);
        Ok(())
    })?;
    packed.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    Ok((Pages(pages), changed))
}

/// Makes the file of snapshot `from` into that of `to`. One that fails leaves the file in between.
pub fn apply(delta: &Path, file: &Path, from: u64, to: u64) -> io::Result<()> {
    let mut open = File::options().write(true).open(file)?;
    let mut delta = Reader::open(delta, from, to)?;
    open.set_len(delta.pages as u64 * PAGE_BYTES as u64)?;
    let mut page = vec![0; PAGE_BYTES];
    while let Some(number) = delta.read_page(&mut page)? {
        open.seek(SeekFrom::Start(number as u64 * PAGE_BYTES as u64))?;
        open.write_all(&page)?;
    }
    Ok(())
}

/// Reads a delta.
struct Reader {
    /// Pages of the result.
    pages: usize,
    packed: zstd::Decoder<'static, BufReader<File>>,
    /// The lowest number that the next page may have.
    next: usize,
}

impl Reader {
    fn open(delta: &Path, from: u64, to: u64) -> io::Result<Self> {
        let mut open = BufReader::new(File::open(delta)?);
        let header = Header::read(&mut open)?;
        if (header.from, header.to) != (from, to) {
            return Err(damaged(&format!("it leads from {} to {}", header.from, header.to)));
        }
        let mut packed = zstd::Decoder::with_buffer(open)?;
        packed.window_log_max(WINDOW_LOG_MAX)?;
        Ok(Self { pages: (header.bytes / PAGE_BYTES as u64) as usize, packed, next: 0 })
    }

    /// Reads the next page; returns its number, None after the last.
    fn read_page(&mut self, page: &mut [u8]) -> io::Result<Option<usize>> {
        let mut number = [0; 4];
        if self.packed.read(&mut number[..1])? == 0 {
            return Ok(None);
        }
        self.packed.read_exact(&mut number[1..])?;
        self.packed.read_exact(page)?;
        let number = u32::from_le_bytes(number) as usize;
        if number < self.next || number >= self.pages {
            return Err(damaged("its pages are out of order"));
        }
        self.next = number + 1;
        Ok(Some(number))
    }
}

impl Header {
    fn encode(self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend((PAGE_BYTES as u32).to_le_bytes());
        for number in [self.from, self.to, self.bytes] {
            bytes.extend(number.to_le_bytes());
        }
        let sum = hash(&bytes);
        bytes.extend(sum);
        bytes
    }

    fn read(file: &mut impl Read) -> io::Result<Self> {
        let (mut magic, mut page_bytes, mut numbers) = ([0; 8], [0; 4], [[0; 8]; 3]);
        file.read_exact(&mut magic)?;
        file.read_exact(&mut page_bytes)?;
        numbers.iter_mut().try_for_each(|number| file.read_exact(number))?;
        let [from, to, bytes] = numbers.map(u64::from_le_bytes);
        let header = Self { from, to, bytes };
        let mut sum = [0; HASH_BYTES];
        file.read_exact(&mut sum)?;
        if magic != *MAGIC || u32::from_le_bytes(page_bytes) as usize != PAGE_BYTES {
            return Err(damaged("it is no delta that this version reads"));
        }
        if bytes > RESULT_BYTES_MAX || bytes % PAGE_BYTES as u64 != 0 {
            return Err(damaged("its result has no whole pages"));
        }
        if !header.encode().ends_with(&sum) {
            return Err(damaged("its header is damaged"));
        }
        Ok(header)
    }
}

fn damaged(fault: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, fault.to_owned())
}

fn hash(page: &[u8]) -> [u8; HASH_BYTES] {
    let mut short = [0; HASH_BYTES];
    short.copy_from_slice(&blake3::hash(page).as_bytes()[..HASH_BYTES]);
    short
}

fn each_page(file: &Path, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut open = File::open(file)?;
    let mut pages = vec![0; PAGE_BYTES * PAGES_AT_ONCE];
    loop {
        let mut filled = 0;
        while filled < pages.len() {
            match open.read(&mut pages[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        if filled == 0 {
            return Ok(());
        }
        for page in pages[..filled].chunks(PAGE_BYTES) {
            if page.len() < PAGE_BYTES {
                return Err(io::Error::other("the catalogue's file has no whole pages"));
            }
            take(page)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Files {
        dir: tempfile::TempDir,
    }

    impl Files {
        fn new() -> Self {
            Self { dir: tempfile::tempdir().unwrap() }
        }

        /// A file of pages, each filled with one byte.
        fn file(&self, name: &str, pages: &[u8]) -> std::path::PathBuf {
            let path = self.dir.path().join(name);
            let bytes: Vec<u8> = pages.iter().flat_map(|byte| vec![*byte; PAGE_BYTES]).collect();
            std::fs::write(&path, bytes).unwrap();
            path
        }

        fn delta(&self, before: &Path, after: &Path) -> (std::path::PathBuf, Compared) {
            let delta = self.dir.path().join(format!("{}.delta", ulid::Ulid::generate()));
            let compared = make(after, &Pages::of(before).unwrap(), (1, 2), &delta).unwrap();
            (delta, compared)
        }
    }

    #[test]
    fn a_file_becomes_the_next_whether_it_grows_or_shrinks() {
        for (before, after, changed) in [
            (&[1, 2, 3][..], &[1, 9, 3][..], 1),
            (&[1, 2], &[1, 2, 3, 4], 2),
            (&[1, 2, 3, 4], &[5, 2], 1),
            (&[1], &[1], 0),
        ] {
            let files = Files::new();
            let (old, new) = (files.file("old", before), files.file("new", after));
            let (delta, compared) = files.delta(&old, &new);
            assert_eq!(compared.changed, changed);
            assert_eq!((compared.bytes, compared.sha256), sum_file(&new).unwrap());
            let mut pages = Pages::of(&old).unwrap();
            pages.advance(&delta, 1, 2).unwrap();
            assert_eq!(pages, Pages::of(&new).unwrap(), "hashes follow without the file");
            apply(&delta, &old, 1, 2).unwrap();
            assert_eq!(std::fs::read(&old).unwrap(), std::fs::read(&new).unwrap());
        }
    }

    #[test]
    fn a_damaged_or_wrong_delta_is_an_error() {
        let files = Files::new();
        let (old, new) = (files.file("old", &[1, 2, 3]), files.file("new", &[7, 2, 9, 4]));
        let (delta, _) = files.delta(&old, &new);
        assert!(apply(&delta, &old, 1, 3).is_err() && apply(&delta, &old, 0, 2).is_err(), "of other snapshots");
        let whole = std::fs::read(&delta).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            std::fs::write(&delta, &bytes).unwrap();
            let again = files.file("again", &[1, 2, 3]);
            let applied = apply(&delta, &again, 1, 2).is_ok();
            // zstd ignores a bit of its header.
            assert!(!applied || std::fs::read(&again).unwrap() == std::fs::read(&new).unwrap(), "byte {at}");
            std::fs::write(&delta, &whole[..at]).unwrap();
            assert!(apply(&delta, &files.file("again", &[1, 2, 3]), 1, 2).is_err(), "cut at {at}");
        }
        assert!(apply(&old, &new, 1, 2).is_err(), "no delta at all");
    }
}
