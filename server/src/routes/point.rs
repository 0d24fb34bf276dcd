//! `GET /point/<keys>`: the values of datasets at a place; with `*` for a date, a time series.

use std::sync::Arc;

use axum::response::Response;
use serde_json::{Value, json};
use shared::bbox::Bbox;
use shared::catalog::query::DatasetQuery;
use shared::dataset::{DataType, Dataset};

use super::ask::{Ask, json, number};
use super::datasets::order_by;
use super::picture::with_blocks;
use super::subject::filter_of;
use crate::error::ApiError;
use crate::limits::POINTS_MAX;
use crate::tile::place::{Place, Size};
use crate::tile::plan::ScenePlan;
use crate::tile::render::decode_all;

/// Datasets asked unless said otherwise.
const LIMIT: usize = 100;

/// Blocks that are held at once.
const BLOCKS_AT_ONCE: usize = 64;

/// Values at a longitude and latitude.
pub(super) async fn show(ask: Ask) -> Result<Response, ApiError> {
    let pattern = ask.pattern(ask.segments.len())?;
    let lon = ask.params.number("lon", -180.0..=180.0)?;
    let lat = ask.params.number("lat", -90.0..=90.0)?;
    let limit = ask.params.count("limit", LIMIT)?;
    if limit > POINTS_MAX {
        return Err(ApiError::bad(format!("limit={limit} is more than {POINTS_MAX}")));
    }
    let datasets = if pattern.iter().all(Option::is_some) {
        vec![ask.dataset(&pattern.into_iter().flatten().collect::<Vec<_>>()).await?]
    } else {
        let here = Bbox { west: lon, south: lat, east: lon, north: lat };
        let order_by = ask.params.get("order_by").map_or(Ok(Vec::new()), |text| order_by(&ask.collection, text))?;
        let ascending = ask.params.boolean("ascending", true)?;
        let filter = filter_of(&pattern, Some(here));
        ask.datasets(DatasetQuery { filter, order_by, ascending, limit, ..DatasetQuery::default() }).await?
    };
    let mut values = Vec::with_capacity(datasets.len());
    for some in datasets.chunks(BLOCKS_AT_ONCE) {
        values.extend(self::values(&ask, some, lon, lat).await?);
    }
    let results: Vec<Value> = datasets
        .iter()
        .zip(values)
        .map(|(dataset, value)| {
            let band = &dataset.metadata.band;
            let scaled = value.as_f64().map(|v| number(v * band.scale.unwrap_or(1.0) + band.offset.unwrap_or(0.0)));
            json!({ "keys": ask.named(&dataset.keys), "value": value, "scaled": scaled })
        })
        .collect();
    Ok(json(&json!({ "lon": lon, "lat": lat, "results": results })))
}

/// The value of each dataset's pixel under the point; null where there is none.
async fn values(ask: &Ask, datasets: &[Arc<Dataset>], lon: f64, lat: f64) -> Result<Vec<Value>, ApiError> {
    let size = Size { height: 1, width: 1 };
    let mut scenes = Vec::with_capacity(datasets.len());
    for dataset in datasets {
        let plan = ScenePlan::of_one(dataset, size, Place::Point { lon, lat });
        scenes.push(plan.map_err(|error| ApiError::internal(error.to_string()))?);
    }
    let (plans, datasets) = (scenes.clone(), datasets.to_vec());
    with_blocks(&ask.state, &scenes, move |read| {
        let mut values = Vec::with_capacity(plans.len());
        for (i, (plan, dataset)) in plans.iter().zip(&datasets).enumerate() {
            let raw = read(plan, i)?;
            let Some((source, raw)) = plan.sources.first().zip(raw.first()) else {
                values.push(Value::Null);
                continue;
            };
            let blocks = decode_all(source, raw)?;
            let band = blocks.band(usize::from(dataset.sample));
            values.push(band.map_or(Value::Null, |band| {
                let mut valid = Vec::new();
                let value = match dataset.cog.data_type {
                    DataType::Float32 | DataType::Float64 => number(band.floats(0..1, &mut valid)[0]),
                    _ => json!(band.longs(0..1, &mut valid)[0]),
                };
                if valid.first() == Some(&1) { value } else { Value::Null }
            }));
        }
        Ok(values)
    })
    .await
}
