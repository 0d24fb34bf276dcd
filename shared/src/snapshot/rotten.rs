//! What was found bad in the store, remembered for a while: many manifests rest on one file, and none of them need read it again to fail.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use object_store::path::Path;
use tokio::time::Instant;

/// How long it is remembered the first time, since a download may have gone wrong rather than the object; each further time twice as long.
const KEPT_FIRST: Duration = Duration::from_secs(20);
/// And at most: somebody may put it right.
const KEPT_MAX: Duration = Duration::from_mins(10);
/// Objects remembered; the oldest go first.
const OBJECTS_MAX: usize = 256;

/// Objects, when each was found bad last, and how long that counts.
#[derive(Debug, Default)]
pub(super) struct Rotten(Mutex<VecDeque<(Path, Instant, Duration)>>);

impl Rotten {
    pub(super) fn remember(&self, path: Path) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.iter().position(|(rotten, ..)| *rotten == path).and_then(|at| known.remove(at));
        let kept = before.map_or(KEPT_FIRST, |(.., kept)| (kept * 2).min(KEPT_MAX));
        known.push_back((path, Instant::now(), kept));
        while known.len() > OBJECTS_MAX {
            known.pop_front();
        }
    }

    pub(super) fn has(&self, path: &Path) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().any(|(rotten, at, kept)| rotten == path && at.elapsed() < *kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_rotten_is_forgotten_after_a_while_and_never_too_much() {
        let rotten = Rotten::default();
        let path = |i: usize| Path::from(format!("snapshots/{i}"));
        (0..=OBJECTS_MAX).for_each(|i| rotten.remember(path(i)));
        assert!(!rotten.has(&path(0)) && rotten.has(&path(1)) && rotten.has(&path(OBJECTS_MAX)));
        tokio::time::advance(KEPT_FIRST).await;
        assert!(!rotten.has(&path(1)));
        rotten.remember(path(1));
        tokio::time::advance(KEPT_FIRST).await;
        assert!(rotten.has(&path(1)));
        tokio::time::advance(KEPT_FIRST).await;
        assert!(!rotten.has(&path(1)));
    }
}
