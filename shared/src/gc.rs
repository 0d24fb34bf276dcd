//! The record of what may have been deleted from the log: written before commits or manifests go.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::layout;
use crate::record::{self, RecordError};
use crate::store::{Created, Store, StoreError};

const KIND: &str = "gc";
/// Records kept.
const RECORDS_KEPT: u64 = 10;

/// Below these numbers, a missing object means nothing: it may have been deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcRecord {
    /// Its number, from 1.
    pub k: u64,
    /// The lowest commit that is certainly kept.
    pub commit_min: u64,
    /// The lowest manifest that is certainly kept.
    pub manifest_min: u64,
}

/// Why the record cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum GcError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It cannot be used.
    #[error("gc record {k} ({path}) {source}")]
    Record {
        /// Its number.
        k: u64,
        /// The object.
        path: String,
        /// Why.
        source: RecordError,
    },
}

/// The newest record.
pub async fn newest(store: &Store) -> Result<Option<GcRecord>, GcError> {
    let listed = store.list(&layout::gcs(), None).await?;
    let Some(k) = listed.iter().filter_map(|meta| layout::parse_gc(&meta.location)).max() else { return Ok(None) };
    let path = layout::gc(k);
    let bytes = store.get(&path).await?;
    let record = record::open(KIND, &bytes).map_err(|source| GcError::Record { k, path: path.to_string(), source })?;
    Ok(Some(record))
}

/// Announces that commits and manifests below these numbers will go. False if somebody else announced something meanwhile.
pub async fn announce(store: &Store, commit_min: u64, manifest_min: u64) -> Result<bool, GcError> {
    let last = newest(store).await?;
    let k = last.as_ref().map_or(1, |last| last.k + 1);
    // What was once announced stays announced.
    let record = GcRecord {
        k,
        commit_min: commit_min.max(last.as_ref().map_or(0, |last| last.commit_min)),
        manifest_min: manifest_min.max(last.as_ref().map_or(0, |last| last.manifest_min)),
    };
    let path = layout::gc(k);
    let sealed = record::seal(KIND, &record).map_err(|source| GcError::Record { k, path: path.to_string(), source })?;
    let won = store.create_exact(&path, &Bytes::from(sealed)).await? == Created::Won;
    // Only the newest counts; a few stay for people.
    for old in (1..k.saturating_sub(RECORDS_KEPT)).rev().take(RECORDS_KEPT as usize) {
        store.delete(&layout::gc(old)).await?;
    }
    Ok(won)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_announced_stays() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().to_str().unwrap(), true).unwrap();
        assert_eq!(newest(&store).await.unwrap(), None);
        assert!(announce(&store, 10, 5).await.unwrap());
        assert!(announce(&store, 8, 7).await.unwrap());
        assert_eq!(newest(&store).await.unwrap(), Some(GcRecord { k: 2, commit_min: 10, manifest_min: 7 }));
    }
}
