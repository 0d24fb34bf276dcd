//! The tile server: snapshots in, tiles out. It holds a store it can only read, and knows no GDAL.
//!
//! `run` is a whole server; `router` is its HTTP half, for tests. A request goes `routes` → `state` (one snapshot) → `tile`.

mod basemap;
#[doc(hidden)]
pub mod bench;
mod cache;
mod check;
mod error;
mod geojson;
mod hints;
mod lambda;
mod lenient;
mod limits;
mod links;
mod listen;
mod live;
mod metrics;
mod openapi;
mod page;
mod params;
mod reload;
mod routes;
mod state;
mod tile;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderValue;
use shared::slot::Slot;
use shared::snapshot::Fetcher;
use shared::store::ReadStore;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use basemap::Basemap;
pub use check::check;
pub use hints::{DEFAULT_NATS_PREFIX, Hints, hint_subject, is_nats_prefix};
pub use lambda::{is_started_by_lambda, lambda_cache_dir, run_lambda};
pub use limits::Limits;
pub use links::{TrustedProxy, segment as path_segment};
pub use listen::listen;
pub use metrics::CONTENT_TYPE as METRICS_TYPE;
use reload::Reloader;
use routes::router;
use state::AppState;

/// How long requests under way may take to end after shutdown was asked for.
const GRACE: Duration = Duration::from_secs(3);

/// What a server needs.
#[derive(Debug)]
pub struct Config {
    /// Where snapshots and COGs are.
    pub store: ReadStore,
    /// A folder of this machine for downloaded snapshots and notes of what was verified.
    pub cache_dir: PathBuf,
    /// Wakes the server when a snapshot was published in the same process.
    pub hint: Option<Arc<Notify>>,
    /// Where publications elsewhere are announced.
    pub hints: Option<Hints>,
    /// How it answers.
    pub settings: Settings,
    /// Of the process that embeds it: on the admin listener, and beside the API where that listens on loopback and inputs' places may be told.
    pub more: Option<More>,
    /// Where `/health`, `/ready`, `/metrics` and those routes are answered, if not only beside the API.
    pub admin: Option<TcpListener>,
}

/// What a process that embeds the server has to tell of itself.
#[derive(Clone)]
pub struct More {
    /// Its routes.
    pub routes: Router,
    /// Its metrics, as OpenMetrics text.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Its jobs, as `/jobs` answers them.
    pub jobs: Jobs,
    /// Collections and where the rasters of each are to be put.
    pub sources: Vec<(String, String)>,
}

/// Says which jobs are at work now; blocks nobody.
pub type Jobs = Arc<dyn Fn() -> serde_json::Value + Send + Sync>;

impl More {
    /// Its metrics. It may look at disks, so it blocks no thread that serves.
    pub async fn text(&self) -> String {
        let metrics = Arc::clone(&self.metrics);
        tokio::task::spawn_blocking(move || metrics()).await.unwrap_or_default()
    }
}

impl std::fmt::Debug for More {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("More").finish_non_exhaustive()
    }
}

/// How a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Origins that may read metadata routes from other sites: exact ones, or `*`.
    pub cors_metadata: Vec<String>,
    /// Origins that may read tile routes.
    pub cors_tiles: Vec<String>,
    /// `Cache-Control` of tiles whose URL does not name their version.
    pub cache_control: String,
    /// Memory for all caches together, in MiB: pictures, blocks, headers of COGs, datasets.
    pub cache_mb: usize,
    /// Whether `/metadata` tells where an input lies; None: when listening on loopback.
    pub expose_sources: Option<bool>,
    /// Where clients reach the API, with its path; None: what they say they asked.
    pub public_url: Option<String>,
    /// The path below which everything is mounted: empty, or `/` and more without a slash at the end.
    pub base_path: String,
    /// Proxies whose `X-Forwarded-…` are believed.
    pub trusted_proxies: Vec<TrustedProxy>,
    /// The page's base map: a template of raster tiles, or the URL of a style; None: the coarse one that comes with the page.
    pub basemap: Option<String>,
    /// Whom the page thanks for it.
    pub basemap_attribution: Option<String>,
    /// How often a newer snapshot is looked for; None: every second in a folder, every five elsewhere.
    pub reload: Option<Duration>,
    /// Bounds.
    pub limits: Limits,
}

/// The part of the machine's or the container's memory that caches may take unless told otherwise.
const CACHE_PART: u64 = 4;

impl Default for Settings {
    fn default() -> Self {
        Self {
            cors_metadata: vec!["*".to_owned()],
            cors_tiles: vec!["*".to_owned()],
            cache_control: "public, max-age=0, must-revalidate".to_owned(),
            cache_mb: ((shared::memory::limit_bytes() / CACHE_PART) >> 20) as usize,
            expose_sources: None,
            public_url: None,
            base_path: String::new(),
            trusted_proxies: Vec::new(),
            basemap: None,
            basemap_attribution: None,
            reload: None,
            limits: Limits::default(),
        }
    }
}

