//! Bringing a snapshot's file to this machine, by the fewest bytes, and never trusting it unsummed.

use std::fs::File;
use std::io;
use std::path::{Path as FilePath, PathBuf};

use object_store::path::Path;

use super::rotten::Rotten;
use super::steps::{self, Steps};
use super::verify::{sum_file, verify};
use super::{Manifest, SnapshotError, Step, Whole, bytes_of, damaged, delta, file_error, manifest, numbers_past};
use crate::layout::{self, SnapshotName};
use crate::store::{ReadStore, StoreError};

/// Notes of verified snapshots that are kept.
const NOTES_MAX: usize = 40;
/// Ends the name of a note.
const NOTE: &str = "verified";

/// What makes verified local files of snapshots, in a folder that is this process's own.
///
/// A whole file of a local store is used in place. Else one is made: from the file of an earlier snapshot that is in the folder, by the steps that lead on from
/// it, or from the newest that the store has as a whole; the file it is made from is copied, for it may be served. What was verified is remembered by size,
/// mtime and sum in a file `<snapshot>.verified`. What does not verify is deleted, so that the next try starts anew.
#[derive(Debug)]
pub struct Fetcher {
    store: ReadStore,
    cache: PathBuf,
    rotten: Rotten,
}

/// What a snapshot's file can be made from.
struct Base<'a> {
    from: Origin,
    steps: &'a [Step],
    /// Bytes that must be moved.
    cost: u64,
}

#[derive(Debug)]
enum Origin {
    /// A verified file of the cache.
    Cached(PathBuf),
    /// The store's whole file.
    Whole(Whole),
}

impl Fetcher {
    /// One that works in the folder `cache`, made when it is needed.
    pub fn new(store: ReadStore, cache: impl Into<PathBuf>) -> Self {
        Self { store, cache: cache.into(), rotten: Rotten::default() }
    }

    /// The store it fetches from.
    pub fn store(&self) -> &ReadStore {
        &self.store
    }

    /// A verified local file of a snapshot.
    pub async fn fetch(&self, manifest: &Manifest) -> Result<PathBuf, SnapshotError> {
        tokio::fs::create_dir_all(&self.cache).await.map_err(|e| file_error(&self.cache, e))?;
        let path = manifest.name.path();
        if manifest.whole.is_none()
            && let Some(file) = self.store.local_path(&path)
        {
            return self.verified(file, manifest, false).await;
        }
        let file = self.cache.join(cache_name(&path));
        if tokio::fs::metadata(&file).await.is_ok_and(|meta| meta.len() == manifest.bytes)
            && let Ok(file) = self.verified(file.clone(), manifest, true).await
        {
            return Ok(file);
        }
        let mut of_store = Err(damaged(manifest, "there is nothing to make it from".to_owned()));
        for base in self.bases(manifest).await {
            let error = match self.make(manifest, &base, &file).await {
                Ok(()) => return Ok(file),
                Err(error) => error,
            };
            let may_go_on = error.is_rot() || matches!(&error, SnapshotError::File { source, .. } if !is_full(source));
            if !may_go_on {
                return Err(error);
            }
            tracing::debug!(%error, "a snapshot cannot be made this way");
            // Files of the cache only save work: what is wrong with one says nothing of the snapshot.
            if matches!(base.from, Origin::Whole(_)) {
                of_store = Err(error);
            }
        }
        of_store
    }

