//! `kiln init`: makes what ingestors need and what can be made: buckets, their notifications, the streams of NATS. Done before, it changes nothing.

use std::time::Duration;

use clap::Args;
use shared::pattern::Pattern;
use shared::store::bucket::{self, BucketUrl};
use tokio::time::{Instant, sleep};

use super::{Failure, say};
use crate::nats::{Nats, NatsError, NatsSettings};

/// How long what is just starting is waited for.
const PATIENCE: Duration = Duration::from_mins(1);
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Flags of `kiln init`; what is not named is not made.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The bucket that rasters are put into, or a name pattern in it
    #[arg(env = "KILN_SOURCE")]
    source: Option<String>,
    /// The store
    #[arg(long, env = "KILN_STORE")]
    store: Option<String>,
    /// NATS servers
    #[arg(long, env = "KILN_NATS", hide_env_values = true)]
    nats: Option<String>,
    /// What subjects and streams on NATS begin with
    #[arg(long, env = "KILN_NATS_PREFIX", default_value = server::DEFAULT_NATS_PREFIX)]
    nats_prefix: String,
    /// A credentials file for NATS
    #[arg(long, env = "KILN_NATS_CREDENTIALS")]
    nats_credentials: Option<String>,
    /// How many servers of a NATS cluster keep each stream
    #[arg(long, env = "KILN_NATS_REPLICAS", default_value_t = 1)]
    nats_replicas: usize,
    /// Have the source's bucket announce its changes to this target, such as <arn:rustfs:sqs:us-east-1:primary:nats>
    #[arg(long, env = "KILN_NOTIFY")]
    notify: Option<String>,
}

/// Makes what was named.
pub async fn run(args: InitArgs) -> Result<(), Failure> {
    if let Some(url) = &args.nats {
        if !server::is_nats_prefix(&args.nats_prefix) {
            return Err(Failure::bad_input(format!(
                "nats_prefix {:?}: must be letters, digits, - and _",
                args.nats_prefix
            )));
        }
        let settings = NatsSettings {
            url: url.clone(),
            prefix: args.nats_prefix.clone(),
            credentials: args.nats_credentials.clone(),
            replicas: args.nats_replicas,
            ack_wait: Duration::from_secs(30),
        };
        let streams = patiently(|| async {
            match Nats::try_connect(&settings).await {
                Ok(nats) => nats.ensure_streams().await,
                Err(error) => Err(error),
            }
        });
        streams.await.map_err(|error: NatsError| Failure::bad_input(error))?;
        say("the streams of NATS are there");
    }
    let source = bucket_of(args.source.as_deref())?;
    for url in [&source, &bucket_of(args.store.as_deref())?].into_iter().flatten() {
        let made = patiently(|| bucket::create(url)).await.map_err(Failure::bad_input)?;
        say(&format!("the bucket {} {}", url.bucket, if made { "was made" } else { "is there" }));
    }
    if let Some(target) = &args.notify {
        let Some(url) = &source else {
            return Err(Failure::bad_input(
                "which bucket is to announce its changes? name the source, such as s3://rasters",
            ));
        };
        match patiently(|| bucket::announce_to(url, target)).await {
            Ok(()) => say(&format!("the bucket {} announces its changes to {target}", url.bucket)),
            // Listings find everything too, only later.
            Err(error) => say(&format!("{error}: changes are found by listing alone")),
        }
    }
    Ok(())
}

fn bucket_of(text: Option<&str>) -> Result<Option<BucketUrl>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let place = if Pattern::is_one(text) { Pattern::split_folder(text).0 } else { text };
    BucketUrl::parse(place).map_err(Failure::bad_input)
}

/// Tries until it succeeds or patience ends.
async fn patiently<T, E, F: Future<Output = Result<T, E>>>(mut attempt: impl FnMut() -> F) -> Result<T, E> {
    let end = Instant::now() + PATIENCE;
    loop {
        match attempt().await {
            Err(_) if Instant::now() < end => sleep(RETRY_PAUSE).await,
            other => return other,
        }
    }
}
