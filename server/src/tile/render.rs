//! The CPU half of a picture: raw blocks in, PNG out.

use super::cog::RawBlocks;
use super::decode::{DecodeError, decode};
use super::encode::{self, EncodeError};
use super::image::{Band, Blocks};
use super::plan::{Layer, Paint, Plan, Scale, Source};
use super::scale;
use super::transform::{apply_to_pixel, is_per_band};

/// Why a picture cannot be made of its blocks.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RenderError {
    #[error("{path} does not hold what the catalogue says: {source}; ingest its input again")]
    Decode { path: String, source: DecodeError },
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// Renders a plan; `raw` holds the blocks of each of its sources.
pub(crate) fn render(plan: &Plan, raw: &[RawBlocks]) -> Result<Vec<u8>, RenderError> {
    let mut sources = Vec::with_capacity(raw.len());
    for (source, blocks) in plan.sources.iter().zip(raw) {
        sources.push(decode_all(source, blocks)?);
    }
    let bands: Vec<Option<Band<'_>>> = (plan.channels.iter().zip(&plan.layer.channels))
        .map(|(source, channel)| {
            source.and_then(|at| sources.get(at)).and_then(|blocks| blocks.band(usize::from(channel.dataset.sample)))
        })
        .collect();
    let size = plan.layer.size;
    if bands.iter().all(Option::is_none) {
        return Ok(encode::transparent(size)?);
    }
    let planes = planes(&plan.layer, &bands);
    Ok(match (&plan.layer.paint, planes.as_slice()) {
        (Paint::Rgb, [r, g, b]) => encode::rgb([r, g, b], size)?,
        (Paint::Palette(colors), [plane]) => encode::palette(plane, colors, size)?,
        (_, [plane, ..]) => encode::grey(plane, size)?,
        (_, []) => encode::transparent(size)?,
    })
}

fn decode_all<'a>(source: &'a Source, raw: &RawBlocks) -> Result<Blocks<'a>, RenderError> {
    let blocks = raw.iter().map(|block| {
        block.as_ref().map(|block| decode(&source.dataset.cog, &block.image, block.mask.as_deref())).transpose()
    });
    let blocks: Result<Vec<_>, DecodeError> = blocks.collect();
    let blocks = blocks.map_err(|fault| RenderError::Decode { path: source.dataset.path.clone(), source: fault })?;
    Ok(Blocks::new(source, blocks))
}

/// The 8-bit planes of the picture, one per channel.
fn planes(layer: &Layer, bands: &[Option<Band<'_>>]) -> Vec<Vec<u8>> {
    if !is_per_band(&layer.transform) && bands.len() == 3 {
        return across_bands(layer, bands);
    }
    let pixels = pixels(layer);
    let channels = layer.channels.iter().zip(bands).enumerate();
    channels
        .map(|(i, (channel, band))| match band {
            Some(band) => scale::to_indexes(band, &channel.scale, &layer.transform, i),
            None => vec![0; pixels],
        })
        .collect()
}

fn across_bands(layer: &Layer, bands: &[Option<Band<'_>>]) -> Vec<Vec<u8>> {
    let pixels = pixels(layer);
    let units: Vec<(Vec<f64>, Vec<bool>)> = (layer.channels.iter().zip(bands))
        .map(|(channel, band)| match (band, &channel.scale) {
            (Some(band), Scale::Stretch { low, high }) => scale::to_units(band, *low, *high),
            _ => (vec![0.0; pixels], vec![false; pixels]),
        })
        .collect();
    let mut planes = vec![vec![0; pixels]; units.len()];
    for i in 0..pixels {
        if !units.iter().any(|(_, valid)| valid[i]) {
            continue;
        }
        let value = |band: usize| if units[band].1[i] { units[band].0[i] } else { 0.0 };
        let rgb = apply_to_pixel(&layer.transform, [value(0), value(1), value(2)]);
        for ((plane, (_, valid)), value) in planes.iter_mut().zip(&units).zip(rgb) {
            plane[i] = if valid[i] { scale::to_u8(value) } else { 0 };
        }
    }
    planes
}

fn pixels(layer: &Layer) -> usize {
    layer.size.height as usize * layer.size.width as usize
}
