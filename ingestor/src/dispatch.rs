//! The loop of an ingestor: jobs handed out, hints taken, sources listed, the log followed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use shared::catalog::inputs;
use tokio::sync::{mpsc, watch};
use tokio::task::{self, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::ingest::{IngestError, STOP_JOBS};
use crate::pipeline::{End, Pipeline};
use crate::progress::Progress;
use crate::queue::{Attempts, InputKey, Queue};
use crate::reconcile::{self, Gone};
use crate::source::watch::{Hint, Watch, watch};

/// How often the log is followed for what others committed.
const FOLLOW_EVERY: Duration = Duration::from_secs(2);
/// How long the queue pauses when the disk is full.
const DISK_PAUSE: Duration = Duration::from_secs(10);

/// Hands out jobs, and decides when to list what.
pub(crate) struct Dispatch {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) gone: Vec<Gone>,
    pub(crate) queue: Queue,
    /// When each source was last listed.
    pub(crate) scans: Vec<Instant>,
    pub(crate) jobs: JoinSet<End>,
    /// Whose job each task is.
    pub(crate) keys: HashMap<task::Id, InputKey>,
    /// Until when the queue pauses.
    pub(crate) paused: Option<Instant>,
    /// Inputs whose decision was cleared, by the commit that did it: looked at once each.
    pub(crate) undecided: HashMap<InputKey, u64>,
    /// What the publisher follows.
    pub(crate) head: watch::Sender<u64>,
    pub(crate) progress: Progress,
    pub(crate) reconcile: Duration,
    pub(crate) poll: Duration,
    pub(crate) watched: Vec<Option<Watch>>,
}

impl Dispatch {
    /// Watches every source that can be watched.
    pub(crate) fn start_watches(&mut self, wanted: bool, hints: &mpsc::UnboundedSender<(usize, Hint)>) {
        for (index, source) in self.pipeline.sources.iter().enumerate() {
            let folder = &source.folder;
            if !wanted || folder.is_remote() {
                let why = if wanted {
                    "changes made elsewhere give no events on this file system"
                } else {
                    "watching is off"
                };
                tracing::info!(
                    source = folder.name,
                    every_s = self.poll.as_secs(),
                    "{why}; the folder is listed again and again"
                );
                self.watched.push(None);
                continue;
            }
            let (sender, mut receiver) = mpsc::unbounded_channel();
            let hints = hints.clone();
            tokio::spawn(async move {
                while let Some(hint) = receiver.recv().await {
                    if hints.send((index, hint)).is_err() {
                        return;
                    }
                }
            });
            match watch(folder.clone(), sender) {
                Ok(watch) => self.watched.push(Some(watch)),
                Err(error) => {
                    tracing::warn!(%error, source = folder.name, every_s = self.poll.as_secs(), "the folder cannot be watched; it is listed again and again");
                    self.watched.push(None);
                }
            }
            // What changed between the first listing and the watch gave no event.
            self.scans[index] = Instant::now().checked_sub(self.reconcile).unwrap_or_else(Instant::now);
        }
    }

