//! Which snapshots, manifests and commits are kept, and the deletion of the rest.

use std::collections::{BTreeMap, BTreeSet};

use object_store::ObjectMeta;
use object_store::path::Path;
use shared::commit;
use shared::gc;
use shared::layout::{self, DeltaName, SnapshotName};
use shared::snapshot;
use shared::store::{Store, StoreError};

/// The newest snapshots are all kept.
const NEWEST_KEPT: usize = 20;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Commits and manifests stay at least so long.
const LOG_KEPT_MS: i64 = 7 * DAY_MS;
/// How often commits and manifests are looked at, in publications: they go in bulk.
const LOG_EVERY: u64 = 64;

/// One snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kept {
    n: u64,
    at_ms: i64,
}

/// Deletes what the rules let go after snapshot n was published. Failures are logged: the next publication tries again.
pub async fn after_publish(store: &Store, n: u64) {
    if let Err(error) = delete_snapshots(store).await {
        tracing::warn!(%error, "old snapshots cannot be deleted now");
    }
    if n.is_multiple_of(LOG_EVERY)
        && let Err(error) = delete_log(store).await
    {
        tracing::warn!(%error, "old commits and manifests cannot be deleted now");
    }
}

async fn delete_snapshots(store: &Store) -> Result<(), StoreError> {
    let listed = store.list(&layout::snapshots(), None).await?;
    let files: Vec<File> = listed.into_iter().filter_map(File::parse).collect();
    let of_snapshots: BTreeMap<u64, i64> = files.iter().map(|file| (file.name.n, file.at_ms)).collect();
    let all: Vec<Kept> = of_snapshots.into_iter().map(|(n, at_ms)| Kept { n, at_ms }).collect();
    let needed = needed(&files, &kept(&all, shared::clock::now_ms()));
    for file in files.iter().filter(|file| !needed.contains(&file.path)) {
        store.delete(&file.path).await?;
    }
    Ok(())
}

/// A file of a snapshot.
#[derive(Clone, Debug)]
struct File {
    /// The snapshot's: a whole file and a delta of one publication share it.
    name: SnapshotName,
    /// For a delta: the snapshot that is there as a whole and from which it leads on.
    whole: Option<SnapshotName>,
    at_ms: i64,
    path: Path,
}

impl File {
    fn parse(meta: ObjectMeta) -> Option<Self> {
        let (name, whole) = match DeltaName::parse(&meta.location) {
            Some(delta) => (delta.to, Some(delta.whole)),
            None => (SnapshotName::parse(&meta.location)?, None),
        };
        Some(Self { name, whole, at_ms: meta.last_modified.timestamp_millis(), path: meta.location })
    }
}

/// The files that kept snapshots are made of: all of their own, and of one that is there as a delta only, the whole file it rests on and every delta from
/// there. Files that a publisher left when it died may be among them: they go when what they look like goes.
fn needed(files: &[File], kept: &BTreeSet<u64>) -> BTreeSet<Path> {
    // A whole file of the same number may be another's, who died before it was published.
    let is_whole: BTreeSet<SnapshotName> =
        files.iter().filter(|file| file.whole.is_none()).map(|file| file.name).collect();
    let mut rests: BTreeMap<SnapshotName, u64> = BTreeMap::new();
    for file in files.iter().filter(|file| kept.contains(&file.name.n) && !is_whole.contains(&file.name)) {
        if let Some(whole) = file.whole {
            // Of those that rest on the same file, the last needs what the others do.
            rests.entry(whole).and_modify(|last| *last = file.name.n.max(*last)).or_insert(file.name.n);
        }
    }
    let is_needed = |file: &&File| match file.whole {
        _ if kept.contains(&file.name.n) => true,
        None => rests.contains_key(&file.name),
        Some(whole) => rests.get(&whole).is_some_and(|last| file.name.n <= *last),
    };
    files.iter().filter(is_needed).map(|file| file.path.clone()).collect()
}

/// The newest 20, one per hour for a day, one per day for a week.
fn kept(all: &[Kept], now_ms: i64) -> BTreeSet<u64> {
    let mut newest_first = all.to_vec();
    newest_first.sort_by_key(|s| std::cmp::Reverse(s.n));
    let mut keep: BTreeSet<u64> = newest_first.iter().take(NEWEST_KEPT).map(|s| s.n).collect();
    for (period_ms, horizon_ms) in [(HOUR_MS, DAY_MS), (DAY_MS, LOG_KEPT_MS)] {
        let mut seen = BTreeSet::new();
        for s in newest_first.iter().filter(|s| now_ms - s.at_ms < horizon_ms) {
            if seen.insert(s.at_ms.div_euclid(period_ms)) {
                keep.insert(s.n);
            }
        }
    }
    keep
}

