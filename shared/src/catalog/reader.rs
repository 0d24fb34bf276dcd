//! A snapshot as the server reads it. Every call blocks: never from an async runtime thread.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use rusqlite::{Connection, Row, ToSql, params};

use super::plan::{Plan, Sql};
use super::query::{DatasetFilter, DatasetQuery};
use super::{CatalogError, rows, schema, totals};
use crate::bbox::Bbox;
use crate::collection::Collection;
use crate::dataset::Dataset;

/// Connections of a snapshot, and so calls answered at once; there are no more than cores.
const CONNECTIONS_MAX: usize = 16;
/// Connections at least: one long listing does not keep all else waiting.
const CONNECTIONS_MIN: usize = 2;

/// Steps of a degree that a collection's bounds are rounded outward to.
const BOUNDS_STEPS: f64 = 1e6;

/// One snapshot, open read-only and immutable.
///
/// All connections are opened at once, and none later: the file may be deleted while it is served, and then lives on in them.
#[derive(Debug)]
pub struct Catalog {
    n: u64,
    datasets: u64,
    collections: Vec<CollectionSummary>,
    connections: Vec<Mutex<Connection>>,
    /// Spreads the calls that must wait over the connections.
    turn: AtomicUsize,
}

/// A collection with what `/collections` says of it.
#[derive(Clone, Debug)]
pub struct CollectionSummary {
    /// Its row.
    id: i64,
    /// The definition.
    pub collection: Arc<Collection>,
    /// The commit that last set it.
    pub n: u64,
    /// How many datasets it has.
    pub datasets: u64,
    /// Of all datasets; None when empty. Where a dataset crosses the antimeridian: the whole round.
    pub bounds: Option<Bbox>,
}

/// Of several datasets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extent {
    /// The coarsest zoom of any.
    pub minzoom: u8,
    /// The finest zoom of any.
    pub maxzoom: u8,
    /// The coarsest of the finest zooms.
    pub coarsest_maxzoom: u8,
    /// Edges of all; where one crosses the antimeridian, the whole round.
    pub bounds: Bbox,
}

impl Catalog {
    /// Opens a snapshot file.
    pub fn open(path: &Path) -> Result<Self, CatalogError> {
        let conn = schema::open_snapshot(path)?;
        let n = schema::head(&conn)?;
        let collections = summaries(&conn)?;
        let datasets = collections.iter().map(|collection| collection.datasets).sum();
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut connections = vec![Mutex::new(conn)];
        while connections.len() < cores.clamp(CONNECTIONS_MIN, CONNECTIONS_MAX) {
            connections.push(Mutex::new(schema::open_snapshot(path)?));
        }
        Ok(Self { n, datasets, collections, connections, turn: AtomicUsize::new(0) })
    }

    /// The commit it is the state after.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Datasets of all collections.
    pub fn datasets(&self) -> u64 {
        self.datasets
    }

    /// All collections, in the order they were first defined.
    pub fn collections(&self) -> &[CollectionSummary] {
        &self.collections
    }

    /// A collection by name.
    pub fn collection(&self, name: &str) -> Option<&CollectionSummary> {
        self.collections.iter().find(|c| c.collection.name == name)
    }

    /// The collection that root routes serve: the one that last said `default`, else the first defined.
    pub fn default_collection(&self) -> Option<&CollectionSummary> {
        self.collections.iter().filter(|c| c.collection.default).max_by_key(|c| c.n).or(self.collections.first())
    }

    /// One dataset.
    pub fn dataset(&self, collection: &str, keys: &[String]) -> Result<Option<Dataset>, CatalogError> {
        let Some(summary) = self.collection(collection) else { return Ok(None) };
        self.with_connection(|conn| find(conn, summary.id, keys))
    }

    /// Those of some datasets that are there, in their order.
    pub fn datasets_of(&self, collection: &str, names: &[Vec<String>]) -> Result<Vec<Dataset>, CatalogError> {
        let Some(summary) = self.collection(collection) else { return Ok(Vec::new()) };
        self.with_connection(|conn| names.iter().filter_map(|keys| find(conn, summary.id, keys).transpose()).collect())
    }

    /// Key values of the datasets that match. An unknown collection has none.
    pub fn dataset_keys(&self, collection: &str, query: &DatasetQuery) -> Result<Vec<Vec<String>>, CatalogError> {
        let Some(summary) = self.collection(collection) else { return Ok(Vec::new()) };
        self.with_connection(|conn| {
            let sql = Plan::keys(conn, summary.id, query)?;
            rows(conn, &sql, |row| Ok(rows::split_keys(row.get_ref(0)?.as_str()?)))
        })
    }

    /// The same with the bounds of each.
    pub fn dataset_bounds(
        &self,
        collection: &str,
        query: &DatasetQuery,
    ) -> Result<Vec<(Vec<String>, Bbox)>, CatalogError> {
        let Some(summary) = self.collection(collection) else { return Ok(Vec::new()) };
        self.with_connection(|conn| {
            let sql = Plan::bounds(conn, summary.id, query)?;
            rows(conn, &sql, |row| {
                let bounds = Bbox { west: row.get(1)?, south: row.get(2)?, east: row.get(3)?, north: row.get(4)? };
                Ok((rows::split_keys(row.get_ref(0)?.as_str()?), bounds))
            })
        })
    }

