//! What is known of all datasets of a collection together, kept in step by the fold so that nobody counts a million rows.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::CatalogError;
use crate::bbox::Bbox;

/// Footprints looked at for one that touches an edge: they are of all collections, and a collection of so few datasets is looked through instead.
const FOOTPRINTS_MAX: u64 = 2000;

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

/// The edges of a dataset as plain numbers: west, south, east, north.
pub(super) fn edges(bounds: &Bbox) -> [f64; 4] {
    let (west, east) = if bounds.crosses_antimeridian() { (-180.0, 180.0) } else { (bounds.west, bounds.east) };
    [west, bounds.south, east, bounds.north]
}

/// Takes in a dataset.
pub(super) fn add(conn: &Connection, collection: i64, bounds: &Bbox) -> Result<(), CatalogError> {
    let [west, south, east, north] = edges(bounds);
    conn.prepare_cached(
        "INSERT INTO totals VALUES (?1, 1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET datasets = datasets + 1,
           west = min(west, ?2), south = min(south, ?3), east = max(east, ?4), north = max(north, ?5)",
    )?
    .execute(params![collection, west, south, east, north])?;
    Ok(())
}

/// Lets go of a dataset. The edges stay; returns whether it touched one, so that they must be settled.
pub(super) fn remove(conn: &Connection, collection: i64, bounds: &Bbox) -> Result<bool, CatalogError> {
    let [west, south, east, north] = edges(bounds);
    let mut statement = conn.prepare_cached(
        "UPDATE totals SET datasets = datasets - 1 WHERE collection = ?1
         RETURNING west >= ?2 OR south >= ?3 OR east <= ?4 OR north <= ?5",
    )?;
    Ok(statement.query_row(params![collection, west, south, east, north], |row| row.get(0))?)
}

/// Brings the edges of a collection that lost some of what touched them to what is left. In a large collection almost always something else still does,
/// which the R-tree of all collections tells soon; where it does not, all rows of the collection are looked at.
pub(super) fn settle(conn: &Connection, collection: i64) -> Result<(), CatalogError> {
    settle_within(conn, collection, FOOTPRINTS_MAX)
}

fn settle_within(conn: &Connection, collection: i64, footprints_max: u64) -> Result<(), CatalogError> {
    conn.prepare_cached("DELETE FROM totals WHERE collection = ?1 AND datasets = 0")?.execute(params![collection])?;
    let Some(totals) = of(conn, collection)? else { return Ok(()) };
    if totals.datasets > footprints_max && are_touched(conn, collection, &totals.bounds, footprints_max)? {
        return Ok(());
    }
    conn.prepare_cached(&format!(
        "UPDATE totals SET (west, south, east, north) =
           (SELECT min({WEST}), min(d.south), max({EAST}), max(d.north) FROM datasets d WHERE d.collection = ?1)
         WHERE collection = ?1"
    ))?
    .execute(params![collection])?;
    Ok(())
}

/// Whether something is seen to touch each edge.
fn are_touched(conn: &Connection, collection: i64, bounds: &Bbox, footprints_max: u64) -> Result<bool, CatalogError> {
    for (edge, value, reaches, at) in [
        ("west", bounds.west, "<=", WEST),
        ("south", bounds.south, "<=", "d.south"),
        ("east", bounds.east, ">=", EAST),
        ("north", bounds.north, ">=", "d.north"),
    ] {
        // CROSS JOIN: the R-tree is asked first, and no more than it takes to find one.
        let touched = format!(
            "SELECT 1 FROM (SELECT id / 2 AS dataset FROM footprints WHERE {edge} {reaches} ?2 LIMIT {footprints_max}) f
             CROSS JOIN datasets d ON d.id = f.dataset WHERE d.collection = ?1 AND ({at}) {reaches} ?2 LIMIT 1"
        );
        if !conn.prepare_cached(&touched)?.exists(params![collection, value])? {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{datasets, packed, schema};
    use crate::dataset::Dataset;

    #[test]
    fn edges_are_those_of_what_is_left_however_few_footprints_are_looked_at() {
        for footprints_max in [0, 3, FOOTPRINTS_MAX] {
            let dir = tempfile::tempdir().unwrap();
            let conn = schema::open_replica(&dir.path().join("replica")).unwrap();
            conn.pragma_update(None, "foreign_keys", false).unwrap();
            let record: Dataset = serde_json::from_slice(packed::DICTIONARY).unwrap();
            let mut there = std::collections::BTreeMap::new();
            for step in 0..400i64 {
                // Two collections, one of them small, in each other's midst; some at the very edges, some across the antimeridian.
                let (input, collection) = (step * 31 % 67, i64::from(step * 31 % 67 < 60));
                for collection in datasets::delete(&conn, input).unwrap() {
                    settle_within(&conn, collection, footprints_max).unwrap();
                }
                there.remove(&input);
                if step % 3 > 0 {
                    let (west, south) = ((step * 53 % 20 * 18 - 180) as f64, (step * 7 % 9 * 10 - 50) as f64);
                    let mut dataset = record.clone();
                    dataset.keys = vec![input.to_string()];
                    dataset.metadata.bounds = Bbox::from_unwrapped(west, south, west + 19.0, south + 3.0);
                    datasets::insert(&conn, collection, input, &dataset).unwrap();
                    there.insert(input, (collection, edges(&dataset.metadata.bounds)));
                }
                for collection in [0, 1] {
                    let left: Vec<[f64; 4]> =
                        there.values().filter(|(of, _)| *of == collection).map(|(_, edges)| *edges).collect();
                    let edge = |at: usize, of: fn(f64, f64) -> f64| left.iter().map(|edges| edges[at]).reduce(of);
                    let found = of(&conn, collection).unwrap();
                    assert_eq!(found.map_or(0, |found| found.datasets), left.len() as u64);
                    let bounds = found.map(|found| found.bounds);
                    assert_eq!(bounds.map(|b| b.west), edge(0, f64::min), "step {step}");
                    assert_eq!(bounds.map(|b| b.south), edge(1, f64::min), "step {step}");
                    assert_eq!(bounds.map(|b| b.east), edge(2, f64::max), "step {step}");
                    assert_eq!(bounds.map(|b| b.north), edge(3, f64::max), "step {step}");
                }
            }
        }
    }
}
