//! Metrics that are kept in the process and read on demand: how the daemon measures itself.
//!
//! A [`Backend`] holds counters, gauges, timers and histograms by key; a [`Factory`] makes them. There
//! is no global one: each backend is apart from all others. A metric shows in a snapshot from its
//! first use on.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    BackendSnapshot, Cumulative, Distribution, Factory, WindowedHistogram,
    cells::{CounterCell, GaugeCell, HistogramCell, TimerCell},
};

/// How a backend keeps and names its metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendSettings {
    /// How many windows a timer or histogram keeps; at least 1.
    pub windows: usize,
    /// Between the name and each tag.
    pub tag_separator: String,
    /// Between a tag's name and its value.
    pub value_separator: String,
    /// How many metrics of each kind are told apart; further ones share the key
    /// [`Backend::OVERFLOW_KEY`]. A timer costs up to 15 KiB.
    pub max_metrics: usize,
}

impl Default for BackendSettings {
    fn default() -> Self {
        Self {
            windows: WindowedHistogram::DEFAULT_WINDOWS,
            tag_separator: "|".to_owned(),
            value_separator: "=".to_owned(),
            max_metrics: 1_000,
        }
    }
}

/// A store of metrics. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Backend {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    settings: BackendSettings,
    metrics: Mutex<Metrics>,
}

/// Every metric by its key. The lock is held to find or list them, never while one is used.
#[derive(Clone, Debug, Default)]
struct Metrics {
    counters: BTreeMap<String, Arc<CounterCell>>,
    gauges: BTreeMap<String, Arc<GaugeCell>>,
    timers: BTreeMap<String, Arc<TimerCell>>,
    histograms: BTreeMap<String, Arc<HistogramCell>>,
}

impl Backend {
    /// The key of the metrics that came when there were already as many as are told apart.
    pub const OVERFLOW_KEY: &str = "~other";

    /// Empty.
    #[must_use]
    pub fn new(settings: BackendSettings) -> Self {
        Self {
            shared: Arc::new(Shared {
                settings,
                metrics: Mutex::default(),
            }),
        }
    }

    /// Makes metrics in this backend, with neither namespace nor tags.
    #[must_use]
    pub fn factory(&self) -> Factory {
        Factory::new(self.clone())
    }

    /// A copy of all metrics. Others may write meanwhile; each metric is consistent in itself.
    #[must_use]
    pub fn snapshot(&self) -> BackendSnapshot {
        let Metrics {
            counters,
            gauges,
            timers,
            histograms,
        } = self.metrics().clone();
        let mut snapshot = BackendSnapshot::default();
        for (key, counter) in counters {
            if let Some(value) = counter.read() {
                snapshot.counters.insert(key, value);
            }
        }
        for (key, gauge) in gauges {
            if let Some(value) = gauge.read() {
                snapshot.gauges.insert(key, value);
            }
        }
        for (key, histogram) in histograms {
            snapshot.insert_quantiles(&key, histogram.lock().quantiles());
            snapshot.insert_out_of_range(&key, &histogram.out_of_range);
        }
        for (key, timer) in timers {
            snapshot.insert_quantiles(&key, timer.lock().windowed.quantiles());
            snapshot.insert_out_of_range(&key, &timer.out_of_range);
        }
        snapshot
    }

    /// All values of a timer since the start (or since [`Backend::clear`]); `None` when there is no
    /// such timer.
    #[must_use]
    pub fn cumulative(&self, key: &str) -> Option<Cumulative> {
        let timer = Arc::clone(self.metrics().timers.get(key)?);
        let cumulative = timer.lock().cumulative.clone();
        Some(cumulative)
    }

    /// Closes the current window of every timer and histogram, and begins the next.
    pub fn rotate(&self) {
        let Metrics {
            counters: _,
            gauges: _,
            timers,
            histograms,
        } = self.metrics().clone();
        for timer in timers.values() {
            timer.lock().windowed.rotate();
        }
        for histogram in histograms.values() {
            histogram.lock().rotate();
        }
    }

