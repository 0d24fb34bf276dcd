//! `kiln store`: look after a store.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use clap::{Args, Subcommand};
use shared::store::{Probe, Store};
use tokio::sync::Notify;

use super::{Failure, say};
use crate::board::Board;
use crate::lock::{IngestLock, author};
use crate::publisher::Publisher;
use crate::repair;
use crate::replica::Replica;

/// Flags of `kiln store`.
#[derive(Debug, Args)]
pub struct StoreArgs {
    /// The store: a folder or URL
    #[arg(long, env = "KILN_STORE", global = true)]
    store: Option<String>,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Ask whether a store keeps the promises that Kiln rests on; writes a few small objects and deletes them
    Probe {
        /// The store [default: --store]
        url: Option<String>,
    },
    /// Replace records that do not verify. Stop every writer first
    Repair,
    /// Bring the catalogue into the newest format, once every server and ingestor is new enough to read it
    Upgrade,
}

/// Does what was asked for.
pub async fn run(args: StoreArgs) -> Result<(), Failure> {
    let store = |named: Option<String>| {
        let named = named.or(args.store).ok_or_else(|| Failure::bad_input("which store? name it with --store"))?;
        Store::open(&named, false).map_err(Failure::bad_input)
    };
    match args.action {
        Action::Probe { url } => probe(&store(url)?).await,
        Action::Repair => repair(&store(None)?).await,
        Action::Upgrade => upgrade(store(None)?).await,
    }
}

async fn probe(store: &Store) -> Result<(), Failure> {
    let probe = store.probe().await.map_err(Failure::bad_input)?;
    for line in table(&probe) {
        say(&line);
    }
    match probe.fault() {
        None => {
            say(&format!("{} can be used", store.name()));
            Ok(())
        }
        Some(fault) => Err(Failure::bad_input(format!("cannot use {} as a store: {fault}", store.name()))),
    }
}

/// What was asked, what came out, and whether that will do, in columns.
fn table(probe: &Probe) -> Vec<String> {
    let wide = |column: &dyn Fn(&shared::store::ProbeLine) -> usize| probe.lines.iter().map(column).max().unwrap_or(0);
    let (asked, found) = (wide(&|line| line.asked.chars().count()), wide(&|line| line.found.chars().count()));
    let line = |line: &shared::store::ProbeLine| {
        let verdict = if line.fault.is_some() { "FAULT" } else { "ok" };
        format!("{:asked$}  {:found$}  {verdict}", line.asked, line.found)
    };
    probe.lines.iter().map(line).collect()
}

async fn repair(store: &Store) -> Result<(), Failure> {
    let _lock = IngestLock::take(store).map_err(Failure::bad_input)?;
    let scratch = tempfile::tempdir().map_err(Failure::other)?;
    let report = repair::repair(store, scratch.path()).await.map_err(Failure::other)?;
    for line in &report {
        say(line);
    }
    let summary = if report.is_empty() {
        "every record verifies; nothing to repair"
    } else {
        "repaired; start the writers again"
    };
    say(summary);
    Ok(())
}

async fn upgrade(store: Store) -> Result<(), Failure> {
    let _lock = IngestLock::take(&store).map_err(Failure::bad_input)?;
    let scratch = tempfile::tempdir().map_err(Failure::other)?;
    let replica = Arc::new(Replica::open(store, scratch.path()).await.map_err(Failure::other)?);
    let (before, after) = replica.upgrade(&author()).await.map_err(Failure::other)?;
    if before == after {
        say(&format!("the catalogue has the newest format, {after}, already"));
        return Ok(());
    }
    let idle = Arc::new(AtomicUsize::new(0));
    let (published, board) = (Arc::new(Notify::new()), Arc::new(Board::default()));
    let publisher = Publisher::new(replica, scratch.path().to_owned(), idle, published, None, board);
    let n = publisher.publish().await.map_err(Failure::other)?;
    say(&format!("the catalogue is now of format {after}, before {before}; snapshot {n} is the first of it"));
    Ok(())
}
