//! Listing versus decisions → jobs. Correctness rests here, not on events.
//!
//! Listing and catalogue are both read in order of path, a page at a time, and merged: memory does not grow with the source. What a large bucket holds is read in
//! several ranges at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use shared::catalog::inputs::{self, Decision, InputRow};
use shared::commit::{Change, InputRef};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::pipeline::{Pipeline, SourceSetup};
use crate::replica::{Replica, ReplicaError};
use crate::source::{Listed, Range, Seen, SourceError};

/// Rows read at a time.
const PAGE_ROWS: usize = 1000;
/// So many inputs may go at once whatever part of the source they are.
const REMOVED_FREELY_MAX: usize = 10;
/// Ranges of a bucket that are listed at once.
const RANGES: usize = 16;
/// A source of fewer known inputs is listed in one go.
const RANGED_MIN: usize = 20_000;
/// Inputs that are looked for once more, and removed, at once.
const REMOVED_AT_ONCE: usize = 256;
/// Inputs found gone that are remembered, in all ranges; more wait for the next scan.
const GONE_MAX: usize = 100_000;

/// An input whose version is not the decided one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecided {
    /// Its path.
    pub path: String,
    /// Its version now.
    pub version: String,
    /// Number of the commit that last decided about it, 0 if none.
    pub prev: u64,
    /// Bytes of it.
    pub bytes: u64,
}

/// What one scan of a source found, beside the inputs that are not decided.
#[derive(Debug, Default)]
pub struct Scan {
    /// Inputs that the catalogue has and the source has not; of very many only a part.
    pub gone: Vec<InputRef>,
    /// How many those are in truth.
    pub gone_count: usize,
    /// Inputs that the catalogue thinks are there.
    pub known: usize,
    /// Whether the whole source could be read: else what seems gone may only be unseen.
    pub complete: bool,
}

/// Lists a source and compares; inputs that are not decided go to `found`. None if the listing failed: nothing may be concluded then.
pub async fn scan(
    replica: &Replica,
    source: &SourceSetup,
    found: &mpsc::Sender<Undecided>,
) -> Result<Option<Scan>, ReplicaError> {
    replica.follow().await?;
    let name = source.source.name();
    let ranges = ranges(replica, source).await?;
    let scans = stream::iter(ranges).map(|range| scan_range(replica, source, range, found)).buffered(RANGES);
    let parts: Result<Vec<Part>, ScanError> = scans.try_collect().await;
    let parts = match parts {
        Ok(parts) => parts,
        Err(ScanError::Replica(error)) => return Err(error),
        Err(ScanError::Source(error)) => {
            tracing::warn!(%error, source = name, "the source cannot be listed; nothing is removed");
            return Ok(None);
        }
    };
    let mut scan = Scan { complete: true, ..Scan::default() };
    let mut faults = 0;
    for part in parts {
        scan.known += part.known;
        scan.gone_count += part.gone_count;
        scan.gone.extend(part.gone);
        faults += part.faults;
        if let Some(error) = part.fault.filter(|_| scan.complete) {
            scan.complete = false;
            tracing::warn!(error, source = name, "parts of the source cannot be read; nothing is removed");
        }
    }
    if faults > 1 {
        tracing::warn!(faults, source = name, "there are more of them");
    }
    Ok(Some(scan))
}

enum ScanError {
    Replica(ReplicaError),
    Source(SourceError),
}

impl From<ReplicaError> for ScanError {
    fn from(error: ReplicaError) -> Self {
        Self::Replica(error)
    }
}

/// What was found in a range.
#[derive(Default)]
struct Part {
    gone: Vec<InputRef>,
    gone_count: usize,
    known: usize,
    faults: usize,
    fault: Option<String>,
    /// The last path listed.
    last: String,
}

/// The parts of a source that are listed at once: as many inputs in each as the catalogue knows.
async fn ranges(replica: &Replica, source: &SourceSetup) -> Result<Vec<Range>, ReplicaError> {
    if !source.source.bucket().is_some_and(crate::source::bucket::BucketSource::has_ranges) {
        return Ok(vec![Range::default()]);
    }
    let name = source.source.name().to_owned();
    let paths = replica.with(move |conn| inputs::quantiles(conn, &name, RANGES, RANGED_MIN)).await?;
    Ok(split(&paths))
}

/// Ranges between paths, cut before a raster and its sidecars. (One without an extension, whose name is exactly a cut, is parted from them: it is then looked at
/// in each listing, and found decided.)
fn split(paths: &[String]) -> Vec<Range> {
    let mut ranges = vec![Range::default()];
    for path in paths {
        let stem = crate::source::stem(path);
        // Everything that begins with the stem lies behind this.
        let Some((cut, _)) = stem.char_indices().next_back() else { continue };
        let at = &stem[..cut];
        if let Some(last) = ranges.last_mut()
            && at > last.after.as_str()
        {
            last.upto = Some(at.to_owned());
            ranges.push(Range { after: at.to_owned(), upto: None });
        }
    }
    ranges
}

