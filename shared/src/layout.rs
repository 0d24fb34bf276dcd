//! Every object path of a store: built and parsed here, nowhere else.

use jiff::Timestamp;
use object_store::path::Path;
use ulid::Ulid;

/// Digits of a number in a name, so that names sort as numbers do.
const NUMBER_DIGITS: usize = 20;

/// `latest.json`: `{n}`, plainly overwritten, decides nothing.
pub fn latest() -> Path {
    Path::from("latest.json")
}

/// `ingest.lock`: a local store's ingestor holds an flock on it.
pub fn ingest_lock() -> Path {
    Path::from("ingest.lock")
}

/// The folder of commits.
pub fn commits() -> Path {
    Path::from("commits")
}

/// Commit n.
pub fn commit(n: u64) -> Path {
    Path::from(format!("commits/{n:0NUMBER_DIGITS$}.json"))
}

/// The number of a commit's path.
pub fn parse_commit(path: &Path) -> Option<u64> {
    parse_number(path, "commits/", ".json")
}

/// The change list of a large commit.
pub fn changes(id: Ulid) -> Path {
    Path::from(format!("changes/{id}.json.zst"))
}

/// A snapshot after commit n. The ULID keeps two publishers of the same n apart.
pub fn snapshot(n: u64, id: Ulid) -> Path {
    Path::from(format!("snapshots/{n:0NUMBER_DIGITS$}-{id}.sqlite"))
}

/// The folder of snapshots.
pub fn snapshots() -> Path {
    Path::from("snapshots")
}

/// The number of a snapshot's path.
pub fn parse_snapshot(path: &Path) -> Option<(u64, Ulid)> {
    let stem = path.as_ref().strip_prefix("snapshots/")?.strip_suffix(".sqlite")?;
    let (n, id) = stem.split_once('-')?;
    Some((exact_number(n)?, Ulid::from_string(id).ok()?))
}

/// What leads to the snapshot after commit `to`. Retention must know by names alone what a snapshot needs, whatever publishers that died have left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeltaName {
    /// The snapshot it leads to.
    pub to: u64,
    /// Keeps two publishers apart, as in the snapshot's own path.
    pub id: Ulid,
    /// The snapshot it starts from.
    pub from: u64,
    /// The snapshot that is there as a whole file, and from which deltas lead to `from`.
    pub whole: u64,
}

/// A delta between two snapshots.
pub fn delta(name: &DeltaName) -> Path {
    let DeltaName { to, id, from, whole } = name;
    Path::from(format!(
        "snapshots/{to:0NUMBER_DIGITS$}-{id}-from-{from:0NUMBER_DIGITS$}-on-{whole:0NUMBER_DIGITS$}.delta"
    ))
}

/// What a delta's path says.
pub fn parse_delta(path: &Path) -> Option<DeltaName> {
    let stem = path.as_ref().strip_prefix("snapshots/")?.strip_suffix(".delta")?;
    let parts: Vec<&str> = stem.split('-').collect();
    let [to, id, "from", from, "on", whole] = parts.as_slice() else { return None };
    let (to, from, whole) = (exact_number(to)?, exact_number(from)?, exact_number(whole)?);
    Some(DeltaName { to, id: Ulid::from_string(id).ok()?, from, whole })
}

/// The folder of manifests.
pub fn manifests() -> Path {
    Path::from("manifests")
}

/// Manifest n.
pub fn manifest(n: u64) -> Path {
    Path::from(format!("manifests/{n:0NUMBER_DIGITS$}.json"))
}

/// The number of a manifest's path.
pub fn parse_manifest(path: &Path) -> Option<u64> {
    parse_number(path, "manifests/", ".json")
}

/// The folder of `gc` records.
pub fn gcs() -> Path {
    Path::from("gc")
}

/// Record k of what may have been deleted.
pub fn gc(k: u64) -> Path {
    Path::from(format!("gc/{k:0NUMBER_DIGITS$}.json"))
}

/// The number of a `gc` record's path.
pub fn parse_gc(path: &Path) -> Option<u64> {
    parse_number(path, "gc/", ".json")
}

/// A COG of a collection, in the folder of the day its ULID was made (UTC).
pub fn cog(collection: &str, id: Ulid) -> Path {
    let day =
        Timestamp::from_millisecond(i64::try_from(id.timestamp_ms()).unwrap_or(0)).unwrap_or(Timestamp::UNIX_EPOCH);
    let day = day.strftime("%Y%m%d");
    Path::from(format!("cogs/{collection}/{day}/{id}.tif"))
}

/// The folder of COGs.
pub fn cogs() -> Path {
    Path::from("cogs")
}

/// The ULID in a COG's path.
pub fn parse_cog(path: &str) -> Option<Ulid> {
    let mut parts = path.strip_prefix("cogs/")?.split('/');
    let (_collection, _day, name) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    Ulid::from_string(name.strip_suffix(".tif")?).ok()
}

fn parse_number(path: &Path, prefix: &str, suffix: &str) -> Option<u64> {
    exact_number(path.as_ref().strip_prefix(prefix)?.strip_suffix(suffix)?)
}

fn exact_number(digits: &str) -> Option<u64> {
    (digits.len() == NUMBER_DIGITS && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_parsed_as_it_was_built() {
        let id = Ulid::from_parts(1_767_225_600_000, 7);
        assert_eq!(parse_commit(&commit(17)), Some(17));
        assert_eq!(commit(17).as_ref(), "commits/00000000000000000017.json");
        assert_eq!(parse_manifest(&manifest(u64::MAX)), Some(u64::MAX));
        assert_eq!(parse_snapshot(&snapshot(3, id)), Some((3, id)));
        let name = DeltaName { to: 9, id, from: 7, whole: 3 };
        assert_eq!(parse_delta(&delta(&name)), Some(name));
        assert_eq!(parse_snapshot(&delta(&name)), None);
        assert_eq!(parse_gc(&gc(2)), Some(2));
        assert!(cog("default", id).as_ref().starts_with("cogs/default/20260101/"));
        assert_eq!(parse_cog(cog("default", id).as_ref()), Some(id));
    }

    #[test]
    fn foreign_names_are_not_ours() {
        for name in ["commits/17.json", "commits/0000000000000000001x.json", "commits/00000000000000000017.json.tmp"] {
            assert_eq!(parse_commit(&Path::from(name)), None);
        }
        assert_eq!(parse_cog("cogs/a/b/c/d.tif"), None);
    }
}
