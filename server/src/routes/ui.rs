//! `GET /ui.json`: what the page has to know of this server.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::ask::json;
use super::own_host;
use crate::More;
use crate::basemap::Basemap;
use crate::limits::{MOSAIC_SCENES_MAX, POINTS_MAX};
use crate::state::AppState;

/// Settings and bounds; where the ingestor is in this process, what it watches.
pub(super) fn describe(State(state): State<AppState>, headers: &HeaderMap, more: Option<More>) -> Response {
    let limits = &state.settings.limits;
    let ingest = more.filter(|_| own_host::is_own(headers)).map(|more| {
        let sources: Vec<Value> = more
            .sources
            .iter()
            .map(|(collection, source)| json!({ "collection": collection, "source": source }))
            .collect();
        json!({ "jobs": true, "rejected": true, "sources": sources })
    });
    let mut response = json(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "basemap": state.basemap.as_ref().map(Basemap::json),
        "events": state.live.is_open(),
        "ingest": ingest,
        "limits": {
            "tile_size_max": limits.tile_size_max,
            "datasets_max": limits.datasets_max,
            "post_keys_max": limits.post_keys_max,
            "points_max": POINTS_MAX,
            "mosaic_scenes_max": MOSAIC_SCENES_MAX,
        },
    }));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
