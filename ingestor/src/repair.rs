//! `kiln store repair`: with every writer stopped, replaces records that do not verify. Nothing else ever overwrites a record.
//!
//! The state starts from the newest snapshot that verifies. A bad commit that this snapshot includes is deleted, and `gc/` says that replicas below it
//! start from the snapshot. From the first bad commit after it on, records are written anew: sound ones as they were, under a new UUID so that replicas notice;
//! bad ones empty. What an emptied commit had decided, reconcile decides again.

use std::path::Path;

use rusqlite::Connection;
use shared::catalog::{apply, schema};
use shared::clock::now_ms;
use shared::commit::{self, Commit, LogError};
use shared::gc::{self, GcError};
use shared::layout;
use shared::record::RecordError;
use shared::snapshot::{self, Fetcher, Manifest, SnapshotError};
use shared::store::{Store, StoreError};

use crate::replica::ReplicaError;

/// What was wrong and what was done about it, a line each.
pub type Report = Vec<String>;

/// Verifies every record and mends what does not verify.
pub async fn repair(store: &Store, scratch: &Path) -> Result<Report, ReplicaError> {
    let mut report = Report::new();
    gc_records(store, &mut report).await?;
    let newest = manifests(store, scratch, &mut report).await?;
    log(store, scratch, newest.as_ref(), &mut report).await?;
    let reader = store.read_only();
    let n = newest.map_or(0, |(manifest, _)| manifest.n);
    if n > 0 && snapshot::latest_hint(&reader).await? != Some(n) {
        snapshot::write_latest(store, n).await?;
        report.push(format!("latest.json did not name the newest snapshot; now it says {n}"));
    }
    Ok(report)
}

async fn gc_records(store: &Store, report: &mut Report) -> Result<(), ReplicaError> {
    while let Err(error) = gc::newest(store).await {
        let GcError::Record { k, source: RecordError::Damaged(_), .. } = &error else { return Err(error.into()) };
        store.delete(&layout::gc(*k)).await.map_err(GcError::from)?;
        report.push(format!("{error}: deleted; the one before holds"));
    }
    Ok(())
}

/// Deletes manifests whose snapshot cannot be used; returns the newest that can, with its file.
async fn manifests(
    store: &Store,
    scratch: &Path,
    report: &mut Report,
) -> Result<Option<(Manifest, std::path::PathBuf)>, ReplicaError> {
    let reader = store.read_only();
    let (newest, rotten) = Fetcher::new(reader.clone(), scratch).newest_sound().await?;
    for (n, error) in rotten {
        if let Ok(manifest) = snapshot::manifest(&reader, n).await {
            let own = manifest.steps.iter().map(|step| step.name).filter(|step| step.to == manifest.name);
            for path in own.map(|step| step.path()).chain([manifest.name.path()]) {
                store.delete(&path).await.map_err(SnapshotError::from)?;
            }
        }
        store.delete(&layout::manifest(n)).await.map_err(SnapshotError::from)?;
        report.push(format!("{error}: deleted; the next publication replaces it"));
    }
    Ok(newest)
}

async fn log(
    store: &Store,
    scratch: &Path,
    newest: Option<&(Manifest, std::path::PathBuf)>,
    report: &mut Report,
) -> Result<(), ReplicaError> {
    let listed = store.list(&layout::commits(), None).await.map_err(LogError::from)?;
    let numbers: Vec<u64> = listed.iter().filter_map(|meta| layout::parse_commit(&meta.location)).collect();
    let base = newest.map_or(0, |(manifest, _)| manifest.n);
    for n in numbers.iter().copied().filter(|n| *n <= base) {
        if let Some(error) = fault(store, n).await? {
            gc::announce(store, base + 1, 0).await?;
            commit::delete(store, n).await.map_err(LogError::from)?;
            report.push(format!("{error}: deleted; snapshot {base} includes what it changed"));
        }
    }
    let file = scratch.join(format!("{}.sqlite", ulid::Ulid::generate()));
    if let Some((_, snapshot)) = newest {
        std::fs::copy(snapshot, &file).map_err(|source| ReplicaError::File { path: file.clone(), source })?;
    }
    let mut conn = schema::open_replica(&file)?;
    let mut rewriting = false;
    for n in base + 1..=numbers.last().copied().unwrap_or(0) {
        rewriting |= follow_or_replace(store, &mut conn, n, rewriting, report).await?;
    }
    Ok(())
}

/// Why commit n cannot be used; None if it can. A newer format is no damage: nothing may touch it.
async fn fault(store: &Store, n: u64) -> Result<Option<LogError>, ReplicaError> {
    match commit::read(store, n).await {
        Ok(_) => Ok(None),
        // Not found: its change list, kept beside it, is gone.
        Err(
            error @ (LogError::Record { source: RecordError::Damaged(_), .. }
            | LogError::Store(StoreError::NotFound { .. })),
        ) => Ok(Some(error)),
        Err(error) => Err(error.into()),
    }
}

/// Applies commit n, or replaces it. Returns whether it was replaced.
async fn follow_or_replace(
    store: &Store,
    conn: &mut Connection,
    n: u64,
    rewriting: bool,
    report: &mut Report,
) -> Result<bool, ReplicaError> {
    let mut why = fault(store, n).await?.map(|error| error.to_string());
    let mut commit = match &why {
        None => commit::read(store, n).await?,
        Some(_) => None,
    };
    if why.is_none() && commit.is_none() {
        why = Some(format!("commit {n} is missing"));
    }
    if let Some(sound) = &commit {
        match apply::apply(conn, sound) {
            Ok(()) if !rewriting => return Ok(false),
            Ok(()) => {}
            Err(error) if error.is_invalid() => {
                why = Some(error.to_string());
                commit = None;
            }
            Err(error) => return Err(error.into()),
        }
    }
    let changes = commit.map(|commit| commit.changes).unwrap_or_default();
    if let Some(why) = why {
        report.push(format!("{why}: replaced by an empty commit; what it decided is ingested again"));
    }
    let author = "kiln store repair".to_owned();
    let replacement = Commit { n, uuid: ulid::Ulid::generate(), at_ms: now_ms(), author, changes };
    commit::overwrite(store, &replacement).await?;
    if schema::head(conn)? < n {
        apply::apply(conn, &replacement)?;
    }
    Ok(true)
}
