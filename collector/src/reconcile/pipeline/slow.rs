//! From slow values to samples that have an owner and a time.
//!
//! In: what the windows marked in a batch. Out: [`SlowSamples`]. Never here: a sample that is not slow.

use std::{mem, sync::Arc, time::Duration};

use collector_common::sample::SchedSample;

use super::{
    Pipeline,
    disk_users::{DiskUsers, Request},
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
#[derive(Debug)]
pub(super) struct Slow {
    watched: SlowThresholds,
    times: SampleTimes,
    occupants: Occupants,
    disk_users: DiskUsers,
    samples: Vec<SlowSample>,
    /// Which of them are requests: who had their disk is known when the pass is over, and with it what other
    /// CPUs have completed.
    requests: Vec<(usize, Request)>,
    ownerless: u64,
}

impl Default for Slow {
    fn default() -> Self {
        Self {
            watched: SlowThresholds::OFF,
            times: SampleTimes::default(),
            occupants: Occupants::default(),
            disk_users: DiskUsers::default(),
            samples: Vec::new(),
            requests: Vec::new(),
            ownerless: 0,
        }
    }
}

impl Pipeline {
    /// Looks out for containers' samples that take unusually long, from now on, or no longer. While nothing is looked out
    /// for, it costs one comparison for each value.
    ///
    /// Call [`take_slow`](Self::take_slow) after each pass: there are bounds on what is kept until then.
    pub fn watch_slow(&mut self, thresholds: SlowThresholds) {
        self.slow.watched = thresholds;
        if thresholds != SlowThresholds::OFF {
            self.slow.samples.reserve_exact(CgroupWindows::MAX_SLOW);
            self.slow.requests.reserve_exact(CgroupWindows::MAX_SLOW);
        }
        self.windows.watch_slow(thresholds);
    }

    /// The slow samples since the last call, and how many could not be kept: of one cgroup no more than 64, of
    /// all 1,024.
    pub fn take_slow(&mut self) -> SlowSamples {
        let left_out = self.windows.begin_slow_round();
        self.name_disk_users();
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
        if !self.windows.slow_marks().is_empty() {
            self.keep_slow(batch);
        }
        self.slow.occupants.keep(batch);
        self.slow.disk_users.keep(batch, &self.slow.times);
    }

    #[cold]
    fn keep_slow(&mut self, batch: &Batch<'_>) {
        for mark in self.windows.slow_marks() {
            let Some((owner, of)) = self.table.owner_of(mark.cgroup) else {
                self.slow.ownerless += 1;
                continue;
            };
            let occupant = self.slow.occupants.longest(batch, mark.position);
            let meanwhile = occupant.and_then(|occupant| {
                let key = CgroupKey::new(self.tasks, occupant.cgroup);
                meanwhile(&self.table, key, occupant.had)
            });
            let TakenAt { at, within } = self.slow.times.of(batch, mark.position);
            let request = Request::of(batch, mark.position, &self.slow.times);
            let ended = match (mark.span, request) {
                (SlowSpan::BlockQueue(..), Some(request)) => request.issued,
                _ => at,
            };
            let index = self.slow.samples.len();
            let requests = request.map(|request| (index, request));
            self.slow.requests.extend(requests);
            self.slow.samples.push(SlowSample {
                owner,
                generation: of.identity.generation,
                of: histogram_of(mark.span),
                took: Duration::from_nanos(mark.ns),
                throttled: throttled(batch, mark.position),
                ended,
                within,
                meanwhile,
            });
        }
        self.windows.clear_slow_marks();
    }

    fn name_disk_users(&mut self) {
        for (index, request) in self.slow.requests.drain(..) {
            let Some(sample) = self.slow.samples.get_mut(index) else {
                continue;
            };
            let users = &mut self.slow.disk_users;
            sample.meanwhile = users
                .longest(request, sample.ended, sample.took)
                .and_then(|user| {
                    let key = CgroupKey::new(self.block, user.cgroup);
                    meanwhile(&self.table, key, user.had)
                });
        }
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
