//! Which values are slow, and the few of them that are kept to be looked at.
//!
//! In: thresholds, and values of containers that are above them. Out: [`SlowMark`]s. Never here: a name, a clock, or an allocation
//! on the way of a value: there is one comparison for each, with a number that no value is above while nothing
//! is watched for.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::{Device, Operation, WindowedHistogram, cgroups::Slot, windowed::empty};
use crate::host::CgroupKey;

/// From when on a sample is slow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SlowAbove {
    /// Never.
    Off,
    /// Above a time.
    Time(Duration),
    /// Above a quantile of the cgroup's own windows, as they were when they were rotated last, and above a time.
    /// Of a cgroup whose windows have no value then, nothing is known to be unusual, and nothing is slow.
    Quantile {
        /// From 0 to 1.
        quantile: f64,
        /// Nothing below is slow.
        least: Duration,
    },
}

/// What is slow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlowThresholds {
    /// Of waits for a CPU.
    pub runqueue: SlowAbove,
    /// Of block I/O: of either stage.
    pub block_io: SlowAbove,
}

impl Default for SlowThresholds {
    fn default() -> Self {
        Self::OFF
    }
}

impl SlowThresholds {
    /// Nothing is.
    pub const OFF: Self = Self {
        runqueue: SlowAbove::Off,
        block_io: SlowAbove::Off,
    };
}

/// A slow value, and the sample that it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowMark {
    /// Whose.
    pub cgroup: CgroupKey,
    /// Where its sample is in the slice that was recorded.
    pub position: usize,
    /// What took so long.
    pub span: SlowSpan,
    /// The value.
    pub ns: u64,
}

/// What can be slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowSpan {
    /// A wait for a CPU.
    Wait,
    /// A block request, until it was issued.
    BlockQueue(Device, Operation),
    /// A block request, in the device.
    BlockDevice(Device, Operation),
}

/// Slow values that were not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlowLeftOut {
    /// Of cgroups that had as many as one may have already.
    pub of_cgroup: u64,
    /// That came when there were as many as there may be of all cgroups.
    pub of_all: u64,
}

/// From when on the values of one cgroup are slow, ns; no value is above `u64::MAX`.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlowLimits {
    pub(super) wait: u64,
    pub(super) block_queue: u64,
    pub(super) block_device: u64,
    /// In which round the number beside it was counted.
    round: u32,
    /// How many were kept in that round.
    kept: u32,
}

/// What is watched for, and what was found.
#[derive(Debug)]
pub(super) struct SlowWatch {
    pub(super) thresholds: SlowThresholds,
    marks: Vec<SlowMark>,
    /// Counts how often the bounds began anew.
    round: u32,
    /// How many were kept in this round.
    kept: u32,
    left_out: SlowLeftOut,
    /// Windows are merged here, one cgroup's after the other's.
    merged: Option<Histogram<u64>>,
}

impl SlowLimits {
    pub(super) const NONE: Self = Self {
        wait: u64::MAX,
        block_queue: u64::MAX,
        block_device: u64::MAX,
        round: 0,
        kept: 0,
    };
}

impl SlowWatch {
    /// How many are kept in a round: some thousands a second, and 72 KiB.
    pub(super) const MAX_KEPT: u32 = 1_024;

    /// How many of one cgroup: lest one that is slow all the time leave no room for the others.
    pub(super) const MAX_OF_CGROUP: u32 = 64;

    pub(super) const OFF: Self = Self {
        thresholds: SlowThresholds::OFF,
        marks: Vec::new(),
        round: 0,
        kept: 0,
        left_out: SlowLeftOut {
            of_cgroup: 0,
            of_all: 0,
        },
        merged: None,
    };

    pub(super) fn watch(&mut self, thresholds: SlowThresholds) {
        self.thresholds = thresholds;
        if thresholds != SlowThresholds::OFF {
            self.marks.reserve_exact(Self::MAX_KEPT as usize);
        }
    }

    pub(super) const fn marks(&self) -> &Vec<SlowMark> {
        &self.marks
    }

    pub(super) fn clear_marks(&mut self) {
        self.marks.clear();
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.marks.capacity() * size_of::<SlowMark>()
    }

    /// Begins the bounds anew, and tells what was beyond them.
    pub(super) fn next_round(&mut self) -> SlowLeftOut {
        self.round = self.round.wrapping_add(1);
        self.kept = 0;
        std::mem::take(&mut self.left_out)
    }

    /// Keeps a slow value, if there is room.
    #[cold]
    pub(super) fn keep(&mut self, limits: &mut SlowLimits, mark: SlowMark) {
        if limits.round != self.round {
            limits.round = self.round;
            limits.kept = 0;
        }
        if limits.kept >= Self::MAX_OF_CGROUP {
            self.left_out.of_cgroup += 1;
        } else if self.kept >= Self::MAX_KEPT || self.marks.len() >= self.marks.capacity() {
            self.left_out.of_all += 1;
        } else {
            limits.kept += 1;
            self.kept += 1;
            self.marks.push(mark);
        }
    }

    /// Sets a cgroup's limits by what its windows have. What is no container's has none: it would take the room
    /// of those that somebody looks at.
    pub(super) fn limit(&mut self, slot: &mut Slot) {
        let SlowThresholds { runqueue, block_io } = match slot.class.container() {
            Some(_) => self.thresholds,
            None => SlowThresholds::OFF,
        };
        slot.slow.wait = self.limit_of(runqueue, Some(&slot.sched.wait.windowed));
        let block = slot.block.as_deref();
        slot.slow.block_queue = self.limit_of(block_io, block.map(|block| &block.queue));
        slot.slow.block_device = self.limit_of(block_io, block.map(|block| &block.in_device));
    }

    fn limit_of(&mut self, above: SlowAbove, windowed: Option<&WindowedHistogram>) -> u64 {
        match above {
            SlowAbove::Off => u64::MAX,
            SlowAbove::Time(time) => nanoseconds(time),
            SlowAbove::Quantile { quantile, least } => {
                let Some(windowed) = windowed.filter(|windowed| !windowed.is_idle()) else {
                    return u64::MAX;
                };
                let merged = self.merged.get_or_insert_with(empty);
                merged.reset();
                windowed.merge_into(merged);
                merged.value_at_quantile(quantile).max(nanoseconds(least))
            }
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
