//! The catalogue at our head, in local SQLite: what checks, reconcile and publish ask.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use shared::catalog::{CatalogError, apply, schema};
use shared::commit::{self, Change, Commit, LogError};
use shared::gc::{self, GcError};
use shared::record::RecordError;
use shared::snapshot::{self, Fetcher, SnapshotError};
use shared::store::Store;

/// Why the replica cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// The log cannot be read: a record does not verify, or the store failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The local file failed, or a commit does not verify.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// No snapshot could be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The record of what was deleted cannot be read.
    #[error(transparent)]
    Gc(#[from] GcError),
    /// The local folder failed.
    #[error("cannot use {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl ReplicaError {
    /// Whether trying again later may help, as with a store that is away or a full disk. What does not verify needs a person.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Log(LogError::Store(_))
            | Self::Snapshot(SnapshotError::Store(_) | SnapshotError::File { .. })
            | Self::Gc(GcError::Store(_))
            | Self::File { .. } => true,
            Self::Catalog(error) => error.may_pass(),
            Self::Log(_) | Self::Snapshot(_) | Self::Gc(_) => false,
        }
    }

    /// Whether a record of the store does not verify, so that `kiln store repair` can help.
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Log(LogError::Record { source: RecordError::Damaged(_), .. })
                | Self::Gc(GcError::Record { source: RecordError::Damaged(_), .. })
                | Self::Catalog(CatalogError::Invalid { .. })
        )
    }
}

/// Changes that are committed together or not at all.
pub type Proposal = Vec<Change>;

/// Changes in one commit.
const COMMIT_CHANGES_MAX: usize = 2000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Take,
    Wait,
    Stale,
}

/// Which proposals can be in the next commit: valid on this state, and at most one change per input.
fn choose(conn: &Connection, pending: &[(usize, Arc<Proposal>)]) -> Result<Vec<(usize, Choice)>, CatalogError> {
    let mut inputs = BTreeSet::new();
    let mut changes = 0;
    let mut choices = Vec::with_capacity(pending.len());
    for (index, proposal) in pending {
        let mut stale = proposal.is_empty();
        for change in proposal.iter() {
            stale |= apply::check(conn, change)?.is_some();
        }
        let names: Vec<_> =
            proposal.iter().filter_map(Change::input).map(|i| (i.source.clone(), i.path.clone())).collect();
        let fits = changes + proposal.len() <= COMMIT_CHANGES_MAX && names.iter().all(|name| !inputs.contains(name));
        let choice = match (stale, fits || changes == 0) {
            (true, _) => Choice::Stale,
            (false, false) => Choice::Wait,
            (false, true) => {
                inputs.extend(names);
                changes += proposal.len();
                Choice::Take
            }
        };
        choices.push((*index, choice));
    }
    Ok(choices)
}

/// The local copy. One per process.
#[derive(Debug)]
pub struct Replica {
    store: Store,
    folder: PathBuf,
    /// Fetches what a rebuild starts from.
    fetcher: Fetcher,
    conn: Arc<Mutex<Connection>>,
    /// Whoever follows the log or appends to it holds this.
    log: tokio::sync::Mutex<()>,
    /// How often the log was begun to be followed, and which of these ended well last.
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Replica {
    /// Opens the replica in `folder`, or makes it from the newest snapshot, and follows the log to its head.
    pub async fn open(store: Store, folder: &Path) -> Result<Self, ReplicaError> {
        let file_error = |source| ReplicaError::File { path: folder.to_owned(), source };
        tokio::fs::create_dir_all(folder).await.map_err(file_error)?;
        if !is_of_this_boot(folder) {
            // It is written without waiting for the disk, so a power cut may have torn it.
            remove_file(folder)?;
        }
        let conn = match open_file(folder).await {
            Err(ReplicaError::Catalog(error)) if error.is_bad_file() => {
                tracing::info!(%error, "the local copy of the catalogue is made anew");
                remove_file(folder)?;
                open_file(folder).await?
            }
            other => other?,
        };
        let fetcher = Fetcher::new(store.read_only(), folder.join("snapshots"));
        // Of a process that was killed while it rebuilt.
        fetcher.clear().await;
        let replica = Self {
            store,
            folder: folder.to_owned(),
            fetcher,
            conn: Arc::new(Mutex::new(conn)),
            log: tokio::sync::Mutex::new(()),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
        };
        if !replica.is_of_this_store().await? {
            replica.rebuild(&replica.fetcher).await?;
        }
        replica.follow().await?;
        Ok(replica)
    }

    /// The store it copies.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Asks the catalogue, on a blocking thread.
    pub async fn with<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Connection) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, ReplicaError> {
        let conn = Arc::clone(&self.conn);
        let done = tokio::task::spawn_blocking(move || ask(&mut conn.lock().unwrap_or_else(PoisonError::into_inner)));
        let answer = done.await.map_err(|e| ReplicaError::File { path: self.folder.clone(), source: e.into() })?;
        Ok(answer?)
    }

