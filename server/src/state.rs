//! What all requests share: the served snapshot behind one atomic pointer, caches, pools. One request uses one snapshot from start to end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use axum::http::HeaderMap;
use bytes::Bytes;
use shared::catalog::reader::Catalog;
use shared::dataset::Dataset;
use shared::snapshot::Manifest;
use shared::store::ReadStore;

use crate::Settings;
use crate::basemap::Basemap;
use crate::cache::{Flights, Lru};
use crate::error::ApiError;
use crate::lenient::Peer;
use crate::limits::{CacheShares, Gate, PICTURES_FETCHED_MAX, Pool, SUMMARIES_CACHE_MAX};
use crate::links::Links;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::page::{EMBEDDED, Page};
use crate::routes::{Made, Summary};
use crate::tile::cog::CogReader;
use crate::tile::encode;
use crate::tile::place::Size;

/// A failure that repeats is logged again only after this long.
const LOG_AGAIN_AFTER: Duration = Duration::from_mins(1);
/// Failures remembered for that.
const LOGGED_MAX: usize = 256;
/// Sizes of which a PNG of nothing is kept.
const NOTHINGS_MAX: usize = 64;
/// What a dataset's record holds beside its lists, in bytes.
const DATASET_BYTES: usize = 4096;

/// Shared by all requests; a clone is the same state.
#[derive(Clone, Debug)]
pub(crate) struct AppState(Arc<Inner>);

/// What `AppState` points at.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) expose_sources: bool,
    pub(crate) basemap: Option<Basemap>,
    pub(crate) page: Page,
    pub(crate) served: ArcSwapOption<Snapshot>,
    /// Why nothing newer is served, if something newer was found; or why nothing can be found.
    pub(crate) fault: Mutex<Option<String>>,
    pub(crate) caches: CacheShares,
    pub(crate) cogs: CogReader,
    pub(crate) pool: Pool,
    /// Before fetches of a store that is not local.
    pub(crate) fetches: Gate,
    pub(crate) pictures: Mutex<Lru<blake3::Hash, Bytes>>,
    /// PNGs of nothing, by width and height.
    nothings: Mutex<Lru<(u32, u32), Bytes>>,
    pub(crate) flights: Flights<blake3::Hash, Result<Made, ApiError>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) live: Live,
    logged: Mutex<Lru<String, Instant>>,
}

impl std::ops::Deref for AppState {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// A collection and key values.
type DatasetName = (String, Vec<String>);

/// A catalogue being served, and what was looked up in it.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) catalog: Catalog,
    pub(crate) manifest: Manifest,
    datasets: Mutex<Lru<DatasetName, Arc<Dataset>>>,
    summaries: Mutex<Lru<String, Arc<Summary>>>,
    pub(crate) summaries_under_way: Flights<String, Result<Arc<Summary>, ApiError>>,
}

impl Snapshot {
    /// A snapshot that nothing was looked up in yet.
    pub(crate) fn new(catalog: Catalog, manifest: Manifest, caches: &CacheShares) -> Self {
        let (datasets, summaries) = (Lru::new(caches.datasets), Lru::new(SUMMARIES_CACHE_MAX));
        let (datasets, summaries) = (Mutex::new(datasets), Mutex::new(summaries));
        Self { catalog, manifest, datasets, summaries, summaries_under_way: Flights::new() }
    }

