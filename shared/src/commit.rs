//! The log: numbered, immutable records of changes to the catalogue. A commit is a list of changes, decided as one by whoever creates its
//! number first.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::collection::Collection;
use crate::dataset::Dataset;
use crate::layout;
use crate::record::{self, RecordError, sha256_hex};
use crate::store::{Created, Store, StoreError};

/// Change lists above this many bytes lie in an object of their own.
pub const CHANGES_INLINE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// No change list is longer than this when unpacked: a reader's bound.
const CHANGES_BYTES_MAX: usize = 1024 * 1024 * 1024;
const KIND: &str = "commit";
const ZSTD_LEVEL: i32 = 3;

/// One numbered record of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// Its number, from 1 without gaps.
    pub n: u64,
    /// Of this attempt to create it.
    pub uuid: Ulid,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Who: host and process, for people.
    pub author: String,
    /// What changed, in order. At most one change per input; checked against state n−1, then applied in order.
    pub changes: Vec<Change>,
}

/// A change of the catalogue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// Defines a collection or replaces its definition.
    PutCollection {
        /// Number of the commit that last set it, 0 if none.
        prev: u64,
        /// The definition.
        collection: Box<Collection>,
    },
    /// Ingested: replaces all datasets the input had.
    Put {
        /// Which input, and what its author saw.
        #[serde(flatten)]
        input: InputRef,
        /// Its version.
        version: String,
        /// When the source says it last changed: milliseconds since 1970.
        source_time_ms: i64,
        /// The collection its datasets belong to.
        collection: String,
        /// Hash of content, sidecars, settings and profile.
        content: String,
        /// All datasets of the input.
        datasets: Vec<Dataset>,
    },
    /// Cannot be ingested: datasets of an earlier version stay.
    Reject {
        /// Which input, and what its author saw.
        #[serde(flatten)]
        input: InputRef,
        /// Its version.
        version: String,
        /// When the source says it last changed: milliseconds since 1970.
        source_time_ms: i64,
        /// The collection it was meant for.
        collection: String,
        /// What is wrong, where, what to do.
        reason: String,
        /// Whether it may pass later.
        may_pass: bool,
        /// The input that already has these key values, under `on_conflict = "first"`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<String>,
    },
    /// Gone from its source: no datasets, no version.
    Remove {
        /// Which input, and what its author saw.
        #[serde(flatten)]
        input: InputRef,
    },
    /// Taken out by a person or a restore: no datasets, that version decided.
    Hold {
        /// Which input, and what its author saw.
        #[serde(flatten)]
        input: InputRef,
        /// The version that stays out.
        version: String,
    },
    /// No version decided, datasets stay: the next reconcile makes a job.
    Release {
        /// Which input, and what its author saw.
        #[serde(flatten)]
        input: InputRef,
    },
    /// From here on, a COG with an older ULID may be committed only if state n−1 or a kept snapshot references it.
    Gc {
        /// The oldest ULID that is free to use.
        cog_min: Ulid,
        /// Numbers of the snapshots that are kept.
        kept: Vec<u64>,
    },
    /// From here on, the catalogue is of a newer format. Versions that do not read it stop.
    Upgrade {
        /// The format.
        format: i64,
    },
}

/// An input as the author of a change saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputRef {
    /// The source's name.
    pub source: String,
    /// Path relative to the source.
    #[serde(rename = "input")]
    pub path: String,
    /// Number of the commit that last decided about it, 0 if none.
    pub prev: u64,
}

impl Change {
    /// The input it is about, if it is about one.
    pub fn input(&self) -> Option<&InputRef> {
        match self {
            Self::Put { input, .. }
            | Self::Reject { input, .. }
            | Self::Remove { input }
            | Self::Hold { input, .. }
            | Self::Release { input } => Some(input),
            Self::PutCollection { .. } | Self::Gc { .. } | Self::Upgrade { .. } => None,
        }
    }
}

