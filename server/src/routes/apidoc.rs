//! `GET /swagger.json` and `/apidoc`.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use shared::catalog::query::DatasetQuery;

use super::ask::{Peered, json};
use crate::error::ApiError;
use crate::openapi::Described;
use crate::state::AppState;

/// The page: one file, no other place is asked.
const PAGE: &str = include_str!("apidoc.html");

/// The description of the API.
pub(super) async fn description(
    State(state): State<AppState>,
    Peered(peer): Peered,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (mut keys, mut example) = (vec!["keys".to_owned()], Vec::new());
    if let Ok(snapshot) = state.snapshot()
        && let Some(summary) = snapshot.catalog.default_collection()
    {
        let collection = std::sync::Arc::clone(&summary.collection);
        keys = collection.key_names().into_iter().map(str::to_owned).collect();
        let query = DatasetQuery { limit: 1, ..DatasetQuery::default() };
        let found = state.pool.run(move || snapshot.catalog.dataset_keys(&collection.name, &query)).await?;
        example = found.map_err(|error| state.catalog_failed(&error))?.into_iter().next().unwrap_or_default();
    }
    let links = state.links(&headers, peer);
    let url = links.to("").trim_end_matches('/').to_owned();
    Ok(json(&Described { keys, example, limits: &state.settings.limits, url }.document()))
}

/// A page to read it and to try it.
pub(super) async fn page() -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))], PAGE).into_response()
}
