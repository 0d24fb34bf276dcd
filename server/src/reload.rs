//! Find a newer manifest → fetch → verify → open → swap. What is served never goes backwards, and on any failure the last good snapshot stays.
//!
//! `latest.json` and hints only say when to look; what is taken is the highest manifest that verifies, else the one before.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use shared::catalog::reader::Catalog;
use shared::snapshot::{self, Manifest};
use shared::store::ReadStore;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::live::Told;
use crate::state::{AppState, Snapshot};

/// How often `latest.json` of a local store is read: it costs nothing.
const POLL_LOCAL: Duration = Duration::from_secs(1);
/// How often `latest.json` of another store is read.
const POLL_REMOTE: Duration = Duration::from_secs(5);
/// Servers started together do not poll together: up to this much is added.
const JITTER_MS_MAX: u64 = 500;
/// How often manifests are listed whatever the hints say.
const LIST_EVERY: Duration = Duration::from_secs(30);
/// Manifests tried, newest first, before giving up until the next look.
const MANIFESTS_TRIED_MAX: usize = 100;
/// Notes of verified snapshots kept in the cache folder.
const NOTES_MAX: usize = 40;

/// Watches a store for newer snapshots until told to stop.
pub(crate) struct Reloader {
    pub(crate) state: AppState,
    pub(crate) store: ReadStore,
    pub(crate) cache_dir: PathBuf,
    /// Wakes it at once.
    pub(crate) hint: Arc<Notify>,
    /// How often it looks; None: as suits the store.
    pub(crate) every: Option<Duration>,
}

impl Reloader {
    /// Runs until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let every = self.period();
        // Together, a tenth later at most.
        let pause = every + jitter().min(every / 10);
        let mut listed_at = Instant::now();
        // What `latest.json` said when everything it told of was taken.
        let mut known = None;
        // Armed before anything is looked at, and again before every look, so that no hint falls between.
        let mut hint = Box::pin(self.hint.notified());
        hint.as_mut().enable();
        self.look().await;
        loop {
            let hinted = tokio::select! {
                () = shutdown.cancelled() => return,
                () = &mut hint => true,
                () = tokio::time::sleep(pause) => false,
            };
            if hinted {
                hint.set(self.hint.notified());
                hint.as_mut().enable();
            }
            let latest = snapshot::latest_hint(&self.store).await.ok().flatten();
            if hinted || latest != known || listed_at.elapsed() >= LIST_EVERY {
                listed_at = Instant::now();
                if self.look().await {
                    known = latest;
                }
            }
        }
    }

    /// How often it looks.
    pub(crate) fn period(&self) -> Duration {
        let local = self.store.local_path(&shared::layout::latest()).is_some();
        self.every.unwrap_or(if local { POLL_LOCAL } else { POLL_REMOTE })
    }

    /// Takes the newest snapshot that verifies, if it is newer than what is served. False if something is wrong with a newer one, or with the store.
    pub(crate) async fn look(&self) -> bool {
        let served = self.state.served.load().as_ref().map_or(0, |s| s.manifest.n);
        let numbers = match snapshot::numbers_past(&self.store, served).await {
            Ok(numbers) => numbers,
            Err(error) => {
                self.note(Some(error.to_string()));
                return false;
            }
        };
        let mut fault = None;
        for n in numbers.into_iter().rev().take(MANIFESTS_TRIED_MAX) {
            match self.open(n).await {
                Ok(snapshot) => {
                    tracing::info!(snapshot.n = n, datasets = snapshot.catalog.datasets(), "serving a newer snapshot");
                    let name = snapshot.manifest.path.replace('/', "-");
                    self.serve(Arc::new(snapshot)).await;
                    tidy(&self.cache_dir, name).await;
                    break;
                }
                // The newest fault is what a reader should know.
                Err(error) => fault = fault.or(Some(error)),
            }
        }
        let is_well = fault.is_none();
        self.note(fault);
        is_well
    }

    /// Swaps a snapshot in, then tells those who listen.
    async fn serve(&self, snapshot: Arc<Snapshot>) {
        let before = self.state.served.swap(Some(Arc::clone(&snapshot)));
        if !self.state.live.is_open() {
            return;
        }
        let told = tokio::task::spawn_blocking(move || Told::of(&snapshot, before.as_deref()));
        match told.await {
            Ok(Ok(told)) => self.state.live.tell(told),
            Ok(Err(error)) => self.state.log_once(&error.to_string()),
            Err(error) => self.state.log_once(&format!("what a snapshot brought cannot be told: {error}")),
        }
    }

    async fn open(&self, n: u64) -> Result<Snapshot, String> {
        let manifest: Manifest = snapshot::manifest(&self.store, n).await.map_err(|e| e.to_string())?;
        let file = snapshot::fetch(&self.store, &manifest, &self.cache_dir).await.map_err(|e| e.to_string())?;
        let path = manifest.path.clone();
        let opened = tokio::task::spawn_blocking(move || Catalog::open(&file)).await.map_err(|e| e.to_string())?;
        let catalog = opened.map_err(|error| format!("snapshot {n} ({path}) does not open: {error}"))?;
        if catalog.n() != n {
            return Err(format!("snapshot {n} ({path}) holds the state after commit {}", catalog.n()));
        }
        Ok(Snapshot::new(catalog, manifest, &self.state.caches))
    }

    /// Remembers what is wrong for `/ready`, and logs it when it is new.
    fn note(&self, fault: Option<String>) {
        let mut known = self.state.fault.lock().unwrap_or_else(PoisonError::into_inner);
        if *known != fault {
            if let Some(error) = &fault {
                tracing::warn!(error, "a newer snapshot cannot be served; the last good one is served on");
            } else {
                tracing::info!("the store reads well again");
            }
        }
        *known = fault;
    }
}

/// Removes the oldest notes, and every snapshot but the one that is served: the next is made from it. Names sort by number.
async fn tidy(cache_dir: &Path, served: String) {
    let folder = cache_dir.to_owned();
    let _ = tokio::task::spawn_blocking(move || {
        let Ok(entries) = std::fs::read_dir(&folder) else { return };
        let mut names: Vec<PathBuf> = entries
            .filter_map(Result::ok)
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("snapshots-"))
            .map(|entry| entry.path())
            .collect();
        names.sort();
        let is_note = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "verified");
        let (notes, files): (Vec<_>, Vec<_>) = names.into_iter().partition(is_note);
        let old = notes.len().saturating_sub(NOTES_MAX);
        // What a download cut short left goes too: it has the name of one that is still to come.
        let others = files.into_iter().filter(|path| path.file_name().is_none_or(|name| name != served.as_str()));
        for name in notes.into_iter().take(old).chain(others) {
            let _ = std::fs::remove_file(name);
        }
    })
    .await;
}

fn jitter() -> Duration {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = now.map_or(0, |d| u64::from(d.subsec_nanos())) ^ u64::from(std::process::id());
    Duration::from_millis(seed % JITTER_MS_MAX)
}
