//! Private scratch: one folder per attempt, holding a lock; folders whose owner is gone are swept.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

const LOCK_NAME: &str = "lock";

/// The folder of all attempts of this machine on one store.
#[derive(Clone, Debug)]
pub struct Scratch {
    folder: PathBuf,
}

/// One attempt's folder; removed when dropped.
#[derive(Debug)]
pub struct ScratchFolder {
    path: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Opens scratch in `folder` and sweeps what dead processes left.
    pub fn open(folder: PathBuf) -> std::io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if !is_locked(&path) {
                // Another process may be sweeping too.
                let _ = std::fs::remove_dir_all(&path);
            }
        }
        Ok(Self { folder })
    }

    /// Where all attempts are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A new folder with empty `in` and `out` folders.
    pub fn attempt(&self) -> std::io::Result<ScratchFolder> {
        let path = self.folder.join(ulid::Ulid::generate().to_string());
        // With all above it: somebody may have cleaned the cache.
        std::fs::create_dir_all(&path)?;
        let lock = File::create(path.join(LOCK_NAME))?;
        lock.lock()?;
        std::fs::create_dir(path.join("in"))?;
        std::fs::create_dir(path.join("out"))?;
        Ok(ScratchFolder { path, _lock: lock })
    }
}

impl ScratchFolder {
    /// Where the input and its sidecars are staged.
    pub fn input(&self) -> PathBuf {
        self.path.join("in")
    }

    /// Where COGs are written.
    pub fn output(&self) -> PathBuf {
        self.path.join("out")
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        // What cannot be removed now is swept at the next start.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn is_locked(folder: &Path) -> bool {
    match File::open(folder.join(LOCK_NAME)) {
        Ok(lock) => matches!(lock.try_lock(), Err(TryLockError::WouldBlock)),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_holds_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let scratch = Scratch::open(dir.path().to_owned()).unwrap();
        let held = scratch.attempt().unwrap();
        std::fs::create_dir(dir.path().join("dead")).unwrap();
        std::fs::write(dir.path().join("dead").join(LOCK_NAME), "").unwrap();
        Scratch::open(dir.path().to_owned()).unwrap();
        assert!(held.input().is_dir());
        assert!(!dir.path().join("dead").exists());
        drop(held);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
