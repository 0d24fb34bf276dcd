//! Events of Amazon S3 as `EventBridge` sends them: other field names than in records of S3, and keys as they are.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html>

use serde_json::Value;

use super::{Announcement, Event, Unknown, text};

/// Whether this is an event of `EventBridge` that comes from Amazon S3.
pub(super) fn recognises(payload: &Value) -> bool {
    payload.get("detail-type").is_some() && payload.get("source").and_then(Value::as_str) == Some("aws.s3")
}

/// Reads the event.
pub(super) fn read(payload: &Value) -> Result<Announcement, Unknown> {
    let events = match text(payload, "/detail-type")? {
        "Object Created" | "Object Deleted" | "Object Restore Completed" => vec![Event {
            bucket: text(payload, "/detail/bucket/name")?.to_owned(),
            key: text(payload, "/detail/object/key")?.to_owned(),
        }],
        "Object Restore Initiated"
        | "Object Restore Expired"
        | "Object Storage Class Changed"
        | "Object Access Tier Changed"
        | "Object ACL Updated"
        | "Object Tags Added"
        | "Object Tags Deleted" => Vec::new(),
        other => return Err(Unknown::value("detail-type", other, "a type of an S3 event")),
    };
    Ok(Announcement::Look(events))
}
