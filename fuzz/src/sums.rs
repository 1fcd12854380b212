//! What samples must add up to, wherever they are kept: reckoned from the records alone.

use std::ops::AddAssign;

use collector::{
    drain::Samples,
    window::{BlockTotals, Operation, SchedTotals, WindowedHistogram},
};
use collector_common::sample::{BlockSample, SchedSample};

/// How the kernel of these targets numbers block operations. Others are filtered.
pub const OPERATIONS: [(u32, Operation); 4] = [
    (0, Operation::Read),
    (1, Operation::Write),
    (2, Operation::Flush),
    (3, Operation::Discard),
];

/// The sums over all cgroups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Run-queue waits in the histograms.
    waits: u64,
    /// The parts of those waits that were a bandwidth limit, ns.
    throttled_ns: u64,
    /// Time slices in the histograms.
    slices: u64,
    /// Switches away from a task.
    switches: u64,
    /// Times in a block device in the histograms.
    device_times: u64,
    /// Bytes completed.
    bytes: u64,
}

impl Sums {
    /// What samples must add.
    #[must_use]
    pub fn of_samples(samples: Samples<'_>) -> Self {
        match samples {
            Samples::Sched(samples) => Self::of_switches(samples),
            Samples::BlockIo(samples) => Self::of_completions(samples),
        }
    }

    /// What totals have.
    #[must_use]
    pub fn of_totals(sched: Option<&SchedTotals>, block: &[BlockTotals]) -> Self {
        let mut sums = Self {
            device_times: block.iter().map(|it| it.in_device.count()).sum(),
            bytes: block.iter().map(|it| it.bytes).sum(),
            ..Self::default()
        };
        if let Some(sched) = sched {
            sums.waits = sched.wait.count();
            sums.throttled_ns = sched.throttled_ns;
            assert!(sched.throttled_ns <= sched.wait.sum_ns(), "more than all");
            sums.slices = sched.slice.count();
            sums.switches = sched.voluntary + sched.involuntary;
        }
        sums
    }

    fn of_switches(samples: &[SchedSample]) -> Self {
        let mut sums = Self::default();
        for sample in samples {
            let fits = |unknown, ns| !sample.has(unknown) && ns <= WindowedHistogram::REACH;
            if !sample.has(SchedSample::FLAG_NEXT_IDLE)
                && fits(SchedSample::FLAG_NO_WAIT, sample.wait_ns())
            {
                sums.waits += 1;
                sums.throttled_ns += sample.throttled_ns();
            }
            if !sample.has(SchedSample::FLAG_PREV_IDLE) {
                sums.switches += 1;
                sums.slices += u64::from(fits(SchedSample::FLAG_NO_SLICE, sample.slice_ns()));
            }
        }
        sums
    }

    fn of_completions(samples: &[BlockSample]) -> Self {
        let mut sums = Self::default();
        for sample in samples {
            let has = |flag| sample.flags & flag != 0;
            let is_counted = has(BlockSample::FLAG_EMPTY_FLUSH)
                || OPERATIONS
                    .iter()
                    .any(|(code, _)| *code == u32::from(sample.operation));
            if !is_counted {
                continue;
            }
            sums.bytes += u64::from(sample.bytes);
            let is_timed = !has(BlockSample::FLAG_PARTIAL);
            sums.device_times +=
                u64::from(is_timed && sample.device_ns <= WindowedHistogram::REACH);
        }
        sums
    }
}

impl AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        let Self {
            waits,
            throttled_ns,
            slices,
            switches,
            device_times,
            bytes,
        } = other;
        self.waits += waits;
        self.throttled_ns += throttled_ns;
        self.slices += slices;
        self.switches += switches;
        self.device_times += device_times;
        self.bytes += bytes;
    }
}
