//! `GET /statistics/<keys>` of the whole input, from the catalogue; `POST` of polygons, from the COG's pixels.

use std::ops::Range;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::response::Response;
use serde_json::{Value, json};
use shared::dataset::Dataset;
use shared::grid::{Placement, TILE_SIZE, TileCoord};

use super::ask::{Ask, json, number};
use super::picture::with_blocks;
use crate::error::ApiError;
use crate::geojson::{Document, Rings};
use crate::limits::{BODY_BYTES_MAX, STATISTICS_BLOCKS_MAX};
use crate::state::AppState;
use crate::tile::place::{Place, Size};
use crate::tile::plan::ScenePlan;
use crate::tile::render::decode_all;
use crate::tile::zonal::{Shape, Tally, Zonal};

/// Ways round the world, either way, that a polygon may go: its longitudes are bounded.
const ROUNDS: i64 = 2;
/// Blocks of a store that is not local that are held at once.
const BLOCKS_AT_ONCE: usize = 64;

/// Of the whole input.
pub(super) async fn of_input(ask: Ask) -> Result<Response, ApiError> {
    let dataset = ask.dataset(&ask.segments).await?;
    let metadata = &dataset.metadata;
    let statistics = metadata.statistics.as_ref().map(|s| {
        let bins = s.histogram.counts.len().max(1);
        let width = (s.histogram.max - s.histogram.min) / bins as f64;
        let edges: Vec<Value> = (0..=bins).map(|i| number(s.histogram.min + width * i as f64)).collect();
        let percentile = |n: usize| s.percentiles.get(n - 1).copied().map_or(Value::Null, number);
        json!({
            "min": number(s.min), "max": number(s.max), "mean": number(s.mean), "std": number(s.stdev),
            "median": percentile(50), "count": s.valid_pixels, "valid_percent": number(metadata.valid_percentage),
            "percentile_2": percentile(2), "percentile_98": percentile(98),
            "histogram": [s.histogram.counts, edges],
        })
    });
    Ok(json(&json!({ "keys": ask.named(&dataset.keys), "of": "input", "statistics": statistics })))
}

/// Of polygons.
pub(super) async fn of_polygons(ask: Ask, body: Result<Bytes, BytesRejection>) -> Result<Response, ApiError> {
    let dataset = ask.dataset(&ask.segments).await?;
    let body = body
        .map_err(|_| ApiError::too_large(format!("the body is longer than {BODY_BYTES_MAX} bytes or was cut short")))?;
    let document = Document::parse(&body)?;
    let (zoom, shapes) = shapes(&dataset.cog.placement, &document.shapes)?;
    let mut found = Vec::with_capacity(shapes.len());
    for shape in shapes {
        let tally = match shape {
            Some(shape) => Some(tally(&ask.state, &dataset, zoom, shape).await?),
            None => None,
        };
        found.push(told(tally.as_ref(), zoom));
    }
    Ok(json(&document.with_statistics(found)))
}

/// The polygons at the finest zoom at which all of them together touch few enough blocks.
fn shapes(placement: &Placement, rings: &[Rings]) -> Result<(u8, Vec<Option<Shape>>), ApiError> {
    let mut zoom = placement.maxzoom;
    loop {
        let shapes: Vec<Option<Shape>> = rings.iter().map(|rings| Shape::new(rings, zoom)).collect();
        let blocks: u64 = shapes.iter().flatten().map(|shape| Touched::of(shape, placement, zoom).count()).sum();
        if blocks <= STATISTICS_BLOCKS_MAX {
            return Ok((zoom, shapes));
        }
        if zoom <= placement.minzoom {
            return Err(ApiError::bad(format!(
                "the polygons touch {blocks} blocks at the coarsest zoom, more than {STATISTICS_BLOCKS_MAX}; send fewer at a time"
            )));
        }
        zoom -= 1;
    }
}

async fn tally(state: &AppState, dataset: &Arc<Dataset>, zoom: u8, shape: Shape) -> Result<Tally, ApiError> {
    let (low, high) = dataset.metadata.statistics.as_ref().map_or((0.0, 1.0), |s| (s.min, s.max));
    let mut tally = Tally::new(zoom, low, high, !dataset.cog.data_type.is_float());
    let tiles = Touched::of(&shape, &dataset.cog.placement, zoom).list();
    let shape = Arc::new(shape);
    for some in tiles.chunks(BLOCKS_AT_ONCE) {
        tally = add(state, dataset, zoom, &shape, some.to_vec(), tally, None).await?;
    }
    // What is smaller than a pixel has the one it lies in.
    if tally.is_empty() && shape.is_small() {
        let (x, y) = shape.middle();
        let tile = (x.div_euclid(TILE_SIZE as i64), y.div_euclid(TILE_SIZE as i64));
        let spans = Some((y, (x, x + 1)));
        tally = add(state, dataset, zoom, &shape, vec![tile], tally, spans).await?;
    }
    Ok(tally)
}