    /// Forgets everything. Who holds a metric can go on using it: it begins anew.
    pub fn clear(&self) {
        let windows = self.shared.settings.windows;
        let mut metrics = self.metrics();
        let Metrics {
            counters,
            gauges,
            timers,
            histograms,
        } = &mut *metrics;
        for counter in counters.values() {
            counter.clear();
        }
        for gauge in gauges.values() {
            gauge.clear();
        }
        for timer in timers.values() {
            timer.clear(Distribution::new(windows));
        }
        for histogram in histograms.values() {
            histogram.clear(WindowedHistogram::new(windows));
        }
        // Under the lock no one can come to hold one that no one holds.
        counters.retain(|_, counter| Arc::strong_count(counter) > 1);
        gauges.retain(|_, gauge| Arc::strong_count(gauge) > 1);
        timers.retain(|_, timer| Arc::strong_count(timer) > 1);
        histograms.retain(|_, histogram| Arc::strong_count(histogram) > 1);
    }

    pub(super) fn counter(&self, key: String) -> Arc<CounterCell> {
        let max = self.shared.settings.max_metrics;
        entry(&mut self.metrics().counters, key, max, CounterCell::default)
    }

    pub(super) fn gauge(&self, key: String) -> Arc<GaugeCell> {
        let max = self.shared.settings.max_metrics;
        entry(&mut self.metrics().gauges, key, max, GaugeCell::default)
    }

    pub(super) fn timer(&self, key: String) -> Arc<TimerCell> {
        let BackendSettings {
            windows,
            max_metrics,
            ..
        } = self.shared.settings;
        let new = || TimerCell::new(Distribution::new(windows));
        entry(&mut self.metrics().timers, key, max_metrics, new)
    }

    pub(super) fn histogram(&self, key: String) -> Arc<HistogramCell> {
        let BackendSettings {
            windows,
            max_metrics,
            ..
        } = self.shared.settings;
        let new = || HistogramCell::new(WindowedHistogram::new(windows));
        entry(&mut self.metrics().histograms, key, max_metrics, new)
    }

    /// `name|tag1=value1|…`, tags sorted by name.
    pub(super) fn key(&self, name: &str, tags: &BTreeMap<String, String>) -> String {
        let BackendSettings {
            tag_separator,
            value_separator,
            ..
        } = &self.shared.settings;
        tags.iter().fold(name.to_owned(), |mut key, (tag, value)| {
            for part in [tag_separator, tag, value_separator, value] {
                key.push_str(part);
            }
            key
        })
    }

