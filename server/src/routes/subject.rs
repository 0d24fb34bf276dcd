//! What a picture is of: one dataset for each channel, or a mosaic of all that match where a key is `*`.

use std::sync::Arc;

use shared::bbox::Bbox;
use shared::catalog::query::{DatasetFilter, DatasetQuery};
use shared::dataset::{DataType, Dataset};
use shared::grid::{TILE_SIZE, from_mercator};
use shared::metadata::BandStatistics;

use super::ask::Ask;
use super::datasets::order_by;
use crate::error::ApiError;
use crate::limits::{MOSAIC_CANDIDATES_MAX, MOSAIC_SCENES_MAX, MOSAIC_SUMMARY_MAX};
use crate::tile::hull;
use crate::tile::place::Place;
use crate::tile::plan::{Method, Scene};
use crate::tile::pooled;

/// A value for every key; None is any.
pub(crate) type KeyPattern = Vec<Option<String>>;

/// What a picture is of.
#[derive(Debug)]
pub(super) enum Subject {
    One(Scene),
    Mosaic(Mosaic),
}

/// All datasets that match, one above the other.
#[derive(Debug)]
pub(super) struct Mosaic {
    patterns: Vec<KeyPattern>,
    /// Keys that tell one scene from another, the first the most important for the order.
    order: Vec<usize>,
    ascending: bool,
    method: Method,
    summary: Arc<Summary>,
    /// The sum of the snapshot it is looked up in.
    snapshot: String,
}

/// What is known of the datasets of a mosaic without looking at all of them each time.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) bounds: Option<Bbox>,
    pub(crate) minzoom: u8,
    pub(crate) maxzoom: u8,
    /// Degrees that the coarsest pixel of any of them is wide: so far beyond its hull a dataset may show.
    pub(crate) reach: f64,
    /// For each channel what its datasets have in common.
    pub(crate) channels: Vec<Common>,
}

/// Of the datasets of a channel, as far as they were looked at: its topmost.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    top: Arc<Dataset>,
    statistics: Option<BandStatistics>,
    /// The type of all; None where they differ.
    data_type: Option<DataType>,
}

impl Subject {
    /// Finds the datasets. Unknown ones are 404.
    pub(super) async fn find(ask: &Ask, patterns: Vec<KeyPattern>) -> Result<Self, ApiError> {
        if patterns.iter().flatten().all(Option::is_some) {
            let mut channels = Vec::with_capacity(patterns.len());
            for pattern in patterns {
                let keys: Vec<String> = pattern.into_iter().flatten().collect();
                channels.push(Some(ask.dataset(&keys).await?));
            }
            return Ok(Self::One(Scene { channels }));
        }
        Mosaic::find(ask, patterns).await.map(Self::Mosaic)
    }

    /// The (topmost) dataset of a channel.
    pub(super) fn dataset(&self, channel: usize) -> Option<&Arc<Dataset>> {
        match self {
            Self::One(scene) => scene.channels.get(channel)?.as_ref(),
            Self::Mosaic(mosaic) => mosaic.summary.channels.get(channel).map(|common| &common.top),
        }
    }

    /// Statistics of a channel, which a stretch is made of.
    pub(super) fn statistics(&self, channel: usize) -> Option<&BandStatistics> {
        match self {
            Self::One(_) => self.dataset(channel)?.metadata.statistics.as_ref(),
            Self::Mosaic(mosaic) => mosaic.summary.channels.get(channel)?.statistics.as_ref(),
        }
    }

    /// The type of a channel's datasets; None where they differ.
    pub(super) fn common_type(&self, channel: usize) -> Option<DataType> {
        match self {
            Self::One(_) => Some(self.dataset(channel)?.cog.data_type),
            Self::Mosaic(mosaic) => mosaic.summary.channels.get(channel)?.data_type,
        }
    }

    /// The type of the values of a band, the same at every place. A mean of integers is none.
    pub(super) fn data_type(&self) -> DataType {
        let kept = self.common_type(0).filter(|kind| self.method() != Method::Mean || kind.is_float());
        kept.unwrap_or(DataType::Float64)
    }

    /// Where it lies; None where nothing valid is known.
    pub(super) fn bounds(&self) -> Option<Bbox> {
        match self {
            Self::One(scene) => pooled::bounds(scene.channels.iter().flatten().map(|dataset| dataset.metadata.bounds)),
            Self::Mosaic(mosaic) => mosaic.summary.bounds,
        }
    }

    /// The coarsest and the finest zoom it has of its own.
    pub(super) fn zooms(&self) -> (u8, u8) {
        match self {
            Self::One(scene) => pooled::zooms(scene.channels.iter().flatten().map(|dataset| &**dataset)),
            Self::Mosaic(mosaic) => (mosaic.summary.minzoom, mosaic.summary.maxzoom),
        }
    }

    /// How scenes are put together.
    pub(super) fn method(&self) -> Method {
        match self {
            Self::One(_) => Method::First,
            Self::Mosaic(mosaic) => mosaic.method,
        }
    }

