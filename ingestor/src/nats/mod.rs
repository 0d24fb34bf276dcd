//! NATS JetStream, where many ingestors share work: raw notifications come in, jobs are handed out, what nobody understands is kept, and publications are
//! announced. It is the work queue, never the record: wiping it loses nothing, because listings announce again and commits decide.

mod dead;
mod events;
mod jobs;

use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::context::{
    CreateStreamError, CreateStreamErrorKind, GetStreamError, GetStreamErrorKind, PublishError, PublishErrorKind,
};
use async_nats::jetstream::stream::{Config as StreamConfig, DiscardPolicy, RetentionPolicy, Stream};
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions, Event, HeaderMap};
use bytes::Bytes;

pub use events::plan;
pub use jobs::{Delivery, JobQueue};

/// The oldest server that keeps filters of consumers: older ones silently hand out everything.
const SERVER_MIN: (u64, u64) = (2, 10);
/// How long one answer of the server is waited for.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Pauses between tries to connect.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_hours(24);
/// Bounds of the streams: what notifications, jobs and dead letters may take on the server's disk.
const EVENTS_BYTES_MAX: i64 = 1 << 30;
const JOBS_BYTES_MAX: i64 = 1 << 30;
const DEAD_BYTES_MAX: i64 = 256 << 20;
/// Jobs of one input in one lane, those at work included: as many as ingestors that may take one each, so that the last event always finds room.
const JOBS_PER_INPUT_MAX: i64 = 16;
/// How long telling servers of a publication may take.
const ANNOUNCE_TIMEOUT: Duration = Duration::from_secs(1);

/// How NATS is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsSettings {
    /// Servers, separated by commas.
    pub url: String,
    /// What subjects and streams begin with, so that several deployments may share a server.
    pub prefix: String,
    /// A credentials file, as `nsc` makes it.
    pub credentials: Option<String>,
    /// How many servers of a cluster keep each stream.
    pub replicas: usize,
    /// After so long without a word, a job is handed to another.
    pub ack_wait: Duration,
}

/// Why NATS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    /// It cannot be reached; it may pass.
    #[error("cannot connect to NATS at {url}: {reason}")]
    Connect {
        /// Where.
        url: String,
        /// Why.
        reason: String,
    },
    /// It is too old, or has no JetStream: a person must do something.
    #[error("cannot use NATS at {url}: {reason}")]
    Unusable {
        /// Where.
        url: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A request failed; it may pass.
    #[error("NATS failed: {0}")]
    Failed(String),
}