    /// Where all that match lie, and their zooms; None if none does.
    pub fn extent(&self, collection: &str, filter: &DatasetFilter) -> Result<Option<Extent>, CatalogError> {
        let Some(summary) = self.collection(collection) else { return Ok(None) };
        let found = self.ask(summary.id, filter, Plan::extent, |row| {
            let zoom = |column: usize| row.get::<_, Option<u8>>(column);
            let (Some(minzoom), Some(maxzoom), Some(coarsest)) = (zoom(0)?, zoom(1)?, zoom(2)?) else {
                return Ok(None);
            };
            let bounds = Bbox { west: row.get(3)?, south: row.get(4)?, east: row.get(5)?, north: row.get(6)? };
            Ok(Some(Extent { minzoom, maxzoom, coarsest_maxzoom: coarsest, bounds }))
        })?;
        Ok(found.into_iter().flatten().next())
    }

    /// How many datasets match.
    pub fn dataset_count(&self, collection: &str, filter: &DatasetFilter) -> Result<u64, CatalogError> {
        let Some(summary) = self.collection(collection) else { return Ok(0) };
        if *filter == DatasetFilter::default() {
            return Ok(summary.datasets);
        }
        let counts = self.ask(summary.id, filter, Plan::count, |row| row.get::<_, i64>(0))?;
        Ok(counts.first().map_or(0, |n| *n as u64))
    }

    /// The distinct values of a key (by its index) that begin with `prefix` among the datasets that match, and how many datasets have each;
    /// `page` is how many, leaving out how many.
    pub fn key_values<'a>(
        &self,
        collection: &str,
        key: usize,
        prefix: &'a str,
        filter: &'a DatasetFilter,
        page: (usize, usize),
    ) -> Result<Vec<(String, u64)>, CatalogError> {
        let Some(summary) = self.collection(collection) else { return Ok(Vec::new()) };
        let values = |plan: &Plan<'a>| plan.values(key, prefix, page);
        self.ask(summary.id, filter, values, |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))
    }

    /// A question about all that matches.
    fn ask<'a, T>(
        &self,
        collection: i64,
        filter: &'a DatasetFilter,
        statement: impl FnOnce(&Plan<'a>) -> Sql<'a>,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, CatalogError> {
        self.with_connection(|conn| {
            let plan = Plan::new(conn, collection, filter, &[], None)?;
            rows(conn, &statement(&plan), read)
        })
    }

    pub(super) fn with_connection<T>(
        &self,
        ask: impl FnOnce(&Connection) -> Result<T, CatalogError>,
    ) -> Result<T, CatalogError> {
        let idle = self.connections.iter().find_map(|conn| match conn.try_lock() {
            Ok(conn) => Some(conn),
            Err(TryLockError::Poisoned(conn)) => Some(conn.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        });
        let conn = idle.unwrap_or_else(|| {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.connections.len();
            self.connections[turn].lock().unwrap_or_else(PoisonError::into_inner)
        });
        ask(&conn)
    }
}

/// A dataset by its name. The index of names is all that is read of `datasets`.
fn find(conn: &Connection, collection: i64, keys: &[String]) -> Result<Option<Dataset>, CatalogError> {
    let mut statement = conn.prepare_cached(
        "SELECT r.record FROM datasets d JOIN records r ON r.dataset = d.id WHERE d.collection = ?1 AND d.keys = ?2",
    )?;
    let mut found = statement.query(params![collection, rows::join_keys(keys)])?;
    found.next()?.map(|row| rows::dataset(row, 0)).transpose()
}

fn rows<T>(
    conn: &Connection,
    sql: &Sql<'_>,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, CatalogError> {
    let parameters: Vec<&dyn ToSql> = sql.parameters.iter().map(|p| p as &dyn ToSql).collect();
    let mut statement = conn.prepare_cached(&sql.text)?;
    let found = statement.query_map(parameters.as_slice(), |row| read(row))?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn summaries(conn: &Connection) -> Result<Vec<CollectionSummary>, CatalogError> {
    let mut statement = conn.prepare("SELECT id, name, n, record FROM collections ORDER BY id")?;
    let mut found = Vec::new();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, name): (i64, String) = (row.get(0)?, row.get(1)?);
        let record: String = row.get(3)?;
        let collection = Arc::new(super::rows::parse(&record, || format!("collection {name}"))?);
        let all = totals::of(conn, id)?;
        let (datasets, bounds) = (all.map_or(0, |all| all.datasets), all.map(|all| rounded(&all.bounds)));
        found.push(CollectionSummary { id, collection, n: row.get::<_, i64>(2)? as u64, datasets, bounds });
    }
    Ok(found)
}

/// Outward, to steps of a degree that tell more than any raster's edges do. Adding zero makes of a negative zero a plain one.
fn rounded(b: &Bbox) -> Bbox {
    let (down, up) = (
        |v: f64| (v * BOUNDS_STEPS).floor() / BOUNDS_STEPS + 0.0,
        |v: f64| (v * BOUNDS_STEPS).ceil() / BOUNDS_STEPS + 0.0,
    );
    Bbox { west: down(b.west), south: down(b.south), east: up(b.east), north: up(b.north) }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn a_deleted_snapshot_is_read_on_by_more_threads_than_it_has_connections() {
        let dir = tempfile::tempdir().unwrap();
        let (replica, clean) = (dir.path().join("replica"), dir.path().join("clean"));
        schema::write_clean(&schema::open_replica(&replica).unwrap(), &clean).unwrap();
        let catalog = Catalog::open(&clean).unwrap();
        std::fs::remove_file(&clean).unwrap();
        let connections = catalog.connections.len();
        // Returns only once all connections are in use at the same time. Those who come later may wait for the same one.
        let (all, entered) = (Barrier::new(connections), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..2 * connections {
                scope.spawn(|| {
                    let head = catalog.with_connection(|conn| {
                        if entered.fetch_add(1, Ordering::Relaxed) < connections {
                            all.wait();
                        }
                        schema::head(conn)
                    });
                    assert_eq!(head.unwrap(), 0);
                });
            }
        });
    }
}
