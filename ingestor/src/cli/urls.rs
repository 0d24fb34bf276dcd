//! The URLs `kiln serve` prints: a picture, a tile template, with a 2–98 % stretch for data that is not 8-bit.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use shared::catalog::query::DatasetQuery;
use shared::catalog::reader::Catalog;
use shared::dataset::{DataType, Dataset};
use shared::grid::{TILE_SIZE, TileCoord, to_mercator};
use shared::snapshot::{self, Fetcher};
use shared::store::ReadStore;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::say;

/// Datasets whose URLs are printed.
const SHOWN_MAX: usize = 3;
/// How often to look for a first dataset, should a hint be missed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Prints URLs once the first raster is published.
pub(super) async fn print_when_ready(
    store: ReadStore,
    published: Arc<Notify>,
    base: String,
    shutdown: CancellationToken,
) {
    let cache = std::env::temp_dir().join(format!("kiln-urls-{}", std::process::id()));
    loop {
        if let Some(lines) = first_urls(&store, &cache, &base).await {
            for line in &lines {
                say(line);
            }
            break;
        }
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = published.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
    let _ = tokio::fs::remove_dir_all(&cache).await;
}

async fn first_urls(store: &ReadStore, cache: &std::path::Path, base: &str) -> Option<Vec<String>> {
    let n = snapshot::latest_hint(store).await.ok()??;
    let manifest = snapshot::manifest(store, n).await.ok()?;
    let file = Fetcher::new(store.clone(), cache).fetch(&manifest).await.ok()?;
    let base = base.to_owned();
    let found = tokio::task::spawn_blocking(move || {
        let catalog = Catalog::open(&file).ok()?;
        let mut lines = Vec::new();
        for summary in catalog.collections() {
            let name = &summary.collection.name;
            let default = catalog.default_collection().is_some_and(|default| default.collection.name == *name);
            let base = if default { base.clone() } else { format!("{base}/collections/{name}") };
            let query = DatasetQuery { limit: SHOWN_MAX, ..DatasetQuery::default() };
            for keys in catalog.dataset_keys(name, &query).ok()? {
                if let Ok(Some(dataset)) = catalog.dataset(name, &keys) {
                    lines.extend(urls(&base, &dataset));
                }
            }
        }
        Some(lines)
    });
    found.await.ok()?.filter(|lines| !lines.is_empty())
}

fn urls(base: &str, dataset: &Dataset) -> Vec<String> {
    let mut base = format!("{base}/singleband");
    for value in &dataset.keys {
        let _ = write!(base, "/{}", server::path_segment(value));
    }
    let query = stretch(dataset);
    let center = center_tile(dataset);
    vec![
        format!("{}:", dataset.keys.join(" / ")),
        format!("  picture  {base}/preview.png{query}"),
        format!("  a tile   {base}/{}/{}/{}.png{query}", center.z, center.x, center.y),
        format!("  tiles    {base}/{{z}}/{{x}}/{{y}}.png{query}"),
    ]
}

/// An explicit 2–98 % stretch; 8-bit data and classes are shown as they are.
fn stretch(dataset: &Dataset) -> String {
    let percentiles = dataset.metadata.statistics.as_ref().map(|s| s.percentiles.as_slice());
    match percentiles {
        Some(p)
            if p.len() == 99
                && dataset.cog.data_type != DataType::Uint8
                && !dataset.metadata.categorical.is
                && p[1] < p[97] =>
        {
            // Brackets encoded: some command-line clients give bare ones a meaning of their own.
            format!("?stretch_range=%5B{},{}%5D", p[1], p[97])
        }
        _ => String::new(),
    }
}

/// The tile at maxzoom under the middle of the valid-data hull.
fn center_tile(dataset: &Dataset) -> TileCoord {
    let hull = &dataset.metadata.convex_hull;
    let count = hull.len().max(1) as f64;
    let (lon, lat) = hull.iter().fold((0.0, 0.0), |(x, y), point| (x + point[0] / count, y + point[1] / count));
    let (x, y) = to_mercator(lon, lat);
    let z = dataset.cog.placement.maxzoom;
    let pixel = shared::grid::pixel_side_m(z) * TILE_SIZE as f64;
    let index = |meters: f64| ((meters + shared::grid::HALF_WORLD_M) / pixel).floor() as i64;
    let n = 1i64 << z;
    TileCoord { z, x: index(x).rem_euclid(n) as u32, y: index(-y).clamp(0, n - 1) as u32 }
}
