//! `kiln serve` and `kiln watch`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use shared::shutdown;
use shared::store::ReadStore;
use shared::telemetry;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use toml::{Table, Value};

use super::{Failure, say};
use crate::admin;
use crate::ingest::{Hook, Ingest, IngestError, MEGABYTE, Plan};
use crate::progress::{self, LogWriter, Progress};
use crate::settings::Settings;

/// Flags of both commands.
#[derive(Debug, Args)]
pub struct IngestArgs {
    /// A folder or bucket, or a name pattern such as 'rasters/{sensor}_{date}_{band}.tif' or 'rasters/{date}.tif#{band}'; a bucket is written <s3://rasters>, gs or az
    source: Option<String>,
    /// Where COGs, commits and snapshots are kept: a folder, or a bucket such as <s3://bucket/prefix>, gs or az [default: SOURCE.kiln beside the folder]
    #[arg(long)]
    store: Option<String>,
    /// The collection that the source feeds [default: default]
    #[arg(long)]
    collection: Option<String>,
    /// A configuration file
    #[arg(long, env = "KILN_CONFIG")]
    config: Option<PathBuf>,
    /// Where this machine keeps its copy of the catalogue and scratch [default: $`XDG_CACHE_HOME/kiln`]
    #[arg(long)]
    state: Option<String>,
    /// Go on although the disk may not hold it all
    #[arg(long)]
    yes: bool,
    /// Do not use file events: list the folder again and again
    #[arg(long)]
    no_watch: bool,
    /// How often the folder is compared with the catalogue, whatever events say
    #[arg(long)]
    reconcile_seconds: Option<i64>,
    /// How often a folder without events is listed
    #[arg(long)]
    poll_seconds: Option<i64>,
    /// Threads that all conversions share [default: all cores]
    #[arg(long)]
    threads: Option<i64>,
    /// Memory that all conversions share, in MiB [default: half of the machine or container]
    #[arg(long)]
    memory_mb: Option<i64>,
    /// Let a scan remove more than half of the inputs
    #[arg(long)]
    allow_removal: bool,
    /// Answer /health, /ready, /metrics, /jobs and /rejected here, such as 127.0.0.1:5001
    #[arg(long)]
    admin: Option<String>,
    /// NATS servers with JetStream, such as <nats://host:4222>: any number of ingestors then share the work on buckets
    #[arg(long)]
    nats: Option<String>,
    /// What subjects and streams on NATS begin with [default: kiln]
    #[arg(long)]
    nats_prefix: Option<String>,
    /// Take notifications of buckets here by POST, such as 0.0.0.0:5002; what those who post must know stands in `KILN_HOOK_SECRET`
    #[arg(long)]
    hook: Option<String>,
}

/// Flags of `kiln serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    ingest: IngestArgs,
    /// Where to serve [default: 127.0.0.1:5000, or the next free port]
    #[arg(long)]
    listen: Option<String>,
    /// Where clients reach the API, with its path, such as <https://maps.example.org/tiles> [default: what the request says]
    #[arg(long)]
    public_url: Option<String>,
    /// Mount everything below this path, such as /maps
    #[arg(long)]
    base_path: Option<String>,
    /// Proxies whose X-Forwarded-{Proto,Host,Prefix} are believed: addresses or networks, separated by commas
    #[arg(long)]
    trusted_proxies: Option<String>,
    /// The page's base map: <https://tiles.example.org/{z}/{x}/{y}.png>, or the URL of a MapLibre style [default: a coarse one that needs no network]
    #[arg(long, value_name = "URL")]
    basemap: Option<String>,
    /// Whom the page thanks for the base map
    #[arg(long, value_name = "TEXT")]
    basemap_attribution: Option<String>,
}

impl IngestArgs {
    fn table(&self) -> Table {
        let mut table = Table::new();
        let texts = [
            ("source", &self.source),
            ("store", &self.store),
            ("collection", &self.collection),
            ("state", &self.state),
            ("admin", &self.admin),
            ("nats", &self.nats),
            ("nats_prefix", &self.nats_prefix),
            ("hook", &self.hook),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                table.insert(name.to_owned(), Value::String(text.clone()));
            }
        }
        let numbers = [
            ("reconcile_seconds", self.reconcile_seconds),
            ("poll_seconds", self.poll_seconds),
            ("threads", self.threads),
            ("memory_mb", self.memory_mb),
        ];
        for (name, number) in numbers {
            if let Some(number) = number {
                table.insert(name.to_owned(), Value::Integer(number));
            }
        }
        for (name, set, value) in
            [("yes", self.yes, true), ("allow_removal", self.allow_removal, true), ("watch", self.no_watch, false)]
        {
            if set {
                table.insert(name.to_owned(), Value::Boolean(value));
            }
        }
        table
    }
}

