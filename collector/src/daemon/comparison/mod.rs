//! Compares events with the kernel's counters, each container once in an interval: asks for the one, reads
//! the other.

use std::time::{Duration, Instant};

use collector_common::signal::Signal;

use super::{
    cgroup_files::{CgroupFiles, ReadPlan},
    state::State,
};
use crate::{
    host::{
        cgroupfs::{CgroupStatistics, Wanted},
        clock::Ktime,
        host_counters::read_host_counters,
    },
    reconcile::{
        drift::{Checkpoint, CheckpointWish, Drift, OwnerSums, Slice},
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
    /// Whose turn it is next.
    slice: Slice,
    /// When the last one had its turn.
    asked: Instant,
    /// One of each slice.
    seen: Vec<Seen>,
    timer: Timer,
}

/// What was known when a slice had its turn.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Who ended until then was compared.
    ended_until: Ktime,
    /// Events that were lost.
    lost: u64,
}

/// So many turns an interval has: each reads the files of so large a part of the containers in a row.
const SLICES: u32 = 10;

/// Turns are no closer than this: each has its checkpoint, which the samples wait for.
const SHORTEST: Duration = Duration::from_millis(500);

/// A cgroup in which nothing happens rests for so many intervals: it is looked at in each, and goes on
/// resting.
const RESTS_FOR: u32 = 2;

impl Comparison {
    /// All in one interval.
    #[must_use]
    pub fn new(interval: Duration, switches_are_told: bool, state: &State) -> Self {
        let slices = interval.as_millis() / SHORTEST.as_millis();
        let slices = u32::try_from(slices).unwrap_or(SLICES).clamp(1, SLICES);
        Self {
            drift: Drift::new(Ktime::now(), read_host_counters()),
            interval,
            switches_are_told,
            slice: Slice {
                number: 0,
                of: u64::from(slices),
            },
            asked: Instant::now(),
            seen: vec![Seen::default(); slices as usize],
            timer: state.own.factory().timer("reconcile", &[]),
        }
    }

    /// Asks for the events' side when it is time, and compares when it is there.
    pub fn go_on(&mut self, plan: ReadPlan, files: &mut CgroupFiles, state: &State) {
        if self.is_time() {
            state.want_checkpoint(CheckpointWish {
                slice: self.slice,
                ended_after: self.seen(self.slice).ended_until,
            });
            self.slice = self.slice.next();
        }
        if let Some(checkpoint) = state.take_checkpoint() {
            let start = Instant::now();
            self.compare(&checkpoint, plan, files, state);
            self.timer.record(start.elapsed());
        }
    }

    /// Whether it is the next slice's turn. Says so once.
    fn is_time(&mut self) -> bool {
        let turn = self.interval / u32::try_from(self.seen.len()).unwrap_or(SLICES);
        let passed = self.asked.elapsed();
        if passed < turn {
            return false;
        }
        // The thread looks up when it likes: turns that are late do not put off the others.
        let on_time = passed < self.interval;
        self.asked = if on_time {
            self.asked + turn
        } else {
            Instant::now()
        };
        true
    }

    fn seen(&mut self, slice: Slice) -> &mut Seen {
        let place = usize::try_from(slice.number).unwrap_or(0) % self.seen.len();
        &mut self.seen[place]
    }

    fn compare(
        &mut self,
        checkpoint: &Checkpoint,
        plan: ReadPlan,
        files: &mut CgroupFiles,
        state: &State,
    ) {
        let now = Seen {
            ended_until: checkpoint.ended_until,
            lost: lost_events(state),
        };
        let before = std::mem::replace(self.seen(checkpoint.slice), now);
        // What was lost may be all that happened in a cgroup that looks quiet.
        let may_rest = now.lost == before.lost;
        self.drift.begin(checkpoint);
        let (mut read, mut ended) = (Vec::new(), Vec::new());
        for owner in checkpoint.leaves() {
            if state.is_stopping() {
                return;
            }
            if owner.exited {
                let entry = state.readings.entry(owner.owner);
                let last = entry.and_then(|entry| entry.last_figures(owner.identity.generation));
                ended.extend(last.map(|last| (owner, last)));
            } else if let Some(latest) =
                self.read(owner, checkpoint.at, may_rest, plan, files, state)
            {
                read.push((owner, latest));
            }
        }
        self.drift.take_host(checkpoint, read_host_counters());
        for (owner, latest) in read {
            self.drift.compare(checkpoint, owner, &latest);
        }
        for (owner, last) in ended {
            self.drift.compare_ended(owner, &last);
        }
        *state.drift() = self.drift.finish();
    }

    /// The kernel's side, unless it cannot have changed.
    fn read(
        &self,
        owner: &OwnerSums,
        at: Ktime,
        may_rest: bool,
        plan: ReadPlan,
        files: &mut CgroupFiles,
        state: &State,
    ) -> Option<Latest> {
        let generation = owner.identity.generation;
        let entry = state.readings.entry(owner.owner)?;
        // One that was not read yet has its turn soon.
        let earlier = entry.latest(generation)?;
        let is_quiet = may_rest && self.drift.is_quiet(owner, &earlier.statistics);
        let until = Ktime(at.0.saturating_add(self.interval * RESTS_FOR));
        let until = (is_quiet && self.switches_are_told).then_some(until);
        let has_rested = entry.rest_until(generation, until, at);
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

/// Events so far that the sums lack.
fn lost_events(state: &State) -> u64 {
    let accounts = state.accounts();
    [Signal::Sched, Signal::BlockIo, Signal::Oom]
        .into_iter()
        .flat_map(|signal| accounts.of(signal).lost)
        .map(|(_, lost)| lost)
        .sum()
}

#[cfg(test)]
mod tests;
