//! `GET /colormap`, `/colormaps` and `/colormaps/{name}.png`.

use std::borrow::Cow;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use shared::collection::Collection;

use super::ask::{Ask, json};
use crate::error::ApiError;
use crate::params::Bound;
use crate::tile::colormap::{self, COLORS};
use crate::tile::encode;
use crate::tile::place::Size;

/// Pixels from top to bottom of a legend strip.
const LEGEND_HEIGHT: u32 = 32;

/// A map by name: the collection's own first. One of a wrong length, of which no picture can be made, is none.
pub(super) fn find<'a>(collection: &'a Collection, name: &str) -> Option<Cow<'a, [[u8; 4]]>> {
    let own = collection.colormaps.get(name).filter(|colors| colors.len() == COLORS);
    own.map(|colors| Cow::Borrowed(colors.as_slice())).or_else(|| colormap::named(name).map(Cow::Borrowed))
}

/// The same, or what is said of a name that is no map's.
pub(super) fn require<'a>(collection: &'a Collection, name: &str) -> Result<Cow<'a, [[u8; 4]]>, ApiError> {
    find(collection, name).ok_or_else(|| unknown(collection, name))
}

fn unknown(collection: &Collection, name: &str) -> ApiError {
    ApiError::bad(format!("there is no colormap {name:?}; the colormaps are {}", all(collection).join(", ")))
}

/// `GET /colormap`: values and their colors over a stretch.
pub(super) async fn values(ask: Ask) -> Result<Response, ApiError> {
    let stretch = ask.params.stretch("stretch_range")?;
    let Some([Bound::Number(low), Bound::Number(high)]) = stretch else {
        return Err(ApiError::bad("stretch_range takes two numbers, such as [0,1], and cannot be left out"));
    };
    let count = ask.params.count("num_values", COLORS)?;
    let max = ask.state.settings.limits.num_values_max;
    if count > max {
        return Err(ApiError::bad(format!("num_values={count} is more than {max}")));
    }
    let colors = match ask.params.get("colormap") {
        None => Cow::Owned(colormap::greyscale()),
        Some(name) => require(&ask.collection, name)?,
    };
    let entries: Vec<Value> = (0..count)
        .map(|i| {
            let value = if i + 1 == count && count > 1 { high } else { low + i as f64 * step(low, high, count) };
            let rgba = colors.get(index(low, high, value)).copied().unwrap_or_default();
            json!({ "value": value, "rgba": rgba.map(f64::from) })
        })
        .collect();
    Ok(json(&json!({ "colormap": entries })))
}

/// `GET /colormaps`: all names.
pub(super) async fn names(ask: Ask) -> Response {
    json(&json!({ "colormaps": all(&ask.collection) }))
}

/// `GET /colormaps/{name}.png`: a strip from the first color to the last.
pub(super) async fn legend(ask: Ask) -> Result<Response, ApiError> {
    let file = ask.segments.first().map_or("", String::as_str);
    let name = file.strip_suffix(".png").ok_or_else(|| ApiError::not_found("a legend's name ends in .png"))?;
    let colors = find(&ask.collection, name)
        .ok_or_else(|| ApiError::not_found(format!("there is no colormap {name:?}; GET /colormaps lists them")))?;
    let size = Size { height: LEGEND_HEIGHT, width: colors.len().max(1) as u32 };
    let row: Vec<u8> = (1..=size.width).map(|i| i as u8).collect();
    let drawn = encode::palette(&row.repeat(LEGEND_HEIGHT as usize), &colors, size);
    let drawn = drawn.map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("image/png"))], drawn).into_response())
}

fn all(collection: &Collection) -> Vec<&str> {
    let mut names: Vec<&str> = own(collection).collect();
    colormap::names().for_each(|name| names.push(name));
    names.sort_unstable();
    names.dedup();
    names
}

/// Names of the collection's own maps.
fn own(collection: &Collection) -> impl Iterator<Item = &str> {
    let whole = collection.colormaps.iter().filter(|(_, colors)| colors.len() == COLORS);
    whole.map(|(name, _)| name.as_str())
}

fn step(low: f64, high: f64, count: usize) -> f64 {
    if count > 1 { (high - low) / (count - 1) as f64 } else { 0.0 }
}

/// The color of a value, in Terracotta's order of operations: scaled to 1 … 255, rounded half to even, less 1.
fn index(low: f64, high: f64, value: f64) -> usize {
    let range = high - low;
    let factor = if range.abs() > 1e-8 { 254.0 / range } else { 1.0 };
    let scaled = ((value - low) * factor + 1.0).clamp(1.0, 255.0);
    if scaled.is_nan() { 0 } else { scaled.round_ties_even() as usize - 1 }
}
