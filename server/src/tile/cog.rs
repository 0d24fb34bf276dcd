//! Reading blocks of a COG: the entries of its tables, then one range per block. Tables are cached in pages; a warm block is one read.
//!
//! A local store's files are read with `pread` on the thread that decodes; another store's ranges are fetched first, asynchronously.

use std::collections::BTreeSet;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use object_store::path::Path;
use shared::dataset::{CogLayout, Compression, Level};
use shared::store::{ReadStore, StoreError};

use super::kept::{BlockName, Brought, KeptBlocks};
use super::plan::Source;
use crate::cache::Lru;
use crate::limits::CacheShares;
use crate::metrics::Metrics;

/// Bytes of a page of a COG's header. Most headers are one.
const PAGE_BYTES: u64 = 64 << 10;
/// Files of a local store kept open.
const FILES_MAX: usize = 256;
/// A compressed block larger than this many times its content is not ours.
const EXPANSION_MAX: u64 = 2;
/// Bytes between an image block and its mask: a trailer and a leader of four bytes each.
const MASK_GAP_BYTES: u64 = 8;
/// Ranges fetched at once for one picture.
const FETCHES_MAX: usize = 8;

/// Why blocks cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CogError {
    /// The store failed; it may pass.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file of a local store failed.
    #[error("cannot read {path}: {source}")]
    File { path: String, source: std::io::Error },
    /// The file is not what the catalogue says.
    #[error("{path} does not hold what the catalogue says: {fault}; ingest its input again")]
    Damaged { path: String, fault: &'static str },
}

/// The bytes of a block, and of its mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawBlock {
    pub(crate) image: Bytes,
    pub(crate) mask: Option<Bytes>,
}

/// Blocks of one source, in row-major order of its columns and rows. None is a sparse block.
pub(crate) type RawBlocks = Vec<Option<Brought>>;

/// Reads COGs of one store.
#[derive(Debug)]
pub(crate) struct CogReader {
    store: ReadStore,
    local: bool,
    pages: Mutex<Lru<(String, u64), Bytes>>,
    kept: Arc<KeptBlocks>,
    files: Mutex<Lru<String, Arc<File>>>,
    metrics: Arc<Metrics>,
}

/// Where a block lies in the file, as its tables say.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Extent {
    image: Range<u64>,
    mask: Option<Range<u64>>,
}

impl CogReader {
    /// A reader of this store.
    pub(crate) fn new(store: ReadStore, metrics: Arc<Metrics>, caches: &CacheShares) -> Self {
        let local = store.local_path(&Path::from("cogs")).is_some();
        let (pages, files) = (Mutex::new(Lru::new(caches.headers)), Mutex::new(Lru::new(FILES_MAX)));
        Self { store, local, pages, kept: Arc::new(KeptBlocks::new(caches.blocks)), files, metrics }
    }

    /// Whether [`Self::read_local`] works, and should be used.
    pub(crate) fn is_local(&self) -> bool {
        self.local
    }

    /// Reads the blocks of a source. Blocks the thread; only for a local store.
    pub(crate) fn read_local(&self, source: &Source) -> Result<RawBlocks, CogError> {
        let path = source.dataset.path.as_str();
        let file = self.file(path)?;
        let read = |range: &Range<u64>| {
            let mut bytes = vec![0; (range.end - range.start) as usize];
            file.read_exact_at(&mut bytes, range.start)
                .map_err(|source| CogError::File { path: path.to_owned(), source })?;
            self.metrics.read(bytes.len());
            Ok::<_, CogError>(Bytes::from(bytes))
        };
        let mut pages = Pages::of(source)?;
        for (page, slot) in &mut pages.found {
            *slot = if let Some(bytes) = self.cached_page(path, *page) {
                bytes
            } else {
                self.keep_page(path, *page, read(&page_range(*page, &source.dataset.cog))?)
            };
        }
        let bring = |(index, extent): (u64, Option<Extent>)| match extent {
            None => Ok(None),
            Some(extent) => Ok(Some(match self.known(source, index) {
                Some(known) => known,
                None => self.brought(source, index, read_block(&extent, read)?),
            })),
        };
        extents(source, &pages)?.into_iter().map(bring).collect()
    }

