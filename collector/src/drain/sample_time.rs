//! When was each sample of a batch taken?
//!
//! In: batches. Out: the time of one sample on the monotonic clock, and how far it may be off. Never here: a value for
//! every sample: a batch is walked when somebody asks, and now and then to compare its CPU's clock.
//!
//! A sample has no time stamp. A batch has two: when its first sample was taken, and when it was submitted. Context
//! switches follow one another, each with the time that passed since the one before, so they can be counted from
//! the batch's beginning, on the clock of their CPU's run queue; and a batch that is submitted because it is full or
//! old is so by its last sample, at once, which tells how far that clock is behind ktime. It is told late rather than
//! early: by what passed between the switch and the submission, which is little unless a hypervisor took the
//! CPU just then. So the smallest distance of the latest ones is taken.

use std::time::Duration;

use collector_common::sample::{FLUSH_NS, SCHED_BATCH, SchedSample};

use super::{Batch, Samples, in_flight::MAX_CPUS};
use crate::host::clock::Ktime;

/// When a sample was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakenAt {
    /// At the latest.
    pub at: Ktime,
    /// It can have been earlier by so much.
    pub within: Duration,
}

/// The clocks of all CPUs' run queues.
#[derive(Clone, Debug, Default)]
pub struct SampleTimes {
    cpus: Vec<CpuClock>,
}

/// The clock of one CPU's run queue.
#[derive(Clone, Debug, Default)]
struct CpuClock {
    readings: [Reading; READINGS],
    /// Where the newest of them is.
    newest: usize,
    /// The batch that was noted last, and the one before.
    batches: [Submitted; 2],
}

/// How far ktime was ahead at a moment, at the most.
#[derive(Clone, Copy, Debug, Default)]
struct Reading {
    /// The run queue's clock; 0 before the first reading.
    at_ns: u64,
    /// A wrapping difference.
    distance_ns: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Submitted {
    sequence: u64,
    ktime_ns: u64,
}

/// How many readings are compared.
const READINGS: usize = 8;

/// How far apart they are at least. Closer ones would be late together.
const READ_NS: u64 = 10_000_000;

/// How old a reading may be.
const LATE_NS: u64 = 2_000_000_000;

/// By how much ktime can be steered against the run queue's clock: 500 millionths, the kernel's own limit.
const DRIFT_SHIFT: u32 = 11;

/// What passes between a switch and its submission when nothing comes between.
const SUBMISSION_NS: u64 = 20_000;

/// How late a reading may be that no other one confirms.
const UNCONFIRMED_NS: u64 = 1_000_000;

/// The switches of a batch in time.
#[derive(Clone, Copy, Debug)]
struct Walk {
    /// From the first switch to the one that was asked for; `None` when a step on the way is unknown.
    until: Option<u64>,
    /// From there to the last one.
    behind: Option<u64>,
    /// Whether the last switch submitted the batch.
    is_prompt: bool,
}

impl Walk {
    fn to(samples: &[SchedSample], position: usize) -> Self {
        let mut spans = [Some(0_u64); 2];
        for (index, sample) in samples.iter().enumerate().skip(1) {
            let span = &mut spans[usize::from(index > position)];
            let step = (!sample.has(SchedSample::FLAG_NO_SLICE)).then(|| sample.slice_ns());
            *span = span.zip(step).map(|(span, step)| span + step);
        }
        let [until, behind] = spans;
        let is_old = until
            .zip(behind)
            .is_some_and(|(until, behind)| until + behind > FLUSH_NS);
        Self {
            until,
            behind,
            is_prompt: samples.len() == SCHED_BATCH || is_old,
        }
    }
}

impl SampleTimes {
    /// Takes note of a batch. To be called for each, before [`of`](Self::of): it is rarely looked into.
    pub fn note(&mut self, batch: &Batch<'_>) {
        let Samples::Sched(samples) = batch.samples else {
            return;
        };
        let cpu = batch.header.cpu as usize;
        if cpu >= self.cpus.len() && cpu < MAX_CPUS {
            self.cpus.resize_with(cpu + 1, CpuClock::default);
        }
        let Some(clock) = self.cpus.get_mut(cpu) else {
            return;
        };
        let submitted = Submitted {
            sequence: batch.header.sequence,
            ktime_ns: batch.header.submitted_ktime_ns,
        };
        clock.batches = [submitted, clock.batches[0]];
        let opened_ns = batch.header.opened_ns;
        let newest = clock.readings[clock.newest];
        if newest.at_ns != 0 && opened_ns.wrapping_sub(newest.at_ns) < READ_NS {
            return;
        }
        let last = samples.len().saturating_sub(1);
        if let Walk {
            until: Some(until),
            is_prompt: true,
            ..
        } = Walk::to(samples, last)
        {
            let at_ns = opened_ns.wrapping_add(until);
            clock.newest = (clock.newest + 1) % READINGS;
            clock.readings[clock.newest] = Reading {
                at_ns,
                distance_ns: submitted.ktime_ns.wrapping_sub(at_ns),
            };
        }
    }

