//! Definitions of collections, as a writer asks for them.

use rusqlite::Connection;

use super::{CatalogError, rows};
use crate::collection::Collection;

/// A collection's definition and the number of the commit that last set it.
pub fn find(conn: &Connection, name: &str) -> Result<Option<(u64, Collection)>, CatalogError> {
    Ok(rows::collection(conn, name)?.map(|(_, n, collection)| (n, collection)))
}
