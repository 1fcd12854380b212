//! What a cgroup's numbers add up to: the form in which they leave this stage.
//!
//! Totals since the start, without windows. They can be merged, because one container can have
//! several cgroups, and because the numbers of one that is gone are kept and added to.

use super::Cumulative;

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
    pub const ALL: [Self; 4] = [
        Self::RunqueueLatency,
        Self::OncpuSlice,
        Self::BlockIoQueue,
        Self::BlockIoDevice,
    ];

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
    /// The part of `wait`'s sum that was a CPU bandwidth limit, of the cgroup or of one above.
    pub throttled_ns: u64,
}

impl SchedTotals {
    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        let Self {
            wait,
            slice,
            voluntary,
            involuntary,
            preempted_by,
            clock_skip_ns,
            throttled_ns,
        } = other;
        self.wait.merge(wait);
        self.slice.merge(slice);
        self.voluntary += voluntary;
        self.involuntary += involuntary;
        for (into, from) in self.preempted_by.iter_mut().zip(preempted_by) {
            *into += from;
        }
        self.clock_skip_ns += clock_skip_ns;
        self.throttled_ns += throttled_ns;
    }
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
    pub const ALL: [Self; 4] = [
        Self::SameContainer,
        Self::OtherContainer,
        Self::System,
        Self::Kernel,
    ];

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

/// A disk's number; the minor one is its first.
pub use crate::host::DeviceNumber as Device;

impl Device {
    /// Stands for all devices of a cgroup that has used too many to tell apart. No disk has major
    /// number 0.
    pub const OTHER: Self = Self { major: 0, minor: 0 };

    /// From the kernel's number: the major in the upper 12 bits, the minor in the lower 20.
    #[must_use]
    pub const fn from_kernel(number: u32) -> Self {
        Self {
            major: number >> 20,
            minor: number & ((1 << 20) - 1),
        }
    }
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

impl BlockTotals {
    /// Nothing yet.
    #[must_use]
    pub fn new(device: Device, operation: Operation) -> Self {
        Self {
            device,
            operation,
            queue: Cumulative::new(),
            in_device: Cumulative::new(),
            bytes: 0,
            errors: 0,
        }
    }

    /// Adds the numbers of another, whatever its device and operation.
    pub fn merge(&mut self, other: &Self) {
        let Self {
            device: _,
            operation: _,
            queue,
            in_device,
            bytes,
            errors,
        } = other;
        self.queue.merge(queue);
        self.in_device.merge(in_device);
        self.bytes += bytes;
        self.errors += errors;
    }
}

/// OOM kills that concern a cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OomTotals {
    /// Its tasks that were chosen.
    pub victim: u64,
    /// Kills because of its limit, where the kernel says whose it was.
    pub limit_owner: u64,
}

impl OomTotals {
    /// Adds all of another.
    pub const fn merge(&mut self, other: &Self) {
        let Self {
            victim,
            limit_owner,
        } = other;
        self.victim += *victim;
        self.limit_owner += *limit_owner;
    }
}

/// All that a cgroup's numbers add up to.
#[derive(Clone, Debug, Default)]
pub struct CgroupTotals {
    /// Absent when no task of it has switched.
    pub sched: Option<SchedTotals>,
    /// One entry per device and operation.
    pub block: Vec<BlockTotals>,
    /// OOM kills.
    pub oom: OomTotals,
}

impl CgroupTotals {
    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        let Self { sched, block, oom } = other;
        if let Some(sched) = sched {
            self.sched.get_or_insert_default().merge(sched);
        }
        for theirs in block {
            let same = |ours: &&mut BlockTotals| {
                ours.device == theirs.device && ours.operation == theirs.operation
            };
            match self.block.iter_mut().find(same) {
                Some(ours) => ours.merge(theirs),
                None => self.block.push(theirs.clone()),
            }
        }
        self.oom.merge(oom);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISK: Device = Device {
        major: 8,
        minor: 16,
    };

    fn cumulative(values: &[u64]) -> Cumulative {
        let mut cumulative = Cumulative::new();
        for &value in values {
            cumulative.record(value);
        }
        cumulative
    }

    fn count_and_sum(cumulative: &Cumulative) -> (u64, u64) {
        (cumulative.count(), cumulative.sum_ns())
    }

    fn totals(device: Device, operation: Operation) -> CgroupTotals {
        CgroupTotals {
            sched: Some(SchedTotals {
                wait: cumulative(&[1, 2]),
                slice: cumulative(&[10]),
                voluntary: 3,
                involuntary: 4,
                preempted_by: [1, 2, 3, 4],
                clock_skip_ns: 5,
                throttled_ns: 7,
            }),
            block: vec![BlockTotals {
                queue: cumulative(&[100]),
                in_device: cumulative(&[1_000, 2_000]),
                bytes: 4_096,
                errors: 1,
                ..BlockTotals::new(device, operation)
            }],
            oom: OomTotals {
                victim: 6,
                limit_owner: 7,
            },
        }
    }

    #[test]
    fn the_kernel_s_device_number_is_split_at_twenty_bits() {
        assert_eq!(Device::from_kernel((8 << 20) | 16), DISK);
        assert_eq!(
            Device::from_kernel(u32::MAX),
            Device {
                major: 4_095,
                minor: 1_048_575
            }
        );
    }

    #[test]
    fn merging_adds_every_field() {
        let mut merged = totals(DISK, Operation::Write);
        merged.merge(&totals(DISK, Operation::Write));

        let sched = merged.sched.unwrap();
        assert_eq!(count_and_sum(&sched.wait), (4, 6));
        assert_eq!(count_and_sum(&sched.slice), (2, 20));
        assert_eq!((sched.voluntary, sched.involuntary), (6, 8));
        assert_eq!(sched.preempted_by, [2, 4, 6, 8]);
        assert_eq!(sched.clock_skip_ns, 10);
        assert_eq!(sched.throttled_ns, 14);
        let [block] = &merged.block[..] else {
            panic!("{} entries", merged.block.len())
        };
        assert_eq!(count_and_sum(&block.queue), (2, 200));
        assert_eq!(count_and_sum(&block.in_device), (4, 6_000));
        assert_eq!((block.bytes, block.errors), (8_192, 2));
        assert_eq!(
            merged.oom,
            OomTotals {
                victim: 12,
                limit_owner: 14
            }
        );
    }

    #[test]
    fn other_devices_and_operations_stay_apart() {
        let other = Device {
            major: 8,
            minor: 32,
        };
        let mut merged = totals(DISK, Operation::Write);
        merged.merge(&totals(DISK, Operation::Read));
        merged.merge(&totals(other, Operation::Write));
        merged.merge(&totals(DISK, Operation::Read));
        let bytes: Vec<_> = merged
            .block
            .iter()
            .map(|b| (b.device, b.operation, b.bytes))
            .collect();
        assert_eq!(
            bytes,
            [
                (DISK, Operation::Write, 4_096),
                (DISK, Operation::Read, 8_192),
                (other, Operation::Write, 4_096),
            ]
        );
    }

    #[test]
    fn unknown_stays_unknown_until_one_side_knows() {
        let mut merged = CgroupTotals::default();
        merged.merge(&CgroupTotals::default());
        assert!(merged.sched.is_none());
        merged.merge(&totals(DISK, Operation::Write));
        merged.merge(&CgroupTotals::default());
        assert_eq!(merged.sched.unwrap().voluntary, 3);
    }
}
