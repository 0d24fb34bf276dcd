//! The plan of a picture: which blocks of which COGs, how they are painted. Whatever may change the pixels is in it, so its hash, known before any I/O,
//! is the picture's `ETag` and its name in every cache.

use std::sync::Arc;

use shared::dataset::{Dataset, Validity};
use shared::grid::{HALF_WORLD_M, Placement, TILE_SIZE, TileCoord, pixel_side_m, to_mercator};

use super::sampling::{Axis, Kernel, Window};
use super::transform::Operation;

/// Part of every hash: raised whenever the same plan gives other pixels.
pub(crate) const RENDERER_VERSION: u64 = 1;
/// Blocks of one COG that one picture may read.
const BLOCKS_MAX: u64 = 64;
/// Bounds in degrees and back in metres lose less than this.
const SLACK_PIXELS: f64 = 1e-3;
/// The only encoding there is today.
const FORMAT: &str = "png";

/// A picture's size in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Size {
    pub(crate) height: u32,
    pub(crate) width: u32,
}

/// What part of the world a picture shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A map tile.
    Tile(TileCoord),
    /// A tile off the grid: nothing to show.
    OffGrid,
    /// Each dataset's own bounds, squeezed into the picture.
    Preview,
}

/// How a channel's values become 8 bits; 0 is transparent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scale {
    /// `low` becomes 1, `high` 255.
    Stretch { low: f64, high: f64 },
    /// The n-th value, exactly, becomes n + 1; a later one of equal value wins.
    Labels(Vec<f64>),
}

/// A dataset and how its values are scaled.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    pub(crate) dataset: Arc<Dataset>,
    pub(crate) scale: Scale,
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

/// Everything of a picture but its place.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) channels: Vec<Channel>,
    pub(crate) paint: Paint,
    pub(crate) transform: Vec<Operation>,
    pub(crate) size: Size,
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