    /// What names it beside its datasets, which a mosaic cannot all list: patterns, order and the snapshot they are looked up in.
    pub(super) fn version(&self) -> Option<String> {
        match self {
            Self::One(_) => None,
            Self::Mosaic(m) => Some(format!("{:?} {:?} {} {}", m.patterns, m.order, m.ascending, m.snapshot)),
        }
    }

    /// The place as it can be planned, the scenes that are to be seen there from the bottom to the top, and whether there were too many.
    pub(super) async fn scenes(&self, ask: &Ask, place: Place) -> Result<(Place, Vec<Scene>, bool), ApiError> {
        let mosaic = match self {
            Self::One(scene) => return Ok((place, vec![scene.clone()], false)),
            Self::Mosaic(mosaic) => mosaic,
        };
        let (place, bbox) = match place {
            Place::Tile(tile) if tile.z < mosaic.summary.minzoom => (Place::OffGrid, None),
            Place::Tile(tile) => {
                let [west, south, east, north] = tile.bounds_m();
                let ((west, south), (east, north)) = (from_mercator(west, south), from_mercator(east, north));
                (place, Some(Bbox { west, south, east, north }))
            }
            Place::Preview => mosaic.summary.bounds.map_or((Place::OffGrid, None), |b| (Place::Crop(b), Some(b))),
            Place::Crop(bbox) => (place, Some(bbox)),
            Place::OffGrid | Place::Point { .. } => (place, None),
        };
        let Some(bbox) = bbox else { return Ok((Place::OffGrid, Vec::new(), false)) };
        let (scenes, truncated) = mosaic.scenes(ask, bbox).await?;
        Ok((place, scenes, truncated))
    }
}

impl Mosaic {
    async fn find(ask: &Ask, patterns: Vec<KeyPattern>) -> Result<Self, ApiError> {
        let keys = ask.collection.keys.len();
        let wanted = match ask.params.get("order_by") {
            Some(text) => order_by(&ask.collection, text)?,
            None => Vec::new(),
        };
        let is_wild = |key: &usize| patterns.iter().any(|pattern| pattern.get(*key).is_some_and(Option::is_none));
        let mut order: Vec<usize> = wanted.into_iter().filter(is_wild).collect();
        let rest = (0..keys).filter(|key| is_wild(key) && !order.contains(key)).collect::<Vec<_>>();
        order.extend(rest);
        let ascending = ask.params.boolean("ascending", true)?;
        let method = match ask.params.get("method") {
            None => Method::First,
            Some(name) => Method::parse(name)
                .ok_or_else(|| ApiError::bad(format!("method={name} is not first, min, max or mean")))?,
        };
        let snapshot = ask.snapshot.manifest.sha256.clone();
        let mut mosaic = Self { patterns, order, ascending, method, summary: Arc::new(Summary::nothing()), snapshot };
        let name = format!("{} {:?} {:?} {}", ask.collection.name, mosaic.patterns, mosaic.order, mosaic.ascending);
        mosaic.summary = if let Some(known) = ask.snapshot.summary(&name) {
            known
        } else {
            // Many ask at once when a snapshot is new: one looks.
            let look = || async { mosaic.summarize(ask).await.map(Arc::new) };
            let summary = ask.snapshot.summaries_under_way.join(name.clone(), look).await?;
            ask.snapshot.keep_summary(name, &summary);
            summary
        };
        Ok(mosaic)
    }

    /// The datasets of one channel that match, from the top.
    fn query(&self, pattern: &KeyPattern, bbox: Option<Bbox>, limit: usize) -> DatasetQuery {
        let filter = filter_of(pattern, bbox);
        // The catalogue's own order is cheaper to ask for.
        let order_by = if self.order.is_sorted() { Vec::new() } else { self.order.clone() };
        DatasetQuery { filter, order_by, ascending: !self.ascending, limit, ..DatasetQuery::default() }
    }

