//! The CPU half of a picture: raw blocks in, bytes out.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cog::RawBlocks;
use super::decode::{DecodeError, decode};
use super::encode::Format;
use super::encode::{self, EncodeError};
use super::image::{Band, Blocks};
use super::kept::Brought;
use super::mosaic::Mosaic;
use super::plan::{Layer, Plan, Scale, ScenePlan, Source};
use super::scale;
use super::transform::{apply_to_pixel, is_per_band};
use super::values::Values;
use super::verbatim;

/// Why a picture cannot be made of its blocks.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RenderError {
    #[error("{path} does not hold what the catalogue says: {source}; ingest its input again")]
    Decode { path: String, source: DecodeError },
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// Where the time of a picture went.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    pub(crate) read: Duration,
    pub(crate) decode: Duration,
    pub(crate) render: Duration,
    pub(crate) encode: Duration,
}

impl Times {
    /// Does a step and adds its time.
    fn spent<T>(time: &mut Duration, step: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let done = step();
        *time += started.elapsed();
        done
    }
}

/// A picture being made, scene by scene from the top, for as long as another could still show.
#[derive(Debug)]
pub(crate) struct Canvas {
    plan: Arc<Plan>,
    /// Scenes below what is laid.
    left: usize,
    mosaic: Option<Mosaic>,
    finished: Option<Vec<u8>>,
    times: Times,
}

impl Canvas {
    /// Nothing laid yet.
    pub(crate) fn new(plan: Arc<Plan>) -> Self {
        let left = plan.scenes.len();
        Self { plan, left, mosaic: None, finished: None, times: Times::default() }
    }

    /// The next scenes, as indexes: the last is laid first. Empty where no other would show.
    pub(crate) fn wanted(&self, at_most: usize) -> Range<usize> {
        self.left.saturating_sub(at_most)..self.left
    }

    /// So long was waited for blocks that are laid next.
    pub(crate) fn waited(&mut self, time: Duration) {
        self.times.read += time;
    }

    /// Lays the topmost scene that is left; `read` brings the blocks of its sources.
    pub(crate) fn lay<E: From<RenderError>>(
        &mut self,
        read: impl FnOnce(&ScenePlan) -> Result<Vec<RawBlocks>, E>,
    ) -> Result<(), E> {
        let plan = Arc::clone(&self.plan);
        let Some(scene) = self.left.checked_sub(1).and_then(|top| plan.scenes.get(top)) else { return Ok(()) };
        self.left -= 1;
        let times = &mut self.times;
        let raw = Times::spent(&mut times.read, || read(scene))?;
        if let Some(picture) = verbatim::picture(&plan, scene, &raw) {
            self.finished = Some(picture);
            return Ok(());
        }
        let sources = Times::spent(&mut times.decode, || decode_scene(scene, &raw))?;
        let started = Instant::now();
        let bands = bands(&plan, scene, &sources);
        times.render += started.elapsed();
        if plan.scenes.len() == 1 {
            self.finished = Some(finish(&plan, times, &bands)?);
            return Ok(());
        }
        let started = Instant::now();
        let (channels, pixels) = (bands.len(), plan.layer.size.pixels());
        let mosaic = self.mosaic.get_or_insert_with(|| Mosaic::new(plan.layer.method, channels, pixels));
        if !mosaic.add(&bands) {
            self.left = 0;
        }
        times.render += started.elapsed();
        Ok(())
    }

    /// The picture, and where its time went.
    pub(crate) fn finish(mut self) -> Result<(Vec<u8>, Times), RenderError> {
        if let Some(bytes) = self.finished {
            return Ok((bytes, self.times));
        }
        let bands = self.mosaic.map(Mosaic::finish).unwrap_or_default();
        let bytes = finish(&self.plan, &mut self.times, &bands)?;
        Ok((bytes, self.times))
    }
}

fn decode_scene<'a>(scene: &'a ScenePlan, raw: &[RawBlocks]) -> Result<Vec<Blocks<'a>>, RenderError> {
    scene.sources.iter().zip(raw).map(|(source, blocks)| decode_all(source, blocks)).collect()
}

/// The channels of a scene; a formula makes one of its operands.
fn bands<'s>(plan: &Plan, scene: &ScenePlan, sources: &'s [Blocks<'_>]) -> Vec<Option<Band<'s>>> {
    let found: Vec<Option<Band<'_>>> = (scene.channels.iter())
        .map(|channel| channel.and_then(|(source, sample)| sources.get(source)?.band(sample)))
        .collect();
    let Some(formula) = &plan.layer.formula else { return found };
    let operands: Option<Vec<&Band<'_>>> = found.iter().map(Option::as_ref).collect();
    let made = operands.filter(|operands| operands.len() == formula.operand_count()).map(|operands| {
        let (values, valid) = formula.evaluate(&operands, plan.layer.size.pixels());
        Band::of_values(values, valid)
    });
    vec![made]
}

/// Channels to bytes.
fn finish(plan: &Plan, times: &mut Times, bands: &[Option<Band<'_>>]) -> Result<Vec<u8>, RenderError> {
    let layer = &plan.layer;
    if layer.format.is_values() {
        let band = bands.first().and_then(Option::as_ref);
        let values = Times::spent(&mut times.render, || Values::of(band, layer.data_type, layer.size.pixels()));
        return Ok(Times::spent(&mut times.encode, || match layer.format {
            Format::Npy => values.npy(layer.size),
            _ => values.geotiff(layer.size, plan.extent_m),
        }));
    }
    let planes = Times::spent(&mut times.render, || {
        if bands.iter().all(Option::is_none) { Vec::new() } else { planes(layer, bands) }
    });
    Ok(Times::spent(&mut times.encode, || encode::picture(layer.format, &layer.paint, &planes, layer.size))?)
}

/// Decodes the blocks of a source.
pub(crate) fn decode_all<'a>(source: &'a Source, raw: &RawBlocks) -> Result<Blocks<'a>, RenderError> {
    let decoded = |block: &Brought| match block {
        Brought::Decoded(block) => Ok(Arc::clone(block)),
        Brought::Raw(raw, keep) => {
            let block = Arc::new(decode(&source.dataset.cog, &raw.image, raw.mask.as_deref())?);
            if let Some((kept, name)) = keep {
                kept.keep(name.clone(), &block);
            }
            Ok(block)
        }
    };
    let blocks: Result<Vec<_>, DecodeError> = raw.iter().map(|block| block.as_ref().map(decoded).transpose()).collect();
    let blocks = blocks.map_err(|fault| RenderError::Decode { path: source.dataset.path.clone(), source: fault })?;
    Ok(Blocks::new(source, blocks))
}

/// The 8-bit planes of the picture, one per channel.
fn planes(layer: &Layer, bands: &[Option<Band<'_>>]) -> Vec<Vec<u8>> {
    if !is_per_band(&layer.transform) && bands.len() == 3 {
        return across_bands(layer, bands);
    }
    let channels = layer.scales.iter().zip(bands).enumerate();
    channels
        .map(|(i, (scale, band))| match band {
            Some(band) => scale::to_indexes(band, scale, &layer.transform, i),
            None => vec![0; layer.size.pixels()],
        })
        .collect()
}

fn across_bands(layer: &Layer, bands: &[Option<Band<'_>>]) -> Vec<Vec<u8>> {
    let pixels = layer.size.pixels();
    let units: Vec<(Vec<f64>, Vec<bool>)> = (layer.scales.iter().zip(bands))
        .map(|(scale, band)| match (band, scale) {
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
