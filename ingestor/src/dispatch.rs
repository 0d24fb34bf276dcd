//! The loop of an ingestor: jobs handed out, hints taken, sources listed, the log followed.
//!
//! Inputs of folders wait in this process. Those of buckets wait in the queue that ingestors share, if there is one: what is handed to this process is held in
//! its own queue like everything else, with the delivery beside it until it is settled.

mod shared_queue;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use shared::catalog::inputs;
use tokio::sync::{mpsc, watch};
use tokio::task::{self, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::ingest::{IngestError, STOP_JOBS};
use crate::nats::Delivery;
use crate::pipeline::{End, Pipeline};
use crate::progress::Progress;
use crate::queue::{Attempts, InputKey, Lane, Queue, Turn};
use crate::reconcile::{self, Gone, Scan, Undecided};
use crate::replica::ReplicaError;
use crate::source::watch::{Hint, Watch, watch};
pub(crate) use shared_queue::SharedWork;

/// How often the log is followed for what others committed.
const FOLLOW_EVERY: Duration = Duration::from_secs(2);
/// How long the queue pauses when the disk is full.
const DISK_PAUSE: Duration = Duration::from_secs(10);
/// How soon a source is listed after a hint: soon, but once for many.
const LIST_SOON: Duration = Duration::from_millis(500);
/// Listings that hints ask for take at most this part of the time.
const LIST_PARTS: u32 = 10;
/// Inputs found by a listing and not yet in the queue.
const FOUND_MAX: usize = 1000;
/// Jobs of which nothing is left but the commit: they take no room from others.
const MADE_MAX: usize = 512;

/// Hands out jobs, and decides when to list what.
pub(crate) struct Dispatch {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) gone: Vec<Gone>,
    pub(crate) queue: Queue,
    /// The queue shared with other ingestors.
    pub(crate) shared: Option<SharedWork>,
    /// When each source was last listed.
    pub(crate) scans: Vec<Listing>,
    pub(crate) jobs: JoinSet<End>,
    /// Whose job each task is.
    pub(crate) keys: HashMap<task::Id, InputKey>,
    /// Jobs that wait for their commit.
    pub(crate) made: HashSet<InputKey>,
    /// Until when the queue pauses.
    pub(crate) paused: Option<Instant>,
    /// Inputs whose decision was cleared, by the commit that did it: looked at once each.
    pub(crate) undecided: HashMap<InputKey, u64>,
    /// What the publisher follows.
    pub(crate) head: watch::Sender<u64>,
    pub(crate) progress: Progress,
    pub(crate) reconcile: Duration,
    pub(crate) poll: Duration,
    /// Whether buckets tell of their changes, by the queue or the hook.
    pub(crate) announced: bool,
    pub(crate) watched: Vec<Option<Watch>>,
}

/// When a source is listed.
#[derive(Debug)]
pub(crate) struct Listing {
    last: Instant,
    /// How long it took.
    took: Duration,
    /// A hint asked for one at this time.
    asked: Option<Instant>,
    running: bool,
}

impl Listing {
    /// Listed just now.
    pub(crate) fn now() -> Self {
        Self { last: Instant::now(), took: Duration::ZERO, asked: None, running: false }
    }

    fn soon(&mut self) {
        let due = Instant::now() + LIST_SOON;
        let due = due.max(self.last + self.took * LIST_PARTS);
        self.asked = Some(self.asked.map_or(due, |asked| asked.min(due)));
    }
}

/// What a listing under way tells.
pub(crate) enum Told {
    Found(usize, Undecided),
    Ended(usize, Instant, Result<Option<Scan>, ReplicaError>),
}