    /// When a sample of the batch that was noted last was taken.
    #[must_use]
    pub fn of(&self, batch: &Batch<'_>, position: usize) -> TakenAt {
        let header = batch.header;
        match batch.samples {
            Samples::BlockIo(samples) => {
                let since_us = samples.get(position).map_or(0, |of| of.since_opened_us);
                let at_ns = header.opened_ns.saturating_add(u64::from(since_us) * 1_000);
                // Cut to whole microseconds, or to as many as there is room for.
                if since_us == u32::MAX {
                    taken(header.submitted_ktime_ns, at_ns)
                } else {
                    taken(at_ns.saturating_add(1_000), at_ns)
                }
            }
            Samples::Sched(samples) => {
                let clock = self.cpus.get(header.cpu as usize);
                let walk = Walk::to(samples, position);
                switched_at(clock, &walk, header.opened_ns, header.submitted_ktime_ns)
            }
        }
    }
}

fn switched_at(
    clock: Option<&CpuClock>,
    walk: &Walk,
    opened_ns: u64,
    submitted_ns: u64,
) -> TakenAt {
    // The switches behind it came before the submission.
    let latest = submitted_ns.saturating_sub(walk.behind.unwrap_or(0));
    let from_beginning = walk.until.zip(clock).and_then(|(until, clock)| {
        let at_ns = opened_ns.wrapping_add(until);
        let (distance_ns, within_ns) = clock.distance(at_ns)?;
        Some((at_ns.wrapping_add(distance_ns), within_ns))
    });
    if let Some((at_ns, within_ns)) = from_beginning {
        let at_ns = at_ns.min(latest);
        return taken(at_ns, at_ns.saturating_sub(within_ns));
    }
    if walk.is_prompt && walk.behind.is_some() {
        return taken(latest, latest.saturating_sub(UNCONFIRMED_NS));
    }
    // All of a batch came after the one before was submitted.
    taken(latest, clock.map_or(0, CpuClock::submitted_before))
}

fn taken(at_ns: u64, earliest_ns: u64) -> TakenAt {
    TakenAt {
        at: Ktime::from_ns(at_ns),
        within: Duration::from_nanos(at_ns.saturating_sub(earliest_ns)),
    }
}

impl CpuClock {
    /// How far ktime is ahead at a moment of the run queue's clock, at the most, and how much less it may be.
    fn distance(&self, at_ns: u64) -> Option<(u64, u64)> {
        let mut least: Option<(u64, u64)> = None;
        let mut second = None;
        for reading in self.readings.iter().filter(|reading| reading.at_ns != 0) {
            // The moment can be before a reading: both are of one batch.
            let age = reading.at_ns.abs_diff(at_ns);
            if age > LATE_NS {
                continue;
            }
            let drift = age >> DRIFT_SHIFT;
            let distance = reading.distance_ns.wrapping_add(drift);
            // By how much it is more than the least one, if it is.
            let more = least.map_or(0, |(least, _)| distance.wrapping_sub(least).cast_signed());
            match least {
                Some(_) if more >= 0 => {
                    let more = more.unsigned_abs();
                    second = Some(second.map_or(more, |second: u64| second.min(more)));
                }
                Some(_) => {
                    second = Some(more.unsigned_abs());
                    least = Some((distance, drift));
                }
                None => least = Some((distance, drift)),
            }
        }
        let (distance, drift) = least?;
        let confirmed = second.unwrap_or(UNCONFIRMED_NS).min(UNCONFIRMED_NS);
        Some((distance, confirmed + 2 * drift + SUBMISSION_NS))
    }

    /// When the batch before the last one was submitted; 0 when it was lost.
    const fn submitted_before(&self) -> u64 {
        let [last, before] = self.batches;
        if before.ktime_ns != 0 && before.sequence.wrapping_add(1) == last.sequence {
            before.ktime_ns
        } else {
            0
        }
    }
}
