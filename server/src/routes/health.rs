//! `GET /health`, `/ready` and `/metrics`.

use std::sync::PoisonError;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use shared::clock;

use super::ask::json;
use crate::More;
use crate::metrics::CONTENT_TYPE;
use crate::state::AppState;

/// The last line of an OpenMetrics text.
const END: &str = "# EOF\n";

/// Alive, whatever is served.
pub(super) async fn alive() -> Response {
    json(&json!({ "status": "ok" }))
}

/// For Prometheus.
pub(super) async fn metrics(State(state): State<AppState>, more: Option<More>) -> Response {
    let served = state.served.load_full();
    let served = served
        .as_ref()
        .map(|s| (s.manifest.n, (clock::now_ms() - s.manifest.at_ms).max(0) / 1000, s.catalog.datasets()));
    let mut text = state.metrics.text(served, state.live.listeners());
    if let Some(more) = more {
        // One text has one end.
        text = text.strip_suffix(END).unwrap_or(&text).to_owned() + &more.text().await;
    }
    ([(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE))], text).into_response()
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
