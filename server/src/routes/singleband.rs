//! `GET /singleband/<all keys>/{z}/{x}/{y}.png` and `…/preview.png`.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::response::Response;
use shared::collection::{Collection, Style};
use shared::dataset::{DataType, Dataset};

use super::ask::Ask;
use super::{colormaps, picture};
use crate::error::ApiError;
use crate::params::{Bound, ExplicitMap, Params, bound, parse_hex, resolve};
use crate::tile::colormap::COLORS;
use crate::tile::plan::{Channel, Layer, Paint, Scale};
use crate::tile::transform;

/// One dataset as a picture.
pub(super) async fn show(ask: Ask, headers: HeaderMap) -> Result<Response, ApiError> {
    let (keys, place) = picture::place(&ask.segments)?;
    let dataset = ask.dataset(keys).await?;
    let layer = layer(&ask, &ask.params, dataset)?;
    picture::answer(&ask, &headers, layer, place).await
}

/// The version of the layer a request without parameters shows.
pub(super) fn default_version(ask: &Ask, dataset: &Arc<Dataset>) -> Option<String> {
    let layer = layer(ask, &Params::default(), Arc::clone(dataset)).ok()?;
    Some(layer.hash().to_hex().to_string())
}

fn layer(ask: &Ask, params: &Params, dataset: Arc<Dataset>) -> Result<Layer, ApiError> {
    let size = params.size(ask.state.settings.limits.tile_size_max)?;
    let operations = match params.get("color_transform") {
        Some(text) => transform::parse(text, 1).map_err(|fault| ApiError::bad(format!("color_transform: {fault}")))?,
        None => Vec::new(),
    };
    let stretch = params.stretch("stretch_range")?.or_else(|| style_stretch(&ask.collection.style));
    let (scale, paint) = match coloring(&ask.collection, params)? {
        Coloring::Explicit(map) => explicit(map, dataset.cog.data_type),
        Coloring::Map(paint) => {
            let (low, high) = resolve(stretch, dataset.metadata.statistics.as_ref());
            (Scale::Stretch { low, high }, paint)
        }
    };
    // Labels are not numbers: there is nothing to transform.
    let transform = if matches!(scale, Scale::Labels(_)) { Vec::new() } else { operations };
    Ok(Layer { channels: vec![Channel { dataset, scale }], paint, transform, size })
}

enum Coloring {
    Map(Paint),
    Explicit(ExplicitMap),
}

fn coloring(collection: &Collection, params: &Params) -> Result<Coloring, ApiError> {
    let explicit = params.explicit_map()?;
    match (params.get("colormap"), explicit) {
        (Some("explicit"), Some(map)) => Ok(Coloring::Explicit(map)),
        (Some("explicit"), None) => {
            Err(ApiError::bad("colormap=explicit needs explicit_color_map={\"<value>\":\"RRGGBB\"}"))
        }
        (_, Some(_)) => Err(ApiError::bad("explicit_color_map is only for colormap=explicit")),
        (Some(name), None) => {
            let colors = colormaps::find(collection, name).ok_or_else(|| colormaps::unknown(collection, name))?;
            Ok(Coloring::Map(Paint::Palette(colors.into_owned())))
        }
        (None, None) => Ok(styled(collection)),
    }
}

/// What the collection's style says, else grey.
fn styled(collection: &Collection) -> Coloring {
    let categories = collection.style.categories.iter();
    let map: ExplicitMap = categories
        .filter_map(|category| Some((category.value as f64, parse_hex(category.color.as_deref()?)?)))
        .take(COLORS)
        .collect();
    if !map.is_empty() {
        return Coloring::Explicit(map);
    }
    let colors = collection.style.colormap.as_deref().and_then(|name| colormaps::find(collection, name));
    Coloring::Map(colors.map_or(Paint::Grey, |colors| Paint::Palette(colors.into_owned())))
}

fn explicit(map: ExplicitMap, data_type: DataType) -> (Scale, Paint) {
    // A label is compared with stored samples, so it is rounded as they are.
    let stored = |value: f64| if data_type == DataType::Float32 { f64::from(value as f32) } else { value };
    let (labels, colors) = map.into_iter().map(|(value, color)| (stored(value), color)).unzip();
    (Scale::Labels(labels), Paint::Palette(colors))
}

/// The stretch of a collection's style; one that makes no sense is none.
pub(super) fn style_stretch(style: &Style) -> Option<[Bound; 2]> {
    let [low, high] = style.stretch.as_ref()?;
    Some([bound("stretch", low).ok()?, bound("stretch", high).ok()?])
}