/// Counts the pixels of some tiles that are in the shape, or only those of one row.
async fn add(
    state: &AppState,
    dataset: &Arc<Dataset>,
    zoom: u8,
    shape: &Arc<Shape>,
    tiles: Vec<(i64, i64)>,
    mut tally: Tally,
    only: Option<(i64, (i64, i64))>,
) -> Result<Tally, ApiError> {
    let size = Size { height: TILE_SIZE as u32, width: TILE_SIZE as u32 };
    let mut scenes = Vec::with_capacity(tiles.len());
    for (col, row) in &tiles {
        // A shape may lie beyond the world's edge, on its other side.
        let col = u32::try_from(col.rem_euclid(1 << zoom)).ok();
        let tile = col.zip(u32::try_from(*row).ok()).and_then(|(col, row)| TileCoord::new(zoom, col, row));
        let place = tile.map_or(Place::OffGrid, Place::Tile);
        let plan = ScenePlan::of_one(dataset, size, place);
        scenes.push(plan.map_err(|error| ApiError::internal(error.to_string()))?);
    }
    let (plans, dataset, shape) = (scenes.clone(), Arc::clone(dataset), Arc::clone(shape));
    with_blocks(state, &scenes, move |read| {
        // Tiles of one row come one after the other: their spans are found once.
        let mut rows: (Option<i64>, Vec<Vec<(i64, i64)>>) = (None, Vec::new());
        for (i, (plan, (col, row))) in plans.iter().zip(&tiles).enumerate() {
            let raw = read(plan, i)?;
            let blocks =
                plan.sources.first().zip(raw.first()).map(|(source, raw)| decode_all(source, raw)).transpose()?;
            let band = blocks.as_ref().and_then(|blocks| blocks.band(usize::from(dataset.sample)));
            let (left, top) = (col * TILE_SIZE as i64, row * TILE_SIZE as i64);
            if rows.0 != Some(top) {
                let spans = |y: i64| match only {
                    Some((row, span)) if row == y => vec![span],
                    Some(_) => Vec::new(),
                    None => shape.row(y),
                };
                rows = (Some(top), (top..top + TILE_SIZE as i64).map(spans).collect());
            }
            for (line, spans) in rows.1.iter().enumerate() {
                let clipped = |(from, to): (i64, i64)| {
                    let side = TILE_SIZE as i64;
                    let (from, to) = ((from - left).clamp(0, side), (to - left).clamp(0, side));
                    (from < to).then_some((from as usize, to as usize))
                };
                let spans: Vec<(usize, usize)> = spans.iter().copied().filter_map(clipped).collect();
                tally.add(band.as_ref(), top + line as i64, line, &spans);
            }
        }
        Ok(tally)
    })
    .await
}

/// The blocks that both a shape's window and the raster cover. What of the shape lies beside the raster is no pixel of it.
struct Touched {
    /// Columns, once for each way round the world that the window reaches.
    cols: Vec<Range<i64>>,
    rows: Range<i64>,
}

impl Touched {
    fn of(shape: &Shape, placement: &Placement, zoom: u8) -> Self {
        let side = TILE_SIZE as i64;
        let [west, north, east, south] = shape.window;
        let (col, row, cols, rows) = placement.at(zoom);
        let (col, row) = (i64::from(col), i64::from(row));
        let across = 1i64 << zoom;
        let within = |from: i64, to: i64, least: i64, most: i64| from.max(least)..to.min(most);
        let (first, end) = (west.div_euclid(side), (east - 1).div_euclid(side) + 1);
        let copies =
            (-ROUNDS..=ROUNDS).map(|n| within(first, end, col + n * across, col + n * across + i64::from(cols)));
        let rows = within(north.div_euclid(side), (south - 1).div_euclid(side) + 1, row, row + i64::from(rows));
        Self { cols: copies.filter(|cols| !cols.is_empty()).collect(), rows }
    }

    fn count(&self) -> u64 {
        let cols: u64 = self.cols.iter().map(|cols| (cols.end - cols.start).unsigned_abs()).sum();
        cols.saturating_mul((self.rows.end - self.rows.start).max(0).unsigned_abs())
    }

    /// Row by row.
    fn list(&self) -> Vec<(i64, i64)> {
        self.rows.clone().flat_map(|row| self.cols.iter().cloned().flatten().map(move |col| (col, row))).collect()
    }
}

fn told(tally: Option<&Tally>, zoom: u8) -> Value {
    let found: Option<Zonal> = tally.and_then(Tally::finish);
    let valid_percent = tally.map_or(0.0, Tally::valid_percent);
    match found {
        None => json!({ "of": "cog", "zoom": zoom, "count": 0, "valid_percent": valid_percent }),
        Some(z) => json!({
            "of": "cog", "zoom": zoom,
            "min": number(z.min), "max": number(z.max), "mean": number(z.mean), "std": number(z.std),
            "median": number(z.median), "count": z.count, "valid_percent": valid_percent,
            "percentile_2": number(z.percentile_2), "percentile_98": number(z.percentile_98),
            "histogram": [z.histogram.0, z.histogram.1],
        }),
    }
}