impl NatsError {
    fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

/// A connection. Cheap to clone; it connects again by itself.
#[derive(Clone, Debug)]
pub struct Nats {
    client: Client,
    context: Context,
    settings: NatsSettings,
}

impl Nats {
    /// Connects, trying until it succeeds; refuses a server that cannot do what is needed.
    pub async fn connect(settings: NatsSettings) -> Result<Self, NatsError> {
        let mut pause = RETRY_PAUSE;
        loop {
            match Self::try_connect(&settings).await {
                Err(error @ NatsError::Connect { .. }) => {
                    tracing::warn!(%error, retry_ms = pause.as_millis(), "trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY_PAUSE_MAX);
                }
                other => return other,
            }
        }
    }

    /// Connects once.
    pub async fn try_connect(settings: &NatsSettings) -> Result<Self, NatsError> {
        let url = shown(&settings.url);
        let unusable = |reason: String| NatsError::Unusable { url: url.clone(), reason };
        let mut options =
            ConnectOptions::new().name("kiln").request_timeout(Some(REQUEST_TIMEOUT)).event_callback(tell);
        if let Some(file) = &settings.credentials {
            options =
                options.credentials_file(file).await.map_err(|e| unusable(format!("the credentials {file}: {e}")))?;
        }
        let servers: Vec<async_nats::ServerAddr> = settings
            .url
            .split(',')
            .map(|server| {
                server.trim().parse().map_err(|e| unusable(format!("not a URL such as nats://host:4222: {e}")))
            })
            .collect::<Result<_, _>>()?;
        let connected = options.connect(servers).await;
        let client = connected.map_err(|e| NatsError::Connect { url: url.clone(), reason: e.to_string() })?;
        let info = client.server_info();
        if !is_new_enough(&info.version) {
            return Err(unusable(format!(
                "it is nats-server {}; at least {}.{} is needed, whose consumers keep their filters",
                info.version, SERVER_MIN.0, SERVER_MIN.1
            )));
        }
        if !info.jetstream {
            return Err(unusable("JetStream is off; start nats-server with --jetstream".to_owned()));
        }
        let context = jetstream::context::ContextBuilder::new().timeout(REQUEST_TIMEOUT).build(client.clone());
        Ok(Self { client, context, settings: settings.clone() })
    }

    /// Makes the streams that are not there. One that is there stays as its operator made it.
    pub async fn ensure_streams(&self) -> Result<(), NatsError> {
        self.events_stream().await?;
        self.jobs_stream().await?;
        self.dead_stream().await?;
        Ok(())
    }

    /// Tells servers that a snapshot was published. Nobody may be listening.
    pub async fn announce(&self, n: u64) {
        let subject = server::hint_subject(&self.settings.prefix);
        let told = async {
            self.client.publish(subject, n.to_string().into()).await.is_ok() && self.client.flush().await.is_ok()
        };
        // While NATS is away this would wait for it, and the next publication with it.
        if !tokio::time::timeout(ANNOUNCE_TIMEOUT, told).await.unwrap_or(false) {
            tracing::debug!(snapshot.version = n, "servers were not told of the snapshot; they find it by polling");
        }
    }

    /// Whether the server can be reached now.
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Bytes of the largest message the server takes.
    pub fn payload_bytes_max(&self) -> usize {
        self.client.server_info().max_payload
    }

    /// Puts a message into the stream that has its subject; it is stored when this returns. While NATS is away this would wait for it, so it has a bound.
    async fn store(&self, subject: String, headers: HeaderMap, payload: Bytes) -> Result<(), PublishError> {
        let publish = self.context.publish_with_headers(subject, headers, payload);
        let late = |_| PublishError::new(PublishErrorKind::TimedOut);
        tokio::time::timeout(REQUEST_TIMEOUT, publish).await.map_err(late)??.await.map(drop)
    }

    fn subject(&self, tail: &str) -> String {
        format!("{}.{tail}", self.settings.prefix)
    }

    fn stream_name(&self, what: &str) -> String {
        format!("{}_{what}", self.settings.prefix.to_uppercase())
    }

    /// Raw notifications. Producers such as a store know only this one.
    async fn events_stream(&self) -> Result<Stream, NatsError> {
        self.ensure(StreamConfig {
            name: self.stream_name("EVENTS"),
            subjects: vec![self.subject("events"), self.subject("events.>")],
            max_age: 7 * DAY,
            max_bytes: EVENTS_BYTES_MAX,
            // What RustFS asks for, and more.
            duplicate_window: Duration::from_mins(10),
            ..StreamConfig::default()
        })
        .await
    }

    /// The work queue: a job leaves it when it is acknowledged.
    async fn jobs_stream(&self) -> Result<Stream, NatsError> {
        self.ensure(StreamConfig {
            name: self.stream_name("JOBS"),
            subjects: vec![self.subject("jobs.>")],
            retention: RetentionPolicy::WorkQueue,
            discard: DiscardPolicy::New,
            discard_new_per_subject: true,
            max_messages_per_subject: JOBS_PER_INPUT_MAX,
            max_bytes: JOBS_BYTES_MAX,
            duplicate_window: Duration::from_mins(2),
            ..StreamConfig::default()
        })
        .await
    }

    /// What nobody understood, or nobody could do.
    async fn dead_stream(&self) -> Result<Stream, NatsError> {
        self.ensure(StreamConfig {
            name: self.stream_name("DEAD"),
            subjects: vec![self.subject("dead.>")],
            max_age: 30 * DAY,
            max_bytes: DEAD_BYTES_MAX,
            ..StreamConfig::default()
        })
        .await
    }

    async fn ensure(&self, config: StreamConfig) -> Result<Stream, NatsError> {
        let name = config.name.clone();
        match self.context.get_stream(&name).await {
            Ok(stream) => return Ok(stream),
            Err(error) if !is_missing(&error) => return Err(NatsError::failed(error)),
            Err(_) => {}
        }
        let config = StreamConfig { num_replicas: self.settings.replicas, ..config };
        match self.context.create_stream(config).await {
            Ok(stream) => {
                tracing::info!(stream = name, "made a JetStream stream");
                Ok(stream)
            }
            // Another may have made it a moment ago.
            Err(error) => match self.context.get_stream(&name).await {
                Ok(stream) => Ok(stream),
                Err(_) => Err(self.refused(&name, &error)),
            },
        }
    }

    fn refused(&self, name: &str, error: &CreateStreamError) -> NatsError {
        let CreateStreamErrorKind::JetStream(said) = error.kind() else { return NatsError::failed(error) };
        if said.error_code() != ErrorCode::STREAM_SUBJECT_OVERLAP && said.error_code() != ErrorCode::STREAM_NAME_EXIST {
            return NatsError::failed(error);
        }
        let reason = format!(
            "the stream {name} cannot be made: {error}; if another stream has its subjects, choose another nats_prefix"
        );
        NatsError::Unusable { url: shown(&self.settings.url), reason }
    }

    /// A durable consumer that all ingestors share.
    async fn consumer(&self, stream: &Stream, name: &str, filter: String) -> Result<PullConsumer, NatsError> {
        let config = pull::Config {
            durable_name: Some(name.to_owned()),
            filter_subject: filter,
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.settings.ack_wait,
            // Tries are counted and ended by us: at the server's limit a message would stay, unseen.
            max_deliver: -1,
            max_ack_pending: 10_000,
            ..pull::Config::default()
        };
        match stream.create_consumer(config.clone()).await {
            Ok(consumer) => Ok(consumer),
            // It is there with what cannot be changed any more. (What can, such as the wait for acknowledgements, is as the last to come said.)
            Err(error) => stream.get_consumer(name).await.map_err(|_| NatsError::failed(error)),
        }
    }
}

/// Whether a stream is not there, rather than not to be had now.
fn is_missing(error: &GetStreamError) -> bool {
    matches!(error.kind(), GetStreamErrorKind::JetStream(said) if said.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// Says when the connection goes and comes; it comes by itself.
async fn tell(event: Event) {
    match event {
        Event::Connected => tracing::info!("connected to NATS"),
        Event::Disconnected => tracing::warn!("the connection to NATS is lost; it is tried again"),
        event => tracing::debug!(%event, "NATS"),
    }
}

/// Whether a version such as `2.14.6` or `2.11.0-RC.1` is at least the oldest that will do.
fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.split(['.', '-']).map(|part| part.parse::<u64>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= SERVER_MIN
}

/// URLs without the passwords in them.
fn shown(urls: &str) -> String {
    let host = |rest: &str| rest.rsplit('@').next().unwrap_or(rest).to_owned();
    let bare = |url: &str| match url.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", host(rest)),
        None => host(url),
    };
    urls.split(',').map(|url| bare(url.trim())).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_older_than_2_10_will_not_do() {
        for (version, wanted) in
            [("2.9.25", false), ("2.10.0", true), ("2.14.6", true), ("3.0.0-beta", true), ("", false)]
        {
            assert_eq!(is_new_enough(version), wanted, "{version}");
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(shown("nats://u:p@a:4222, tls://b,u:p@c"), "nats://a:4222,tls://b,c");
    }
}
