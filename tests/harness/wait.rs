//! Waiting for a condition with a deadline. No test sleeps for a fixed time.

use std::thread;
use std::time::{Duration, Instant};

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Looks at `condition` until it gives something.
///
/// # Panics
/// With `what` when `limit` has passed.
pub fn wait_for<T>(what: &str, limit: Duration, condition: impl FnMut() -> Option<T>) -> T {
    holds_within(limit, condition).unwrap_or_else(|| panic!("not within {limit:?}: {what}"))
}

/// Looks at `condition` until it gives something or `limit` has passed.
pub fn holds_within<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = condition() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(LOOK_EVERY);
    }
}
