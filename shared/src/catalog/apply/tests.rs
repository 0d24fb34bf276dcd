//! The fold, case by case: conflicts, owners, stale changes.

use rusqlite::Connection;
use ulid::Ulid;

use super::*;
use crate::bbox::Bbox;
use crate::catalog::inputs::{self, Decision};
use crate::catalog::query::{DatasetFilter, DatasetQuery};
use crate::catalog::reader::Catalog;
use crate::catalog::schema;
use crate::collection::{Key, Style};
use crate::dataset::{CogLayout, Compression, DataType, Level, Predictor, Validity};
use crate::grid::Placement;
use crate::metadata::{Band, Categorical, Metadata};

struct World {
    dir: tempfile::TempDir,
    conn: Connection,
}

fn dataset(keys: &[&str], bounds: Bbox) -> Dataset {
    Dataset {
        keys: keys.iter().map(|k| (*k).to_owned()).collect(),
        path: crate::layout::cog("c", Ulid::generate()).to_string(),
        sample: 0,
        cog: CogLayout {
            data_type: DataType::Uint8,
            samples: 1,
            compression: Compression::Zstd,
            predictor: Predictor::None,
            validity: Validity::Nodata(f64::NAN),
            placement: Placement { maxzoom: 3, minzoom: 3, col: 1, row: 1, cols: 1, rows: 1 },
            header_bytes: 100,
            entry_bytes: (4, 2),
            levels: vec![Level { offsets_at: 16, counts_at: 24, mask: None }],
        },
        metadata: Metadata {
            bounds,
            convex_hull: Vec::new(),
            valid_percentage: 0.0,
            statistics: None,
            data_type: DataType::Uint8,
            crs: "EPSG:3857".to_owned(),
            size: [1, 1],
            resolution: [1.0, 1.0],
            nodata: None,
            band: Band::default(),
            categorical: Categorical { is: false, reason: String::new() },
            color_table: Vec::new(),
            categories: Vec::new(),
            rgb: None,
            input: String::new(),
            version: String::new(),
            source_time_ms: 0,
            ingested_at_ms: 0,
            style: None,
            user: serde_json::Map::new(),
        },
    }
}

fn put(path: &str, time: i64, prev: u64, keys: &[&[&str]]) -> Change {
    Change::Put {
        input: InputRef { source: "s".to_owned(), path: path.to_owned(), prev },
        version: format!("{path}@{time}"),
        source_time_ms: time,
        collection: "c".to_owned(),
        content: format!("hash of {path}@{time}"),
        datasets: keys.iter().map(|k| dataset(k, Bbox::from([0.0, 0.0, 1.0, 1.0]))).collect(),
    }
}

fn input(path: &str, prev: u64) -> InputRef {
    InputRef { source: "s".to_owned(), path: path.to_owned(), prev }
}

fn collection(on_conflict: OnConflict) -> Change {
    Change::PutCollection {
        prev: 0,
        collection: Box::new(Collection {
            name: "c".to_owned(),
            title: String::new(),
            default: false,
            keys: ["name", "band"].map(|k| Key { name: k.to_owned(), description: None }).into(),
            pattern: None,
            on_conflict,
            style: Style::default(),
            colormaps: std::collections::BTreeMap::new(),
        }),
    }
}

impl World {
    fn new(on_conflict: OnConflict) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let conn = schema::open_replica(&dir.path().join("replica.sqlite")).unwrap();
        let mut world = Self { dir, conn };
        world.commit(vec![collection(on_conflict)]).unwrap();
        world
    }

    fn commit(&mut self, changes: Vec<Change>) -> Result<u64, CatalogError> {
        let n = schema::head(&self.conn)? + 1;
        let commit = Commit { n, uuid: Ulid::generate(), at_ms: 0, author: "test".to_owned(), changes };
        apply(&mut self.conn, &commit)?;
        schema::check_counts(&self.conn)?;
        Ok(n)
    }

    fn n(&self, path: &str) -> u64 {
        inputs::find(&self.conn, "s", path).unwrap().map_or(0, |row| row.n)
    }

    fn state(&self, path: &str) -> (Decision, bool, usize) {
        let row = inputs::find(&self.conn, "s", path).unwrap().unwrap();
        (row.decision, row.version.is_some(), inputs::datasets(&self.conn, row.id).unwrap().len())
    }

    fn names(&self) -> Vec<String> {
        let file = self.dir.path().join(format!("snapshot-{}.sqlite", Ulid::generate()));
        schema::write_clean(&self.conn, &file).unwrap();
        let catalog = Catalog::open(&file).unwrap();
        let keys = catalog.dataset_keys("c", &DatasetQuery::default()).unwrap();
        keys.into_iter().map(|k| k.join("/")).collect()
    }
}

