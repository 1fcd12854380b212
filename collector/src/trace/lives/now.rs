//! One moment on both clocks.

use std::time::{Duration, SystemTime};

use crate::host::clock::{Ktime, TimeAnchor};

/// This moment, on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// From one to the other.
    pub clocks: TimeAnchor,
    /// As the kernel has it.
    pub ktime: Ktime,
    /// As the calendar has it.
    pub wall: SystemTime,
}

impl Now {
    /// That moment.
    #[must_use]
    pub fn new(clocks: TimeAnchor, ktime: Ktime) -> Self {
        Self {
            clocks,
            ktime,
            wall: clocks.wall(ktime),
        }
    }

    /// The moment of a time of the calendar, by what the calendar says now; no later than now.
    pub(super) fn ktime_of(&self, time: SystemTime) -> Ktime {
        let ago = self.wall.duration_since(time).unwrap_or_default();
        Ktime(self.ktime.0.saturating_sub(ago))
    }

    pub(super) const fn since(&self, then: Ktime) -> Duration {
        self.ktime.0.saturating_sub(then.0)
    }
}