    fn metrics(&self) -> MutexGuard<'_, Metrics> {
        self.shared
            .metrics
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The metric of a key, made if it is not there yet and there is room.
fn entry<T>(
    metrics: &mut BTreeMap<String, Arc<T>>,
    key: String,
    max: usize,
    new: impl FnOnce() -> T,
) -> Arc<T> {
    let room = metrics.len() < max || metrics.contains_key(&key);
    let key = if room {
        key
    } else {
        Backend::OVERFLOW_KEY.to_owned()
    };
    Arc::clone(metrics.entry(key).or_insert_with(|| Arc::new(new())))
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use super::*;

    fn counters(backend: &Backend) -> Vec<(String, u64)> {
        backend.snapshot().counters.into_iter().collect()
    }

    #[test]
    fn backends_do_not_see_one_another() {
        let (one, other) = (Backend::default(), Backend::default());
        one.factory().counter("c", &[]).add(1);
        assert_eq!(counters(&one), [("c".to_owned(), 1)]);
        assert_eq!(counters(&other), []);
    }

    #[test]
    fn a_clone_is_the_same_backend() {
        let backend = Backend::default();
        backend.clone().factory().counter("c", &[]).add(2);
        assert_eq!(counters(&backend), [("c".to_owned(), 2)]);
    }

    #[test]
    fn a_counter_made_by_many_at_once_is_one_counter() {
        let backend = Backend::default();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        backend.factory().counter("c", &[("x", "y")]).increment();
                    }
                });
            }
        });
        assert_eq!(counters(&backend), [("c|x=y".to_owned(), 8_000)]);
    }

    #[test]
    fn snapshots_are_taken_while_others_write() {
        let backend = Backend::default();
        let timer = backend.factory().timer("t", &[]);
        let counter = backend.factory().counter("c", &[]);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        timer.record(Duration::from_nanos(100));
                        counter.increment();
                    }
                });
            }
            let mut last = 0;
            while last < 8_000 {
                let snapshot = backend.snapshot();
                let now = snapshot.counters.get("c").copied().unwrap_or(0);
                assert!(now >= last);
                last = now;
                if now > 0 {
                    assert_eq!(snapshot.gauges["t.P50"], 103);
                }
            }
        });
        assert_eq!(backend.cumulative("t").unwrap().count(), 8_000);
    }

    #[test]
    fn separators_can_be_chosen() {
        let backend = Backend::new(BackendSettings {
            tag_separator: ",".to_owned(),
            value_separator: ":".to_owned(),
            ..BackendSettings::default()
        });
        backend
            .factory()
            .counter("c", &[("b", "2"), ("a", "1")])
            .add(1);
        assert_eq!(counters(&backend), [("c,a:1,b:2".to_owned(), 1)]);
    }

    #[test]
    fn rotation_forgets_windows_but_not_the_time_since_the_start() {
        let backend = Backend::new(BackendSettings {
            windows: 2,
            ..BackendSettings::default()
        });
        backend
            .factory()
            .timer("t", &[])
            .record(Duration::from_nanos(7));
        backend.factory().histogram("h", &[]).record(9);
        backend.rotate();
        assert_eq!(backend.snapshot().gauges["t.P50"], 7);
        assert_eq!(backend.snapshot().gauges["h.P50"], 9);
        backend.rotate();
        assert_eq!(backend.snapshot(), BackendSnapshot::default());
        let cumulative = backend.cumulative("t").unwrap();
        assert_eq!((cumulative.count(), cumulative.sum_ns()), (1, 7));
    }

    #[test]
    fn clear_forgets_everything_and_held_metrics_begin_anew() {
        let backend = Backend::default();
        let factory = backend.factory();
        let counter = factory.counter("c", &[]);
        let gauge = factory.gauge("g", &[]);
        let timer = factory.timer("t", &[]);
        let histogram = factory.histogram("h", &[]);
        factory.counter("not held", &[]).add(1);
        let write = || {
            counter.add(5);
            gauge.set(-3);
            timer.record(Duration::from_nanos(4));
            timer.record(Duration::MAX);
            histogram.record(6);
            histogram.record(u64::MAX);
        };
        write();
        let before = backend.snapshot();
        assert_eq!((before.counters.len(), before.gauges.len()), (4, 13));

        backend.clear();
        assert_eq!(backend.snapshot(), BackendSnapshot::default());
        assert_eq!(backend.cumulative("t").unwrap().count(), 0);
        assert_eq!(
            backend.metrics().counters.len(),
            1,
            "only what is held stays"
        );

        write();
        let mut after = backend.snapshot();
        after.counters.insert("not held".to_owned(), 1);
        assert_eq!(after, before);
    }

    #[test]
    fn too_many_metrics_share_one() {
        let backend = Backend::new(BackendSettings {
            max_metrics: 2,
            ..BackendSettings::default()
        });
        for name in ["a", "b", "c", "d", "a"] {
            backend.factory().counter(name, &[]).increment();
            backend.factory().gauge(name, &[]).set(1);
            backend
                .factory()
                .timer(name, &[])
                .record(Duration::from_nanos(1));
            backend.factory().histogram(name, &[]).record(1);
        }
        assert_eq!(
            counters(&backend),
            [
                ("a".to_owned(), 2),
                ("b".to_owned(), 1),
                ("~other".to_owned(), 2)
            ]
        );
        assert_eq!(backend.snapshot().gauges.len(), 3 * 7);
        assert_eq!(
            backend.cumulative(Backend::OVERFLOW_KEY).unwrap().count(),
            2
        );
    }
}
