//! `kiln-server`: the tile server alone, for any number of machines.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use server::{Config, Hints, Limits, Settings};
use shared::store::ReadStore;

/// Exit code of a command that was wrong: nothing was started.
const BAD_INPUT: u8 = 2;

/// Serves the tiles of a store that `kiln` fills
#[derive(Debug, Parser)]
#[command(name = "kiln-server", version)]
struct Args {
    /// The store: a folder, or a bucket such as <s3://bucket/prefix>, gs or az
    #[arg(long, env = "KILN_STORE", required_unless_present = "check")]
    store: Option<String>,
    /// Ask whether a server answers at this URL, such as <http://127.0.0.1:5000/health>, and do nothing else: for health checks
    #[arg(long, value_name = "URL")]
    check: Option<String>,
    /// Where to serve [default: 127.0.0.1:5000, or the next free port]
    #[arg(long, env = "KILN_LISTEN")]
    listen: Option<String>,
    /// NATS servers on which publications are announced, such as <nats://host:4222> [default: newer snapshots are found by polling]
    #[arg(long, env = "KILN_NATS", hide_env_values = true)]
    nats: Option<String>,
    /// What subjects on NATS begin with
    #[arg(long, env = "KILN_NATS_PREFIX", default_value = server::DEFAULT_NATS_PREFIX)]
    nats_prefix: String,
    /// A credentials file for NATS
    #[arg(long, env = "KILN_NATS_CREDENTIALS")]
    nats_credentials: Option<String>,
    /// How often a newer snapshot is looked for, in seconds [default: 1 in a folder, 5 elsewhere]
    #[arg(long, env = "KILN_RELOAD_SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    reload_seconds: Option<u32>,
    /// A folder for downloaded snapshots [default: under `$XDG_CACHE_HOME/kiln`]
    #[arg(long, env = "KILN_CACHE_DIR")]
    cache_dir: Option<PathBuf>,
    /// Memory for all caches together, in MiB [default: a quarter of what the machine or container has]
    #[arg(long, env = "KILN_CACHE_MB", value_parser = clap::value_parser!(u32).range(0..=1 << 20))]
    cache_mb: Option<u32>,
    /// Origins that may read metadata from other sites, separated by commas; `*` for all
    #[arg(long, env = "KILN_CORS_METADATA", value_delimiter = ',', default_value = "*")]
    cors_metadata: Vec<String>,
    /// Origins that may read tiles from other sites
    #[arg(long, env = "KILN_CORS_TILES", value_delimiter = ',', default_value = "*")]
    cors_tiles: Vec<String>,
    /// Cache-Control of tiles
    #[arg(long, env = "KILN_CACHE_CONTROL", default_value_t = Settings::default().cache_control)]
    cache_control: String,
    /// Whether /metadata tells where an input lies [default: only when listening on loopback]
    #[arg(long, env = "KILN_EXPOSE_SOURCES")]
    expose_sources: Option<bool>,
    /// Where clients reach the API, with its path, such as <https://maps.example.org/tiles> [default: what the request says]
    #[arg(long, env = "KILN_PUBLIC_URL")]
    public_url: Option<String>,
    /// Mount everything below this path, such as /maps
    #[arg(long, env = "KILN_BASE_PATH", default_value = "")]
    base_path: String,
    /// Proxies whose X-Forwarded-{Proto,Host,Prefix} are believed: addresses or networks, separated by commas
    #[arg(long, env = "KILN_TRUSTED_PROXIES", value_delimiter = ',')]
    trusted_proxies: Vec<String>,
    /// The page's base map: <https://tiles.example.org/{z}/{x}/{y}.png>, or the URL of a MapLibre style [default: a coarse one that needs no network]
    #[arg(long, env = "KILN_BASEMAP", value_name = "URL")]
    basemap: Option<String>,
    /// Whom the page thanks for the base map
    #[arg(long, env = "KILN_BASEMAP_ATTRIBUTION", value_name = "TEXT")]
    basemap_attribution: Option<String>,
    /// Answer /health, /ready and /metrics here as well
    #[arg(long, env = "KILN_ADMIN")]
    admin: Option<String>,
    /// Pixels along a tile's side that a request may ask for
    #[arg(long, env = "KILN_TILE_SIZE_MAX", default_value_t = Limits::default().tile_size_max, value_parser = clap::value_parser!(u32).range(1..=2048))]
    tile_size_max: u32,
    /// Datasets in one answer of /datasets
    #[arg(long, env = "KILN_DATASETS_MAX", default_value_t = Limits::default().datasets_max)]
    datasets_max: usize,
    /// Requests that may wait for a core
    #[arg(long, env = "KILN_QUEUE_MAX", default_value_t = Limits::default().queue_max)]
    queue_max: usize,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(url) = &args.check {
        return match server::check(url) {
            Ok(()) => ExitCode::SUCCESS,
            Err(fault) => {
                let _ = writeln!(std::io::stderr(), "kiln-server: {fault}");
                ExitCode::FAILURE
            }
        };
    }
    shared::telemetry::init();
    shared::memory::keep_freed_memory();
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| (1, format!("cannot start threads: {error}")))
        .and_then(|runtime| runtime.block_on(serve(args)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, message)) => {
            let _ = writeln!(std::io::stderr(), "kiln-server: {message}");
            ExitCode::from(code)
        }
    }
}

