//! The envelope of Amazon SNS, and its question whether a subscription is wanted.
//!
//! The signature is not verified. With raw message delivery there is no envelope, and nothing of this is needed.
//! <https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html>

use serde_json::Value;

use super::{Announcement, Unknown, text};

const NOTIFICATION: &str = "Notification";
const CONFIRMATION: &str = "SubscriptionConfirmation";
/// Sent when somebody unsubscribed. Its URL would subscribe again, which nobody asked for.
const UNSUBSCRIBED: &str = "UnsubscribeConfirmation";

/// Whether this is an envelope or a question of SNS.
pub(super) fn recognises(payload: &Value) -> bool {
    let kind = payload.get("Type").and_then(Value::as_str);
    kind.is_some_and(|kind| matches!(kind, NOTIFICATION | CONFIRMATION | UNSUBSCRIBED))
}

/// Reads the question, or what is in the envelope, where `envelopes` are allowed.
pub(super) fn read(payload: &Value, envelopes: usize) -> Result<Announcement, Unknown> {
    match text(payload, "/Type")? {
        CONFIRMATION => confirmation(payload),
        UNSUBSCRIBED => Ok(Announcement::Look(Vec::new())),
        _ => enclosed(payload, envelopes),
    }
}

fn confirmation(payload: &Value) -> Result<Announcement, Unknown> {
    let url = text(payload, "/SubscribeURL")?;
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return Err(Unknown::value("SubscribeURL", url, "a URL of http or https"));
    }
    Ok(Announcement::ConfirmSubscription { url: url.to_owned() })
}

fn enclosed(payload: &Value, envelopes: usize) -> Result<Announcement, Unknown> {
    let Some(envelopes) = envelopes.checked_sub(1) else {
        return Err(Unknown::new("too many envelopes of SNS, one in another"));
    };
    match super::read(text(payload, "/Message")?.as_bytes(), envelopes)? {
        look @ Announcement::Look(_) => Ok(look),
        // Whoever may publish to a topic must not be able to have a URL opened.
        Announcement::ConfirmSubscription { .. } | Announcement::ValidateWebhook { .. } => {
            Err(Unknown::new("a handshake in an envelope of SNS, expected an event"))
        }
    }
}
