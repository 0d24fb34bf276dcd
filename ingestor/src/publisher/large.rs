//! Publishing a catalogue that is too large to be moved whole for every change.
//!
//! The replica's own file is the snapshot. Its pages are compared with those of the newest published snapshot, of which a hash each is remembered, and
//! what differs is uploaded as a delta; from time to time, and where a delta would not be small, the whole file is. The catalogue's tables are
//! counted against each other only when the file goes whole: the fold writes all of them in one transaction, and the snapshot that a delta leads to is verified
//! by its sum wherever it is made.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use shared::catalog::schema;
use shared::snapshot::delta::{self, Compared, Pages};
use shared::snapshot::{self, Draft, Manifest, Published, SnapshotError};

use super::{Publisher, Scratch};
use crate::replica::ReplicaError;

/// How often one publication starts again because somebody else published meanwhile.
const TRIES_MAX: usize = 4;
/// A delta of more than this part of the pages is no small change: the replica grew up apart from the snapshot that somebody else published.
const APART_PART: usize = 4;
/// A file with more than this part of its pages unused is packed first.
const UNUSED_PART: u64 = 4;

/// The newest snapshot, as far as a delta from it needs.
#[derive(Debug)]
pub(super) struct Known {
    manifest: Manifest,
    pages: Pages,
    /// Whether this process published it, so that the replica's file is what it came from.
    is_ours: bool,
}

/// What was made of the replica.
struct Made {
    n: u64,
    format: i64,
    datasets: u64,
    compared: Compared,
    delta_bytes: u64,
    is_whole: bool,
}

impl Known {
    /// From the snapshot's file.
    pub(super) async fn read(manifest: Manifest, file: &Path) -> Result<Self, ReplicaError> {
        let path = file.to_owned();
        let read = tokio::task::spawn_blocking(move || Pages::of(&path)).await.map_err(std::io::Error::from);
        let pages = read.and_then(|pages| pages).map_err(failed(file))?;
        Ok(Self { manifest, pages, is_ours: false })
    }
}

impl Publisher {
    /// Returns the number, and whether it was not somebody else who published it.
    pub(super) async fn publish_large(&self, files: &Scratch) -> Result<(u64, bool), ReplicaError> {
        let mut known = self.known.lock().await;
        let mut was_apart = false;
        for _ in 0..TRIES_MAX {
            let seen = self.learn_newest(&mut known).await?;
            if seen >= self.replica.head().await? {
                return Ok((seen, false));
            }
            files.remove().await;
            let before = known.clone();
            let made = self.make(files, before.clone()).await?;
            let is_apart = made.compared.changed > made.compared.pages.count() / APART_PART;
            if is_apart && !was_apart && before.as_ref().is_some_and(|before| !before.is_ours) {
                tracing::info!(
                    "the copy of the catalogue is made anew from what another published, to differ in little"
                );
                self.replica.start_again().await?;
                was_apart = true;
                continue;
            }
            let Made { n, format, datasets, compared, delta_bytes, is_whole } = made;
            // A delta is of no use to anybody if it is no smaller.
            let before = before.filter(|_| delta_bytes < compared.bytes);
            let draft = Draft {
                n,
                format,
                datasets,
                at_ms: shared::clock::now_ms(),
                bytes: compared.bytes,
                sha256: compared.sha256,
                whole: is_whole.then(|| files.whole.clone()),
                step: before.map(|before| (before.manifest.clone(), files.delta.clone(), delta_bytes)),
                seen,
            };
            if let Published::Won(manifest) = snapshot::publish_draft(self.replica.store(), draft).await? {
                tracing::debug!(changed_pages = compared.changed, delta_bytes, is_whole, "published what changed");
                *known = Some(Arc::new(Known { manifest: *manifest, pages: compared.pages, is_ours: true }));
                return Ok((n, true));
            }
        }
        // Others publish all the time: what they leave out is published in its turn.
        Ok((known.as_ref().map_or(0, |known| known.manifest.n), false))
    }

