//! The catalogue in SQLite: its schema, the one fold of commits into it, and how it is read.

pub mod apply;
pub mod changes;
pub mod collections;
mod datasets;
pub mod inputs;
mod packed;
mod plan;
pub mod query;
pub mod reader;
mod rows;
pub mod schema;
mod totals;

/// Why the catalogue cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// SQLite failed: a damaged file, a full disk.
    #[error("the catalogue cannot be used: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A row holds what this version cannot read.
    #[error("the catalogue's row {row} does not read: {source}")]
    Row {
        /// Which row.
        row: String,
        /// Why.
        source: serde_json::Error,
    },
    /// Not the next commit.
    #[error("commit {got} cannot follow commit {at}")]
    Gap {
        /// The last commit applied.
        at: u64,
        /// The one offered.
        got: u64,
    },
    /// A commit holds a change that was not valid when it was made: it does not verify.
    #[error("commit {n} does not verify: {fault}")]
    Invalid {
        /// Its number.
        n: u64,
        /// What is wrong with it.
        fault: String,
    },
    /// The file is of another format.
    #[error(
        "the catalogue has format {found}; this is Kiln {}, which reads formats up to {newest}: use a newer version",
        env!("CARGO_PKG_VERSION")
    )]
    Format {
        /// The format found.
        found: i64,
        /// The newest that can be read.
        newest: i64,
    },
}

impl CatalogError {
    /// Whether trying again later may help: a full disk, a file that cannot be opened or written now.
    pub fn may_pass(&self) -> bool {
        use rusqlite::ErrorCode::{CannotOpen, DatabaseBusy, DiskFull, SystemIoFailure};
        let Self::Sqlite(error) = self else { return false };
        matches!(error.sqlite_error_code(), Some(CannotOpen | DatabaseBusy | DiskFull | SystemIoFailure))
    }

    /// Whether a commit cannot be folded, whoever tries.
    pub fn is_invalid(&self) -> bool {
        match self {
            Self::Invalid { .. } => true,
            Self::Sqlite(error) => error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation),
            _ => false,
        }
    }

    /// Whether the local file itself is bad, so that it must be made anew from the store.
    pub fn is_bad_file(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match self {
            Self::Sqlite(error) => matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase)),
            Self::Row { .. } | Self::Format { .. } => true,
            Self::Gap { .. } | Self::Invalid { .. } => false,
        }
    }
}
