//! Commits synthetic datasets from an empty store through the real committer and publisher, and prints what it cost:
//! `cargo run --release -p ingestor --example synthetic_catalog -- 100000 [FOLDER]`.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement for developers")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use ingestor::committer::Committer;
use ingestor::publisher::Publisher;
use ingestor::replica::Replica;
use shared::bbox::Bbox;
use shared::collection::{Collection, Key, OnConflict, Style};
use shared::commit::{Change, InputRef};
use shared::dataset::{CogLayout, Compression, DataType, Dataset, Level, Predictor, Validity};
use shared::grid::Placement;
use shared::layout;
use shared::metadata::{Band, BandStatistics, Categorical, Histogram, Metadata};
use shared::store::Store;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Proposals under way at once, as from many conversions.
const AT_ONCE: usize = 512;

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let count: usize = args.next().and_then(|n| n.parse().ok()).unwrap_or(100_000);
    let temporary = tempfile::tempdir().unwrap();
    let folder = args.next().map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let store = Store::open(folder.join("store").to_str().unwrap(), true).unwrap();
    let replica = Arc::new(Replica::open(store, &folder.join("state")).await.unwrap());
    let (head, at_work) = (watch::Sender::new(0), Arc::new(AtomicUsize::new(1)));
    let committed = head.clone();
    let commits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&commits);
    let (committer, _task) =
        Committer::start(Arc::clone(&replica), "example".to_owned(), Arc::clone(&at_work), move |n| {
            counted.fetch_add(1, Ordering::Relaxed);
            committed.send_replace(n);
        });
    committer.propose(vec![Change::PutCollection { prev: 0, collection: Box::new(collection()) }]).await.unwrap();
    let written = Arc::new(AtomicUsize::new(0));
    let published = Arc::new(Notify::new());
    let stop = CancellationToken::new();
    let publisher = Publisher::new(
        replica,
        folder.join("state"),
        Arc::clone(&at_work),
        Arc::clone(&published),
        None,
        Arc::default(),
    );
    let publishing = tokio::spawn(publisher.run(head.subscribe(), stop.clone()));
    tokio::spawn(sum_snapshots(folder.join("store/snapshots"), Arc::clone(&written)));
    let started = Instant::now();
    futures::stream::iter(0..count)
        .for_each_concurrent(AT_ONCE, |i| {
            let committer = committer.clone();
            async move { assert!(committer.propose(vec![put(i)]).await.unwrap().is_some()) }
        })
        .await;
    let committed_s = started.elapsed().as_secs_f64();
    at_work.store(0, Ordering::Relaxed);
    stop.cancel();
    publishing.await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let sizes = snapshot_sizes(&folder.join("store/snapshots"));
    let last = sizes.into_iter().rfind(|(name, _)| name.ends_with(".sqlite")).map_or(0, |(_, size)| size);
    let total = written.load(Ordering::Relaxed);
    println!(
        "{count} datasets in {committed_s:.1} s, {} commits, published after {:.1} s",
        commits.load(Ordering::Relaxed),
        started.elapsed().as_secs_f64()
    );
    println!(
        "snapshots and deltas written: {total} bytes, the last whole file has {last}: {:.1} times",
        total as f64 / last as f64
    );
}

/// Adds up every snapshot file that ever appears: retention deletes some.
async fn sum_snapshots(folder: PathBuf, total: Arc<AtomicUsize>) {
    let mut seen = BTreeMap::new();
    loop {
        seen.extend(snapshot_sizes(&folder));
        total.store(seen.values().sum(), Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn snapshot_sizes(folder: &std::path::Path) -> BTreeMap<String, usize> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|e| {
            Some((
                e.file_name()
                    .into_string()
                    .ok()
                    .filter(|n| [".sqlite", ".delta"].iter().any(|end| n.ends_with(end)))?,
                e.metadata().ok()?.len() as usize,
            ))
        })
        .collect()
}

fn collection() -> Collection {
    Collection {
        name: "default".to_owned(),
        title: "synthetic".to_owned(),
        default: true,
        keys: ["tile", "date", "band"].map(|name| Key { name: name.to_owned(), description: None }).into(),
        pattern: None,
        on_conflict: OnConflict::Newest,
        style: Style::default(),
        colormaps: BTreeMap::new(),
    }
}

fn put(i: usize) -> Change {
    let path = format!("T{:05}_2026{:04}_B{:02}.tif", i / 1000, i / 10 % 100, i % 10);
    Change::Put {
        input: InputRef { source: "default".to_owned(), path: path.clone(), prev: 0 },
        version: format!("{}-{i}", 1000 + i),
        source_time_ms: i as i64,
        collection: "default".to_owned(),
        content: format!("{i:064x}"),
        datasets: vec![dataset(i, path)],
    }
}

fn dataset(i: usize, input: String) -> Dataset {
    let west = (i % 3600) as f64 / 10.0 - 180.0;
    let percentiles = (1..=99).map(|p| f64::from(p) * 37.0 + (i % 97) as f64).collect();
    let counts = (0..64).map(|bin| (bin * 1000 + i % 1000) as u64).collect();
    let level = |k: u64| Level { offsets_at: 1000 + 2000 * k, counts_at: 2000 + 2000 * k, mask: None };
    Dataset {
        keys: vec![format!("T{:05}", i / 1000), format!("2026{:04}", i / 10 % 100), format!("B{:02}", i % 10)],
        path: layout::cog("default", ulid::Ulid::generate()).to_string(),
        sample: 0,
        cog: CogLayout {
            data_type: DataType::Uint16,
            samples: 1,
            compression: Compression::Zstd,
            predictor: Predictor::Horizontal,
            validity: Validity::Nodata(0.0),
            placement: Placement { maxzoom: 13, minzoom: 8, col: 4096, row: 2048, cols: 64, rows: 64 },
            header_bytes: 70_000,
            levels: (0..6).map(level).collect(),
        },
        metadata: Metadata {
            bounds: Bbox::from([west, 10.0, west + 1.0, 11.0]),
            convex_hull: vec![[west, 10.0], [west + 1.0, 10.0], [west + 1.0, 11.0], [west, 11.0], [west, 10.0]],
            valid_percentage: 85.0,
            statistics: Some(BandStatistics {
                min: 1.0,
                max: 10_000.0 + i as f64,
                mean: 2345.678 + i as f64 / 7.0,
                stdev: 987.654,
                percentiles,
                histogram: Histogram { min: 1.0, max: 10_000.0, counts },
                valid_pixels: 102_400_000,
            }),
            data_type: DataType::Uint16,
            crs: "EPSG:32633".to_owned(),
            size: [10_980, 10_980],
            resolution: [10.0, 10.0],
            nodata: Some(0.0),
            band: Band { number: 1, ..Band::default() },
            categorical: Categorical { is: false, reason: "more than 64 distinct values".to_owned() },
            color_table: Vec::new(),
            categories: Vec::new(),
            rgb: None,
            input,
            version: String::new(),
            source_time_ms: i as i64,
            ingested_at_ms: i as i64,
            style: None,
            user: serde_json::Map::new(),
        },
    }
}
