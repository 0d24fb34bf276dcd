//! The work queue: jobs put in by whoever noticed something, one handed out for each free slot of any ingestor, acknowledged after its commit.
//!
//! An acknowledgement is no fence: after a redelivery two ingestors may work on one input, and the commit decides.

use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::Acker;
use async_nats::jetstream::{AckKind, Message};
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use shared::causes::causes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{Nats, NatsError};
use crate::queue::Lane;

/// How long one pull waits for a job.
const PULL_WAIT: Duration = Duration::from_secs(10);
/// Pause after a failure.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Handed out so often and never settled: it goes to the dead letters, and the next listing may try anew.
const DELIVERIES_MAX: i64 = 50;
/// Makes jobs of one input at one version count as one, within the stream's window.
const MESSAGE_ID: &str = "Nats-Msg-Id";

impl Lane {
    fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Bulk => "bulk",
        }
    }
}

/// A job as it lies in the queue: look at this path of this source.
#[derive(Debug, Serialize, Deserialize)]
struct Wire {
    source: String,
    path: String,
}

/// The queue, for those who put in and those who take out.
#[derive(Clone, Debug)]
pub struct JobQueue(Nats);

/// A job handed out. Dropped without a word, it comes again to somebody after the wait for acknowledgements.
pub struct Delivery {
    /// Name of the source.
    pub source: String,
    /// Path in it: of an input, or of one of its sidecars.
    pub path: String,
    /// Which lane it came by.
    pub lane: Lane,
    /// How often it was handed out, this time included.
    pub count: i64,
    acker: Arc<Acker>,
    slot: Option<OwnedSemaphorePermit>,
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery").field("source", &self.source).field("path", &self.path).finish_non_exhaustive()
    }
}

impl JobQueue {
    /// The queue of a connection.
    pub fn new(nats: Nats) -> Self {
        Self(nats)
    }

    /// The connection.
    pub fn nats(&self) -> &Nats {
        &self.0
    }

    /// Puts a job in; it is stored when this returns. One that already waits is enough. `state`, if known, is what the job is about: the same state is not put in
    /// twice within two minutes.
    pub async fn put(&self, lane: Lane, source: &str, path: &str, state: Option<&str>) -> Result<(), NatsError> {
        let nats = &self.0;
        let id = blake3::hash(format!("{source}\0{path}").as_bytes()).to_hex();
        let subject = nats.subject(&format!("jobs.{}.{}", lane.name(), &id[..24]));
        let mut headers = HeaderMap::new();
        if let Some(state) = state {
            headers.insert(MESSAGE_ID, format!("{}-{}", &id[..24], blake3::hash(state.as_bytes()).to_hex()).as_str());
        }
        let wire = Wire { source: source.to_owned(), path: path.to_owned() };
        let payload = serde_json::to_vec(&wire).map_err(NatsError::failed)?;
        match nats.store(subject, headers, payload.into()).await {
            Ok(()) => Ok(()),
            Err(error) if is_enough(&error) => Ok(()),
            Err(error) if error.kind() == PublishErrorKind::StreamNotFound => {
                // Somebody wiped the server: the queue is made again, and this job is put into it.
                nats.ensure_streams().await?;
                Err(NatsError::failed(error))
            }
            Err(error) => Err(NatsError::failed(error)),
        }
    }

    /// Takes jobs until told to stop: as many of each lane as there are slots, and one more whenever one is settled. Nothing is taken while `paused`.
    pub fn start_pulling(
        &self,
        slots: usize,
        paused: &watch::Receiver<bool>,
        stop: &CancellationToken,
    ) -> mpsc::Receiver<Delivery> {
        let (deliveries, received) = mpsc::channel(slots.max(1));
        for lane in [Lane::Live, Lane::Bulk] {
            let slots = Arc::new(Semaphore::new(slots.max(1)));
            let puller =
                Puller { queue: self.clone(), lane, slots, deliveries: deliveries.clone(), paused: paused.clone() };
            let stop = stop.clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = puller.run() => {}
                }
            });
        }
        received
    }
}

