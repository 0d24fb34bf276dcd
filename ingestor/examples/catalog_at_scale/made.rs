//! Datasets like those of an archive of satellite scenes: a thousand tiles or more, a hundred dates, ten bands.

use std::path::Path;

use shared::bbox::Bbox;
use shared::catalog::{apply, schema};
use shared::collection::{Collection, Key, OnConflict, Style};
use shared::commit::{self, Change, Commit, InputRef};
use shared::dataset::Dataset;
use shared::layout;
use shared::store::Store;

/// The source's name.
pub(super) const SOURCE: &str = "default";
/// Datasets in one commit.
const AT_ONCE: usize = 2000;
const RECORD: &str = include_str!("../../../shared/src/catalog/record.dict.json");

/// Makes a replica of so many datasets, and a store that has the last of its commits: as if the earlier ones were collected.
pub(super) async fn fill(store: &Store, state: &Path, count: usize) {
    if state.join("replica.sqlite").exists() {
        return;
    }
    std::fs::create_dir_all(state).unwrap();
    let mut conn = schema::open_replica(&state.join("replica.sqlite")).unwrap();
    conn.pragma_update(None, "cache_size", -2_000_000).unwrap();
    let commit =
        |n: u64, changes| Commit { n, uuid: ulid::Ulid::generate(), at_ms: 0, author: "example".to_owned(), changes };
    apply::apply(&mut conn, &commit(1, vec![Change::PutCollection { prev: 0, collection: Box::new(collection()) }]))
        .unwrap();
    // Scenes come date by date.
    let (mut n, tiles) = (1, count.div_ceil(1000));
    let order: Vec<usize> = (0..100)
        .flat_map(|date| (0..tiles).flat_map(move |tile| (0..10).map(move |band| tile * 1000 + date * 10 + band)))
        .collect();
    for some in order.iter().filter(|i| **i < count).collect::<Vec<_>>().chunks(AT_ONCE) {
        n += 1;
        apply::apply(&mut conn, &commit(n, some.iter().map(|i| put(**i, 0)).collect())).unwrap();
    }
    let last = commit(n + 1, Vec::new());
    apply::apply(&mut conn, &last).unwrap();
    commit::append(store, &last).await.unwrap();
    // Written since this machine started.
    std::fs::write(state.join("boot"), shared::clock::boot_id()).unwrap();
}

pub(super) fn keys(i: usize) -> Vec<String> {
    let (date, band) = (i / 10 % 100, i % 10);
    vec![tile(i / 1000), format!("2026{:02}{:02}", date / 28 + 1, date % 28 + 1), format!("B{band:02}")]
}

pub(super) fn tile(tile: usize) -> String {
    format!("T{:02}{}{:03}", tile % 60 + 1, char::from(b'C' + (tile / 60 % 20) as u8), tile / 1200)
}

pub(super) fn path(i: usize) -> String {
    format!("{}.tif", keys(i).join("_"))
}

/// Where a tile lies: side by side, a degree each.
pub(super) fn bounds(i: usize) -> Bbox {
    let tile = i / 1000;
    let (west, south) = ((tile % 300) as f64 * 1.1 - 170.0, (tile / 300 % 100) as f64 * 1.1 - 55.0);
    Bbox::from([west, south, west + 1.13, south + 1.07])
}

pub(super) fn collection() -> Collection {
    Collection {
        name: "default".to_owned(),
        title: "synthetic".to_owned(),
        default: true,
        keys: ["tile", "date", "band"].map(|name| Key { name: name.to_owned(), description: None }).into(),
        pattern: None,
        on_conflict: OnConflict::Newest,
        style: Style::default(),
        colormaps: std::collections::BTreeMap::new(),
    }
}

pub(super) fn put(i: usize, prev: u64) -> Change {
    let path = path(i);
    Change::Put {
        input: InputRef { source: SOURCE.to_owned(), path: path.clone(), prev },
        version: format!("{:x}-{}", blake3::hash(&i.to_le_bytes()).as_bytes()[0], 120_000_000 + i * 7919),
        source_time_ms: 1_795_666_897_468 + i as i64,
        collection: "default".to_owned(),
        content: blake3::hash(&(i + prev as usize).to_le_bytes()).to_hex().to_string(),
        datasets: vec![dataset(i, path)],
    }
}

/// A dataset as a band of 10,980² pixels has it: every number another.
fn dataset(i: usize, input: String) -> Dataset {
    let mut dataset: Dataset = serde_json::from_str(RECORD).unwrap();
    let mut noise = blake3::Hasher::new().update(&i.to_le_bytes()).finalize_xof();
    let mut random = || {
        let mut bytes = [0; 4];
        noise.fill(&mut bytes);
        f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
    };
    dataset.keys = keys(i);
    dataset.path = layout::cog("default", ulid::Ulid::generate()).to_string();
    let metadata = &mut dataset.metadata;
    metadata.bounds = bounds(i);
    let Bbox { west, south, east, north } = metadata.bounds;
    let mut inside = |low: f64, high: f64| ((low + (high - low) * random()) * 1e6).round() / 1e6;
    let ring: Vec<[f64; 2]> = (0..8).map(|_| [inside(west, east), inside(south, north)]).collect();
    metadata.convex_hull = ring.iter().chain(&ring[..1]).copied().collect();
    metadata.valid_percentage = 50.0 + 50.0 * random();
    metadata.input = input;
    metadata.source_time_ms += i as i64;
    metadata.ingested_at_ms += i as i64 * 17;
    let statistics = metadata.statistics.as_mut().unwrap();
    (statistics.min, statistics.max) = (1.0, 8000.0 + (8000.0 * random()).round());
    (statistics.mean, statistics.stdev) = (1000.0 + 2000.0 * random(), 500.0 + 500.0 * random());
    let mut value = 200.0;
    for _ in 0..99 {
        value += (1.0 + 60.0 * random()).round();
        statistics.percentiles.push(value);
    }
    statistics.valid_pixels = (120_560_400.0 * random()) as u64;
    let histogram = &mut statistics.histogram;
    (histogram.min, histogram.max) = (statistics.min, statistics.max);
    for bin in 0..256 {
        let bell = (-(f64::from(bin) - 60.0).powi(2) / 1800.0).exp();
        histogram.counts.push((2_500_000.0 * bell * (0.95 + 0.1 * random())) as u64);
    }
    dataset
}