    /// Works until told to stop.
    pub(crate) async fn run(
        &mut self,
        jobs_max: usize,
        mut hints: mpsc::UnboundedReceiver<(usize, Hint)>,
        stop: &CancellationToken,
    ) -> Result<(), IngestError> {
        let mut follow = interval(FOLLOW_EVERY);
        follow.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let next = self.hand_out(jobs_max);
            self.pipeline.board.queued(self.queue.waiting_count(), self.queue.first_due(Instant::now()));
            let scan = self.next_scan();
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                Some(ended) = self.jobs.join_next_with_id() => {
                    if !self.task_ended(ended) {
                        // The committer ended; its own task tells why.
                        std::future::pending::<()>().await;
                    }
                }
                Some((source, hint)) = hints.recv() => self.hint(source, hint),
                () = sleep_until(scan.1) => self.scan(scan.0).await?,
                () = sleep_until(next.unwrap_or_else(far)), if next.is_some() => {}
                _ = follow.tick() => self.follow().await?,
            }
        }
    }

    /// Starts what is due; returns when more will be, if there is room.
    fn hand_out(&mut self, jobs_max: usize) -> Option<Instant> {
        let now = Instant::now();
        if self.paused.is_some_and(|until| until > now) {
            return self.paused;
        }
        self.paused = None;
        while self.jobs.len() < jobs_max {
            match self.queue.next(now) {
                Ok((key, attempts)) => {
                    let others_waiting = !self.jobs.is_empty() || self.queue.due_count(now) > 0;
                    let pipeline = Arc::clone(&self.pipeline);
                    let job = key.clone();
                    let task = self.jobs.spawn(async move { pipeline.run(&job, attempts, others_waiting).await });
                    self.keys.insert(task.id(), key);
                }
                Err(next) => return next,
            }
        }
        None
    }

    /// Returns false when nothing can be committed any more.
    fn task_ended(&mut self, ended: Result<(task::Id, End), task::JoinError>) -> bool {
        let (id, end) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                tracing::error!(%error, "a job failed in a way it should not; trying again");
                (error.id(), End::Retry(Attempts { failures: 1, ..Attempts::default() }))
            }
        };
        self.keys.remove(&id).is_none_or(|key| self.job_ended(key, end))
    }

    fn job_ended(&mut self, key: InputKey, end: End) -> bool {
        let now = Instant::now();
        match end {
            End::Settled => {
                self.queue.done(key, None, now);
                self.progress.done(self.queue.len());
            }
            End::Again(pause) => {
                self.queue.done(key.clone(), None, now);
                self.queue.add(key, now + pause);
            }
            End::Retry(attempts) => self.queue.done(key, Some(attempts), now),
            End::DiskFull(reason) => {
                if self.paused.is_none() {
                    tracing::error!(
                        reason,
                        pause_s = DISK_PAUSE.as_secs(),
                        "the disk is full; ingesting pauses and goes on by itself when there is room"
                    );
                }
                self.paused = Some(now + DISK_PAUSE);
                self.queue.done(key.clone(), None, now);
                self.queue.add(key, now + DISK_PAUSE);
            }
            End::Closed => return false,
        }
        true
    }

    fn hint(&mut self, source: usize, hint: Hint) {
        let now = Instant::now();
        match hint {
            Hint::Look(path) => self.queue.add(InputKey { source, path }, now),
            // Soon, but once for many.
            Hint::List => {
                let due = now.checked_sub(self.period(source)).unwrap_or(now) + Duration::from_millis(500);
                if let Some(last) = self.scans.get_mut(source) {
                    *last = (*last).min(due);
                }
            }
        }
    }

    fn period(&self, source: usize) -> Duration {
        match self.watched.get(source) {
            Some(Some(_)) => self.reconcile,
            _ => self.poll.min(self.reconcile),
        }
    }

    /// Which source is listed next, and when.
    fn next_scan(&self) -> (usize, Instant) {
        let due = |index: usize| {
            let regular = self.scans[index] + self.period(index);
            self.gone[index].due().map_or(regular, |due| regular.min(due))
        };
        (0..self.scans.len()).map(|index| (index, due(index))).min_by_key(|(_, due)| *due).unwrap_or((0, far()))
    }

    async fn scan(&mut self, index: usize) -> Result<(), IngestError> {
        let Some(source) = self.pipeline.sources.get(index) else { return Ok(()) };
        let scanned = match reconcile::scan(&self.pipeline.replica, source).await {
            Err(error) if error.may_pass() => {
                tracing::warn!(%error, "cannot compare the source with the catalogue now");
                None
            }
            other => other?,
        };
        let now = Instant::now();
        self.scans[index] = now;
        let Some(scan) = scanned else { return Ok(()) };
        self.pipeline.board.reconciled();
        let ripe = self.gone[index].note(source, &scan, now);
        for seen in scan.jobs {
            self.queue.add_listed(InputKey { source: index, path: seen.path }, now);
        }
        if !ripe.is_empty() {
            reconcile::remove(&self.pipeline, index, ripe).await;
            self.follow().await?;
        }
        Ok(())
    }

    /// Takes in what others committed: releases make jobs.
    async fn follow(&mut self) -> Result<(), IngestError> {
        let replica = &self.pipeline.replica;
        match replica.follow().await {
            Err(error) if error.may_pass() => return Ok(()),
            other => other?,
        };
        raise(&self.head, replica.head().await?);
        let undecided = replica.with(|conn| inputs::undecided(conn)).await?;
        let sources = &self.pipeline.sources;
        let mut seen = HashMap::new();
        for (source, path, n) in undecided {
            let Some(index) = sources.iter().position(|s| s.folder.name == source) else { continue };
            let key = InputKey { source: index, path };
            if self.undecided.get(&key) != Some(&n) {
                self.queue.add(key.clone(), Instant::now());
            }
            seen.insert(key, n);
        }
        self.undecided = seen;
        Ok(())
    }

    /// Lets jobs at work finish for a moment, then ends them: what they did is unreferenced and swept.
    pub(crate) async fn wind_down(&mut self) {
        let all = async { while self.jobs.join_next().await.is_some() {} };
        if timeout(STOP_JOBS, all).await.is_err() {
            self.jobs.shutdown().await;
        }
    }
}

/// Moves the published head up, never down.
pub(crate) fn raise(head: &watch::Sender<u64>, n: u64) {
    head.send_if_modified(|head| {
        let higher = *head < n;
        *head = n.max(*head);
        higher
    });
}

/// A time that does not come.
fn far() -> Instant {
    Instant::now() + Duration::from_hours(24)
}