/// `kiln watch`: ingest until told to stop.
pub async fn watch(args: IngestArgs) -> Result<(), Failure> {
    let settings = Settings::load(args.config.as_deref(), args.table()).map_err(Failure::bad_input)?;
    let bar = start_logging();
    let shutdown = shutdown::signals().map_err(Failure::other)?;
    let admin = admin_listener(&settings).await?;
    let hook = hook_listener(&settings).await?;
    let (ingest, plan) = tokio::select! {
        opened = Ingest::open(settings, Arc::new(Notify::new())) => opened.map_err(failure)?,
        () = shutdown.cancelled() => return Ok(()),
    };
    say(&announce(&ingest, plan));
    if let Some(listener) = admin {
        tokio::spawn(admin::serve(listener, ingest.more(), shutdown.clone()));
    }
    ingest.run(Progress::new(plan.inputs, bar), hook, shutdown).await.map_err(failure)
}

/// `kiln serve`: the same, with a server in the same process.
pub async fn serve(args: ServeArgs) -> Result<(), Failure> {
    let mut table = args.ingest.table();
    let texts = [
        ("listen", args.listen),
        ("public_url", args.public_url),
        ("base_path", args.base_path),
        ("trusted_proxies", args.trusted_proxies),
        ("basemap", args.basemap),
        ("basemap_attribution", args.basemap_attribution),
    ];
    table.extend(texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Value::String(text?)))));
    let settings = Settings::load(args.ingest.config.as_deref(), table).map_err(Failure::bad_input)?;
    let bar = start_logging();
    let shutdown = shutdown::signals().map_err(Failure::other)?;
    let listener = server::listen(settings.listen.as_deref()).await.map_err(Failure::bad_input)?;
    let address = listener.local_addr().map_err(Failure::other)?;
    let admin = admin_listener(&settings).await?;
    let hook = hook_listener(&settings).await?;
    let published = Arc::new(Notify::new());
    let server_settings = settings.server.clone();
    let (store_name, nats) = (settings.store.clone(), settings.nats.clone());
    let base = server_settings.public_url.clone().map_or_else(
        || format!("http://{address}{}", server_settings.base_path),
        |url| url.trim_end_matches('/').to_owned(),
    );
    let opened = tokio::select! {
        opened = Ingest::open(settings, Arc::clone(&published)) => opened,
        () = shutdown.cancelled() => return Ok(()),
    };
    let ingest = match opened {
        Ok((ingest, plan)) => Ok((ingest, plan)),
        // What does not verify stops writers; what is there is served on.
        Err(error @ IngestError::Replica(_)) => Err(error),
        Err(error) => return Err(failure(error)),
    };
    let store = ReadStore::open(&store_name).map_err(Failure::bad_input)?;
    let cache_dir = server::default_cache_dir(&store);
    let hint = Some(Arc::clone(&published));
    let server = server::Config {
        store: store.clone(),
        cache_dir,
        hint,
        // Publications of others.
        hints: nats.map(|nats| server::Hints { url: nats.url, prefix: nats.prefix, credentials: nats.credentials }),
        settings: server_settings,
        more: ingest.as_ref().ok().map(|(ingest, _)| ingest.more()),
        admin,
    };
    say(&format!("serving http://{address}/"));
    let ingesting = {
        let (shutdown, store, published) = (shutdown.clone(), store.clone(), Arc::clone(&published));
        tokio::spawn(async move {
            let (ingest, plan) = ingest?;
            say(&announce(&ingest, plan));
            tokio::spawn(super::urls::print_when_ready(store, published, base, shutdown.clone()));
            ingest.run(Progress::new(plan.inputs, bar), hook, shutdown).await
        })
    };
    let watched = tokio::spawn(async move {
        let ended = ingesting.await;
        if let Ok(Err(error)) = &ended {
            tracing::error!(%error, "ingesting has stopped; what is published is served on");
        }
        ended
    });
    server::run(server, listener, shutdown).await.map_err(Failure::other)?;
    match watched.await {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(error))) => Err(failure(error)),
        Ok(Err(error)) | Err(error) => Err(Failure::other(error)),
    }
}

/// Where the admin routes are answered, if that was asked for.
async fn admin_listener(settings: &Settings) -> Result<Option<TcpListener>, Failure> {
    let Some(address) = &settings.admin else { return Ok(None) };
    let listener = server::listen(Some(address)).await.map_err(Failure::bad_input)?;
    tracing::info!(address = %listener.local_addr().map_err(Failure::other)?, "admin routes are answered");
    Ok(Some(listener))
}

/// Where notifications are taken, if that was asked for.
async fn hook_listener(settings: &Settings) -> Result<Option<Hook>, Failure> {
    let Some((address, secret)) = &settings.hook else { return Ok(None) };
    let listener = server::listen(Some(address)).await.map_err(Failure::bad_input)?;
    tracing::info!(address = %listener.local_addr().map_err(Failure::other)?, "notifications are taken by POST");
    Ok(Some(Hook { listener, secret: secret.clone() }))
}

fn start_logging() -> Option<indicatif::ProgressBar> {
    let bar = progress::bar();
    let writer = LogWriter(bar.clone());
    telemetry::init_with(move || writer.clone());
    bar
}

fn announce(ingest: &Ingest, plan: Plan) -> String {
    let megabytes = plan.bytes.div_ceil(MEGABYTE);
    format!(
        "{} inputs to ingest ({} decided already), about {megabytes} MB to write to {}",
        plan.inputs,
        plan.decided,
        ingest.store().name()
    )
}

fn failure(error: IngestError) -> Failure {
    if error.is_bad_input() { Failure::bad_input(error) } else { Failure::other(error) }
}
