//! Answers that are kept for a while: who asks says how old one may be.

use std::{collections::HashMap, hash::Hash, time::Duration};

use tokio::time::Instant;

/// Answers by what was asked. Callers that allow different ages share them.
#[derive(Debug)]
pub struct Cache<K, V> {
    entries: HashMap<K, Entry<V>>,
    /// Older ones are thrown away, and it is looked for them this often.
    collection_interval: Duration,
    collected: Option<Instant>,
}

#[derive(Debug)]
struct Entry<V> {
    stored: Instant,
    value: V,
}

/// The most answers in one cache. What is asked when it is full, and nothing in it is old, is not kept.
pub const MAX_ENTRIES: usize = 16_384;

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    /// An empty one. A validity longer than the collection interval has no use.
    #[must_use]
    pub fn new(collection_interval: Duration) -> Self {
        Self {
            entries: HashMap::new(),
            collection_interval,
            collected: None,
        }
    }

    /// What is known, if it is not older than `validity`. With a validity of zero nothing is. An error
    /// that was stored is known too: who failed is not asked again at once.
    pub fn get(&mut self, now: Instant, key: &K, validity: Duration) -> Option<V> {
        self.collect(now);
        let entry = self.entries.get(key).filter(|_| !validity.is_zero())?;
        (now.saturating_duration_since(entry.stored) <= validity).then(|| entry.value.clone())
    }

    /// Keeps an answer, in the place of an earlier one.
    pub fn store(&mut self, now: Instant, key: K, value: V) {
        self.collect(now);
        if self.entries.len() < MAX_ENTRIES || self.entries.contains_key(&key) {
            self.entries.insert(key, Entry { stored: now, value });
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn collect(&mut self, now: Instant) {
        let collected = *self.collected.get_or_insert(now);
        if now.saturating_duration_since(collected) < self.collection_interval {
            return;
        }
        self.collected = Some(now);
        let interval = self.collection_interval;
        self.entries
            .retain(|_, entry| now.saturating_duration_since(entry.stored) < interval);
        self.entries.shrink_to(self.entries.len() * 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLLECTION: Duration = Duration::from_mins(1);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn cache() -> (Cache<&'static str, Result<u8, &'static str>>, Instant) {
        (Cache::new(COLLECTION), Instant::now())
    }

    #[test]
    fn an_entry_is_a_hit_until_it_is_older_than_the_validity_of_the_request() {
        let (mut cache, start) = cache();
        assert_eq!(cache.get(start, &"a", seconds(10)), None);
        cache.store(start, "a", Ok(1));
        let at = |age| start + seconds(age);
        assert_eq!(cache.get(at(5), &"a", seconds(5)), Some(Ok(1)));
        assert_eq!(cache.get(at(6), &"a", seconds(5)), None);
        // The one entry is there for everybody: it was too old for that caller only.
        assert_eq!(cache.get(at(6), &"a", seconds(10)), Some(Ok(1)));
        assert_eq!(cache.get(at(6), &"b", seconds(10)), None);
    }

    #[test]
    fn a_validity_of_zero_is_always_a_miss() {
        let (mut cache, start) = cache();
        cache.store(start, "a", Ok(1));
        assert_eq!(cache.get(start, &"a", Duration::ZERO), None);
        assert_eq!(cache.get(start, &"a", Duration::from_nanos(1)), Some(Ok(1)));
    }

    #[test]
    fn an_error_is_a_hit() {
        let (mut cache, start) = cache();
        cache.store(start, "a", Err("no"));
        assert_eq!(
            cache.get(start + seconds(1), &"a", seconds(2)),
            Some(Err("no"))
        );
    }

    #[test]
    fn to_store_overwrites_and_the_age_begins_anew() {
        let (mut cache, start) = cache();
        cache.store(start, "a", Err("no"));
        cache.store(start + seconds(5), "a", Ok(2));
        assert_eq!(cache.get(start + seconds(7), &"a", seconds(2)), Some(Ok(2)));
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn old_entries_are_collected_after_the_collection_interval() {
        let (mut cache, start) = cache();
        cache.store(start, "old", Ok(1));
        cache.store(start + seconds(50), "young", Ok(2));
        assert_eq!(cache.get(start + seconds(59), &"none", seconds(1)), None);
        assert_eq!(cache.len(), 2);
        // Whoever comes first after the interval collects.
        assert_eq!(cache.get(start + seconds(60), &"none", seconds(1)), None);
        assert_eq!(cache.len(), 1);
        assert_eq!(
            cache.get(start + seconds(60), &"young", seconds(30)),
            Some(Ok(2))
        );
        cache.store(start + seconds(120), "new", Ok(3));
        assert_eq!(cache.len(), 1);
        assert!(!cache.is_empty());
    }

    #[test]
    fn it_is_bounded_and_what_is_known_can_still_be_refreshed() {
        let mut cache = Cache::new(COLLECTION);
        let start = Instant::now();
        for key in 0..MAX_ENTRIES {
            cache.store(start, key, 0);
        }
        cache.store(start, MAX_ENTRIES, 1);
        cache.store(start, 7, 1);
        assert_eq!(cache.len(), MAX_ENTRIES);
        assert_eq!(cache.get(start, &MAX_ENTRIES, seconds(1)), None);
        assert_eq!(cache.get(start, &7, seconds(1)), Some(1));
    }
}