    /// Asks the catalogue and looks at its file, which holds all that was applied while this runs: no transaction is open then, and there is no
    /// other file that belongs to it.
    pub async fn with_file<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Connection, &Path) -> Result<T, ReplicaError> + Send + 'static,
    ) -> Result<T, ReplicaError> {
        let (conn, path) = (Arc::clone(&self.conn), file_path(&self.folder));
        let done =
            tokio::task::spawn_blocking(move || ask(&mut conn.lock().unwrap_or_else(PoisonError::into_inner), &path));
        done.await.map_err(|e| ReplicaError::File { path: self.folder.clone(), source: e.into() })?
    }

    /// The size of its file.
    pub fn bytes(&self) -> Result<u64, ReplicaError> {
        let path = file_path(&self.folder);
        let meta = std::fs::metadata(&path).map_err(|source| ReplicaError::File { path, source })?;
        Ok(meta.len())
    }

    /// Makes the copy anew from the newest snapshot that verifies and what follows it, so that its file differs from that snapshot's in little. What
    /// `fetcher` has already is not moved again.
    pub async fn start_again(&self, fetcher: &Fetcher) -> Result<(), ReplicaError> {
        let _guard = self.log.lock().await;
        self.rebuild(fetcher).await?;
        self.follow_locked().await?;
        Ok(())
    }

    /// The last commit applied.
    pub async fn head(&self) -> Result<u64, ReplicaError> {
        self.with(|conn| schema::head(conn)).await
    }

    /// Applies every commit there is. Who asks while another follows shares the next one with all who ask then.
    pub async fn follow(&self) -> Result<(), ReplicaError> {
        let asked = self.begun.load(Ordering::Acquire);
        let _guard = self.log.lock().await;
        if self.ended.load(Ordering::Acquire) > asked {
            return Ok(());
        }
        self.follow_locked().await.map(|_| ())
    }

    /// Appends proposals to the log, each as a whole or, where something it rests on was decided meanwhile, not at all. Returns for each the commit
    /// it is in, or None.
    pub async fn append(&self, author: &str, proposals: Vec<Proposal>) -> Result<Vec<Option<u64>>, ReplicaError> {
        let _guard = self.log.lock().await;
        let mut outcomes = vec![None; proposals.len()];
        let mut pending: Vec<(usize, Arc<Proposal>)> = proposals.into_iter().map(Arc::new).enumerate().collect();
        while !pending.is_empty() {
            self.follow_locked().await?;
            let asked = pending.clone();
            let (n, choice) = self.with(move |conn| Ok((schema::head(conn)? + 1, choose(conn, &asked)?))).await?;
            let chosen = |kind: Choice| choice.iter().filter(move |(_, c)| *c == kind).map(|(index, _)| *index);
            let taken: Vec<usize> = chosen(Choice::Take).collect();
            let stale: Vec<usize> = chosen(Choice::Stale).collect();
            let changes: Vec<Change> = pending
                .iter()
                .filter(|(index, _)| taken.contains(index))
                .flat_map(|(_, proposal)| proposal.iter().cloned())
                .collect();
            pending.retain(|(index, _)| !stale.contains(index));
            if changes.is_empty() {
                continue;
            }
            let at_ms = shared::clock::now_ms();
            let commit = Commit { n, uuid: ulid::Ulid::generate(), at_ms, author: author.to_owned(), changes };
            // On a loss, what the winner wrote is applied, and everything still pending is checked again.
            if self.try_append(commit).await? {
                for index in &taken {
                    outcomes[*index] = Some(n);
                }
                pending.retain(|(index, _)| !taken.contains(index));
            }
        }
        Ok(outcomes)
    }

    /// Appends a commit without a change: its only use is its number, for a snapshot that replaces a rotten one.
    pub async fn append_empty(&self) -> Result<u64, ReplicaError> {
        let _guard = self.log.lock().await;
        loop {
            self.follow_locked().await?;
            let n = self.head().await? + 1;
            let at_ms = shared::clock::now_ms();
            let author = "to replace a snapshot that does not verify".to_owned();
            let commit = Commit { n, uuid: ulid::Ulid::generate(), at_ms, author, changes: Vec::new() };
            if self.try_append(commit).await? {
                return Ok(n);
            }
        }
    }

    /// Brings the catalogue into the newest format this version knows. Returns the formats before and after.
    pub async fn upgrade(&self, author: &str) -> Result<(i64, i64), ReplicaError> {
        let before = self.with(|conn| schema::format(conn)).await?;
        let newest = schema::newest_format();
        if before < newest {
            // Lost to another: who did the same.
            self.append(author, vec![vec![Change::Upgrade { format: newest }]]).await?;
        }
        Ok((before, self.with(|conn| schema::format(conn)).await?))
    }

    async fn try_append(&self, commit: Commit) -> Result<bool, ReplicaError> {
        match commit::append(&self.store, &commit).await? {
            commit::Appended::Won => {
                if let Some(gc) = gc::newest(&self.store).await?.filter(|gc| commit.n < gc.commit_min) {
                    tracing::warn!(
                        n = commit.n,
                        commit_min = gc.commit_min,
                        "won a number that was already collected; starting again"
                    );
                    commit::delete(&self.store, commit.n).await.map_err(LogError::from)?;
                    self.rebuild(&self.fetcher).await?;
                    return Ok(false);
                }
                self.apply(commit).await?;
                Ok(true)
            }
            commit::Appended::Lost(winner) => {
                self.apply(*winner).await?;
                Ok(false)
            }
        }
    }

    async fn follow_locked(&self) -> Result<u64, ReplicaError> {
        let turn = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        let mut applied = 0;
        loop {
            let n = self.head().await? + 1;
            if let Some(commit) = commit::read(&self.store, n).await? {
                self.apply(commit).await?;
                applied += 1;
                continue;
            }
            // The end of the log, unless what follows was deleted behind our back.
            match gc::newest(&self.store).await? {
                Some(gc) if n < gc.commit_min => self.rebuild(&self.fetcher).await?,
                _ => {
                    self.ended.store(turn, Ordering::Release);
                    return Ok(applied);
                }
            }
        }
    }

    async fn apply(&self, commit: Commit) -> Result<(), ReplicaError> {
        self.with(move |conn| apply::apply(conn, &commit)).await
    }

    /// Whether the last commit applied is the one the store has: a store may have been made anew under the same name.
    async fn is_of_this_store(&self) -> Result<bool, ReplicaError> {
        let (n, uuid) = self.with(|conn| Ok((schema::head(conn)?, schema::head_uuid(conn)?))).await?;
        if n == 0 {
            // A fresh replica starts from the newest snapshot, if there is one.
            return Ok(snapshot::numbers_past(&self.store.read_only(), 0).await?.is_empty());
        }
        match commit::read(&self.store, n).await {
            Ok(Some(commit)) => Ok(uuid == Some(commit.uuid.to_string())),
            Ok(None) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Starts again from the newest snapshot that verifies, or from nothing.
    async fn rebuild(&self, fetcher: &Fetcher) -> Result<(), ReplicaError> {
        let (newest, rotten) = fetcher.newest_sound().await?;
        for (_, error) in rotten {
            tracing::warn!(%error, "a snapshot cannot be used; trying the one before");
        }
        let start = newest.map(|(_, file)| file);
        let folder = self.folder.clone();
        let conn = Arc::clone(&self.conn);
        let done = tokio::task::spawn_blocking(move || {
            let mut conn = conn.lock().unwrap_or_else(PoisonError::into_inner);
            let (path, part) = (file_path(&folder), folder.join("replica.sqlite.part"));
            let failed = |path: &Path| {
                let path = path.to_owned();
                |source| ReplicaError::File { path, source }
            };
            // All of it, before the old one goes: a disk may fill up meanwhile.
            if let Some(start) = &start {
                std::fs::copy(start, &part).map_err(failed(&part))?;
            }
            // The old file is open still; SQLite lets go of it when the connection is replaced.
            remove_file(&folder)?;
            if start.is_some() {
                std::fs::rename(&part, &path).map_err(failed(&path))?;
            }
            *conn = schema::open_replica(&file_path(&folder))?;
            schema::check_integrity(&conn)?;
            schema::check_counts(&conn)?;
            Ok::<_, ReplicaError>(())
        });
        let done = done.await.map_err(|e| ReplicaError::File { path: self.folder.clone(), source: e.into() })?;
        self.fetcher.clear().await;
        done
    }
}

/// Whether the replica was written since this machine started; notes that it now is.
fn is_of_this_boot(folder: &Path) -> bool {
    let note = folder.join("boot");
    let now = shared::clock::boot_id();
    let same = std::fs::read_to_string(&note).is_ok_and(|then| then == now);
    // Without the note, the copy is only made anew next time.
    let _ = std::fs::write(&note, &now);
    same
}

fn file_path(folder: &Path) -> PathBuf {
    folder.join("replica.sqlite")
}

async fn open_file(folder: &Path) -> Result<Connection, ReplicaError> {
    let path = file_path(folder);
    let opened = tokio::task::spawn_blocking(move || schema::open_replica(&path)).await;
    Ok(opened.map_err(|e| ReplicaError::File { path: folder.to_owned(), source: e.into() })??)
}

fn remove_file(folder: &Path) -> Result<(), ReplicaError> {
    for path in [file_path(folder), folder.join("replica.sqlite-journal")] {
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(ReplicaError::File { path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
