//! What a large catalogue costs, in a table: bytes, look-ups, filters, a publication of 100 changes, a reload, the start of a server.
//!
//! `cargo build --release --bins && cargo run --release -p ingestor --example catalog_at_scale -- 1000000 [FOLDER]`. With a folder, the catalogue is kept there,
//! and used again the next time. A million datasets take about 8 GB of disk.
#![expect(clippy::print_stdout, clippy::unwrap_used, clippy::panic, reason = "a measurement for developers")]

mod made;
mod queries;
mod served;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use ingestor::publisher::Publisher;
use ingestor::replica::Replica;
use shared::catalog::{inputs, schema};
use shared::snapshot::{self, Fetcher};
use shared::store::Store;

/// Changes in one publication.
const CHANGES: usize = 100;
/// Publications that are timed.
const PUBLICATIONS: usize = 6;

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let count: usize = args.next().and_then(|n| n.parse().ok()).unwrap_or(100_000);
    let temporary = tempfile::tempdir().unwrap();
    let folder = args.next().map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let store = Store::open(folder.join("store").to_str().unwrap(), true).unwrap();
    made::fill(&store, &folder.join("state"), count).await;
    let replica = Arc::new(Replica::open(store.clone(), &folder.join("state")).await.unwrap());
    sizes(&replica, count).await;
    let scratch = folder.join("publish");
    std::fs::create_dir_all(&scratch).unwrap();
    let publisher = Publisher::new(Arc::clone(&replica), scratch, Arc::default(), Arc::default(), None, Arc::default());
    let started = Instant::now();
    publisher.newest_published().await.unwrap();
    row(
        "a publisher looks for the newest snapshot when it starts",
        format!("{:.2} s", started.elapsed().as_secs_f64()),
    );
    let started = Instant::now();
    let n = publisher.publish().await.unwrap();
    row("publication, whole if it is the first", format!("{:.2} s", started.elapsed().as_secs_f64()));
    let mut server = served::Server::start(&folder, n).await;
    for round in 0..PUBLICATIONS {
        publish_changes(&store, &replica, &publisher, &mut server, (count, round)).await;
    }
    drop(server);
    let reader = store.read_only();
    let n = schema_head(&replica).await;
    let manifest = snapshot::manifest(&reader, n).await.unwrap();
    let file = Fetcher::new(reader, folder.join("cache")).fetch(&manifest).await.unwrap();
    queries::run(&file, count);
    let server = served::Server::start(&folder, n).await;
    server.ask(count);
}

/// A line of the table.
fn row(what: &str, figure: impl std::fmt::Display) {
    println!("| {what} | {figure} |");
}

async fn schema_head(replica: &Replica) -> u64 {
    replica.with(|conn| schema::head(conn)).await.unwrap()
}

/// Bytes of each table and index.
async fn sizes(replica: &Replica, count: usize) {
    let bytes = replica.bytes().unwrap();
    row("datasets", count);
    row("file", format!("{} MB, {} bytes for each dataset", bytes / 1_000_000, bytes / count as u64));
    let tables = replica
        .with(|conn| {
            let mut statement =
                conn.prepare("SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC LIMIT 12")?;
            let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
            Ok(rows.collect::<Result<Vec<_>, _>>()?)
        })
        .await
        .unwrap();
    let listed: Vec<String> = tables.iter().map(|(name, bytes)| format!("{name} {}", bytes / count as i64)).collect();
    row("of these", listed.join(", "));
    let started = Instant::now();
    replica.with(|conn| schema::check_counts(conn)).await.unwrap();
    row("tables counted against each other", format!("{:.2} s", started.elapsed().as_secs_f64()));
}

/// Half of them new, half of them made anew.
async fn publish_changes(
    store: &Store,
    replica: &Replica,
    publisher: &Publisher,
    server: &mut served::Server,
    (count, round): (usize, usize),
) {
    let mut proposals = Vec::new();
    for i in 0..CHANGES / 2 {
        let head = schema_head(replica).await as usize;
        proposals.push(vec![made::put(count + head * CHANGES + i, 0)]);
        let old = (i * 7_919 + head * 104_729) % count;
        let path = made::path(old);
        let prev = replica.with(move |conn| inputs::find(conn, made::SOURCE, &path)).await.unwrap().unwrap().n;
        proposals.push(vec![made::put(old, prev)]);
    }
    replica.append("example", proposals).await.unwrap();
    let started = Instant::now();
    let n = publisher.publish().await.unwrap();
    let published_s = started.elapsed().as_secs_f64();
    let manifest = snapshot::manifest(&store.read_only(), n).await.unwrap();
    let step = manifest.steps.last().map_or(manifest.bytes, |step| step.bytes);
    let reloaded = server.wait_for(n).await;
    row(
        &format!("publication {} of {CHANGES} changes", round + 1),
        format!(
            "{published_s:.2} s, {:.2} MB moved to each server, {reloaded:.2} s until a server that polls every second serves it, whose resident memory then is {} MB{}",
            step as f64 / 1e6,
            server.resident_mb(),
            if manifest.whole.is_none() { "; the whole file was uploaded too" } else { "" },
        ),
    );
}
