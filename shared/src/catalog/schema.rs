//! Making and opening catalogue files.

use std::path::Path;

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Transaction, params};

use super::CatalogError;
use crate::config::test_setting;

/// The format that every catalogue begins with.
const FIRST: i64 = 1;
/// The newest format this version reads; in the manifest too. A store stays in its own until `kiln store upgrade`, so that servers may be renewed before writers
/// or after them.
const NEWEST: i64 = 1;
/// Names a newest format, for tests of what happens between two versions: it differs from the one before in nothing but its number.
const NEWEST_IN_TESTS: &str = "KILN_TEST_NEWEST_FORMAT";
/// Pages that one connection to a snapshot keeps. Not mapped into memory: what is mapped would count as the server's, up to the whole file; what is read
/// stays with the system, for all connections.
const CACHE_KIB: i64 = 4096;
/// Separates key values in `datasets.keys`. No key value contains it or a lower character, so that names sort as tuples of values do.
pub const KEY_SEPARATOR: char = '\u{1f}';

/// Opens a writer's replica, made if absent. One connection, no WAL: what is lost in a power cut is rebuilt from the store.
pub fn open_replica(path: &Path) -> Result<Connection, CatalogError> {
    let conn = Connection::open(path)?;
    // No other process opens it, so that it need not be locked and looked at anew for each question.
    conn.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    conn.pragma_update(None, "journal_mode", "TRUNCATE")?;
    conn.pragma_update(None, "synchronous", "OFF")?;
    conn.pragma_update(None, "cache_size", -65_536)?;
    conn.set_prepared_statement_cache_capacity(64);
    let made: bool = conn
        .query_row("SELECT 1 FROM sqlite_schema WHERE name = 'meta'", [], |_| Ok(true))
        .optional()?
        .unwrap_or(false);
    if !made {
        let sql = format!(
            "BEGIN; {} INSERT INTO meta VALUES ('n', 0), ('format', {FIRST}); COMMIT;",
            include_str!("schema.sql")
        );
        conn.execute_batch(&sql)?;
    }
    check_format(&conn)?;
    Ok(conn)
}

/// Opens a snapshot: read-only and immutable.
pub fn open_snapshot(path: &Path) -> Result<Connection, CatalogError> {
    let mut uri = url::Url::from_file_path(path).map_err(|()| rusqlite::Error::InvalidPath(path.to_owned()))?;
    uri.set_query(Some("immutable=1&mode=ro"));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(uri.as_str(), flags)?;
    conn.set_prepared_statement_cache_capacity(32);
    conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    // Of joined keys, the one at an index.
    conn.create_scalar_function("key_value", 2, flags, |of| {
        let (keys, index) = (of.get_raw(0).as_str().map_err(rusqlite::Error::from)?, usize::from(of.get::<u16>(1)?));
        Ok(keys.split(KEY_SEPARATOR).nth(index).map(str::to_owned))
    })?;
    check_format(&conn)?;
    Ok(conn)
}

/// The last commit applied.
pub fn head(conn: &Connection) -> Result<u64, CatalogError> {
    let n: i64 = conn.prepare_cached("SELECT value FROM meta WHERE key = 'n'")?.query_row([], |row| row.get(0))?;
    Ok(n as u64)
}

/// The UUID of the last commit applied: what tells one store's log from another's.
pub fn head_uuid(conn: &Connection) -> Result<Option<String>, CatalogError> {
    Ok(conn.query_row("SELECT value FROM meta WHERE key = 'uuid'", [], |row| row.get(0)).optional()?)
}

/// Datasets in the catalogue.
pub fn dataset_count(conn: &Connection) -> Result<u64, CatalogError> {
    let n: i64 = conn.query_row("SELECT coalesce(sum(datasets), 0) FROM totals", [], |row| row.get(0))?;
    Ok(n as u64)
}

