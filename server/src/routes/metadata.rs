//! `GET /metadata/<keys>` and `POST /metadata`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use shared::clock;
use shared::dataset::Dataset;
use shared::metadata::BandStatistics;

use super::ask::{Ask, json, number};
use super::singleband;
use super::style;
use super::subject::Subject;
use crate::error::ApiError;
use crate::limits::BODY_BYTES_MAX;
use crate::params::Params;
use crate::tile::encode::Format;
use crate::tile::plan::Scene;

/// What `columns` may name; Terracotta's first, and only those of the second line must be named to be told.
const COLUMNS: [&str; 24] = [
    "bounds",
    "convex_hull",
    "mean",
    "metadata",
    "percentiles",
    "range",
    "stdev",
    "valid_percentage",
    "dtype",
    "nodata",
    "crs",
    "size",
    "minzoom",
    "maxzoom",
    "band",
    "unit",
    "scale",
    "offset",
    "categorical",
    "v",
    "ingested_at",
    "source",
    "histogram",
    "categories",
];
/// Columns that are large: told only when named.
const ON_DEMAND: [&str; 2] = ["histogram", "categories"];

/// The body of `POST /metadata`.
#[derive(Deserialize)]
struct Many {
    keys: Vec<Vec<String>>,
}

/// One dataset's metadata.
pub(super) async fn of_one(ask: Ask) -> Result<Response, ApiError> {
    let columns = columns(&ask.params)?;
    Ok(json(&describe(&ask, &ask.segments, columns.as_deref()).await?))
}

/// Several datasets' metadata, in the order they were asked for, all of one snapshot.
pub(super) async fn of_many(ask: Ask, body: Result<Bytes, BytesRejection>) -> Result<Response, ApiError> {
    let columns = columns(&ask.params)?;
    let body = body
        .map_err(|_| ApiError::too_large(format!("the body is longer than {BODY_BYTES_MAX} bytes or was cut short")))?;
    let many: Many = serde_json::from_slice(&body)
        .map_err(|e| ApiError::bad(format!("the body is not {{\"keys\":[[\"v1\",\"v2\"],…]}}: {e}")))?;
    let max = ask.state.settings.limits.post_keys_max;
    if many.keys.len() > max {
        return Err(ApiError::bad(format!("{} datasets in one request; {max} are the most", many.keys.len())));
    }
    let mut found = Vec::with_capacity(many.keys.len());
    for keys in &many.keys {
        found.push(describe(&ask, keys, columns.as_deref()).await?);
    }
    Ok(json(&Value::Array(found)))
}

fn columns(params: &Params) -> Result<Option<Vec<String>>, ApiError> {
    let Some(text) = params.get("columns") else { return Ok(None) };
    let columns: Vec<String> = serde_json::from_str(text)
        .map_err(|_| ApiError::bad(format!("columns={text} is not a JSON list; write columns=[\"range\",\"mean\"]")))?;
    match columns.iter().find(|name| name.as_str() != "keys" && !COLUMNS.contains(&name.as_str())) {
        Some(name) => {
            Err(ApiError::bad(format!("there is no column {name:?}; the columns are {}", COLUMNS.join(", "))))
        }
        None => Ok(Some(columns)),
    }
}

async fn describe(ask: &Ask, keys: &[String], columns: Option<&[String]>) -> Result<Value, ApiError> {
    let dataset = ask.dataset(keys).await?;
    let wanted = |name: &str| match columns {
        Some(columns) => columns.iter().any(|c| c == name),
        None => !ON_DEMAND.contains(&name),
    };
    let mut members = Map::new();
    for name in COLUMNS {
        // Members in alphabetical order as Terracotta has them, then ours.
        if name == "mean" {
            let named = ask.collection.key_names().into_iter().zip(keys);
            let named = named.map(|(name, value)| (name.to_owned(), json!(value))).collect::<Map<_, _>>();
            members.insert("keys".to_owned(), Value::Object(named));
        }
        let told = name != "source" || ask.state.expose_sources;
        if wanted(name) && told {
            let value = match name {
                "v" => json!(default_version(ask, &dataset)),
                "unit" => {
                    let style = style::of(&ask.collection, &dataset);
                    json!(style.unit.as_ref().or(dataset.metadata.band.unit.as_ref()))
                }
                _ => column(&dataset, name),
            };
            members.insert(name.to_owned(), value);
        }
    }
    Ok(Value::Object(members))
}

/// The version of the layer that `/singleband` shows of a dataset without parameters.
fn default_version(ask: &Ask, dataset: &Arc<Dataset>) -> Option<String> {
    let subject = Subject::One(Scene { channels: vec![Some(Arc::clone(dataset))] });
    let look = singleband::look(ask, &Params::default(), &subject).ok()?;
    let size = Params::default().size(u32::MAX).ok()?;
    Some(look.version(&subject, size, Format::Png))
}

fn column(dataset: &Dataset, name: &str) -> Value {
    let m = &dataset.metadata;
    let of = |value: fn(&BandStatistics) -> Value| m.statistics.as_ref().map_or(Value::Null, value);
    let placement = &dataset.cog.placement;
    match name {
        "bounds" => json!(m.bounds),
        "convex_hull" => {
            let rings = if m.convex_hull.is_empty() { json!([]) } else { json!([m.convex_hull]) };
            json!({ "coordinates": rings, "type": "Polygon" })
        }
        "mean" => of(|s| number(s.mean)),
        "metadata" => json!(m.user),
        "percentiles" => of(|s| s.percentiles.iter().copied().map(number).collect()),
        "range" => of(|s| json!([number(s.min), number(s.max)])),
        "stdev" => of(|s| number(s.stdev)),
        "valid_percentage" => number(m.valid_percentage),
        "dtype" => json!(m.data_type.name()),
        "nodata" => m.nodata.map_or(Value::Null, number),
        "crs" => json!(m.crs),
        "size" => json!(m.size),
        "minzoom" => json!(placement.minzoom),
        "maxzoom" => json!(placement.maxzoom),
        "band" => json!({ "number": m.band.number, "name": m.band.name }),
        "scale" => m.band.scale.map_or(Value::Null, number),
        "offset" => m.band.offset.map_or(Value::Null, number),
        "categorical" => json!(m.categorical),
        "ingested_at" => json!(clock::rfc3339(m.ingested_at_ms)),
        "source" => json!(m.input),
        "histogram" => of(
            |s| json!({ "min": number(s.histogram.min), "max": number(s.histogram.max), "counts": s.histogram.counts }),
        ),
        "categories" => m.categories.iter().map(|(value, label)| json!({ "value": value, "label": label })).collect(),
        _ => Value::Null,
    }
}
