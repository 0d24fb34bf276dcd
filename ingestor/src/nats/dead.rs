//! Dead letters: what nobody understands or could do is kept with the reason, and only then taken out of the way.

use async_nats::HeaderMap;
use bytes::Bytes;

use super::{Nats, NatsError};

/// The header that says why.
const REASON: &str = "Kiln-Reason";
/// Bytes of a reason.
const REASON_BYTES_MAX: usize = 1000;

impl Nats {
    /// Keeps a payload under `what`, such as `events`. An error means that it is not kept.
    pub async fn bury(&self, what: &str, reason: &str, payload: Bytes) -> Result<(), NatsError> {
        let mut headers = HeaderMap::new();
        // A header is one line of visible characters.
        let line: String = reason.chars().filter(|c| !c.is_control()).collect();
        headers.insert(REASON, cut(&line, REASON_BYTES_MAX));
        let subject = self.subject(&format!("dead.{what}"));
        self.store(subject, headers, payload).await.map_err(NatsError::failed)?;
        tracing::warn!(what, reason, stream = self.stream_name("DEAD"), "kept as a dead letter");
        Ok(())
    }
}

fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
