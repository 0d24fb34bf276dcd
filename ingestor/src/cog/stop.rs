//! Threads that share work stop together, also when one of them panics.

use std::sync::atomic::{AtomicBool, Ordering};

/// Sets a flag when it is dropped by a panic: the others then end at their next look at it.
#[derive(Debug)]
pub(crate) struct StopOnPanic<'a>(pub(crate) &'a AtomicBool);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_panic_sets_the_flag() {
        let flag = AtomicBool::new(false);
        drop(StopOnPanic(&flag));
        assert!(!flag.load(Ordering::Relaxed));
        let thread = |flag| {
            let _guard = StopOnPanic(flag);
            panic!("on purpose");
        };
        assert!(std::thread::scope(|scope| scope.spawn(|| thread(&flag)).join()).is_err());
        assert!(flag.load(Ordering::Relaxed));
    }
}
