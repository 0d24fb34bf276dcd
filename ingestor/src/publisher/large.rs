//! Publishing a catalogue that is too large to be moved whole for every change.
//!
//! The replica's own file is the snapshot. Its pages are compared with those of the newest published snapshot, of which a hash each is remembered, and
//! what differs is uploaded as a delta; from time to time, and where a delta would not be small, the whole file is. The catalogue's tables are
//! counted against each other only when the file goes whole: the fold writes all of them in one transaction, and the snapshot that a delta leads to is verified
//! by its sum wherever it is made.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use shared::catalog::schema;
use shared::layout::SnapshotName;
use shared::snapshot::delta::{self, Compared, Pages};
use shared::snapshot::{self, Draft, Manifest, Published};
use tokio::time::Instant;

use super::{Publisher, Scratch};
use crate::replica::ReplicaError;

/// How often one publication starts again because somebody else published meanwhile.
const TRIES_MAX: usize = 4;
/// A delta of more than this part of the pages is no small change: the replica grew up apart from the snapshot that somebody else published.
const APART_PART: usize = 4;
/// A file with more than this part of its pages unused is packed first.
const UNUSED_PART: u64 = 4;
/// Packing takes the file's size of disk again, and all of it is written before it fails: when it did, it is not tried again for so long.
const PACK_AGAIN_AFTER: Duration = Duration::from_hours(1);

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
    name: SnapshotName,
    format: i64,
    datasets: u64,
    compared: Compared,
    is_whole: bool,
}

impl Made {
    /// Whether it has little to do with what it was compared with.
    fn is_apart(&self) -> bool {
        self.compared.changed > self.compared.pages.count() / APART_PART
    }
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
        // What was packed lies apart from all that was published, and would again.
        let mut was_apart = self.pack().await?;
        for _ in 0..TRIES_MAX {
            let seen = self.learn_newest(&mut known).await?;
            if seen >= self.replica.head().await? {
                return Ok((seen, false));
            }
            files.remove().await;
            let before = known.clone();
            let made = self.make(files, before.clone()).await?;
            if made.is_apart() && !was_apart && before.as_ref().is_some_and(|before| !before.is_ours) {
                tracing::info!(
                    "the copy of the catalogue is made anew from what another published, to differ in little"
                );
                self.replica.start_again(&self.fetcher).await?;
                was_apart = true;
                continue;
            }
            // Nobody needs most of the pages beside the whole file.
            let before = before.filter(|_| !(made.is_whole && made.is_apart()));
            let Made { name, format, datasets, compared, is_whole } = made;
            let delta_bytes = compared.delta_bytes;
            let draft = Draft {
                name,
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
                return Ok((name.n, true));
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
        if let Some(before) = known.as_ref() {
            // What is known is kept while the store is away: it takes a whole file to learn it anew.
            *known = match self.follow(before, newest).await {
                Ok(followed) => followed.map(Arc::new),
                Err(ReplicaError::Snapshot(error)) if error.is_rot() => {
                    tracing::warn!(%error, "the newest snapshot cannot be followed to; looking for the newest that can be used");
                    None
                }
                Err(error) => return Err(error),
            };
        }
        if known.is_none() {
            let (sound, rotten) = self.fetcher.newest_sound().await?;
            for (_, error) in rotten {
                tracing::warn!(%error, "a snapshot cannot be used; the next follows the one before");
            }
            if let Some((manifest, file)) = sound {
                *known = Some(Arc::new(Known::read(manifest, &file).await?));
            }
        }
        Ok(newest)
    }

    /// Follows what others published by its steps; None if they do not start here.
    async fn follow(&self, before: &Known, newest: u64) -> Result<Option<Known>, ReplicaError> {
        let reader = self.replica.store().read_only();
        let manifest = snapshot::manifest(&reader, newest).await?;
        let Some(steps) = self.fetcher.steps(&manifest, before.manifest.name).await? else { return Ok(None) };
        let mut pages = before.pages.clone();
        let advanced = tokio::task::spawn_blocking(move || {
            for (name, file) in steps.files() {
                pages.advance(file, (name.from, name.to)).map_err(failed(file))?;
            }
            Ok::<_, ReplicaError>(pages)
        });
        let pages = advanced.await.map_err(|error| failed(&self.scratch)(error.into()))??;
        Ok(Some(Known { manifest, pages, is_ours: false }))
    }

    /// Packs the replica's file if too much of it is unused. Returns whether it did; a disk too full for it is no reason not to publish.
    async fn pack(&self) -> Result<bool, ReplicaError> {
        let mut not_packed = self.not_packed.lock().await;
        if not_packed.is_some_and(|at| at.elapsed() < PACK_AGAIN_AFTER) {
            return Ok(false);
        }
        match self.replica.with(|conn| schema::pack_if_unused(conn, UNUSED_PART)).await {
            Err(ReplicaError::Catalog(error)) if error.may_pass() => {
                tracing::warn!(%error, "the copy of the catalogue cannot be packed now; publishing it as it is");
                *not_packed = Some(Instant::now());
                Ok(false)
            }
            packed => packed,
        }
    }

    /// Compares the replica with the newest snapshot, and copies it where it must go whole. Nothing is applied to it meanwhile.
    async fn make(&self, files: &Scratch, before: Option<Arc<Known>>) -> Result<Made, ReplicaError> {
        let (delta, whole) = (files.delta.clone(), files.whole.clone());
        self.replica
            .with_file(move |conn, file| {
                let (n, format, datasets) = (schema::head(conn)?, schema::format(conn)?, schema::dataset_count(conn)?);
                schema::check_is_of(conn, file)?;
                let (name, of) = (SnapshotName::new(n), before.as_ref().map(|b| (&b.pages, b.manifest.name)));
                let compared = delta::make(file, of, name, &delta).map_err(failed(file))?;
                let due = |b: &Arc<Known>| snapshot::whole_is_due(&b.manifest, compared.delta_bytes, compared.bytes);
                let is_whole = before.as_ref().is_none_or(due);
                if is_whole {
                    schema::check_counts(conn)?;
                    let copied =
                        File::open(file).and_then(|mut from| std::io::copy(&mut from, &mut File::create_new(&whole)?));
                    copied.map_err(failed(&whole))?;
                }
                Ok(Made { name, format, datasets, compared, is_whole })
            })
            .await
    }
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> ReplicaError {
    let path = path.to_owned();
    move |source| ReplicaError::File { path, source }
}