/// Takes the jobs of one lane.
struct Puller {
    queue: JobQueue,
    lane: Lane,
    slots: Arc<Semaphore>,
    deliveries: mpsc::Sender<Delivery>,
    paused: watch::Receiver<bool>,
}

impl Puller {
    /// Ends when nobody wants jobs any more.
    async fn run(mut self) {
        while !self.deliveries.is_closed() {
            if let Err(error) = self.pull().await {
                tracing::warn!(%error, lane = self.lane.name(), "cannot take jobs now; trying again");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }

    /// Pulls until something fails: stream and consumer are then looked up anew, for the server may have lost them.
    async fn pull(&mut self) -> Result<(), NatsError> {
        let nats = self.queue.nats().clone();
        let stream = nats.jobs_stream().await?;
        let filter = nats.subject(&format!("jobs.{}.*", self.lane.name()));
        let consumer = nats.consumer(&stream, self.lane.name(), filter).await?;
        loop {
            let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(NatsError::failed)?;
            self.paused.wait_for(|paused| !paused).await.map_err(NatsError::failed)?;
            // One at a time: what waits in this process would be handed to another after the wait for acknowledgements.
            let batch = consumer.batch().max_messages(1).expires(PULL_WAIT).messages().await;
            match batch.map_err(NatsError::failed)?.next().await {
                Some(message) => self.take(message.map_err(NatsError::failed)?, slot).await?,
                // Nothing came: is it still there? A pull from what is gone waits in vain, for ever.
                None => drop(consumer.get_info().await.map_err(NatsError::failed)?),
            }
        }
    }

    async fn take(&self, message: Message, slot: OwnedSemaphorePermit) -> Result<(), NatsError> {
        let count = message.info().map_or(1, |info| info.delivered);
        let (message, acker) = message.split();
        let nats = self.queue.nats();
        let wire: Wire = match serde_json::from_slice(&message.payload) {
            Ok(wire) => wire,
            Err(error) => {
                nats.bury("jobs", &format!("not a job: {error}"), message.payload).await?;
                return acker.ack_with(AckKind::Term).await.map_err(NatsError::failed);
            }
        };
        if count > DELIVERIES_MAX {
            let reason = format!("handed out {DELIVERIES_MAX} times and never settled");
            nats.bury("jobs", &reason, message.payload).await?;
            return acker.ack_with(AckKind::Term).await.map_err(NatsError::failed);
        }
        let Wire { source, path } = wire;
        let delivery = Delivery { source, path, lane: self.lane, count, acker: Arc::new(acker), slot: Some(slot) };
        // Nobody wants it any more: it comes again to somebody.
        let _ = self.deliveries.send(delivery).await;
        Ok(())
    }
}

impl Delivery {
    /// Lets the next one of its lane be taken before this one is settled.
    pub fn make_room(&mut self) {
        self.slot = None;
    }

    /// It is settled: takes it out of the queue. If that does not arrive it comes again, and is found settled.
    pub async fn settled(self) {
        if let Err(error) = self.acker.double_ack().await {
            tracing::debug!(%error, input = self.path, "the acknowledgement did not arrive; it comes again");
        }
    }

    /// To be handed out again, to anybody, after this pause.
    pub async fn again(self, pause: Duration) {
        let pause = (!pause.is_zero()).then_some(pause);
        if let Err(error) = self.acker.ack_with(AckKind::Nak(pause)).await {
            tracing::debug!(%error, input = self.path, "giving it back did not arrive; it comes again");
        }
    }

    /// Says that it is being worked on and gets on.
    pub fn say_in_progress(&self) {
        let acker = Arc::clone(&self.acker);
        tokio::spawn(async move {
            if let Err(error) = acker.ack_with(AckKind::Progress).await {
                tracing::debug!(%error, "a sign of life did not arrive");
            }
        });
    }
}

/// Whether a refusal says that there is such a job already.
fn is_enough(error: &PublishError) -> bool {
    causes(error).any(|cause| cause.to_string().contains("maximum messages per subject exceeded"))
}
