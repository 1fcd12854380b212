//! The one place where the kernel's monotonic time meets the calendar.

use std::time::{Duration, SystemTime};

use nix::time::{ClockId, clock_gettime};

/// A moment on `CLOCK_MONOTONIC`, the clock of `bpf_ktime_get_ns`, since boot without suspends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ktime(pub Duration);

impl Ktime {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        // Reading this clock cannot fail on Linux; a zero would only make ages look long.
        Self(clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from))
    }

    /// From an event's time stamp.
    #[must_use]
    pub const fn from_ns(ns: u64) -> Self {
        Self(Duration::from_nanos(ns))
    }
}

/// Pairs the two clocks at one moment. The calendar can be set while we run: an anchor is made anew
/// for each use that lasts, and kept for none.
#[derive(Clone, Copy, Debug)]
pub struct TimeAnchor {
    ktime: Ktime,
    wall: SystemTime,
}

impl TimeAnchor {
    /// Of this moment.
    #[must_use]
    pub fn now() -> Self {
        Self {
            ktime: Ktime::now(),
            wall: SystemTime::now(),
        }
    }

    /// The calendar time of a moment on the monotonic clock.
    #[must_use]
    pub fn wall(&self, moment: Ktime) -> SystemTime {
        match moment.0.checked_sub(self.ktime.0) {
            Some(ahead) => self.wall + ahead,
            None => self
                .wall
                .checked_sub(self.ktime.0.saturating_sub(moment.0))
                .unwrap_or(SystemTime::UNIX_EPOCH),
        }
    }
}

#[cfg(test)]
impl TimeAnchor {
    /// Of a moment of one's own.
    pub(crate) const fn of_test(ktime: Ktime, wall: SystemTime) -> Self {
        Self { ktime, wall }
    }
}
