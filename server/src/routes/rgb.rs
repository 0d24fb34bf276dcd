//! `GET /rgb/<all keys but the last>/…`: three datasets, or mosaics, as red, green and blue.

use axum::http::HeaderMap;
use axum::response::Response;
use shared::catalog::query::DatasetQuery;

use super::ask::Ask;
use super::picture::{self, Look};
use super::style;
use super::subject::{KeyPattern, Subject, filter_of};
use super::target::{Target, target};
use crate::error::ApiError;
use crate::params::{Params, resolve};
use crate::tile::plan::{Paint, Scale};

/// The channels, and the parameters of their stretches.
pub(super) const CHANNELS: [(&str, &str); 3] = [("r", "r_range"), ("g", "g_range"), ("b", "b_range")];

/// Three bands as a picture.
pub(super) async fn show(ask: Ask, headers: HeaderMap) -> Result<Response, ApiError> {
    let (keys, target) = target(&ask.segments)?;
    if matches!(target, Target::Picture { format, .. } if format.is_values()) {
        return Err(ApiError::bad("values (.npy, .tif) are of one band: ask /singleband or /compute for them"));
    }
    let pattern = ask.pattern_but_last(keys)?;
    let values = channel_values(&ask, &pattern).await?;
    let mut patterns = Vec::with_capacity(3);
    for ((name, _), value) in CHANNELS.iter().zip(values) {
        patterns.push(ask.channel_pattern(&pattern, name, value)?);
    }
    let subject = Subject::find(&ask, patterns).await?;
    let params = if target == Target::TileJson { style::handed_out_rgb(&ask, &subject) } else { ask.params.clone() };
    let look = look(&ask, &params, &subject)?;
    picture::answer(&ask, &params, &headers, &subject, &look, target).await
}

fn look(ask: &Ask, params: &Params, subject: &Subject) -> Result<Look, ApiError> {
    let transform = params.operations(3)?;
    let mut scales = Vec::with_capacity(3);
    for (i, (_, range)) in CHANNELS.iter().enumerate() {
        let own = || style::stretch(&style::of(&ask.collection, subject.dataset(i)?));
        let stretch = params.stretch(range)?.or_else(own);
        let (low, high) = resolve(stretch, subject.statistics(i));
        // A style's stretch may invert a band; three at once it does not suit.
        let (low, high) = if params.get(range).is_none() && high < low { (high, low) } else { (low, high) };
        if high < low {
            return Err(ApiError::bad(format!("{range}: the upper bound {high} is below the lower bound {low}")));
        }
        scales.push(Scale::Stretch { low, high });
    }
    Ok(Look { formula: None, scales, paint: Paint::Rgb, transform })
}

/// Values of the last key for red, green and blue. Without any parameter: those of the image the datasets came from, if they came from one.
async fn channel_values(ask: &Ask, pattern: &KeyPattern) -> Result<[String; 3], ApiError> {
    let [r, g, b] = CHANNELS.map(|(name, _)| ask.params.get(name).map(str::to_owned));
    let missing = || ApiError::bad("r, g and b take values of the last key, and cannot be left out");
    match (r, g, b) {
        (Some(r), Some(g), Some(b)) => Ok([r, g, b]),
        (None, None, None) => own_bands(ask, pattern).await?.ok_or_else(missing),
        _ => Err(missing()),
    }
}

async fn own_bands(ask: &Ask, pattern: &KeyPattern) -> Result<Option<[String; 3]>, ApiError> {
    let query = DatasetQuery { filter: filter_of(pattern, None), limit: 1, ..DatasetQuery::default() };
    Ok(ask.datasets(query).await?.first().and_then(|first| first.metadata.rgb.clone()))
}
