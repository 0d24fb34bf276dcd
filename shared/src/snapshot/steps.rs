//! The steps to a snapshot as files of this machine, each read through: only then is anything larger moved for them.

use std::io;
use std::path::{Path as FilePath, PathBuf};

use super::rotten::Rotten;
use super::{Manifest, SnapshotError, Step, damaged, delta, file_error};
use crate::layout::DeltaName;
use crate::store::{ReadStore, StoreError};

/// Steps that lead one from another. What was downloaded is gone when this is.
#[derive(Debug, Default)]
pub struct Steps {
    files: Vec<(DeltaName, PathBuf)>,
    downloaded: Vec<PathBuf>,
}

impl Steps {
    /// Each with its file, in order.
    pub fn files(&self) -> impl Iterator<Item = (DeltaName, &FilePath)> {
        self.files.iter().map(|(name, file)| (*name, file.as_path()))
    }

    /// Brings them here, into files in `folder`. What is bad about one in the store is remembered, and no other is fetched for one that is known to be bad.
    pub(super) async fn fetch(
        store: &ReadStore,
        rotten: &Rotten,
        (manifest, steps): (&Manifest, &[Step]),
        folder: &FilePath,
    ) -> Result<Self, SnapshotError> {
        if let Some(bad) = steps.iter().map(|step| step.name.path()).find(|path| rotten.has(path)) {
            return Err(damaged(manifest, format!("the step {bad} did not read a short while ago")));
        }
        let mut fetched = Self::default();
        for step in steps {
            let found = fetched.add(store, (manifest, step), folder).await;
            if found.as_ref().is_err_and(SnapshotError::is_rot) {
                rotten.remember(step.name.path());
            }
            let bytes = found?;
            if step.name.to == manifest.name && bytes != manifest.bytes {
                let fault = format!("its last step makes {bytes} bytes, its manifest says {}", manifest.bytes);
                return Err(damaged(manifest, fault));
            }
        }
        Ok(fetched)
    }

    /// Returns the length of the step's result.
    async fn add(
        &mut self,
        store: &ReadStore,
        (manifest, step): (&Manifest, &Step),
        folder: &FilePath,
    ) -> Result<u64, SnapshotError> {
        let path = step.name.path();
        let file = if let Some(file) = store.local_path(&path) {
            file
        } else {
            let file = folder.join(format!("{}.part", super::fetch::cache_name(&path)));
            // What an earlier try left: this folder is this process's own.
            let _ = tokio::fs::remove_file(&file).await;
            self.downloaded.push(file.clone());
            store.download(&path, &file).await.map_err(|error| match error {
                StoreError::NotFound { .. } => damaged(manifest, format!("the step {path} is not there")),
                error => error.into(),
            })?;
            file
        };
        let (name, checked) = (step.name, file.clone());
        let done = tokio::task::spawn_blocking(move || delta::check(&checked, (name.from, name.to))).await;
        let done = done.map_err(|error| file_error(&file, error.into()))?;
        self.files.push((name, file.clone()));
        done.map_err(|error| fault(manifest, name, &file, error))
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        for file in &self.downloaded {
            // One that stays is only in the way, until the folder is tidied.
            let _ = std::fs::remove_file(file);
        }
    }
}

/// What a failure to read or apply a step says: of the step, if it is one of its bytes; else of this machine.
pub(super) fn fault(manifest: &Manifest, step: DeltaName, file: &FilePath, error: io::Error) -> SnapshotError {
    match error.kind() {
        // `Other` is what zstd says of bytes that are none of its own.
        io::ErrorKind::InvalidData
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::UnexpectedEof
        | io::ErrorKind::NotFound
        | io::ErrorKind::Other => damaged(manifest, format!("the step {} does not apply: {error}", step.path())),
        _ => file_error(file, error),
    }
}
