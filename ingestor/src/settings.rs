//! What `kiln serve` and `kiln watch` are told: raw settings in, valid objects or every fault out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use shared::collection::{Collection, Key, OnConflict, Style};
use shared::config::{ConfigFaults, Options, test_setting, xdg_folder};
use shared::pattern::Pattern;
use shared::raster_settings::{RasterRule, RasterRules, RasterSettings};
use shared::store::bucket::BucketUrl;
use toml::{Table, Value};

use crate::convert::DEFAULT_DRIVERS;
use crate::naming::Naming;
use crate::nats::NatsSettings;
use crate::pipeline::SourceSetup;
use crate::source::Source;
use crate::source::bucket::BucketSource;
use crate::source::folder::FolderSource;

/// Settings at the top level of `kiln.toml`, and with `KILN_` before them in the environment.
pub const NAMES: [&str; 37] = [
    "source",
    "store",
    "state",
    "collection",
    "collections",
    "listen",
    "watch",
    "poll_seconds",
    "reconcile_seconds",
    "threads",
    "memory_mb",
    "stall_seconds",
    "drivers",
    "allow_removal",
    "yes",
    "cache_mb",
    "cors_metadata",
    "cors_tiles",
    "cache_control",
    "expose_sources",
    "tile_size_max",
    "datasets_max",
    "queue_max",
    "public_url",
    "base_path",
    "trusted_proxies",
    "admin",
    "nats",
    "nats_prefix",
    "nats_credentials",
    "nats_replicas",
    "ack_seconds",
    "hook",
    "hook_secret",
    "reload_seconds",
    "basemap",
    "basemap_attribution",
];
/// The name of the collection when none is given.
const DEFAULT_COLLECTION: &str = "default";
const MEMORY_MB_MIN: u64 = 128;
const MEGABYTE: u64 = 1 << 20;

/// Valid settings of an ingestor.
#[derive(Debug)]
pub struct Settings {
    /// The store's folder or URL.
    pub store: String,
    /// Where this machine keeps its replicas and scratch.
    pub state: PathBuf,
    /// What is ingested.
    pub sources: Vec<SourceSetup>,
    /// Where to serve, if it was said.
    pub listen: Option<String>,
    /// Whether to use file events.
    pub watch: bool,
    /// How often sources without events are listed.
    pub poll: Duration,
    /// How often sources with events are listed.
    pub reconcile: Duration,
    /// Between the two scans that must agree that an input is gone.
    pub delete_grace: Duration,
    /// Thread budget of conversions.
    pub threads: usize,
    /// Memory budget of conversions.
    pub memory_bytes: u64,
    /// How long a conversion may make no progress.
    pub stall: Duration,
    /// GDAL drivers that may open inputs.
    pub drivers: Vec<String>,
    /// Whether a scan may remove more than half of a source.
    pub allow_removal: bool,
    /// Whether to go on although the disk may not hold it all.
    pub yes: bool,
    /// Where the admin routes are answered, if it was said.
    pub admin: Option<String>,
    /// The queue shared with other ingestors, if there is one.
    pub nats: Option<NatsSettings>,
    /// Where notifications may be posted, if it was said, and what those who post must know.
    pub hook: Option<(String, Option<String>)>,
    /// How the server of `kiln serve` answers.
    pub server: server::Settings,
}

/// How files settle: with events, closing is seen and a short rest suffices.
const SETTLE_WATCHED: Duration = Duration::from_millis(200);
const SETTLE_POLLED: Duration = Duration::from_secs(2);

