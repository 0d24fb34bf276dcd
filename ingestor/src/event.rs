//! What stores say when an object changed: one parser for every wire format, which are told apart by their shape.
//!
//! An event means only "look at this path": whoever gets one asks the store what is there now. So size, version and
//! order are not read, and what is looked at in vain costs one request. What cannot be understood is an error and
//! never an empty list, so that it ends in the dead letters where somebody sees it. One bad record makes the whole
//! payload so, because a payload is acknowledged as a whole.
//!
//! Nothing is authenticated here: anybody who reaches the endpoint may have written a payload. Whoever opens the URL
//! of a [`Announcement::ConfirmSubscription`] decides first whether its host is one of Amazon's.

mod eventbridge;
mod eventgrid;
mod pubsub;
mod s3;
mod sns;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use serde_json::Value;

/// The longest payload that is read. The products send at most 1 MiB.
pub const PAYLOAD_BYTES_MAX: usize = 4 << 20;
/// The most records in one payload. The products send at most 5000.
pub const RECORDS_MAX: usize = 10_000;
/// How many envelopes of Amazon SNS may be around an event: a topic that is fed by another one.
const ENVELOPES_MAX: usize = 2;
/// How much of a text that is not understood is repeated in an error.
const QUOTED_CHARS_MAX: usize = 64;

/// Somebody announced a change of an object: only "look at this path". May be false, late or repeated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    /// The bucket or container.
    pub bucket: String,
    /// The object's key, decoded. One that ends with `/` is a folder: all below it may have changed.
    pub key: String,
}

/// What a payload says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// Objects to look at: every record of the payload, each once, in order. Empty where a payload is known to ask for
    /// nothing: a test event, an update of metadata, a delete that is half of an overwrite.
    Look(Vec<Event>),
    /// Amazon SNS asks that this URL be opened before it sends anything.
    ConfirmSubscription {
        /// The URL, of the scheme http or https. Its host is not checked.
        url: String,
    },
    /// Azure Event Grid asks that this code be sent back before it sends anything.
    ValidateWebhook {
        /// The code.
        code: String,
    },
}

/// Why a payload cannot be understood; it belongs to the dead letters. Says what was expected, and in which record.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not an event that is known: {reason}")]
pub struct Unknown {
    reason: String,
}

impl Unknown {
    fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }

    /// That a `what` has a value that is not one of those expected. Escaped and cut, since anybody may have written it.
    fn value(what: &str, value: &str, expected: &str) -> Self {
        let start: String = value.chars().take(QUOTED_CHARS_MAX).collect();
        Self::new(format!("{what} {start:?}, expected {expected}"))
    }

    fn in_record(self, index: usize) -> Self {
        Self::new(format!("record {index}: {}", self.reason))
    }
}

/// Reads a payload of any known format.
pub fn parse(body: &[u8]) -> Result<Announcement, Unknown> {
    if body.len() > PAYLOAD_BYTES_MAX {
        return Err(Unknown::new(format!("{} bytes, expected at most {PAYLOAD_BYTES_MAX}", body.len())));
    }
    read(body, ENVELOPES_MAX)
}

/// Reads a payload that may be in `envelopes` more envelopes.
fn read(body: &[u8], envelopes: usize) -> Result<Announcement, Unknown> {
    let payload: Value =
        serde_json::from_slice(body).map_err(|error| Unknown::new(format!("expected JSON: {error}")))?;
    if s3::recognises(&payload) {
        s3::read(&payload)
    } else if sns::recognises(&payload) {
        sns::read(&payload, envelopes)
    } else if eventbridge::recognises(&payload) {
        eventbridge::read(&payload)
    } else if pubsub::recognises(&payload) {
        pubsub::read(&payload)
    } else if eventgrid::recognises(&payload) {
        eventgrid::read(&payload)
    } else {
        Err(Unknown::new("expected records of S3, or a payload of SNS, EventBridge, Pub/Sub or Event Grid"))
    }
}

/// What all records ask to look at, each object once.
fn look(records: &[Value], events_of: impl Fn(&Value) -> Result<Vec<Event>, Unknown>) -> Result<Announcement, Unknown> {
    if records.len() > RECORDS_MAX {
        return Err(Unknown::new(format!("{} records, expected at most {RECORDS_MAX}", records.len())));
    }
    let mut events = Vec::new();
    let mut announced = HashSet::new();
    for (index, record) in records.iter().enumerate() {
        let found = events_of(record).map_err(|unknown| unknown.in_record(index))?;
        events.extend(found.into_iter().filter(|event| announced.insert(event.clone())));
    }
    Ok(Announcement::Look(events))
}

/// The text at a JSON pointer, which must be there and not be empty.
fn text<'v>(value: &'v Value, pointer: &str) -> Result<&'v str, Unknown> {
    let found = value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    found.ok_or_else(|| Unknown::new(format!("expected a text in {}", pointer[1..].replace('/', "."))))
}
