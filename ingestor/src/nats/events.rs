//! Notifications → jobs. Every ingestor takes part; a notification is acknowledged once its jobs are in the queue, or it is kept as a dead letter.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::{AckKind, Message};
use bytes::Bytes;
use futures::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::{JobQueue, Nats, NatsError};
use crate::event::{self, Announcement};
use crate::queue::Lane;
use crate::source::bucket::BucketSource;

/// Notifications read at a time.
const BATCH: usize = 100;
/// How long a read waits for the first.
const BATCH_WAIT: Duration = Duration::from_secs(5);
/// Pause after a failure.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// When a notification that could not be followed comes again.
const AGAIN_PAUSE: Duration = Duration::from_secs(20);
/// The consumer all ingestors share.
const CONSUMER: &str = "planner";

impl Nats {
    /// Puts a raw notification into the stream, as a store that knows NATS does.
    pub async fn put_event(&self, origin: &str, payload: Bytes) -> Result<(), NatsError> {
        let subject = self.subject(&format!("events.{origin}"));
        self.store(subject, HeaderMap::new(), payload).await.map_err(NatsError::failed)
    }
}

/// Turns notifications into jobs until told to stop.
pub async fn plan(queue: JobQueue, sources: Vec<BucketSource>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let planned = tokio::select! {
            () = stop.cancelled() => return,
            planned = plan_some(&queue, &sources) => planned,
        };
        if let Err(error) = planned {
            tracing::warn!(%error, "cannot read notifications now; trying again");
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}

/// Reads until something fails: whatever was made for the reading is then made anew, for the server may have lost it.
async fn plan_some(queue: &JobQueue, sources: &[BucketSource]) -> Result<(), NatsError> {
    let nats = queue.nats();
    let stream = nats.events_stream().await?;
    let consumer = nats.consumer(&stream, CONSUMER, String::new()).await?;
    loop {
        let batch = consumer.batch().max_messages(BATCH).expires(BATCH_WAIT).messages().await;
        let mut batch = batch.map_err(NatsError::failed)?;
        let mut seen = 0;
        while let Some(message) = batch.next().await {
            let message = message.map_err(NatsError::failed)?;
            seen += 1;
            // One that fails, perhaps for a bucket that is away, does not hold up the others.
            if let Err(error) = plan_one(queue, sources, &message).await {
                tracing::warn!(%error, "a notification cannot be followed now; it comes again");
                message.ack_with(AckKind::Nak(Some(AGAIN_PAUSE))).await.map_err(NatsError::failed)?;
            }
        }
        if seen == 0 {
            // Nothing came: whether the server still has the consumer is asked for, or it would be waited for for ever.
            stream.get_info().await.map_err(NatsError::failed)?;
            consumer.get_info().await.map_err(NatsError::failed)?;
        }
    }
}

async fn plan_one(queue: &JobQueue, sources: &[BucketSource], message: &Message) -> Result<(), NatsError> {
    match event::parse(&message.payload) {
        Ok(Announcement::Look(events)) => {
            for event in &events {
                for source in sources {
                    let input = source.input_of(event).await.map_err(NatsError::failed)?;
                    if let Some(path) = input {
                        queue.put(Lane::Live, &source.name, &path, None).await?;
                    }
                }
            }
            message.ack().await.map_err(NatsError::failed)
        }
        Ok(Announcement::ConfirmSubscription { .. } | Announcement::ValidateWebhook { .. }) => {
            bury(queue, message, "a handshake that only an HTTP hook can answer").await
        }
        Err(unknown) => bury(queue, message, &unknown.to_string()).await,
    }
}

async fn bury(queue: &JobQueue, message: &Message, reason: &str) -> Result<(), NatsError> {
    queue.nats().bury("events", reason, message.payload.clone()).await?;
    message.ack_with(AckKind::Term).await.map_err(NatsError::failed)
}
