//! What was read of a cgroup after its last process had left it.

use std::time::Duration;

use crate::{
    host::{
        cgroupfs::{ReadOutcome, Wanted},
        clock::Ktime,
    },
    reconcile::snapshot::LastReading,
};

/// The kernel counts the CPU time of a task at each tick and when it leaves the CPU: a reading right
/// after the last process left its cgroup can lack what came since the last tick. None is slower.
pub const SLOWEST_TICK: Duration = Duration::from_millis(10);

/// From its leaving the cgroup a task that ends needs some tens of microseconds until it leaves the CPU, too,
/// and all of its time is counted. If it is held up in between, it is off the CPU, and counted, all the
/// sooner.
pub const LAST_SLICE: Duration = Duration::from_micros(200);

/// What a life's figures come down to. More is read at its end, and what a runtime removes first may be
/// missing of that.
const CORE: Wanted = Wanted::CPU.and(Wanted::MEMORY).and(Wanted::IO);

/// What was read after the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct AtEnd {
    /// The groups that were read as a whole.
    whole: Wanted,
    /// Whether anything was read.
    any: bool,
    /// Whether all CPU time had been counted by then.
    is_settled: bool,
}

impl AtEnd {
    /// Takes over what was read since `emptied`; a reading that had begun before tells nothing.
    pub(super) fn take(&mut self, outcome: &ReadOutcome, emptied: Ktime) {
        let Some(since_end) = outcome.at.0.checked_sub(emptied.0) else {
            return;
        };
        self.whole = self.whole.and(outcome.whole);
        self.any = true;
        self.is_settled |= since_end >= LAST_SLICE && outcome.whole.contains(Wanted::CPU);
    }

    /// Its last process left in another hierarchy, too: what was read in between was read at its end, all the
    /// same.
    pub(super) const fn end_again(&mut self) {
        self.is_settled = false;
    }

    /// Whether this group's figures are those at the end.
    pub(super) const fn has(self, group: Wanted) -> bool {
        self.whole.contains(group)
    }

    /// Whether no CPU time is missing.
    pub(super) const fn is_settled(self) -> bool {
        self.is_settled
    }

    /// What that makes the last reading of a life in which these groups were `found`, if there was one
    /// earlier.
    pub(super) const fn last_reading(self, found: Wanted, earlier: bool) -> LastReading {
        match (self.any, earlier) {
            (true, _) if self.whole.contains(found.only(CORE)) => LastReading::Final,
            (true, _) => LastReading::Partial,
            (false, true) => LastReading::Earlier,
            (false, false) => LastReading::EventsOnly,
        }
    }
}
