//! Commits → snapshot → manifest. Anyone may publish; nothing needs a lease.
//!
//! A small catalogue is written out whole and clean each time. A large one is published as it lies in the replica, page by page, so that one snapshot differs
//! from the next in what was touched only, and servers fetch no more than that: `large.rs`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use shared::catalog::schema;
use shared::config::test_setting;
use shared::snapshot::{self, Fetcher};
use tokio::sync::{Mutex, Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::board::Board;
use crate::nats::Nats;
use crate::replica::{Replica, ReplicaError};
use crate::retention;

mod large;

use large::Known;

/// How long the log must be quiet.
const QUIET: Duration = Duration::from_millis(200);
/// Under load, the shortest time between two publications.
const INTERVAL_MIN: Duration = Duration::from_secs(2);
/// Under load, the time between two publications in units of the last one's duration: publishing takes at most a twentieth of the time.
const INTERVAL_DURATIONS: u32 = 20;
/// Others may publish the same number: a little jitter, and more where publishing takes long, makes it rare.
const JITTER_MS: u64 = 20;
const JITTER_PARTS: u32 = 2;
/// Replicas of so many bytes and more are published by what changed: below, a whole file is as soon there.
const LARGE_BYTES: u64 = 32 << 20;
/// Sets that, for tests.
const LARGE_BYTES_IN_TESTS: &str = "KILN_TEST_LARGE_BYTES";
/// Of files being made into snapshots.
const SCRATCH_EXTENSION: &str = "unpublished";
/// Pause after a failure that may pass.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// Publishes this process's head.
#[derive(Debug)]
pub struct Publisher {
    replica: Arc<Replica>,
    /// For the file being made.
    scratch: PathBuf,
    /// What was fetched stays until the next publication: the replica may have to be made anew from it.
    fetcher: Fetcher,
    /// Jobs at work: while there are some, the log counts as under load.
    at_work: Arc<AtomicUsize>,
    /// Told after every publication, for a server in this process.
    published: Arc<Notify>,
    /// Where servers elsewhere listen.
    nats: Option<Nats>,
    board: Arc<Board>,
    large_bytes: u64,
    /// What is known of the newest snapshot, once the catalogue is large.
    known: Mutex<Option<Arc<Known>>>,
    /// When the replica's file could not be packed.
    not_packed: Mutex<Option<Instant>>,
}

impl Publisher {
    /// A publisher that works in `scratch`.
    pub fn new(
        replica: Arc<Replica>,
        scratch: PathBuf,
        at_work: Arc<AtomicUsize>,
        published: Arc<Notify>,
        nats: Option<Nats>,
        board: Arc<Board>,
    ) -> Self {
        let large_bytes = test_setting(LARGE_BYTES_IN_TESTS).and_then(|text| text.parse().ok()).unwrap_or(LARGE_BYTES);
        let fetcher = Fetcher::new(replica.store().read_only(), scratch.join("snapshots"));
        let (known, not_packed) = (Mutex::new(None), Mutex::new(None));
        Self { replica, scratch, fetcher, at_work, published, nats, board, large_bytes, known, not_packed }
    }

    /// The same, for replicas of so many bytes and more as if they were large.
    #[must_use]
    pub fn large_from(self, large_bytes: u64) -> Self {
        Self { large_bytes, ..self }
    }

    /// Publishes whenever `head` moves, until told to stop; the last commits are published before it ends.
    pub async fn run(self, mut head: watch::Receiver<u64>, shutdown: CancellationToken) -> Result<(), ReplicaError> {
        let mut last: Option<(Instant, Duration)> = None;
        let mut done = loop {
            match self.newest_published().await {
                Err(error) if error.may_pass() && !shutdown.is_cancelled() => {
                    tracing::warn!(%error, "cannot look for the newest snapshot now; trying again");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                other => break other?,
            }
        };
        loop {
            while *head.borrow_and_update() <= done {
                tokio::select! {
                    changed = head.changed() => if changed.is_err() { return Ok(()) },
                    () = shutdown.cancelled() => if *head.borrow() <= done { return Ok(()) } else { break },
                }
            }
            self.wait_for_quiet(&mut head, last, &shutdown).await;
            let started = Instant::now();
            tokio::time::sleep(jitter(last.map_or(Duration::ZERO, |(_, took)| took / JITTER_PARTS))).await;
            match self.publish().await {
                Ok(n) => {
                    done = done.max(n);
                    self.board.published(n);
                    last = Some((started, started.elapsed()));
                    self.published.notify_waiters();
                    if let Some(nats) = &self.nats {
                        nats.announce(n).await;
                    }
                }
                Err(error) if error.may_pass() && !shutdown.is_cancelled() => {
                    tracing::warn!(%error, "cannot publish now; trying again");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The number of the newest snapshot that verifies. If there is a newer one that does not, an empty commit makes room for a good one.
    pub async fn newest_published(&self) -> Result<u64, ReplicaError> {
        let reader = self.replica.store().read_only();
        let (newest, rotten) = self.fetcher.newest_sound().await?;
        for (_, error) in &rotten {
            tracing::error!(%error, "the newest snapshot cannot be used; publishing another");
        }
        if !rotten.is_empty() {
            self.replica.append_empty().await?;
        }
        let newest = match newest {
            None => 0,
            Some((manifest, file)) => {
                let n = manifest.n;
                // It was fetched to be verified: what a delta from it needs is learnt on the way.
                if manifest.bytes >= self.large_bytes {
                    *self.known.lock().await = Some(Arc::new(Known::read(manifest, &file).await?));
                } else {
                    self.fetcher.clear().await;
                }
                n
            }
        };
        if snapshot::latest_hint(&reader).await? != Some(newest) && newest > 0 {
            snapshot::write_latest(self.replica.store(), newest).await?;
        }
        Ok(newest)
    }

    async fn wait_for_quiet(
        &self,
        head: &mut watch::Receiver<u64>,
        last: Option<(Instant, Duration)>,
        shutdown: &CancellationToken,
    ) {
        let interval = last.map_or(QUIET, |(_, took)| INTERVAL_MIN.max(took * INTERVAL_DURATIONS));
        let due = last.map_or_else(Instant::now, |(started, _)| started) + interval;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = head.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(QUIET) => if self.at_work.load(Ordering::Relaxed) == 0 { return },
            }
            if Instant::now() >= due {
                return;
            }
        }
    }

    /// Publishes the head, unless somebody has. Returns the number that is now published.
    pub async fn publish(&self) -> Result<u64, ReplicaError> {
        let store = self.replica.store();
        let head = self.replica.head().await?;
        if let Some(n) = snapshot::numbers_past(&store.read_only(), head.saturating_sub(1)).await?.last() {
            return Ok(*n);
        }
        let started = Instant::now();
        let files = Scratch::new(&self.scratch);
        let published = if self.replica.bytes()? >= self.large_bytes {
            self.publish_large(&files).await
        } else {
            self.publish_small(&files.whole).await
        };
        // Whatever happened, the files have done their work.
        files.remove().await;
        let (n, is_ours) = published?;
        self.fetcher.clear().await;
        if is_ours {
            tracing::debug!(snapshot.version = n, duration_ms = started.elapsed().as_millis(), "published");
            retention::after_publish(store, n).await;
        }
        Ok(n)
    }

    /// Returns the number, and whether it was not somebody else who published it.
    async fn publish_small(&self, file: &Path) -> Result<(u64, bool), ReplicaError> {
        let (store, written) = (self.replica.store(), file.to_owned());
        let (n, format, datasets) = self
            .replica
            .with(move |conn| {
                schema::check_counts(conn)?;
                schema::write_clean(conn, &written)?;
                Ok((schema::head(conn)?, schema::format(conn)?, schema::dataset_count(conn)?))
            })
            .await?;
        Ok((n, snapshot::publish(store, file, n, format, datasets, shared::clock::now_ms()).await?))
    }
}

/// Files that a publication makes.
struct Scratch {
    whole: PathBuf,
    delta: PathBuf,
}

impl Scratch {
    fn new(folder: &Path) -> Self {
        let id = ulid::Ulid::generate();
        let named = |kind: &str| folder.join(format!("{id}-{kind}.{SCRATCH_EXTENSION}"));
        Self { whole: named("whole"), delta: named("delta") }
    }

    async fn remove(&self) {
        for file in [&self.whole, &self.delta] {
            let _ = tokio::fs::remove_file(file).await;
        }
    }
}

/// Removes what publications of dead processes left.
pub fn sweep(scratch: &Path) -> std::io::Result<()> {
    std::fs::read_dir(scratch)?.try_for_each(|entry| {
        let path = entry?.path();
        if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
    })
}

/// Up to a few milliseconds and this much more, by chance.
fn jitter(more: Duration) -> Duration {
    let most = JITTER_MS + u64::try_from(more.as_millis()).unwrap_or(0);
    Duration::from_millis((ulid::Ulid::generate().random() % u128::from(most)) as u64)
}

#[cfg(test)]
mod tests;
