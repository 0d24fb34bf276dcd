//! The difference between the files of two snapshots: the pages that changed.
//!
//! ```text
//! magic "KilnDlt1", page size u32, names of the snapshots it leads from and to, each n u64 and ULID u128,
//!   length of the result u64, 16 bytes of the BLAKE3 of these                                                    little-endian
//! one zstd frame with a checksum: for each page that changed, in order: its number u32, its bytes
//! ```
//! What comes out is verified by the sum in its manifest; what a delta itself says only keeps it from doing harm.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use sha2::{Digest as _, Sha256};
use ulid::Ulid;

use crate::layout::SnapshotName;
use crate::record::hex;

/// Bytes of a page of a catalogue, as `schema.sql` sets them.
const PAGE_BYTES: usize = 4096;
const MAGIC: &[u8; 8] = b"KilnDlt1";
/// Bytes of a page's hash: two pages of one catalogue never meet in so many.
const HASH_BYTES: usize = 16;
/// Bytes read from a file at a time, and how often so many are in memory.
const CHUNK_BYTES: usize = 256 * PAGE_BYTES;
const CHUNKS: usize = 4;
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
    /// The size of the delta; 0 if there is nothing to differ from.
    pub delta_bytes: u64,
}

/// What a delta says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    from: SnapshotName,
    to: SnapshotName,
    bytes: u64,
}

