//! A picture's way through the server: subject and look → scenes at the place → plan → `ETag`, and 304 before any I/O → cache → one flight → read, decode,
//! render.

use std::fmt::Write as _;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use shared::dataset::DataType;

use super::ask::Ask;
use super::subject::Subject;
use super::target::Target;
use super::tilejson;
use crate::error::ApiError;
use crate::params::Params;
use crate::state::AppState;
use crate::tile::cog::{CogError, RawBlocks};
use crate::tile::encode::Format;
use crate::tile::expression::Expression;
use crate::tile::place::Size;
use crate::tile::plan::{Layer, Paint, Plan, Scale, Scene, ScenePlan};
use crate::tile::render::{Canvas, RenderError, Times};
use crate::tile::transform::Operation;

/// Says which snapshot an answer is of.
pub(super) const SNAPSHOT_HEADER: HeaderName = HeaderName::from_static("x-kiln-snapshot");
/// Says that a mosaic had more scenes in this place than one picture shows.
pub(super) const TRUNCATED_HEADER: HeaderName = HeaderName::from_static("x-kiln-truncated");
/// Where the time of an answer went.
pub(super) const TIMING_HEADER: HeaderName = HeaderName::from_static("server-timing");
/// `Cache-Control` of a URL that names its layer's version.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// COGs of a store that is not local that are read at once for one picture.
const COGS_READ_AT_ONCE: usize = 16;
/// Scenes of a mosaic that are fetched before it is looked whether they suffice.
const SCENES_READ_AT_ONCE: usize = 4;
/// A PNG of nothing up to this size is made in microseconds, without another thread.
const NOTHING_PIXELS_MAX: usize = 512 * 512;
/// Bytes a cached picture costs beside its own.
const CACHE_ENTRY_BYTES: usize = 256;

/// Why a picture could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Cog(#[from] CogError),
    #[error(transparent)]
    Render(#[from] RenderError),
}

/// How a subject is painted, wherever it is looked at.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) formula: Option<Arc<Expression>>,
    pub(super) scales: Vec<Scale>,
    pub(super) paint: Paint,
    pub(super) transform: Vec<Operation>,
}

/// Bytes that were made, and how long that took; nothing if they were known.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) bytes: Bytes,
    pub(crate) times: Option<Times>,
}

impl Look {
    /// The look of some scenes in a picture.
    fn layer(&self, scenes: Vec<Scene>, subject: &Subject, size: Size, format: Format) -> Layer {
        Layer {
            scenes,
            method: subject.method(),
            formula: self.formula.clone(),
            scales: self.scales.clone(),
            paint: self.paint.clone(),
            transform: self.transform.clone(),
            size,
            format,
            data_type: if self.formula.is_some() { DataType::Float64 } else { subject.data_type() },
        }
    }

    /// The `v` of a layer's URLs: what it is of and how it looks, whatever the place.
    pub(super) fn version(&self, subject: &Subject, size: Size, format: Format) -> String {
        let scenes = match subject {
            Subject::One(scene) => vec![scene.clone()],
            Subject::Mosaic(_) => Vec::new(),
        };
        let layer = self.layer(scenes, subject, size, format).hash();
        match subject.version() {
            None => layer.to_hex().to_string(),
            Some(version) => blake3::hash(format!("{} {version}", layer.to_hex()).as_bytes()).to_hex().to_string(),
        }
    }
}

