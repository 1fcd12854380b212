//! What a cgroup's numbers add up to: the form in which they leave this stage.

use collector_common::signal::KernelLoss;

use super::Cumulative;

/// Why an event was lost, on either side of the kernel border.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LossReason {
    /// Lost in the kernel.
    Kernel(KernelLoss),
    /// A span above what a histogram holds.
    OutOfRange,
    /// A record that is not what the kernel side writes.
    Malformed,
}

impl LossReason {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::Kernel(KernelLoss::RingFull),
        Self::Kernel(KernelLoss::NegativeDelta),
        Self::Kernel(KernelLoss::NoTimestamp),
        Self::Kernel(KernelLoss::Recursion),
        Self::OutOfRange,
        Self::Malformed,
    ];

    /// The name in the `reason` label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kernel(reason) => reason.name(),
            Self::OutOfRange => "out_of_range",
            Self::Malformed => "malformed",
        }
    }
}

/// A measurement that is kept in windows and exported as quantiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WindowSignal {
    /// Run-queue latency.
    RunqueueLatency,
    /// Time slices on a CPU.
    OncpuSlice,
    /// Block I/O, from the request's start to its issue, all devices.
    BlockIoQueue,
    /// Block I/O, from issue to completion, all devices.
    BlockIoDevice,
}

impl WindowSignal {
    /// Every one.
    pub const ALL: [Self; 4] =
        [Self::RunqueueLatency, Self::OncpuSlice, Self::BlockIoQueue, Self::BlockIoDevice];

    /// The name in the `signal` label of quantiles.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RunqueueLatency => "runqueue_latency",
            Self::OncpuSlice => "oncpu_slice",
            Self::BlockIoQueue => "block_io_queue",
            Self::BlockIoDevice => "block_io_device",
        }
    }
}

/// Quantiles of the merged windows, ns: each the highest value equivalent to the bucket that it is
/// in, at rank ceil(q * n).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantiles {
    /// By [`Quantiles::RANKS`].
    pub values_ns: [u64; 6],
}

impl Quantiles {
    /// The quantiles that are kept.
    pub const RANKS: [f64; 6] = [0.5, 0.75, 0.9, 0.95, 0.99, 0.999];
}

/// What a cgroup's tasks waited and ran.
#[derive(Clone, Debug, Default)]
pub struct SchedTotals {
    /// Run-queue latency.
    pub wait: Cumulative,
    /// Time slices; their sum is the CPU time.
    pub slice: Cumulative,
    /// Switches away from a task that went to sleep.
    pub voluntary: u64,
    /// Switches away from a task that was still runnable.
    pub involuntary: u64,
    /// Who took the CPU in those, by [`Preemptor`].
    pub preempted_by: [u64; 4],
    /// The part of `wait`'s sum that the kernel's `run_delay` does not have (skipped clock updates).
    pub clock_skip_ns: u64,
}

/// Who took the CPU from a runnable task. The discriminant is the index in
/// [`SchedTotals::preempted_by`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preemptor {
    /// A task of the same container or the same cgroup.
    SameContainer = 0,
    /// A task of another container.
    OtherContainer = 1,
    /// A task of a cgroup that is no container's.
    System = 2,
    /// A kernel thread.
    Kernel = 3,
}

impl Preemptor {
    /// Every one, in the order of its discriminant.
    pub const ALL: [Self; 4] =
        [Self::SameContainer, Self::OtherContainer, Self::System, Self::Kernel];

    /// The name in the `by` label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SameContainer => "same_container",
            Self::OtherContainer => "other_container",
            Self::System => "system",
            Self::Kernel => "kernel",
        }
    }
}

/// A disk's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Device {
    /// Major number.
    pub major: u32,
    /// First minor number.
    pub minor: u32,
}

/// What a block request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// Reads.
    Read,
    /// Writes, zeroes and appends.
    Write,
    /// Empties the device's cache.
    Flush,
    /// Gives blocks back.
    Discard,
}

impl Operation {
    /// The name in the `operation` label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Flush => "flush",
            Self::Discard => "discard",
        }
    }
}

/// A cgroup's I/O of one operation on one device.
#[derive(Clone, Debug)]
pub struct BlockTotals {
    /// The disk.
    pub device: Device,
    /// The operation.
    pub operation: Operation,
    /// From the request's start to its issue.
    pub queue: Cumulative,
    /// From issue to completion.
    pub in_device: Cumulative,
    /// Bytes completed, those in error included.
    pub bytes: u64,
    /// Completions in error.
    pub errors: u64,
}

/// OOM kills that concern a cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OomTotals {
    /// Its tasks that were chosen.
    pub victim: u64,
    /// Kills because of its limit, where the kernel says whose it was.
    pub limit_owner: u64,
}
