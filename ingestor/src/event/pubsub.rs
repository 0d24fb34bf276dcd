//! Events of Google Cloud Storage as Pub/Sub pushes them. All that matters is in the attributes; `data` is not read.
//!
//! Needs a push subscription with its wrapper: without it the attributes are headers, and the body does not tell what
//! happened. <https://cloud.google.com/storage/docs/pubsub-notifications>

use serde_json::Value;

use super::{Announcement, Event, Unknown, text};

/// Whether this is a pushed message about an object.
pub(super) fn recognises(payload: &Value) -> bool {
    payload.pointer("/message/attributes/bucketId").is_some()
}

/// Reads the message.
pub(super) fn read(payload: &Value) -> Result<Announcement, Unknown> {
    let asks = match text(payload, "/message/attributes/eventType")? {
        "OBJECT_FINALIZE" => true,
        "OBJECT_METADATA_UPDATE" => false,
        // An overwrite announces its new generation itself.
        "OBJECT_DELETE" | "OBJECT_ARCHIVE" => payload.pointer("/message/attributes/overwrittenByGeneration").is_none(),
        other => return Err(Unknown::value("eventType", other, "a type of a Cloud Storage event")),
    };
    if !asks {
        return Ok(Announcement::Look(Vec::new()));
    }
    Ok(Announcement::Look(vec![Event {
        bucket: text(payload, "/message/attributes/bucketId")?.to_owned(),
        key: text(payload, "/message/attributes/objectId")?.to_owned(),
    }]))
}
