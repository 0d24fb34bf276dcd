//! Whatever finds the rows, the answer is the same.

use ulid::Ulid;

use super::*;
use crate::bbox::Bbox;
use crate::catalog::{apply, packed, schema};
use crate::commit::{Change, Commit};
use crate::dataset::Dataset;

/// A catalogue of some hundred datasets.
fn catalog(dir: &std::path::Path) -> (Connection, Vec<Dataset>) {
    let record: Dataset = serde_json::from_slice(packed::DICTIONARY).unwrap();
    let datasets: Vec<Dataset> = (0..400u32)
        .map(|i| {
            let mut dataset = record.clone();
            dataset.keys = vec![format!("T{}", i % 23), format!("2026{:02}", i / 23), format!("B{}", i * 7 % 3)];
            // Some cross the antimeridian.
            let west = f64::from(i * 37 % 359) - 180.0;
            let south = f64::from(i * 11 % 80) - 40.0;
            dataset.metadata.bounds = Bbox::from_unwrapped(west, south, west + 3.3, south + 2.1);
            dataset
        })
        .collect();
    (snapshot_of(dir, &datasets), datasets)
}

/// A snapshot of datasets in a collection of three keys, opened as a server opens it.
fn snapshot_of(dir: &std::path::Path, datasets: &[Dataset]) -> Connection {
    let collection = serde_json::json!({
        "name": "c", "title": "", "default": false, "keys": [{"name": "tile"}, {"name": "date"}, {"name": "band"}],
        "on_conflict": "newest", "style": crate::collection::Style::default(),
    });
    let put = serde_json::json!({
        "change": "put", "source": "s", "input": "all", "prev": 0, "version": "1", "source_time_ms": 0,
        "collection": "c", "content": "", "datasets": datasets,
    });
    let changes = vec![
        serde_json::from_value(serde_json::json!({"change": "put_collection", "prev": 0, "collection": collection}))
            .unwrap(),
        serde_json::from_value::<Change>(put).unwrap(),
    ];
    let (replica, clean) = (dir.join("replica"), dir.join("clean"));
    let mut conn = schema::open_replica(&replica).unwrap();
    apply::apply(&mut conn, &Commit { n: 1, uuid: Ulid::generate(), at_ms: 0, author: String::new(), changes })
        .unwrap();
    schema::check_counts(&conn).unwrap();
    schema::write_clean(&conn, &clean).unwrap();
    schema::open_snapshot(&clean).unwrap()
}

fn filters() -> Vec<DatasetFilter> {
    let text = |value: &str| value.to_owned();
    let none = DatasetFilter::default;
    let boxed = |edges: [f64; 4]| DatasetFilter { bbox: Some(Bbox::from(edges)), ..none() };
    vec![
        none(),
        DatasetFilter { values: vec![(0, vec![text("T1")])], ..none() },
        DatasetFilter { values: vec![(0, vec![text("T1")]), (1, vec![text("202603")])], ..none() },
        DatasetFilter { values: vec![(0, vec![text("T1")]), (2, vec![text("B1")])], ..none() },
        DatasetFilter { values: vec![(2, vec![text("B1")])], ..none() },
        DatasetFilter { values: vec![(1, vec![text("202603"), text("202605")]), (2, vec![text("B0")])], ..none() },
        DatasetFilter { globs: vec![(0, text("T1*"))], ..none() },
        DatasetFilter { globs: vec![(1, text("*5"))], values: vec![(2, vec![text("B2")])], ..none() },
        DatasetFilter { from: vec![(1, text("202604"))], to: vec![(1, text("202606"))], ..none() },
        DatasetFilter { from: vec![(0, text("T10"))], to: vec![(0, text("T2"))], ..none() },
        DatasetFilter { values: vec![(2, vec![text("B9")])], ..none() },
        // Texts that no value has.
        DatasetFilter { to: vec![(0, text("T1\n"))], ..none() },
        DatasetFilter { from: vec![(0, text("T1\n"))], to: vec![(0, text("T15\t"))], ..none() },
        DatasetFilter { globs: vec![(0, text("T\u{10ffff}*"))], ..none() },
        boxed([0.0, -10.0, 40.0, 10.0]),
        boxed([170.0, -50.0, -170.0, 50.0]),
        DatasetFilter { values: vec![(2, vec![text("B1")])], ..boxed([-60.0, -40.0, 60.0, 40.0]) },
        DatasetFilter { values: vec![(0, vec![text("T4")])], ..boxed([-60.0, -40.0, 60.0, 40.0]) },
    ]
}

