//! A copy of a backend's metrics.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use super::Quantiles;

/// What a backend's metrics were at one moment, by key.
///
/// A timer or histogram that has values in its windows adds six gauges, its key with `.P50`, `.P75`,
/// `.P90`, `.P95`, `.P99` and `.P999` behind the tags (`name|x=y.P50`); a timer's are in ns. How many
/// values were out of range is the counter with `.out_of_range` behind the key, present once there
/// is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendSnapshot {
    /// Counters.
    pub counters: BTreeMap<String, u64>,
    /// Gauges and quantiles.
    pub gauges: BTreeMap<String, i64>,
}

/// By [`Quantiles::RANKS`].
const SUFFIXES: [&str; Quantiles::RANKS.len()] = ["P50", "P75", "P90", "P95", "P99", "P999"];

impl BackendSnapshot {
    pub(super) fn insert_quantiles(&mut self, key: &str, quantiles: Option<Quantiles>) {
        let Some(quantiles) = quantiles else { return };
        for (suffix, value) in SUFFIXES.iter().zip(quantiles.values_ns) {
            // The range ends at 2^39.
            self.gauges
                .insert(format!("{key}.{suffix}"), value.cast_signed());
        }
    }

    pub(super) fn insert_out_of_range(&mut self, key: &str, out_of_range: &AtomicU64) {
        let values = out_of_range.load(Ordering::Relaxed);
        if values > 0 {
            *self
                .counters
                .entry(format!("{key}.out_of_range"))
                .or_default() += values;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::window::Backend;

    #[test]
    fn quantiles_come_behind_the_tags() {
        let backend = Backend::default();
        let histogram = backend.factory().histogram("h", &[("x", "y")]);
        histogram.record(321);
        histogram.record(42);
        let expected = [
            ("h|x=y.P50", 43),
            ("h|x=y.P75", 335),
            ("h|x=y.P90", 335),
            ("h|x=y.P95", 335),
            ("h|x=y.P99", 335),
            ("h|x=y.P999", 335),
        ];
        let snapshot = backend.snapshot();
        assert_eq!(
            snapshot.gauges,
            expected.map(|(key, value)| (key.to_owned(), value)).into()
        );
        assert!(snapshot.counters.is_empty());
    }

    #[test]
    fn values_in_milliseconds_give_the_values_of_the_specification() {
        let backend = Backend::default();
        let histogram = backend.factory().histogram("h", &[]);
        for millis in [35_000, 6_000, 576, 12_000] {
            histogram.record(millis);
        }
        let gauges = backend.snapshot().gauges;
        let values = SUFFIXES.map(|suffix| gauges[&format!("h.{suffix}")]);
        assert_eq!(values, [6_143, 12_287, 36_863, 36_863, 36_863, 36_863]);
    }

    #[test]
    fn values_out_of_range_are_counted() {
        let backend = Backend::default();
        let timer = backend.factory().timer("t", &[("x", "y")]);
        // 7m12s is in reach of the bucket that 5 minutes are in; 625 s and more are not.
        timer.record(Duration::from_secs(432));
        timer.record(Duration::from_secs(625));
        timer.record(Duration::MAX);
        backend.factory().histogram("h", &[]).record(u64::MAX);
        let snapshot = backend.snapshot();
        assert_eq!(
            snapshot.counters,
            [
                ("h.out_of_range".to_owned(), 1),
                ("t|x=y.out_of_range".to_owned(), 2)
            ]
            .into()
        );
        assert_eq!(snapshot.gauges.len(), 6);
        assert_eq!(backend.cumulative("t|x=y").unwrap().count(), 1);
    }
}
