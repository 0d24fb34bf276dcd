//! Events of Azure Blob Storage and Data Lake Storage Gen2 as Event Grid sends them: in its own schema or as
//! CloudEvents 1.0, alone or in a list.
//!
//! <https://learn.microsoft.com/azure/event-grid/event-schema-blob-storage>

use std::slice;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{Announcement, Event, Unknown, look, text};

const STORAGE: &str = "Microsoft.Storage.";
const GRID: &str = "Microsoft.EventGrid.";
const VALIDATION: &str = "Microsoft.EventGrid.SubscriptionValidationEvent";
const UNSUBSCRIBED: &str = "Microsoft.EventGrid.SubscriptionDeletedEvent";

/// Whether this is an event of Event Grid or a list with one.
pub(super) fn recognises(payload: &Value) -> bool {
    let known = |kind: &str| kind.starts_with(STORAGE) || kind.starts_with(GRID);
    records(payload).iter().any(|record| kind(record).is_ok_and(known))
}

/// Reads the event, the list or the handshake, which comes alone.
pub(super) fn read(payload: &Value) -> Result<Announcement, Unknown> {
    let records = records(payload);
    if let [record] = records
        && kind(record)? == VALIDATION
    {
        return Ok(Announcement::ValidateWebhook { code: text(record, "/data/validationCode")?.to_owned() });
    }
    look(records, events_of)
}

fn records(payload: &Value) -> &[Value] {
    payload.as_array().map_or(slice::from_ref(payload), Vec::as_slice)
}

/// What happened: `eventType` in Event Grid's schema, `type` in CloudEvents.
fn kind(record: &Value) -> Result<&str, Unknown> {
    if record.get("specversion").is_some() { text(record, "/type") } else { text(record, "/eventType") }
}

fn events_of(record: &Value) -> Result<Vec<Event>, Unknown> {
    let kind = kind(record)?;
    match kind.strip_prefix(STORAGE) {
        Some("BlobCreated") if !is_complete(text(record, "/data/api")?)? => Ok(Vec::new()),
        // An archived blob can be read once its tier has changed.
        Some("BlobCreated" | "BlobDeleted" | "BlobTierChanged") => Ok(vec![subject(record)?]),
        Some("BlobRenamed") => both_names(record),
        // No other event tells what happened to the files in the folder.
        Some("DirectoryDeleted") => Ok(vec![folder(subject(record)?)]),
        Some("DirectoryRenamed") => Ok(both_names(record)?.into_iter().map(folder).collect()),
        Some(
            "DirectoryCreated"
            | "AsyncOperationInitiated"
            | "BlobInventoryPolicyCompleted"
            | "LifecyclePolicyCompleted",
        ) => Ok(Vec::new()),
        None if kind == UNSUBSCRIBED => Ok(Vec::new()),
        _ => Err(Unknown::value("type", kind, "a type of a Blob Storage event")),
    }
}

/// Whether all bytes are there after this call. Data Lake Storage and SFTP announce an empty file first.
fn is_complete(api: &str) -> Result<bool, Unknown> {
    match api {
        "PutBlob" | "PutBlockList" | "CopyBlob" | "FlushWithClose" | "SftpCommit" => Ok(true),
        "CreateFile" | "SftpCreate" => Ok(false),
        other => Err(Unknown::value("data.api", other, "a call that creates a blob")),
    }
}

/// The blob that `subject` names, which is not percent-encoded: `/blobServices/default/containers/C/blobs/B`.
fn subject(record: &Value) -> Result<Event, Unknown> {
    let subject = text(record, "/subject")?;
    let place = subject.split_once("/containers/").and_then(|(_, place)| place.split_once("/blobs/"));
    place
        .and_then(|(container, blob)| event(container, blob))
        .ok_or_else(|| Unknown::value("subject", subject, "…/containers/CONTAINER/blobs/BLOB"))
}

/// The new name and the old one of what was renamed.
fn both_names(record: &Value) -> Result<Vec<Event>, Unknown> {
    let mut events = vec![subject(record)?];
    events.extend(url(record, "/data/destinationUrl")?);
    events.extend(url(record, "/data/sourceUrl")?);
    Ok(events)
}

/// The blob that `scheme://host/container/blob` names. Nobody documents whether such a URL is percent-encoded, so both
/// readings are looked at where they differ.
fn url(record: &Value, pointer: &str) -> Result<Vec<Event>, Unknown> {
    let url = text(record, pointer)?;
    let unknown = || Unknown::value(&pointer[1..].replace('/', "."), url, "https://HOST/CONTAINER/BLOB");
    let path = url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).ok_or_else(unknown)?.1;
    let (container, blob) = path.split_once('/').ok_or_else(unknown)?;
    let raw = event(container, blob).ok_or_else(unknown)?;
    let decoded = percent_decode_str(blob).decode_utf8().ok().filter(|decoded| decoded != blob);
    let decoded = decoded.and_then(|decoded| event(container, &decoded));
    Ok(decoded.into_iter().chain([raw]).collect())
}

fn event(container: &str, blob: &str) -> Option<Event> {
    let named = !container.is_empty() && !container.contains('/') && !blob.is_empty();
    named.then(|| Event { bucket: container.to_owned(), key: blob.to_owned() })
}

fn folder(mut event: Event) -> Event {
    if !event.key.ends_with('/') {
        event.key.push('/');
    }
    event
}