impl Settings {
    /// Everything that is wrong with them, each in words.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, origins) in [("cors_metadata", &self.cors_metadata), ("cors_tiles", &self.cors_tiles)] {
            for origin in origins {
                let is_origin = HeaderValue::from_str(origin).is_ok() && (origin == "*" || origin.contains("://"));
                if !is_origin {
                    faults.push(format!("{name}: {origin:?} is not an origin; write https://example.org or *"));
                }
            }
        }
        if let Some(url) = &self.public_url
            && !(url.starts_with("http://") || url.starts_with("https://"))
        {
            faults.push(format!("public_url: {url:?} is not a URL; write https://maps.example.org/tiles"));
        }
        let is_segment =
            |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
        if !self.base_path.is_empty()
            && !self.base_path.strip_prefix('/').is_some_and(|path| path.split('/').all(is_segment))
        {
            faults.push(format!("base_path: {:?} is not a path; write /maps", self.base_path));
        }
        match &self.basemap {
            Some(url) => faults.extend(Basemap::parse(url, self.basemap_attribution.as_deref()).err()),
            None if self.basemap_attribution.is_some() => {
                faults.push("basemap_attribution: there is no basemap that it is of".to_owned());
            }
            None => {}
        }
        if HeaderValue::from_str(&self.cache_control).is_err() {
            faults.push(format!("cache_control: {:?} cannot stand in a header", self.cache_control));
        }
        faults
    }
}

/// Proxies from a list of addresses and networks, and what is wrong with it.
pub fn trusted_proxies(list: &[String]) -> (Vec<TrustedProxy>, Vec<String>) {
    let (mut proxies, mut faults) = (Vec::new(), Vec::new());
    for text in list.iter().filter(|text| !text.trim().is_empty()) {
        match TrustedProxy::parse(text) {
            Some(proxy) => proxies.push(proxy),
            None => faults.push(format!("trusted_proxies: {text:?} is not an address or a network; write 10.0.0.0/8")),
        }
    }
    (proxies, faults)
}

/// Whether there is a color map of this name, beside those of collections.
pub fn is_colormap(name: &str) -> bool {
    tile::colormap::named(name).is_some()
}

/// Why a server ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Settings that cannot be used.
    #[error("{}", .0.join("\n"))]
    Settings(Vec<String>),
    /// The socket failed.
    #[error("the server's socket failed: {0}")]
    Socket(#[from] std::io::Error),
    /// Lambda's runtime API failed.
    #[error("the runtime API of Lambda failed: {0}")]
    Lambda(String),
}

/// Where snapshots of this store are kept on this machine unless told otherwise: under `$XDG_CACHE_HOME/kiln`.
pub fn default_cache_dir(store: &ReadStore) -> PathBuf {
    let name = blake3::hash(store.name().as_bytes()).to_hex();
    shared::config::xdg_folder("XDG_CACHE_HOME", ".cache").join("kiln").join("server").join(&name.as_str()[..16])
}

/// What a server is, whatever asks it: its state, what keeps that new, and the folder that needs.
fn prepare(
    config: &mut Config,
    on_loopback: bool,
    shutdown: &CancellationToken,
) -> Result<(AppState, Reloader, CacheDir), ServeError> {
    let faults = config.settings.faults();
    if !faults.is_empty() {
        return Err(ServeError::Settings(faults));
    }
    let state = AppState::new(config.store.clone(), config.settings.clone(), on_loopback);
    let wake = config.hint.take().unwrap_or_default();
    if let Some(hints) = config.hints.take() {
        tokio::spawn(hints.listen(Arc::clone(&wake), shutdown.clone()));
    }
    let cache = CacheDir::claim(&config.cache_dir);
    let reloader = Reloader {
        state: state.clone(),
        fetcher: Fetcher::new(config.store.clone(), cache.path()),
        hint: wake,
        every: config.settings.reload,
    };
    Ok((state, reloader, cache))
}

/// Serves until `shutdown`.
pub async fn run(mut config: Config, listener: TcpListener, shutdown: CancellationToken) -> Result<(), ServeError> {
    let on_loopback = listener.local_addr()?.ip().is_loopback();
    let (state, reloader, _cache) = prepare(&mut config, on_loopback, &shutdown)?;
    let reloading = tokio::spawn(reloader.run(shutdown.clone()));
    if let Some(admin) = config.admin {
        let routes = routes::admin(state.clone(), config.more.clone());
        let serving = axum::serve(admin, routes).with_graceful_shutdown(shutdown.clone().cancelled_owned());
        tokio::spawn(async move { serving.await });
    }
    let listener = lenient::LenientListener(listener);
    let more = config.more.filter(|_| on_loopback && state.expose_sources);
    let routes = router(state.clone(), more).into_make_service_with_connect_info::<lenient::Peer>();
    let asked_to_stop = shutdown.clone();
    let serving = axum::serve(listener, routes).with_graceful_shutdown(async move {
        asked_to_stop.cancelled().await;
        // Their answers would never end.
        state.live.close();
    });
    let late = async {
        shutdown.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    let ended = tokio::select! {
        ended = async { serving.await } => ended.map_err(ServeError::from),
        () = late => Ok(()),
    };
    reloading.abort();
    ended
}

/// A folder for downloaded snapshots that no other process uses.
#[derive(Debug)]
enum CacheDir {
    Kept(Slot),
    /// A server may run without a home.
    Temporary(PathBuf),
}

impl CacheDir {
    fn claim(parent: &Path) -> Self {
        Slot::claim(parent).map_or_else(
            |error| {
                let instead = std::env::temp_dir().join(format!("kiln-server-{}", std::process::id()));
                tracing::warn!(%error, folder = %parent.display(), instead = %instead.display(), "the cache folder cannot be used");
                Self::Temporary(instead)
            },
            Self::Kept,
        )
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(slot) => slot.path(),
            Self::Temporary(path) => path,
        }
    }
}
