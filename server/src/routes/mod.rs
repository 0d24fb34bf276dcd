//! The whole API on one screen. Every route that takes keys is there at the root, for the default collection, and under `/collections/{c}`.

mod apidoc;
mod ask;
mod collections;
mod colormaps;
mod compute;
mod datasets;
mod events;
mod health;
mod keys;
mod legend;
mod metadata;
mod observe;
mod own_host;
mod page;
mod picture;
mod point;
mod rgb;
mod singleband;
mod statistics;
mod style;
mod subject;
mod target;
mod tilejson;
mod ui;
mod wmts;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate as _};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use crate::More;
use crate::error::ApiError;
use crate::lenient::sent_bytes;
use crate::limits::{BODY_BYTES_MAX, URL_BYTES_MAX};
use crate::state::AppState;

pub(crate) use datasets::cursor;
pub(crate) use picture::Made;
pub(crate) use subject::Summary;

/// Headers scripts of other sites may read.
const EXPOSED: [HeaderName; 4] =
    [HeaderName::from_static("etag"), picture::SNAPSHOT_HEADER, picture::TRUNCATED_HEADER, picture::TIMING_HEADER];

/// The API over a state, below its base path, with what the process that embeds it adds.
pub(crate) fn router(state: AppState, more: Option<More>) -> Router {
    // Before the layers, which then cover it: a preflight is a method no route has.
    let tiles = tiles("")
        .merge(tiles("/collections/{collection}"))
        .method_not_allowed_fallback(async || ApiError::method())
        .layer(cors(&state.settings.cors_tiles))
        .layer(
            CompressionLayer::new()
                .compress_when(DefaultPredicate::new().and(NotForContentType::new("application/x-npy"))),
        );
    let rest = metadata("")
        .merge(metadata("/collections/{collection}"))
        .route("/collections", get(collections::list))
        .route("/swagger.json", get(apidoc::description))
        .route("/apidoc", get(apidoc::page))
        .merge(service(more.as_ref()))
        .merge(events(more.as_ref()))
        .fallback(page::other)
        .method_not_allowed_fallback(async || ApiError::method())
        .layer(cors(&state.settings.cors_metadata))
        .layer(CompressionLayer::new());
    let base_path = state.settings.base_path.clone();
    let mut all = tiles
        .merge(rest)
        .merge(page(more.as_ref()))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(limit_url))
        .layer(middleware::from_fn_with_state(state.clone(), observe::observe))
        .with_state(state);
    if let Some(more) = more {
        let routes = more.routes.method_not_allowed_fallback(async || ApiError::method());
        all = all.merge(routes.layer(middleware::from_fn(own_host::only)));
    }
    if base_path.is_empty() {
        return all;
    }
    let outside = async || ApiError::not_found("the API is mounted below a base path; see --base-path");
    // As a service, so that the slash after the path is within it.
    Router::new().nest_service(&base_path, all).fallback(outside)
}

/// What may be asked on the admin listener.
pub(crate) fn admin(state: AppState, more: Option<More>) -> Router {
    let routes = service(more.as_ref())
        .fallback(async || ApiError::not_found("here are /health, /ready and /metrics"))
        .method_not_allowed_fallback(async || ApiError::method())
        .with_state(state);
    more.into_iter().fold(routes, |routes, more| routes.merge(more.routes))
}

/// The web page and what only it asks for. It is compressed already, and not for other sites: it says where inputs lie.
fn page(more: Option<&More>) -> Router<AppState> {
    let more = more.cloned();
    Router::new()
        .route("/", get(page::index))
        .route("/assets/{*path}", get(page::asset))
        .route("/ui.json", get(async move |state, headers: HeaderMap| ui::describe(state, &headers, more)))
        .method_not_allowed_fallback(async || ApiError::method())
}

fn events(more: Option<&More>) -> Router<AppState> {
    let more = more.cloned();
    Router::new().route("/events", get(async move |state, headers: HeaderMap| events::tell(state, &headers, more)))
}

/// Of the server itself.
fn service(more: Option<&More>) -> Router<AppState> {
    let more = more.cloned();
    Router::new()
        .route("/health", get(health::alive))
        .route("/ready", get(health::ready))
        .route("/metrics", get(async move |state| health::metrics(state, more).await))
}

fn metadata(at: &str) -> Router<AppState> {
    Router::new()
        .route(&format!("{at}/keys"), get(keys::list))
        .route(&format!("{at}/keys/{{key}}"), get(keys::values))
        .route(&format!("{at}/datasets"), get(datasets::list))
        .route(&format!("{at}/metadata"), post(metadata::of_many))
        .route(&format!("{at}/metadata/{{*keys}}"), get(metadata::of_one))
        .route(&format!("{at}/point/{{*keys}}"), get(point::show))
        .route(&format!("{at}/statistics/{{*keys}}"), get(statistics::of_input).post(statistics::of_polygons))
        .route(&format!("{at}/legend/{{*keys}}"), get(legend::show))
        .route(&format!("{at}/wmts"), get(wmts::show))
        .route(&format!("{at}/colormap"), get(colormaps::values))
        .route(&format!("{at}/colormaps"), get(colormaps::names))
        .route(&format!("{at}/colormaps/{{name}}"), get(colormaps::legend))
}

/// The suffix, such as `{z}/{x}/{y}.png`, is matched from the end: keys may be any number of segments.
fn tiles(at: &str) -> Router<AppState> {
    Router::new()
        .route(&format!("{at}/singleband/{{*rest}}"), get(singleband::show))
        .route(&format!("{at}/rgb/{{*rest}}"), get(rgb::show))
        .route(&format!("{at}/compute/{{*rest}}"), get(compute::show))
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
