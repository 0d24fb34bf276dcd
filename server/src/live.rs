//! What live pages are told: which snapshot is served, and what came with it. Only the latest is kept: who was slow hears that one.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use shared::catalog::CatalogError;
use shared::clock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::error::ApiError;
use crate::limits::{ARRIVALS_MAX, LISTENERS_MAX};
use crate::state::Snapshot;

/// Tells all who listen.
#[derive(Debug)]
pub(crate) struct Live {
    latest: watch::Sender<Option<Arc<Told>>>,
    places: Arc<Semaphore>,
    closed: CancellationToken,
}

/// A snapshot as it is told.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) n: u64,
    pub(crate) text: String,
}

/// One who listens, until dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    latest: watch::Receiver<Option<Arc<Told>>>,
    closed: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl Live {
    /// Nothing to tell yet.
    pub(crate) fn new() -> Self {
        Self {
            latest: watch::Sender::new(None),
            places: Arc::new(Semaphore::new(LISTENERS_MAX)),
            closed: CancellationToken::new(),
        }
    }

    /// A newer snapshot is served.
    pub(crate) fn tell(&self, told: Told) {
        self.latest.send_replace(Some(Arc::new(told)));
    }

    /// A place to hear from, what is served now first.
    pub(crate) fn listen(&self) -> Result<Listener, ApiError> {
        if !self.is_open() {
            return Err(ApiError::unavailable("no events are told here; ask /ready again and again"));
        }
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            ApiError::unavailable(format!("{LISTENERS_MAX} listen already; ask /ready again and again"))
        })?;
        let mut latest = self.latest.subscribe();
        latest.mark_changed();
        Ok(Listener { latest, closed: self.closed.clone(), _place: place })
    }

    /// Sends all away, and takes nobody any more.
    pub(crate) fn close(&self) {
        self.closed.cancel();
    }

    /// Whether anybody may listen.
    pub(crate) fn is_open(&self) -> bool {
        !self.closed.is_cancelled()
    }

    /// How many listen.
    pub(crate) fn listeners(&self) -> usize {
        LISTENERS_MAX - self.places.available_permits()
    }
}

impl Listener {
    /// The next snapshot; None once there will be none. Cancelled, it has taken nothing.
    pub(crate) async fn next(&mut self) -> Option<Arc<Told>> {
        loop {
            tokio::select! {
                () = self.closed.cancelled() => return None,
                changed = self.latest.changed() => changed.ok()?,
            }
            let told = self.latest.borrow_and_update().clone();
            if told.is_some() {
                return told;
            }
        }
    }
}

impl Told {
    /// A snapshot that took the place of another. Reads of both: blocks.
    pub(crate) fn of(now: &Snapshot, before: Option<&Snapshot>) -> Result<Self, CatalogError> {
        let catalog = &now.catalog;
        let (arrivals, truncated) = catalog.arrivals_since(before.map(|before| &before.catalog), ARRIVALS_MAX)?;
        let collections: Vec<Value> = catalog
            .collections()
            .iter()
            .map(|summary| json!({ "id": summary.collection.name, "datasets": summary.datasets }))
            .collect();
        let changed: Vec<Value> = arrivals
            .into_iter()
            .map(|arrival| {
                let collection = catalog.collection(&arrival.collection);
                let names = collection.map(|summary| summary.collection.key_names()).unwrap_or_default();
                let named = names.into_iter().map(str::to_owned).zip(arrival.keys.into_iter().map(Value::from));
                json!({
                    "collection": arrival.collection,
                    "keys": named.collect::<Map<_, _>>(),
                    "bounds": arrival.bounds,
                    "added": arrival.is_new,
                })
            })
            .collect();
        let told = json!({
            "n": now.manifest.n,
            "since": before.map_or(0, |before| before.manifest.n),
            "at": clock::rfc3339(now.manifest.at_ms),
            "datasets": catalog.datasets(),
            "collections": collections,
            "changed": changed,
            "truncated": truncated,
        });
        Ok(Self { n: now.manifest.n, text: told.to_string() })
    }
}
