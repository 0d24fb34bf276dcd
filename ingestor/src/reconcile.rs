//! Listing versus decisions → jobs. Correctness rests here, not on events.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use shared::catalog::inputs::{self, Decision, InputRow};
use shared::commit::{Change, InputRef};
use tokio::time::Instant;

use crate::pipeline::{Pipeline, SourceSetup};
use crate::replica::{Replica, ReplicaError};
use crate::source::Seen;

/// Rows read at a time.
const PAGE_ROWS: usize = 1000;
/// So many inputs may go at once whatever part of the source they are.
const REMOVED_FREELY_MAX: usize = 10;

/// What one scan of a source found.
#[derive(Debug, Default)]
pub struct Scan {
    /// Inputs whose version is not the decided one.
    pub jobs: Vec<Seen>,
    /// Inputs that the catalogue has and the source has not.
    pub gone: Vec<InputRef>,
    /// Inputs that the catalogue thinks are there.
    pub known: usize,
    /// Whether the whole source could be read: else what seems gone may only be unseen.
    pub complete: bool,
}

/// Lists a source and compares. None if the listing failed: nothing may be concluded then.
pub async fn scan(replica: &Replica, source: &SourceSetup) -> Result<Option<Scan>, ReplicaError> {
    replica.follow().await?;
    let folder = source.folder.clone();
    let listed = tokio::task::spawn_blocking(move || folder.list()).await;
    let listing = match listed.map_err(|e| e.to_string()).and_then(|listing| listing.map_err(|e| e.to_string())) {
        Ok(listing) => listing,
        Err(error) => {
            tracing::warn!(error, source = source.folder.name, "the source cannot be listed; nothing is removed");
            return Ok(None);
        }
    };
    if let Some(error) = listing.faults.first() {
        let faults = listing.faults.len();
        tracing::warn!(%error, faults, source = source.folder.name, "parts of the source cannot be read; nothing is removed");
    }
    let complete = listing.faults.is_empty();
    let mut scan = Scan::default();
    let mut listed = listing.inputs.into_iter().peekable();
    let mut after = String::new();
    loop {
        let (name, from) = (source.folder.name.clone(), after.clone());
        let rows = replica.with(move |conn| inputs::page(conn, &name, &from, PAGE_ROWS)).await?;
        let Some(last) = rows.last() else { break };
        after.clone_from(&last.path);
        for row in rows {
            while let Some(new) = listed.next_if(|seen| seen.path < row.path) {
                scan.jobs.push(new);
            }
            let there = listed.next_if(|seen| seen.path == row.path);
            compare(&mut scan, &source.folder.name, row, there);
        }
    }
    scan.jobs.extend(listed);
    scan.complete = complete;
    Ok(Some(scan))
}

fn compare(scan: &mut Scan, source: &str, row: InputRow, there: Option<Seen>) {
    scan.known += usize::from(row.decision != Decision::Removed);
    match there {
        Some(seen) if row.version.as_ref() != Some(&seen.version) => scan.jobs.push(seen),
        Some(_) => {}
        None if row.decision == Decision::Removed => {}
        None => scan.gone.push(InputRef { source: source.to_owned(), path: row.path, prev: row.n }),
    }
}

/// Which inputs are gone, and since when: two complete scans some time apart must agree.
#[derive(Debug)]
pub struct Gone {
    since: HashMap<String, Instant>,
    identity: Option<(u64, u64)>,
    grace: Duration,
    allow_removal: bool,
    warned: bool,
}

impl Gone {
    /// Nothing gone yet from a folder that is now this one.
    pub fn new(source: &SourceSetup, grace: Duration, allow_removal: bool) -> Self {
        Self { since: HashMap::new(), identity: source.folder.identity(), grace, allow_removal, warned: false }
    }

    /// Takes note of a scan; returns what may be removed now.
    pub fn note(&mut self, source: &SourceSetup, scan: &Scan, now: Instant) -> Vec<InputRef> {
        let name = &source.folder.name;
        if !source.remove_gone || scan.gone.is_empty() || !scan.complete {
            self.since.clear();
            self.warned = false;
            return Vec::new();
        }
        let replaced = source.folder.identity() != self.identity;
        let too_many = scan.gone.len() > REMOVED_FREELY_MAX && scan.gone.len() * 2 > scan.known;
        if (replaced || too_many) && !self.allow_removal {
            if !self.warned {
                let root = source.folder.root.display();
                let gone = scan.gone.len();
                let why = if replaced { "the folder was replaced by another" } else { "that is more than half" };
                tracing::warn!(
                    source = name,
                    gone,
                    known = scan.known,
                    "{gone} of {} inputs are gone from {root} and stay in the catalogue: {why}; if they are meant to go, start again with --allow-removal",
                    scan.known
                );
                self.warned = true;
            }
            self.since.clear();
            return Vec::new();
        }
        let mut ripe = Vec::new();
        let mut since = HashMap::new();
        for input in &scan.gone {
            let first = self.since.get(&input.path).copied().unwrap_or(now);
            if now.duration_since(first) >= self.grace && self.since.contains_key(&input.path) {
                ripe.push(input.clone());
            }
            since.insert(input.path.clone(), first);
        }
        self.since = since;
        ripe
    }

    /// When the next scan can remove something.
    pub fn due(&self) -> Option<Instant> {
        self.since.values().min().map(|first| *first + self.grace)
    }
}

/// Removes inputs that two scans found gone, each looked for once more.
pub async fn remove(pipeline: &Pipeline, source: usize, ripe: Vec<InputRef>) {
    let mut proposals = BTreeMap::new();
    for input in ripe {
        if pipeline.is_gone(source, &input.path).await {
            proposals.insert(input.path.clone(), pipeline.committer.propose(vec![Change::Remove { input }]));
        }
    }
    let (paths, proposals): (Vec<_>, Vec<_>) = proposals.into_iter().unzip();
    for (path, outcome) in paths.into_iter().zip(futures::future::join_all(proposals).await) {
        if let Ok(Some(n)) = outcome {
            tracing::info!(input = path, commit = n, "removed: it is gone from its source");
        }
    }
}
