//! Hints on NATS that a snapshot was published: whoever listens looks at once, others find it by polling. A hint is never believed, it only says when to look.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{ConnectOptions, Event};
use futures::StreamExt as _;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// What subjects begin with unless told otherwise.
pub const DEFAULT_NATS_PREFIX: &str = "kiln";
/// Pause before listening again.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// Whether a text can be the beginning of subjects and stream names.
pub fn is_nats_prefix(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// The subject that publications are announced on.
pub fn hint_subject(prefix: &str) -> String {
    format!("{prefix}.published")
}

/// How hints are heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hints {
    /// Servers, separated by commas.
    pub url: String,
    /// What subjects begin with.
    pub prefix: String,
    /// A credentials file.
    pub credentials: Option<String>,
}

impl Hints {
    /// Listens until told to stop. While NATS is away, polling goes on.
    pub(crate) async fn listen(self, wake: Arc<Notify>, stop: CancellationToken) {
        loop {
            let heard = tokio::select! {
                () = stop.cancelled() => return,
                heard = self.hear(&wake) => heard,
            };
            if let Err(error) = heard {
                tracing::warn!(error, "hints of NATS are not heard; newer snapshots are found by polling");
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn hear(&self, wake: &Arc<Notify>) -> Result<(), String> {
        let woken = Arc::clone(wake);
        let mut options = ConnectOptions::new().name("kiln-server").event_callback(move |event| {
            let woken = Arc::clone(&woken);
            async move {
                match event {
                    // What was published while nobody listened gave no hint.
                    Event::Connected => {
                        tracing::info!("NATS tells of publications");
                        woken.notify_waiters();
                    }
                    Event::Disconnected => tracing::warn!("NATS is away; newer snapshots are found by polling"),
                    _ => {}
                }
            }
        });
        if let Some(file) = &self.credentials {
            options = options.credentials_file(file).await.map_err(|e| format!("the credentials {file}: {e}"))?;
        }
        let servers: Vec<&str> = self.url.split(',').map(str::trim).collect();
        let client = options.connect(servers).await.map_err(|e| e.to_string())?;
        let mut hints = client.subscribe(hint_subject(&self.prefix)).await.map_err(|e| e.to_string())?;
        // What was published before we listened gave no hint.
        wake.notify_waiters();
        while hints.next().await.is_some() {
            wake.notify_waiters();
        }
        Err("the subscription ended".to_owned())
    }
}
