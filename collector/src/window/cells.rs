//! The metrics themselves, each written by many at once.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
};

use super::{Distribution, WindowedHistogram};

/// A counter's value, and whether there is one.
#[derive(Debug, Default)]
pub(super) struct CounterCell {
    value: AtomicU64,
    used: AtomicBool,
}

impl CounterCell {
    pub(super) fn add(&self, events: u64) {
        self.value.fetch_add(events, Ordering::Relaxed);
        self.used.store(true, Ordering::Release);
    }

    pub(super) fn read(&self) -> Option<u64> {
        self.used
            .load(Ordering::Acquire)
            .then(|| self.value.load(Ordering::Relaxed))
    }

    pub(super) fn clear(&self) {
        self.used.store(false, Ordering::Relaxed);
        self.value.store(0, Ordering::Release);
    }
}

/// A gauge's value, and whether there is one.
#[derive(Debug, Default)]
pub(super) struct GaugeCell {
    value: AtomicI64,
    used: AtomicBool,
}

impl GaugeCell {
    pub(super) fn set(&self, value: i64) {
        self.value.store(value, Ordering::Relaxed);
        self.used.store(true, Ordering::Release);
    }

    pub(super) fn read(&self) -> Option<i64> {
        self.used
            .load(Ordering::Acquire)
            .then(|| self.value.load(Ordering::Relaxed))
    }

    pub(super) fn clear(&self) {
        self.used.store(false, Ordering::Relaxed);
    }
}

/// Values, and how many did not fit.
#[derive(Debug)]
pub(super) struct ValuesCell<T> {
    values: Mutex<T>,
    pub(super) out_of_range: AtomicU64,
}

pub(super) type TimerCell = ValuesCell<Distribution>;

pub(super) type HistogramCell = ValuesCell<WindowedHistogram>;

impl<T> ValuesCell<T> {
    pub(super) const fn new(values: T) -> Self {
        Self {
            values: Mutex::new(values),
            out_of_range: AtomicU64::new(0),
        }
    }

    /// Held for one value, or for one copy.
    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn clear(&self, empty: T) {
        *self.lock() = empty;
        self.out_of_range.store(0, Ordering::Relaxed);
    }
}
