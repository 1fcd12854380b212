//! Compares events with the kernel's counters once in an interval: asks for the one, reads the other.

use std::time::{Duration, Instant};

use super::{
    cgroup_files::{CgroupFiles, ReadPlan},
    state::State,
};
use crate::{
    host::{
        cgroupfs::{CgroupStatistics, Wanted},
        host_counters::read_host_counters,
    },
    reconcile::{
        drift::{Checkpoint, Drift, OwnerSums},
        readings::{Due, Latest, Why},
    },
    window::Timer,
};

/// The reader thread's comparison.
#[derive(Debug)]
pub struct Comparison {
    drift: Drift,
    interval: Duration,
    /// Whether events tell when something runs.
    switches_are_told: bool,
    asked: Instant,
    timer: Timer,
}

impl Comparison {
    /// One in an interval.
    #[must_use]
    pub fn new(interval: Duration, switches_are_told: bool, state: &State) -> Self {
        Self {
            drift: Drift::default(),
            interval,
            switches_are_told,
            asked: Instant::now(),
            timer: state.own.factory().timer("reconcile", &[]),
        }
    }

    /// Asks for the events' side when it is time, and compares when it is there.
    pub fn go_on(&mut self, plan: ReadPlan, files: &mut CgroupFiles, state: &State) {
        if self.asked.elapsed() >= self.interval {
            self.asked = Instant::now();
            state.want_checkpoint();
        }
        if let Some(checkpoint) = state.take_checkpoint() {
            let start = Instant::now();
            self.compare(&checkpoint, plan, files, state);
            self.timer.record(start.elapsed());
        }
    }

    fn compare(
        &mut self,
        checkpoint: &Checkpoint,
        plan: ReadPlan,
        files: &mut CgroupFiles,
        state: &State,
    ) {
        self.drift.begin(checkpoint);
        let mut read = Vec::new();
        for owner in checkpoint.leaves() {
            if state.is_stopping() {
                return;
            }
            if let Some(latest) = self.read(owner, plan, files, state) {
                read.push((owner, latest));
            }
        }
        self.drift.take_host(read_host_counters());
        for (owner, latest) in read {
            let events = owner.at(checkpoint.at, latest.at);
            self.drift
                .compare(owner, latest.is_new, &events, &latest.statistics);
        }
        *state.drift() = self.drift.finish(checkpoint);
    }

    /// The kernel's side, unless it cannot have changed.
    fn read(
        &self,
        owner: &OwnerSums,
        plan: ReadPlan,
        files: &mut CgroupFiles,
        state: &State,
    ) -> Option<Latest> {
        let generation = owner.identity.generation;
        let entry = state.readings.entry(owner.owner)?;
        // One that was not read yet has its turn soon.
        let earlier = entry.latest(generation)?;
        let is_quiet = self.drift.is_quiet(owner, &earlier.statistics);
        let has_rested = entry.set_rests(generation, is_quiet && self.switches_are_told);
        if is_quiet {
            return None;
        }
        let mut wanted = wanted(owner, &earlier.statistics);
        if has_rested {
            // Its turns were passed over.
            wanted = wanted | plan.always;
        }
        drop(earlier);
        let due = Due {
            entry,
            generation,
            why: Why::Compared,
        };
        let outcome = files.read(&due, |_, _| Some(wanted))?;
        let is_there = outcome.read.contains(Wanted::CPU);
        is_there.then(|| due.entry.latest(generation)).flatten()
    }
}

/// What is compared; memory's files only where there were OOM kills.
fn wanted(owner: &OwnerSums, earlier: &CgroupStatistics) -> Wanted {
    let killed = earlier
        .memory
        .as_ref()
        .and_then(|memory| memory.events.oom_kill);
    let wanted = Wanted::CPU | Wanted::IO;
    if owner.sums.oom_victims > 0 || killed.is_some_and(|killed| killed > 0) {
        wanted | Wanted::MEMORY
    } else {
        wanted
    }
}
