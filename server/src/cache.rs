//! Bounded caches: the least recently used goes first; and one flight for many who wait for the same picture.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

/// A map bounded by the sum of its entries' costs.
#[derive(Debug)]
pub(crate) struct Lru<K, V> {
    entries: HashMap<K, (V, usize, u64)>,
    /// Keys by when they were last used.
    used: BTreeMap<u64, K>,
    clock: u64,
    cost: usize,
    cost_max: usize,
}

impl<K: Hash + Eq + Clone, V> Lru<K, V> {
    /// An empty cache of at most this cost.
    pub(crate) fn new(cost_max: usize) -> Self {
        Self { entries: HashMap::new(), used: BTreeMap::new(), clock: 0, cost: 0, cost_max }
    }

    /// The value, which is now the most recently used.
    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let (value, _, used) = self.entries.get_mut(key)?;
        if let Some(key) = self.used.remove(used) {
            self.clock += 1;
            *used = self.clock;
            self.used.insert(self.clock, key);
        }
        Some(value)
    }

    /// Keeps a value, and lets go of what then exceeds the bound. A value that exceeds it alone is not kept.
    pub(crate) fn put(&mut self, key: K, value: V, cost: usize) {
        self.remove(&key);
        if cost > self.cost_max {
            return;
        }
        self.clock += 1;
        self.cost += cost;
        self.used.insert(self.clock, key.clone());
        self.entries.insert(key, (value, cost, self.clock));
        while self.cost > self.cost_max {
            let Some((_, oldest)) = self.used.pop_first() else { break };
            self.remove(&oldest);
        }
    }

    /// Lets go of a value.
    pub(crate) fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        if let Some((_, cost, used)) = self.entries.remove(key) {
            self.cost -= cost;
            self.used.remove(&used);
        }
    }
}

/// Work that several may wait for at once and that is done once.
#[derive(Debug)]
pub(crate) struct Flights<K: Hash + Eq + Clone, V>(Mutex<HashMap<K, Arc<OnceCell<V>>>>);

impl<K: Hash + Eq + Clone, V: Clone> Flights<K, V> {
    /// Nothing under way.
    pub(crate) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    /// Joins the flight of this key, or starts it. If the one who flies goes away, another takes over.
    pub(crate) async fn join<F: Future<Output = V>>(&self, key: K, work: impl FnOnce() -> F) -> V {
        let cell = {
            let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(flights.entry(key.clone()).or_default())
        };
        let seat = Seat { flights: self, key, cell };
        seat.cell.get_or_init(work).await.clone()
    }
}

/// A waiter. The last one to leave clears the entry, also when a client goes away.
struct Seat<'a, K: Hash + Eq + Clone, V> {
    flights: &'a Flights<K, V>,
    key: K,
    cell: Arc<OnceCell<V>>,
}

impl<K: Hash + Eq + Clone, V> Drop for Seat<'_, K, V> {
    fn drop(&mut self) {
        let mut flights = self.flights.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One count is this seat's, one the map's.
        if self.cell.initialized() || Arc::strong_count(&self.cell) <= 2 {
            let ours = flights.get(&self.key).is_some_and(|cell| Arc::ptr_eq(cell, &self.cell));
            if ours {
                flights.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut cache = Lru::new(10);
        cache.put("a", 1, 4);
        cache.put("b", 2, 4);
        assert_eq!(cache.get("a"), Some(&1));
        cache.put("c", 3, 4);
        assert_eq!(["a", "b", "c"].map(|key| cache.get(key).copied()), [Some(1), None, Some(3)]);
        cache.put("d", 4, 11);
        assert_eq!(cache.get("d"), None);
        assert_eq!(cache.cost, 8);
    }

    #[tokio::test]
    async fn many_who_wait_cause_one_piece_of_work() {
        let (flights, done) = (Arc::new(Flights::new()), Arc::new(AtomicUsize::new(0)));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let (flights, done) = (Arc::clone(&flights), Arc::clone(&done));
            tasks.spawn(async move {
                flights
                    .join(7, || async {
                        tokio::task::yield_now().await;
                        done.fetch_add(1, Ordering::SeqCst)
                    })
                    .await
            });
        }
        assert!(tasks.join_all().await.iter().all(|v| *v == 0));
        assert_eq!(done.load(Ordering::SeqCst), 1);
        assert!(flights.0.lock().unwrap().is_empty());
    }
}
