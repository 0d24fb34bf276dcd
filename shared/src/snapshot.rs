//! Snapshots: the catalogue as versioned, immutable SQLite files. A manifest makes one visible; nothing else does.

use std::io::Read as _;
use std::path::{Path as FilePath, PathBuf};

use object_store::path::Path;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::catalog::schema::newest_format;
use crate::layout;
use crate::record::{self, RecordError, hex};
use crate::store::{ReadStore, Store, StoreError};

pub mod delta;
mod fetch;
mod publish;

pub use fetch::{fetch, let_go};
pub use publish::{Draft, Published, publish, publish_draft, whole_is_due};

const KIND: &str = "manifest";
/// Bytes hashed at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// The record that makes a snapshot visible.
///
/// A small snapshot is a whole file in the store. Of large ones only some are, and each follows from the one before by a step: the pages that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The commit it is the state after.
    pub n: u64,
    /// Of the catalogue's schema.
    pub format: i64,
    /// The snapshot's name; where it is in the store, if it is there as a whole.
    pub path: String,
    /// The size of its file.
    pub bytes: u64,
    /// The SHA-256 of its file.
    pub sha256: String,
    /// Datasets in it.
    pub datasets: u64,
    /// When it was published: milliseconds since 1970.
    pub at_ms: i64,
    /// The newest snapshot before it that is there as a whole, if this one is not: from it, steps lead here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole: Option<Whole>,
    /// Steps, each from where the last one led, that end here. Whoever has a snapshot that one of them starts from needs no whole file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
}

/// A snapshot that is there as a whole file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whole {
    /// Its number.
    pub n: u64,
    /// Where it is in the store.
    pub path: String,
    /// Its size.
    pub bytes: u64,
}

/// From one snapshot to a later one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The snapshot it starts from.
    pub from: u64,
    /// The snapshot it leads to.
    pub to: u64,
    /// The delta in the store.
    pub path: String,
    /// Its size.
    pub bytes: u64,
}

impl Manifest {
    /// The steps that lead here from snapshot n; None if none do. From here, that is none.
    pub fn steps_from(&self, n: u64) -> Option<&[Step]> {
        let start = match self.steps.iter().position(|step| step.from == n) {
            None if n == self.n => self.steps.len(),
            found => found?,
        };
        Some(&self.steps[start..])
    }

    /// What it can be made from by whoever has nothing: the snapshot that is there as a whole, and the steps from it.
    fn base(&self) -> (Whole, &[Step]) {
        let own = || Whole { n: self.n, path: self.path.clone(), bytes: self.bytes };
        let whole = self.whole.clone().unwrap_or_else(own);
        let steps = self.steps_from(whole.n).unwrap_or_default();
        (whole, steps)
    }

    /// What is wrong with it as manifest n, if anything is.
    fn fault(&self, n: u64) -> Option<&'static str> {
        let is_of = |path: &str, n| layout::parse_snapshot(&Path::from(path)).is_some_and(|(of, _)| of == n);
        let is_step = |step: &Step| {
            layout::parse_delta(&Path::from(step.path.as_str())).is_some_and(|d| (d.from, d.to) == (step.from, step.to))
        };
        let ends = self.steps.iter().map(|step| step.to);
        let starts = self.steps.iter().skip(1).map(|step| step.from).chain([n]);
        if self.n != n || !is_of(&self.path, n) {
            return Some("it is about another snapshot");
        }
        let lead_here = ends.zip(starts).all(|(end, start)| end == start) && self.steps.iter().all(is_step);
        let rests =
            self.whole.as_ref().is_none_or(|w| is_of(&w.path, w.n) && w.n < n && self.steps_from(w.n).is_some());
        (!lead_here || !rests).then_some("its steps do not lead to it")
    }
}

/// `latest.json`: saves requests, decides nothing.
#[derive(Serialize, Deserialize)]
struct Latest {
    n: u64,
}