impl Settings {
    /// Reads file, environment and flags.
    pub fn load(file: Option<&Path>, flags: Table) -> Result<Self, ConfigFaults> {
        let mut options = Options::load(file, flags, &NAMES);
        let server = server_settings(&mut options);
        let watch = options.take("watch").unwrap_or(true);
        let threads = options.take_within("threads", 1..=1024).map_or_else(cores, |n| n as usize);
        let memory_bytes =
            options.take_within("memory_mb", MEMORY_MB_MIN..=1 << 24).map_or_else(half_of_memory, |mb| mb * MEGABYTE);
        let seconds = |n: Option<u64>, default| Duration::from_secs(n.unwrap_or(default));
        let poll = seconds(options.take_within("poll_seconds", 1..=86_400), 5);
        let reconcile = seconds(options.take_within("reconcile_seconds", 1..=86_400), 900);
        let stall = seconds(options.take_within("stall_seconds", 1..=3600), 25);
        let drivers = options.take("drivers").unwrap_or_else(|| DEFAULT_DRIVERS.map(str::to_owned).into());
        let allow_removal = options.take("allow_removal").unwrap_or(false);
        let yes = options.take("yes").unwrap_or(false);
        let listen = options.take("listen");
        let admin = options.take("admin");
        let nats = nats_settings(&mut options);
        let hook = hook(&mut options);
        let state = options.take("state").unwrap_or_else(|| xdg_folder("XDG_CACHE_HOME", ".cache").join("kiln"));
        let sources = sources(&mut options, watch);
        let store = options
            .take::<String>("store")
            .or_else(|| sources.first()?.source.folder().map(|folder| default_store(&folder.root)));
        if store.is_none() && !sources.is_empty() {
            options.fault("no store: name with --store where COGs and snapshots of a bucket go, such as s3://tiles/kiln or a folder");
        }
        check_outside(&mut options, "store", store.as_deref(), &sources);
        check_outside(&mut options, "state", state.to_str(), &sources);
        let faults = options.finish();
        let (Some(store), true) = (store, faults.is_empty()) else { return Err(ConfigFaults(faults)) };
        let delete_grace = test_setting("KILN_DELETE_GRACE_MS")
            .and_then(|ms| ms.parse().ok())
            .map_or(Duration::from_mins(1), Duration::from_millis);
        Ok(Self {
            store,
            state,
            sources,
            listen,
            watch,
            poll,
            reconcile,
            delete_grace,
            threads,
            memory_bytes,
            stall,
            drivers,
            allow_removal,
            yes,
            admin,
            nats,
            hook,
            server,
        })
    }
}

/// How the queue is reached.
pub fn nats_settings(options: &mut Options) -> Option<NatsSettings> {
    let url: Option<String> = options.take("nats");
    let prefix = options.take("nats_prefix").unwrap_or_else(|| server::DEFAULT_NATS_PREFIX.to_owned());
    if !server::is_nats_prefix(&prefix) {
        options.fault(format!("nats_prefix = {prefix:?}: must be letters, digits, - and _"));
    }
    let credentials = options.take("nats_credentials");
    let replicas = options.take_within("nats_replicas", 1..=5).unwrap_or(1) as usize;
    let ack_wait = Duration::from_secs(options.take_within("ack_seconds", 1..=3600).unwrap_or(30));
    Some(NatsSettings { url: url?, prefix, credentials, replicas, ack_wait })
}

fn hook(options: &mut Options) -> Option<(String, Option<String>)> {
    let address: Option<String> = options.take("hook");
    let secret: Option<String> = options.take("hook_secret").filter(|secret: &String| !secret.is_empty());
    let address = address?;
    let on_loopback = ["127.", "localhost:", "[::1]:"].iter().any(|start| address.starts_with(start));
    if secret.is_none() && !on_loopback {
        options.fault(format!(
            "hook = {address:?} can be reached by others: say in hook_secret what those who post must know"
        ));
    }
    Some((address, secret))
}