/// Why the log cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record cannot be used.
    #[error("commit {n} ({path}) {source}")]
    Record {
        /// Its number.
        n: u64,
        /// The object that is bad.
        path: String,
        /// Why.
        source: RecordError,
    },
}

/// The record as it is written: the change list inline, or elsewhere and named by its sum.
#[derive(Serialize, Deserialize)]
struct Written {
    n: u64,
    uuid: Ulid,
    at_ms: i64,
    author: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changes: Option<Vec<Change>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changes_at: Option<ChangesAt>,
}

#[derive(Serialize, Deserialize)]
struct ChangesAt {
    path: String,
    sha256: String,
    count: usize,
}

/// What became of `append`.
#[derive(Debug)]
pub enum Appended {
    /// The commit is in the log.
    Won,
    /// Another commit has its number.
    Lost(Box<Commit>),
}

/// Tries to make `commit` the record of its number. An error means undecided.
pub async fn append(store: &Store, commit: &Commit) -> Result<Appended, LogError> {
    let path = layout::commit(commit.n);
    let bytes = encode(store, commit).await?;
    match store.create_exact(&path, &bytes).await? {
        Created::Won => Ok(Appended::Won),
        Created::Lost(existing) => Ok(Appended::Lost(Box::new(decode(store, commit.n, &existing).await?))),
    }
}

/// Overwrites a record that does not verify: for `kiln store repair` alone, with every writer stopped.
pub async fn overwrite(store: &Store, commit: &Commit) -> Result<(), LogError> {
    let bytes = encode(store, commit).await?;
    Ok(store.overwrite(&layout::commit(commit.n), bytes).await?)
}

/// Deletes commit n with its change list, for retention and repair.
pub async fn delete(store: &Store, n: u64) -> Result<(), StoreError> {
    let path = layout::commit(n);
    if let Some(bytes) = store.get_if_exists(&path).await?
        && let Ok(Written { changes_at: Some(at), .. }) = record::open(KIND, &bytes)
    {
        store.delete(&at.path.as_str().into()).await?;
    }
    store.delete(&path).await
}

/// Commit n, or None if the log ends before it.
pub async fn read(store: &Store, n: u64) -> Result<Option<Commit>, LogError> {
    match store.get_if_exists(&layout::commit(n)).await? {
        Some(bytes) => decode(store, n, &bytes).await.map(Some),
        None => Ok(None),
    }
}

async fn encode(store: &Store, commit: &Commit) -> Result<Bytes, LogError> {
    let path = layout::commit(commit.n);
    let bad = |source| LogError::Record { n: commit.n, path: path.to_string(), source };
    let Commit { n, uuid, at_ms, ref author, ref changes } = *commit;
    let mut written =
        Written { n, uuid, at_ms, author: author.clone(), changes: Some(changes.clone()), changes_at: None };
    let sealed = record::seal(KIND, &written).map_err(bad)?;
    if sealed.len() <= CHANGES_INLINE_BYTES_MAX {
        return Ok(sealed.into());
    }
    let list = serde_json::to_vec(changes).map_err(|e| bad(RecordError::Damaged(e.to_string())))?;
    let packed = zstd::bulk::compress(&list, ZSTD_LEVEL).map_err(|e| bad(RecordError::Damaged(e.to_string())))?;
    // Named by the attempt, so that trying the same commit again gives the same record.
    let changes_path = layout::changes(uuid);
    written.changes_at =
        Some(ChangesAt { path: changes_path.to_string(), sha256: sha256_hex(&packed), count: changes.len() });
    written.changes = None;
    store.create_exact(&changes_path, &packed.into()).await?;
    Ok(record::seal(KIND, &written).map_err(bad)?.into())
}