#[test]
fn a_put_replaces_all_datasets_of_its_input() {
    let mut world = World::new(OnConflict::Newest);
    world.commit(vec![put("a", 1, 0, &[&["a", "1"], &["a", "2"], &["a", "3"]])]).unwrap();
    assert_eq!(world.names(), ["a/1", "a/2", "a/3"]);
    let n = world.n("a");
    world.commit(vec![put("a", 2, n, &[&["a", "1"]])]).unwrap();
    assert_eq!(world.names(), ["a/1"]);
}

#[test]
fn the_newest_wins_whichever_comes_first() {
    for newest_first in [true, false] {
        let mut world = World::new(OnConflict::Newest);
        let (old, new) = (put("old", 1, 0, &[&["x", "1"], &["x", "2"]]), put("new", 2, 0, &[&["x", "1"]]));
        let order = if newest_first { [new, old] } else { [old, new] };
        for change in order {
            world.commit(vec![change]).unwrap();
        }
        assert_eq!(world.names(), ["x/1"], "newest first: {newest_first}");
        assert_eq!(world.state("old"), (Decision::Superseded, true, 0));
        assert_eq!(world.state("new"), (Decision::Ingested, true, 1));
        let n = world.n("new");
        world.commit(vec![Change::Remove { input: input("new", n) }]).unwrap();
        assert_eq!(
            world.state("old"),
            (Decision::Superseded, false, 0),
            "its version is cleared, so reconcile makes a job"
        );
        assert_eq!(world.state("new"), (Decision::Removed, false, 0));
    }
}

#[test]
fn both_in_one_commit_is_settled_too() {
    let mut world = World::new(OnConflict::Newest);
    world.commit(vec![put("b", 1, 0, &[&["x", "1"]]), put("a", 1, 0, &[&["x", "1"]])]).unwrap();
    assert_eq!(world.state("a").0, Decision::Superseded, "at the same time the later path wins");
    assert_eq!(world.state("b").0, Decision::Ingested);
}

#[test]
fn under_first_the_incumbent_stays() {
    let mut world = World::new(OnConflict::First);
    world.commit(vec![put("a", 1, 0, &[&["x", "1"]])]).unwrap();
    world.commit(vec![put("b", 2, 0, &[&["x", "1"]])]).unwrap();
    assert_eq!(world.state("a").0, Decision::Ingested);
    assert_eq!(world.state("b").0, Decision::Superseded);
}

#[test]
fn an_owner_put_without_those_keys_releases_the_loser() {
    let mut world = World::new(OnConflict::Newest);
    world.commit(vec![put("old", 1, 0, &[&["x", "1"]])]).unwrap();
    world.commit(vec![put("new", 2, 0, &[&["x", "1"]])]).unwrap();
    let n = world.n("new");
    world.commit(vec![put("new", 3, n, &[&["x", "1"], &["x", "2"]])]).unwrap();
    assert!(world.state("old").1, "more keys release nobody");
    let n = world.n("new");
    world.commit(vec![put("new", 4, n, &[&["y", "1"]])]).unwrap();
    assert_eq!(world.state("old"), (Decision::Superseded, false, 0));
    let n = world.n("old");
    world.commit(vec![put("old", 1, n, &[&["x", "1"]])]).unwrap();
    assert_eq!(world.names(), ["x/1", "y/1"]);
}

#[test]
fn a_stale_change_does_not_verify_and_changes_nothing() {
    let mut world = World::new(OnConflict::Newest);
    world.commit(vec![put("a", 1, 0, &[&["a", "1"]])]).unwrap();
    let stale = put("a", 2, 0, &[&["a", "2"]]);
    assert!(matches!(check(&world.conn, &stale).unwrap(), Some(Stale::Decided { n: 2 })));
    assert!(matches!(world.commit(vec![put("b", 1, 0, &[&["b", "1"]]), stale]), Err(CatalogError::Invalid { .. })));
    assert_eq!(world.names(), ["a/1"]);
    let twice = vec![put("b", 1, 0, &[&["b", "1"]]), put("b", 2, 0, &[&["b", "1"]])];
    assert!(matches!(world.commit(twice), Err(CatalogError::Invalid { .. })));
}

