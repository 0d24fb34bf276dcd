//! `…/tilejson.json`: TileJSON 3.0.0 of a layer.

use axum::response::Response;
use serde_json::json;

use super::ask::{Ask, json};
use super::picture::Look;
use super::style;
use super::subject::Subject;
use crate::error::ApiError;
use crate::links::query_value;
use crate::params::Params;
use crate::tile::encode::Format;
use crate::tile::plan::Scale;

/// Parameters that are of the answer, not of the layer.
const OWN: [&str; 1] = ["v"];

/// The layer's tiles, where they lie and whom to thank.
pub(super) fn answer(ask: &Ask, params: &Params, subject: &Subject, look: &Look) -> Result<Response, ApiError> {
    let size = params.size(ask.state.settings.limits.tile_size_max)?;
    let (minzoom, maxzoom) = subject.zooms();
    let bounds = subject.bounds().map_or([-180.0, -85.0511, 180.0, 85.0511], |b| [b.west, b.south, b.east, b.north]);
    let [west, south, east, north] = bounds;
    let middle = if west > east { (west + east + 360.0) / 2.0 } else { f64::midpoint(west, east) };
    let middle = if middle > 180.0 { middle - 360.0 } else { middle };
    let style = subject.dataset(0).map(|dataset| style::of(&ask.collection, dataset));
    let attribution = style.as_ref().and_then(|style| style.attribution.clone());
    let mut query: Vec<(String, String)> = params
        .iter()
        .filter(|(name, _)| !OWN.contains(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    // A change of the data must not change the colors of a map that is open.
    if look.formula.is_none() {
        let names: &[&str] =
            if look.scales.len() == 3 { &["r_range", "g_range", "b_range"] } else { &["stretch_range"] };
        for (name, scale) in names.iter().zip(&look.scales) {
            if let Scale::Stretch { low, high } = scale {
                query.retain(|(known, _)| known != name);
                query.push(((*name).to_owned(), format!("[{low},{high}]")));
            }
        }
    }
    query.push(("v".to_owned(), look.version(subject, size, Format::Png)));
    let query: Vec<String> =
        query.iter().map(|(name, value)| format!("{}={}", query_value(name), query_value(value))).collect();
    let path = ask.path_without_last();
    let url = ask.links.to(&format!("{path}/{{z}}/{{x}}/{{y}}.png?{}", query.join("&")));
    let mut body = json!({
        "tilejson": "3.0.0",
        "name": ask.segments[..ask.segments.len().saturating_sub(1)].join(" / "),
        "scheme": "xyz",
        "tiles": [url],
        // Bounds must not wrap round (TileJSON 3.0.0, section 3.4): across the antimeridian they go all the way.
        "bounds": if west > east { [-180.0, south, 180.0, north] } else { bounds },
        "center": [middle, f64::midpoint(south, north), minzoom],
        "minzoom": minzoom,
        "maxzoom": maxzoom,
    });
    if let (Some(attribution), Some(members)) = (attribution, body.as_object_mut()) {
        members.insert("attribution".to_owned(), attribution.into());
    }
    Ok(json(&body))
}