    /// What is known of a mosaic.
    pub(crate) fn summary(&self, name: &str) -> Option<Arc<Summary>> {
        self.summaries.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Remembers what is known of a mosaic.
    pub(crate) fn keep_summary(&self, name: String, summary: &Arc<Summary>) {
        self.summaries.lock().unwrap_or_else(PoisonError::into_inner).put(name, Arc::clone(summary), 1);
    }

    /// One dataset, from memory if it was asked for before.
    pub(crate) async fn dataset(
        self: &Arc<Self>,
        state: &AppState,
        collection: &str,
        keys: &[String],
    ) -> Result<Option<Arc<Dataset>>, ApiError> {
        if let Some(found) = self.known(collection, keys) {
            return Ok(Some(found));
        }
        let name = (collection.to_owned(), keys.to_vec());
        let (snapshot, (collection, keys)) = (Arc::clone(self), name.clone());
        let found = state.pool.run(move || snapshot.catalog.dataset(&collection, &keys)).await?;
        let found = found.map_err(|error| state.catalog_failed(&error))?;
        Ok(found.map(|dataset| self.keep(&name.0, dataset)))
    }

    /// A dataset that was looked up before.
    pub(crate) fn known(&self, collection: &str, keys: &[String]) -> Option<Arc<Dataset>> {
        let name = (collection.to_owned(), keys.to_vec());
        self.datasets.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned()
    }

    /// Remembers a dataset that was looked up.
    pub(crate) fn keep(&self, collection: &str, dataset: Dataset) -> Arc<Dataset> {
        let metadata = &dataset.metadata;
        let lists = metadata.convex_hull.len() * 16 + metadata.color_table.len() * 16 + metadata.categories.len() * 64;
        let texts = |value: Result<String, serde_json::Error>| value.map_or(0, |text| text.len() * 2);
        let free = if metadata.user.is_empty() { 0 } else { texts(serde_json::to_string(&metadata.user)) };
        let style = metadata.style.as_ref().map_or(0, |style| texts(serde_json::to_string(style)));
        let cost = DATASET_BYTES + lists + free + style + dataset.cog.levels.len() * 64;
        let name = (collection.to_owned(), dataset.keys.clone());
        let dataset = Arc::new(dataset);
        self.datasets.lock().unwrap_or_else(PoisonError::into_inner).put(name, Arc::clone(&dataset), cost);
        dataset
    }
}

impl AppState {
    /// State that serves nothing yet. `on_loopback` decides whether inputs' places are told, where no setting does.
    pub(crate) fn new(store: ReadStore, settings: Settings, on_loopback: bool) -> Self {
        Self::with_page(store, settings, on_loopback, EMBEDDED)
    }

    /// The same with another page than the binary's own.
    pub(crate) fn with_page(store: ReadStore, settings: Settings, on_loopback: bool, page: Page) -> Self {
        let caches = CacheShares::of(settings.cache_mb << 20);
        let pictures = Mutex::new(Lru::new(caches.pictures));
        let metrics = Arc::new(Metrics::new());
        let attribution = settings.basemap_attribution.as_deref();
        let basemap = settings.basemap.as_ref().and_then(|url| Basemap::parse(url, attribution).ok());
        Self(Arc::new(Inner {
            basemap,
            page,
            live: Live::new(),
            expose_sources: settings.expose_sources.unwrap_or(on_loopback),
            served: ArcSwapOption::empty(),
            fault: Mutex::new(None),
            cogs: CogReader::new(store, Arc::clone(&metrics), &caches),
            caches,
            metrics,
            pool: Pool::new(settings.limits.queue_max),
            fetches: Gate::new(PICTURES_FETCHED_MAX, settings.limits.queue_max),
            pictures,
            nothings: Mutex::new(Lru::new(NOTHINGS_MAX)),
            flights: Flights::new(),
            logged: Mutex::new(Lru::new(LOGGED_MAX)),
            settings,
        }))
    }

    /// A PNG of nothing: the same bytes wherever a place holds none, and made of so few that no other thread is asked for them.
    pub(crate) fn nothing(&self, size: Size) -> Bytes {
        let name = (size.width, size.height);
        let lock = || self.nothings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&name).cloned() {
            return known;
        }
        let made = Bytes::from(encode::nothing(size));
        lock().put(name, made.clone(), 1);
        made
    }

    /// Absolute URLs for a client.
    pub(crate) fn links(&self, headers: &HeaderMap, peer: Option<Peer>) -> Links {
        let settings = &self.settings;
        let peer = peer.and_then(Peer::ip);
        let trusted = peer.is_some_and(|peer| settings.trusted_proxies.iter().any(|proxy| proxy.contains(peer)));
        Links::of(headers, settings.public_url.as_deref(), &settings.base_path, trusted)
    }

    /// The snapshot this request is to use.
    pub(crate) fn snapshot(&self) -> Result<Arc<Snapshot>, ApiError> {
        self.served.load_full().ok_or_else(|| {
            let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let reason = fault.unwrap_or_else(|| "none has been published".to_owned());
            ApiError::unavailable(format!("there is no snapshot to serve yet: {reason}"))
        })
    }

    /// Logs a catalogue's failure, and what the client is told of it.
    pub(crate) fn catalog_failed(&self, error: &shared::catalog::CatalogError) -> ApiError {
        self.log_once(&error.to_string());
        ApiError::internal("the catalogue cannot be read; the server's log says more")
    }

    /// Logs a failure unless the same was logged a moment ago.
    pub(crate) fn log_once(&self, failure: &str) {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.get(failure).is_some_and(|at| at.elapsed() < LOG_AGAIN_AFTER) {
            return;
        }
        logged.put(failure.to_owned(), Instant::now(), 1);
        drop(logged);
        tracing::error!("{failure}");
    }
}