/// SQLite's globs as far as these tests use them: stars at an end.
fn glob(pattern: &str, value: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), _) => value.ends_with(end),
        (_, Some(start)) => value.starts_with(start),
        _ => value == pattern,
    }
}

fn matches(filter: &DatasetFilter, dataset: &Dataset) -> bool {
    let meets = |bbox: &Bbox| {
        let parts = |b: &Bbox| std::iter::once(b.split().0).chain(b.split().1).collect::<Vec<_>>();
        let (ours, theirs) = (parts(&dataset.metadata.bounds), parts(bbox));
        let meet =
            |a: &Bbox, b: &Bbox| a.west <= b.east && a.east >= b.west && a.south <= b.north && a.north >= b.south;
        ours.iter().any(|a| theirs.iter().any(|b| meet(a, b)))
    };
    filter.values.iter().all(|(key, wanted)| wanted.contains(&dataset.keys[*key]))
        && filter.globs.iter().all(|(key, pattern)| glob(pattern, &dataset.keys[*key]))
        && filter.from.iter().all(|(key, from)| dataset.keys[*key] >= *from)
        && filter.to.iter().all(|(key, to)| dataset.keys[*key] <= *to)
        && filter.bbox.iter().all(meets)
}

fn ask<T>(conn: &Connection, sql: &Sql<'_>, read: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>) -> Vec<T> {
    let parameters: Vec<&dyn ToSql> = sql.parameters.iter().map(|p| p as &dyn ToSql).collect();
    let mut statement = conn.prepare(&sql.text).unwrap_or_else(|error| panic!("{error}: {}", sql.text));
    statement.query_map(parameters.as_slice(), |row| read(row)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn every_way_to_find_rows_finds_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (conn, datasets) = catalog(dir.path());
    for filter in filters() {
        let wanted: Vec<&Dataset> = datasets.iter().filter(|dataset| matches(&filter, dataset)).collect();
        let mut finders = vec![Finder::Names, Finder::Key(1), Finder::Key(2)];
        if filter.bbox.is_some() {
            finders.extend([Finder::Bounds, Finder::Places(0), Finder::Places(1), Finder::Places(2)]);
        }
        for finder in finders {
            let knows_footprints = filter.values.is_empty() && matches!(finder, Finder::Names | Finder::Key(_));
            let plan = Plan { finder, knows_footprints, ..Plan::new(&conn, 1, &filter, &[], None).unwrap() };
            let count = ask(&conn, &plan.count(), |row| row.get::<_, i64>(0));
            assert_eq!(count, [wanted.len() as i64], "{filter:?} by {finder:?}");
            let extent: Option<f64> = ask(&conn, &plan.extent(), |row| row.get(3)).remove(0);
            let west =
                |d: &&Dataset| if d.metadata.bounds.crosses_antimeridian() { -180.0 } else { d.metadata.bounds.west };
            assert_eq!(extent, wanted.iter().map(west).min_by(f64::total_cmp), "{filter:?} by {finder:?}");
            for key in 0..3 {
                let mut counted = std::collections::BTreeMap::<String, i64>::new();
                for dataset in &wanted {
                    *counted.entry(dataset.keys[key].clone()).or_default() += 1;
                }
                let found = ask(&conn, &plan.values(key, "", (1000, 0)), |row| Ok((row.get(0)?, row.get(1)?)));
                assert_eq!(found, counted.into_iter().collect::<Vec<_>>(), "{filter:?} by {finder:?}");
            }
            for (order_by, ascending) in [(vec![], true), (vec![1], false), (vec![2, 1], true), (vec![0, 1], false)] {
                let query =
                    DatasetQuery { filter: filter.clone(), order_by, ascending, limit: 7, ..DatasetQuery::default() };
                let mut sorted: Vec<Vec<String>> = wanted.iter().map(|dataset| dataset.keys.clone()).collect();
                sorted.sort_by_key(|keys| {
                    (query.order_by.iter().map(|key| keys[*key].clone()).collect::<Vec<_>>(), keys.clone())
                });
                if !ascending {
                    sorted.reverse();
                }
                for start in [0, 3, 300] {
                    let page: Vec<String> = sorted.iter().skip(start).take(7).map(|keys| join_keys(keys)).collect();
                    let by_offset = DatasetQuery { offset: start, ..query.clone() };
                    let sql = plan.ordered(&by_offset, plan.rows(plan.names()));
                    assert_eq!(ask(&conn, &sql, |row| row.get::<_, String>(0)), page, "{} of {filter:?}", sql.text);
                    let sql = plan.ordered(&by_offset, plan.of_datasets(&format!("{}, {EDGES}", plan.names())));
                    for (keys, west) in ask(&conn, &sql, |row| Ok((row.get::<_, String>(0)?, row.get::<_, f64>(1)?))) {
                        let dataset = datasets.iter().find(|dataset| join_keys(&dataset.keys) == keys).unwrap();
                        assert_eq!(west, dataset.metadata.bounds.west, "{} of {filter:?}", sql.text);
                    }
                    assert_eq!(ask(&conn, &sql, |row| row.get::<_, String>(0)), page, "{} of {filter:?}", sql.text);
                    let Some(after) = start.checked_sub(1).and_then(|last| sorted.get(last)) else { continue };
                    let by_cursor = DatasetQuery { after: Some(after.clone()), ..query.clone() };
                    let sql = plan.ordered(&by_cursor, plan.rows(plan.names()));
                    assert_eq!(ask(&conn, &sql, |row| row.get::<_, String>(0)), page, "{} of {filter:?}", sql.text);
                }
            }
        }
    }
}

#[test]
fn what_finds_rows_is_what_leaves_few() {
    let dir = tempfile::tempdir().unwrap();
    let (conn, _) = catalog(dir.path());
    let finder =
        |filter: &DatasetFilter, order: &[usize], limit| Plan::new(&conn, 1, filter, order, limit).unwrap().finder;
    let filters = filters();
    assert_eq!(finder(&filters[0], &[], Some(10)), Finder::Names);
    assert_eq!(finder(&filters[0], &[1], Some(10)), Finder::Key(1), "in the order of a key");
    assert_eq!(finder(&filters[2], &[], None), Finder::Names, "leading keys are a range of names");
    assert_eq!(finder(&filters[5], &[], None), Finder::Key(1), "two dates leave less than a band");
    let boxed = |n: usize| filters.iter().filter(|filter| filter.bbox.is_some()).nth(n).unwrap();
    assert_eq!(finder(boxed(0), &[], None), Finder::Bounds);
    assert_eq!(finder(boxed(3), &[], None), Finder::Names, "one tile leaves less than a large box");
}

#[test]
fn a_text_comes_after_all_that_begin_with_another() {
    assert_eq!(text_after("ab").as_deref(), Some("ac"));
    assert_eq!(text_after("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
    assert_eq!(text_after("a\u{10ffff}").as_deref(), Some("b"));
    assert_eq!((text_after(""), text_after("\u{10ffff}")), (None, None));
}

#[test]
fn a_cursor_that_the_filter_does_not_find_is_before_or_after_all() {
    let dir = tempfile::tempdir().unwrap();
    let (conn, _) = catalog(dir.path());
    let filter = DatasetFilter { values: vec![(1, vec!["202603".to_owned()])], ..DatasetFilter::default() };
    let page = |date: &str, ascending| {
        let after = Some(vec!["T3".to_owned(), date.to_owned(), "B1".to_owned()]);
        let query =
            DatasetQuery { filter: filter.clone(), order_by: vec![1], ascending, after, ..DatasetQuery::default() };
        let sql = Plan::keys(&conn, 1, &query).unwrap();
        ask(&conn, &sql, |row| row.get::<_, String>(0)).len()
    };
    assert_eq!((page("202604", true), page("202602", false)), (0, 0));
    assert_eq!((page("202602", true), page("202604", false)), (23, 23));
}

/// Tiles side by side, of which each has many datasets: names tell places.
fn tiled(dir: &std::path::Path, order: [usize; 3]) -> Connection {
    let (_, mut datasets) = catalog(&dir.join("other"));
    for (i, dataset) in datasets.iter_mut().enumerate() {
        let keys = [format!("T{:02}", i / 20), format!("2026{:02}", i % 20 / 2), format!("B{}", i % 2)];
        dataset.keys = order.map(|key| keys[key].clone()).into();
        let west = (i / 20) as f64 * 10.0 - 100.0;
        dataset.metadata.bounds = Bbox::from_unwrapped(west, 0.0, west + 9.0, 9.0);
    }
    snapshot_of(dir, &datasets)
}

#[test]
fn a_page_of_a_box_passes_over_what_has_its_places_elsewhere() {
    for (order, depth) in [([0, 1, 2], 0), ([1, 0, 2], 1), ([2, 0, 1], 1)] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("other")).unwrap();
        let conn = tiled(dir.path(), order);
        let filter = DatasetFilter { bbox: Some(Bbox::from([40.0, 1.0, 66.0, 2.0])), ..DatasetFilter::default() };
        for ascending in [true, false] {
            let query = DatasetQuery { filter: filter.clone(), limit: 30, ascending, ..DatasetQuery::default() };
            let plan = Plan::new(&conn, 1, &filter, &[], Some(30)).unwrap();
            assert_eq!(plan.finder, Finder::Places(depth), "{order:?}");
            let mut sql = plan.ordered(&query, plan.rows(plan.names()));
            let found = ask(&conn, &sql, |row| row.get::<_, String>(0));
            assert!(found.len() == 30 && found.is_sorted_by(|a, b| (a < b) == ascending), "{found:?}");
            sql.text.insert_str(0, "EXPLAIN QUERY PLAN ");
            let steps = ask(&conn, &sql, |row| row.get::<_, String>(3));
            assert!(steps.iter().all(|s| !s.contains("SCAN") && !s.contains("TEMP B-TREE")), "{steps:?}");
        }
    }
}

#[test]
fn no_page_is_a_scan_or_a_sort_where_an_index_has_its_order() {
    let dir = tempfile::tempdir().unwrap();
    let (conn, _) = catalog(dir.path());
    let filters = filters();
    for (filter, order_by) in
        [(&filters[0], vec![]), (&filters[1], vec![1]), (&filters[4], vec![]), (&filters[0], vec![1])]
    {
        let query = DatasetQuery { filter: filter.clone(), order_by, ..DatasetQuery::default() };
        let mut sql = Plan::keys(&conn, 1, &query).unwrap();
        sql.text.insert_str(0, "EXPLAIN QUERY PLAN ");
        let steps = ask(&conn, &sql, |row| row.get::<_, String>(3));
        assert!(
            steps.iter().all(|step| !step.contains("SCAN") && !step.contains("TEMP B-TREE")),
            "{steps:?} of {}",
            sql.text
        );
    }
}
