//! Whether a file is the one its manifest tells of: by size and SHA-256, summed once per state of the file.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::Path as FilePath;
use std::time::UNIX_EPOCH;

use sha2::{Digest as _, Sha256};

use super::{Manifest, SnapshotError, damaged, file_error};
use crate::record::hex;

/// Bytes hashed at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// Checks size and sum of a file against its manifest. What was verified is remembered in `note` by size, mtime and sum.
pub(super) fn verify(file: &FilePath, note: &FilePath, manifest: &Manifest) -> Result<(), SnapshotError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => damaged(manifest, "it is not there".to_owned()),
        _ => file_error(file, error),
    };
    let meta = std::fs::metadata(file).map_err(failed)?;
    if meta.len() != manifest.bytes {
        return Err(damaged(manifest, format!("it has {} bytes, its manifest says {}", meta.len(), manifest.bytes)));
    }
    let state = state(&meta, &manifest.sha256);
    if std::fs::read_to_string(note).is_ok_and(|known| known == state) {
        return Ok(());
    }
    let (_, sha256) = sum_file(file).map_err(failed)?;
    if sha256 != manifest.sha256 {
        return Err(damaged(manifest, "its checksum does not match".to_owned()));
    }
    // Only saves work next time; a cache that cannot be written is no reason not to serve.
    let _ = std::fs::write(note, state);
    Ok(())
}

/// A file's length and SHA-256.
pub(super) fn sum_file(path: &FilePath) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
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

/// What was written before a power cut may be torn though size and time are as they were: each start of the machine sums anew.
fn state(meta: &Metadata, sha256: &str) -> String {
    let mtime_ns = meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).map_or(0, |d| d.as_nanos());
    format!("{} {mtime_ns} {sha256} {}", meta.len(), crate::clock::boot_id())
}