impl Pages {
    /// Of a file.
    pub fn of(file: &Path) -> io::Result<Self> {
        let mut open = File::open(file)?;
        let (mut chunk, mut hashes) = (vec![0; CHUNK_BYTES], Vec::new());
        loop {
            let filled = fill(&mut open, &mut chunk)?;
            hashes.extend(pages(&chunk[..filled])?.iter().map(|page| hash(page)));
            if filled < chunk.len() {
                return Ok(Self(hashes));
            }
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Brings these pages of one snapshot to those of the next.
    pub fn advance(&mut self, delta: &Path, between: (SnapshotName, SnapshotName)) -> io::Result<()> {
        let mut delta = Reader::open(delta, between)?;
        self.0.truncate(delta.pages);
        let mut page = vec![0; PAGE_BYTES];
        while let Some(number) = delta.read_page(&mut page)? {
            check_follows(number, self.0.len())?;
            if number == self.0.len() {
                self.0.push(hash(&page));
            } else {
                self.0[number] = hash(&page);
            }
        }
        delta.check_complete(self.0.len())
    }
}

/// Writes a delta that makes a file with the pages `before`, of one snapshot, into `file`, of the next. Without any before, only looks at the file.
pub fn make(
    file: &Path,
    before: Option<(&Pages, SnapshotName)>,
    to: SnapshotName,
    delta: &Path,
) -> io::Result<Compared> {
    let open = File::open(file)?;
    let bytes = open.metadata()?.len();
    let mut out = match before {
        Some((_, from)) => Some(Writer::create(delta, Header { from, to, bytes })?),
        None => None,
    };
    let nothing = Pages::default();
    let before = before.map_or(&nothing, |(pages, _)| pages);
    std::thread::scope(|scope| {
        // Summing takes as long as comparing: each on a thread, of bytes that are read once.
        let (to_sum, chunks) = sync_channel(CHUNKS);
        let (summed, free) = sync_channel(CHUNKS);
        let summing = scope.spawn(move || sum(&chunks, &summed));
        let (mut pages, mut changed) = (Vec::with_capacity(bytes as usize / PAGE_BYTES), 0);
        read_pages(open, (&to_sum, &free), |page| {
            let hash = hash(page);
            if before.0.get(pages.len()) != Some(&hash) {
                changed += 1;
                out.as_mut().map_or(Ok(()), |out| out.write_page(pages.len(), page))?;
            }
            pages.push(hash);
            Ok(())
        })?;
        drop(to_sum);
        let sha256 = summing.join().map_err(|_| io::Error::other("summing failed"))?;
        let delta_bytes = out.map_or(Ok(0), Writer::finish)?;
        Ok(Compared { bytes: (pages.len() * PAGE_BYTES) as u64, sha256, pages: Pages(pages), changed, delta_bytes })
    })
}

/// Makes the file of one snapshot into that of the next. One that fails leaves the file in between.
pub fn apply(delta: &Path, file: &Path, between: (SnapshotName, SnapshotName)) -> io::Result<()> {
    let mut open = File::options().write(true).open(file)?;
    let mut delta = Reader::open(delta, between)?;
    let mut pages = (open.metadata()?.len() / PAGE_BYTES as u64) as usize;
    if delta.pages < pages {
        pages = delta.pages;
        open.set_len(pages as u64 * PAGE_BYTES as u64)?;
    }
    let mut page = vec![0; PAGE_BYTES];
    while let Some(number) = delta.read_page(&mut page)? {
        check_follows(number, pages)?;
        open.seek(SeekFrom::Start(number as u64 * PAGE_BYTES as u64))?;
        open.write_all(&page)?;
        pages = pages.max(number + 1);
    }
    delta.check_complete(pages)
}

/// Reads a delta through; returns the length of its result.
pub fn check(delta: &Path, between: (SnapshotName, SnapshotName)) -> io::Result<u64> {
    let mut delta = Reader::open(delta, between)?;
    let mut page = vec![0; PAGE_BYTES];
    while delta.read_page(&mut page)?.is_some() {}
    Ok(delta.pages as u64 * PAGE_BYTES as u64)
}

/// Writes a delta.
struct Writer(zstd::Encoder<'static, BufWriter<File>>);

impl Writer {
    fn create(path: &Path, header: Header) -> io::Result<Self> {
        let mut out = BufWriter::new(File::create_new(path)?);
        out.write_all(&header.encode())?;
        let mut packed = zstd::Encoder::new(out, LEVEL)?;
        packed.include_checksum(true)?;
        Ok(Self(packed))
    }

    fn write_page(&mut self, number: usize, page: &[u8]) -> io::Result<()> {
        let number = u32::try_from(number).map_err(io::Error::other)?;
        self.0.write_all(&number.to_le_bytes())?;
        self.0.write_all(page)
    }

    /// Returns the size of the file.
    fn finish(self) -> io::Result<u64> {
        let file = self.0.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok(file.metadata()?.len())
    }
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
    fn open(delta: &Path, between: (SnapshotName, SnapshotName)) -> io::Result<Self> {
        let mut open = BufReader::new(File::open(delta)?);
        let header = Header::read(&mut open)?;
        if (header.from, header.to) != between {
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

    /// All pages of the result are there: those that were not before too.
    fn check_complete(&self, pages: usize) -> io::Result<()> {
        if pages == self.pages { Ok(()) } else { Err(damaged("it leaves out pages")) }
    }
}

/// A page is one of those there are, or the next: no number in a delta makes anything grow by more than the delta holds.
fn check_follows(number: usize, pages: usize) -> io::Result<()> {
    if number <= pages { Ok(()) } else { Err(damaged("it leaves out pages")) }
}

impl Header {
    fn encode(self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend((PAGE_BYTES as u32).to_le_bytes());
        for name in [self.from, self.to] {
            bytes.extend(name.n.to_le_bytes());
            bytes.extend(name.id.0.to_le_bytes());
        }
        bytes.extend(self.bytes.to_le_bytes());
        let sum = hash(&bytes);
        bytes.extend(sum);
        bytes
    }

    fn read(file: &mut impl Read) -> io::Result<Self> {
        let magic = read_array(file)?;
        let page_bytes = u32::from_le_bytes(read_array(file)?);
        let (from, to) = (read_name(file)?, read_name(file)?);
        let bytes = u64::from_le_bytes(read_array(file)?);
        let header = Self { from, to, bytes };
        let sum: [u8; HASH_BYTES] = read_array(file)?;
        if magic != *MAGIC || page_bytes as usize != PAGE_BYTES {
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

fn read_array<const N: usize>(file: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_name(file: &mut impl Read) -> io::Result<SnapshotName> {
    let n = u64::from_le_bytes(read_array(file)?);
    Ok(SnapshotName { n, id: Ulid(u128::from_le_bytes(read_array(file)?)) })
}

fn damaged(fault: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, fault.to_owned())
}

fn hash(page: &[u8]) -> [u8; HASH_BYTES] {
    let mut short = [0; HASH_BYTES];
    short.copy_from_slice(&blake3::hash(page).as_bytes()[..HASH_BYTES]);
    short
}

/// Reads a file chunk by chunk, takes each page, and hands the chunks on; they come back by `free`.
fn read_pages(
    mut open: File,
    (done, free): (&SyncSender<Vec<u8>>, &Receiver<Vec<u8>>),
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let stopped = || io::Error::other("summing failed");
    for read in 0.. {
        let mut chunk = if read < CHUNKS { vec![0; CHUNK_BYTES] } else { free.recv().map_err(|_| stopped())? };
        let filled = fill(&mut open, &mut chunk)?;
        chunk.truncate(filled);
        pages(&chunk)?.iter().try_for_each(|page| take(page))?;
        done.send(chunk).map_err(|_| stopped())?;
        if filled < CHUNK_BYTES {
            break;
        }
    }
    Ok(())
}

fn pages(chunk: &[u8]) -> io::Result<&[[u8; PAGE_BYTES]]> {
    match chunk.as_chunks() {
        (pages, []) => Ok(pages),
        _ => Err(io::Error::other("the catalogue's file has no whole pages")),
    }
}

/// Reads until the chunk is full or the file ends; returns how much that is.
fn fill(file: &mut impl Read, chunk: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < chunk.len() {
        match file.read(&mut chunk[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// The SHA-256 of chunks, which are given back.
fn sum(chunks: &Receiver<Vec<u8>>, summed: &SyncSender<Vec<u8>>) -> String {
    let mut hasher = Sha256::new();
    for chunk in chunks {
        hasher.update(&chunk);
        // Nobody takes back the last ones.
        let _ = summed.send(chunk);
    }
    hex(&hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::verify::sum_file;

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
            let compared = make(after, Some((&Pages::of(before).unwrap(), name(1))), name(2), &delta).unwrap();
            assert_eq!(check(&delta, (name(1), name(2))).unwrap(), compared.bytes);
            (delta, compared)
        }
    }

    fn name(n: u64) -> SnapshotName {
        SnapshotName { n, id: Ulid::from_parts(n, 7) }
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
            assert_eq!(compared.delta_bytes, std::fs::metadata(&delta).unwrap().len());
            let mut pages = Pages::of(&old).unwrap();
            pages.advance(&delta, (name(1), name(2))).unwrap();
            assert_eq!(pages, Pages::of(&new).unwrap(), "hashes follow without the file");
            apply(&delta, &old, (name(1), name(2))).unwrap();
            assert_eq!(std::fs::read(&old).unwrap(), std::fs::read(&new).unwrap());
        }
    }

    #[test]
    fn a_damaged_or_wrong_delta_is_an_error() {
        let files = Files::new();
        let (old, new) = (files.file("old", &[1, 2, 3]), files.file("new", &[7, 2, 9, 4]));
        let (delta, _) = files.delta(&old, &new);
        let between = (name(1), name(2));
        let of_another = SnapshotName::new(1);
        for other in [(name(1), name(3)), (name(0), name(2)), (of_another, name(2))] {
            assert!(apply(&delta, &old, other).is_err(), "of other snapshots");
        }
        let whole = std::fs::read(&delta).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            std::fs::write(&delta, &bytes).unwrap();
            let again = files.file("again", &[1, 2, 3]);
            let applied = apply(&delta, &again, between).is_ok();
            assert_eq!(check(&delta, between).is_ok(), applied, "read through, a fault is found: byte {at}");
            // zstd ignores a bit of its header.
            assert!(!applied || std::fs::read(&again).unwrap() == std::fs::read(&new).unwrap(), "byte {at}");
            std::fs::write(&delta, &whole[..at]).unwrap();
            assert!(check(&delta, between).is_err(), "cut at {at}");
        }
        assert!(apply(&old, &new, between).is_err(), "no delta at all");
    }

    #[test]
    fn nothing_grows_by_more_than_a_delta_holds() {
        let files = Files::new();
        let (old, new) = (files.file("old", &[1, 2]), files.file("new", &[1, 2, 3, 4]));
        let (delta, _) = files.delta(&old, &new);
        let short = files.file("short", &[1]);
        assert!(apply(&delta, &short, (name(1), name(2))).is_err());
        assert_eq!(std::fs::metadata(&short).unwrap().len(), PAGE_BYTES as u64);
        assert!(Pages::of(&short).unwrap().advance(&delta, (name(1), name(2))).is_err());
        let (same, _) = files.delta(&old, &old);
        assert!(apply(&same, &short, (name(1), name(2))).is_err(), "a file that is too short stays so");
    }

    #[test]
    fn a_file_longer_than_what_is_read_at_once_is_compared_and_summed() {
        let files = Files::new();
        let long: Vec<u8> = (0..CHUNKS * CHUNK_BYTES / PAGE_BYTES * 2 + 5).map(|i| (i % 251) as u8).collect();
        let (old, mut changed) = (files.file("old", &long), long);
        changed[CHUNK_BYTES / PAGE_BYTES] ^= 1;
        let new = files.file("new", &changed);
        let (_, compared) = files.delta(&old, &new);
        assert_eq!((compared.changed, compared.pages.clone()), (1, Pages::of(&new).unwrap()));
        assert_eq!((compared.bytes, compared.sha256), sum_file(&new).unwrap());
        std::fs::write(&new, b"no pages").unwrap();
        assert!(make(&new, None, name(2), &files.dir.path().join("none")).is_err());
    }
}
