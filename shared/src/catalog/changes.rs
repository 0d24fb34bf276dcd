//! What came into a catalogue since an earlier one of the same store.
//!
//! A row of `datasets` gets an id above all there ever were, so that those that are left stand in the order in which they came in. From the newest
//! down, the first one that the earlier catalogue has under the same id ends what came since: the cost is that of what changed, whatever there is.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::reader::Catalog;
use super::{CatalogError, rows};
use crate::bbox::Bbox;

/// Rows looked at: one that was put again with the COGs it had is new, but nothing to tell.
const ROWS_MAX: usize = 1000;

/// A dataset that is new, or that shows other pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrival {
    /// Its collection.
    pub collection: String,
    /// Its key values.
    pub keys: Vec<String>,
    /// Where it lies.
    pub bounds: Bbox,
    /// Whether there was none of these keys.
    pub is_new: bool,
}

impl Catalog {
    /// Datasets that came in since `before`, newest first, `max` at most; and whether that leaves any out. Without one, the newest of all.
    pub fn arrivals_since(&self, before: Option<&Self>, max: usize) -> Result<(Vec<Arrival>, bool), CatalogError> {
        self.with_connection(|conn| match before {
            Some(before) => before.with_connection(|before| arrivals(conn, Some(before), max)),
            None => arrivals(conn, None, max),
        })
    }
}

fn arrivals(conn: &Connection, before: Option<&Connection>, max: usize) -> Result<(Vec<Arrival>, bool), CatalogError> {
    let mut statement = conn.prepare_cached(
        "SELECT d.id, d.path, c.name, d.keys, d.west, d.south, d.east, d.north
         FROM datasets d CROSS JOIN collections c ON c.id = d.collection ORDER BY d.id DESC",
    )?;
    let mut newest_first = statement.query([])?;
    let mut found = Vec::new();
    let mut looked_at = 0;
    while let Some(row) = newest_first.next()? {
        let (id, path, collection): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let keys: String = row.get(3)?;
        let earlier = before.map(|before| earlier(before, &collection, &keys)).transpose()?.flatten();
        if earlier.as_ref().is_some_and(|(its, of)| *its == id && *of == path) {
            return Ok((found, false));
        }
        looked_at += 1;
        if found.len() == max || looked_at > ROWS_MAX {
            return Ok((found, true));
        }
        if earlier.as_ref().is_none_or(|(_, of)| *of != path) {
            let bounds = Bbox { west: row.get(4)?, south: row.get(5)?, east: row.get(6)?, north: row.get(7)? };
            found.push(Arrival { collection, keys: rows::split_keys(&keys), bounds, is_new: earlier.is_none() });
        }
    }
    Ok((found, false))
}

/// The row's id and the path of its COG.
fn earlier(conn: &Connection, collection: &str, keys: &str) -> Result<Option<(i64, String)>, CatalogError> {
    let mut statement = conn.prepare_cached(
        "SELECT d.id, d.path FROM collections c CROSS JOIN datasets d ON d.collection = c.id WHERE c.name = ?1 AND d.keys = ?2",
    )?;
    Ok(statement.query_row(params![collection, keys], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;
    use ulid::Ulid;

    use super::*;
    use crate::catalog::{apply, packed, schema};
    use crate::commit::{Change, Commit};
    use crate::dataset::Dataset;

    /// A catalogue that grows, and what a server opens of it.
    struct World {
        dir: tempfile::TempDir,
        conn: Connection,
        n: u64,
    }

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let conn = schema::open_replica(&dir.path().join("replica")).unwrap();
            let mut world = Self { dir, conn, n: 0 };
            let style = crate::collection::Style::default();
            let collection = json!({"name": "c", "title": "", "default": false, "keys": [{"name": "name"}], "on_conflict": "newest", "style": style});
            world.commit(&json!([{"change": "put_collection", "prev": 0, "collection": collection}]));
            world
        }

        fn commit(&mut self, changes: &serde_json::Value) {
            self.n += 1;
            let changes: Vec<Change> = serde_json::from_value(changes.clone()).unwrap();
            let commit = Commit { n: self.n, uuid: Ulid::generate(), at_ms: 0, author: String::new(), changes };
            apply::apply(&mut self.conn, &commit).unwrap();
        }

        fn put(&mut self, name: &str, prev: u64, path: &str) {
            let mut dataset: Dataset = serde_json::from_slice(packed::DICTIONARY).unwrap();
            (dataset.keys, dataset.path) = (vec![name.to_owned()], path.to_owned());
            self.commit(&json!([{
                "change": "put", "source": "s", "input": name, "prev": prev, "version": path, "source_time_ms": 0,
                "collection": "c", "content": path, "datasets": [dataset],
            }]));
        }

        fn remove(&mut self, name: &str, prev: u64) {
            self.commit(&json!([{"change": "remove", "source": "s", "input": name, "prev": prev}]));
        }

        fn catalog(&self) -> Catalog {
            let clean = self.dir.path().join(format!("clean-{}", self.n));
            schema::write_clean(&self.conn, Path::new(&clean)).unwrap();
            Catalog::open(&clean).unwrap()
        }
    }

    fn told(now: &Catalog, before: &Catalog) -> Vec<(String, bool)> {
        let (found, left_out) = now.arrivals_since(Some(before), 10).unwrap();
        assert!(!left_out);
        found.into_iter().map(|arrival| (arrival.keys.join("/"), arrival.is_new)).collect()
    }

    #[test]
    fn what_came_in_is_told_newest_first_and_nothing_else() {
        let mut world = World::new();
        for name in ["a", "b", "c"] {
            world.put(name, 0, &format!("{name}1"));
        }
        let first = world.catalog();
        assert_eq!(told(&first, &first), []);
        world.put("d", 0, "d1");
        world.put("b", 3, "b2");
        let second = world.catalog();
        assert_eq!(told(&second, &first), [("b".to_owned(), false), ("d".to_owned(), true)]);
        world.remove("a", 2);
        world.put("c", 4, "c1");
        let third = world.catalog();
        assert_eq!(told(&third, &second), [], "one is gone, and one has the COG it had");
        assert_eq!(told(&third, &first).len(), 2);
    }

    #[test]
    fn what_came_where_the_newest_were_removed_is_told() {
        let mut world = World::new();
        world.put("a", 0, "a1");
        world.put("b", 0, "b1");
        let first = world.catalog();
        world.put("b", 3, "b2");
        let second = world.catalog();
        assert_eq!(told(&second, &first), [("b".to_owned(), false)]);
        world.remove("b", 4);
        world.put("d", 0, "d1");
        let third = world.catalog();
        assert_eq!(told(&third, &second), [("d".to_owned(), true)]);
        world.remove("a", 2);
        world.remove("d", 6);
        world.put("e", 0, "e1");
        world.put("d", 8, "d1");
        assert_eq!(told(&world.catalog(), &third), [("e".to_owned(), true)], "though d is as it was");
    }

    #[test]
    fn of_many_the_newest_are_told() {
        let mut world = World::new();
        (0..12).for_each(|i| world.put(&format!("n{i:02}"), 0, &format!("{i}")));
        let catalog = world.catalog();
        let (found, left_out) = catalog.arrivals_since(None, 10).unwrap();
        assert!(left_out);
        assert_eq!((found.len(), found[0].keys[0].as_str(), found[9].keys[0].as_str()), (10, "n11", "n02"));
        let (found, left_out) = catalog.arrivals_since(None, 12).unwrap();
        assert_eq!((found.len(), left_out), (12, false));
    }
}
