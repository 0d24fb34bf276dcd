//! What of the dispatch is about the queue that ingestors share: deliveries held beside the inputs they are about, until those are settled.

use std::collections::HashMap;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

use super::{Dispatch, STOP_JOBS};
use crate::board::Stage;
use crate::nats::{Delivery, JobQueue};
use crate::queue::{Attempts, InputKey, Lane, retry_pause};
use crate::reconcile::Undecided;

/// Jobs on their way into the queue at once.
const PUTS_AT_ONCE: usize = 128;
/// Tries to put one in; what fails is found by the next listing.
const PUT_TRIES: u32 = 5;
/// When a job of a source that this process does not know comes again, perhaps to one who does.
const UNKNOWN_PAUSE: Duration = Duration::from_mins(1);

/// This process's part in the shared queue.
pub(crate) struct SharedWork {
    pub(crate) queue: JobQueue,
    pub(crate) deliveries: mpsc::Receiver<Delivery>,
    /// Of inputs that wait in this process.
    waiting: HashMap<InputKey, Vec<Delivery>>,
    /// Of inputs at work.
    working: HashMap<InputKey, Vec<Delivery>>,
    /// Whether nothing is to be taken.
    paused: watch::Sender<bool>,
    ack_wait: Duration,
    /// A job that has not got on for so long is left to somebody else.
    patience: Duration,
}

impl SharedWork {
    pub(crate) fn new(
        queue: JobQueue,
        deliveries: mpsc::Receiver<Delivery>,
        paused: watch::Sender<bool>,
        ack_wait: Duration,
        patience: Duration,
    ) -> Self {
        let (waiting, working) = (HashMap::new(), HashMap::new());
        Self { queue, deliveries, waiting, working, paused, ack_wait, patience }
    }

    /// How often the queue is told that jobs get on: one sign may be lost.
    pub(super) fn sign_every(&self) -> Duration {
        self.ack_wait / 3
    }

    /// Work on an input begins, for all who asked so far.
    pub(super) fn begin(&mut self, key: &InputKey) -> Lane {
        let held = self.waiting.remove(key).unwrap_or_default();
        let bulk = !held.is_empty() && held.iter().all(|delivery| delivery.lane == Lane::Bulk);
        self.working.entry(key.clone()).or_default().extend(held);
        if bulk { Lane::Bulk } else { Lane::Live }
    }

    /// Another job may be taken beside one that only waits for its commit.
    pub(super) fn make_room(&mut self, key: &InputKey) {
        for delivery in self.working.get_mut(key).into_iter().flatten() {
            delivery.make_room();
        }
    }

    pub(super) fn settled(&mut self, key: &InputKey) {
        for delivery in self.working.remove(key).unwrap_or_default() {
            tokio::spawn(delivery.settled());
        }
    }

    pub(super) async fn give_all_back(&mut self) {
        self.deliveries.close();
        let mut all: Vec<Delivery> =
            self.waiting.drain().chain(self.working.drain()).flat_map(|(_, held)| held).collect();
        while let Ok(delivery) = self.deliveries.try_recv() {
            all.push(delivery);
        }
        let given = futures::future::join_all(all.into_iter().map(|delivery| delivery.again(Duration::ZERO)));
        // What does not arrive comes again by itself, a little later.
        let _ = timeout(STOP_JOBS, given).await;
    }
}

impl Dispatch {
    /// Whether a source is a bucket: its jobs are handed out by the shared queue, if there is one.
    pub(super) fn is_bucket(&self, source: usize) -> bool {
        self.pipeline.sources.get(source).is_some_and(|setup| setup.source.bucket().is_some())
    }

    pub(super) fn delivered(&mut self, delivery: Delivery) {
        let Some(index) = self.source_named(&delivery.source).filter(|index| self.is_bucket(*index)) else {
            tracing::debug!(
                source = delivery.source,
                input = delivery.path,
                "a job of a source that is not known here"
            );
            tokio::spawn(delivery.again(UNKNOWN_PAUSE));
            return;
        };
        if delivery.path.ends_with('/') {
            // All below it may have changed.
            self.list_soon(index);
            tokio::spawn(delivery.settled());
            return;
        }
        let key = InputKey { source: index, path: delivery.path.clone() };
        if let Some(shared) = &mut self.shared {
            shared.waiting.entry(key.clone()).or_default().push(delivery);
        }
        self.queue.add(key, Instant::now());
    }

