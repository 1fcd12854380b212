//! Where each signal's events went.
//!
//! `observed` and the kernel's losses are counted in the kernel, `recorded` and our own losses here.
//! What is neither is on its way: in a CPU's batch or in a ring.

use collector_common::{
    cpu::CpuState,
    signal::{KernelLoss, Signal, SignalCounters},
};

use crate::window::{BatchOutcome, LossReason};

/// Where a signal's events went: `observed = recorded + filtered + lost + in_flight`.
#[derive(Clone, Debug)]
pub struct SignalAccount {
    /// The signal.
    pub signal: Signal,
    /// Events that the kernel programs saw.
    pub observed: u64,
    /// Events whose every measurement is in a window or table.
    pub recorded: u64,
    /// Events left out by rule.
    pub filtered: u64,
    /// Events lost, in whole or in part, by reason; every reason that the signal can have.
    pub lost: Vec<(LossReason, u64)>,
    /// Events in a batch or ring, not yet drained.
    pub in_flight: u64,
}

impl SignalAccount {
    /// The share of the events that should have been recorded and were not lost; `None` while there
    /// were none.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a ratio, shown with a few digits"
    )]
    pub fn completeness(&self) -> Option<f64> {
        let lost: u64 = self.lost.iter().map(|(_, events)| events).sum();
        let settled = self.recorded + lost;
        (settled > 0).then(|| self.recorded as f64 / settled as f64)
    }
}

/// The account of every signal.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    kernel: [SignalCounters; Signal::ALL.len()],
    /// Runs that the kernel refused because the program was running on that CPU already.
    misses: [u64; Signal::ALL.len()],
    here: [BatchOutcome; Signal::ALL.len()],
    throttles_forgotten: u64,
}

impl Accounts {
    /// Adds what became of some events on this side.
    pub fn settle(&mut self, signal: Signal, outcome: &BatchOutcome) {
        self.here[signal as usize].merge(outcome);
    }

    /// Counts `events` as lost on this side.
    pub fn lose(&mut self, signal: Signal, reason: LossReason, events: u64) {
        self.here[signal as usize].lost.add(reason, events);
    }

    /// Takes over the kernel's counters, of all CPUs.
    pub fn update_kernel(&mut self, cpus: &[CpuState]) {
        let mut sums = [SignalCounters::default(); Signal::ALL.len()];
        self.throttles_forgotten = cpus.iter().map(|cpu| cpu.throttles_forgotten).sum();
        for cpu in cpus {
            for (sum, counters) in sums.iter_mut().zip(&cpu.counters) {
                let SignalCounters {
                    observed,
                    filtered,
                    lost,
                } = counters;
                sum.observed += observed;
                sum.filtered += filtered;
                for (sum, lost) in sum.lost.iter_mut().zip(lost) {
                    *sum += lost;
                }
            }
        }
        self.kernel = sums;
    }

    /// Takes over how often the kernel refused to run a signal's programs.
    pub fn update_misses(&mut self, signal: Signal, misses: u64) {
        self.misses[signal as usize] = misses;
    }

    /// How often the kernel programs had to forget a bandwidth limit that was biting.
    #[must_use]
    pub const fn throttles_forgotten(&self) -> u64 {
        self.throttles_forgotten
    }

    /// The account of one signal.
    #[must_use]
    pub fn of(&self, signal: Signal) -> SignalAccount {
        let kernel = &self.kernel[signal as usize];
        let here = &self.here[signal as usize];
        let misses = self.misses[signal as usize];
        let lost: Vec<_> = LossReason::ALL
            .into_iter()
            .map(|reason| {
                let in_kernel = match reason {
                    LossReason::Kernel(KernelLoss::Recursion) => {
                        kernel.lost[KernelLoss::Recursion as usize] + misses
                    }
                    LossReason::Kernel(reason) => kernel.lost[reason as usize],
                    LossReason::OutOfRange | LossReason::Malformed => 0,
                };
                (reason, in_kernel + here.lost.of(reason))
            })
            .collect();
        let observed = kernel.observed + misses;
        let filtered = kernel.filtered + here.filtered;
        let settled = here.recorded + filtered + lost.iter().map(|(_, lost)| lost).sum::<u64>();
        SignalAccount {
            signal,
            observed,
            recorded: here.recorded,
            filtered,
            lost,
            in_flight: observed.saturating_sub(settled),
        }
    }
}
