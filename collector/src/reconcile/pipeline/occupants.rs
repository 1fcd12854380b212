//! Who had a CPU while a task waited for it.
//!
//! In: the switches of every CPU, batch by batch. Out: the cgroup that had the CPU longest during a wait. Never here: a
//! name, or a look further back than 64 switches before the batch in which the wait ended.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use collector_common::sample::SchedSample;
use foldhash::fast::RandomState;

use crate::drain::{Batch, PerCpu, Samples};

/// The latest switches of every CPU.
#[derive(Debug, Default)]
pub(super) struct Occupants {
    cpus: PerCpu<Latest>,
    /// How long each cgroup had the CPU in one wait, ns; the idle task under [`IDLE`].
    had_ns: HashMap<u64, u64, RandomState>,
}

/// The latest switches of a CPU, with none missing in between.
#[derive(Debug, Default)]
struct Latest {
    /// Of the batch that the last of them is of.
    sequence: u64,
    switches: VecDeque<SchedSample>,
}

/// Had a CPU longer than any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Occupant {
    /// Its cgroup, in the task hierarchy.
    pub(super) cgroup: u64,
    /// How long, of the wait.
    pub(super) had: Duration,
}

/// Switches of a CPU that are kept: 2 KiB.
const KEPT: usize = 64;

/// The idle task has no cgroup, and no cgroup has this id.
const IDLE: u64 = 0;

impl Occupants {
    /// Who had the CPU longest during the wait that ended with a switch of this batch, as far as the switches tell;
    /// `None` if that was nobody, or is not known.
    pub(super) fn longest(&mut self, batch: &Batch<'_>, position: usize) -> Option<Occupant> {
        let Samples::Sched(samples) = batch.samples else {
            return None;
        };
        let mut left_ns = samples.get(position)?.wait_ns();
        let cpu = self.cpus.get(batch.header.cpu);
        let before = cpu.filter(|cpu| cpu.is_followed_by(batch));
        let before = before.into_iter().flat_map(|cpu| cpu.switches.iter().rev());
        let backwards = samples[..=position].iter().rev().chain(before);
        self.had_ns.clear();
        let mut longest = (IDLE, 0);
        for switch in backwards {
            // What was before a span of unknown length cannot be placed.
            if left_ns == 0 || switch.has(SchedSample::FLAG_NO_SLICE) {
                break;
            }
            let had_ns = switch.slice_ns().min(left_ns);
            left_ns -= had_ns;
            let who = if switch.has(SchedSample::FLAG_PREV_IDLE) {
                IDLE
            } else {
                switch.prev_cgroup
            };
            let all_ns = self.had_ns.entry(who).or_default();
            *all_ns += had_ns;
            if *all_ns > longest.1 {
                longest = (who, *all_ns);
            }
        }
        let (cgroup, had_ns) = longest;
        (cgroup != IDLE).then_some(Occupant {
            cgroup,
            had: Duration::from_nanos(had_ns),
        })
    }

    /// Keeps a batch, for waits that end in those that follow.
    pub(super) fn keep(&mut self, batch: &Batch<'_>) {
        let Samples::Sched(samples) = batch.samples else {
            return;
        };
        let Some(latest) = self.cpus.of(batch.header.cpu) else {
            return;
        };
        if !latest.is_followed_by(batch) {
            latest.switches.clear();
        }
        latest.sequence = batch.header.sequence;
        // All that is ever kept, at once.
        latest.switches.reserve_exact(KEPT - latest.switches.len());
        let new = &samples[samples.len().saturating_sub(KEPT)..];
        let excess = (latest.switches.len() + new.len()).saturating_sub(KEPT);
        latest.switches.drain(..excess);
        latest.switches.extend(new);
    }
}

impl Latest {
    /// Whether a batch comes right after them.
    const fn is_followed_by(&self, batch: &Batch<'_>) -> bool {
        self.sequence.wrapping_add(1) == batch.header.sequence
    }
}
