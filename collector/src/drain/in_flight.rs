//! What the kernel has seen and the daemon has not been given yet: samples in the CPUs' batches, and
//! slices that are still running.
//!
//! For a comparison with the kernel's own counters at one moment: a thread that nobody disturbs can
//! hold a CPU for seconds without a sample, and a silent CPU keeps its batch for one. The CPUs' state is
//! copied while they go on; a sample that comes in just then may be there twice or not at all.

use collector_common::{
    cpu::CpuState,
    sample::{BatchHeader, BlockSample, SchedSample},
};

use super::{Batch, PerCpu, Samples};
use crate::host::clock::Ktime;

/// What is on its way.
#[derive(Clone, Debug, Default)]
pub struct InFlight {
    /// Context switches.
    pub sched: Vec<SchedSample>,
    /// Block-I/O completions.
    pub block: Vec<BlockSample>,
    /// Slices that have not ended.
    pub running: Vec<Running>,
}

/// A slice that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// The cgroup of the task that holds the CPU.
    pub cgroup: u64,
    /// Since when.
    pub since: Ktime,
}

/// What was drained of one CPU.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Drained {
    /// The number of the next batch of context switches.
    next_sched: u64,
    /// The number of the next batch of completions.
    next_block: u64,
    /// Who got the CPU in the last switch, and when that batch was submitted.
    last: Option<Running>,
}

impl Drained {
    /// Takes note of a batch.
    pub(super) fn note(&mut self, batch: &Batch<'_>) {
        let BatchHeader {
            submitted_ktime_ns,
            sequence,
            ..
        } = *batch.header;
        let next = sequence.wrapping_add(1);
        match batch.samples {
            Samples::Sched(samples) => {
                self.next_sched = next;
                self.last = samples
                    .last()
                    .and_then(|last| running(last, Ktime::from_ns(submitted_ktime_ns)));
            }
            Samples::BlockIo(_) => self.next_block = next,
        }
    }
}

impl InFlight {
    /// From a copy of the CPUs' state, and what was drained of them since it was taken.
    pub(super) fn of(cpus: &[CpuState], drained: &PerCpu<Drained>) -> Self {
        let mut in_flight = Self::default();
        for (cpu, state) in (0..).zip(cpus) {
            let drained = drained.get(cpu).copied().unwrap_or_default();
            // A batch that was drained since the copy was taken is on its way no more.
            if drained.next_sched > state.sched.sequence {
                in_flight.running.extend(drained.last);
            } else {
                let count = usize::from(state.sched.count).min(state.sched_samples.len());
                let samples = &state.sched_samples[..count];
                let since = last_switch(state);
                let holder = match samples.last() {
                    Some(last) => since.and_then(|since| running(last, since)),
                    None => drained.last.map(|last| Running {
                        since: since.unwrap_or(last.since),
                        ..last
                    }),
                };
                in_flight.running.extend(holder);
                in_flight.sched.extend_from_slice(samples);
            }
            if drained.next_block <= state.block.sequence {
                let count = usize::from(state.block.count).min(state.block_samples.len());
                in_flight
                    .block
                    .extend_from_slice(&state.block_samples[..count]);
            }
        }
        in_flight
    }
}

/// When a CPU last switched, once its clock could be compared with ktime.
fn last_switch(state: &CpuState) -> Option<Ktime> {
    let clock = &state.clock;
    (clock.best.at_ns != 0 && clock.last_switch_ns != 0)
        .then(|| Ktime::from_ns(clock.last_switch_ns.wrapping_add(clock.best.distance_ns)))
}

/// Who runs after a switch, if it is not the idle task.
fn running(last: &SchedSample, since: Ktime) -> Option<Running> {
    (!last.has(SchedSample::FLAG_NEXT_IDLE)).then_some(Running {
        cgroup: last.next_cgroup,
        since,
    })
}

#[cfg(test)]
mod tests {
    use collector_common::cpu::ClockReading;
    use zerocopy::FromZeros as _;

    use super::*;

    const BUSY: u64 = 7;

    fn switch_to(next_cgroup: u64, slice_ns: u64) -> SchedSample {
        SchedSample {
            next_cgroup,
            prev_cgroup: 1,
            wait_and_flags: 0,
            slice_and_share: slice_ns,
        }
    }

    /// A CPU whose clock is 1 s behind ktime and last switched at 5 s of its own.
    fn cpu(sequence: u64, samples: &[SchedSample]) -> CpuState {
        let mut state = CpuState::new_zeroed();
        state.clock.last_switch_ns = 5_000_000_000;
        state.clock.best = ClockReading {
            at_ns: 4_000_000_000,
            distance_ns: 1_000_000_000,
        };
        state.sched.sequence = sequence;
        state.sched.count = u16::try_from(samples.len()).unwrap();
        state.sched_samples[..samples.len()].copy_from_slice(samples);
        state
    }

    fn drained(sequence: u64, last: SchedSample) -> Drained {
        let header = BatchHeader {
            sequence,
            submitted_ktime_ns: 3_000_000_000,
            ..BatchHeader::default()
        };
        let mut drained = Drained::default();
        drained.note(&Batch {
            header: &header,
            samples: Samples::Sched(&[last]),
        });
        drained
    }

    fn at(seconds: u64) -> Ktime {
        Ktime::from_ns(seconds * 1_000_000_000)
    }

    #[test]
    fn a_batch_that_is_not_full_is_on_its_way_and_its_last_switch_says_who_runs() {
        let state = cpu(4, &[switch_to(2, 10), switch_to(BUSY, 20)]);
        let in_flight = InFlight::of(
            &[state],
            &[drained(3, switch_to(9, 1))].into_iter().collect(),
        );
        assert_eq!(in_flight.sched.len(), 2);
        let running = Running {
            cgroup: BUSY,
            since: at(6),
        };
        assert_eq!(in_flight.running, [running]);
    }

    #[test]
    fn of_an_empty_batch_the_one_before_says_who_runs_since_the_last_switch() {
        let in_flight = InFlight::of(
            &[cpu(4, &[])],
            &[drained(3, switch_to(BUSY, 1))].into_iter().collect(),
        );
        let running = Running {
            cgroup: BUSY,
            since: at(6),
        };
        assert_eq!(
            (in_flight.sched.len(), in_flight.running),
            (0, vec![running])
        );
    }

    #[test]
    fn what_was_drained_after_the_copy_was_taken_does_not_count_twice() {
        let state = cpu(4, &[switch_to(2, 10)]);
        let in_flight = InFlight::of(
            &[state],
            &[drained(4, switch_to(BUSY, 10))].into_iter().collect(),
        );
        let running = Running {
            cgroup: BUSY,
            since: at(3),
        };
        assert_eq!(
            (in_flight.sched.len(), in_flight.running),
            (0, vec![running])
        );
    }

    #[test]
    fn an_idle_cpu_runs_nobody_and_a_block_batch_is_on_its_way_too() {
        let mut idle = switch_to(0, 10);
        idle.wait_and_flags = SchedSample::FLAG_NEXT_IDLE;
        let mut state = cpu(0, &[idle]);
        state.block.count = 2;
        let in_flight = InFlight::of(&[state], &[].into_iter().collect());
        assert_eq!((in_flight.running.len(), in_flight.block.len()), (0, 2));
    }
}
