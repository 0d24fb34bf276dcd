//! Questions to a snapshot in this process: what the server's routes ask.

use std::path::Path;
use std::time::Instant;

use shared::bbox::Bbox;
use shared::catalog::query::{DatasetFilter, DatasetQuery};
use shared::catalog::reader::Catalog;

use super::{made, row};

/// How often each is asked.
const LOOKUPS: usize = 20_000;
const ASKED: usize = 300;

pub(super) fn run(file: &Path, count: usize) {
    let started = Instant::now();
    let catalog = Catalog::open(file).unwrap();
    row("a snapshot opens", format!("{:.2} ms", started.elapsed().as_secs_f64() * 1e3));
    let some = |i: usize| (i * 1_000_003 + 7919) % count;
    let look_up = |i: usize| assert!(catalog.dataset("default", &made::keys(some(i))).unwrap().is_some());
    row("look-up of a dataset, nothing in SQLite's cache yet", times(200, look_up));
    (0..LOOKUPS).for_each(look_up);
    row("look-up of a dataset", times(LOOKUPS, look_up));
    row("the same one again", times(LOOKUPS, |_| look_up(1)));
    let one = |key: usize, value: String| (key, vec![value]);
    let of = |values: Vec<(usize, Vec<String>)>| DatasetFilter { values, ..DatasetFilter::default() };
    let tile = |i: usize| made::keys(some(i))[0].clone();
    let date = |i: usize| made::keys(some(i))[1].clone();
    let band = |i: usize| made::keys(some(i))[2].clone();
    let near = |i: usize, degrees: f64| {
        let b = made::bounds(some(i));
        Some(Bbox::from([b.west + 0.2, b.south + 0.2, b.west + 0.2 + degrees, b.south + 0.2 + degrees]))
    };
    let asks: Vec<(&str, Box<dyn Fn(usize) -> DatasetQuery>)> = vec![
        ("no filter", Box::new(|_| DatasetQuery::default())),
        ("tile", Box::new(move |i| by(of(vec![one(0, tile(i))])))),
        ("date", Box::new(move |i| by(of(vec![one(1, date(i))])))),
        ("band", Box::new(move |i| by(of(vec![one(2, band(i))])))),
        ("tile and band", Box::new(move |i| by(of(vec![one(0, tile(i)), one(2, band(i))])))),
        ("date and band", Box::new(move |i| by(of(vec![one(1, date(i)), one(2, band(i))])))),
        ("two bands", Box::new(move |i| by(of(vec![(2, vec![band(i), band(i + 1)])])))),
        (
            "dates from … to",
            Box::new(move |i| {
                by(DatasetFilter {
                    from: vec![(1, date(i))],
                    to: vec![(1, "20260228".to_owned())],
                    ..of(vec![one(2, band(i))])
                })
            }),
        ),
        (
            "tiles like T1*",
            Box::new(move |_| by(DatasetFilter { globs: vec![(0, "T1*".to_owned())], ..DatasetFilter::default() })),
        ),
        (
            "band, by date, newest first",
            Box::new(move |i| DatasetQuery { order_by: vec![1], ascending: false, ..by(of(vec![one(2, band(i))])) }),
        ),
        (
            "tile, by date, newest first",
            Box::new(move |i| DatasetQuery { order_by: vec![1], ascending: false, ..by(of(vec![one(0, tile(i))])) }),
        ),
        (
            "a page far on, by cursor",
            Box::new(move |i| DatasetQuery { after: Some(made::keys(some(i))), ..DatasetQuery::default() }),
        ),
        (
            "the same of a band",
            Box::new(move |i| DatasetQuery { after: Some(made::keys(some(i))), ..by(of(vec![one(2, band(i))])) }),
        ),
        ("bbox of 0.5°", Box::new(move |i| by(DatasetFilter { bbox: near(i, 0.5), ..DatasetFilter::default() }))),
        (
            "bbox of 0.5° and band",
            Box::new(move |i| by(DatasetFilter { bbox: near(i, 0.5), ..of(vec![one(2, band(i))]) })),
        ),
        ("bbox of 20°", Box::new(move |i| by(DatasetFilter { bbox: near(i, 20.0), ..DatasetFilter::default() }))),
        (
            "bbox of 20°, date and band",
            Box::new(move |i| by(DatasetFilter { bbox: near(i, 20.0), ..of(vec![one(1, date(i)), one(2, band(i))]) })),
        ),
    ];
    for (name, query) in &asks {
        let asked = times(ASKED, |i| catalog.dataset_keys("default", &query(i)).unwrap());
        row(&format!("/datasets, 100 a page: {name}"), asked);
    }
    let mosaic = |i: usize, date: Option<String>| {
        let values = [Some(one(2, band(i))), date.map(|date| one(1, date))];
        let filter = DatasetFilter { bbox: near(i, 0.1), ..of(values.into_iter().flatten().collect()) };
        DatasetQuery { ascending: false, limit: 1024, ..by(filter) }
    };
    let scenes = |query: &DatasetQuery| {
        let keys = catalog.dataset_keys("default", query).unwrap();
        catalog.datasets_of("default", &keys).unwrap()
    };
    row(
        "scenes of a mosaic under a map tile: one band of all dates, with their records",
        times(ASKED, |i| scenes(&mosaic(i, None))),
    );
    row("the same of one date", times(ASKED, |i| scenes(&mosaic(i, Some(date(i))))));
    let all = DatasetFilter::default();
    row(
        "values of the key tile, 100 a page",
        times(ASKED, |_| catalog.key_values("default", 0, "", &all, (100, 0)).unwrap()),
    );
    let dates = |i: usize| catalog.key_values("default", 1, "", &of(vec![one(0, tile(i))]), (100, 0)).unwrap();
    row("values of the key date of one tile", times(ASKED, dates));
    row(
        "how many have a band",
        times(ASKED, |i| catalog.dataset_count("default", &of(vec![one(2, band(i))])).unwrap()),
    );
    row(
        "how many have a date and a band",
        times(ASKED, |i| catalog.dataset_count("default", &of(vec![one(1, date(i)), one(2, band(i))])).unwrap()),
    );
    row(
        "extent of a band, once per mosaic and snapshot",
        times(3, |i| catalog.extent("default", &of(vec![one(2, band(i))])).unwrap()),
    );
}

fn by(filter: DatasetFilter) -> DatasetQuery {
    DatasetQuery { filter, ..DatasetQuery::default() }
}

/// The median and the 99th percentile.
fn times<T>(count: usize, ask: impl Fn(usize) -> T) -> String {
    let mut micros: Vec<f64> = (0..count)
        .map(|i| {
            let started = Instant::now();
            std::hint::black_box(ask(i));
            started.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    micros.sort_by(f64::total_cmp);
    let at = |part: f64| micros[((micros.len() - 1) as f64 * part) as usize];
    if at(0.99) < 1000.0 {
        format!("p50 {:.1} µs, p99 {:.1} µs", at(0.5), at(0.99))
    } else {
        format!("p50 {:.2} ms, p99 {:.2} ms", at(0.5) / 1e3, at(0.99) / 1e3)
    }
}
