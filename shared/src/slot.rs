//! A folder of this machine that one process has to itself: the first of `0`, `1`, … that nobody holds. The next process to claim it finds what the last one left.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// Processes that may share a parent folder.
const SLOTS_MAX: usize = 1024;
const LOCK_NAME: &str = "lock";

/// A claimed folder; let go when dropped or when the process ends, its content stays.
#[derive(Debug)]
pub struct Slot {
    path: PathBuf,
    _lock: File,
}

impl Slot {
    /// Claims a folder below `parent`, which is made if need be.
    pub fn claim(parent: &Path) -> std::io::Result<Self> {
        for number in 0..SLOTS_MAX {
            let path = parent.join(number.to_string());
            std::fs::create_dir_all(&path)?;
            let lock = File::options().write(true).create(true).truncate(false).open(path.join(LOCK_NAME))?;
            match lock.try_lock() {
                Ok(()) => return Ok(Self { path, _lock: lock }),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Err(std::io::Error::other(format!("{SLOTS_MAX} processes use {} already", parent.display())))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_process_has_its_own_and_the_next_inherits_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = Slot::claim(dir.path()).unwrap();
        let second = Slot::claim(dir.path()).unwrap();
        assert_ne!(first.path(), second.path());
        let path = first.path().to_owned();
        std::fs::write(path.join("left"), "x").unwrap();
        drop(first);
        let third = Slot::claim(dir.path()).unwrap();
        assert_eq!(third.path(), path);
        assert!(third.path().join("left").exists());
    }
}
