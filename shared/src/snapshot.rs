//! Snapshots: the catalogue as versioned, immutable SQLite files. A manifest makes one visible; nothing else does.

use std::path::{Path as FilePath, PathBuf};

use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::catalog::schema::newest_format;
use crate::layout::{self, DeltaName, SnapshotName};
use crate::record::{self, RecordError};
use crate::store::{ReadStore, Store, StoreError};

pub mod delta;
mod fetch;
mod publish;
mod rotten;
mod steps;
mod verify;

pub use fetch::Fetcher;
pub use publish::{Draft, Published, publish, publish_draft, whole_is_due};

const KIND: &str = "manifest";
/// Steps in a manifest: enough to reach back to the whole file, and beyond it for servers that are a little behind.
const STEPS_MAX: usize = 48;

/// The record that makes a snapshot visible.
///
/// A small snapshot is a whole file in the store. Of large ones only some are, and each follows from the one before by a step: the pages that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The commit it is the state after.
    pub n: u64,
    /// Of the catalogue's schema.
    pub format: i64,
    /// Where it is in the store, if it is there as a whole.
    #[serde(rename = "path")]
    pub name: SnapshotName,
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
    /// Where it is in the store.
    #[serde(rename = "path")]
    pub name: SnapshotName,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
}

/// From one snapshot to a later one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Where the delta is in the store: which snapshots it is between.
    #[serde(rename = "path")]
    pub name: DeltaName,
    /// Its size.
    pub bytes: u64,
}

impl Manifest {
    /// The steps that lead here from a snapshot; None if none do. From here, that is none.
    pub fn steps_from(&self, name: SnapshotName) -> Option<&[Step]> {
        let start = match self.steps.iter().position(|step| step.name.from == name) {
            None if name == self.name => self.steps.len(),
            found => found?,
        };
        Some(&self.steps[start..])
    }

    /// What it can be made from by whoever has nothing: the snapshot that is there as a whole, and the steps from it.
    fn base(&self) -> (Whole, &[Step]) {
        let own = || Whole { name: self.name, bytes: self.bytes, sha256: self.sha256.clone() };
        let whole = self.whole.clone().unwrap_or_else(own);
        let steps = self.steps_from(whole.name).unwrap_or_default();
        (whole, steps)
    }

    /// What is wrong with it as manifest n, if anything is.
    fn fault(&self, n: u64) -> Option<&'static str> {
        if self.n != n || self.name.n != n {
            return Some("it is about another snapshot");
        }
        if self.steps.len() > STEPS_MAX {
            return Some("it has more steps than any");
        }
        let ends = self.steps.iter().map(|step| step.name.to);
        let starts = self.steps.iter().skip(1).map(|step| step.name.from).chain([self.name]);
        let lead_here = ends.zip(starts).all(|(end, start)| end == start);
        let rests = self.whole.as_ref().is_none_or(|w| w.name.n < n && self.steps_from(w.name).is_some());
        (!lead_here || !rests).then_some("its steps do not lead to it")
    }
}

/// The bytes of steps together: numbers of a manifest, which may be any.
fn bytes_of(steps: &[Step]) -> u64 {
    steps.iter().fold(0, |sum, step| sum.saturating_add(step.bytes))
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

fn bad(n: u64, path: &Path, source: RecordError) -> SnapshotError {
    SnapshotError::Record { n, path: path.to_string(), source }
}

fn damaged(manifest: &Manifest, fault: String) -> SnapshotError {
    SnapshotError::Damaged { n: manifest.n, path: manifest.name.into(), fault }
}

fn file_error(path: &FilePath, source: std::io::Error) -> SnapshotError {
    SnapshotError::File { path: path.to_owned(), source }
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
        let fetcher = Fetcher::new(reader.clone(), scratch.path());
        let file = fetcher.fetch(newest).await.unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"snapshot 5");
        std::fs::write(&file, b"snapshot 6").unwrap();
        let error = fetcher.fetch(newest).await.unwrap_err().to_string();
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

    fn name(n: u64) -> SnapshotName {
        SnapshotName { n, id: ulid::Ulid::from_parts(n, 7) }
    }

    fn step(from: u64, to: u64) -> Step {
        Step { name: DeltaName { to: name(to), from: name(from), whole: name(2) }, bytes: 10 }
    }

    fn of_steps(n: u64, whole: Option<u64>, steps: Vec<Step>) -> Manifest {
        let sha256 = String::new();
        let whole = whole.map(|n| Whole { name: name(n), bytes: 100, sha256: sha256.clone() });
        Manifest { n, format: 1, name: name(n), bytes: 100, sha256, datasets: 0, at_ms: 0, whole, steps }
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
        let to = |steps: &[Step]| steps.iter().map(|step| step.name.to.n).collect::<Vec<_>>();
        let from = |n| manifest.steps_from(name(n)).map(to);
        assert_eq!((from(2), from(5), from(7)), (Some(vec![3, 5, 7]), Some(vec![7]), Some(vec![])));
        assert_eq!((from(4), from(1)), (None, None));
        assert_eq!(manifest.base().1.len(), 2);
        let of_another = SnapshotName::new(5);
        assert_eq!(manifest.steps_from(of_another), None, "the same number, published anew");
    }

    #[test]
    fn steps_that_lead_elsewhere_are_a_fault() {
        let elsewhere = [
            of_steps(7, Some(2), vec![step(2, 3), step(4, 7)]),
            of_steps(7, Some(2), vec![step(2, 3), step(3, 6)]),
            of_steps(7, Some(4), vec![step(2, 3), step(3, 7)]),
            of_steps(7, Some(3), Vec::new()),
            of_steps(6, None, Vec::new()),
            of_steps(7, None, vec![step(6, 7); STEPS_MAX + 1]),
        ];
        for manifest in elsewhere {
            assert!(manifest.fault(7).is_some(), "{manifest:?}");
        }
    }
}
