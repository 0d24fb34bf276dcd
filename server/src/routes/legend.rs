//! `GET /legend/<keys>` as JSON, SVG or PNG: what the colors of a picture without parameters, or with these, mean.

use std::fmt::Write as _;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::ask::{Ask, json, number};
use super::singleband::{self, Coloring, coloring};
use super::subject::Subject;
use super::{picture::Look, style};
use crate::error::ApiError;
use crate::params::ExplicitMap;
use crate::tile::colormap::greyscale;
use crate::tile::legend::{Entry, Legend};
use crate::tile::plan::{Paint, Scale};

/// Steps of a ramp that JSON lists.
const STEPS: usize = 16;

/// A legend.
pub(super) async fn show(mut ask: Ask) -> Result<Response, ApiError> {
    let mut ending = "json";
    if let Some(last) = ask.segments.last_mut() {
        // Only a bare star is any value, as everywhere.
        let bare = ask.bare_star;
        let stem = |end| Some((end, last.strip_suffix(end)?.strip_suffix('.')?.to_owned()));
        if let Some((end, stem)) = ["png", "svg", "json"].into_iter().find_map(stem) {
            ending = end;
            let is_star = bare && stem == "*";
            *last = stem;
            if let Some(wild) = ask.wild.last_mut() {
                *wild |= is_star;
            }
        }
    }
    let subject = Subject::find(&ask, vec![ask.pattern(ask.segments.len())?]).await?;
    let look = singleband::look(&ask, &ask.params, &subject)?;
    let legend = legend(&ask, &subject, &look)?;
    let body = match ending {
        "svg" => (HeaderValue::from_static("image/svg+xml"), legend.svg().into_bytes()),
        "png" => {
            let drawn = legend.png().map_err(|error| ApiError::internal(error.to_string()))?;
            (HeaderValue::from_static("image/png"), drawn)
        }
        _ => return Ok(json(&described(&legend))),
    };
    Ok(([(header::CONTENT_TYPE, body.0)], body.1).into_response())
}

fn legend(ask: &Ask, subject: &Subject, look: &Look) -> Result<Legend, ApiError> {
    let Some(dataset) = subject.dataset(0) else { return Err(ApiError::internal("a legend without a dataset")) };
    let style = style::of(&ask.collection, dataset);
    let unit = style.unit.clone().or_else(|| dataset.metadata.band.unit.clone());
    if let Coloring::Explicit(map) = coloring(&ask.collection, &style, subject, &ask.params)? {
        return Ok(Legend::Classes { entries: entries(&map, &style::classes(&style, subject)), unit });
    }
    let (low, high) = match look.scales.first() {
        Some(Scale::Stretch { low, high }) => (*low, *high),
        _ => (0.0, 1.0),
    };
    let colors = match &look.paint {
        Paint::Palette(colors) => colors.clone(),
        _ => greyscale(),
    };
    Ok(Legend::Ramp { colors, low, high, unit })
}

/// Classes with the labels that are known of their values.
fn entries(map: &ExplicitMap, known: &[(f64, Option<String>, [u8; 4])]) -> Vec<Entry> {
    let label = |value: f64| known.iter().find(|(v, ..)| *v == value).and_then(|(_, label, _)| label.clone());
    map.iter().map(|(value, color)| Entry { value: *value, label: label(*value), color: *color }).collect()
}

fn described(legend: &Legend) -> Value {
    match legend {
        Legend::Classes { entries, unit } => {
            let classes: Vec<Value> = entries
                .iter()
                .map(|e| json!({ "value": whole(e.value), "label": e.label, "color": hex(e.color), "rgba": e.color }))
                .collect();
            json!({ "type": "categories", "unit": unit, "categories": classes })
        }
        Legend::Ramp { colors, low, high, unit } => {
            let steps: Vec<Value> = (0..STEPS)
                .filter_map(|i| {
                    let part = i as f64 / (STEPS - 1) as f64;
                    let color = colors.get((part * (colors.len().max(1) - 1) as f64).round() as usize)?;
                    Some(json!({ "value": number(low + (high - low) * part), "color": hex(*color), "rgba": color }))
                })
                .collect();
            json!({ "type": "ramp", "unit": unit, "range": [number(*low), number(*high)], "colors": steps })
        }
    }
}

/// A class as the whole number it mostly is.
fn whole(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 { json!(value as i64) } else { number(value) }
}

fn hex([r, g, b, a]: [u8; 4]) -> String {
    let mut text = format!("#{r:02x}{g:02x}{b:02x}");
    if a != u8::MAX {
        let _ = write!(text, "{a:02x}");
    }
    text
}
