//! `GET /singleband/<all keys>/…`: one dataset, or a mosaic of those that match.

use axum::http::HeaderMap;
use axum::response::Response;
use shared::collection::{Collection, Style};
use shared::dataset::DataType;

use super::ask::Ask;
use super::picture::{self, Look};
use super::subject::Subject;
use super::target::{Target, target};
use super::{colormaps, style};
use crate::error::ApiError;
use crate::params::{ExplicitMap, Params, resolve};
use crate::tile::plan::{Paint, Scale};

/// One band as a picture.
pub(super) async fn show(ask: Ask, headers: HeaderMap) -> Result<Response, ApiError> {
    let (keys, target) = target(&ask.segments)?;
    let subject = Subject::find(&ask, vec![ask.pattern(keys)?]).await?;
    let params = if target == Target::TileJson { style::handed_out(&ask, &subject) } else { ask.params.clone() };
    answer(&ask, &params, &headers, &subject, target).await
}

/// The picture, or what else is asked for, under these parameters.
pub(super) async fn answer(
    ask: &Ask,
    params: &Params,
    headers: &HeaderMap,
    subject: &Subject,
    target: Target,
) -> Result<Response, ApiError> {
    let look = look(ask, params, subject)?;
    picture::answer(ask, params, headers, subject, &look, target).await
}

/// How a band is painted under these parameters.
pub(super) fn look(ask: &Ask, params: &Params, subject: &Subject) -> Result<Look, ApiError> {
    let operations = params.operations(1)?;
    let Some(dataset) = subject.dataset(0) else { return Err(ApiError::internal("a layer without a dataset")) };
    let style = style::of(&ask.collection, dataset);
    let stretch = params.stretch("stretch_range")?.or_else(|| style::stretch(&style));
    let (scale, paint) = match coloring(&ask.collection, &style, subject, params)? {
        Coloring::Explicit(map) => explicit(map, dataset.cog.data_type),
        Coloring::Map(paint) => {
            let (low, high) = resolve(stretch, subject.statistics(0));
            (Scale::Stretch { low, high }, paint)
        }
    };
    // Labels are not numbers: there is nothing to transform.
    let transform = if matches!(scale, Scale::Labels(_)) { Vec::new() } else { operations };
    Ok(Look { formula: None, scales: vec![scale], paint, transform })
}

/// How values get their colors.
pub(super) enum Coloring {
    Map(Paint),
    Explicit(ExplicitMap),
}

/// What the parameters say, else the style.
pub(super) fn coloring(
    collection: &Collection,
    style: &Style,
    subject: &Subject,
    params: &Params,
) -> Result<Coloring, ApiError> {
    let explicit = params.explicit_map()?;
    match (params.get("colormap"), explicit) {
        (Some("explicit"), Some(map)) => Ok(Coloring::Explicit(map)),
        (Some("explicit"), None) => {
            Err(ApiError::bad("colormap=explicit needs explicit_color_map={\"<value>\":\"RRGGBB\"}"))
        }
        (_, Some(_)) => Err(ApiError::bad("explicit_color_map is only for colormap=explicit")),
        (Some(name), None) => {
            let colors = colormaps::require(collection, name)?;
            Ok(Coloring::Map(Paint::Palette(colors.into_owned())))
        }
        (None, None) => {
            // Who asks for a stretch sees values, not classes.
            if params.get("stretch_range").is_none() {
                let classes = style::class_colors(style, subject);
                if !classes.is_empty() {
                    return Ok(Coloring::Explicit(classes));
                }
            }
            let colors = style.colormap.as_deref().and_then(|name| colormaps::find(collection, name));
            Ok(Coloring::Map(colors.map_or(Paint::Grey, |colors| Paint::Palette(colors.into_owned()))))
        }
    }
}

fn explicit(map: ExplicitMap, data_type: DataType) -> (Scale, Paint) {
    // A label is compared with stored samples, so it is rounded as they are.
    let stored = |value: f64| if data_type == DataType::Float32 { f64::from(value as f32) } else { value };
    let (labels, colors) = map.into_iter().map(|(value, color)| (stored(value), color)).unzip();
    (Scale::Labels(labels), Paint::Palette(colors))
}
