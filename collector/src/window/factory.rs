//! Makes metrics in a backend, under a namespace and with tags.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    Backend,
    cells::{CounterCell, GaugeCell, HistogramCell, TimerCell},
};

/// Makes metrics whose names begin with its namespace and that carry its tags. The same name with
/// the same tags is the same metric, whoever makes it.
///
/// Names and tags are to come from the program and from closed sets: a key is made of them as they
/// are.
#[derive(Clone, Debug)]
pub struct Factory {
    backend: Backend,
    namespace: String,
    tags: BTreeMap<String, String>,
}

impl Factory {
    pub(super) const fn new(backend: Backend) -> Self {
        Self {
            backend,
            namespace: String::new(),
            tags: BTreeMap::new(),
        }
    }

    /// A factory below this one: names are joined by a dot (an empty part adds none), and its tags
    /// override those of this one.
    #[must_use]
    pub fn namespace(&self, name: &str, tags: &[(&str, &str)]) -> Self {
        Self {
            backend: self.backend.clone(),
            namespace: self.name(name),
            tags: self.tags(tags),
        }
    }

    /// The counter of this name and these tags.
    #[must_use]
    pub fn counter(&self, name: &str, tags: &[(&str, &str)]) -> Counter {
        Counter {
            cell: self.backend.counter(self.key(name, tags)),
        }
    }

    /// The gauge of this name and these tags.
    #[must_use]
    pub fn gauge(&self, name: &str, tags: &[(&str, &str)]) -> Gauge {
        Gauge {
            cell: self.backend.gauge(self.key(name, tags)),
        }
    }

    /// The timer of this name and these tags.
    #[must_use]
    pub fn timer(&self, name: &str, tags: &[(&str, &str)]) -> Timer {
        Timer {
            cell: self.backend.timer(self.key(name, tags)),
        }
    }

    /// The histogram of this name and these tags. Choose another name than a timer's: in a snapshot
    /// the timer's quantiles would stand for both.
    #[must_use]
    pub fn histogram(&self, name: &str, tags: &[(&str, &str)]) -> Histogram {
        Histogram {
            cell: self.backend.histogram(self.key(name, tags)),
        }
    }

    fn key(&self, name: &str, tags: &[(&str, &str)]) -> String {
        self.backend.key(&self.name(name), &self.tags(tags))
    }

    fn name(&self, name: &str) -> String {
        match (self.namespace.as_str(), name) {
            ("", name) => name.to_owned(),
            (namespace, "") => namespace.to_owned(),
            (namespace, name) => format!("{namespace}.{name}"),
        }
    }

    fn tags(&self, tags: &[(&str, &str)]) -> BTreeMap<String, String> {
        let mut all = self.tags.clone();
        all.extend(
            tags.iter()
                .map(|&(tag, value)| (tag.to_owned(), value.to_owned())),
        );
        all
    }
}

/// Counts events. Clones are the same counter.
#[derive(Clone, Debug)]
pub struct Counter {
    cell: Arc<CounterCell>,
}

impl Counter {
    /// Counts `events` more.
    pub fn add(&self, events: u64) {
        self.cell.add(events);
    }

    /// Counts one more.
    pub fn increment(&self) {
        self.add(1);
    }
}

/// Holds the last value. Clones are the same gauge.
#[derive(Clone, Debug)]
pub struct Gauge {
    cell: Arc<GaugeCell>,
}

impl Gauge {
    /// Replaces the value.
    pub fn set(&self, value: i64) {
        self.cell.set(value);
    }
}

/// Keeps durations: quantiles of the last windows, buckets since the start. Clones are the same
/// timer.
#[derive(Clone, Debug)]
pub struct Timer {
    cell: Arc<TimerCell>,
}

