//! Which inputs wait for a look, in this process. One entry per input: an event for one that waits or is at work adds nothing but a second look.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

/// An input of one of this process's sources.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InputKey {
    /// Index of the source.
    pub source: usize,
    /// Path relative to it.
    pub path: String,
}

/// Which of two queues: what was just dropped does not wait behind what a listing found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Somebody announced it a moment ago.
    Live,
    /// A listing found it.
    Bulk,
}

/// What a job knows of those around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// How it came.
    pub lane: Lane,
    /// Whether others are at work or could be.
    pub others_waiting: bool,
}

/// First pause after a failure; doubles.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause.
const RETRY_PAUSE_MAX: Duration = Duration::from_mins(5);

/// What is known of an input while it is not settled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// Failures that may pass, in a row.
    pub failures: u32,
    /// Crashes of the converter on this version.
    pub crashes: u32,
    /// The version that crashed it.
    pub version: Option<String>,
}

/// The waiting inputs.
#[derive(Debug, Default)]
pub struct Queue {
    due: BTreeSet<(Instant, InputKey)>,
    waiting: HashMap<InputKey, Instant>,
    running: HashSet<InputKey>,
    again: HashSet<InputKey>,
    attempts: HashMap<InputKey, Attempts>,
}

impl Queue {
    /// Asks for a look not before `due`. One that already waits keeps the earlier time.
    pub fn add(&mut self, key: InputKey, due: Instant) {
        if self.running.contains(&key) {
            self.again.insert(key);
            return;
        }
        if let Some(known) = self.waiting.get(&key) {
            if *known <= due {
                return;
            }
            self.due.remove(&(*known, key.clone()));
        }
        self.due.insert((due, key.clone()));
        self.waiting.insert(key, due);
    }

    /// Asks for a look at what a listing found undecided; one at work is being decided already.
    pub fn add_listed(&mut self, key: InputKey, due: Instant) {
        // One that waits after a failure waits as long as it was told to.
        if !self.running.contains(&key) && !self.attempts.contains_key(&key) {
            self.add(key, due);
        }
    }

    /// The next input that is due, now at work; or when the next will be.
    pub fn next(&mut self, now: Instant) -> Result<(InputKey, Attempts), Option<Instant>> {
        match self.due.first() {
            Some((due, _)) if *due <= now => {}
            other => return Err(other.map(|(due, _)| *due)),
        }
        let Some((_, key)) = self.due.pop_first() else { return Err(None) };
        self.waiting.remove(&key);
        self.running.insert(key.clone());
        let attempts = self.attempts.get(&key).cloned().unwrap_or_default();
        Ok((key, attempts))
    }

    /// The work on an input ended: settled, or to be tried again with these attempts.
    pub fn done(&mut self, key: InputKey, retry: Option<Attempts>, now: Instant) {
        self.running.remove(&key);
        let again = self.again.remove(&key);
        if let Some(attempts) = retry {
            let pause = retry_pause(attempts.failures);
            self.attempts.insert(key.clone(), attempts);
            self.add(key, now + pause);
        } else {
            self.attempts.remove(&key);
            if again {
                self.add(key, now);
            }
        }
    }

    /// Inputs that wait and inputs at work.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.running.len()
    }

    /// Inputs that wait.
    pub fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    /// Since when the first of them could have begun.
    pub fn first_due(&self, now: Instant) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due).filter(|due| *due <= now)
    }

    /// Whether nothing waits and nothing is at work.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Inputs that wait and are due.
    pub fn due_count(&self, now: Instant) -> usize {
        self.due.iter().take_while(|(due, _)| *due <= now).take(2).count()
    }
}

/// How long to wait after so many failures in a row.
pub fn retry_pause(failures: u32) -> Duration {
    (RETRY_PAUSE * 2u32.saturating_pow(failures.saturating_sub(1).min(16))).min(RETRY_PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(path: &str) -> InputKey {
        InputKey { source: 0, path: path.to_owned() }
    }

    #[test]
    fn an_event_during_work_makes_a_second_look() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.add(key("a"), now);
        queue.add(key("a"), now);
        assert_eq!(queue.next(now).unwrap().0, key("a"));
        queue.add(key("a"), now);
        assert_eq!(queue.next(now), Err(None));
        queue.done(key("a"), None, now);
        assert_eq!(queue.next(now).unwrap().0, key("a"));
        queue.done(key("a"), None, now);
        assert!(queue.is_empty());
    }

    #[test]
    fn failures_wait_longer_each_time_and_are_forgotten_on_success() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.add(key("a"), now);
        for failures in 1..=3u32 {
            let later = now + Duration::from_hours(1) * failures;
            assert!(queue.next(later).is_ok());
            queue.done(key("a"), Some(Attempts { failures, ..Attempts::default() }), later);
            assert_eq!(queue.next(later), Err(Some(later + Duration::from_secs(1 << (failures - 1)))));
        }
        let late = now + Duration::from_hours(10);
        assert_eq!(queue.next(late).unwrap().1.failures, 3);
        queue.done(key("a"), None, late);
        queue.add(key("a"), late);
        assert_eq!(queue.next(late).unwrap().1, Attempts::default());
    }
}