/// A picture, planned.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) layer: Layer,
    /// What to read; COGs that several channels share stand here once.
    pub(crate) sources: Vec<Source>,
    /// The source of each channel; None where it has nothing in this place.
    pub(crate) channels: Vec<Option<usize>>,
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
        for channel in &self.channels {
            canon.channel(channel);
        }
        canon.finish()
    }

    /// What to read and paint at a place.
    pub(crate) fn plan(self, place: Place) -> Result<Plan, PlanError> {
        let mut sources: Vec<Source> = Vec::new();
        let mut channels = Vec::with_capacity(self.channels.len());
        let mut canon = Canon::new(&self);
        let mut windows = Canon::new(&self);
        for channel in &self.channels {
            let Some(found) = source(channel, self.size, place)? else {
                channels.push(None);
                canon.text("nothing");
                continue;
            };
            canon.channel(channel);
            windows.number(found.0.level as u64);
            for window in found.1 {
                windows.float(window.from);
                windows.float(window.to);
            }
            let source = found.0;
            let shared = sources
                .iter()
                .position(|s| s.dataset.path == source.dataset.path && s.kernel == source.kernel && s.x == source.x);
            channels.push(Some(shared.unwrap_or(sources.len())));
            if shared.is_none() {
                sources.push(source);
            }
        }
        let etag = if sources.is_empty() {
            Canon::empty(self.size).finish()
        } else {
            canon.text(&windows.finish().to_hex());
            canon.finish()
        };
        Ok(Plan { layer: self, sources, channels, etag })
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

fn source(channel: &Channel, size: Size, place: Place) -> Result<Option<(Source, [Window; 2])>, PlanError> {
    let dataset = &channel.dataset;
    let placement = &dataset.cog.placement;
    if !placement.is_sound()
        || dataset.cog.levels.len() != placement.levels()
        || dataset.sample >= dataset.cog.samples
        || dataset.cog.samples > 4
    {
        return Err(PlanError::Record(dataset.path.clone()));
    }
    if dataset.metadata.statistics.is_none() {
        return Ok(None);
    }
    let kernel = match (&channel.scale, dataset.metadata.categorical.is) {
        (_, true) => Kernel::Mode,
        (Scale::Labels(_), false) => Kernel::Nearest,
        (Scale::Stretch { .. }, false) => Kernel::Continuous,
    };
    let Some((zoom, windows)) = (match place {
        Place::OffGrid => None,
        Place::Tile(tile) => Some(tile_windows(placement, size, tile, kernel)),
        Place::Preview => Some(preview_windows(dataset, size)),
    }) else {
        return Ok(None);
    };
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

/// The zoom to read, and the tile's window in its pixels. The coarsest zoom whose pixels are at least as fine as the picture's; for a mode shallower than
/// minzoom the finest that the number of blocks allows, since a mode of modes drifts.
fn tile_windows(placement: &Placement, size: Size, tile: TileCoord, kernel: Kernel) -> (u8, [Window; 2]) {
    let wanted = size.width.max(size.height) as usize;
    let (mut zoom, mut across) = (i32::from(tile.z), TILE_SIZE);
    while across < wanted {
        across *= 2;
        zoom += 1;
    }
    while across % 2 == 0 && across / 2 >= wanted {
        across /= 2;
        zoom -= 1;
    }
    let at = |zoom: u8| {
        let side = TILE_SIZE as f64 * 2f64.powi(i32::from(zoom) - i32::from(tile.z));
        let span = |at: u32| (f64::from(at) * side, (f64::from(at) + 1.0) * side);
        (zoom, windows(placement, zoom, size, span(tile.x), span(tile.y)))
    };
    let mut best = at(zoom.clamp(i32::from(placement.minzoom), i32::from(placement.maxzoom)) as u8);
    while blocks_at_most(&best.1) > BLOCKS_MAX && best.0 > placement.minzoom {
        best = at(best.0 - 1);
    }
    if kernel == Kernel::Mode && zoom < i32::from(placement.minzoom) {
        while best.0 < placement.maxzoom {
            let finer = at(best.0 + 1);
            if blocks_at_most(&finer.1) > BLOCKS_MAX {
                break;
            }
            best = finer;
        }
    }
    best
}

/// The same for a dataset's own bounds, as far as the number of blocks allows.
fn preview_windows(dataset: &Dataset, size: Size) -> (u8, [Window; 2]) {
    let placement = &dataset.cog.placement;
    let bounds = dataset.metadata.bounds;
    let (west, north) = to_mercator(bounds.west, bounds.north);
    let (east, south) = to_mercator(bounds.east_unwrapped(), bounds.south);
    let at = |zoom: u8| {
        let pixels = |m: f64| m / pixel_side_m(zoom);
        let x = (pixels(west + HALF_WORLD_M), pixels(east + HALF_WORLD_M));
        let y = (pixels(HALF_WORLD_M - north), pixels(HALF_WORLD_M - south));
        (zoom, windows(placement, zoom, size, x, y))
    };
    let mut best = at(placement.minzoom);
    for zoom in placement.minzoom + 1..=placement.maxzoom {
        let fine = best.1.iter().all(|w| w.to - w.from >= f64::from(w.size) - SLACK_PIXELS);
        let next = at(zoom);
        if fine || blocks_at_most(&next.1) > BLOCKS_MAX {
            break;
        }
        best = next;
    }
    best
}

fn windows(placement: &Placement, zoom: u8, size: Size, x: (f64, f64), y: (f64, f64)) -> [Window; 2] {
    let tile = TILE_SIZE as i64;
    let (col, row, cols, rows) = placement.at(zoom);
    let axis = |start: u32, len: u32, (from, to): (f64, f64), size, wraps_at| Window {
        rect_start: i64::from(start) * tile,
        rect_len: i64::from(len) * tile,
        wraps_at,
        from,
        to,
        size,
    };
    [axis(col, cols, x, size.width, Some(tile << zoom)), axis(row, rows, y, size.height, None)]
}

/// An upper bound, without listing anything.
fn blocks_at_most(windows: &[Window; 2]) -> u64 {
    // Unaligned windows touch a block more than their length says.
    let along = |w: &Window| {
        let touched = w.touched() as u64;
        let block = TILE_SIZE as u64;
        let aligned = w.from.rem_euclid(block as f64) == 0.0 && touched.is_multiple_of(block);
        touched.div_ceil(block) + u64::from(!aligned && touched > 0)
    };
    along(&windows[0]).saturating_mul(along(&windows[1]))
}

/// Feeds a hash unambiguously: texts by length, numbers by their bits.
struct Canon(blake3::Hasher);

impl Canon {
    fn new(layer: &Layer) -> Self {
        let mut canon = Self(blake3::Hasher::new());
        canon.number(RENDERER_VERSION);
        canon.text(FORMAT);
        canon.number(u64::from(layer.size.height));
        canon.number(u64::from(layer.size.width));
        match &layer.paint {
            Paint::Grey => canon.text("grey"),
            Paint::Rgb => canon.text("rgb"),
            Paint::Palette(colors) => {
                canon.text("palette");
                canon.number(colors.len() as u64);
                canon.0.update(bytemuck::cast_slice(colors));
            }
        }
        canon.number(layer.transform.len() as u64);
        for operation in &layer.transform {
            canon.text(&operation.to_string());
        }
        canon
    }

    fn empty(size: Size) -> Self {
        let mut canon = Self(blake3::Hasher::new());
        canon.number(RENDERER_VERSION);
        canon.text(FORMAT);
        canon.text("empty");
        canon.number(u64::from(size.height));
        canon.number(u64::from(size.width));
        canon
    }

    fn channel(&mut self, channel: &Channel) {
        let dataset = &channel.dataset;
        self.text(&dataset.path);
        self.number(u64::from(dataset.sample));
        self.text(dataset.cog.validity.name());
        if let Validity::Nodata(value) = dataset.cog.validity {
            self.float(value);
        }
        self.number(u64::from(dataset.metadata.categorical.is));
        match &channel.scale {
            Scale::Stretch { low, high } => {
                self.text("stretch");
                self.float(*low);
                self.float(*high);
            }
            Scale::Labels(values) => {
                self.text("labels");
                self.number(values.len() as u64);
                for value in values {
                    self.float(*value);
                }
            }
        }
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.update(text.as_bytes());
    }

    fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    fn float(&mut self, number: f64) {
        self.0.update(&number.to_bits().to_le_bytes());
    }

    fn finish(&self) -> blake3::Hash {
        self.0.finalize()
    }
}