impl Dispatch {
    /// Watches every source that can be watched.
    pub(crate) fn start_watches(&mut self, wanted: bool, hints: &mpsc::UnboundedSender<(usize, Hint)>) {
        for (index, setup) in self.pipeline.sources.iter().enumerate() {
            let Some(folder) = setup.source.folder() else {
                if self.shared.is_some() {
                    // What it finds goes into the queue, so it was not listed before.
                    self.scans[index].asked = Some(Instant::now());
                }
                self.watched.push(None);
                continue;
            };
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
            self.scans[index].asked = Some(Instant::now());
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
        let mut alive = interval(self.shared.as_ref().map_or(FOLLOW_EVERY, SharedWork::sign_every));
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (tell, mut told) = mpsc::channel(FOUND_MAX);
        // One for each job at work.
        let (say_made, mut made) = mpsc::unbounded_channel();
        loop {
            let next = self.hand_out(jobs_max, &say_made);
            self.pipeline.board.queued(self.queue.waiting_count(), self.queue.first_due(Instant::now()));
            let scan = self.next_scan();
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                Some(key) = made.recv() => self.made(key),
                Some(ended) = self.jobs.join_next_with_id() => {
                    // What it said before it ended.
                    while let Ok(key) = made.try_recv() {
                        self.made(key);
                    }
                    if !self.task_ended(ended) {
                        // The committer ended; its own task tells why.
                        std::future::pending::<()>().await;
                    }
                }
                Some((source, hint)) = hints.recv() => self.hint(source, hint),
                delivery = delivered(&mut self.shared) => self.delivered(delivery),
                _ = alive.tick() => self.signs_of_life(),
                Some(told) = told.recv() => self.told(told)?,
                () = sleep_until(scan.1) => self.start_scan(scan.0, &tell),
                () = sleep_until(next.unwrap_or_else(far)), if next.is_some() => {}
                _ = follow.tick() => self.follow().await?,
            }
        }
    }

    /// Starts what is due; returns when more will be, if there is room.
    fn hand_out(&mut self, jobs_max: usize, made: &mpsc::UnboundedSender<InputKey>) -> Option<Instant> {
        let now = Instant::now();
        if self.paused.is_some_and(|until| until > now) {
            return self.paused;
        }
        self.unpause();
        while self.jobs.len() < jobs_max + self.made.len().min(MADE_MAX) {
            match self.queue.next(now) {
                Ok((key, attempts)) => {
                    let others_waiting = !self.jobs.is_empty() || self.queue.due_count(now) > 0;
                    let lane = self.shared.as_mut().map_or(Lane::Bulk, |shared| shared.begin(&key));
                    let turn = Turn { lane, others_waiting };
                    let pipeline = Arc::clone(&self.pipeline);
                    let job = key.clone();
                    let made = made.clone();
                    let task = self.jobs.spawn(async move {
                        // Who listens no more starts no more jobs either.
                        pipeline.run(&job, attempts, turn, || drop(made.send(job.clone()))).await
                    });
                    self.keys.insert(task.id(), key);
                }
                Err(next) => return next,
            }
        }
        None
    }

    /// Nothing is left of a job but its commit.
    fn made(&mut self, key: InputKey) {
        if let Some(shared) = &mut self.shared {
            shared.make_room(&key);
        }
        self.made.insert(key);
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
        self.made.remove(&key);
        match end {
            End::Settled | End::Gone => {
                if matches!(end, End::Gone) {
                    // One look may be wrong; two listings that agree are not.
                    self.list_soon(key.source);
                }
                self.settled(&key);
                self.queue.done(key, None, now);
                self.progress.done(self.queue.len());
            }
            End::Again(pause) => {
                self.keep(&key);
                self.queue.done(key.clone(), None, now);
                self.queue.add(key, now + pause);
            }
            End::Retry(attempts) => self.retry(key, attempts, now),
            End::DiskFull(reason) => {
                if self.paused.is_none() {
                    tracing::error!(
                        reason,
                        pause_s = DISK_PAUSE.as_secs(),
                        "the disk is full; ingesting pauses and goes on by itself when there is room"
                    );
                }
                self.pause(now + DISK_PAUSE);
                self.keep(&key);
                self.queue.done(key.clone(), None, now);
                self.queue.add(key, now + DISK_PAUSE);
            }
            End::Closed => return false,
        }
        true
    }

    fn hint(&mut self, source: usize, hint: Hint) {
        match hint {
            Hint::Look(path) => self.queue.add(InputKey { source, path }, Instant::now()),
            Hint::List => self.list_soon(source),
        }
    }

    fn list_soon(&mut self, source: usize) {
        if let Some(listing) = self.scans.get_mut(source) {
            listing.soon();
        }
    }

    fn period(&self, source: usize) -> Duration {
        let announced = self.announced && self.is_bucket(source);
        match self.watched.get(source) {
            Some(Some(_)) => self.reconcile,
            _ if announced => self.reconcile,
            // A large source is not listed all day.
            _ => self.poll.max(self.scans[source].took * LIST_PARTS).min(self.reconcile),
        }
    }

    /// Which source is listed next, and when.
    fn next_scan(&self) -> (usize, Instant) {
        let due = |index: usize| {
            let listing = &self.scans[index];
            let regular = listing.last + self.period(index);
            [listing.asked, self.gone[index].due()].into_iter().flatten().fold(regular, Instant::min)
        };
        let idle = (0..self.scans.len()).filter(|index| !self.scans[*index].running);
        idle.map(|index| (index, due(index))).min_by_key(|(_, due)| *due).unwrap_or((0, far()))
    }