#[test]
fn a_rejection_keeps_what_was_served_and_a_release_makes_a_job() {
    let mut world = World::new(OnConflict::Newest);
    world.commit(vec![put("a", 1, 0, &[&["a", "1"]])]).unwrap();
    let reject = Change::Reject {
        input: input("a", world.n("a")),
        version: "a@2".to_owned(),
        source_time_ms: 2,
        collection: "c".to_owned(),
        reason: "truncated".to_owned(),
        may_pass: true,
        owner: None,
    };
    world.commit(vec![reject]).unwrap();
    assert_eq!(world.state("a"), (Decision::Rejected, true, 1));
    let n = world.n("a");
    world.commit(vec![Change::Release { input: input("a", n) }]).unwrap();
    assert_eq!(world.state("a"), (Decision::Rejected, false, 1));
    let n = world.n("a");
    world.commit(vec![Change::Hold { input: input("a", n), version: "a@2".to_owned() }]).unwrap();
    assert_eq!(world.state("a"), (Decision::Held, true, 0));
}

#[test]
fn a_rejection_for_a_conflict_lasts_as_long_as_its_owner() {
    let mut world = World::new(OnConflict::First);
    world.commit(vec![put("a", 1, 0, &[&["x", "1"]])]).unwrap();
    let reject = |owner_n| {
        let reject = Change::Reject {
            input: input("b", 0),
            version: "b@1".to_owned(),
            source_time_ms: 1,
            collection: "c".to_owned(),
            reason: "a came first".to_owned(),
            may_pass: false,
            owner: Some("a".to_owned()),
        };
        [Change::Remove { input: input("a", owner_n) }, reject]
    };
    // The owner goes in the same commit, before the loser could name it.
    world.commit(reject(world.n("a")).to_vec()).unwrap();
    assert_eq!(world.state("b"), (Decision::Rejected, false, 0), "nobody has its keys, so it is looked at again");
    assert_eq!(inputs::undecided(&world.conn).unwrap().len(), 1);
}

#[test]
fn a_put_that_contradicts_itself_does_not_verify() {
    let mut world = World::new(OnConflict::Newest);
    assert!(world.commit(vec![put("a", 1, 0, &[&["x", "1"], &["x", "1"]])]).is_err());
    let mut upside_down = put("a", 1, 0, &[&["x", "1"]]);
    if let Change::Put { datasets, .. } = &mut upside_down {
        datasets[0].metadata.bounds = Bbox::from([0.0, 2.0, 1.0, 1.0]);
    }
    assert!(world.commit(vec![upside_down]).is_err());
}

#[test]
fn after_a_gc_an_old_cog_comes_back_only_while_it_is_referenced() {
    let mut world = World::new(OnConflict::Newest);
    let first = put("a", 1, 0, &[&["a", "1"]]);
    world.commit(vec![first.clone()]).unwrap();
    let cog_min = Ulid::from_parts(u64::MAX >> 16, 0);
    world.commit(vec![Change::Gc { cog_min, kept: Vec::new() }]).unwrap();
    let Change::Put { version, source_time_ms, collection, content, datasets, .. } = first else { panic!() };
    let again = Change::Put { input: input("a", 2), version, source_time_ms, collection, content, datasets };
    assert_eq!(check(&world.conn, &again).unwrap(), None);
    assert!(matches!(check(&world.conn, &put("b", 1, 0, &[&["b", "1"]])).unwrap(), Some(Stale::Collected(_))));
}

