//! Every object path of a store: built and parsed here, nowhere else.

use jiff::Timestamp;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
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

/// A snapshot's name: the commit it is the state after, and what keeps two publishers of it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SnapshotName {
    /// The number of the commit.
    pub n: u64,
    /// Of the publication.
    pub id: Ulid,
}

/// What leads from one snapshot to another. Retention must know by names alone what a snapshot needs, whatever publishers that died have left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct DeltaName {
    /// The snapshot it leads to.
    pub to: SnapshotName,
    /// The snapshot it starts from.
    pub from: SnapshotName,
    /// The snapshot that is there as a whole file, and from which deltas lead to `from`.
    pub whole: SnapshotName,
}

/// The folder of snapshots.
pub fn snapshots() -> Path {
    Path::from("snapshots")
}

impl SnapshotName {
    /// A new name for the state after commit n.
    pub fn new(n: u64) -> Self {
        Self { n, id: Ulid::generate() }
    }

    /// Where its file is, if it is there as a whole.
    pub fn path(&self) -> Path {
        Path::from(format!("snapshots/{self}.sqlite"))
    }

    /// The name of the snapshot that is there as this file.
    pub fn parse(path: &Path) -> Option<Self> {
        Self::parse_text(path.as_ref().strip_prefix("snapshots/")?.strip_suffix(".sqlite")?)
    }

    fn parse_text(text: &str) -> Option<Self> {
        let (n, id) = text.split_once('-')?;
        Some(Self { n: exact_number(n)?, id: Ulid::from_string(id).ok()? })
    }
}

impl DeltaName {
    /// Where it is.
    pub fn path(&self) -> Path {
        let Self { to, from, whole } = self;
        Path::from(format!("snapshots/{to}-from-{from}-on-{whole}.delta"))
    }

    /// What a delta's path says.
    pub fn parse(path: &Path) -> Option<Self> {
        let stem = path.as_ref().strip_prefix("snapshots/")?.strip_suffix(".delta")?;
        let (to, rest) = stem.split_once("-from-")?;
        let (from, whole) = rest.split_once("-on-")?;
        let name = SnapshotName::parse_text;
        Some(Self { to: name(to)?, from: name(from)?, whole: name(whole)? })
    }
}

impl std::fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:0NUMBER_DIGITS$}-{}", self.n, self.id)
    }
}

impl From<SnapshotName> for String {
    fn from(name: SnapshotName) -> Self {
        name.path().into()
    }
}

impl TryFrom<String> for SnapshotName {
    type Error = String;

    fn try_from(path: String) -> Result<Self, String> {
        Self::parse(&Path::from(path.as_str())).ok_or_else(|| format!("{path} names no snapshot"))
    }
}

impl From<DeltaName> for String {
    fn from(name: DeltaName) -> Self {
        name.path().into()
    }
}

impl TryFrom<String> for DeltaName {
    type Error = String;

    fn try_from(path: String) -> Result<Self, String> {
        Self::parse(&Path::from(path.as_str())).ok_or_else(|| format!("{path} names no step between snapshots"))
    }
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
        let of = |n| SnapshotName { n, id };
        assert_eq!(SnapshotName::parse(&of(3).path()), Some(of(3)));
        let name = DeltaName { to: of(9), from: of(7), whole: of(3) };
        assert_eq!(DeltaName::parse(&name.path()), Some(name));
        assert_eq!(SnapshotName::parse(&name.path()), None);
        assert_eq!(serde_json::from_value::<DeltaName>(serde_json::json!(name)).unwrap(), name);
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
        assert!(serde_json::from_value::<SnapshotName>("snapshots/7.sqlite".into()).is_err());
    }
}