/// Checks that the tables agree with each other in number: what a publisher asks before it ships a file.
pub fn check_counts(conn: &Connection) -> Result<(), CatalogError> {
    let bad: Option<String> = conn
        .query_row(
            "SELECT CASE
               WHEN (SELECT count(*) FROM datasets WHERE input NOT IN (SELECT id FROM inputs)) > 0 THEN 'datasets without an input'
               WHEN (SELECT count(*) FROM datasets d LEFT JOIN records r ON r.dataset = d.id WHERE r.dataset IS NULL) > 0
                 OR (SELECT count(*) FROM records) <> (SELECT count(*) FROM datasets) THEN 'datasets without a record'
               WHEN EXISTS (SELECT collection, count(*) FROM datasets GROUP BY collection EXCEPT SELECT collection, datasets FROM totals)
                 OR (SELECT count(*) FROM totals) <> (SELECT count(DISTINCT collection) FROM datasets) THEN 'another number of datasets'
               WHEN EXISTS (SELECT collection, key, value, count(*) FROM dataset_keys GROUP BY 1, 2, 3
                   EXCEPT SELECT collection, key, value, datasets FROM key_values)
                 OR EXISTS (SELECT collection, key, sum(datasets) FROM key_values GROUP BY 1, 2
                   EXCEPT SELECT collection, key, datasets FROM totals JOIN (SELECT DISTINCT collection AS of, key FROM key_values) ON of = collection)
                 THEN 'another number of key values'
               WHEN (SELECT count(DISTINCT id / 2) FROM footprints) <> (SELECT count(*) FROM datasets) THEN 'datasets without a footprint'
             END",
            [],
            |row| row.get(0),
        )?;
    match bad {
        Some(fault) => Err(CatalogError::Invalid { n: head(conn)?, fault }),
        None => Ok(()),
    }
}

/// Runs SQLite's own full check.
pub fn check_integrity(conn: &Connection) -> Result<(), CatalogError> {
    let answer: String = conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if answer == "ok" { Ok(()) } else { Err(CatalogError::Invalid { n: head(conn)?, fault: answer }) }
}

/// Checks that the file is the one this connection has open, and all of it: a path may have been given another file meanwhile.
pub fn check_is_of(conn: &Connection, path: &Path) -> Result<(), CatalogError> {
    let (n, other) = (head(conn)?, open_snapshot(path)?);
    let bytes = number(conn, "page_count")? * number(conn, "page_size")?;
    let same = std::fs::metadata(path).is_ok_and(|meta| meta.len() == bytes)
        && head(&other)? == n
        && head_uuid(&other)? == head_uuid(conn)?;
    if same {
        return Ok(());
    }
    let fault = format!("{} is not the file that is open, or not all of it", path.display());
    Err(CatalogError::Invalid { n, fault })
}

/// Writes the catalogue as a clean single file.
pub fn write_clean(conn: &Connection, path: &Path) -> Result<(), CatalogError> {
    let name = path.to_str().ok_or_else(|| rusqlite::Error::InvalidPath(path.to_owned()))?;
    conn.execute("VACUUM INTO ?1", params![name])?;
    Ok(())
}

/// Packs the file if more than one page of so many holds nothing. Returns whether it did: then it differs from what it was in most of its pages.
pub fn pack_if_unused(conn: &Connection, part: u64) -> Result<bool, CatalogError> {
    let is_due = number(conn, "freelist_count")? > number(conn, "page_count")? / part;
    if is_due {
        conn.execute("VACUUM", [])?;
    }
    Ok(is_due)
}

/// A number that SQLite tells of an open file.
fn number(conn: &Connection, pragma: &str) -> Result<u64, CatalogError> {
    let number: i64 = conn.pragma_query_value(None, pragma, |row| row.get(0))?;
    Ok(number as u64)
}

/// The newest format this version reads.
pub fn newest_format() -> i64 {
    test_setting(NEWEST_IN_TESTS).and_then(|text| text.parse().ok()).unwrap_or(NEWEST)
}

/// The format of a catalogue.
pub fn format(conn: &Connection) -> Result<i64, CatalogError> {
    Ok(conn.query_row("SELECT value FROM meta WHERE key = 'format'", [], |row| row.get(0))?)
}

/// Brings a catalogue into a newer format. What a format needs beyond the one before is done here, step by step.
pub(super) fn upgrade(tx: &Transaction<'_>, format: i64) -> Result<(), CatalogError> {
    if format > newest_format() {
        return Err(CatalogError::Format { found: format, newest: newest_format() });
    }
    tx.execute("UPDATE meta SET value = ?1 WHERE key = 'format'", params![format])?;
    Ok(())
}

fn check_format(conn: &Connection) -> Result<(), CatalogError> {
    let (found, newest) = (format(conn)?, newest_format());
    if (FIRST..=newest).contains(&found) { Ok(()) } else { Err(CatalogError::Format { found, newest }) }
}
