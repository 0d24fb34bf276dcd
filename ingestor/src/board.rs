//! What ingesting is doing now, for the admin routes: jobs at work, counts, ages.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use tokio::time::Instant;

use crate::queue::InputKey;

/// Commits remembered until they are published.
const UNPUBLISHED_MAX: usize = 10_000;

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The log followed, the source asked, the file settling.
    Look,
    /// Linked or downloaded into scratch, and hashed.
    Stage,
    /// Waiting for a thread.
    Wait,
    /// In a child process.
    Convert,
    /// COGs on their way into the store.
    Upload,
    /// Waiting for its commit.
    Commit,
}

impl Stage {
    /// As people and metrics have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::Stage => "stage",
            Self::Wait => "wait",
            Self::Convert => "convert",
            Self::Upload => "upload",
            Self::Commit => "commit",
        }
    }
}

/// A job at work.
#[derive(Clone, Copy, Debug)]
pub struct JobNow {
    /// Where it is.
    pub stage: Stage,
    /// Part of the conversion done, 0 to 1.
    pub done: f64,
    /// When it began.
    pub started: Instant,
    /// When it last got on.
    pub advanced: Instant,
    entered: Instant,
}

/// What waits.
#[derive(Clone, Debug, Default)]
struct Waiting {
    pending: usize,
    oldest: Option<Instant>,
    reconciled: Option<Instant>,
    /// Commits that are in no snapshot yet, and when they were won.
    unpublished: VecDeque<(u64, Instant)>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StageLabels {
    stage: &'static str,
}

type Seconds = Counter<f64, AtomicU64>;

/// Shared by all that work.
#[derive(Debug, Default)]
pub struct Board {
    jobs: Mutex<BTreeMap<InputKey, JobNow>>,
    waiting: Mutex<Waiting>,
    outcomes: Family<OutcomeLabels, Counter>,
    rejections: Family<ReasonLabels, Counter>,
    stages: Family<StageLabels, Seconds>,
    stored_bytes: Counter,
}

/// A job on the board, until dropped.
#[derive(Debug)]
pub struct Entry<'b> {
    board: &'b Board,
    key: InputKey,
}

impl Board {
    /// A job begins.
    pub fn begin(&self, key: &InputKey) -> Entry<'_> {
        let now = Instant::now();
        lock(&self.jobs)
            .insert(key.clone(), JobNow { stage: Stage::Look, done: 0.0, started: now, advanced: now, entered: now });
        Entry { board: self, key: key.clone() }
    }

    /// What waits in the queue, and since when the first of it.
    pub fn queued(&self, pending: usize, oldest: Option<Instant>) {
        let mut waiting = lock(&self.waiting);
        (waiting.pending, waiting.oldest) = (pending, oldest);
    }

    /// A source was compared with the catalogue.
    pub fn reconciled(&self) {
        lock(&self.waiting).reconciled = Some(Instant::now());
    }

    /// A commit was won.
    pub fn committed(&self, n: u64) {
        let unpublished = &mut lock(&self.waiting).unpublished;
        // The first of them is what the lag counts from.
        if unpublished.len() < UNPUBLISHED_MAX {
            unpublished.push_back((n, Instant::now()));
        }
    }

    /// A snapshot was published.
    pub fn published(&self, n: u64) {
        lock(&self.waiting).unpublished.retain(|(committed, _)| *committed > n);
    }

    /// An input was decided.
    pub fn decided(&self, outcome: &'static str) {
        self.outcomes.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// An input was rejected, for one of a few kinds of reasons.
    pub fn rejected(&self, reason: &'static str) {
        self.rejections.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// A COG is in the store.
    pub fn stored(&self, bytes: u64) {
        self.stored_bytes.inc_by(bytes);
    }

    /// Jobs at work, in order.
    pub fn jobs(&self) -> Vec<(InputKey, JobNow)> {
        lock(&self.jobs).iter().map(|(key, job)| (key.clone(), *job)).collect()
    }

    /// The job on an input, if there is one at work.
    pub fn job(&self, key: &InputKey) -> Option<JobNow> {
        lock(&self.jobs).get(key).copied()
    }

    /// How many inputs wait.
    pub fn pending(&self) -> usize {
        lock(&self.waiting).pending
    }

    /// All of it as OpenMetrics text. `bytes` are those of scratch, and those free in the store, if that is known.
    pub fn text(&self, (scratch, free): (u64, Option<u64>)) -> String {
        let waiting = lock(&self.waiting).clone();
        let age = |since: Option<Instant>| since.map_or(0.0, |since| since.elapsed().as_secs_f64());
        let converting = lock(&self.jobs).values().filter(|job| job.stage == Stage::Convert).count();
        let mut registry = Registry::with_prefix("kiln_ingest");
        registry.register("inputs", "Inputs decided, by how", self.outcomes.clone());
        registry.register("rejections", "Inputs rejected, by kind of reason", self.rejections.clone());
        registry.register_with_unit("stage", "Time spent by jobs, by stage", Unit::Seconds, self.stages.clone());
        registry.register_with_unit("stored", "COGs put into the store", Unit::Bytes, self.stored_bytes.clone());
        let mut number = |name: &str, help: &str, value: f64| {
            let gauge = Gauge::<f64, AtomicU64>::default();
            gauge.set(value);
            registry.register(name, help, gauge);
        };
        number("pending", "Inputs that wait", waiting.pending as f64);
        number("oldest_pending_age_seconds", "Since the first of them could have begun", age(waiting.oldest));
        number("converting", "Conversions at work", converting as f64);
        number("reconcile_age_seconds", "Since a source was last compared with the catalogue", age(waiting.reconciled));
        number(
            "publish_lag_seconds",
            "Since the first commit that is in no snapshot yet",
            age(waiting.unpublished.front().map(|(_, at)| *at)),
        );
        number("scratch_bytes", "In scratch", scratch as f64);
        if let Some(free) = free {
            number("store_free_bytes", "Free where the store lies", free as f64);
        }
        let mut text = String::new();
        // Writing to a text does not fail.
        let _ = encode(&mut text, &registry);
        text
    }
}

impl Entry<'_> {
    /// The job is now here.
    pub fn at(&self, stage: Stage) {
        if let Some(job) = lock(&self.board.jobs).get_mut(&self.key) {
            self.board.spent(job.stage, job.entered.elapsed());
            let now = Instant::now();
            (job.stage, job.entered, job.advanced) = (stage, now, now);
        }
    }

    /// So much of the conversion is done.
    pub fn done(&self, done: f64) {
        if let Some(job) = lock(&self.board.jobs).get_mut(&self.key) {
            (job.done, job.advanced) = (done, Instant::now());
        }
    }

    /// A piece of it moved into scratch or into the store.
    pub fn moved(&self) {
        if let Some(job) = lock(&self.board.jobs).get_mut(&self.key) {
            job.advanced = Instant::now();
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if let Some(job) = lock(&self.board.jobs).remove(&self.key) {
            self.board.spent(job.stage, job.entered.elapsed());
        }
    }
}

impl Board {
    fn spent(&self, stage: Stage, time: Duration) {
        self.stages.get_or_create(&StageLabels { stage: stage.name() }).inc_by(time.as_secs_f64());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