async fn scan_range(
    replica: &Replica,
    source: &SourceSetup,
    range: Range,
    found: &mpsc::Sender<Undecided>,
) -> Result<Part, ScanError> {
    let mut part = Part { last: range.after.clone(), ..Part::default() };
    let mut listing = source.source.list(range.clone());
    let mut listed = next(&mut listing, &mut part).await?;
    let mut after = range.after.clone();
    loop {
        let (name, from) = (source.source.name().to_owned(), after.clone());
        let mut rows = replica.with(move |conn| inputs::page(conn, &name, &from, PAGE_ROWS)).await?;
        let last_page = rows.len() < PAGE_ROWS || rows.last().is_some_and(|last| range.is_past(&last.path));
        rows.retain(|row| !range.is_past(&row.path));
        if let Some(last) = rows.last() {
            after.clone_from(&last.path);
        }
        for row in rows {
            while let Some(new) = listed.take_if(|seen| seen.path < row.path) {
                tell(found, new, 0).await;
                listed = next(&mut listing, &mut part).await?;
            }
            part.known += usize::from(row.decision != Decision::Removed);
            match listed.take_if(|seen| seen.path == row.path) {
                Some(seen) => {
                    if row.version.as_ref() != Some(&seen.version) {
                        tell(found, seen, row.n).await;
                    }
                    listed = next(&mut listing, &mut part).await?;
                }
                None if row.decision == Decision::Removed => {}
                None => {
                    part.gone_count += 1;
                    if part.gone.len() < GONE_MAX / RANGES {
                        part.gone.push(gone(source, row));
                    }
                }
            }
        }
        if last_page {
            break;
        }
    }
    while let Some(new) = listed {
        tell(found, new, 0).await;
        listed = next(&mut listing, &mut part).await?;
    }
    Ok(part)
}

fn gone(source: &SourceSetup, row: InputRow) -> InputRef {
    InputRef { source: source.source.name().to_owned(), path: row.path, prev: row.n }
}

async fn tell(found: &mpsc::Sender<Undecided>, seen: Seen, prev: u64) {
    // Whoever no longer listens is about to end.
    let _ = found.send(Undecided { path: seen.path, version: seen.version, prev, bytes: seen.bytes }).await;
}

async fn next(
    listing: &mut stream::BoxStream<'static, Result<Listed, SourceError>>,
    part: &mut Part,
) -> Result<Option<Seen>, ScanError> {
    loop {
        match listing.next().await {
            None => return Ok(None),
            Some(Ok(Listed::Input(seen))) => {
                // Merging rests on the order; what it misses is not gone, only passed over.
                if seen.path < part.last {
                    part.faults += 1;
                    part.fault.get_or_insert_with(|| format!("{} is not listed in order", seen.path));
                }
                part.last.clone_from(&seen.path);
                return Ok(Some(seen));
            }
            Some(Ok(Listed::Unreadable(what))) => {
                part.faults += 1;
                part.fault.get_or_insert(what);
            }
            Some(Err(error)) => return Err(ScanError::Source(error)),
        }
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
        Self { since: HashMap::new(), identity: source.source.identity(), grace, allow_removal, warned: false }
    }

    /// Takes note of a scan; returns what may be removed now.
    pub fn note(&mut self, source: &SourceSetup, scan: &Scan, now: Instant) -> Vec<InputRef> {
        let name = source.source.name();
        if !source.remove_gone || scan.gone.is_empty() || !scan.complete {
            self.since.clear();
            self.warned = false;
            return Vec::new();
        }
        let replaced = source.source.identity() != self.identity;
        let too_many = scan.gone_count > REMOVED_FREELY_MAX && scan.gone_count * 2 > scan.known;
        if (replaced || too_many) && !self.allow_removal {
            if !self.warned {
                let root = source.source.place();
                let gone = scan.gone_count;
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
            let is_ripe = now.duration_since(first) >= self.grace && self.since.contains_key(&input.path);
            if is_ripe {
                ripe.push(input.clone());
            }
            // One that stays although it is ripe is there after all: it is not looked for without a pause.
            since.insert(input.path.clone(), if is_ripe { now } else { first });
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
pub async fn remove(pipeline: Arc<Pipeline>, source: usize, ripe: Vec<InputRef>) {
    let pipeline = &pipeline;
    let each = stream::iter(ripe).map(|input| async move {
        let path = input.path.clone();
        if !pipeline.is_gone(source, &path).await {
            return;
        }
        if let Ok(Some(n)) = pipeline.committer.propose(vec![Change::Remove { input }]).await {
            tracing::info!(input = path, commit = n, "removed: it is gone from its source");
        }
    });
    each.buffer_unordered(REMOVED_AT_ONCE).collect::<()>().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_parted_where_no_raster_is() {
        let paths = ["a/s10.tif", "a/s1000.tif", "b/raw", "b/raw.hdr"].map(str::to_owned);
        let ranges = split(&paths);
        let cuts: Vec<(&str, Option<&str>)> = ranges.iter().map(|r| (r.after.as_str(), r.upto.as_deref())).collect();
        assert_eq!(cuts, [("", Some("a/s1")), ("a/s1", Some("a/s100")), ("a/s100", Some("b/ra")), ("b/ra", None)]);
        for path in ["a/s10.tif", "a/s10.tfw", "b/raw", "b/raw.hdr", "a/", "z"] {
            assert_eq!(ranges.iter().filter(|range| range.holds(path)).count(), 1, "{path}");
        }
    }
}