    /// An input that the catalogue no longer has decided.
    pub(super) fn released(&mut self, key: InputKey, n: u64) {
        let Some(shared) = self.shared.as_ref().filter(|_| self.is_bucket(key.source)) else {
            return self.queue.add(key, Instant::now());
        };
        let Some(setup) = self.pipeline.sources.get(key.source) else { return };
        let (queue, source) = (shared.queue.clone(), setup.source.name().to_owned());
        tokio::spawn(async move { put(&queue, Lane::Live, &source, &key.path, &format!("released {n}")).await });
    }

    pub(super) fn settled(&mut self, key: &InputKey) {
        if let Some(shared) = &mut self.shared {
            shared.settled(key);
        }
    }

    /// The work on an input goes on in this process.
    pub(super) fn keep(&mut self, key: &InputKey) {
        if let Some(shared) = &mut self.shared
            && let Some(held) = shared.working.remove(key)
        {
            shared.waiting.entry(key.clone()).or_default().extend(held);
        }
    }

    /// Gives an input to whoever takes it after a pause, the longer the more often it was handed out. False if it was not handed to us.
    fn give_back(&mut self, key: &InputKey) -> bool {
        let held = self.shared.as_mut().and_then(|shared| shared.working.remove(key)).unwrap_or_default();
        let given = !held.is_empty();
        for delivery in held {
            let pause = retry_pause(u32::try_from(delivery.count).unwrap_or(u32::MAX));
            tokio::spawn(delivery.again(pause));
        }
        given
    }

    /// A failure that may pass. After a crash the same process tries again: two crashes reject an input, and only it has seen the first.
    pub(super) fn retry(&mut self, key: InputKey, attempts: Attempts, now: Instant) {
        if attempts.crashes == 0 && self.give_back(&key) {
            return self.queue.done(key, None, now);
        }
        self.keep(&key);
        self.queue.done(key, Some(attempts), now);
    }

    pub(super) fn pause(&mut self, until: Instant) {
        self.paused = Some(until);
        if let Some(shared) = &self.shared {
            shared.paused.send_replace(true);
        }
    }

    pub(super) fn unpause(&mut self) {
        if self.paused.take().is_some()
            && let Some(shared) = &self.shared
        {
            shared.paused.send_replace(false);
        }
    }

    /// Says of every job that gets on that it does; of one that does not, nothing: it comes to somebody else.
    pub(super) fn signs_of_life(&mut self) {
        // While NATS is away nothing can be told, and what waited to be told would pile up.
        let Some(shared) = self.shared.as_ref().filter(|shared| shared.queue.nats().is_connected()) else { return };
        let gets_on = |key: &InputKey| {
            self.pipeline.board.job(key).is_some_and(|job| {
                let waits = matches!(job.stage, Stage::Wait | Stage::Commit);
                waits || job.advanced.elapsed() < shared.patience
            })
        };
        let working = shared.working.iter().filter(|(key, _)| gets_on(key));
        for delivery in working.chain(&shared.waiting).flat_map(|(_, held)| held) {
            delivery.say_in_progress();
        }
    }
}

/// Puts what a listing finds into the shared queue.
pub(super) async fn announce(queue: JobQueue, source: &str, found: mpsc::Receiver<Undecided>) {
    let each = stream::unfold(found, |mut found| async move { Some((found.recv().await?, found)) });
    let puts = each.map(|undecided| {
        let queue = &queue;
        async move {
            let state = format!("{} {}", undecided.version, undecided.prev);
            put(queue, Lane::Bulk, source, &undecided.path, &state).await;
        }
    });
    puts.buffer_unordered(PUTS_AT_ONCE).collect::<()>().await;
}

async fn put(queue: &JobQueue, lane: Lane, source: &str, path: &str, state: &str) {
    let mut tries = 1;
    while let Err(error) = queue.put(lane, source, path, Some(state)).await {
        if tries >= PUT_TRIES {
            tracing::warn!(%error, input = path, "cannot be put into the queue now; the next listing finds it again");
            return;
        }
        tokio::time::sleep(retry_pause(tries)).await;
        tries += 1;
    }
}