    /// The newest snapshot that verifies, as a local file, and what is wrong with newer ones, by number. An error says nothing about the snapshots: the store or
    /// this machine failed, or they need a newer Kiln.
    pub async fn newest_sound(
        &self,
    ) -> Result<(Option<(Manifest, PathBuf)>, Vec<(u64, SnapshotError)>), SnapshotError> {
        let mut rotten = Vec::new();
        for n in numbers_past(&self.store, 0).await?.into_iter().rev() {
            let found = match manifest(&self.store, n).await {
                Ok(manifest) => self.fetch(&manifest).await.map(|file| (manifest, file)),
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

    /// The steps that lead to a snapshot from another; None if none do.
    pub async fn steps(&self, manifest: &Manifest, from: SnapshotName) -> Result<Option<Steps>, SnapshotError> {
        let Some(steps) = manifest.steps_from(from) else { return Ok(None) };
        tokio::fs::create_dir_all(&self.cache).await.map_err(|e| file_error(&self.cache, e))?;
        Steps::fetch(&self.store, &self.rotten, (manifest, steps), &self.cache).await.map(Some)
    }

    /// Removes every snapshot's file but this one, which the next can be made from, and the oldest notes.
    pub async fn keep_only(&self, name: SnapshotName) {
        let (folder, kept) = (self.cache.clone(), cache_name(&name.path()));
        let _ = tokio::task::spawn_blocking(move || {
            let is_note = |name: &String| name.ends_with(NOTE);
            let (mut notes, files): (Vec<_>, Vec<_>) = names_in(&folder).into_iter().partition(is_note);
            // Names sort by number.
            notes.sort();
            let old = notes.len().saturating_sub(NOTES_MAX);
            // What a download cut short left goes too: it has the name of one that is still to come.
            for name in notes.into_iter().take(old).chain(files.into_iter().filter(|name| *name != kept)) {
                let _ = std::fs::remove_file(folder.join(name));
            }
        })
        .await;
    }

    /// Removes all that was made.
    pub async fn clear(&self) {
        // What stays is only in the way.
        let _ = tokio::fs::remove_dir_all(&self.cache).await;
    }

    /// What a snapshot can be made from, the cheapest first.
    async fn bases<'a>(&self, manifest: &'a Manifest) -> Vec<Base<'a>> {
        let (whole, steps) = manifest.base();
        let is_here = self.store.local_path(&whole.name.path()).is_some();
        let cost = bytes_of(steps).saturating_add(if is_here { 0 } else { whole.bytes });
        let mut bases = vec![Base { from: Origin::Whole(whole), steps, cost }];
        let folder = self.cache.clone();
        let names = tokio::task::spawn_blocking(move || names_in(&folder)).await.unwrap_or_default();
        for name in &names {
            let Some(of) = SnapshotName::parse(&Path::from(name.replacen('-', "/", 1))) else { continue };
            if of.n < manifest.n
                && let Some(steps) = manifest.steps_from(of)
                && names.contains(&note_name(name))
            {
                bases.push(Base { from: Origin::Cached(self.cache.join(name)), steps, cost: bytes_of(steps) });
            }
        }
        bases.sort_by_key(|base| base.cost);
        bases
    }

    /// Makes a file from a base and steps, by another name until it is finished, and verifies it.
    async fn make(&self, manifest: &Manifest, base: &Base<'_>, file: &FilePath) -> Result<(), SnapshotError> {
        if let Origin::Whole(whole) = &base.from
            && self.rotten.has(&whole.name.path())
        {
            return Err(damaged(manifest, format!("{} did not verify a short while ago", whole.name.path())));
        }
        let steps = Steps::fetch(&self.store, &self.rotten, (manifest, base.steps), &self.cache).await?;
        let part = file.with_added_extension("part");
        // What an earlier try left: this folder is this process's own.
        let _ = tokio::fs::remove_file(&part).await;
        let made = async {
            self.begin(manifest, base, &part).await?;
            take(manifest, steps, &part).await?;
            tokio::fs::rename(&part, file).await.map_err(|e| file_error(file, e))
        };
        if let Err(error) = made.await {
            let _ = tokio::fs::remove_file(&part).await;
            return Err(error);
        }
        let verified = self.verified(file.to_owned(), manifest, true).await;
        if let Origin::Whole(whole) = &base.from
            && verified.as_ref().is_err_and(SnapshotError::is_rot)
        {
            // Each part is as it was uploaded: whatever goes on from here is as wrong.
            self.rotten.remember(base.steps.last().map_or(whole.name.path(), |step| step.name.path()));
        }
        verified.map(|_| ())
    }

    /// Brings the base's file to where it will be changed. The store's own is verified before steps are applied to it.
    async fn begin(&self, manifest: &Manifest, base: &Base<'_>, part: &FilePath) -> Result<(), SnapshotError> {
        let whole = match &base.from {
            Origin::Cached(from) => return copied(from, part).await,
            Origin::Whole(whole) => whole,
        };
        let path = whole.name.path();
        let brought = async {
            let absent = || damaged(manifest, format!("{path} is not there"));
            match self.store.local_path(&path) {
                Some(from) => copied(&from, part).await.map_err(|error| match error {
                    SnapshotError::File { source, .. } if source.kind() == io::ErrorKind::NotFound => absent(),
                    error => error,
                })?,
                None => self.store.download(&path, part).await.map_err(|error| match error {
                    StoreError::NotFound { .. } => absent(),
                    error => error.into(),
                })?,
            }
            if base.steps.is_empty() {
                return Ok(());
            }
            let summed = on_blocking(part, |part| sum_file(&part)).await?;
            if summed == (whole.bytes, whole.sha256.clone()) {
                return Ok(());
            }
            Err(damaged(manifest, format!("the checksum of {path}, which it rests on, does not match")))
        };
        let brought = brought.await;
        if brought.as_ref().is_err_and(SnapshotError::is_rot) {
            self.rotten.remember(path.clone());
        }
        brought
    }

    /// The file, if it verifies; one of our own that does not is deleted.
    async fn verified(&self, file: PathBuf, manifest: &Manifest, is_ours: bool) -> Result<PathBuf, SnapshotError> {
        let note = self.cache.join(note_name(&cache_name(&manifest.name.path())));
        let (manifest, checked) = (manifest.clone(), file.clone());
        let verified = tokio::task::spawn_blocking(move || verify(&checked, &note, &manifest)).await;
        let verified = verified.map_err(|e| file_error(&file, e.into()))?;
        if verified.is_err() && is_ours {
            let removed = tokio::fs::remove_file(&file).await;
            // Cleared away by somebody meanwhile: no fault of the store.
            if let Err(gone) = removed
                && gone.kind() == io::ErrorKind::NotFound
            {
                return Err(file_error(&file, gone));
            }
        }
        verified.map(|()| file)
    }
}

/// The name of an object's file in a cache folder.
pub(super) fn cache_name(path: &Path) -> String {
    path.as_ref().replace('/', "-")
}

fn note_name(cached: &str) -> String {
    format!("{cached}.{NOTE}")
}

/// Names of all that belongs to snapshots in a cache folder.
fn names_in(folder: &FilePath) -> Vec<String> {
    let prefix = cache_name(&layout::snapshots());
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(&prefix)).collect()
}

