//! Commits synthetic datasets from an empty store through the real committer and publisher, and prints what it cost:
//! `cargo run --release -p ingestor --example synthetic_catalog -- 100000 [FOLDER]`.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement for developers")]

#[path = "catalog_at_scale/made.rs"]
#[expect(dead_code, reason = "what fills a large catalogue at once is of no use here")]
mod made;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use ingestor::committer::Committer;
use ingestor::publisher::Publisher;
use ingestor::replica::Replica;
use shared::commit::Change;
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
    committer.propose(vec![Change::PutCollection { prev: 0, collection: Box::new(made::collection()) }]).await.unwrap();
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
            async move { assert!(committer.propose(vec![made::put(i, 0)]).await.unwrap().is_some()) }
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
