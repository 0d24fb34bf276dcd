//! The plan of a picture: which blocks of which COGs, how they are painted. Whatever may change the pixels is in it, so its hash, known before any I/O,
//! is the picture's `ETag` and its name in every cache.

use std::sync::Arc;

use shared::dataset::{DataType, Dataset};
use shared::grid::TILE_SIZE;

use super::canon::Canon;
use super::encode::Format;
use super::expression::Expression;
use super::place::{BLOCKS_MAX, Place, Size, blocks_at_most, mercator};
use super::sampling::{Axis, Kernel, Window};
use super::transform::Operation;

/// Part of every hash: raised whenever the same plan gives other pixels.
pub(crate) const RENDERER_VERSION: u64 = 2;

/// How a channel's values become 8 bits; 0 is transparent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scale {
    /// `low` becomes 1, `high` 255.
    Stretch { low: f64, high: f64 },
    /// The n-th value, exactly, becomes n + 1; a later one of equal value wins.
    Labels(Vec<f64>),
}

/// How 8-bit channels become a picture.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Paint {
    /// One channel as it is.
    Grey,
    /// One channel through up to 255 colors; the first is that of 1.
    Palette(Vec<[u8; 4]>),
    /// Three channels: red, green, blue.
    Rgb,
}

/// What of several scenes a pixel shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Method {
    /// The topmost that is valid.
    #[default]
    First,
    Min,
    Max,
    Mean,
}

/// What is shown together: a dataset for each channel, or for each operand of the formula.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    /// None where a mosaic has nothing for a channel.
    pub(crate) channels: Vec<Option<Arc<Dataset>>>,
}

/// Everything of a picture but its place.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    /// From the bottom to the top; one unless it is a mosaic.
    pub(crate) scenes: Vec<Scene>,
    pub(crate) method: Method,
    /// Makes one channel of the operands.
    pub(crate) formula: Option<Arc<Expression>>,
    /// For each channel.
    pub(crate) scales: Vec<Scale>,
    pub(crate) paint: Paint,
    pub(crate) transform: Vec<Operation>,
    pub(crate) size: Size,
    pub(crate) format: Format,
    /// The type of the values where they are asked for as such.
    pub(crate) data_type: DataType,
}

/// One level of one COG, and how its pixels lie on the picture's.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// A dataset of the COG: its path and layout.
    pub(crate) dataset: Arc<Dataset>,
    pub(crate) kernel: Kernel,
    /// Level of the COG, 0 the finest.
    pub(crate) level: usize,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
}

/// A scene, planned.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScenePlan {
    /// What to read; COGs that several channels share stand here once.
    pub(crate) sources: Vec<Source>,
    /// The source of each channel and the sample of it; None where it has nothing in this place.
    pub(crate) channels: Vec<Option<(usize, usize)>>,
}

/// A picture, planned.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) layer: Layer,
    /// Those of the layer's scenes that have something in this place, from the bottom to the top.
    pub(crate) scenes: Vec<ScenePlan>,
    /// `[west, south, east, north]` in EPSG:3857 metres, where the place has one.
    pub(crate) extent_m: Option<[f64; 4]>,
    pub(crate) etag: blake3::Hash,
}

/// A record that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlanError {
    #[error("the record of {0} does not make sense; ingest its input again")]
    Record(String),
    #[error("{path} needs {blocks} blocks for this picture, more than {BLOCKS_MAX}")]
    TooManyBlocks { path: String, blocks: u64 },
}

impl Layer {
    /// Names the layer whatever the place: the `v` of a URL.
    pub(crate) fn hash(&self) -> blake3::Hash {
        let mut canon = Canon::new(self);
        canon.text(self.method.name());
        for dataset in self.scenes.iter().flat_map(|scene| &scene.channels) {
            match dataset {
                Some(dataset) => canon.dataset(dataset),
                None => canon.text("nothing"),
            }
        }
        canon.finish()
    }

    /// What to read and paint at a place.
    pub(crate) fn plan(mut self, place: Place) -> Result<Plan, PlanError> {
        let mut canon = Canon::new(&self);
        let mut scenes = Vec::with_capacity(self.scenes.len());
        let all = std::mem::take(&mut self.scenes);
        for scene in &all {
            scenes.extend(self.plan_scene(scene, place, &mut canon)?);
        }
        let first = all.first().and_then(|scene| scene.channels.iter().flatten().next());
        let extent_m = place
            .extent_m()
            .or_else(|| first.filter(|_| place == Place::Preview).map(|dataset| mercator(&dataset.metadata.bounds)));
        if scenes.is_empty() {
            canon = Canon::empty(&self);
        } else if scenes.len() > 1 {
            canon.text(self.method.name());
        }
        if self.format.is_values() {
            canon.text(self.data_type.name());
            extent_m.iter().flatten().for_each(|edge| canon.float(*edge));
        }
        let etag = canon.finish();
        self.scenes = all;
        Ok(Plan { layer: self, scenes, extent_m, etag })
    }

