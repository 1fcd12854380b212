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

    pub(super) const fn since(&self, then: Ktime) -> Duration {
        self.ktime.0.saturating_sub(then.0)
    }
}