/// Deletes commits and manifests older than a week that no kept snapshot needs, announced in `gc/` before.
async fn delete_log(store: &Store) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let now_ms = shared::clock::now_ms();
    let young = |at: i64| now_ms - at < LOG_KEPT_MS;
    let snapshots = store.list(&layout::snapshots(), None).await?;
    let Some(oldest) = snapshots.into_iter().filter_map(File::parse).map(|file| file.name.n).min() else {
        return Ok(());
    };
    let commits = store.list(&layout::commits(), None).await?;
    let numbered =
        |meta: &ObjectMeta| layout::parse_commit(&meta.location).map(|n| (n, meta.last_modified.timestamp_millis()));
    let first_young = commits.iter().filter_map(numbered).find(|(_, at)| young(*at)).map_or(oldest, |(n, _)| n);
    let commit_min = first_young.min(oldest);
    let manifests = snapshot::numbers_past(&store.read_only(), 0).await?;
    let old_commits: Vec<u64> =
        commits.iter().filter_map(numbered).map(|(n, _)| n).filter(|n| *n < commit_min).collect();
    let old_manifests: Vec<u64> = manifests.into_iter().filter(|n| *n < commit_min).collect();
    if old_commits.is_empty() && old_manifests.is_empty() {
        return Ok(());
    }
    if !gc::announce(store, commit_min, commit_min).await? {
        return Ok(());
    }
    for n in old_manifests {
        store.delete(&layout::manifest(n)).await?;
    }
    for n in old_commits {
        commit::delete(store, n).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_hourly_and_daily_are_kept() {
        let now_ms = 100 * DAY_MS;
        // One every ten minutes for ten days; n counts up.
        let all: Vec<Kept> = (0..1440).map(|i| Kept { n: i, at_ms: now_ms - (1440 - i as i64) * 600_000 }).collect();
        let keep = kept(&all, now_ms);
        assert!((1420..1440).all(|n| keep.contains(&n)));
        let ages: Vec<i64> = keep.iter().map(|n| (1440 - *n as i64) * 600_000).collect();
        assert!(ages.iter().all(|age| *age <= LOG_KEPT_MS));
        assert!((20 + 20..=20 + 24 + 7).contains(&keep.len()), "{}", keep.len());
    }

    #[test]
    fn what_a_kept_snapshot_is_made_of_stays() {
        let [ours, theirs] = [0; 2].map(|_| SnapshotName::new(0).id);
        let whole_of = |n, id| {
            let name = SnapshotName { n, id };
            File { name, whole: None, at_ms: 0, path: name.path() }
        };
        let delta_of = |to, from, whole, id| {
            let [from, whole] = [from, whole].map(|n| SnapshotName { n, id: ours });
            let name = SnapshotName { n: to, id };
            File { name, whole: Some(whole), at_ms: 0, path: DeltaName { to: name, from, whole }.path() }
        };
        let (whole, delta) = (|n| whole_of(n, ours), |to, from, whole| delta_of(to, from, whole, ours));
        // 2 → 3 → 5 → 7, which is there as a whole too, → 8; and what a dead publisher left of 5 and 8.
        let files = [
            whole(1),
            whole(2),
            delta(3, 2, 2),
            delta(5, 3, 2),
            delta_of(5, 2, 2, theirs),
            delta(7, 5, 2),
            whole(7),
            delta(8, 7, 7),
            whole_of(8, theirs),
        ];
        let left = |kept: &[u64]| -> Vec<usize> {
            let needed = needed(&files, &kept.iter().copied().collect());
            (0..files.len()).filter(|i| needed.contains(&files[*i].path)).collect()
        };
        assert_eq!(left(&[8]), [6, 7, 8], "that of a dead publisher does not replace what the published one rests on");
        assert_eq!(left(&[7]), [5, 6], "a delta is of use to those who have what it starts from");
        assert_eq!(left(&[5, 8]), [1, 2, 3, 4, 6, 7, 8]);
        assert_eq!(left(&[3]), [1, 2]);
        assert_eq!(left(&[1]), [0]);
    }
}
