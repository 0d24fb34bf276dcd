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
/// Candidates of a mosaic, as the server asks for them.
const CANDIDATES: usize = 1024;

/// Datasets by chance, and filters that find them.
#[derive(Clone, Copy)]
struct Sample {
    count: usize,
}

impl Sample {
    fn index(self, i: usize) -> usize {
        (i * 1_000_003 + 7919) % self.count
    }

    fn keys(self, i: usize) -> Vec<String> {
        made::keys(self.index(i))
    }

    /// By the values that dataset i has of these keys.
    fn same(self, i: usize, keys: &[usize]) -> DatasetFilter {
        let of = self.keys(i);
        let values = keys.iter().map(|key| (*key, vec![of[*key].clone()])).collect();
        DatasetFilter { values, ..DatasetFilter::default() }
    }

    /// A box so wide that begins in dataset i.
    fn near(self, i: usize, degrees: f64) -> Bbox {
        let Bbox { west, south, .. } = made::bounds(self.index(i));
        let (west, south) = (west + 0.2, south + 0.2);
        Bbox::from([west, south, west + degrees, south + degrees])
    }
}

pub(super) fn run(file: &Path, count: usize) {
    let started = Instant::now();
    let catalog = Catalog::open(file).unwrap();
    row("a snapshot opens", format!("{:.2} ms", started.elapsed().as_secs_f64() * 1e3));
    let sample = Sample { count };
    look_ups(&catalog, sample);
    by_keys(&catalog, sample);
    by_place(&catalog, sample);
    counts(&catalog, sample);
}

fn look_ups(catalog: &Catalog, sample: Sample) {
    let look_up = |i: usize| assert!(catalog.dataset("default", &sample.keys(i)).unwrap().is_some());
    row("look-up of a dataset, nothing in SQLite's cache yet", times(200, look_up));
    (0..LOOKUPS).for_each(look_up);
    row("look-up of a dataset, each time another", times(LOOKUPS, look_up));
    row("look-up of a dataset, the same one", times(LOOKUPS, |_| look_up(1)));
}

fn page(catalog: &Catalog, what: &str, query: impl Fn(usize) -> DatasetQuery) {
    let asked = times(ASKED, |i| catalog.dataset_keys("default", &query(i)).unwrap());
    row(&format!("/datasets, 100 a page: {what}"), asked);
}

fn by_keys(catalog: &Catalog, sample: Sample) {
    let newest_first = |query| DatasetQuery { order_by: vec![1], ascending: false, ..query };
    page(catalog, "no filter", |_| DatasetQuery::default());
    page(catalog, "tile", |i| by(sample.same(i, &[0])));
    page(catalog, "date", |i| by(sample.same(i, &[1])));
    page(catalog, "band", |i| by(sample.same(i, &[2])));
    page(catalog, "tile and band", |i| by(sample.same(i, &[0, 2])));
    page(catalog, "date and band", |i| by(sample.same(i, &[1, 2])));
    page(catalog, "two bands", |i| {
        let values = vec![(2, vec![sample.keys(i)[2].clone(), sample.keys(i + 1)[2].clone()])];
        by(DatasetFilter { values, ..DatasetFilter::default() })
    });
    page(catalog, "dates from … to and band", |i| {
        let (from, to) = (vec![(1, "20260201".to_owned())], vec![(1, "20260204".to_owned())]);
        by(DatasetFilter { from, to, ..sample.same(i, &[2]) })
    });
    page(catalog, "tiles like T1*", |_| {
        by(DatasetFilter { globs: vec![(0, "T1*".to_owned())], ..DatasetFilter::default() })
    });
    page(catalog, "band, by date, newest first", |i| newest_first(by(sample.same(i, &[2]))));
    page(catalog, "tile, by date, newest first", |i| newest_first(by(sample.same(i, &[0]))));
    page(catalog, "all, by date, newest first", |_| newest_first(DatasetQuery::default()));
    let after = |i, query| DatasetQuery { after: Some(sample.keys(i)), ..query };
    page(catalog, "on from anywhere, by cursor", |i| after(i, DatasetQuery::default()));
    page(catalog, "the same of a band", |i| after(i, by(sample.same(i, &[2]))));
}

fn by_place(catalog: &Catalog, sample: Sample) {
    let within =
        |i, degrees, keys: &[usize]| DatasetFilter { bbox: Some(sample.near(i, degrees)), ..sample.same(i, keys) };
    page(catalog, "a box of 0.5°", |i| by(within(i, 0.5, &[])));
    page(catalog, "a box of 0.5° and band", |i| by(within(i, 0.5, &[2])));
    page(catalog, "a box of 20°", |i| by(within(i, 20.0, &[])));
    page(catalog, "a box of 20°, date and band", |i| by(within(i, 20.0, &[1, 2])));
    let scenes = |filter: DatasetFilter| {
        let query = DatasetQuery { ascending: false, limit: CANDIDATES, ..by(filter) };
        let keys = catalog.dataset_keys("default", &query).unwrap();
        catalog.datasets_of("default", &keys).unwrap()
    };
    let all_dates = times(ASKED, |i| scenes(within(i, 0.1, &[2])));
    row("scenes of a mosaic under a map tile with their records: one band, all dates", all_dates);
    row("the same of one date", times(ASKED, |i| scenes(within(i, 0.1, &[1, 2]))));
}

fn counts(catalog: &Catalog, sample: Sample) {
    let values = |key, filter: &DatasetFilter| catalog.key_values("default", key, "", filter, (100, 0)).unwrap();
    row("values of the key tile, 100 a page", times(ASKED, |_| values(0, &DatasetFilter::default())));
    row("values of the key date of one tile", times(ASKED, |i| values(1, &sample.same(i, &[0]))));
    row("values of the key tile of one date", times(ASKED / 10, |i| values(0, &sample.same(i, &[1]))));
    let count = |filter: &DatasetFilter| catalog.dataset_count("default", filter).unwrap();
    row("how many have a band", times(ASKED, |i| count(&sample.same(i, &[2]))));
    row("how many have a date and a band", times(ASKED, |i| count(&sample.same(i, &[1, 2]))));
    let extent = times(3, |i| catalog.extent("default", &sample.same(i, &[2])).unwrap());
    row("extent of a band, once per mosaic and snapshot", extent);
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
