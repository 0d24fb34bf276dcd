//! Uploading a snapshot, whole or as a step from the one before, and the manifest that makes it visible.

use std::path::{Path as FilePath, PathBuf};

use bytes::Bytes;
use object_store::path::Path;

use super::verify::sum_file;
use super::{KIND, Manifest, STEPS_MAX, SnapshotError, Step, bad, bytes_of, numbers_past, write_latest};
use crate::layout::{self, DeltaName, SnapshotName};
use crate::record;
use crate::store::{Created, Store};

/// After so many steps from a whole file the next is whole again: what a server that starts cold has to fetch.
const STEPS_FROM_WHOLE_MAX: usize = 32;
/// A file is whole again when the steps to it have so large a part of its bytes.
const STEPS_PART: u64 = 4;

/// A snapshot to be published.
#[derive(Debug)]
pub struct Draft {
    /// A name that no other publication has.
    pub name: SnapshotName,
    /// Of the catalogue's schema.
    pub format: i64,
    /// Datasets in it.
    pub datasets: u64,
    /// Now: milliseconds since 1970.
    pub at_ms: i64,
    /// The size of its file.
    pub bytes: u64,
    /// The SHA-256 of its file.
    pub sha256: String,
    /// Its file, to be uploaded whole. May be moved.
    pub whole: Option<PathBuf>,
    /// The newest snapshot before it, with a delta from there and its size.
    pub step: Option<(Manifest, PathBuf, u64)>,
    /// The newest manifest that was looked at when the step was made.
    pub seen: u64,
}

/// What became of a draft.
#[derive(Debug)]
pub enum Published {
    /// It is visible, by this manifest.
    Won(Box<Manifest>),
    /// Somebody has published this number, or another since the step was made.
    Overtaken,
}

/// Whether a snapshot of so many bytes should be there as a whole, and not only as a delta of so many bytes from the one before.
pub fn whole_is_due(before: &Manifest, delta_bytes: u64, bytes: u64) -> bool {
    let steps = before.base().1;
    let sum = bytes_of(steps).saturating_add(delta_bytes);
    steps.len() >= STEPS_FROM_WHOLE_MAX || sum > bytes / STEPS_PART
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
    let (name, whole) = (SnapshotName::new(n), Some(file.to_owned()));
    let draft = Draft { name, format, datasets, at_ms, bytes, sha256, whole, step: None, seen: 0 };
    Ok(matches!(publish_draft(store, draft).await?, Published::Won(_)))
}

/// Uploads what a draft has and makes it visible. What lost is deleted again.
pub async fn publish_draft(store: &Store, draft: Draft) -> Result<Published, SnapshotError> {
    let Draft { name, format, datasets, at_ms, bytes, sha256, whole, step, seen } = draft;
    let n = name.n;
    let mut manifest = Manifest { n, format, name, bytes, sha256, datasets, at_ms, whole: None, steps: Vec::new() };
    let mut uploaded: Vec<Path> = Vec::new();
    let is_step = step.is_some();
    if let Some((before, delta, delta_bytes)) = step {
        let rests_on = before.base().0;
        let step = DeltaName { to: name, from: before.name, whole: rests_on.name };
        let at = step.path();
        store.upload_file(&delta, &at, || ()).await?;
        manifest.steps = before.steps;
        manifest.steps.push(Step { name: step, bytes: delta_bytes });
        manifest.steps.drain(..manifest.steps.len().saturating_sub(STEPS_MAX));
        manifest.whole = whole.is_none().then_some(rests_on);
        uploaded.push(at);
    }
    if let Some(file) = whole {
        let path = name.path();
        store.upload_file(&file, &path, || ()).await?;
        uploaded.push(path);
    }
    // Two steps from the same snapshot would leave servers that took the one unable to take what follows the other.
    let is_overtaken = is_step && !numbers_past(&store.read_only(), seen).await?.is_empty();
    let at = layout::manifest(n);
    let sealed = record::seal(KIND, &manifest).map_err(|source| bad(n, &at, source))?;
    if !is_overtaken && store.create_exact(&at, &Bytes::from(sealed)).await? == Created::Won {
        write_latest(store, n).await?;
        return Ok(Published::Won(Box::new(manifest)));
    }
    for path in uploaded {
        // Retention takes what stays.
        if let Err(error) = store.delete(&path).await {
            tracing::warn!(%error, "what another publication has overtaken cannot be deleted now");
        }
    }
    Ok(Published::Overtaken)
}
