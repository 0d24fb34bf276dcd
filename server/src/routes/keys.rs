//! `GET /keys` and `/keys/{key}`.

use axum::response::Response;
use serde_json::{Value, json};

use super::ask::{Ask, json};
use super::datasets::{filter, key_index, pages};
use crate::error::ApiError;

/// Parameters of `/keys/{key}` that are no filters.
const OWN: [&str; 3] = ["limit", "page", "prefix"];

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

/// The distinct values of one key, in order, and how many datasets have each.
pub(super) async fn values(ask: Ask) -> Result<Response, ApiError> {
    let name = ask.segments.first().map_or("", String::as_str);
    let key = key_index(&ask.collection, name).map_err(|error| ApiError::not_found(error.message))?;
    let (limit, page) = pages(&ask)?;
    let filter = filter(&ask, &OWN)?;
    let prefix = ask.params.get("prefix").unwrap_or_default().to_owned();
    let collection = ask.collection.name.clone();
    let found = ask
        .with_snapshot(move |snapshot| {
            snapshot.catalog.key_values(&collection, key, &prefix, &filter, (limit, limit.saturating_mul(page)))
        })
        .await?;
    let values: Vec<Value> = found.iter().map(|(value, count)| json!({ "value": value, "count": count })).collect();
    Ok(json(&json!({ "key": name, "values": values, "limit": limit, "page": page })))
}