/// Answers with the picture, or the `TileJSON`, of a subject.
pub(super) async fn answer(
    ask: &Ask,
    params: &Params,
    headers: &HeaderMap,
    subject: &Subject,
    look: &Look,
    target: Target,
) -> Result<Response, ApiError> {
    let (place, format) = match target {
        Target::TileJson => return tilejson::answer(ask, params, subject, look),
        Target::Picture { place, format } => (place, format),
    };
    let (place, size) = place.resolve(params, subject.zooms().1, ask.state.settings.limits.tile_size_max)?;
    let (place, scenes, truncated) = subject.scenes(ask, place).await?;
    if let Some(formula) = &look.formula {
        formula
            .check_cost(size.pixels(), scenes.len())
            .map_err(|fault| ApiError::bad(format!("expression: {fault}")))?;
    }
    let current = params.get("v").is_some_and(|v| look.version(subject, size, format) == v);
    let plan = look.layer(scenes, subject, size, format).plan(place).map_err(|error| {
        ask.state.log_once(&error.to_string());
        ApiError::internal(error.to_string())
    })?;
    let etag = format!("\"{}\"", &plan.etag.to_hex()[..32]);
    let lookup = ask.started.elapsed();
    let (mut response, timing) = if matches(headers, &etag) {
        (StatusCode::NOT_MODIFIED.into_response(), timing(lookup, None))
    } else {
        let made = picture(&ask.state, plan).await?;
        let content_type = HeaderValue::from_static(format.content_type());
        (([(header::CONTENT_TYPE, content_type)], made.bytes).into_response(), timing(lookup, made.times.as_ref()))
    };
    let cache_control = if current { Ok(IMMUTABLE) } else { HeaderValue::from_str(&ask.state.settings.cache_control) };
    let told = response.headers_mut();
    let values = [
        (header::ETAG, HeaderValue::from_str(&etag)),
        (header::CACHE_CONTROL, cache_control),
        (TIMING_HEADER, HeaderValue::from_str(&timing)),
    ];
    told.extend(values.into_iter().filter_map(|(name, value)| Some((name, value.ok()?))));
    told.insert(SNAPSHOT_HEADER, HeaderValue::from(ask.snapshot.manifest.n));
    if truncated {
        told.insert(TRUNCATED_HEADER, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// `Server-Timing` (W3C), in milliseconds. A picture that was known took only the look-up.
fn timing(lookup: Duration, times: Option<&Times>) -> String {
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let mut text = format!("lookup;dur={:.3}", ms(lookup));
    if let Some(times) = times {
        let steps =
            [("read", times.read), ("decode", times.decode), ("render", times.render), ("encode", times.encode)];
        for (name, time) in steps {
            let _ = write!(text, ", {name};dur={:.3}", ms(time));
        }
    }
    text
}

/// Whether `If-None-Match` (RFC 9110, section 13.1.2) names this tag; compared weakly.
fn matches(headers: &HeaderMap, etag: &str) -> bool {
    let lists = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = lists.flat_map(|list| list.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

async fn picture(state: &AppState, plan: Plan) -> Result<Made, ApiError> {
    if plan.scenes.is_empty() && plan.layer.format == Format::Png && plan.layer.size.pixels() <= NOTHING_PIXELS_MAX {
        return Ok(Made { bytes: state.nothing(plan.layer.size), times: None });
    }
    let name = plan.etag;
    if let Some(known) = state.pictures.lock().unwrap_or_else(PoisonError::into_inner).get(&name) {
        state.metrics.cache_hit();
        return Ok(Made { bytes: known.clone(), times: None });
    }
    state
        .flights
        .join(name, || async {
            state.metrics.cache_miss();
            let made = make(state, plan).await?;
            let cost = made.bytes.len() + CACHE_ENTRY_BYTES;
            state.pictures.lock().unwrap_or_else(PoisonError::into_inner).put(name, made.bytes.clone(), cost);
            Ok(made)
        })
        .await
}

async fn make(state: &AppState, plan: Plan) -> Result<Made, ApiError> {
    let plan = Arc::new(plan);
    let mut canvas = Canvas::new(Arc::clone(&plan));
    let made = if state.cogs.is_local() {
        let shared = state.clone();
        let work = move || {
            while !canvas.wanted(1).is_empty() {
                canvas.lay(|scene| read_local(&shared, scene))?;
            }
            Ok::<_, Failure>(canvas.finish()?)
        };
        state.pool.run(work).await?
    } else {
        make_fetched(state, &plan, canvas).await?
    };
    let (bytes, times) = made.map_err(|failure| failed(state, failure))?;
    state.metrics.made(&times);
    Ok(Made { bytes: Bytes::from(bytes), times: Some(times) })
}

/// From a store that is not local: a few scenes are fetched, then laid, until no other would show.
async fn make_fetched(
    state: &AppState,
    plan: &Plan,
    mut canvas: Canvas,
) -> Result<Result<(Vec<u8>, Times), Failure>, ApiError> {
    // Held until the picture is drawn: what was fetched is in memory as long.
    let _permit = state.fetches.enter().await?;
    loop {
        let started = Instant::now();
        let mut raw = match read_all(state, &plan.scenes[canvas.wanted(SCENES_READ_AT_ONCE)]).await {
            Ok(raw) => raw,
            Err(error) => return Ok(Err(error.into())),
        };
        canvas.waited(started.elapsed());
        let laid = state.pool.run(move || {
            while let Some(raw) = raw.pop() {
                canvas.lay(|_| Ok::<_, Failure>(raw))?;
            }
            Ok(if canvas.wanted(1).is_empty() { Laid::Made(canvas.finish()?) } else { Laid::More(canvas) })
        });
        canvas = match laid.await? {
            Ok(Laid::More(canvas)) => canvas,
            Ok(Laid::Made(made)) => return Ok(Ok(made)),
            Err(failure) => return Ok(Err(failure)),
        };
    }
}

/// What became of a canvas.
enum Laid {
    More(Canvas),
    Made((Vec<u8>, Times)),
}

fn read_local(state: &AppState, scene: &ScenePlan) -> Result<Vec<RawBlocks>, Failure> {
    Ok(scene.sources.iter().map(|source| state.cogs.read_local(source)).collect::<Result<_, _>>()?)
}

fn failed(state: &AppState, failure: Failure) -> ApiError {
    state.log_once(&failure.to_string());
    match failure {
        // Where the store lies is nobody's business but its operator's.
        Failure::Cog(CogError::Store(_)) => ApiError::unavailable("the store cannot be read now; the log says more"),
        other => ApiError::internal(other.to_string()),
    }
}

/// What brings the blocks of a scene, each source's in order.
type Read<'r> = dyn FnMut(&ScenePlan, usize) -> Result<Vec<RawBlocks>, Failure> + 'r;

/// Runs work on the CPU pool that reads blocks of these scenes. A local store's are read as they are asked for, another's are all fetched before.
pub(super) async fn with_blocks<T: Send + 'static>(
    state: &AppState,
    scenes: &[ScenePlan],
    work: impl FnOnce(&mut Read<'_>) -> Result<T, Failure> + Send + 'static,
) -> Result<T, ApiError> {
    let done = if state.cogs.is_local() {
        let shared = state.clone();
        state.pool.run(move || work(&mut |scene, _| read_local(&shared, scene))).await?
    } else {
        // Held until the work is done: what was fetched is in memory as long.
        let _permit = state.fetches.enter().await?;
        match read_all(state, scenes).await {
            Ok(mut raw) => {
                state
                    .pool
                    .run(move || work(&mut |_, i| Ok(raw.get_mut(i).map(std::mem::take).unwrap_or_default())))
                    .await?
            }
            Err(error) => Err(error.into()),
        }
    };
    done.map_err(|failure| failed(state, failure))
}

async fn read_all(state: &AppState, scenes: &[ScenePlan]) -> Result<Vec<Vec<RawBlocks>>, CogError> {
    let mut raw: Vec<Vec<RawBlocks>> = scenes.iter().map(|scene| vec![RawBlocks::new(); scene.sources.len()]).collect();
    let places = scenes.iter().enumerate().flat_map(|(i, scene)| (0..scene.sources.len()).map(move |j| (i, j)));
    let mut waiting = places.collect::<Vec<_>>().into_iter();
    let mut reads = tokio::task::JoinSet::new();
    loop {
        while reads.len() < COGS_READ_AT_ONCE {
            let Some((i, j)) = waiting.next() else { break };
            let (state, source) = (state.clone(), scenes[i].sources[j].clone());
            reads.spawn(async move { (i, j, state.cogs.read(&source).await) });
        }
        let Some(done) = reads.join_next().await else { return Ok(raw) };
        let (i, j, blocks) =
            done.map_err(|error| CogError::File { path: "a read".to_owned(), source: std::io::Error::other(error) })?;
        raw[i][j] = blocks?;
    }
}