    /// Reads the blocks of a source from any store.
    pub(crate) async fn read(&self, source: &Source) -> Result<RawBlocks, CogError> {
        let path = source.dataset.path.as_str();
        let mut pages = Pages::of(source)?;
        for (page, slot) in &mut pages.found {
            *slot = if let Some(bytes) = self.cached_page(path, *page) {
                bytes
            } else {
                let range = page_range(*page, &source.dataset.cog);
                self.keep_page(path, *page, self.store.get_range(&Path::from(path), range).await?)
            };
        }
        let extents = extents(source, &pages)?;
        let mut blocks: RawBlocks = vec![None; extents.len()];
        let mut waiting = extents.into_iter().enumerate();
        let mut running = tokio::task::JoinSet::new();
        loop {
            while running.len() < FETCHES_MAX {
                let Some((i, (index, extent))) = waiting.next() else { break };
                let Some(extent) = extent else { continue };
                blocks[i] = self.known(source, index);
                if blocks[i].is_some() {
                    continue;
                }
                let (store, path) = (self.store.clone(), Path::from(path));
                running.spawn(async move { (i, index, fetch_block(&store, &path, extent).await) });
            }
            match running.join_next().await {
                None => return Ok(blocks),
                Some(Ok((i, index, block))) => {
                    let block = block?;
                    self.metrics.read(block.image.len() + block.mask.as_ref().map_or(0, Bytes::len));
                    if source.is_one_block() {
                        self.kept.keep_raw(name(source, index), &block);
                    }
                    blocks[i] = Some(self.brought(source, index, block));
                }
                Some(Err(error)) => {
                    let source = std::io::Error::other(error);
                    return Err(CogError::File { path: path.to_owned(), source });
                }
            }
        }
    }

    /// A block that is kept. A local one of which a picture is made alone is not: reading and decoding it again costs less than fresh memory.
    fn known(&self, source: &Source, index: u64) -> Option<Brought> {
        if source.is_one_block() && self.local {
            return None;
        }
        match self.kept.get(&name(source, index))? {
            Brought::Raw(block, _) => Some(self.brought(source, index, block)),
            // Whether a picture is passed as it is must not hang on what is kept.
            Brought::Decoded(_) if source.is_one_block() && source.dataset.cog.compression == Compression::Webp => None,
            decoded @ Brought::Decoded(_) => Some(decoded),
        }
    }

    /// A block as it lies in the file, to be kept once it is decoded if other pictures may take pixels of it.
    fn brought(&self, source: &Source, index: u64, block: RawBlock) -> Brought {
        let keep = (!source.is_one_block()).then(|| (Arc::clone(&self.kept), name(source, index)));
        Brought::Raw(block, keep)
    }

    fn file(&self, path: &str) -> Result<Arc<File>, CogError> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.get(path) {
            return Ok(Arc::clone(file));
        }
        drop(files);
        let missing = || StoreError::NotFound { path: path.to_owned(), store: self.store.name().to_owned() };
        let place = self.store.local_path(&Path::from(path)).ok_or_else(missing)?;
        let file = File::open(place).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => CogError::Store(missing()),
            _ => CogError::File { path: path.to_owned(), source },
        })?;
        let file = Arc::new(file);
        files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.put(path.to_owned(), Arc::clone(&file), 1);
        Ok(file)
    }

    fn cached_page(&self, path: &str, page: u64) -> Option<Bytes> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner).get(&(path.to_owned(), page)).cloned()
    }

    fn keep_page(&self, path: &str, page: u64, bytes: Bytes) -> Bytes {
        let cost = bytes.len() + path.len();
        self.pages.lock().unwrap_or_else(PoisonError::into_inner).put((path.to_owned(), page), bytes.clone(), cost);
        bytes
    }
}

fn page_range(page: u64, cog: &CogLayout) -> Range<u64> {
    page * PAGE_BYTES..((page + 1) * PAGE_BYTES).min(cog.header_bytes)
}

/// The pages of a header that a source needs.
struct Pages {
    found: Vec<(u64, Bytes)>,
}

impl Pages {
    fn of(source: &Source) -> Result<Self, CogError> {
        let mut wanted = BTreeSet::new();
        let entries = Entries::of(source)?;
        for index in entries.indexes {
            for (at, bytes) in entries.tables.iter().map(|(at, width)| (at.saturating_add(index * width), *width)) {
                if at.checked_add(bytes).is_none_or(|end| end > source.dataset.cog.header_bytes) {
                    return Err(damaged(source, "a table lies beyond the header"));
                }
                wanted.extend([at / PAGE_BYTES, (at + bytes - 1) / PAGE_BYTES]);
            }
        }
        Ok(Self { found: wanted.into_iter().map(|page| (page, Bytes::new())).collect() })
    }

