//! What is known of all datasets of a collection together, kept in step by the fold so that nobody counts a million rows.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::CatalogError;
use crate::bbox::Bbox;

/// Number and edges of a collection's datasets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Totals {
    pub(super) datasets: u64,
    pub(super) bounds: Bbox,
}

/// The two edges of a row `d` of `datasets` as plain numbers: the whole round where they cross the antimeridian.
pub(super) const WEST: &str = "CASE WHEN d.west > d.east THEN -180.0 ELSE d.west END";
pub(super) const EAST: &str = "CASE WHEN d.west > d.east THEN 180.0 ELSE d.east END";

/// Of a collection; None if it is empty.
pub(super) fn of(conn: &Connection, collection: i64) -> Result<Option<Totals>, CatalogError> {
    let mut statement =
        conn.prepare_cached("SELECT datasets, west, south, east, north FROM totals WHERE collection = ?1")?;
    let read = |row: &rusqlite::Row<'_>| {
        let bounds = Bbox { west: row.get(1)?, south: row.get(2)?, east: row.get(3)?, north: row.get(4)? };
        Ok(Totals { datasets: row.get::<_, i64>(0)? as u64, bounds })
    };
    Ok(statement.query_row(params![collection], read).optional()?)
}

/// Takes in a dataset.
pub(super) fn add(conn: &Connection, collection: i64, bounds: &Bbox) -> Result<(), CatalogError> {
    let round = bounds.crosses_antimeridian();
    let (west, east) = if round { (-180.0, 180.0) } else { (bounds.west, bounds.east) };
    conn.prepare_cached(
        "INSERT INTO totals VALUES (?1, 1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET datasets = datasets + 1,
           west = min(west, ?2), south = min(south, ?3), east = max(east, ?4), north = max(north, ?5)",
    )?
    .execute(params![collection, west, bounds.south, east, bounds.north])?;
    Ok(())
}

/// Lets go of a dataset. The edges stay until `settle`.
pub(super) fn remove(conn: &Connection, collection: i64) -> Result<(), CatalogError> {
    conn.prepare_cached("UPDATE totals SET datasets = datasets - 1 WHERE collection = ?1")?
        .execute(params![collection])?;
    Ok(())
}

/// Brings the edges of a collection that lost datasets to what is left. Almost always something still touches an edge, which the R-tree tells at once;
/// only where nothing does are all rows looked at.
pub(super) fn settle(conn: &Connection, collection: i64) -> Result<(), CatalogError> {
    conn.prepare_cached("DELETE FROM totals WHERE collection = ?1 AND datasets = 0")?.execute(params![collection])?;
    let Some(Totals { bounds, .. }) = of(conn, collection)? else { return Ok(()) };
    for (edge, value, reaches, at, all) in [
        ("west", bounds.west, "<=", WEST, "min"),
        ("south", bounds.south, "<=", "d.south", "min"),
        ("east", bounds.east, ">=", EAST, "max"),
        ("north", bounds.north, ">=", "d.north", "max"),
    ] {
        // CROSS JOIN: the R-tree is asked first, and no more than it takes to find one.
        let touched = format!(
            "SELECT 1 FROM footprints f CROSS JOIN datasets d ON d.id = f.id / 2
             WHERE f.{edge} {reaches} ?2 AND d.collection = ?1 AND ({at}) {reaches} ?2 LIMIT 1"
        );
        if !conn.prepare_cached(&touched)?.exists(params![collection, value])? {
            let moved = format!(
                "UPDATE totals SET {edge} = (SELECT {all}({at}) FROM datasets d WHERE d.collection = ?1) WHERE collection = ?1"
            );
            conn.prepare_cached(&moved)?.execute(params![collection])?;
        }
    }
    Ok(())
}
