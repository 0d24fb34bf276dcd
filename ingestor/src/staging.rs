//! Room for downloads: what is staged from buckets is bounded, whatever the queue holds.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::queue::Lane;

/// Downloads at once, each until it is converted: in either lane, so that no backfill keeps a live drop waiting.
#[derive(Debug)]
pub struct Staging {
    live: Arc<Semaphore>,
    bulk: Arc<Semaphore>,
}

impl Staging {
    /// Room for so many in each lane.
    pub fn new(count: usize) -> Self {
        let lane = || Arc::new(Semaphore::new(count.max(1)));
        Self { live: lane(), bulk: lane() }
    }

    /// Waits for room, which is given back when dropped. None when nothing is staged any more.
    pub async fn enter(&self, lane: Lane) -> Option<OwnedSemaphorePermit> {
        let lane = if lane == Lane::Live { &self.live } else { &self.bulk };
        Arc::clone(lane).acquire_owned().await.ok()
    }
}
