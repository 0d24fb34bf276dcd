//! A picture's way through the server: place and size → plan → `ETag`, and 304 before any I/O → cache → one flight → read, decode, render.

use std::sync::{Arc, PoisonError};

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use shared::grid::{TileCoord, ZOOM_MAX};

use super::ask::Ask;
use crate::error::ApiError;
use crate::state::AppState;
use crate::tile::cog::{CogError, RawBlocks};
use crate::tile::plan::{Layer, Place, Plan};
use crate::tile::render::{RenderError, render};

/// Says which snapshot an answer is of.
pub(super) const SNAPSHOT_HEADER: HeaderName = HeaderName::from_static("x-kiln-snapshot");
/// `Cache-Control` of a URL that names its layer's version.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Bytes a cached picture costs beside its own.
const CACHE_ENTRY_BYTES: usize = 256;

/// Why a picture could not be made.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Cog(#[from] CogError),
    #[error(transparent)]
    Render(#[from] RenderError),
}

/// The keys and the place of a picture's path: `{z}/{x}/{y}.png` or `preview.png`, from the end.
pub(super) fn place(segments: &[String]) -> Result<(&[String], Place), ApiError> {
    if let [keys @ .., last] = segments
        && last == "preview.png"
    {
        return Ok((keys, Place::Preview));
    }
    let no_route = || ApiError::not_found("pictures are at …/{z}/{x}/{y}.png and …/preview.png");
    let [keys @ .., z, x, y] = segments else { return Err(no_route()) };
    let y = y.strip_suffix(".png").ok_or_else(no_route)?;
    if ![z, x, y].iter().all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())) {
        return Err(no_route());
    }
    let zoom = z.parse().ok().filter(|z| *z <= ZOOM_MAX);
    let zoom = zoom.ok_or_else(|| ApiError::bad(format!("zoom {z} is deeper than {ZOOM_MAX}")))?;
    // A number too large to read is off the grid as well.
    let tile = x.parse().ok().zip(y.parse().ok()).and_then(|(x, y)| TileCoord::new(zoom, x, y));
    Ok((keys, tile.map_or(Place::OffGrid, Place::Tile)))
}

/// Answers with the picture of a layer at a place.
pub(super) async fn answer(ask: &Ask, headers: &HeaderMap, layer: Layer, place: Place) -> Result<Response, ApiError> {
    let current = ask.params.get("v").is_some_and(|v| layer.hash().to_hex().as_str() == v);
    let plan = layer.plan(place).map_err(|error| {
        ask.state.log_once(&error.to_string());
        ApiError::internal(error.to_string())
    })?;
    let etag = format!("\"{}\"", &plan.etag.to_hex()[..32]);
    let mut response = if matches(headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let png = picture(&ask.state, plan).await?;
        ([(header::CONTENT_TYPE, HeaderValue::from_static("image/png"))], png).into_response()
    };
    let cache_control = if current { Ok(IMMUTABLE) } else { HeaderValue::from_str(&ask.state.settings.cache_control) };
    let told = response.headers_mut();
    let values = [(header::ETAG, HeaderValue::from_str(&etag)), (header::CACHE_CONTROL, cache_control)];
    told.extend(values.into_iter().filter_map(|(name, value)| Some((name, value.ok()?))));
    told.insert(SNAPSHOT_HEADER, HeaderValue::from(ask.snapshot.manifest.n));
    Ok(response)
}

/// Whether `If-None-Match` (RFC 9110, section 13.1.2) names this tag; compared weakly.
fn matches(headers: &HeaderMap, etag: &str) -> bool {
    let lists = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = lists.flat_map(|list| list.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

async fn picture(state: &AppState, plan: Plan) -> Result<Bytes, ApiError> {
    let name = plan.etag;
    if let Some(png) = state.pictures.lock().unwrap_or_else(PoisonError::into_inner).get(&name) {
        return Ok(png.clone());
    }
    state
        .flights
        .join(name, || async {
            let png = make(state, plan).await?;
            let cost = png.len() + CACHE_ENTRY_BYTES;
            state.pictures.lock().unwrap_or_else(PoisonError::into_inner).put(name, png.clone(), cost);
            Ok(png)
        })
        .await
}

async fn make(state: &AppState, plan: Plan) -> Result<Bytes, ApiError> {
    let made = if state.cogs.is_local() {
        let shared = state.clone();
        state.pool.run(move || make_local(&shared, &plan)).await?
    } else {
        // Held until the picture is drawn: what was fetched is in memory as long.
        let _permit = state.fetches.enter().await?;
        match read_all(state, &plan).await {
            Ok(raw) => state.pool.run(move || Ok(render(&plan, &raw)?)).await?,
            Err(error) => Err(error.into()),
        }
    };
    made.map(Bytes::from).map_err(|failure| {
        state.log_once(&failure.to_string());
        match failure {
            Failure::Cog(CogError::Store(error)) => {
                ApiError::unavailable(format!("the store cannot be read now: {error}"))
            }
            other => ApiError::internal(other.to_string()),
        }
    })
}

fn make_local(state: &AppState, plan: &Plan) -> Result<Vec<u8>, Failure> {
    let mut raw = Vec::with_capacity(plan.sources.len());
    for source in &plan.sources {
        raw.push(state.cogs.read_local(source)?);
    }
    Ok(render(plan, &raw)?)
}

async fn read_all(state: &AppState, plan: &Plan) -> Result<Vec<RawBlocks>, CogError> {
    let mut reads = tokio::task::JoinSet::new();
    let plan = Arc::new(plan.clone());
    for i in 0..plan.sources.len() {
        let (state, plan) = (state.clone(), Arc::clone(&plan));
        reads.spawn(async move { (i, state.cogs.read(&plan.sources[i]).await) });
    }
    let mut raw = vec![RawBlocks::new(); plan.sources.len()];
    while let Some(done) = reads.join_next().await {
        let (i, blocks) =
            done.map_err(|error| CogError::File { path: "a read".to_owned(), source: std::io::Error::other(error) })?;
        raw[i] = blocks?;
    }
    Ok(raw)
}