    /// None where the scene has nothing to show; only what shows something is hashed.
    fn plan_scene(&self, scene: &Scene, place: Place, canon: &mut Canon) -> Result<Option<ScenePlan>, PlanError> {
        let mut planned = ScenePlan::default();
        let mut found = Vec::with_capacity(scene.channels.len());
        for (i, dataset) in scene.channels.iter().enumerate() {
            let labels = self.formula.is_none() && matches!(self.scales.get(i), Some(Scale::Labels(_)));
            found.push(match dataset {
                Some(dataset) => source(dataset, labels, self.size, place)?.map(|found| (dataset, found)),
                None => None,
            });
        }
        // A formula needs all its operands.
        let enough =
            if self.formula.is_some() { found.iter().all(Option::is_some) } else { found.iter().any(Option::is_some) };
        if !enough {
            return Ok(None);
        }
        for channel in found {
            let Some((dataset, (source, windows))) = channel else {
                planned.channels.push(None);
                canon.text("nothing");
                continue;
            };
            canon.dataset(dataset);
            canon.number(source.level as u64);
            canon.number(source.kernel as u64);
            for window in windows {
                canon.float(window.from);
                canon.float(window.to);
            }
            let shared = (planned.sources.iter())
                .position(|s| s.dataset.path == source.dataset.path && s.kernel == source.kernel && s.x == source.x);
            let at = shared.unwrap_or(planned.sources.len());
            planned.channels.push(Some((at, usize::from(dataset.sample))));
            if shared.is_none() {
                planned.sources.push(source);
            }
        }
        Ok(Some(planned))
    }
}

impl Method {
    /// By name, as in a URL.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::First, Self::Min, Self::Max, Self::Mean].into_iter().find(|method| method.name() == name)
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Min => "min",
            Self::Max => "max",
            Self::Mean => "mean",
        }
    }
}

impl Source {
    /// Columns and rows of the blocks to read.
    pub(crate) fn blocks(&self) -> (Vec<u32>, Vec<u32>) {
        let of = |axis: &Axis| {
            let mut blocks: Vec<u32> = axis.pixels.iter().map(|p| p / TILE_SIZE as u32).collect();
            blocks.dedup();
            blocks
        };
        (of(&self.x), of(&self.y))
    }

    /// Whether the picture is exactly one block.
    pub(crate) fn is_one_block(&self) -> bool {
        self.x.is_block(TILE_SIZE) && self.y.is_block(TILE_SIZE)
    }
}

impl ScenePlan {
    /// The values of one dataset, whatever they are painted like.
    pub(crate) fn of_one(dataset: &Arc<Dataset>, size: Size, place: Place) -> Result<Self, PlanError> {
        let found = source(dataset, false, size, place)?;
        Ok(Self { sources: found.into_iter().map(|(source, _)| source).collect(), channels: Vec::new() })
    }
}

/// What to read of a dataset for a picture; None if it has nothing there.
fn source(
    dataset: &Arc<Dataset>,
    labels: bool,
    size: Size,
    place: Place,
) -> Result<Option<(Source, [Window; 2])>, PlanError> {
    let placement = &dataset.cog.placement;
    if !placement.is_sound()
        || dataset.cog.levels.len() != placement.levels()
        || !dataset.cog.has_sound_tables()
        || dataset.sample >= dataset.cog.samples
        || dataset.cog.samples > 4
    {
        return Err(PlanError::Record(dataset.path.clone()));
    }
    if dataset.metadata.statistics.is_none() {
        return Ok(None);
    }
    let kernel = match (labels, dataset.metadata.categorical.is) {
        (_, true) => Kernel::Mode,
        (true, false) => Kernel::Nearest,
        (false, false) => Kernel::Continuous,
    };
    let Some((zoom, windows)) = place.windows(dataset, size, kernel) else { return Ok(None) };
    // Beside the rectangle a kernel might still reach into it, for pixels that are not valid all the same.
    if windows.iter().any(|window| window.touched() == 0) {
        return Ok(None);
    }
    let blocks = blocks_at_most(&windows);
    if blocks > BLOCKS_MAX {
        return Err(PlanError::TooManyBlocks { path: dataset.path.clone(), blocks });
    }
    let [x, y] = windows.map(|window| Axis::new(window, kernel));
    if x.pixels.is_empty() || y.pixels.is_empty() {
        return Ok(None);
    }
    let level = usize::from(placement.maxzoom - zoom);
    Ok(Some((Source { dataset: Arc::clone(dataset), kernel, level, x, y }, windows)))
}