/// Why a snapshot cannot be published or used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The manifest cannot be used.
    #[error("manifest {n} ({path}) {source}")]
    Record {
        /// Its number.
        n: u64,
        /// The object.
        path: String,
        /// Why.
        source: RecordError,
    },
    /// The file is not what its manifest says.
    #[error("snapshot {n} ({path}) does not verify: {fault}")]
    Damaged {
        /// Its number.
        n: u64,
        /// The object.
        path: String,
        /// What is wrong.
        fault: String,
    },
    /// A local file failed.
    #[error("cannot use the file {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl SnapshotError {
    /// Whether what is in the store is bad, rather than the store, this machine, or our version.
    pub fn is_rot(&self) -> bool {
        match self {
            Self::Damaged { .. } | Self::Store(StoreError::NotFound { .. }) => true,
            Self::Record { source, .. } => matches!(source, RecordError::Damaged(_)),
            Self::Store(_) | Self::File { .. } => false,
        }
    }
}

/// Points `latest.json` at n.
pub async fn write_latest(store: &Store, n: u64) -> Result<(), SnapshotError> {
    let text = serde_json::json!({ "n": n }).to_string();
    Ok(store.overwrite(&layout::latest(), text.into()).await?)
}

/// What `latest.json` says; None when it is missing or makes no sense.
pub async fn latest_hint(store: &ReadStore) -> Result<Option<u64>, SnapshotError> {
    let bytes = store.get_if_exists(&layout::latest()).await?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice::<Latest>(&bytes).ok()).map(|latest| latest.n))
}

/// Numbers of all manifests past n, ascending.
pub async fn numbers_past(store: &ReadStore, n: u64) -> Result<Vec<u64>, SnapshotError> {
    let listed = store.list(&layout::manifests(), Some(&layout::manifest(n))).await?;
    Ok(listed.iter().filter_map(|meta| layout::parse_manifest(&meta.location)).filter(|m| *m > n).collect())
}

/// The newest snapshot that verifies, as a local file, and what is wrong with newer ones, by number. An error says nothing about the snapshots: the store or this machine
/// failed, or they need a newer Kiln.
pub async fn newest_sound(
    store: &ReadStore,
    cache: &FilePath,
) -> Result<(Option<(Manifest, PathBuf)>, Vec<(u64, SnapshotError)>), SnapshotError> {
    let mut rotten = Vec::new();
    for n in numbers_past(store, 0).await?.into_iter().rev() {
        let found = match manifest(store, n).await {
            Ok(manifest) => fetch(store, &manifest, cache).await.map(|file| (manifest, file)),
            Err(error) => Err(error),
        };
        match found {
            Ok(found) => return Ok((Some(found), rotten)),
            Err(error) if error.is_rot() => rotten.push((n, error)),
            Err(error) => return Err(error),
        }
    }
    Ok((None, rotten))
}

/// Manifest n.
pub async fn manifest(store: &ReadStore, n: u64) -> Result<Manifest, SnapshotError> {
    let path = layout::manifest(n);
    let bytes = store.get(&path).await?;
    let manifest: Manifest = record::open(KIND, &bytes).map_err(|source| bad(n, &path, source))?;
    if manifest.format > newest_format() {
        let needs = "a newer version".to_owned();
        let format = u32::try_from(manifest.format).unwrap_or(u32::MAX);
        return Err(bad(n, &path, RecordError::Newer { format, needs }));
    }
    if let Some(fault) = manifest.fault(n) {
        return Err(bad(n, &path, RecordError::Damaged(fault.to_owned())));
    }
    Ok(manifest)
}

fn sum_file(path: &FilePath) -> std::io::Result<(u64, String)> {
    let mut file = std::fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            return Ok((bytes, hex(&hasher.finalize())));
        }
        hasher.update(&chunk[..read]);
        bytes += read as u64;
    }
}

