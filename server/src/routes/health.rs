//! `GET /health`, `/ready`, and what `/` says until there is a page.

use std::sync::PoisonError;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;
use shared::clock;

use super::ask::json;
use crate::state::AppState;

/// Where to begin.
pub(super) async fn index() -> Response {
    json(
        &json!({ "kiln": env!("CARGO_PKG_VERSION"), "see": ["/collections", "/keys", "/datasets", "/colormaps", "/ready"] }),
    )
}

/// Alive, whatever is served.
pub(super) async fn alive() -> Response {
    json(&json!({ "status": "ok" }))
}

/// 200 if a verified snapshot is served; which, how old, and what is wrong, if anything.
pub(super) async fn ready(State(state): State<AppState>) -> Response {
    let fault = state.fault.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let served = state.served.load_full();
    let manifest = served.as_ref().map(|s| &s.manifest);
    let age_s = manifest.map(|m| (clock::now_ms() - m.at_ms).max(0) / 1000);
    let mut response = json(&json!({
        "ready": served.is_some(),
        "snapshot": manifest.map(|m| m.n),
        "datasets": served.as_ref().map(|s| s.catalog.datasets()),
        "published_at": manifest.map(|m| clock::rfc3339(m.at_ms)),
        "age_s": age_s,
        "last_error": fault,
    }));
    if served.is_none() {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}
