//! What events add up to, without their distribution: the side of the events in a comparison with
//! the kernel's own counters.

use collector_common::sample::{BlockSample, SchedSample};

use super::{CgroupView, Device, Operation, OperationCodes, block::operation_of, cgroups::Slot};

/// Sums of one cgroup's, or of one container's, events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventSums {
    /// CPU time: all slices that have ended.
    pub cpu_ns: u64,
    /// The slice that was recorded last, the longest where there are several cgroups'.
    pub last_slice_ns: u64,
    /// Waits that the kernel takes for CPU time: those after which its clock was not updated.
    pub skipped_ns: u64,
    /// Block I/O, one entry per device and operation.
    pub block: Vec<BlockSums>,
    /// Tasks of it that the OOM killer chose.
    pub oom_victims: u64,
}

/// Sums of one operation on one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSums {
    /// The disk.
    pub device: Device,
    /// The operation.
    pub operation: Operation,
    /// Bytes of completions.
    pub bytes: u64,
    /// Requests that completed.
    pub operations: u64,
}

impl EventSums {
    /// Adds all of another.
    pub fn add(&mut self, other: &Self) {
        let Self {
            cpu_ns,
            last_slice_ns,
            skipped_ns,
            block,
            oom_victims,
        } = other;
        self.cpu_ns += cpu_ns;
        self.last_slice_ns = self.last_slice_ns.max(*last_slice_ns);
        self.skipped_ns += skipped_ns;
        self.oom_victims += oom_victims;
        for sums in block {
            self.add_block(*sums);
        }
    }

    /// Adds block I/O.
    pub fn add_block(&mut self, sums: BlockSums) {
        let same =
            |ours: &&mut BlockSums| ours.device == sums.device && ours.operation == sums.operation;
        match self.block.iter_mut().find(same) {
            Some(ours) => {
                ours.bytes += sums.bytes;
                ours.operations += sums.operations;
            }
            None => self.block.push(sums),
        }
    }

    /// Adds what the task that gets the CPU waited for it.
    pub fn add_wait(&mut self, sample: &SchedSample) {
        if !sample.has(SchedSample::FLAG_NEXT_IDLE) && !sample.has(SchedSample::FLAG_NO_WAIT) {
            self.skipped_ns += sample.skip_ns();
        }
    }

    /// Adds the slice of the task that leaves it.
    pub fn add_slice(&mut self, sample: &SchedSample) {
        if !sample.has(SchedSample::FLAG_PREV_IDLE) && !sample.has(SchedSample::FLAG_NO_SLICE) {
            self.cpu_ns += sample.slice_ns();
        }
    }

    /// Adds a completion.
    pub fn add_completion(&mut self, sample: &BlockSample, operations: &OperationCodes) {
        let Some(operation) = operation_of(sample, operations) else {
            return;
        };
        self.add_block(BlockSums {
            device: Device::from_kernel(sample.device),
            operation,
            bytes: u64::from(sample.bytes),
            operations: u64::from(sample.flags & BlockSample::FLAG_PARTIAL == 0),
        });
    }

    /// Whether there was nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl CgroupView<'_> {
    /// The sums of all that was recorded.
    #[must_use]
    pub fn sums(self) -> EventSums {
        let Slot {
            class: _,
            oom,
            slow: _,
            sched,
            block,
        } = self.slot();
        let mut sums = EventSums {
            cpu_ns: sched.slice.cumulative.sum_ns(),
            last_slice_ns: sched.last_slice_ns,
            skipped_ns: sched.clock_skip_ns,
            block: Vec::new(),
            oom_victims: oom.victim,
        };
        for totals in block.iter().flat_map(|block| &block.totals) {
            sums.add_block(BlockSums {
                device: totals.device,
                operation: totals.operation,
                bytes: totals.bytes,
                operations: totals.in_device.count(),
            });
        }
        sums
    }
}
