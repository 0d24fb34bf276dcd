//! `GET /collections`.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use super::ask::json;
use crate::error::ApiError;
use crate::state::AppState;

/// All collections, in the order they were defined.
pub(super) async fn list(State(state): State<AppState>) -> Result<Response, ApiError> {
    let snapshot = state.snapshot()?;
    let default = snapshot.catalog.default_collection().map(|summary| summary.collection.name.clone());
    let collections: Vec<Value> = snapshot
        .catalog
        .collections()
        .iter()
        .map(|summary| {
            let collection = &summary.collection;
            json!({
                "id": collection.name,
                "title": collection.title,
                "keys": collection.key_names(),
                "default": Some(&collection.name) == default.as_ref(),
                "datasets": summary.datasets,
                "bounds": summary.bounds,
            })
        })
        .collect();
    Ok(json(&json!({ "collections": collections })))
}
