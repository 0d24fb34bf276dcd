//! The record list of Amazon S3, which `MinIO`, `RustFS` and Ceph send too.
//!
//! They differ in what `eventSource` tells: how a key is encoded. And in details that nothing depends on here: `MinIO`,
//! `RustFS` and old releases of Ceph begin names with `s3:`, Ceph writes the size as a text.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>

use percent_encoding::percent_decode;
use serde_json::Value;

use super::{Announcement, Event, Unknown, look, text};

/// Before the names of events, or not.
const NAME_PREFIX: &str = "s3:";
/// What Amazon S3 sends when notifications are switched on.
const TEST_EVENT: &str = "TestEvent";

/// Whether this is a list of records or a test event.
pub(super) fn recognises(payload: &Value) -> bool {
    payload.get("Records").is_some() || is_test_event(payload)
}

/// Reads the list, or the test event.
pub(super) fn read(payload: &Value) -> Result<Announcement, Unknown> {
    if is_test_event(payload) {
        return Ok(Announcement::Look(Vec::new()));
    }
    let records = payload.get("Records").and_then(Value::as_array);
    look(records.ok_or_else(|| Unknown::new("expected a list in Records"))?, events_of)
}

fn is_test_event(payload: &Value) -> bool {
    let event = payload.get("Event").and_then(Value::as_str);
    event.is_some_and(|event| event.strip_prefix(NAME_PREFIX).unwrap_or(event) == TEST_EVENT)
}

fn events_of(record: &Value) -> Result<Vec<Event>, Unknown> {
    let is_encoded = match text(record, "/eventSource")? {
        "aws:s3" | "minio:s3" | "rustfs:s3" => true,
        "ceph:s3" => false,
        other => return Err(Unknown::value("eventSource", other, "aws:s3, minio:s3, rustfs:s3 or ceph:s3")),
    };
    if !asks_to_look(text(record, "/eventName")?)? {
        return Ok(Vec::new());
    }
    let bucket = text(record, "/s3/bucket/name")?.to_owned();
    let key = text(record, "/s3/object/key")?;
    let key = if is_encoded { form_decoded(key)? } else { key.to_owned() };
    Ok(vec![Event { bucket, key }])
}

/// Whether an event of this name may have changed what an object holds, or whether it can be read.
fn asks_to_look(name: &str) -> Result<bool, Unknown> {
    let name = name.strip_prefix(NAME_PREFIX).unwrap_or(name);
    let family = name.split_once(':').map_or(name, |(family, _)| family);
    match family {
        "ObjectCreated"
        | "ObjectRemoved"
        | "ObjectRestore"
        | "ObjectSynced"
        | "ObjectLifecycle"
        | "LifecycleExpiration"
        | "LifecycleDelMarkerExpiration"
        | "Replication"
        | "ReducedRedundancyLostObject" => Ok(true),
        // Looking at an object causes `ObjectAccessed`: answering it with another look would never end.
        "ObjectAccessed"
        | "ObjectTagging"
        | "ObjectAcl"
        | "ObjectTransition"
        | "LifecycleTransition"
        | "IntelligentTiering"
        | "Scanner"
        | "BucketCreated"
        | "BucketRemoved" => Ok(false),
        _ => Err(Unknown::value("eventName", name, "a name of an S3 event")),
    }
}

/// Undoes application/x-www-form-urlencoded, where `+` is a space.
fn form_decoded(key: &str) -> Result<String, Unknown> {
    let spaced = key.replace('+', " ");
    let decoded = percent_decode(spaced.as_bytes()).decode_utf8();
    decoded.map(Into::into).map_err(|_| Unknown::value("s3.object.key", key, "UTF-8 after decoding"))
}
