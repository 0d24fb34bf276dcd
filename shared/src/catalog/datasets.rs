//! Datasets in the catalogue, with all tables that follow them: what the fold inserts and deletes.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{CatalogError, packed, rows, totals};
use crate::bbox::Bbox;
use crate::dataset::Dataset;

/// Adds a dataset of an input.
pub(super) fn insert(conn: &Connection, collection: i64, input: i64, dataset: &Dataset) -> Result<(), CatalogError> {
    let (keys, bounds, placement) = (rows::join_keys(&dataset.keys), dataset.metadata.bounds, &dataset.cog.placement);
    conn.prepare_cached(
        "INSERT INTO datasets (collection, keys, input, path, minzoom, maxzoom, west, south, east, north)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        collection,
        keys,
        input,
        dataset.path,
        placement.minzoom,
        placement.maxzoom,
        bounds.west,
        bounds.south,
        bounds.east,
        bounds.north
    ])?;
    let id = conn.last_insert_rowid();
    let record = packed::pack(dataset)
        .map_err(|source| CatalogError::Row { row: format!("of the dataset {}", dataset.keys.join("/")), source })?;
    conn.prepare_cached("INSERT INTO records VALUES (?1, ?2)")?.execute(params![id, record])?;
    let mut name = conn.prepare_cached("INSERT INTO dataset_keys VALUES (?1, ?2, ?3, ?4)")?;
    let mut count = conn.prepare_cached(
        "INSERT INTO key_values VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7) ON CONFLICT DO UPDATE SET datasets = datasets + 1,
           west = min(west, ?4), south = min(south, ?5), east = max(east, ?6), north = max(north, ?7)",
    )?;
    let [west, south, east, north] = totals::edges(&bounds);
    for (index, value) in dataset.keys.iter().enumerate() {
        if index > 0 {
            name.execute(params![collection, index as i64, value, keys])?;
        }
        count.execute(params![collection, index as i64, value, west, south, east, north])?;
    }
    let mut statement = conn.prepare_cached("INSERT INTO footprints VALUES (?1, ?2, ?3, ?4, ?5)")?;
    let (first, second) = bounds.split();
    for (side, b) in [Some(first), second].into_iter().flatten().enumerate() {
        statement.execute(params![id * 2 + side as i64, b.west, b.east, b.south, b.north])?;
    }
    totals::add(conn, collection, &bounds)
}

/// Deletes all datasets of an input. Returns the collections whose totals must be settled.
pub(super) fn delete(conn: &Connection, input: i64) -> Result<BTreeSet<i64>, CatalogError> {
    let mut statement =
        conn.prepare_cached("SELECT id, collection, keys, west, south, east, north FROM datasets WHERE input = ?1")?;
    let bounds = |row: &Row<'_>| {
        Ok::<_, rusqlite::Error>(Bbox { west: row.get(3)?, south: row.get(4)?, east: row.get(5)?, north: row.get(6)? })
    };
    let found: Vec<(i64, i64, String, Bbox)> = statement
        .query_map(params![input], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, bounds(row)?)))?
        .collect::<Result<_, _>>()?;
    let mut shrunk = BTreeSet::new();
    for (id, collection, keys, bounds) in found {
        conn.prepare_cached("DELETE FROM footprints WHERE id = ?1")?.execute(params![2 * id])?;
        conn.prepare_cached("DELETE FROM footprints WHERE id = ?1")?.execute(params![2 * id + 1])?;
        for (index, value) in rows::split_keys(&keys).iter().enumerate() {
            let of_value = params![collection, index as i64, value];
            conn.prepare_cached(
                "DELETE FROM dataset_keys WHERE collection = ?1 AND key = ?2 AND value = ?3 AND keys = ?4",
            )?
            .execute(params![collection, index as i64, value, keys])?;
            conn.prepare_cached(
                "UPDATE key_values SET datasets = datasets - 1 WHERE collection = ?1 AND key = ?2 AND value = ?3",
            )?
            .execute(of_value)?;
            conn.prepare_cached(
                "DELETE FROM key_values WHERE collection = ?1 AND key = ?2 AND value = ?3 AND datasets = 0",
            )?
            .execute(of_value)?;
        }
        conn.prepare_cached("DELETE FROM records WHERE dataset = ?1")?.execute(params![id])?;
        conn.prepare_cached("DELETE FROM datasets WHERE id = ?1")?.execute(params![id])?;
        if totals::remove(conn, collection, &bounds)? {
            shrunk.insert(collection);
        }
    }
    Ok(shrunk)
}

/// Whether an input has datasets.
pub(super) fn any(conn: &Connection, input: i64) -> Result<bool, CatalogError> {
    Ok(conn.prepare_cached("SELECT 1 FROM datasets WHERE input = ?1")?.exists(params![input])?)
}

/// Collection and keys of an input's datasets.
pub(super) fn keys_of(conn: &Connection, input: i64) -> Result<BTreeSet<(i64, String)>, CatalogError> {
    let mut statement = conn.prepare_cached("SELECT collection, keys FROM datasets WHERE input = ?1")?;
    let rows = statement.query_map(params![input], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Inputs that have one of these keys: id, source time, path.
pub(super) fn rivals(
    conn: &Connection,
    keys: &BTreeSet<(i64, String)>,
) -> Result<BTreeSet<(i64, i64, String)>, CatalogError> {
    let mut statement = conn.prepare_cached(
        "SELECT i.id, i.source_time_ms, i.path FROM datasets d JOIN inputs i ON i.id = d.input WHERE d.collection = ?1 AND d.keys = ?2",
    )?;
    let mut found = BTreeSet::new();
    for (collection, keys) in keys {
        let row = statement
            .query_row(params![collection, keys], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        found.extend(row);
    }
    Ok(found)
}