#[test]
fn filters_and_order() {
    let mut world = World::new(OnConflict::Newest);
    world.commit(vec![put("f", 1, 0, &[&["b", "1"], &["a", "2"], &["b", "2"], &["a!", "1"]])]).unwrap();
    let file = world.dir.path().join("q.sqlite");
    schema::write_clean(&world.conn, &file).unwrap();
    let catalog = Catalog::open(&file).unwrap();
    let ask = |query: DatasetQuery| -> Vec<String> {
        catalog.dataset_keys("c", &query).unwrap().into_iter().map(|k| k.join("/")).collect()
    };
    assert_eq!(ask(DatasetQuery::default()), ["a/2", "a!/1", "b/1", "b/2"]);
    let by = |filter: DatasetFilter| DatasetQuery { filter, ..Default::default() };
    let values = DatasetFilter { values: vec![(1, vec!["2".to_owned(), "9".to_owned()])], ..Default::default() };
    assert_eq!(ask(by(values.clone())), ["a/2", "b/2"]);
    assert_eq!(catalog.dataset_count("c", &values).unwrap(), 2);
    let glob = DatasetFilter { globs: vec![(0, "a*".to_owned())], ..Default::default() };
    assert_eq!(ask(by(glob.clone())), ["a/2", "a!/1"]);
    let range = DatasetFilter { from: vec![(0, "a!".to_owned())], to: vec![(1, "1".to_owned())], ..Default::default() };
    assert_eq!(ask(by(range)), ["a!/1", "b/1"]);
    let values = |prefix: &str, filter: &DatasetFilter| catalog.key_values("c", 0, prefix, filter, (10, 0)).unwrap();
    let counted = |pairs: &[(&str, u64)]| pairs.iter().map(|(v, n)| ((*v).to_owned(), *n)).collect::<Vec<_>>();
    assert_eq!(values("", &DatasetFilter::default()), counted(&[("a", 1), ("a!", 1), ("b", 2)]));
    assert_eq!(values("a", &DatasetFilter::default()), counted(&[("a", 1), ("a!", 1)]));
    assert_eq!(values("", &glob), counted(&[("a", 1), ("a!", 1)]));
    // Page after page by cursor, in an order with ties.
    for ascending in [true, false] {
        let whole = ask(DatasetQuery { order_by: vec![1], ascending, ..Default::default() });
        let mut paged: Vec<String> = Vec::new();
        while paged.len() < whole.len() {
            let after = paged.last().map(|last| last.split('/').map(str::to_owned).collect());
            paged.extend(ask(DatasetQuery { order_by: vec![1], ascending, limit: 1, after, ..Default::default() }));
        }
        assert_eq!(paged, whole);
    }
    let order = DatasetQuery { order_by: vec![1], ascending: false, limit: 3, offset: 1, ..Default::default() };
    assert_eq!(ask(order), ["a/2", "b/1", "a!/1"]);
    assert_eq!(catalog.dataset("c", &["b".to_owned(), "1".to_owned()]).unwrap().unwrap().keys, ["b", "1"]);
    assert!(catalog.dataset("c", &["b".to_owned()]).unwrap().is_none());
}

#[test]
fn the_same_commits_give_the_same_rows() {
    let run = || {
        let mut world = World::new(OnConflict::Newest);
        let mut changes = Vec::new();
        for i in 0..20 {
            let name = format!("k{}", i % 7);
            changes.push(put(&format!("f{i}"), i64::from(i % 5), 0, &[&[&name, "1"]]));
        }
        world.commit(changes).unwrap();
        (0..20).map(|i| world.state(&format!("f{i}"))).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn totals_follow_what_comes_and_goes() {
    let mut world = World::new(OnConflict::Newest);
    let bounds = |world: &World| {
        let all = totals::of(&world.conn, 1).unwrap();
        all.map(|all| (all.datasets, <[f64; 4]>::from(all.bounds)))
    };
    let put_at = |path: &str, edges: [f64; 4]| {
        let mut change = put(path, 1, 0, &[&[path, "1"]]);
        if let Change::Put { datasets, .. } = &mut change {
            datasets[0].metadata.bounds = Bbox::from(edges);
        }
        change
    };
    assert_eq!(bounds(&world), None);
    world.commit(vec![put_at("a", [0.1, 0.1, 1.0, 1.0]), put_at("b", [0.1, 0.5, 2.0, 3.0])]).unwrap();
    world.commit(vec![put_at("c", [170.0, -5.0, -170.0, 0.0])]).unwrap();
    assert_eq!(bounds(&world), Some((3, [-180.0, -5.0, 180.0, 3.0])));
    let remove = |world: &mut World, path: &str| {
        let change = Change::Remove { input: input(path, world.n(path)) };
        world.commit(vec![change]).unwrap();
    };
    remove(&mut world, "c");
    assert_eq!(bounds(&world), Some((2, [0.1, 0.1, 2.0, 3.0])), "all four edges come back");
    remove(&mut world, "b");
    assert_eq!(bounds(&world), Some((1, [0.1, 0.1, 1.0, 1.0])));
    remove(&mut world, "a");
    assert_eq!(bounds(&world), None);
    let left: i64 = world.conn.query_row("SELECT count(*) FROM key_values", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}
