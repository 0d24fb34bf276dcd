//! What an operator may ask a running ingestor: `/jobs`, `/rejected` and metrics; on a listener of their own, or beside the API on loopback.

use std::path::Path;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::catalog::inputs::{self, InputRow};
use shared::clock;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::pipeline::Pipeline;
use crate::replica::ReplicaError;

/// Jobs in one answer: more are counted.
const JOBS_TOLD_MAX: usize = 200;
/// Rejected inputs in one answer.
const REJECTED_MAX: usize = 1000;

/// Routes and metrics of an ingestor.
pub fn more(pipeline: &Arc<Pipeline>) -> server::More {
    let routes =
        Router::new().route("/jobs", get(jobs)).route("/rejected", get(rejected)).with_state(Arc::clone(pipeline));
    let sources = pipeline.sources.iter().map(|setup| (setup.collection.name.clone(), setup.source.text())).collect();
    let working = Arc::clone(pipeline);
    let jobs = Arc::new(move || all_jobs(&working));
    let pipeline = Arc::clone(pipeline);
    let metrics = Arc::new(move || {
        let free = pipeline.replica.store().space().map(|(free, _)| free);
        pipeline.board.text((folder_bytes(pipeline.scratch.folder()), free))
    });
    server::More { routes, metrics, jobs, sources }
}

/// Answers on a listener of its own until told to stop: what `kiln watch --admin` does.
pub async fn serve(listener: TcpListener, more: server::More, shutdown: CancellationToken) {
    let told = more.clone();
    let text = async move || {
        let content_type = HeaderValue::from_static(server::METRICS_TYPE);
        ([(header::CONTENT_TYPE, content_type)], told.text().await).into_response()
    };
    let nothing = async || {
        (StatusCode::NOT_FOUND, Json(json!({ "message": "here are /health, /ready, /metrics, /jobs and /rejected" })))
    };
    let routes = Router::new()
        .route("/health", get(async || Json(json!({ "status": "ok" }))))
        .route("/ready", get(async || Json(json!({ "ready": true }))))
        .route("/metrics", get(text))
        .merge(more.routes)
        .fallback(nothing);
    let serving = axum::serve(listener, routes).with_graceful_shutdown(shutdown.cancelled_owned());
    if let Err(error) = serving.await {
        tracing::error!(%error, "the admin listener failed");
    }
}

#[derive(Deserialize)]
struct Asked {
    input: Option<String>,
}

/// Jobs at work; or everything known of one input.
async fn jobs(State(pipeline): State<Arc<Pipeline>>, Query(asked): Query<Asked>) -> Response {
    let Some(input) = asked.input else { return Json(all_jobs(&pipeline)).into_response() };
    let at_work = at_work(&pipeline, |path| path == input);
    match decided(&pipeline, &input).await {
        Err(error) => failed(&error),
        Ok(found) if found.is_empty() && at_work.is_empty() => {
            let message = format!("nothing is known of the input {input:?}; name its path relative to its source");
            (StatusCode::NOT_FOUND, Json(json!({ "message": message }))).into_response()
        }
        Ok(found) => Json(json!({ "input": input, "jobs": at_work, "decided": found })).into_response(),
    }
}

fn all_jobs(pipeline: &Pipeline) -> Value {
    let mut jobs = at_work(pipeline, |_| true);
    let at_work = jobs.len();
    jobs.truncate(JOBS_TOLD_MAX);
    json!({ "pending": pipeline.board.pending(), "at_work": at_work, "jobs": jobs })
}

/// Jobs at work on inputs of some paths.
fn at_work(pipeline: &Pipeline, is_wanted: impl Fn(&str) -> bool) -> Vec<Value> {
    let jobs = pipeline.board.jobs().into_iter().filter(|(key, _)| is_wanted(&key.path));
    let told = jobs.map(|(key, job)| {
        let source = pipeline.sources.get(key.source).map(|source| source.source.name());
        json!({
            "source": source, "input": key.path, "stage": job.stage.name(), "done": job.done,
            "seconds": job.started.elapsed().as_secs_f64(),
        })
    });
    told.collect()
}

/// What the catalogue says of an input, in each source that has one of this path.
async fn decided(pipeline: &Pipeline, input: &str) -> Result<Vec<Value>, ReplicaError> {
    let mut found = Vec::new();
    for source in &pipeline.sources {
        let (name, path) = (source.source.name().to_owned(), input.to_owned());
        let row = pipeline
            .replica
            .with(move |conn| match inputs::find(conn, &name, &path)? {
                Some(row) => Ok(Some((inputs::datasets(conn, row.id)?, name, row))),
                None => Ok(None),
            })
            .await?;
        if let Some((datasets, name, row)) = row {
            let datasets: Vec<Value> =
                datasets.iter().map(|dataset| json!({ "keys": dataset.keys, "cog": dataset.path })).collect();
            let mut told = told(&name, &row);
            told["datasets"] = datasets.into();
            found.push(told);
        }
    }
    Ok(found)
}

/// What was rejected, and why.
async fn rejected(State(pipeline): State<Arc<Pipeline>>) -> Response {
    match pipeline.replica.with(|conn| inputs::rejected(conn)).await {
        Err(error) => failed(&error),
        Ok(rows) => {
            let list: Vec<Value> = rows.iter().take(REJECTED_MAX).map(|(source, row)| told(source, row)).collect();
            Json(json!({ "total": rows.len(), "rejected": list })).into_response()
        }
    }
}

fn told(source: &str, row: &InputRow) -> Value {
    json!({
        "source": source, "input": row.path, "decision": row.decision.name(), "commit": row.n, "version": row.version,
        "source_time": clock::rfc3339(row.source_time_ms), "reason": row.reason, "may_pass": row.may_pass, "owner": row.owner,
    })
}

fn failed(error: &ReplicaError) -> Response {
    let message = json!({ "message": error.to_string() });
    (StatusCode::INTERNAL_SERVER_ERROR, Json(message)).into_response()
}

/// Bytes in a folder and all below it. What vanishes meanwhile counts nothing.
fn folder_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => folder_bytes(&entry.path()),
            Ok(kind) if kind.is_file() => entry.metadata().map_or(0, |meta| meta.len()),
            _ => 0,
        })
        .sum()
}
