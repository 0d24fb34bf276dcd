//! The tile server: snapshots in, tiles out. It holds a store it can only read, and knows no GDAL.
//!
//! `run` is a whole server; `router` is its HTTP half, for tests. A request goes `routes` → `state` (one snapshot) → `tile`.

mod cache;
mod error;
mod lenient;
mod limits;
mod listen;
mod params;
mod reload;
mod routes;
mod state;
mod tile;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;
use shared::store::ReadStore;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use limits::Limits;
pub use listen::listen;
use routes::router;
use state::AppState;

/// How long requests under way may take to end after shutdown was asked for.
const GRACE: Duration = Duration::from_secs(3);

/// What a server needs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where snapshots and COGs are.
    pub store: ReadStore,
    /// A folder of this machine for downloaded snapshots and notes of what was verified.
    pub cache_dir: PathBuf,
    /// Wakes the server when a snapshot was published in the same process.
    pub hint: Option<Arc<Notify>>,
    /// How it answers.
    pub settings: Settings,
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
    /// Memory for rendered pictures, in MiB.
    pub cache_mb: usize,
    /// Whether `/metadata` tells where an input lies; None: when listening on loopback.
    pub expose_sources: Option<bool>,
    /// Bounds.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cors_metadata: vec!["*".to_owned()],
            cors_tiles: vec!["*".to_owned()],
            cache_control: "public, max-age=0, must-revalidate".to_owned(),
            cache_mb: 128,
            expose_sources: None,
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
        if HeaderValue::from_str(&self.cache_control).is_err() {
            faults.push(format!("cache_control: {:?} cannot stand in a header", self.cache_control));
        }
        faults
    }
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
}

/// Where snapshots of this store are kept on this machine unless told otherwise: under `$XDG_CACHE_HOME/kiln`.
pub fn default_cache_dir(store: &ReadStore) -> PathBuf {
    let name = blake3::hash(store.name().as_bytes()).to_hex();
    shared::config::xdg_folder("XDG_CACHE_HOME", ".cache").join("kiln").join("server").join(&name.as_str()[..16])
}

/// Serves until `shutdown`.
pub async fn run(config: Config, listener: TcpListener, shutdown: CancellationToken) -> Result<(), ServeError> {
    let faults = config.settings.faults();
    if !faults.is_empty() {
        return Err(ServeError::Settings(faults));
    }
    let on_loopback = listener.local_addr()?.ip().is_loopback();
    let state = AppState::new(config.store.clone(), config.settings, on_loopback);
    let reloader = reload::Reloader {
        state: state.clone(),
        store: config.store,
        cache_dir: usable(config.cache_dir),
        hint: config.hint,
    };
    let reloading = tokio::spawn(reloader.run(shutdown.clone()));
    let listener = lenient::LenientListener(listener);
    let serving = axum::serve(listener, router(state)).with_graceful_shutdown(shutdown.clone().cancelled_owned());
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

/// The folder, made if need be; where that cannot be, one for temporary files: a server may run without a home.
fn usable(cache_dir: PathBuf) -> PathBuf {
    match std::fs::create_dir_all(&cache_dir) {
        Ok(()) => cache_dir,
        Err(error) => {
            let instead = std::env::temp_dir().join(format!("kiln-server-{}", std::process::id()));
            tracing::warn!(%error, folder = %cache_dir.display(), instead = %instead.display(), "the cache folder cannot be made");
            instead
        }
    }
}
