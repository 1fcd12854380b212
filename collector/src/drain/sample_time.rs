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

use super::{Batch, PerCpu, Samples};
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
    cpus: PerCpu<CpuClock>,
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
        let Some(clock) = self.cpus.of(batch.header.cpu) else {
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
                let clock = self.cpus.get(header.cpu);
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

#[cfg(test)]
mod tests {
    use collector_common::{
        sample::{BatchHeader, BlockSample},
        signal::Signal,
    };
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;

    /// How far ktime is ahead of the run queue's clock; as a wrapping difference, behind it.
    const AHEADS: [u64; 2] = [123_456 * MS, 0_u64.wrapping_sub(77 * MS)];

    fn switch(since_last_ns: u64, flags: u64) -> SchedSample {
        SchedSample {
            wait_and_flags: flags,
            slice_and_share: since_last_ns,
            ..SchedSample::default()
        }
    }

    fn header(sequence: u64, opened_ns: u64, submitted_ns: u64) -> BatchHeader {
        BatchHeader {
            signal: Signal::Sched as u16,
            cpu: 3,
            opened_ns,
            submitted_ktime_ns: submitted_ns,
            sequence,
            ..BatchHeader::default()
        }
    }

    fn noted<'a>(
        times: &mut SampleTimes,
        header: &'a BatchHeader,
        samples: &'a [SchedSample],
    ) -> Batch<'a> {
        let samples = Samples::Sched(samples);
        let batch = Batch { header, samples };
        times.note(&batch);
        batch
    }

    /// Full batches of one switch a millisecond, submitted so late.
    fn calibrated(ahead: u64, late_ns: &[u64]) -> SampleTimes {
        let mut times = SampleTimes::default();
        let samples = [switch(MS, SchedSample::FLAG_PREV_IDLE); SCHED_BATCH];
        for (number, late) in (0..).zip(late_ns) {
            let opened = 1_000 * MS + number * 64 * MS;
            let submitted = (opened + 63 * MS + late).wrapping_add(ahead);
            noted(&mut times, &header(number, opened, submitted), &samples);
        }
        times
    }

    #[test]
    fn a_sample_of_a_full_batch_is_told_to_the_microsecond_whatever_came_before_it() {
        for ahead in AHEADS {
            let mut times = calibrated(ahead, &[500, 500]);
            let opened = 1_128 * MS;
            let samples: Vec<_> = (0..64).map(|step| switch(step * 10_000, 0)).collect();
            let passed = |position: u64| (1..=position).sum::<u64>() * 10_000;
            let submitted = (opened + passed(63) + 500).wrapping_add(ahead);
            let header = header(2, opened, submitted);
            let batch = noted(&mut times, &header, &samples);
            for position in [0, 1, 40, 63] {
                let TakenAt { at, within } = times.of(&batch, position);
                let truth = Ktime::from_ns((opened + passed(position as u64)).wrapping_add(ahead));
                let late = at.0.checked_sub(truth.0).expect("never too early");
                assert!(late < Duration::from_micros(10), "{position}: {late:?}");
                assert!(late <= within && within < Duration::from_micros(200));
            }
        }
    }

    #[test]
    fn a_batch_that_lay_until_it_was_flushed_has_the_times_of_its_switches() {
        for ahead in AHEADS {
            let mut times = calibrated(ahead, &[900, 300, 700]);
            let opened = 1_200 * MS;
            let samples = [switch(0, 0), switch(7 * MS, 0), switch(5 * MS, 0)];
            // The daemon did it 800 ms later.
            let submitted = (opened + 812 * MS).wrapping_add(ahead);
            let header = header(3, opened, submitted);
            let batch = noted(&mut times, &header, &samples);
            for (position, passed) in [(0, 0), (1, 7 * MS), (2, 12 * MS)] {
                let TakenAt { at, within } = times.of(&batch, position);
                let truth = Ktime::from_ns((opened + passed).wrapping_add(ahead));
                let late = at.0.checked_sub(truth.0).expect("never too early");
                assert!(late < Duration::from_micros(100), "{late:?}");
                assert!(late <= within && within < Duration::from_micros(500));
            }
        }
    }

    #[test]
    fn one_submission_that_was_held_up_does_not_move_the_others() {
        let mut times = calibrated(0, &[500, 400, 30 * MS, 600]);
        let opened = 1_256 * MS;
        let header = header(4, opened, opened + 900 * MS);
        let samples = [switch(0, 0)];
        let batch = noted(&mut times, &header, &samples);
        let TakenAt { at, within } = times.of(&batch, 0);
        let late = at.0.saturating_sub(Duration::from_nanos(opened));
        assert!(
            late < Duration::from_micros(200) && late <= within,
            "{late:?}"
        );
    }

    #[test]
    fn without_any_comparison_the_bounds_are_the_batch_before_and_the_submission() {
        let mut times = SampleTimes::default();
        let samples = [switch(0, 0), switch(3 * MS, 0)];
        let [first, second, gap] = [(0, 900), (1, 1_800), (5, 2_700)]
            .map(|(sequence, submitted)| header(sequence, 5 * MS, submitted * MS));
        let batch = noted(&mut times, &first, &samples);
        assert_eq!(times.of(&batch, 1), taken(900 * MS, 0));
        let batch = noted(&mut times, &second, &samples);
        assert_eq!(times.of(&batch, 1), taken(1_800 * MS, 900 * MS));
        assert_eq!(times.of(&batch, 0), taken(1_797 * MS, 900 * MS));
        let batch = noted(&mut times, &gap, &samples);
        assert_eq!(times.of(&batch, 1), taken(2_700 * MS, 0), "some were lost");
    }

    #[test]
    fn behind_a_step_that_is_unknown_it_is_counted_from_the_end() {
        let mut times = calibrated(0, &[500, 500]);
        let mut samples = [switch(MS, 0); SCHED_BATCH];
        samples[10] = switch(0, SchedSample::FLAG_NO_SLICE);
        let opened = 1_128 * MS;
        let submitted = opened + 500 * MS;
        let header = header(2, opened, submitted);
        let batch = noted(&mut times, &header, &samples);
        let before = times.of(&batch, 9);
        let truth = Duration::from_nanos(opened + 9 * MS);
        assert!(before.at.0.abs_diff(truth) < Duration::from_micros(100));
        let unconfirmed = UNCONFIRMED_NS;
        let last = taken(submitted, submitted - unconfirmed);
        assert_eq!(times.of(&batch, 63), last);
        let first_behind = submitted - 53 * MS;
        let first_behind = taken(first_behind, first_behind - unconfirmed);
        assert_eq!(times.of(&batch, 10), first_behind);
    }

    #[test]
    fn a_completion_has_its_own_microseconds() {
        let times = SampleTimes::default();
        let completion = |since_opened_us| BlockSample {
            since_opened_us,
            ..BlockSample::default()
        };
        let header = header(0, 5 * MS, 90 * MS);
        let samples = [completion(0), completion(70), completion(u32::MAX)];
        let batch = Batch {
            header: &header,
            samples: Samples::BlockIo(&samples),
        };
        assert_eq!(times.of(&batch, 1), taken(5 * MS + 71_000, 5 * MS + 70_000));
        assert_eq!(
            times.of(&batch, 2).at,
            Ktime::from_ns(90 * MS),
            "at the latest"
        );
    }

    proptest! {
        #[test]
        fn nothing_that_a_batch_can_hold_is_taken_after_its_submission(
            samples in prop::collection::vec((any::<u64>(), any::<u64>()), 1..=SCHED_BATCH),
            headers in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>()), 1..5),
        ) {
            let samples: Vec<_> = samples
                .into_iter()
                .map(|(wait_and_flags, slice_and_share)| SchedSample {
                    wait_and_flags,
                    slice_and_share,
                    ..SchedSample::default()
                })
                .collect();
            let mut times = SampleTimes::default();
            for (sequence, opened, submitted) in headers {
                let header = header(sequence, opened, submitted);
                let batch = noted(&mut times, &header, &samples);
                for position in 0..samples.len() {
                    let TakenAt { at, within } = times.of(&batch, position);
                    prop_assert!(at <= Ktime::from_ns(submitted));
                    prop_assert!(within <= at.0);
                }
            }
        }
    }
}
