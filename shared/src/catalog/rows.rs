//! Rows of the catalogue, read and written by its other files.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::schema::KEY_SEPARATOR;
use super::{CatalogError, packed};
use crate::collection::Collection;
use crate::dataset::Dataset;

/// Key values as the column `keys` has them.
pub(super) fn join_keys(keys: &[String]) -> String {
    keys.join(&KEY_SEPARATOR.to_string())
}

/// Key values of the column `keys`.
pub(super) fn split_keys(joined: &str) -> Vec<String> {
    joined.split(KEY_SEPARATOR).map(str::to_owned).collect()
}

/// A collection's row: id, number of the commit that last set it, definition.
pub(super) fn collection(conn: &Connection, name: &str) -> Result<Option<(i64, u64, Collection)>, CatalogError> {
    let row = conn
        .prepare_cached("SELECT id, n, record FROM collections WHERE name = ?1")?
        .query_row(params![name], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?)))
        .optional()?;
    row.map(|(id, n, record)| Ok((id, n as u64, parse(&record, || format!("collection {name}"))?))).transpose()
}

/// A dataset from the column `record`.
pub(super) fn dataset(row: &Row<'_>, column: usize) -> Result<Dataset, CatalogError> {
    let packed = row.get_ref(column)?.as_blob().map_err(rusqlite::Error::from)?;
    packed::unpack(packed).map_err(|source| CatalogError::Row { row: "of a dataset".to_owned(), source })
}

/// JSON of a row.
pub(super) fn parse<T: serde::de::DeserializeOwned>(
    record: &str,
    row: impl FnOnce() -> String,
) -> Result<T, CatalogError> {
    serde_json::from_str(record).map_err(|source| CatalogError::Row { row: row(), source })
}

/// JSON for a row.
pub(super) fn json<T: serde::Serialize>(value: &T) -> Result<String, CatalogError> {
    serde_json::to_string(value).map_err(|source| CatalogError::Row { row: "to be written".to_owned(), source })
}
