//! Tiles of a real store, made in this process step by step: what a server spends on them but for HTTP, routes, and threads.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shared::catalog::reader::Catalog;
use shared::dataset::{DataType, Dataset};
use shared::grid::TileCoord;
use shared::store::ReadStore;

use crate::limits::CacheShares;
use crate::metrics::Metrics;
use crate::tile::cog::{CogError, CogReader, RawBlocks};
use crate::tile::colormap;
use crate::tile::encode::Format;
use crate::tile::expression::{OperandKind, Parsed};
use crate::tile::pixels::Samples;
use crate::tile::place::{Place, Size};
use crate::tile::plan::{Layer, Method, Paint, Plan, Scale, Scene, ScenePlan};
use crate::tile::render::{Canvas, RenderError, decode_all};

/// A tile's size.
const SIZE: Size = Size { width: 256, height: 256 };

/// What is shown, and how: as a URL says it.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Key values of a dataset for each channel, or for each operand of the expression.
    pub channels: Vec<Vec<String>>,
    /// Makes one channel of two uint16 operands.
    pub expression: Option<String>,
    /// For each channel; none of classes, which have colors of their own.
    pub stretches: Vec<[f64; 2]>,
    /// Of one channel.
    pub colormap: Option<String>,
}

/// Where the time of a tile went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// Finding what to read, and the `ETag`.
    pub plan: Duration,
    /// Reading blocks.
    pub read: Duration,
    /// Decompressing them and undoing the predictor.
    pub decode: Duration,
    /// Onto the tile's pixels, band maths, stretch.
    pub render: Duration,
    /// To a PNG.
    pub encode: Duration,
    /// Of the PNG.
    pub bytes: usize,
}

/// Makes tiles of one look.
#[derive(Debug)]
pub struct Pictures {
    cogs: CogReader,
    layer: Layer,
}

/// Why a tile was not made.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Cog(#[from] CogError),
    #[error(transparent)]
    Render(#[from] RenderError),
}

#[expect(clippy::expect_used, reason = "a benchmark of what is not there is a mistake of its author")]
impl Pictures {
    /// Of a local store, with its newest snapshot.
    ///
    /// # Panics
    /// If there is no such thing in the store.
    pub fn open(store: &Path, snapshot: &Path, look: &Look) -> Self {
        let catalog = Catalog::open(snapshot).expect("a snapshot");
        let found = |keys: &Vec<String>| {
            let dataset = catalog.dataset("default", keys).expect("a catalogue that reads");
            Arc::new(dataset.expect("a dataset"))
        };
        let datasets: Vec<Arc<Dataset>> = look.channels.iter().map(found).collect();
        let formula = look.expression.as_ref().map(|text| {
            let kinds = vec![OperandKind::Int(0, u16::MAX.into()); datasets.len()];
            Arc::new(Parsed::parse(text).expect("an expression").check(&kinds).expect("an expression of the bands"))
        });
        let stretches = look.stretches.iter().map(|[low, high]| Scale::Stretch { low: *low, high: *high });
        let (mut scales, mut paint) = (stretches.collect::<Vec<_>>(), Paint::Grey);
        if scales.len() == 3 {
            paint = Paint::Rgb;
        } else if let Some(name) = &look.colormap {
            paint = Paint::Palette(colormap::named(name).expect("a color map").to_vec());
        } else if scales.is_empty() {
            let table = &datasets.first().expect("a dataset").metadata.color_table;
            scales.push(Scale::Labels(table.iter().map(|(value, _)| *value as f64).collect()));
            paint = Paint::Palette(table.iter().map(|(_, color)| *color).collect());
        }
        let data_type = if formula.is_some() { DataType::Float64 } else { datasets[0].cog.data_type };
        let scenes = vec![Scene { channels: datasets.into_iter().map(Some).collect() }];
        let (method, transform, size, format) = (Method::First, Vec::new(), SIZE, Format::Png);
        let layer = Layer { scenes, method, formula, scales, paint, transform, size, format, data_type };
        let store = ReadStore::open(store.to_str().expect("a name")).expect("a store");
        Self { cogs: CogReader::new(store, Arc::new(Metrics::new()), &CacheShares::of(0)), layer }
    }

    /// Makes a tile.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn make(&self, z: u8, x: u32, y: u32) -> Spent {
        let started = Instant::now();
        let plan = Arc::new(self.plan(z, x, y));
        let planned = started.elapsed();
        let mut canvas = Canvas::new(plan);
        while !canvas.wanted(1).is_empty() {
            canvas.lay(|scene| Ok::<_, Failure>(self.read(scene)?)).expect("blocks that decode");
        }
        let (bytes, times) = canvas.finish().expect("a picture");
        Spent {
            plan: planned,
            read: times.read,
            decode: times.decode,
            render: times.render,
            encode: times.encode,
            bytes: bytes.len(),
        }
    }

    /// The uint16 samples of each channel's first block for a tile, little-endian; none where there is none.
    ///
    /// # Panics
    /// If blocks cannot be read.
    pub fn blocks_u16(&self, z: u8, x: u32, y: u32) -> Vec<Vec<u8>> {
        let plan = self.plan(z, x, y);
        let Some(scene) = plan.scenes.first() else { return Vec::new() };
        let raw = self.read(scene).expect("blocks");
        let each = scene.sources.iter().zip(&raw).map(|(source, raw)| {
            let blocks = decode_all(source, raw).expect("blocks that decode");
            match blocks.band(0).map(|band| band.samples.get().clone()) {
                Some(Samples::U16(samples)) => samples.iter().flat_map(|sample| sample.to_le_bytes()).collect(),
                _ => Vec::new(),
            }
        });
        each.collect()
    }

    fn plan(&self, z: u8, x: u32, y: u32) -> Plan {
        let tile = TileCoord::new(z, x, y).expect("a tile of the grid");
        self.layer.clone().plan(Place::Tile(tile)).expect("a plan")
    }

    fn read(&self, scene: &ScenePlan) -> Result<Vec<RawBlocks>, CogError> {
        scene.sources.iter().map(|source| self.cogs.read_local(source)).collect()
    }
}