async fn decode(store: &Store, n: u64, bytes: &[u8]) -> Result<Commit, LogError> {
    let path = layout::commit(n).to_string();
    let bad = |path: &str, source| LogError::Record { n, path: path.to_owned(), source };
    let written: Written = record::open(KIND, bytes).map_err(|e| bad(&path, e))?;
    if written.n != n {
        return Err(bad(&path, RecordError::Damaged(format!("it says that it is commit {}", written.n))));
    }
    let changes = match (written.changes, written.changes_at) {
        (Some(changes), None) => changes,
        (None, Some(at)) => {
            let packed = store.get(&at.path.as_str().into()).await?;
            unpack(&packed, &at).map_err(|e| bad(&at.path, e))?
        }
        _ => return Err(bad(&path, RecordError::Damaged("it has no change list, or two".to_owned()))),
    };
    let (uuid, at_ms, author) = (written.uuid, written.at_ms, written.author);
    Ok(Commit { n, uuid, at_ms, author, changes })
}

fn unpack(packed: &[u8], at: &ChangesAt) -> Result<Vec<Change>, RecordError> {
    if sha256_hex(packed) != at.sha256 {
        return Err(RecordError::Damaged("its checksum does not match".to_owned()));
    }
    let list = zstd::bulk::decompress(packed, CHANGES_BYTES_MAX).map_err(|e| RecordError::Damaged(e.to_string()))?;
    let changes: Vec<Change> = serde_json::from_slice(&list).map_err(|e| RecordError::Damaged(e.to_string()))?;
    if changes.len() != at.count {
        return Err(RecordError::Damaged(format!("{} changes, not {}", changes.len(), at.count)));
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reject(path: &str, reason: String) -> Change {
        Change::Reject {
            input: InputRef { source: "default".to_owned(), path: path.to_owned(), prev: 0 },
            version: "v1".to_owned(),
            source_time_ms: 1,
            collection: "default".to_owned(),
            reason,
            may_pass: false,
            owner: None,
        }
    }

    fn commit(n: u64, changes: Vec<Change>) -> Commit {
        Commit { n, uuid: Ulid::generate(), at_ms: 5, author: "test".to_owned(), changes }
    }

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().to_str().unwrap(), true).unwrap();
        (dir, store)
    }

    #[tokio::test]
    async fn a_number_is_decided_once() {
        let (_dir, store) = store();
        let first = commit(1, vec![reject("a", "x".to_owned())]);
        let second = commit(1, vec![reject("b", "y".to_owned())]);
        assert!(matches!(append(&store, &first).await.unwrap(), Appended::Won));
        assert!(matches!(append(&store, &first).await.unwrap(), Appended::Won));
        let Appended::Lost(winner) = append(&store, &second).await.unwrap() else { panic!() };
        assert_eq!(*winner, first);
        assert_eq!(read(&store, 1).await.unwrap(), Some(first));
        assert_eq!(read(&store, 2).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_long_change_list_lies_beside_the_log() {
        let (dir, store) = store();
        let changes: Vec<Change> = (0..50).map(|i| reject(&format!("f{i}"), "z".repeat(100_000))).collect();
        let long = commit(1, changes);
        assert!(matches!(append(&store, &long).await.unwrap(), Appended::Won));
        assert_eq!(std::fs::read_dir(dir.path().join("changes")).unwrap().count(), 1);
        assert_eq!(read(&store, 1).await.unwrap(), Some(long));
        let file = std::fs::read_dir(dir.path().join("changes")).unwrap().next().unwrap().unwrap().path();
        std::fs::write(&file, b"rot").unwrap();
        let error = read(&store, 1).await.unwrap_err().to_string();
        assert!(error.contains("commit 1 (changes/") && error.contains("checksum"), "{error}");
    }

    #[tokio::test]
    async fn a_commit_cut_short_is_named() {
        let (dir, store) = store();
        append(&store, &commit(1, vec![reject("a", "x".to_owned())])).await.unwrap();
        let file = dir.path().join(layout::commit(1).as_ref());
        let bytes = std::fs::read(&file).unwrap();
        std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
        let error = read(&store, 1).await.unwrap_err().to_string();
        assert!(error.contains("commits/00000000000000000001.json"), "{error}");
        assert!(error.contains("does not verify"), "{error}");
    }
}
