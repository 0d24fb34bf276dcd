//! Why a raster was not converted, by what can be done about it.

use crate::cog::CogError;

/// Why a raster was not converted.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The raster cannot be ingested as it is.
    #[error("{0}")]
    Refused(String),
    /// The file ends too early: more bytes may come.
    #[error("{0}")]
    Truncated(String),
    /// A picture, not a map.
    #[error("{0}")]
    Skipped(String),
    /// The disk is full.
    #[error("{0}")]
    DiskFull(String),
    /// The machine failed, not the raster.
    #[error("{0}")]
    Machine(String),
}

impl Fault {
    /// What a failure of GDAL while reading means.
    pub(super) fn reading(what: &str, messages: &[String]) -> Self {
        let said = messages.first().map_or("no reason given", String::as_str);
        if messages.iter().any(|message| message.contains("No space left") || message.contains("Disk quota")) {
            return Self::DiskFull(format!("the disk is full while reading {what}: {said}"));
        }
        if messages.iter().any(|message| message.contains("Cannot allocate") || message.contains("Out of memory")) {
            return Self::Refused(format!("{what} needs more memory than the machine allows: {said}"));
        }
        Self::Refused(format!("{what} cannot be decoded, the file is damaged: {said}"))
    }
}

impl From<CogError> for Fault {
    fn from(error: CogError) -> Self {
        if error.is_disk_full() {
            return Self::DiskFull(format!("the disk is full: {error}"));
        }
        match error {
            CogError::Source(reason) if reason.contains("No space left") => Self::DiskFull(reason),
            CogError::Source(reason) | CogError::Spec(reason) => Self::Refused(reason),
            CogError::Io { ref source, .. } => Self::Machine(format!("{error}: {source}")),
            other => Self::Machine(other.to_string()),
        }
    }
}
