//! From slow values to samples that have an owner and a time.
//!
//! In: what the windows marked in a batch. Out: [`SlowSamples`]. Never here: a sample that is not slow.

use std::{collections::VecDeque, mem, sync::Arc, time::Duration};

use collector_common::sample::SchedSample;

use super::{
    Pipeline,
    disk_users::{DiskUsers, DiskWait, Request},
    occupants::Occupants,
};
use crate::{
    catalog::CgroupTable,
    drain::{Batch, SampleTimes, Samples, TakenAt},
    host::CgroupKey,
    reconcile::{
        slow::{Meanwhile, SlowAbove, SlowDropped, SlowSample, SlowSamples, SlowThresholds},
        snapshot::ExemplarOf,
    },
    window::{CgroupWindows, SlowSpan},
};

/// Slow samples since they were asked for last.
#[derive(Debug, Default)]
pub(super) struct Slow {
    watched: SlowThresholds,
    times: SampleTimes,
    occupants: Occupants,
    disk_users: DiskUsers,
    samples: Vec<SlowSample>,
    held: VecDeque<Held>,
    ownerless: u64,
}

/// A slow request that waits for what other CPUs have completed meanwhile: that can lie in their batches yet.
#[derive(Debug)]
struct Held {
    sample: SlowSample,
    wait: DiskWait,
    /// How often samples have been asked for since.
    rounds: u32,
}

/// Slow requests that wait: each looks at every request that comes. Of further ones it is not told who had the disk.
const MAX_HELD: usize = 64;

/// Those of one cgroup: lest one that is slow all the time leaves no room for the others.
const MAX_HELD_OF_CGROUP: usize = 16;

impl Pipeline {
    /// How often slow samples are asked for until one that is there is told, at most.
    pub const SLOW_ROUNDS: u32 = 2;

    /// Looks out for containers' samples that take unusually long, from now on, or no longer. While nothing is looked out
    /// for, it costs one comparison for each value.
    ///
    /// Call [`take_slow`](Self::take_slow) after each pass: there are bounds on what is kept until then.
    pub fn watch_slow(&mut self, thresholds: SlowThresholds) {
        self.slow.watched = thresholds;
        if thresholds != SlowThresholds::OFF {
            let most = CgroupWindows::MAX_SLOW + MAX_HELD;
            self.slow.samples.reserve_exact(most);
            self.slow.held.reserve_exact(MAX_HELD);
        }
        self.windows.watch_slow(thresholds);
    }

    /// The slow samples since the last call, and how many could not be kept: of one cgroup no more than 64, of
    /// all 1,024. A request can come a call later: by then it is known who else used its disk, but for what a CPU
    /// completed that fell silent.
    pub fn take_slow(&mut self) -> SlowSamples {
        let left_out = self.windows.begin_slow_round();
        self.tell_requests();
        SlowSamples {
            // What was taken in one pass is most likely needed in the next.
            samples: self.slow.samples.drain(..).collect(),
            dropped: SlowDropped {
                of_cgroup: left_out.of_cgroup,
                of_all: left_out.of_all,
                ownerless: mem::take(&mut self.slow.ownerless),
            },
        }
    }

    /// Takes note of a batch that was recorded.
    pub(super) fn look_for_slow(&mut self, batch: &Batch<'_>) {
        let is_watched = match batch.samples {
            Samples::Sched(_) => self.slow.watched.runqueue != SlowAbove::Off,
            Samples::BlockIo(_) => self.slow.watched.block_io != SlowAbove::Off,
        };
        if !is_watched {
            return;
        }
        self.slow.times.note(batch);
        for request in Request::all(batch, &self.slow.times) {
            self.slow.disk_users.keep(request);
            for held in &mut self.slow.held {
                held.wait.meet(&request);
            }
        }
        if !self.windows.slow_marks().is_empty() {
            self.keep_slow(batch);
        }
        self.slow.occupants.keep(batch);
    }

    #[cold]
    fn keep_slow(&mut self, batch: &Batch<'_>) {
        for mark in self.windows.slow_marks() {
            let Some((owner, of)) = self.table.owner_of(mark.cgroup) else {
                self.slow.ownerless += 1;
                continue;
            };
            let TakenAt { at, within } = self.slow.times.of(batch, mark.position);
            let mut sample = SlowSample {
                owner,
                generation: of.identity.generation,
                of: histogram_of(mark.span),
                took: Duration::from_nanos(mark.ns),
                throttled: throttled(batch, mark.position),
                ended: at,
                within,
                meanwhile: None,
            };
            if let Some(request) = Request::of(batch, mark.position, &self.slow.times) {
                if let SlowSpan::BlockQueue(..) = mark.span {
                    sample.ended = request.issued;
                }
                self.slow.keep_request(sample, request);
            } else {
                let occupant = self.slow.occupants.longest(batch, mark.position);
                sample.meanwhile = occupant.and_then(|occupant| {
                    let key = CgroupKey::new(self.tasks, occupant.cgroup);
                    meanwhile(&self.table, key, occupant.had)
                });
                self.slow.samples.push(sample);
            }
        }
        self.windows.clear_slow_marks();
    }

    /// Tells of the requests that have waited long enough.
    fn tell_requests(&mut self) {
        for held in &mut self.slow.held {
            held.rounds += 1;
        }
        let is_due = |held: &Held| held.rounds >= Self::SLOW_ROUNDS;
        while self.slow.held.front().is_some_and(is_due)
            && let Some(Held {
                mut sample, wait, ..
            }) = self.slow.held.pop_front()
        {
            sample.meanwhile = wait.longest().and_then(|user| {
                let key = CgroupKey::new(self.block, user.cgroup);
                meanwhile(&self.table, key, user.had)
            });
            self.slow.samples.push(sample);
        }
    }
}

impl Slow {
    fn keep_request(&mut self, sample: SlowSample, of: Request) {
        let of_owner = self
            .held
            .iter()
            .filter(|held| held.sample.owner == sample.owner);
        if self.held.len() >= MAX_HELD || of_owner.count() >= MAX_HELD_OF_CGROUP {
            self.samples.push(sample);
            return;
        }
        let wait = self.disk_users.wait(of, sample.ended, sample.took);
        self.held.push_back(Held {
            sample,
            wait,
            rounds: 0,
        });
    }
}

/// A cgroup had something for so long.
fn meanwhile(table: &CgroupTable, key: CgroupKey, had: Duration) -> Option<Meanwhile> {
    let (_, owner) = table.owner_of(key)?;
    let who = Arc::clone(&owner.identity);
    Some(Meanwhile { who, had })
}

/// Which part of a wait was a bandwidth limit.
fn throttled(batch: &Batch<'_>, position: usize) -> Duration {
    let sample = match batch.samples {
        Samples::Sched(samples) => samples.get(position),
        Samples::BlockIo(_) => None,
    };
    Duration::from_nanos(sample.map_or(0, SchedSample::throttled_ns))
}

const fn histogram_of(span: SlowSpan) -> ExemplarOf {
    match span {
        SlowSpan::Wait => ExemplarOf::RunqueueLatency,
        SlowSpan::BlockQueue(device, operation) => ExemplarOf::BlockIoQueue { device, operation },
        SlowSpan::BlockDevice(device, operation) => ExemplarOf::BlockIoDevice { device, operation },
    }
}
