//! Every bound of the server, and the pool that does its blocking work.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::ApiError;

/// Bytes of a request's path and query.
pub(crate) const URL_BYTES_MAX: usize = 16 << 10;
/// Bytes of a request's body.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;
/// Bytes of key values in one answer of `/datasets`.
pub(crate) const DATASETS_BYTES_MAX: usize = 4 << 20;
/// Memory that datasets looked up before and headers of COGs have at least, each: every tile asks for them.
const LOOK_UP_BYTES_MIN: usize = 4 << 20;
/// Pictures that are fetched at once from a store that is not local, and whose bytes are held until they are drawn.
pub(crate) const PICTURES_FETCHED_MAX: usize = 64;
/// Scenes of a mosaic that one picture shows.
pub(crate) const MOSAIC_SCENES_MAX: usize = 64;
/// Datasets looked at to find them: the hulls of some may miss what their bounds meet.
pub(crate) const MOSAIC_CANDIDATES_MAX: usize = 1024;
/// Datasets, from the top, that a mosaic's bounds, zooms and own stretch are made of.
pub(crate) const MOSAIC_SUMMARY_MAX: usize = 1000;
/// Memory for what is known of mosaics.
pub(crate) const SUMMARIES_CACHE_MAX: usize = 256;
/// Datasets in one answer of `/point`.
pub(crate) const POINTS_MAX: usize = 1000;
/// Blocks that the polygons of one `POST /statistics` may touch: at the finest zoom if they are fewer, else further out.
pub(crate) const STATISTICS_BLOCKS_MAX: u64 = 1024;
/// Layers in one WMTS capabilities document.
pub(crate) const WMTS_LAYERS_MAX: usize = 1000;
/// Characters of a glob, and stars in it.
pub(crate) const GLOB_BYTES_MAX: usize = 256;
pub(crate) const GLOB_STARS_MAX: usize = 8;
/// Pages that listen to `/events` at once.
pub(crate) const LISTENERS_MAX: usize = 256;
/// Datasets that came with a snapshot and are told of by name.
pub(crate) const ARRIVALS_MAX: usize = 100;
/// When a client that was turned away may try again.
pub(crate) const RETRY_AFTER_S: u64 = 1;

/// Limits an operator may set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Pixels along a picture's side.
    pub tile_size_max: u32,
    /// Values of `/colormap`.
    pub num_values_max: usize,
    /// Datasets in one answer of `/datasets`.
    pub datasets_max: usize,
    /// Datasets in one `POST /metadata`.
    pub post_keys_max: usize,
    /// Requests that may wait for a core, and as many to fetch from a store that is not local; more are turned away with 503.
    pub queue_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { tile_size_max: 1024, num_values_max: 4096, datasets_max: 100_000, post_keys_max: 100, queue_max: 512 }
    }
}

/// How the memory for caches is shared out, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CacheShares {
    /// Finished pictures.
    pub(crate) pictures: usize,
    /// Blocks of COGs.
    pub(crate) blocks: usize,
    /// Headers of COGs.
    pub(crate) headers: usize,
    /// Datasets looked up before.
    pub(crate) datasets: usize,
}

impl CacheShares {
    /// Half for pictures, a quarter for blocks, an eighth each for headers and datasets.
    pub(crate) fn of(bytes: usize) -> Self {
        let look_up = (bytes / 8).max(LOOK_UP_BYTES_MIN);
        Self { pictures: bytes / 2, blocks: bytes / 4, headers: look_up, datasets: look_up }
    }
}

/// Lets a number of requests in at once, and turns away what would wait too long.
#[derive(Debug)]
pub(crate) struct Gate {
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    queue_max: usize,
}

impl Gate {
    /// A gate that `permits` requests are past at a time.
    pub(crate) fn new(permits: usize, queue_max: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(permits)), waiting: AtomicUsize::new(0), queue_max }
    }

    /// Waits to be let in, for as long as the permit is held.
    pub(crate) async fn enter(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let place = Waiting::enter(&self.waiting);
        if place.ahead >= self.queue_max {
            return Err(ApiError::busy());
        }
        Arc::clone(&self.permits).acquire_owned().await.map_err(|_| ApiError::busy())
    }
}

/// Runs blocking work, as much at once as there are cores.
#[derive(Debug)]
pub(crate) struct Pool(Gate);

impl Pool {
    /// A pool of one worker per core.
    pub(crate) fn new(queue_max: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self(Gate::new(cores, queue_max))
    }

    /// Runs the work on a thread that may block.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let permit = self.0.enter().await?;
        let task = tokio::task::spawn_blocking(move || {
            // Held until the work is done, also when the client has gone away.
            let _permit = permit;
            work()
        });
        task.await.map_err(|error| {
            tracing::error!(%error, "a worker thread failed");
            ApiError::internal("a worker thread failed; the log says more")
        })
    }
}

/// One in the queue, until dropped.
struct Waiting<'a> {
    queue: &'a AtomicUsize,
    ahead: usize,
}

impl<'a> Waiting<'a> {
    fn enter(queue: &'a AtomicUsize) -> Self {
        Self { queue, ahead: queue.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.queue.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[tokio::test]
    async fn a_gate_turns_away_what_finds_the_queue_full() {
        let gate = Gate::new(1, 1);
        let first = gate.enter().await.unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        {
            let mut second = pin!(gate.enter());
            assert!(second.as_mut().poll(&mut cx).is_pending());
            assert_eq!(gate.enter().await.unwrap_err(), ApiError::busy());
            drop(first);
            assert!(matches!(second.as_mut().poll(&mut cx), Poll::Ready(Ok(_))));
        }
        drop(gate.enter().await.unwrap());
    }
}
