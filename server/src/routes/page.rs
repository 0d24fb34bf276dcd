//! The web page: `GET /`, and the files it is made of. Where it was not built, `/` says how to.

use axum::body::Body;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::ask::json;
use crate::basemap::Basemap;
use crate::error::ApiError;
use crate::page::{File, INDEX};
use crate::state::AppState;

/// What is there in place of a page that was not built.
const UNBUILT: &str = include_str!("unbuilt.html");
/// Has browsers believe our content types.
const AS_SAID: (HeaderName, HeaderValue) = (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));

/// The page; for programs, where to begin.
pub(super) async fn index(
    State(state): State<AppState>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Response {
    // What the page asks for is relative to it, so its folder must end in a slash. A proxy may have taken off more that stood before.
    if !uri.path().ends_with('/') {
        let last = uri.path().rsplit('/').next().unwrap_or_default();
        let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
        return match HeaderValue::try_from(format!("{last}/{query}")) {
            Ok(to) => (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, to)]).into_response(),
            Err(_) => ApiError::bad("the query cannot stand in a header").into_response(),
        };
    }
    let mut response = match state.page.find(INDEX) {
        _ if wants_json(&headers) => json(&json!({
            "kiln": env!("CARGO_PKG_VERSION"),
            "page": !state.page.0.is_empty(),
            "see": ["/apidoc", "/collections", "/keys", "/datasets", "/wmts", "/ready"],
        })),
        Some(file) => answer(file, &headers),
        None => {
            let html = HeaderValue::from_static("text/html; charset=utf-8");
            ([(header::CONTENT_TYPE, html), AS_SAID], UNBUILT).into_response()
        }
    };
    if let Ok(policy) = HeaderValue::try_from(policy(state.basemap.as_ref())) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
    response
}

/// A file below `/assets`.
pub(super) async fn asset(State(state): State<AppState>, uri: Uri, headers: HeaderMap) -> Response {
    find(&state, &uri).map_or_else(
        || ApiError::not_found("the page has no such file; reload it if this server is a new one").into_response(),
        |file| answer(file, &headers),
    )
}

/// What no route matches: another file of the page, or nothing.
pub(super) async fn other(State(state): State<AppState>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let is_asked_for = method == Method::GET || method == Method::HEAD;
    find(&state, &uri).filter(|file| is_asked_for && file.name != INDEX).map_or_else(
        || ApiError::not_found("there is no such route; GET /apidoc shows them all").into_response(),
        |file| answer(file, &headers),
    )
}

fn find(state: &AppState, uri: &Uri) -> Option<&'static File> {
    state.page.find(uri.path().trim_start_matches('/'))
}

fn answer(file: &File, headers: &HeaderMap) -> Response {
    let (bytes, encoding) = file.encoded(headers);
    let age = if file.is_hashed() { "public, max-age=31536000, immutable" } else { "no-cache" };
    let is_known = file.is_known(headers);
    let body = if is_known { Body::empty() } else { Body::from(bytes) };
    let status = if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
    let told = [
        (header::CONTENT_TYPE, HeaderValue::from_static(file.media())),
        (header::CACHE_CONTROL, HeaderValue::from_static(age)),
        (header::VARY, HeaderValue::from_static("accept-encoding")),
        AS_SAID,
    ];
    let mut response = (status, told, body).into_response();
    if let Ok(etag) = HeaderValue::try_from(file.etag(encoding)) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    if let Some(encoding) = encoding.filter(|_| !is_known) {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

/// A browser names HTML when it asks for a page.
fn wants_json(headers: &HeaderMap) -> bool {
    let named = |media: &str| {
        let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        accepted.any(|value| value.contains(media))
    };
    named("application/json") && !named("text/html")
}

/// What the page may load: its own files, its map's workers and pictures, and a base map where the operator says so.
fn policy(basemap: Option<&Basemap>) -> String {
    let basemap = basemap.map_or_else(String::new, |basemap| format!(" {}", basemap.origins()));
    format!(
        "default-src 'self'; script-src 'self'; worker-src 'self' blob:; child-src 'self' blob:; style-src 'self' 'unsafe-inline'; \
         img-src 'self' data: blob:{basemap}; connect-src 'self' data: blob:{basemap}; font-src 'self' data:; object-src 'none'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )
}
