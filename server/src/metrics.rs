//! What the server counts, for Prometheus (OpenMetrics text).

use std::fmt::Write as _;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::tile::render::Times;

/// The media type of OpenMetrics text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Upper edges of the bins of seconds: from a cached tile to one that a client gives up on.
const SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StageLabels {
    stage: &'static str,
}

/// All that is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
    cache: Family<ResultLabels, Counter>,
    stages: Family<StageLabels, Counter<f64, std::sync::atomic::AtomicU64>>,
    read_bytes: Counter,
    snapshot: Gauge,
    snapshot_age: Gauge,
    datasets: Gauge,
    listeners: Gauge,
}

impl Metrics {
    /// Nothing counted yet.
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("kiln");
        let bins: fn() -> Histogram = || Histogram::new(SECONDS);
        let metrics = Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(bins),
            cache: Family::default(),
            stages: Family::default(),
            read_bytes: Counter::default(),
            snapshot: Gauge::default(),
            snapshot_age: Gauge::default(),
            datasets: Gauge::default(),
            listeners: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register("requests", "Requests answered, by route and status", metrics.requests.clone());
        registry.register_with_unit(
            "request_duration",
            "Time to an answer, by route",
            Unit::Seconds,
            metrics.seconds.clone(),
        );
        registry.register(
            "picture_cache",
            "Pictures asked of the cache, by whether they were there",
            metrics.cache.clone(),
        );
        registry.register_with_unit(
            "picture_stage",
            "Time spent on pictures, by stage",
            Unit::Seconds,
            metrics.stages.clone(),
        );
        registry.register_with_unit("store_read", "Read of COGs", Unit::Bytes, metrics.read_bytes.clone());
        registry.register("snapshot", "Number of the snapshot that is served; 0 if none", metrics.snapshot.clone());
        registry.register_with_unit(
            "snapshot_age",
            "Since it was published",
            Unit::Seconds,
            metrics.snapshot_age.clone(),
        );
        registry.register("datasets", "Datasets that are served", metrics.datasets.clone());
        registry.register("event_listeners", "Clients that listen to events", metrics.listeners.clone());
        Self { registry, ..metrics }
    }

    /// A request was answered.
    pub(crate) fn answered(&self, route: &str, status: u16, time: Duration) {
        self.requests.get_or_create(&RequestLabels { route: route.to_owned(), status }).inc();
        self.seconds.get_or_create(&RouteLabels { route: route.to_owned() }).observe(time.as_secs_f64());
    }

    /// A picture was in memory.
    pub(crate) fn cache_hit(&self) {
        self.cache.get_or_create(&ResultLabels { result: "hit" }).inc();
    }

    /// A picture was not in memory.
    pub(crate) fn cache_miss(&self) {
        self.cache.get_or_create(&ResultLabels { result: "miss" }).inc();
    }

    /// Bytes came from the store.
    pub(crate) fn read(&self, bytes: usize) {
        self.read_bytes.inc_by(bytes as u64);
    }

    /// A picture was made.
    pub(crate) fn made(&self, times: &Times) {
        let stages =
            [("read", times.read), ("decode", times.decode), ("render", times.render), ("encode", times.encode)];
        for (stage, time) in stages {
            self.stages.get_or_create(&StageLabels { stage }).inc_by(time.as_secs_f64());
        }
    }

    /// All of it as text. `served` is the snapshot's number, its age in seconds and its datasets; `listeners` are those of events.
    pub(crate) fn text(&self, served: Option<(u64, i64, u64)>, listeners: usize) -> String {
        self.listeners.set(listeners as i64);
        let (n, age, datasets) = served.unwrap_or_default();
        self.snapshot.set(n as i64);
        self.snapshot_age.set(age);
        self.datasets.set(datasets as i64);
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            // Writing to a text does not fail; should it, what is there is told.
            let _ = writeln!(text, "# EOF");
        }
        text
    }
}
