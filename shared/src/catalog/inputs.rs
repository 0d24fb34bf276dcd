//! What the catalogue decided about inputs: what reconcile, checks and people ask.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{CatalogError, rows};
use crate::dataset::Dataset;

/// The row of an input.
#[derive(Clone, Debug, PartialEq)]
pub struct InputRow {
    /// Row id, for the queries of this file.
    pub id: i64,
    /// Path relative to its source.
    pub path: String,
    /// Number of the commit that made the decision.
    pub n: u64,
    /// The decision.
    pub decision: Decision,
    /// The version decided; None makes a job.
    pub version: Option<String>,
    /// The collection it was meant for.
    pub collection: Option<String>,
    /// When the source says it last changed: milliseconds since 1970.
    pub source_time_ms: i64,
    /// Hash of what its datasets were made from.
    pub content: Option<String>,
    /// Why it was rejected.
    pub reason: Option<String>,
    /// Whether what was rejected may pass later.
    pub may_pass: bool,
    /// Path of the input that has its key values.
    pub owner: Option<String>,
}

/// What the catalogue last settled about an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Its datasets are served.
    Ingested,
    /// It cannot be ingested.
    Rejected,
    /// A newer input has its key values.
    Superseded,
    /// It is gone from its source.
    Removed,
    /// It was taken out.
    Held,
}

impl Decision {
    /// As the column and people have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ingested => "ingested",
            Self::Rejected => "rejected",
            Self::Superseded => "superseded",
            Self::Removed => "removed",
            Self::Held => "held",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Ingested, Self::Rejected, Self::Superseded, Self::Removed, Self::Held]
            .into_iter()
            .find(|d| d.name() == name)
    }
}

const COLUMNS: &str =
    "i.id, i.path, i.n, i.decision, i.version, i.collection, i.source_time_ms, i.content, i.reason, i.may_pass, o.path";

/// The row of one input.
pub fn find(conn: &Connection, source: &str, path: &str) -> Result<Option<InputRow>, CatalogError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM inputs i LEFT JOIN inputs o ON o.id = i.owner WHERE i.source = ?1 AND i.path = ?2"
    );
    Ok(conn.prepare_cached(&sql)?.query_row(params![source, path], read).optional()?)
}

/// Every input of a source whose path sorts after `after`, in order of path (bytes).
pub fn page(conn: &Connection, source: &str, after: &str, limit: usize) -> Result<Vec<InputRow>, CatalogError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM inputs i LEFT JOIN inputs o ON o.id = i.owner
         WHERE i.source = ?1 AND i.path > ?2 ORDER BY i.path LIMIT ?3"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query_map(params![source, after, limit as i64], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Paths that part the inputs of a source into so many ranges of about equal size; none if it has fewer than `min`.
pub fn quantiles(conn: &Connection, source: &str, parts: usize, min: usize) -> Result<Vec<String>, CatalogError> {
    let count: i64 = conn
        .prepare_cached("SELECT count(*) FROM inputs WHERE source = ?1")?
        .query_row(params![source], |row| row.get(0))?;
    if (count as usize) < min {
        return Ok(Vec::new());
    }
    let mut statement =
        conn.prepare_cached("SELECT path FROM inputs WHERE source = ?1 ORDER BY path LIMIT 1 OFFSET ?2")?;
    let at = |part: usize| count * part as i64 / parts as i64;
    Ok((1..parts)
        .map(|part| statement.query_row(params![source, at(part)], |row| row.get(0)))
        .collect::<Result<_, _>>()?)
}

/// Every rejected input with its source's name, in order of source and path.
pub fn rejected(conn: &Connection) -> Result<Vec<(String, InputRow)>, CatalogError> {
    let sql = format!(
        "SELECT {COLUMNS}, i.source FROM inputs i LEFT JOIN inputs o ON o.id = i.owner
         WHERE i.decision = 'rejected' AND i.version IS NOT NULL ORDER BY i.source, i.path"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(11)?, read(row)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Inputs whose decided version was cleared: (source, path, number of the commit that did it). Reconcile makes jobs of those still there.
pub fn undecided(conn: &Connection) -> Result<Vec<(String, String, u64)>, CatalogError> {
    let mut statement = conn.prepare_cached(
        "SELECT source, path, n FROM inputs WHERE version IS NULL AND decision <> 'removed' ORDER BY source, path",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)? as u64)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The datasets of an input.
pub fn datasets(conn: &Connection, id: i64) -> Result<Vec<Dataset>, CatalogError> {
    let mut statement = conn.prepare_cached(
        "SELECT r.record FROM datasets d JOIN records r ON r.dataset = d.id WHERE d.input = ?1 ORDER BY d.id",
    )?;
    let mut found = Vec::new();
    let mut rows = statement.query(params![id])?;
    while let Some(row) = rows.next()? {
        found.push(rows::dataset(row, 0)?);
    }
    Ok(found)
}

/// An input that has datasets made from exactly this content, preferring the path `prefer`.
pub fn with_content(conn: &Connection, content: &str, prefer: &str) -> Result<Option<i64>, CatalogError> {
    Ok(conn
        .prepare_cached(
            "SELECT id FROM inputs WHERE content = ?1 AND id IN (SELECT input FROM datasets)
             ORDER BY path <> ?2, id LIMIT 1",
        )?
        .query_row(params![content, prefer], |row| row.get(0))
        .optional()?)
}

/// Other inputs that have datasets with these key values: (source, path, source time).
pub fn owners(
    conn: &Connection,
    collection: &str,
    keys: &[Vec<String>],
    not: (&str, &str),
) -> Result<Vec<(String, String, i64)>, CatalogError> {
    let mut statement = conn.prepare_cached(
        "SELECT i.source, i.path, i.source_time_ms FROM datasets d JOIN collections c ON c.id = d.collection JOIN inputs i ON i.id = d.input
         WHERE c.name = ?1 AND d.keys = ?2 AND NOT (i.source = ?3 AND i.path = ?4)",
    )?;
    let mut found = Vec::new();
    for key in keys {
        let row = statement
            .query_row(params![collection, rows::join_keys(key), not.0, not.1], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()?;
        found.extend(row.filter(|row| !found.contains(row)));
    }
    Ok(found)
}

fn read(row: &Row<'_>) -> rusqlite::Result<InputRow> {
    let decision: String = row.get(3)?;
    Ok(InputRow {
        id: row.get(0)?,
        path: row.get(1)?,
        n: row.get::<_, i64>(2)? as u64,
        decision: Decision::parse(&decision).ok_or(rusqlite::Error::InvalidQuery)?,
        version: row.get(4)?,
        collection: row.get(5)?,
        source_time_ms: row.get(6)?,
        content: row.get(7)?,
        reason: row.get(8)?,
        may_pass: row.get(9)?,
        owner: row.get(10)?,
    })
}
