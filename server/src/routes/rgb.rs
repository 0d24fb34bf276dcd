//! `GET /rgb/<all keys but the last>/{z}/{x}/{y}.png` and `…/preview.png`.

use axum::http::HeaderMap;
use axum::response::Response;
use shared::catalog::query::DatasetQuery;

use super::ask::Ask;
use super::picture;
use super::singleband::style_stretch;
use crate::error::ApiError;
use crate::params::resolve;
use crate::tile::plan::{Channel, Layer, Paint, Scale};
use crate::tile::transform;

/// The channels, and the parameters of their stretches.
const CHANNELS: [(&str, &str); 3] = [("r", "r_range"), ("g", "g_range"), ("b", "b_range")];

/// Three datasets as a picture.
pub(super) async fn show(ask: Ask, headers: HeaderMap) -> Result<Response, ApiError> {
    let (keys, place) = picture::place(&ask.segments)?;
    let names = ask.collection.key_names();
    if keys.len() + 1 != names.len() {
        let wanted = names[..names.len().saturating_sub(1)].join(", ");
        return Err(ApiError::bad(format!(
            "got {} key values; this route takes all keys but the last: {wanted}",
            keys.len()
        )));
    }
    let layer = layer(&ask, keys).await?;
    picture::answer(&ask, &headers, layer, place).await
}

async fn layer(ask: &Ask, keys: &[String]) -> Result<Layer, ApiError> {
    let size = ask.params.size(ask.state.settings.limits.tile_size_max)?;
    let operations = match ask.params.get("color_transform") {
        Some(text) => transform::parse(text, 3).map_err(|fault| ApiError::bad(format!("color_transform: {fault}")))?,
        None => Vec::new(),
    };
    let values = channel_values(ask, keys).await?;
    let mut channels = Vec::with_capacity(3);
    for ((_, range), value) in CHANNELS.iter().zip(values) {
        let stretch = ask.params.stretch(range)?.or_else(|| style_stretch(&ask.collection.style));
        let dataset = ask.dataset(&[keys, &[value]].concat()).await?;
        let (low, high) = resolve(stretch, dataset.metadata.statistics.as_ref());
        if high < low {
            return Err(ApiError::bad(format!("{range}: the upper bound {high} is below the lower bound {low}")));
        }
        channels.push(Channel { dataset, scale: Scale::Stretch { low, high } });
    }
    Ok(Layer { channels, paint: Paint::Rgb, transform: operations, size })
}

/// Values of the last key for red, green and blue. Without any parameter: those of the image the datasets came from, if they came from one.
async fn channel_values(ask: &Ask, keys: &[String]) -> Result<[String; 3], ApiError> {
    let [r, g, b] = CHANNELS.map(|(name, _)| ask.params.get(name).map(str::to_owned));
    let missing = || ApiError::bad("r, g and b take values of the last key, and cannot be left out");
    match (r, g, b) {
        (Some(r), Some(g), Some(b)) => Ok([r, g, b]),
        (None, None, None) => own_bands(ask, keys).await?.ok_or_else(missing),
        _ => Err(missing()),
    }
}

async fn own_bands(ask: &Ask, keys: &[String]) -> Result<Option<[String; 3]>, ApiError> {
    let filters = keys.iter().cloned().enumerate().map(|(i, value)| (i, vec![value])).collect();
    let query = DatasetQuery { filters, limit: 1, ..DatasetQuery::default() };
    let collection = ask.collection.name.clone();
    let found = ask.with_snapshot(move |snapshot| snapshot.catalog.dataset_keys(&collection, &query)).await?;
    match found.first() {
        Some(first) => Ok(ask.dataset(first).await?.metadata.rgb.clone()),
        None => Ok(None),
    }
}