async fn serve(args: Args) -> Result<(), (u8, String)> {
    let (trusted_proxies, mut faults) = server::trusted_proxies(&args.trusted_proxies);
    let settings = Settings {
        cors_metadata: args.cors_metadata,
        cors_tiles: args.cors_tiles,
        cache_control: args.cache_control,
        cache_mb: args.cache_mb.map_or_else(|| Settings::default().cache_mb, |mb| mb as usize),
        expose_sources: args.expose_sources,
        public_url: args.public_url,
        base_path: args.base_path.trim_end_matches('/').to_owned(),
        trusted_proxies,
        basemap: args.basemap,
        basemap_attribution: args.basemap_attribution,
        reload: args.reload_seconds.map(|seconds| Duration::from_secs(u64::from(seconds))),
        limits: Limits {
            tile_size_max: args.tile_size_max,
            datasets_max: args.datasets_max,
            queue_max: args.queue_max,
            ..Limits::default()
        },
    };
    faults.extend(settings.faults());
    if !server::is_nats_prefix(&args.nats_prefix) {
        faults.push(format!("nats_prefix: {:?} must be letters, digits, - and _", args.nats_prefix));
    }
    let store = ReadStore::open(&args.store.unwrap_or_default()).map_err(|error| faults.push(error.to_string())).ok();
    let Some(store) = store.filter(|_| faults.is_empty()) else { return Err((BAD_INPUT, faults.join("\n"))) };
    let hints = args.nats.map(|url| Hints { url, prefix: args.nats_prefix, credentials: args.nats_credentials });
    if server::is_started_by_lambda() {
        let cache_dir = args.cache_dir.unwrap_or_else(server::lambda_cache_dir);
        let config = Config { store, cache_dir, hint: None, hints, settings, more: None, admin: None };
        return server::run_lambda(config).await.map_err(|error| (1, error.to_string()));
    }
    let admin = match &args.admin {
        Some(address) => Some(server::listen(Some(address)).await.map_err(|error| (BAD_INPUT, error))?),
        None => None,
    };
    let listener = server::listen(args.listen.as_deref()).await.map_err(|error| (BAD_INPUT, error))?;
    let address = listener.local_addr().map_err(|error| (1, error.to_string()))?;
    let cache_dir = args.cache_dir.unwrap_or_else(|| server::default_cache_dir(&store));
    let shutdown = shared::shutdown::signals().map_err(|error| (1, error.to_string()))?;
    let _ = writeln!(std::io::stdout(), "serving http://{address}/");
    let config = Config { store, cache_dir, hint: None, hints, settings, more: None, admin };
    server::run(config, listener, shutdown).await.map_err(|error| match error {
        server::ServeError::Settings(_) => (BAD_INPUT, error.to_string()),
        server::ServeError::Socket(_) | server::ServeError::Lambda(_) => (1, error.to_string()),
    })
}
