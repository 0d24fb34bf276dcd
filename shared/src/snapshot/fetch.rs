//! Bringing a snapshot's file to this machine, by the fewest bytes, and never trusting it unsummed.

use std::fs::File;
use std::io;
use std::path::{Path as FilePath, PathBuf};
use std::time::UNIX_EPOCH;

use object_store::path::Path;

use super::{Manifest, SnapshotError, Step, delta, sum_file};
use crate::layout;
use crate::store::ReadStore;

/// What a snapshot's file can be made from.
struct Base<'a> {
    /// A verified file on this machine; None: it is downloaded.
    file: Option<PathBuf>,
    /// Where it is in the store.
    path: Path,
    steps: &'a [Step],
    /// Bytes that must be moved.
    cost: u64,
}

/// A verified local file of a snapshot. A whole file of a local store is used in place. Else it is made in `cache`: from the file of an earlier
/// snapshot that is there, by the steps that lead on from it, or from the newest that the store has as a whole; the file it is made from is copied, for it may be
/// served. What was verified is remembered by size, mtime and sum in a file `<snapshot>.verified` in `cache`. What does not verify is deleted,
/// so that the next try starts anew.
pub async fn fetch(store: &ReadStore, manifest: &Manifest, cache: &FilePath) -> Result<PathBuf, SnapshotError> {
    tokio::fs::create_dir_all(cache).await.map_err(|e| file_error(cache, e))?;
    let path = Path::from(manifest.path.as_str());
    let note = cache.join(format!("{}.verified", cache_name(&path)));
    if manifest.whole.is_none()
        && let Some(file) = store.local_path(&path)
    {
        return verified(file, note, manifest, false).await;
    }
    let file = cache.join(cache_name(&path));
    if tokio::fs::metadata(&file).await.is_ok_and(|meta| meta.len() == manifest.bytes) {
        return verified(file, note, manifest, true).await;
    }
    let mut outcome = Err(damaged(manifest, "there is nothing to make it from".to_owned()));
    for base in bases(store, manifest, cache) {
        outcome = match make(store, manifest, base, &file).await {
            Ok(()) => verified(file.clone(), note.clone(), manifest, true).await,
            Err(error) => Err(error),
        };
        match &outcome {
            Err(error) if error.is_rot() => tracing::debug!(%error, "a snapshot cannot be made this way"),
            _ => break,
        }
    }
    outcome
}

/// Deletes a fetched file that has served its purpose, unless it is the snapshot itself, in a local store.
pub async fn let_go(store: &ReadStore, file: &FilePath) {
    if store.local_path(&layout::snapshots()).is_none_or(|snapshots| !file.starts_with(snapshots)) {
        // One that stays is only in the way.
        let _ = tokio::fs::remove_file(file).await;
    }
}

/// The name of a snapshot's file in a cache folder.
fn cache_name(path: &Path) -> String {
    path.as_ref().replace('/', "-")
}

/// What a snapshot can be made from, the cheapest first.
fn bases<'a>(store: &ReadStore, manifest: &'a Manifest, cache: &FilePath) -> Vec<Base<'a>> {
    let moved = |steps: &[Step]| steps.iter().map(|step| step.bytes).sum::<u64>();
    let (whole, steps) = manifest.base();
    let path = Path::from(whole.path.as_str());
    let file = store.local_path(&path);
    let cost = moved(steps) + if file.is_some() { 0 } else { whole.bytes };
    let mut bases = vec![Base { file, path, steps, cost }];
    for entry in std::fs::read_dir(cache).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = Path::from(name.replacen('-', "/", 1));
        let Some((n, _)) = layout::parse_snapshot(&path).filter(|(n, _)| *n < manifest.n) else { continue };
        if let Some(steps) = manifest.steps_from(n)
            && cache.join(format!("{name}.verified")).exists()
        {
            bases.push(Base { file: Some(entry.path()), path, steps, cost: moved(steps) });
        }
    }
    bases.sort_by_key(|base| base.cost);
    bases
}

