//! The whole API on one screen. Every route that takes keys is there at the root, for the default collection, and under `/collections/{c}`.

mod ask;
mod collections;
mod colormaps;
mod datasets;
mod health;
mod keys;
mod metadata;
mod picture;
mod rgb;
mod singleband;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower_http::compression::CompressionLayer;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use crate::error::ApiError;
use crate::lenient::sent_bytes;
use crate::limits::{BODY_BYTES_MAX, URL_BYTES_MAX};
use crate::state::AppState;

/// Headers scripts of other sites may read.
const EXPOSED: [HeaderName; 2] = [HeaderName::from_static("etag"), picture::SNAPSHOT_HEADER];

/// The API over a state.
pub(crate) fn router(state: AppState) -> Router {
    // Before the layers, which then cover it: a preflight is a method no route has.
    let tiles = tiles("")
        .merge(tiles("/collections/{collection}"))
        .method_not_allowed_fallback(async || ApiError::method())
        .layer(cors(&state.settings.cors_tiles));
    let rest = metadata("")
        .merge(metadata("/collections/{collection}"))
        .route("/", get(health::index))
        .route("/collections", get(collections::list))
        .route("/health", get(health::alive))
        .route("/ready", get(health::ready))
        .fallback(async || ApiError::not_found("there is no such route; GET /keys, /datasets and /collections are"))
        .method_not_allowed_fallback(async || ApiError::method())
        .layer(cors(&state.settings.cors_metadata))
        .layer(CompressionLayer::new());
    tiles
        .merge(rest)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(limit_url))
        .with_state(state)
}

fn metadata(at: &str) -> Router<AppState> {
    Router::new()
        .route(&format!("{at}/keys"), get(keys::list))
        .route(&format!("{at}/datasets"), get(datasets::list))
        .route(&format!("{at}/metadata"), post(metadata::of_many))
        .route(&format!("{at}/metadata/{{*keys}}"), get(metadata::of_one))
        .route(&format!("{at}/colormap"), get(colormaps::values))
        .route(&format!("{at}/colormaps"), get(colormaps::names))
        .route(&format!("{at}/colormaps/{{name}}"), get(colormaps::legend))
}

/// The suffix, such as `{z}/{x}/{y}.png`, is matched from the end: keys may be any number of segments.
fn tiles(at: &str) -> Router<AppState> {
    Router::new()
        .route(&format!("{at}/singleband/{{*rest}}"), get(singleband::show))
        .route(&format!("{at}/rgb/{{*rest}}"), get(rgb::show))
}

fn cors(origins: &[String]) -> CorsLayer {
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::OPTIONS])
        .allow_headers(Any)
        .expose_headers(EXPOSED)
}

async fn limit_url(request: Request, next: Next) -> Response {
    let uri = request.uri();
    if sent_bytes(uri.path()) + uri.query().map_or(0, sent_bytes) > URL_BYTES_MAX {
        return ApiError::uri_too_long().into_response();
    }
    next.run(request).await
}
