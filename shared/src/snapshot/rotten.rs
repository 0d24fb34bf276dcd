//! What was found bad in the store, remembered for a while: many manifests rest on one file, and none of them need read it again to fail.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use object_store::path::Path;
use tokio::time::Instant;

/// How long it is remembered: somebody may put it right.
const KEPT: Duration = Duration::from_mins(10);
/// Objects remembered; the oldest go first.
const OBJECTS_MAX: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Rotten(Mutex<VecDeque<(Path, Instant)>>);

impl Rotten {
    pub(super) fn remember(&self, path: Path) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.push_back((path, Instant::now()));
        while known.len() > OBJECTS_MAX {
            known.pop_front();
        }
    }

    pub(super) fn has(&self, path: &Path) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().any(|(rotten, at)| rotten == path && at.elapsed() < KEPT)
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
        tokio::time::advance(KEPT).await;
        assert!(!rotten.has(&path(1)));
    }
}