/// Makes a file from a base and steps, by another name until it is finished.
async fn make(store: &ReadStore, manifest: &Manifest, base: Base<'_>, file: &FilePath) -> Result<(), SnapshotError> {
    let part = with_suffix(file, "part");
    // What an earlier try left: this folder is this process's own.
    let _ = tokio::fs::remove_file(&part).await;
    let made = async {
        match base.file {
            None => store.download(&base.path, &part).await?,
            Some(from) => {
                let to = part.clone();
                // A store's own file that is gone is the store's fault, not this machine's.
                on_blocking(&part, move || copy(&from, &to)).await.map_err(|error| match error {
                    SnapshotError::File { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                        damaged(manifest, format!("{} is not there", base.path))
                    }
                    other => other,
                })?;
            }
        }
        for step in base.steps {
            take_step(store, manifest, step, &part).await?;
        }
        tokio::fs::rename(&part, file).await.map_err(|e| file_error(file, e))
    };
    let made = made.await;
    if made.is_err() {
        let _ = tokio::fs::remove_file(&part).await;
    }
    made
}

async fn take_step(store: &ReadStore, manifest: &Manifest, step: &Step, file: &FilePath) -> Result<(), SnapshotError> {
    let path = Path::from(step.path.as_str());
    let delta = if let Some(delta) = store.local_path(&path) {
        delta
    } else {
        let delta = with_suffix(file, "step.part");
        let _ = tokio::fs::remove_file(&delta).await;
        store.download(&path, &delta).await?;
        delta
    };
    let (from, to, applied, taken) = (step.from, step.to, delta.clone(), file.to_owned());
    let done = tokio::task::spawn_blocking(move || delta::apply(&applied, &taken, from, to)).await;
    if store.local_path(&path).is_none() {
        let _ = tokio::fs::remove_file(&delta).await;
    }
    done.map_err(|e| file_error(file, e.into()))?.map_err(|error| match error.kind() {
        // `Other` is what zstd says of bytes that are none of its own.
        io::ErrorKind::InvalidData
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::UnexpectedEof
        | io::ErrorKind::NotFound
        | io::ErrorKind::Other => damaged(manifest, format!("the step {} does not apply: {error}", step.path)),
        _ => file_error(file, error),
    })
}

/// A copy that can be written whatever the permissions of the original; the system moves the bytes, or shares them where it can.
fn copy(from: &FilePath, to: &FilePath) -> io::Result<()> {
    io::copy(&mut File::open(from)?, &mut File::create_new(to)?).map(|_| ())
}

async fn on_blocking(
    path: &FilePath,
    work: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> Result<(), SnapshotError> {
    let done = tokio::task::spawn_blocking(work).await.map_err(io::Error::from).and_then(|done| done);
    done.map_err(|source| file_error(path, source))
}

/// The file, if it verifies; one of our own that does not is deleted.
async fn verified(file: PathBuf, note: PathBuf, manifest: &Manifest, is_ours: bool) -> Result<PathBuf, SnapshotError> {
    let (manifest, checked) = (manifest.clone(), file.clone());
    let verified = tokio::task::spawn_blocking(move || verify(&checked, &note, &manifest)).await;
    let verified = verified.map_err(|e| file_error(&file, e.into()))?;
    if verified.is_err() && is_ours {
        let _ = tokio::fs::remove_file(&file).await;
    }
    verified.map(|()| file)
}

/// Checks size and sum of a file against its manifest, once per state of the file.
fn verify(file: &FilePath, note: &FilePath, manifest: &Manifest) -> Result<(), SnapshotError> {
    let damaged = |fault: String| damaged(manifest, fault);
    let meta = std::fs::metadata(file).map_err(|e| damaged(e.to_string()))?;
    if meta.len() != manifest.bytes {
        return Err(damaged(format!("it has {} bytes, its manifest says {}", meta.len(), manifest.bytes)));
    }
    let mtime_ns = meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).map_or(0, |d| d.as_nanos());
    // What was written before a power cut may be torn though all this is as it was: each start of the machine sums anew.
    let state = format!("{} {mtime_ns} {} {}", meta.len(), manifest.sha256, crate::clock::boot_id());
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

fn with_suffix(file: &FilePath, suffix: &str) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{suffix}"));
    file.with_file_name(name)
}

fn damaged(manifest: &Manifest, fault: String) -> SnapshotError {
    SnapshotError::Damaged { n: manifest.n, path: manifest.path.clone(), fault }
}

fn file_error(path: &FilePath, source: io::Error) -> SnapshotError {
    SnapshotError::File { path: path.to_owned(), source }
}