fn bad(n: u64, path: &Path, source: RecordError) -> SnapshotError {
    SnapshotError::Record { n, path: path.to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_published_snapshot_is_found_and_a_flipped_byte_is_too() {
        let (dir, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = Store::open(dir.path().to_str().unwrap(), true).unwrap();
        for n in [3, 5] {
            let file = scratch.path().join("s.sqlite");
            std::fs::write(&file, format!("snapshot {n}")).unwrap();
            assert!(publish(&store, &file, n, 1, 0, 7).await.unwrap());
            std::fs::remove_file(&file).unwrap();
        }
        let reader = store.read_only();
        assert_eq!(latest_hint(&reader).await.unwrap(), Some(5));
        assert_eq!(numbers_past(&reader, 0).await.unwrap(), [3, 5]);
        assert_eq!(manifest(&reader, 3).await.unwrap().n, 3);
        assert_eq!(numbers_past(&reader, 3).await.unwrap(), [5]);
        let newest = &manifest(&reader, 5).await.unwrap();
        let file = fetch(&reader, newest, scratch.path()).await.unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"snapshot 5");
        std::fs::write(&file, b"snapshot 6").unwrap();
        let error = fetch(&reader, newest, scratch.path()).await.unwrap_err().to_string();
        assert!(error.contains("checksum does not match") && error.contains("snapshots/"), "{error}");
    }

    #[tokio::test]
    async fn the_second_publisher_of_a_number_leaves_nothing() {
        let (dir, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = Store::open(dir.path().to_str().unwrap(), true).unwrap();
        for (name, wins) in [("a", true), ("b", false)] {
            let file = scratch.path().join(name);
            std::fs::write(&file, name).unwrap();
            assert_eq!(publish(&store, &file, 1, 1, 0, 7).await.unwrap(), wins);
        }
        assert_eq!(std::fs::read_dir(dir.path().join("snapshots")).unwrap().count(), 1);
    }

    fn step(from: u64, to: u64) -> Step {
        let name = layout::DeltaName { to, id: ulid::Ulid::generate(), from, whole: 2 };
        Step { from, to, path: layout::delta(&name).to_string(), bytes: 10 }
    }

    fn of_steps(n: u64, whole: Option<u64>, steps: Vec<Step>) -> Manifest {
        let path = |n| layout::snapshot(n, ulid::Ulid::generate()).to_string();
        let whole = whole.map(|n| Whole { n, path: path(n), bytes: 100 });
        let sha256 = String::new();
        Manifest { n, format: 1, path: path(n), bytes: 100, sha256, datasets: 0, at_ms: 0, whole, steps }
    }

    #[test]
    fn a_small_manifest_says_nothing_of_steps() {
        let text = serde_json::to_string(&of_steps(3, None, Vec::new())).unwrap();
        assert!(!text.contains("whole") && !text.contains("steps"), "{text}");
        assert_eq!(of_steps(3, None, Vec::new()).fault(3), None);
    }

    #[test]
    fn steps_lead_from_where_one_is() {
        let manifest = of_steps(7, Some(3), vec![step(2, 3), step(3, 5), step(5, 7)]);
        assert_eq!(manifest.fault(7), None);
        let from = |n| manifest.steps_from(n).map(|steps| steps.iter().map(|step| step.to).collect::<Vec<_>>());
        assert_eq!((from(2), from(5), from(7)), (Some(vec![3, 5, 7]), Some(vec![7]), Some(vec![])));
        assert_eq!((from(4), from(1)), (None, None));
        assert_eq!(manifest.base().1.len(), 2);
    }

    #[test]
    fn steps_that_lead_elsewhere_are_a_fault() {
        let elsewhere = [
            of_steps(7, Some(2), vec![step(2, 3), step(4, 7)]),
            of_steps(7, Some(2), vec![step(2, 3), step(3, 6)]),
            of_steps(7, Some(4), vec![step(2, 3), step(3, 7)]),
            of_steps(7, Some(3), Vec::new()),
            of_steps(7, Some(2), vec![Step { path: "snapshots/x.delta".to_owned(), ..step(2, 7) }]),
            of_steps(6, None, Vec::new()),
        ];
        for manifest in elsewhere {
            assert!(manifest.fault(7).is_some(), "{manifest:?}");
        }
    }
}