fn server_settings(options: &mut Options) -> server::Settings {
    let default = server::Settings::default();
    let number =
        |value: Option<u64>, default: usize| value.map_or(default, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let mut limits = default.limits.clone();
    if let Some(n) = options.take_within("tile_size_max", 1..=2048) {
        limits.tile_size_max = n as u32;
    }
    limits.datasets_max = number(options.take_within("datasets_max", 1..=10_000_000), limits.datasets_max);
    limits.queue_max = number(options.take_within("queue_max", 1..=1_000_000), limits.queue_max);
    let proxies = texts(options, "trusted_proxies").unwrap_or_default();
    let (trusted_proxies, faults) = server::trusted_proxies(&proxies);
    for fault in faults {
        options.fault(fault);
    }
    let settings = server::Settings {
        cors_metadata: texts(options, "cors_metadata").unwrap_or(default.cors_metadata),
        cors_tiles: texts(options, "cors_tiles").unwrap_or(default.cors_tiles),
        cache_control: options.take("cache_control").unwrap_or(default.cache_control),
        cache_mb: number(options.take_within("cache_mb", 0..=1 << 20), default.cache_mb),
        expose_sources: options.take("expose_sources"),
        public_url: options.take("public_url"),
        base_path: options.take::<String>("base_path").unwrap_or_default().trim_end_matches('/').to_owned(),
        trusted_proxies,
        basemap: options.take("basemap"),
        basemap_attribution: options.take("basemap_attribution"),
        reload: options.take_within("reload_seconds", 1..=86_400).map(Duration::from_secs),
        limits,
    };
    settings.faults().into_iter().for_each(|fault| options.fault(fault));
    settings
}

/// A list of texts, or one text with commas, as the server alone takes it.
fn texts(options: &mut Options, name: &'static str) -> Option<Vec<String>> {
    match options.take(name)? {
        Value::String(text) => Some(text.split(',').map(|origin| origin.trim().to_owned()).collect()),
        Value::Array(list) if list.iter().all(Value::is_str) => {
            Some(list.iter().filter_map(|origin| origin.as_str().map(str::to_owned)).collect())
        }
        other => {
            options.fault(format!("{name} = {other}: must be a list of texts, or one with commas"));
            None
        }
    }
}

/// The sources: `source` feeds `collection`, and every entry of `collections` with a `source` of its own feeds that.
fn sources(options: &mut Options, watch: bool) -> Vec<SourceSetup> {
    let source: Option<String> = options.take("source");
    let named: Option<String> = options.take("collection");
    let mut tables: BTreeMap<String, Table> = options.take("collections").unwrap_or_default();
    if let Some(source) = source {
        let name = named.unwrap_or_else(|| DEFAULT_COLLECTION.to_owned());
        tables.entry(name).or_default().insert("source".to_owned(), Value::String(source));
    } else if let Some(name) = named {
        options.fault(format!("collection = {name:?} without a source: name a folder or a pattern"));
    }
    if tables.is_empty() {
        options.fault("no source: name a folder or a pattern, such as `kiln serve rasters` or `kiln serve 'rasters/{date}_{band}.tif'`");
    }
    let mut found: Vec<SourceSetup> = Vec::new();
    for (name, table) in tables {
        let mut nested = Options::nested(format!("collections.{name}"), table);
        if let Some(setup) = source_setup(&name, &mut nested, watch) {
            found.push(setup);
        }
        options.adopt(nested.finish());
    }
    found
}

fn source_setup(name: &str, options: &mut Options, watch: bool) -> Option<SourceSetup> {
    let text: Option<String> = options.take("source");
    if text.is_none() {
        options.fault("source is missing: name a folder or a pattern");
    }
    let descriptions: BTreeMap<String, String> = options.take("keys").unwrap_or_default();
    let title = options.take("title").unwrap_or_else(|| name.to_owned());
    let default = options.take("default").unwrap_or(false);
    let on_conflict: OnConflict = options.take("on_conflict").unwrap_or_default();
    let on_delete: Option<String> = options.take("on_delete");
    if let Some(other) = on_delete.as_deref().filter(|said| !matches!(*said, "remove" | "keep")) {
        options.fault(format!("on_delete = {other:?}: must be \"remove\" or \"keep\""));
    }
    let style: Style = options.take("style").unwrap_or_default();
    let colormaps: BTreeMap<String, Vec<[u8; 4]>> = options.take("colormaps").unwrap_or_default();
    let rules = raster_rules(options);
    let (place, naming) = place(&text?, options)?;
    let mut keys = naming.keys();
    for key in &mut keys {
        key.description = descriptions.get(&key.name).cloned();
    }
    let unknown = descriptions.keys().filter(|name| !keys.iter().any(|key| key.name == **name));
    for name in unknown {
        options.fault(format!("keys.{name}: the source gives no such key; it gives {}", key_list(&keys)));
    }
    let pattern = naming.pattern_text().map(str::to_owned);
    let collection = Collection { name: name.to_owned(), title, default, keys, pattern, on_conflict, style, colormaps };
    for fault in collection.faults() {
        options.fault(fault);
    }
    collection.style.faults().into_iter().for_each(|fault| options.fault(format!("style.{fault}")));
    if let Some(name) = collection
        .style
        .colormap
        .as_ref()
        .filter(|name| !collection.colormaps.contains_key(*name) && !server::is_colormap(name))
    {
        options.fault(format!(
            "style.colormap = {name:?}: there is no such colormap; GET /colormaps of a running server lists them"
        ));
    }
    let source = match place {
        Place::Folder(root) => Source::Folder(FolderSource::new(name.to_owned(), root, naming)),
        Place::Bucket(url) => match BucketSource::open(name.to_owned(), url, naming) {
            Ok(bucket) => Source::Bucket(bucket),
            Err(error) => {
                options.fault(error);
                return None;
            }
        },
    };
    let watched = watch && source.folder().is_some_and(|folder| !folder.is_remote());
    let settle = if watched { SETTLE_WATCHED } else { SETTLE_POLLED };
    // A file that goes was taken away; an object that goes may have been moved to cheaper storage.
    let remove_gone = on_delete.map_or(source.folder().is_some(), |said| said == "remove");
    Some(SourceSetup { source, collection, rules, remove_gone, settle })
}

/// Key names, for people.
pub fn key_list(keys: &[Key]) -> String {
    keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Where a source lies.
enum Place {
    Folder(PathBuf),
    Bucket(BucketUrl),
}

/// The folder or bucket that a source's text names, and how its paths are read.
fn place(text: &str, options: &mut Options) -> Option<(Place, Naming)> {
    let (folder, naming) = if Pattern::is_one(text) {
        let (folder, rest) = Pattern::split_folder(text);
        match Pattern::parse(rest) {
            Ok(pattern) => (folder, Naming::Pattern(pattern)),
            Err(error) => {
                options.fault(error);
                return None;
            }
        }
    } else {
        (text, Naming::Folder)
    };
    match BucketUrl::parse(folder) {
        Ok(None) => {}
        Ok(Some(url)) => return Some((Place::Bucket(url), naming)),
        Err(error) => {
            options.fault(error);
            return None;
        }
    }
    let path = PathBuf::from(folder.strip_prefix("file://").unwrap_or(folder));
    let readable = path.canonicalize().and_then(|root| std::fs::read_dir(&root).map(|_| root));
    match readable {
        Ok(root) => Some((Place::Folder(root), naming)),
        Err(error) => {
            options.fault(format!("the source folder {folder} cannot be read: {error}"));
            None
        }
    }
}

fn raster_rules(options: &mut Options) -> RasterRules {
    let base = raster_settings(options);
    let matches: Vec<Table> = options.take("match").unwrap_or_default();
    let mut rules = Vec::new();
    for (index, table) in matches.into_iter().enumerate() {
        let mut nested = Options::nested(format!("match[{index}]"), table);
        let when = nested.take("when").unwrap_or_default();
        let set = raster_settings(&mut nested);
        rules.push(RasterRule { when, set });
        for fault in nested.finish() {
            options.fault(fault);
        }
    }
    RasterRules { base, rules }
}

fn raster_settings(options: &mut Options) -> RasterSettings {
    RasterSettings {
        nodata: options.take("nodata"),
        crs: options.take("crs"),
        scale: options.take("scale"),
        offset: options.take("offset"),
        band_names: options.take("band_names"),
        variables: options.take("variables"),
        resampling: options.take("resampling"),
        categorical: options.take("categorical"),
        zoom: options.take_within("zoom", 0..=u64::from(shared::grid::COG_ZOOM_MAX)).map(|zoom| zoom as u8),
        compression: options.take("compression"),
        quality: options.take_within("quality", 1..=100).map(|quality| quality as u8),
    }
}

/// Beside the source as `SOURCE.kiln`; under `$XDG_DATA_HOME/kiln` where that cannot be written.
fn default_store(root: &Path) -> String {
    let name = root.file_name().map_or_else(|| "root".to_owned(), |name| name.to_string_lossy().into_owned());
    let beside = root.with_file_name(format!("{name}.kiln"));
    let writable = beside.is_dir()
        || root.parent().is_some_and(|parent| rustix::fs::access(parent, rustix::fs::Access::WRITE_OK).is_ok());
    let folder = if writable && root.parent().is_some() {
        beside
    } else {
        // Sources of the same name in different places must not meet in one store.
        let id = blake3::hash(root.as_os_str().as_encoded_bytes()).to_hex();
        xdg_folder("XDG_DATA_HOME", ".local/share").join("kiln").join(format!("{name}-{}.kiln", &id[..8]))
    };
    folder.to_string_lossy().into_owned()
}

/// What Kiln writes must not lie in what it watches: it would ingest its own work.
fn check_outside(options: &mut Options, what: &'static str, place: Option<&str>, sources: &[SourceSetup]) {
    let Some(place) = place else { return };
    let sources = sources.iter().map(|setup| &setup.source);
    let inside: Vec<String> = if let Ok(Some(url)) = BucketUrl::parse(place) {
        let inside = format!("{}/x", url.prefix);
        let holds = |bucket: &&BucketSource| {
            bucket.url.cloud == url.cloud && bucket.path_of(&url.bucket, inside.trim_start_matches('/')).is_some()
        };
        sources.filter_map(Source::bucket).filter(holds).map(|bucket| bucket.url.to_string()).collect()
    } else {
        let real = real_path(place);
        // State may lie in a hidden folder, as by default: what is hidden is never looked at. A store may not: people look into it.
        let holds =
            |folder: &&FolderSource| real.starts_with(&folder.root) && (what == "store" || folder.is_watched(&real));
        sources.filter_map(Source::folder).filter(holds).map(|folder| folder.root.display().to_string()).collect()
    };
    for source in inside {
        options.fault(format!(
            "the {what} {place} lies inside the source {source}: what Kiln writes would be ingested again; choose a place outside with --{what}"
        ));
    }
}

/// Where a folder is or will be: what exists of its path tells.
fn real_path(folder: &str) -> PathBuf {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| PathBuf::from(folder));
    let real = absolute
        .ancestors()
        .find_map(|a| a.canonicalize().ok().map(|real| real.join(absolute.strip_prefix(a).unwrap_or(Path::new("")))));
    real.unwrap_or(absolute)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Half of what the machine or the container has.
fn half_of_memory() -> u64 {
    (shared::memory::limit_bytes() / 2).max(MEMORY_MB_MIN * MEGABYTE)
}