    /// The little-endian integer of `width` bytes at `at`.
    fn integer(&self, at: u64, width: u64) -> Option<u64> {
        let mut value = 0;
        for i in (0..width).rev() {
            let at = at + i;
            let page = self.found.binary_search_by_key(&(at / PAGE_BYTES), |(page, _)| *page).ok()?;
            value = value << 8 | u64::from(*self.found[page].1.get((at % PAGE_BYTES) as usize)?);
        }
        Some(value)
    }
}

/// The `(place, width)` of the tables that know of a level's blocks, and the index of each wanted block in them.
struct Entries {
    tables: Vec<(u64, u64)>,
    indexes: Vec<u64>,
}

impl Entries {
    fn of(source: &Source) -> Result<Self, CogError> {
        let cog = &source.dataset.cog;
        let level: &Level = cog.levels.get(source.level).ok_or_else(|| damaged(source, "a level is missing"))?;
        let across = u64::from(cog.placement.blocks(source.level).0);
        let (offset, count) = (u64::from(cog.entry_bytes.0), u64::from(cog.entry_bytes.1));
        let mut tables = vec![(level.offsets_at, offset), (level.counts_at, count)];
        tables.extend(level.mask.iter().flat_map(|mask| [(mask.offsets_at, offset), (mask.counts_at, count)]));
        let (cols, rows) = source.blocks();
        let index = |row: u32, col: u32| u64::from(row) * across + u64::from(col);
        let indexes = rows.iter().flat_map(|row| cols.iter().map(|col| index(*row, *col))).collect();
        Ok(Self { tables, indexes })
    }
}

/// Index and place of each block; no place if it is sparse.
fn extents(source: &Source, pages: &Pages) -> Result<Vec<(u64, Option<Extent>)>, CogError> {
    let bytes_max = source.dataset.cog.block_bytes() as u64 * EXPANSION_MAX + 1024;
    let mut extents = Vec::new();
    let entries = Entries::of(source)?;
    for index in entries.indexes {
        let mut ranges = Vec::new();
        for pair in entries.tables.chunks_exact(2) {
            let value = |(at, width): (u64, u64)| pages.integer(at + index * width, width);
            let (Some(offset), Some(count)) = (value(pair[0]), value(pair[1])) else {
                return Err(damaged(source, "its header is cut short"));
            };
            let range = offset..offset.checked_add(count).ok_or_else(|| damaged(source, "a block lies nowhere"))?;
            if count > bytes_max {
                return Err(damaged(source, "a block is larger than it can be"));
            }
            ranges.push(range);
        }
        let mut ranges = ranges.into_iter();
        let (image, mask) = (ranges.next().unwrap_or_default(), ranges.next());
        let sparse = image.is_empty() || mask.as_ref().is_some_and(Range::is_empty);
        extents.push((index, (!sparse).then_some(Extent { image, mask })));
    }
    Ok(extents)
}

/// The one range that holds both, where the mask lies beside its image.
fn together(extent: &Extent) -> Option<Range<u64>> {
    let mask = extent.mask.as_ref()?;
    (mask.start == extent.image.end.checked_add(MASK_GAP_BYTES)?).then_some(extent.image.start..mask.end)
}

fn split(extent: &Extent, both: &Bytes) -> RawBlock {
    let image = (extent.image.end - extent.image.start) as usize;
    RawBlock { image: both.slice(..image), mask: Some(both.slice(image + MASK_GAP_BYTES as usize..)) }
}

fn read_block(extent: &Extent, read: impl Fn(&Range<u64>) -> Result<Bytes, CogError>) -> Result<RawBlock, CogError> {
    if let Some(range) = together(extent) {
        return Ok(split(extent, &read(&range)?));
    }
    Ok(RawBlock { image: read(&extent.image)?, mask: extent.mask.as_ref().map(read).transpose()? })
}

async fn fetch_block(store: &ReadStore, path: &Path, extent: Extent) -> Result<RawBlock, CogError> {
    if let Some(range) = together(&extent) {
        let bytes = store.get_range(path, range.clone()).await?;
        if bytes.len() as u64 == range.end - range.start {
            return Ok(split(&extent, &bytes));
        }
        return Err(CogError::Damaged { path: path.to_string(), fault: "it is cut short" });
    }
    let image = store.get_range(path, extent.image).await?;
    let mask = match extent.mask {
        Some(mask) => Some(store.get_range(path, mask).await?),
        None => None,
    };
    Ok(RawBlock { image, mask })
}

fn name(source: &Source, index: u64) -> BlockName {
    BlockName { path: source.dataset.path.clone(), level: source.level, index }
}

fn damaged(source: &Source, fault: &'static str) -> CogError {
    CogError::Damaged { path: source.dataset.path.clone(), fault }
}
