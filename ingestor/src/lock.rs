//! `ingest.lock`: on a local store there is one ingestor.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};

use shared::layout;
use shared::store::Store;

/// Why ingesting cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another ingestor has it.
    #[error(
        "another ingestor works on the store {store}: {holder}; stop it first, or serve the store with `kiln-server --store {store}`"
    )]
    Held {
        /// The store.
        store: String,
        /// Who, as they wrote it.
        holder: String,
    },
    /// The lock file failed.
    #[error("cannot lock the store {store}: {source}")]
    File {
        /// The store.
        store: String,
        /// Why.
        source: std::io::Error,
    },
}

/// Held while ingesting; released when dropped or when the process ends.
#[derive(Debug)]
pub struct IngestLock {
    _file: Option<File>,
}

impl IngestLock {
    /// Takes the lock of a local store; a remote one needs none.
    pub fn take(store: &Store) -> Result<Self, LockError> {
        let Some(path) = store.local_path(&layout::ingest_lock()) else { return Ok(Self { _file: None }) };
        let name = || store.name().to_owned();
        let failed = |source| LockError::File { store: name(), source };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Naming the holder is a courtesy; without it the refusal stands as well.
                let _ = file.read_to_string(&mut holder);
                return Err(LockError::Held { store: name(), holder: holder.trim().to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}, since {}", author(), shared::clock::rfc3339(shared::clock::now_ms()))
        };
        write(&mut file).map_err(failed)?;
        Ok(Self { _file: Some(file) })
    }
}

/// Host and process, for people.
pub fn author() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("process {} on {host}", std::process::id())
}
