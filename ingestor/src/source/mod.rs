//! Where rasters come from.

pub mod folder;
pub mod sidecar;
pub mod watch;

use std::path::PathBuf;

/// An input as its source has it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Path relative to the source, `/`-separated.
    pub path: String,
    /// Its version: size and mtime, sidecars included.
    pub version: String,
    /// When the source says it last changed: milliseconds since 1970.
    pub time_ms: i64,
    /// Bytes of the raster and its sidecars.
    pub bytes: u64,
    /// Its files: the raster first.
    pub files: Vec<PathBuf>,
}
