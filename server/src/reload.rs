//! Find a newer manifest → fetch → verify → open → swap. What is served never goes backwards, and on any failure the last good snapshot stays.
//!
//! `latest.json` and hints only say when to look; what is taken is the highest manifest that verifies, else the one before.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use shared::catalog::reader::Catalog;
use shared::snapshot::{self, Fetcher, Manifest, SnapshotError};
use shared::store::{ReadStore, StoreError};
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

/// Watches a store for newer snapshots until told to stop.
pub(crate) struct Reloader {
    pub(crate) state: AppState,
    pub(crate) fetcher: Fetcher,
    /// Wakes it at once.
    pub(crate) hint: Arc<Notify>,
    /// How often it looks; None: as suits the store.
    pub(crate) every: Option<Duration>,
}

/// Why a snapshot is not served.
struct Fault {
    text: String,
    /// Whether another look may soon find it gone: the store or this machine failed, not the snapshot.
    may_pass: bool,
}

impl Reloader {
    /// Runs until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let every = self.period();
        // Together, a tenth later at most.
        let pause = every + jitter().min(every / 10);
        let mut listed_at = Instant::now();
        // What `latest.json` said when everything it told of was taken, or found bad: that is tried again by the listing.
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
            let latest = snapshot::latest_hint(self.store()).await.ok().flatten();
            if hinted || latest != known || listed_at.elapsed() >= LIST_EVERY {
                listed_at = Instant::now();
                if self.look().await {
                    known = latest;
                }
            }
        }
    }

    fn store(&self) -> &ReadStore {
        self.fetcher.store()
    }

    /// How often it looks.
    pub(crate) fn period(&self) -> Duration {
        let local = self.store().local_path(&shared::layout::latest()).is_some();
        self.every.unwrap_or(if local { POLL_LOCAL } else { POLL_REMOTE })
    }

    /// Takes the newest snapshot that verifies, if it is newer than what is served. False if another look may soon find more: the store or this machine failed.
    pub(crate) async fn look(&self) -> bool {
        let served = self.state.served.load().as_ref().map_or(0, |s| s.manifest.n);
        let numbers = match snapshot::numbers_past(self.store(), served).await {
            Ok(numbers) => numbers,
            Err(error) => {
                self.note(Some(error.to_string()));
                return false;
            }
        };
        let (mut fault, mut may_pass) = (None, false);
        for n in numbers.into_iter().rev().take(MANIFESTS_TRIED_MAX) {
            match self.open(n).await {
                Ok(snapshot) => {
                    tracing::info!(snapshot.n = n, datasets = snapshot.catalog.datasets(), "serving a newer snapshot");
                    let name = snapshot.manifest.name;
                    self.serve(Arc::new(snapshot)).await;
                    self.fetcher.keep_only(name).await;
                    break;
                }
                // The newest fault is what a reader should know.
                Err(error) => {
                    may_pass |= error.may_pass;
                    fault = fault.or(Some(error.text));
                }
            }
        }
        self.note(fault);
        !may_pass
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

    async fn open(&self, n: u64) -> Result<Snapshot, Fault> {
        let manifest: Manifest = snapshot::manifest(self.store(), n).await?;
        let file = self.fetcher.fetch(&manifest).await?;
        let opened = tokio::task::spawn_blocking(move || Catalog::open(&file)).await;
        let opened = opened.map_err(|error| Fault { text: error.to_string(), may_pass: true })?;
        let said = |what: String| format!("snapshot {n} ({}) {what}", manifest.name.path());
        let catalog = opened
            .map_err(|error| Fault { may_pass: error.may_pass(), text: said(format!("does not open: {error}")) })?;
        let (at, datasets) = (catalog.n(), catalog.datasets());
        if (at, datasets) != (n, manifest.datasets) {
            let text =
                said(format!("holds {datasets} datasets after commit {at}; its manifest says {}", manifest.datasets));
            return Err(Fault { text, may_pass: false });
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

impl From<SnapshotError> for Fault {
    fn from(error: SnapshotError) -> Self {
        let may_pass = match &error {
            SnapshotError::Store(error) => !matches!(error, StoreError::NotFound { .. }),
            SnapshotError::File { .. } => true,
            SnapshotError::Record { .. } | SnapshotError::Damaged { .. } => false,
        };
        Self { text: error.to_string(), may_pass }
    }
}

fn jitter() -> Duration {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = now.map_or(0, |d| u64::from(d.subsec_nanos())) ^ u64::from(std::process::id());
    Duration::from_millis(seed % JITTER_MS_MAX)
}
