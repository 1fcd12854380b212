//! Every sample of a batch is recorded, filtered or lost, and what is recorded is there.

use collector_common::{sample::SchedSample, signal::KernelLoss};
use proptest::prelude::*;

use super::*;
use crate::window::{BatchOutcome, CgroupTotals, LossReason};

/// Spans that mostly fit, in any octave.
fn span(bits: u32) -> impl Strategy<Value = u64> {
    (0..=bits, any::<u64>()).prop_map(|(octave, low)| low & ((1 << octave) - 1))
}

fn sched_sample() -> impl Strategy<Value = SchedSample> {
    // A few ids, so that they repeat; all flags and the unused bits above them.
    (
        0..6_u64,
        0..6_u64,
        span(48),
        0..1_u64 << 16,
        span(44),
        0..1_u64 << 20,
    )
        .prop_map(
            |(prev_cgroup, next_cgroup, wait, flags, slice, skip)| SchedSample {
                next_cgroup,
                prev_cgroup,
                wait_and_flags: wait | (flags << SchedSample::WAIT_BITS),
                slice_and_share: slice | (skip << SchedSample::SLICE_BITS),
            },
        )
}

fn block_sample() -> impl Strategy<Value = BlockSample> {
    (
        0..6_u64,
        span(50),
        span(50),
        any::<u32>(),
        0..3_u32,
        0..12_u16,
        0..4_u16,
    )
        .prop_map(
            |(cgroup, queue_ns, device_ns, bytes, device, operation, flags)| BlockSample {
                cgroup,
                queue_ns,
                device_ns,
                bytes,
                device,
                operation,
                flags,
                since_opened_us: 0,
            },
        )
}

/// What the documentation of `record_sched` says of one sample.
fn expected_of(sample: &SchedSample) -> BatchOutcome {
    let mut outcome = BatchOutcome::default();
    let kernel = if sample.has(SchedSample::FLAG_NEGATIVE) {
        KernelLoss::NegativeDelta
    } else {
        KernelLoss::NoTimestamp
    };
    let half = |idle, unknown, span| {
        (!sample.has(idle)).then(|| {
            if sample.has(unknown) {
                Err(LossReason::Kernel(kernel))
            } else if span > WindowedHistogram::REACH {
                Err(LossReason::OutOfRange)
            } else {
                Ok(())
            }
        })
    };
    let wait = half(
        SchedSample::FLAG_NEXT_IDLE,
        SchedSample::FLAG_NO_WAIT,
        sample.wait_ns(),
    );
    let slice = half(
        SchedSample::FLAG_PREV_IDLE,
        SchedSample::FLAG_NO_SLICE,
        sample.slice_ns(),
    );
    match (wait, slice) {
        (None, None) => outcome.filtered = 1,
        (Some(Err(reason)), _) | (_, Some(Err(reason))) => outcome.lost.add(reason, 1),
        _ => outcome.recorded = 1,
    }
    outcome
}

/// Everything that is stored, the overflow included.
fn all_totals(windows: &CgroupWindows) -> CgroupTotals {
    let mut all = windows.overflow().totals();
    for key in windows.keys() {
        all.merge(&windows.get(key).unwrap().totals());
    }
    all
}

proptest! {
    #[test]
    fn of_context_switches(
        batches in prop::collection::vec(prop::collection::vec(sched_sample(), 0..64), 1..4),
        max_cgroups in 0..8_usize,
    ) {
        let mut windows = CgroupWindows::new(WindowSettings { windows: 2, max_cgroups });
        let (mut found, mut expected) = (BatchOutcome::default(), BatchOutcome::default());
        let (mut wait, mut slice, mut switches, mut skip) = ((0, 0), (0, 0), 0, 0);
        for batch in &batches {
            let outcome = windows.record_sched(HierarchyId::V2, batch);
            prop_assert_eq!(outcome.total(), batch.len() as u64);
            found.merge(&outcome);
            for sample in batch {
                expected.merge(&expected_of(sample));
                let prev = !sample.has(SchedSample::FLAG_PREV_IDLE);
                if !sample.has(SchedSample::FLAG_NEXT_IDLE)
                    && !sample.has(SchedSample::FLAG_NO_WAIT)
                    && sample.wait_ns() <= WindowedHistogram::REACH
                {
                    wait = (wait.0 + 1, wait.1 + sample.wait_ns());
                    skip += sample.skip_ns();
                }
                if prev
                    && !sample.has(SchedSample::FLAG_NO_SLICE)
                    && sample.slice_ns() <= WindowedHistogram::REACH
                {
                    slice = (slice.0 + 1, slice.1 + sample.slice_ns());
                }
                switches += u64::from(prev);
            }
            windows.rotate();
        }
        prop_assert_eq!(found, expected);
        prop_assert!(windows.keys().len() <= max_cgroups);
        let sched = all_totals(&windows).sched.unwrap_or_default();
        prop_assert_eq!(count_and_sum(&sched.wait), wait);
        prop_assert_eq!(count_and_sum(&sched.slice), slice);
        prop_assert_eq!(sched.voluntary + sched.involuntary, switches);
        prop_assert!(sched.preempted_by.iter().sum::<u64>() <= sched.involuntary);
        prop_assert_eq!(sched.clock_skip_ns, skip);
    }

    #[test]
    fn of_block_io(batch in prop::collection::vec(block_sample(), 0..64), max_cgroups in 0..8_usize) {
        let mut windows = CgroupWindows::new(WindowSettings { windows: 2, max_cgroups });
        let codes = codes();
        let outcome = windows.record_block(HierarchyId::V2, &batch, &codes);
        prop_assert_eq!(outcome.total(), batch.len() as u64);

        let counted: Vec<_> =
            batch.iter().filter(|sample| codes.operation(sample.operation.into()).is_some()).collect();
        prop_assert_eq!(outcome.filtered, (batch.len() - counted.len()) as u64);
        let block = all_totals(&windows).block;
        prop_assert_eq!(
            block.iter().map(|b| b.bytes).sum::<u64>(),
            counted.iter().map(|sample| u64::from(sample.bytes)).sum::<u64>()
        );
        let whole = counted.iter().filter(|s| s.flags & BlockSample::FLAG_PARTIAL == 0);
        let fits = |ns: u64| u64::from(ns <= WindowedHistogram::REACH);
        let (mut queue, mut in_device, mut lost) = (0, 0, 0);
        for sample in whole {
            queue += fits(sample.queue_ns);
            in_device += fits(sample.device_ns);
            lost += 1 - fits(sample.queue_ns) * fits(sample.device_ns);
        }
        prop_assert_eq!(block.iter().map(|b| b.queue.count()).sum::<u64>(), queue);
        prop_assert_eq!(block.iter().map(|b| b.in_device.count()).sum::<u64>(), in_device);
        prop_assert_eq!(outcome.lost.of(LossReason::OutOfRange), lost);
        prop_assert_eq!(outcome.lost.total(), lost);
    }
}