/// Applies steps to a file.
async fn take(manifest: &Manifest, steps: Steps, part: &FilePath) -> Result<(), SnapshotError> {
    let (of, file) = (manifest.clone(), part.to_owned());
    let taken = tokio::task::spawn_blocking(move || {
        steps.files().try_for_each(|(name, delta)| {
            let applied = delta::apply(delta, &file, (name.from, name.to));
            applied.map_err(|error| steps::fault(&of, name, &file, error))
        })
    });
    taken.await.map_err(|error| file_error(part, error.into()))?
}

/// A copy that can be written whatever the permissions of the original; the system moves the bytes, or shares them where it can.
async fn copied(from: &FilePath, to: &FilePath) -> Result<(), SnapshotError> {
    let from = from.to_owned();
    on_blocking(to, move |to| io::copy(&mut File::open(from)?, &mut File::create_new(to)?).map(|_| ())).await
}

async fn on_blocking<T: Send + 'static>(
    path: &FilePath,
    work: impl FnOnce(PathBuf) -> io::Result<T> + Send + 'static,
) -> Result<T, SnapshotError> {
    let owned = path.to_owned();
    let done = tokio::task::spawn_blocking(move || work(owned)).await.map_err(io::Error::from).and_then(|done| done);
    done.map_err(|source| file_error(path, source))
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests;