impl Timer {
    /// Adds a duration, or counts it as out of range.
    pub fn record(&self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let recorded = self.cell.lock().record(ns);
        if recorded.is_err() {
            self.cell.out_of_range.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Keeps values of any unit: quantiles of the last windows. Clones are the same histogram.
#[derive(Clone, Debug)]
pub struct Histogram {
    cell: Arc<HistogramCell>,
}

impl Histogram {
    /// Adds a value, or counts it as out of range (see
    /// [`WindowedHistogram::REACH`](super::WindowedHistogram::REACH)). 0 is kept as 1.
    pub fn record(&self, value: u64) {
        let recorded = self.cell.lock().record(value);
        if recorded.is_err() {
            self.cell.out_of_range.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(factory: &Factory, name: &str, tags: &[(&str, &str)]) -> String {
        let backend = Backend::default();
        let factory = Factory {
            backend: backend.clone(),
            ..factory.clone()
        };
        factory.counter(name, tags).increment();
        let keys: Vec<_> = backend.snapshot().counters.into_keys().collect();
        let [key] = &keys[..] else { panic!("{keys:?}") };
        key.clone()
    }

    #[test]
    fn namespaces_join_by_a_dot_and_an_empty_part_adds_none() {
        let root = Backend::default().factory();
        assert_eq!(key_of(&root, "x", &[]), "x");
        assert_eq!(key_of(&root.namespace("ns", &[]), "x", &[]), "ns.x");
        assert_eq!(key_of(&root.namespace("ns", &[]), "", &[]), "ns");
        assert_eq!(
            key_of(&root.namespace("", &[]).namespace("a", &[]), "x", &[]),
            "a.x"
        );
        assert_eq!(
            key_of(&root.namespace("a", &[]).namespace("b", &[]), "x", &[]),
            "a.b.x"
        );
    }

    #[test]
    fn tags_are_sorted_inherited_and_overridden() {
        let parent = Backend::default()
            .factory()
            .namespace("ns", &[("z", "1"), ("b", "2")]);
        assert_eq!(key_of(&parent, "x", &[("c", "3")]), "ns.x|b=2|c=3|z=1");
        assert_eq!(key_of(&parent, "x", &[("z", "9")]), "ns.x|b=2|z=9");
        let child = parent.namespace("in", &[("b", "4"), ("a", "5")]);
        assert_eq!(key_of(&child, "x", &[]), "ns.in.x|a=5|b=4|z=1");
        assert_eq!(
            key_of(&parent, "x", &[]),
            "ns.x|b=2|z=1",
            "the parent keeps its own"
        );
    }

    #[test]
    fn the_same_name_with_other_tags_is_another_metric() {
        let backend = Backend::default();
        let factory = backend.factory();
        factory.counter("c", &[("x", "y")]).add(4);
        factory.counter("c", &[("x", "y")]).add(6);
        factory.counter("c", &[]).add(6);
        let counters = backend.snapshot().counters;
        assert_eq!(
            counters,
            BTreeMap::from([("c".to_owned(), 6), ("c|x=y".to_owned(), 10)])
        );
    }

    #[test]
    fn a_gauge_keeps_the_last_value() {
        let backend = Backend::default();
        let gauge = backend.factory().gauge("g", &[]);
        gauge.set(5);
        gauge.clone().set(-7);
        assert_eq!(
            backend.snapshot().gauges,
            BTreeMap::from([("g".to_owned(), -7)])
        );
    }

    #[test]
    fn a_metric_that_was_never_used_is_not_in_a_snapshot() {
        let backend = Backend::default();
        let factory = backend.factory();
        let counter = factory.counter("c", &[]);
        let _gauge = factory.gauge("g", &[]);
        let _timer = factory.timer("t", &[]);
        assert!(backend.snapshot().counters.is_empty());
        assert!(backend.snapshot().gauges.is_empty());
        counter.add(0);
        assert_eq!(backend.snapshot().counters["c"], 0);
    }

    #[test]
    fn timers_of_one_key_are_one_timer() {
        let backend = Backend::default();
        let factory = backend.factory();
        factory.timer("t", &[]).record(Duration::from_micros(1));
        factory.timer("t", &[]).record(Duration::from_micros(3));
        let cumulative = backend.cumulative("t").unwrap();
        assert_eq!((cumulative.count(), cumulative.sum_ns()), (2, 4_000));
        assert!(backend.cumulative("other").is_none());
    }
}
