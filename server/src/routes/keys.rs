//! `GET /keys`.

use axum::response::Response;
use serde_json::{Value, json};

use super::ask::{Ask, json};

/// Key names, in order.
pub(super) async fn list(ask: Ask) -> Response {
    let keys: Vec<Value> = ask
        .collection
        .keys
        .iter()
        .map(|key| match &key.description {
            Some(description) => json!({ "key": key.name, "description": description }),
            None => json!({ "key": key.name }),
        })
        .collect();
    json(&json!({ "keys": keys }))
}