    /// Lists a source beside everything else: a large one takes minutes.
    fn start_scan(&mut self, index: usize, tell: &mpsc::Sender<Told>) {
        let queue = self.shared.as_ref().filter(|_| self.is_bucket(index)).map(|shared| shared.queue.clone());
        let Some(listing) = self.scans.get_mut(index).filter(|listing| !listing.running) else { return };
        (listing.running, listing.asked) = (true, None);
        let (pipeline, tell, started) = (Arc::clone(&self.pipeline), tell.clone(), Instant::now());
        tokio::spawn(async move {
            let Some(source) = pipeline.sources.get(index) else { return };
            let (found, finding) = mpsc::channel(FOUND_MAX);
            let (replica, told) = (&pipeline.replica, tell.clone());
            let scan = async move { reconcile::scan(replica, source, &found).await };
            let forward = async move {
                match queue {
                    Some(queue) => shared_queue::announce(queue, source.source.name(), finding).await,
                    None => forward(index, finding, &told).await,
                }
            };
            let (scanned, ()) = futures::join!(scan, forward);
            let _ = tell.send(Told::Ended(index, started, scanned)).await;
        });
    }

    fn told(&mut self, told: Told) -> Result<(), IngestError> {
        let (index, started, scanned) = match told {
            Told::Found(index, undecided) => {
                self.queue.add_listed(InputKey { source: index, path: undecided.path }, Instant::now());
                return Ok(());
            }
            Told::Ended(index, started, scanned) => (index, started, scanned),
        };
        let now = Instant::now();
        let listing = &mut self.scans[index];
        (listing.running, listing.last, listing.took) = (false, now, now - started);
        let scanned = match scanned {
            Err(error) if error.may_pass() => {
                tracing::warn!(%error, "cannot compare the source with the catalogue now");
                None
            }
            other => other?,
        };
        let (Some(scan), Some(source)) = (scanned, self.pipeline.sources.get(index)) else { return Ok(()) };
        self.pipeline.board.reconciled();
        let ripe = self.gone[index].note(source, &scan, now);
        if !ripe.is_empty() {
            // Beside everything else: each is looked for once more.
            tokio::spawn(reconcile::remove(Arc::clone(&self.pipeline), index, ripe));
        }
        Ok(())
    }

    /// Takes in what others committed: releases make jobs.
    async fn follow(&mut self) -> Result<(), IngestError> {
        let replica = &self.pipeline.replica;
        match replica.follow().await {
            Err(error) if error.may_pass() => return Ok(()),
            other => other?,
        }
        raise(&self.head, replica.head().await?);
        let undecided = replica.with(|conn| inputs::undecided(conn)).await?;
        let mut seen = HashMap::new();
        for (source, path, n) in undecided {
            let Some(index) = self.source_named(&source) else { continue };
            let key = InputKey { source: index, path };
            if self.undecided.get(&key) != Some(&n) {
                self.released(key.clone(), n);
            }
            seen.insert(key, n);
        }
        self.undecided = seen;
        Ok(())
    }

    fn source_named(&self, name: &str) -> Option<usize> {
        self.pipeline.sources.iter().position(|setup| setup.source.name() == name)
    }

    /// Lets jobs at work finish for a moment, then ends them: what they did is unreferenced and swept. What others may do is given back.
    pub(crate) async fn wind_down(&mut self) {
        let all = async {
            while let Some(ended) = self.jobs.join_next_with_id().await {
                if let Ok((id, End::Settled | End::Gone)) = ended
                    && let (Some(key), Some(shared)) = (self.keys.get(&id), &mut self.shared)
                {
                    shared.settled(key);
                }
            }
        };
        if timeout(STOP_JOBS, all).await.is_err() {
            self.jobs.shutdown().await;
        }
        if let Some(shared) = &mut self.shared {
            shared.give_all_back().await;
        }
    }
}

/// The next job handed to this process.
async fn delivered(shared: &mut Option<SharedWork>) -> Delivery {
    if let Some(shared) = shared
        && let Some(delivery) = shared.deliveries.recv().await
    {
        return delivery;
    }
    std::future::pending().await
}

async fn forward(index: usize, mut finding: mpsc::Receiver<Undecided>, tell: &mpsc::Sender<Told>) {
    while let Some(undecided) = finding.recv().await {
        if tell.send(Told::Found(index, undecided)).await.is_err() {
            return;
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
