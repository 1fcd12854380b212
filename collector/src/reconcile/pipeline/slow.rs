//! From slow values to samples that have an owner and a time.
//!
//! In: what the windows marked in a batch. Out: [`SlowSamples`]. Never here: a sample that is not slow.

use std::{mem, sync::Arc, time::Duration};

use collector_common::sample::SchedSample;

use super::{Pipeline, occupants::Occupants};
use crate::{
    drain::{Batch, SampleTimes, Samples, TakenAt},
    host::CgroupKey,
    reconcile::{
        slow::{Meanwhile, SlowDropped, SlowSample, SlowSamples, SlowThresholds},
        snapshot::ExemplarOf,
    },
    window::{CgroupWindows, SlowSpan},
};

/// Slow samples since they were asked for last.
#[derive(Debug, Default)]
pub(super) struct Slow {
    is_watched: bool,
    times: SampleTimes,
    occupants: Occupants,
    samples: Vec<SlowSample>,
    ownerless: u64,
}

impl Pipeline {
    /// Looks out for containers' samples that take unusually long, from now on, or no longer. While nothing is looked out
    /// for, it costs one comparison for each value.
    ///
    /// Call [`take_slow`](Self::take_slow) after each pass: there are bounds on what is kept until then.
    pub fn watch_slow(&mut self, thresholds: SlowThresholds) {
        self.slow.is_watched = thresholds != SlowThresholds::OFF;
        if self.slow.is_watched {
            self.slow.samples.reserve_exact(CgroupWindows::MAX_SLOW);
        }
        self.windows.watch_slow(thresholds);
    }

    /// The slow samples since the last call, and how many could not be kept: of one cgroup no more than 64, of
    /// all 1,024.
    pub fn take_slow(&mut self) -> SlowSamples {
        let left_out = self.windows.begin_slow_round();
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
        if !self.slow.is_watched {
            return;
        }
        self.slow.times.note(batch);
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
            let occupant = self.slow.occupants.longest(batch, mark.position);
            let meanwhile = occupant.and_then(|occupant| {
                let key = CgroupKey::new(self.tasks, occupant.cgroup);
                let (_, owner) = self.table.owner_of(key)?;
                Some(Meanwhile {
                    who: Arc::clone(&owner.identity),
                    had: occupant.had,
                })
            });
            let TakenAt { at, within } = self.slow.times.of(batch, mark.position);
            self.slow.samples.push(SlowSample {
                owner,
                generation: of.identity.generation,
                of: histogram_of(mark.span),
                took: Duration::from_nanos(mark.ns),
                throttled: throttled(batch, mark.position),
                ended: at,
                within,
                meanwhile,
            });
        }
        self.windows.clear_slow_marks();
    }
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
