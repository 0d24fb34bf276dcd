//! Snapshots: the catalogue as versioned, immutable SQLite files. A manifest makes one visible; nothing else does.

use std::io::Read as _;
use std::path::{Path as FilePath, PathBuf};
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use ulid::Ulid;

use crate::catalog::schema::newest_format;
use crate::layout;
use crate::record::{self, RecordError, hex};
use crate::store::{Created, ReadStore, Store, StoreError};

const KIND: &str = "manifest";
/// Bytes hashed at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// The record that makes a snapshot visible.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The commit it is the state after.
    pub n: u64,
    /// Of the catalogue's schema.
    pub format: i64,
    /// The snapshot in the store.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
    /// Datasets in it.
    pub datasets: u64,
    /// When it was published: milliseconds since 1970.
    pub at_ms: i64,
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

/// Publishes a finished, checked catalogue file. Returns false if somebody else has published this number. `file` may be moved.
pub async fn publish(
    store: &Store,
    file: &FilePath,
    n: u64,
    format: i64,
    datasets: u64,
    at_ms: i64,
) -> Result<bool, SnapshotError> {
    let owned = file.to_owned();
    let summed = tokio::task::spawn_blocking(move || sum_file(&owned)).await;
    let (bytes, sha256) = summed
        .map_err(std::io::Error::from)
        .and_then(|sum| sum)
        .map_err(|source| SnapshotError::File { path: file.to_owned(), source })?;
    let path = layout::snapshot(n, Ulid::generate());
    store.upload_file(file, &path, || ()).await?;
    let manifest = Manifest { n, format, path: path.to_string(), bytes, sha256, datasets, at_ms };
    let at = layout::manifest(n);
    let sealed = record::seal(KIND, &manifest).map_err(|source| bad(n, &at, source))?;
    let won = store.create_exact(&at, &Bytes::from(sealed)).await? == Created::Won;
    if won {
        write_latest(store, n).await?;
    } else {
        store.delete(&path).await?;
    }
    Ok(won)
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
    let snapshot = layout::parse_snapshot(&Path::from(manifest.path.as_str()));
    if manifest.n != n || snapshot.is_none_or(|(of, _)| of != n) {
        return Err(bad(n, &path, RecordError::Damaged("it is about another snapshot".to_owned())));
    }
    Ok(manifest)
}

/// A verified local file of a snapshot: a local store's is used in place, another's is downloaded into `cache`. What was verified is remembered by size,
/// mtime and sum in a file `<snapshot>.verified` in `cache`. What was downloaded and does not verify is deleted, so that the next try starts anew.
pub async fn fetch(store: &ReadStore, manifest: &Manifest, cache: &FilePath) -> Result<PathBuf, SnapshotError> {
    let path = Path::from(manifest.path.as_str());
    let file_error = |path: &FilePath, source| SnapshotError::File { path: path.to_owned(), source };
    tokio::fs::create_dir_all(cache).await.map_err(|e| file_error(cache, e))?;
    let name = manifest.path.replace('/', "-");
    let file = if let Some(file) = store.local_path(&path) {
        file
    } else {
        let file = cache.join(&name);
        let present = tokio::fs::metadata(&file).await.is_ok_and(|meta| meta.len() == manifest.bytes);
        if !present {
            let part = cache.join(format!("{name}.part"));
            // What an earlier try left: this folder is this process's own.
            let _ = tokio::fs::remove_file(&part).await;
            store.download(&path, &part).await?;
            tokio::fs::rename(&part, &file).await.map_err(|e| file_error(&file, e))?;
        }
        file
    };
    let note = cache.join(format!("{name}.verified"));
    let (manifest, checked) = (manifest.clone(), file.clone());
    let verified = tokio::task::spawn_blocking(move || verify(&checked, &note, &manifest)).await;
    let verified = verified.map_err(|e| file_error(&file, e.into()))?;
    if verified.is_err() && store.local_path(&path).is_none() {
        let _ = tokio::fs::remove_file(&file).await;
    }
    verified.map(|()| file)
}

/// Deletes a fetched file that has served its purpose, if it was downloaded; a local store's is the snapshot itself.
pub async fn let_go(store: &ReadStore, file: &FilePath) {
    if store.local_path(&layout::latest()).is_none() {
        // One that stays is only in the way.
        let _ = tokio::fs::remove_file(file).await;
    }
}

/// Checks size and sum of a file against its manifest, once per state of the file.
fn verify(file: &FilePath, note: &FilePath, manifest: &Manifest) -> Result<(), SnapshotError> {
    let damaged = |fault: String| SnapshotError::Damaged { n: manifest.n, path: manifest.path.clone(), fault };
    let meta = std::fs::metadata(file).map_err(|e| damaged(e.to_string()))?;
    if meta.len() != manifest.bytes {
        return Err(damaged(format!("it has {} bytes, its manifest says {}", meta.len(), manifest.bytes)));
    }
    let mtime_ns = meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).map_or(0, |d| d.as_nanos());
    let state = format!("{} {mtime_ns} {}", meta.len(), manifest.sha256);
    if std::fs::read_to_string(note).is_ok_and(|known| known == state) {
        return Ok(());
    }
    let (_, sha256) = sum_file(file).map_err(|e| damaged(e.to_string()))?;
    if sha256 != manifest.sha256 {
        return Err(damaged("its checksum does not match".to_owned()));
    }
    // Only saves work next time; a cache that cannot be written is no reason not to serve.
    let _ = std::fs::write(note, state);
    Ok(())
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
}
