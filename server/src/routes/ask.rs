//! What every request is resolved to first: one snapshot, one collection, decoded path segments and parameters.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use shared::collection::Collection;
use shared::dataset::Dataset;

use crate::error::ApiError;
use crate::params::Params;
use crate::state::{AppState, Snapshot};

/// A request to a collection.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) state: AppState,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) collection: Arc<Collection>,
    /// What follows the resource's name in the path, each segment decoded on its own, empty ones dropped.
    pub(crate) segments: Vec<String>,
    pub(crate) params: Params,
}

impl FromRequestParts<AppState> for Ask {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let snapshot = state.snapshot()?;
        let mut segments =
            parts.uri.path().split('/').filter(|s| !s.is_empty()).map(decode).collect::<Vec<_>>().into_iter();
        let mut resource = segments.next();
        let collection = if resource.as_deref() == Some("collections") {
            let name = segments.next().unwrap_or_default();
            resource = segments.next();
            snapshot.catalog.collection(&name).ok_or_else(|| {
                ApiError::not_found(format!("there is no collection {name:?}; GET /collections lists them"))
            })?
        } else {
            let none =
                || ApiError::unavailable("no collection is defined yet; `kiln serve` or `kiln watch` defines one");
            snapshot.catalog.default_collection().ok_or_else(none)?
        };
        let collection = Arc::clone(&collection.collection);
        debug_assert!(resource.is_some(), "routes have a resource");
        let params = Params::parse(parts.uri.query().unwrap_or_default());
        Ok(Self { state: state.clone(), snapshot, collection, segments: segments.collect(), params })
    }
}

impl Ask {
    /// A dataset by its key values, or what is wrong with them.
    pub(crate) async fn dataset(&self, keys: &[String]) -> Result<Arc<Dataset>, ApiError> {
        let names = self.collection.key_names();
        if keys.len() != names.len() {
            let (found, wanted) = (keys.len(), names.len());
            return Err(ApiError::bad(format!(
                "got {found} key values where this collection has {wanted} keys: {}",
                names.join(", ")
            )));
        }
        let found = self.snapshot.dataset(&self.state, &self.collection.name, keys).await?;
        found.ok_or_else(|| {
            ApiError::not_found(format!("there is no dataset {}; GET /datasets lists them", keys.join("/")))
        })
    }

    /// Runs blocking work against the snapshot.
    pub(crate) async fn with_snapshot<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Snapshot) -> Result<T, shared::catalog::CatalogError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let snapshot = Arc::clone(&self.snapshot);
        let done = self.state.pool.run(move || work(&snapshot)).await?;
        done.map_err(|error| self.state.catalog_failed(&error))
    }
}

/// An answer in JSON.
pub(crate) fn json(body: &Value) -> Response {
    let mut response = (StatusCode::OK, body.to_string()).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn decode(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}