    /// Makes sure that `known` is of the newest snapshot that can be used; None if there is none. Returns the number of the newest there is.
    async fn learn_newest(&self, known: &mut Option<Arc<Known>>) -> Result<u64, ReplicaError> {
        let reader = self.replica.store().read_only();
        let at = known.as_ref().map_or(0, |known| known.manifest.n);
        let Some(newest) = snapshot::numbers_past(&reader, at).await?.into_iter().next_back() else { return Ok(at) };
        if let Some(before) = known.take() {
            match self.follow(&before, newest).await {
                Ok(followed) => *known = followed.map(Arc::new),
                Err(ReplicaError::Snapshot(error)) if error.is_rot() => {}
                Err(error) => return Err(error),
            }
        }
        if known.is_none() {
            let (sound, rotten) = snapshot::newest_sound(&reader, &self.scratch).await?;
            for (_, error) in rotten {
                tracing::warn!(%error, "a snapshot cannot be used; the next follows the one before");
            }
            if let Some((manifest, file)) = sound {
                let read = Known::read(manifest, &file).await;
                snapshot::let_go(&reader, &file).await;
                *known = Some(Arc::new(read?));
            }
        }
        Ok(newest)
    }

    /// Follows what others published by its steps; None if they do not start here.
    async fn follow(&self, before: &Known, newest: u64) -> Result<Option<Known>, ReplicaError> {
        let reader = self.replica.store().read_only();
        let manifest = snapshot::manifest(&reader, newest).await?;
        let Some(steps) = manifest.steps_from(before.manifest.n).map(<[_]>::to_vec) else { return Ok(None) };
        let mut pages = before.pages.clone();
        for step in steps {
            let file = Scratch::new(&self.scratch).delta;
            reader.download(&step.path.as_str().into(), &file).await.map_err(SnapshotError::from)?;
            let read = file.clone();
            let done = tokio::task::spawn_blocking(move || {
                let advanced = pages.advance(&read, step.from, step.to);
                advanced.map(|()| pages)
            });
            let done = done.await.map_err(|error| failed(&file)(error.into()))?;
            let _ = tokio::fs::remove_file(&file).await;
            match done {
                Ok(advanced) => pages = advanced,
                Err(error) => {
                    tracing::warn!(%error, path = step.path, "a step between snapshots cannot be read");
                    return Ok(None);
                }
            }
        }
        Ok(Some(Known { manifest, pages, is_ours: false }))
    }

    /// Compares the replica with the newest snapshot, and copies it where it must go whole. Nothing is applied to it meanwhile.
    async fn make(&self, files: &Scratch, before: Option<Arc<Known>>) -> Result<Made, ReplicaError> {
        let (delta, whole) = (files.delta.clone(), files.whole.clone());
        self.replica
            .with_file(move |conn, file| {
                schema::pack_if_unused(conn, UNUSED_PART)?;
                let (n, format, datasets) = (schema::head(conn)?, schema::format(conn)?, schema::dataset_count(conn)?);
                schema::check_is_of(conn, file)?;
                let nothing = Pages::default();
                let (from, pages) = before.as_ref().map_or((0, &nothing), |b| (b.manifest.n, &b.pages));
                let compared = delta::make(file, pages, (from, n), &delta).map_err(failed(file))?;
                let delta_bytes = std::fs::metadata(&delta).map_err(failed(&delta))?.len();
                let is_whole = before
                    .as_ref()
                    .is_none_or(|before| snapshot::whole_is_due(&before.manifest, delta_bytes, compared.bytes));
                if is_whole {
                    schema::check_counts(conn)?;
                    let copied =
                        File::open(file).and_then(|mut from| std::io::copy(&mut from, &mut File::create_new(&whole)?));
                    copied.map_err(failed(&whole))?;
                }
                Ok(Made { n, format, datasets, compared, delta_bytes, is_whole })
            })
            .await
    }
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> ReplicaError {
    let path = path.to_owned();
    move |source| ReplicaError::File { path, source }
}