    async fn summarize(&self, ask: &Ask) -> Result<Summary, ApiError> {
        let mut channels = Vec::with_capacity(self.patterns.len());
        let mut all: Vec<Arc<Dataset>> = Vec::new();
        let mut extents = Vec::new();
        for pattern in &self.patterns {
            let query = self.query(pattern, None, MOSAIC_SUMMARY_MAX);
            let filter = query.filter.clone();
            let datasets = ask.datasets(query).await?;
            let Some(top) = datasets.first() else {
                let shown: Vec<&str> = pattern.iter().map(|value| value.as_deref().unwrap_or("*")).collect();
                return Err(ApiError::not_found(format!(
                    "no dataset matches {}; GET /datasets lists them",
                    shown.join("/")
                )));
            };
            let kind = top.cog.data_type;
            let data_type = datasets.iter().all(|dataset| dataset.cog.data_type == kind).then_some(kind);
            channels.push(Common { top: Arc::clone(top), statistics: pooled::statistics(&datasets), data_type });
            if datasets.len() == MOSAIC_SUMMARY_MAX {
                let collection = ask.collection.name.clone();
                let extent = ask.with_snapshot(move |snapshot| snapshot.catalog.extent(&collection, &filter)).await?;
                extents.extend(extent);
            }
            all.extend(datasets);
        }
        let (mut minzoom, mut maxzoom) = pooled::zooms(all.iter().map(|dataset| &**dataset));
        let mut coarsest = all.iter().map(|dataset| dataset.cog.placement.maxzoom).min().unwrap_or(0);
        // What was not looked at one by one.
        for extent in &extents {
            minzoom = minzoom.min(extent.minzoom);
            maxzoom = maxzoom.max(extent.maxzoom);
            coarsest = coarsest.min(extent.coarsest_maxzoom);
        }
        let of_all = all.iter().map(|dataset| dataset.metadata.bounds);
        let bounds = pooled::bounds(of_all.chain(extents.iter().map(|extent| extent.bounds)));
        Ok(Summary { bounds, minzoom, maxzoom, reach: pixel_degrees(coarsest), channels })
    }

    /// The scenes that meet a box, from the bottom to the top, and whether there were more.
    async fn scenes(&self, ask: &Ask, bbox: Bbox) -> Result<(Vec<Scene>, bool), ApiError> {
        // What tells scenes apart: the values of the keys that are any, which a channel that fixes one does not tell.
        let identity = |keys: &[String]| -> Vec<String> {
            self.order.iter().map(|key| keys.get(*key).cloned().unwrap_or_default()).collect()
        };
        let mut found: Vec<Vec<String>> = Vec::new();
        let mut truncated = false;
        let tells = |pattern: &&KeyPattern| self.order.iter().all(|key| pattern.get(*key).is_some_and(Option::is_none));
        let mut telling = self.patterns.iter().filter(tells).peekable();
        if telling.peek().is_none() {
            return Err(ApiError::bad("every channel gives a value for a key that is *; leave one to the *"));
        }
        let mut asked: Vec<&KeyPattern> = Vec::new();
        for pattern in telling {
            if asked.contains(&pattern) {
                continue;
            }
            asked.push(pattern);
            let near = grown(&bbox, self.summary.reach);
            let candidates = ask.datasets(self.query(pattern, Some(near), MOSAIC_CANDIDATES_MAX)).await?;
            truncated |= candidates.len() == MOSAIC_CANDIDATES_MAX;
            let mut met = 0;
            for dataset in candidates {
                if !hull::meets(&dataset.metadata.convex_hull, &bbox, pixel_degrees(dataset.cog.placement.maxzoom)) {
                    continue;
                }
                if met == MOSAIC_SCENES_MAX {
                    truncated = true;
                    break;
                }
                met += 1;
                found.push(identity(&dataset.keys));
            }
        }
        // From the top.
        found.sort_unstable();
        found.dedup();
        if self.ascending {
            found.reverse();
        }
        truncated |= found.len() > MOSAIC_SCENES_MAX;
        found.truncate(MOSAIC_SCENES_MAX);
        let mut scenes = Vec::with_capacity(found.len());
        for values in found.iter().rev() {
            let mut channels = Vec::with_capacity(self.patterns.len());
            for pattern in &self.patterns {
                let value =
                    |(key, fixed): (usize, &Option<String>)| match (fixed, self.order.iter().position(|k| *k == key)) {
                        (Some(fixed), _) => fixed.clone(),
                        (None, Some(at)) => values[at].clone(),
                        (None, None) => String::new(),
                    };
                let keys: Vec<String> = pattern.iter().enumerate().map(value).collect();
                channels.push(ask.snapshot.dataset(&ask.state, &ask.collection.name, &keys).await?);
            }
            scenes.push(Scene { channels });
        }
        Ok((scenes, truncated))
    }
}

/// The datasets that match a pattern and meet a box.
pub(super) fn filter_of(pattern: &KeyPattern, bbox: Option<Bbox>) -> DatasetFilter {
    let values = pattern.iter().enumerate().filter_map(|(key, value)| Some((key, vec![value.clone()?])));
    DatasetFilter { values: values.collect(), bbox, ..DatasetFilter::default() }
}

/// Degrees that a pixel of a zoom is wide.
fn pixel_degrees(zoom: u8) -> f64 {
    360.0 / TILE_SIZE as f64 / (1u64 << zoom) as f64
}

/// The box, larger by some degrees on each side.
fn grown(bbox: &Bbox, degrees: f64) -> Bbox {
    let (west, east) = (bbox.west - degrees, bbox.east_unwrapped() + degrees);
    Bbox::from_unwrapped(west, (bbox.south - degrees).max(-90.0), east, (bbox.north + degrees).min(90.0))
}

impl Summary {
    fn nothing() -> Self {
        Self { bounds: None, minzoom: 0, maxzoom: 0, reach: 0.0, channels: Vec::new() }
    }
}
