//! Blocks kept in memory. Where a picture takes pixels of several, its neighbours take pixels of the same ones: those are kept decoded. What was
//! fetched from a store that is not local is kept in any case: another style of the same tile then asks the store nothing.

use std::sync::{Arc, Mutex, PoisonError};

use super::cog::RawBlock;
use super::decode::Block;
use crate::cache::Lru;

/// What an entry costs beside its bytes.
const ENTRY_BYTES: usize = 256;

/// A block by its COG's path, its level, and its index there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BlockName {
    pub(crate) path: String,
    pub(crate) level: usize,
    pub(crate) index: u64,
}

/// A block as it was brought.
#[derive(Clone, Debug)]
pub(crate) enum Brought {
    /// As it lies in the file; decoded, it is to be kept under the name.
    Raw(RawBlock, Option<(Arc<KeptBlocks>, BlockName)>),
    Decoded(Arc<Block>),
}

/// The cache, bounded by bytes.
#[derive(Debug)]
pub(crate) struct KeptBlocks(Mutex<Lru<BlockName, Brought>>);

impl KeptBlocks {
    /// Nothing kept yet.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self(Mutex::new(Lru::new(bytes_max)))
    }

    /// A block that is there.
    pub(crate) fn get(&self, name: &BlockName) -> Option<Brought> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Keeps a block as it lies in the file.
    pub(crate) fn keep_raw(&self, name: BlockName, block: &RawBlock) {
        let cost = block.image.len() + block.mask.as_ref().map_or(0, bytes::Bytes::len);
        self.put(name, Brought::Raw(block.clone(), None), cost);
    }

    /// Keeps a decoded block.
    pub(crate) fn keep(&self, name: BlockName, block: &Arc<Block>) {
        let cost = block.samples.bytes() + block.valid.as_ref().map_or(0, Vec::len);
        self.put(name, Brought::Decoded(Arc::clone(block)), cost);
    }

    fn put(&self, name: BlockName, block: Brought, bytes: usize) {
        let cost = bytes + name.path.len() + ENTRY_BYTES;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(name, block, cost);
    }
}
