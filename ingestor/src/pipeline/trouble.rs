//! Why a step of a job could not be done, and so what becomes of the job.

use shared::store::StoreError;

use crate::replica::ReplicaError;
use crate::source::StageError;

/// Why a step could not be done.
pub(super) enum Trouble {
    /// Of the store, the network or the machine: may pass.
    Passing(String),
    Disk(String),
    Changed,
    Closed,
}

impl From<ReplicaError> for Trouble {
    fn from(error: ReplicaError) -> Self {
        Self::Passing(error.to_string())
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        if error.is_disk_full() { Self::Disk(error.to_string()) } else { Self::Passing(error.to_string()) }
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull => Self::Disk(error.to_string()),
            std::io::ErrorKind::NotFound => Self::Changed,
            _ => Self::Passing(error.to_string()),
        }
    }
}

impl From<StageError> for Trouble {
    fn from(error: StageError) -> Self {
        match error {
            StageError::Changed => Self::Changed,
            StageError::File(error) => error.into(),
            StageError::Bucket(error) => Self::Passing(error.to_string()),
        }
    }
}
