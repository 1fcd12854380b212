use collector_common::{sample::SchedSample, signal::KernelLoss};
use proptest::prelude::*;

use super::*;
use crate::window::{BatchOutcome, CgroupView, LossReason, Preemptor, SchedTotals, WindowSignal};

fn record(windows: &mut CgroupWindows, samples: &[SchedSample]) -> BatchOutcome {
    windows.record_sched(HierarchyId::V2, samples)
}

fn totals(windows: &CgroupWindows, id: u64) -> SchedTotals {
    windows.get(key(id)).unwrap().sched().unwrap()
}

fn lost(reason: LossReason) -> BatchOutcome {
    let mut outcome = BatchOutcome::default();
    outcome.lost.add(reason, 1);
    outcome
}

#[test]
fn a_switch_charges_the_wait_to_next_and_the_slice_to_prev() {
    let mut windows = windows();
    let outcome = record(
        &mut windows,
        &[switch(1, 2, 500, 30, 0), switch(2, 1, 700, 40, 0)],
    );
    assert_eq!(
        outcome,
        BatchOutcome {
            recorded: 2,
            ..BatchOutcome::default()
        }
    );

    let (one, two) = (totals(&windows, 1), totals(&windows, 2));
    assert_eq!(count_and_sum(&one.slice), (1, 500));
    assert_eq!(count_and_sum(&one.wait), (1, 40));
    assert_eq!(count_and_sum(&two.slice), (1, 700));
    assert_eq!(count_and_sum(&two.wait), (1, 30));
    let view = windows.get(key(2)).unwrap();
    // Buckets are 32 wide there: 700 is in 672..=703.
    assert_eq!(
        view.quantiles(WindowSignal::OncpuSlice).unwrap().values_ns,
        [703; 6]
    );
    assert_eq!(
        view.quantiles(WindowSignal::RunqueueLatency)
            .unwrap()
            .values_ns,
        [30; 6]
    );
}

#[test]
fn the_idle_task_is_nobody() {
    let mut windows = windows();
    let outcome = record(
        &mut windows,
        &[
            switch(0, 2, 500, 30, SchedSample::FLAG_PREV_IDLE),
            switch(2, 0, 600, 30, SchedSample::FLAG_NEXT_IDLE),
            switch(
                0,
                0,
                1,
                1,
                SchedSample::FLAG_NEXT_IDLE | SchedSample::FLAG_PREV_IDLE,
            ),
        ],
    );
    assert_eq!(
        outcome,
        BatchOutcome {
            recorded: 2,
            filtered: 1,
            ..BatchOutcome::default()
        }
    );
    assert_eq!(windows.keys().collect::<Vec<_>>(), [key(2)]);
    let sched = totals(&windows, 2);
    assert_eq!(count_and_sum(&sched.wait), (1, 30));
    assert_eq!(count_and_sum(&sched.slice), (1, 600));
    assert_eq!((sched.voluntary, sched.involuntary), (1, 0));
}

#[test]
fn an_unknown_half_loses_the_event_and_keeps_the_other_half() {
    for (flags, reason) in [
        (0, LossReason::Kernel(KernelLoss::NoTimestamp)),
        (
            SchedSample::FLAG_NEGATIVE,
            LossReason::Kernel(KernelLoss::NegativeDelta),
        ),
    ] {
        let mut windows = windows();
        let no_wait = switch(1, 2, 500, 30, SchedSample::FLAG_NO_WAIT | flags);
        assert_eq!(record(&mut windows, &[no_wait]), lost(reason));
        assert_eq!(count_and_sum(&totals(&windows, 1).slice), (1, 500));
        assert!(windows.get(key(2)).unwrap().sched().is_none());

        let no_slice = switch(1, 2, 500, 30, SchedSample::FLAG_NO_SLICE | flags);
        assert_eq!(record(&mut windows, &[no_slice]), lost(reason));
        assert_eq!(
            count_and_sum(&totals(&windows, 1).slice),
            (1, 500),
            "unchanged"
        );
        assert_eq!(
            totals(&windows, 1).voluntary,
            2,
            "that it switched is known"
        );
        assert_eq!(count_and_sum(&totals(&windows, 2).wait), (1, 30));
    }
}

#[test]
fn a_half_out_of_range_loses_the_event_and_keeps_the_other_half() {
    let mut windows = windows();
    let outcome = record(&mut windows, &[switch(1, 2, 500, TOO_LONG, 0)]);
    assert_eq!(outcome, lost(LossReason::OutOfRange));
    assert_eq!(count_and_sum(&totals(&windows, 1).slice), (1, 500));
    assert!(windows.get(key(2)).unwrap().sched().is_none());

    let outcome = record(&mut windows, &[switch(1, 2, TOO_LONG, 30, 0)]);
    assert_eq!(outcome, lost(LossReason::OutOfRange));
    assert_eq!(count_and_sum(&totals(&windows, 1).slice), (1, 500));
    assert_eq!(count_and_sum(&totals(&windows, 2).wait), (1, 30));
}

#[test]
fn an_event_with_two_bad_halves_is_lost_once_for_the_wait_s_reason() {
    let mut windows = windows();
    let outcome = record(
        &mut windows,
        &[
            switch(1, 2, TOO_LONG, 0, SchedSample::FLAG_NO_WAIT),
            switch(
                1,
                2,
                0,
                TOO_LONG,
                SchedSample::FLAG_NO_SLICE | SchedSample::FLAG_NEGATIVE,
            ),
            switch(
                1,
                2,
                0,
                0,
                SchedSample::FLAG_NO_WAIT | SchedSample::FLAG_NO_SLICE,
            ),
        ],
    );
    assert_eq!(outcome.recorded, 0);
    assert_eq!(
        outcome.lost.of(LossReason::Kernel(KernelLoss::NoTimestamp)),
        2
    );
    assert_eq!(outcome.lost.of(LossReason::OutOfRange), 1);
    assert_eq!(outcome.total(), 3);
}

#[test]
fn the_clock_skip_counts_with_the_wait_that_it_is_part_of() {
    let mut windows = windows();
    let skipping = |wait, flags| SchedSample {
        slice_and_share: 500 + (250 << SchedSample::SLICE_BITS),
        ..switch(1, 2, 0, wait, flags)
    };
    record(
        &mut windows,
        &[
            skipping(300, 0),
            skipping(300, SchedSample::FLAG_NO_WAIT),
            skipping(TOO_LONG, 0),
            skipping(300, SchedSample::FLAG_NEXT_IDLE),
            skipping(300, SchedSample::FLAG_PREV_IDLE),
        ],
    );
    assert_eq!(totals(&windows, 2).clock_skip_ns, 500);
    assert_eq!(count_and_sum(&totals(&windows, 2).wait), (2, 600));
    assert_eq!(totals(&windows, 1).clock_skip_ns, 0);
    assert_eq!(count_and_sum(&totals(&windows, 1).slice), (4, 2_000));
}

/// A wait of `wait` of which `throttled` was a bandwidth limit.
fn throttled(wait: u64, throttled: u64, flags: u64) -> SchedSample {
    let share = SchedSample::throttled_share(throttled, wait);
    SchedSample {
        slice_and_share: 500 + (share << SchedSample::SLICE_BITS),
        ..switch(1, 2, 0, wait, flags | SchedSample::FLAG_THROTTLED)
    }
}

#[test]
fn a_bandwidth_limit_counts_apart_with_the_wait_that_it_is_part_of() {
    let mut windows = windows();
    record(
        &mut windows,
        &[
            throttled(100_000_000, 100_000_000, 0),
            throttled(1_000, 250, 0),
            switch(1, 2, 500, 30, 0),
            throttled(300, 300, SchedSample::FLAG_NO_WAIT),
            throttled(TOO_LONG, TOO_LONG, 0),
        ],
    );
    let sched = totals(&windows, 2);
    assert_eq!(sched.throttled_ns, 100_000_250);
    assert_eq!(count_and_sum(&sched.wait), (3, 100_001_030));
    assert_eq!(sched.clock_skip_ns, 0, "a share is not a skip");
    assert_eq!(count_and_sum(&totals(&windows, 1).slice), (5, 2_500));
    assert_eq!(totals(&windows, 1).throttled_ns, 0);
}

proptest! {
    #[test]
    fn a_throttled_share_is_right_to_a_millionth_of_the_wait_and_never_more_than_it(
        wait in (0..SchedSample::WAIT_BITS).prop_flat_map(|bits| 1..=1_u64 << bits),
        part in 0.0..=1.0_f64,
    ) {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "any part will do"
        )]
        let part = ((wait as f64 * part) as u64).min(wait);
        let wait = wait.min((1 << SchedSample::WAIT_BITS) - 1);
        let part = part.min(wait);
        let read = throttled(wait, part, 0).throttled_ns();
        prop_assert!(read <= wait);
        prop_assert!(read.abs_diff(part) <= wait / 1_000_000 + 1, "{read}, not {part} of {wait}");
        prop_assert_eq!(throttled(wait, wait, 0).throttled_ns(), wait);
    }
}

#[test]
fn who_took_the_cpu_is_told_from_flag_cgroup_and_class() {
    const LOST_CPU: u64 = SchedSample::FLAG_INVOLUNTARY;
    let mut windows = windows();
    // 10 and 11 are cgroups of container 1; 20 is container 2; 30 and 31 are of the system.
    windows.set_class(key(10), container(1));
    windows.set_class(key(11), container(1));
    windows.set_class(key(20), container(2));
    let cases = [
        (10, 10, 0, Some(Preemptor::SameContainer)),
        (10, 11, 0, Some(Preemptor::SameContainer)),
        (10, 20, 0, Some(Preemptor::OtherContainer)),
        (10, 30, 0, Some(Preemptor::System)),
        (
            10,
            30,
            SchedSample::FLAG_NEXT_KTHREAD,
            Some(Preemptor::Kernel),
        ),
        (
            10,
            10,
            SchedSample::FLAG_NEXT_KTHREAD,
            Some(Preemptor::Kernel),
        ),
        (30, 30, 0, Some(Preemptor::SameContainer)),
        (30, 31, 0, Some(Preemptor::System)),
        (30, 10, 0, Some(Preemptor::OtherContainer)),
        (10, 0, SchedSample::FLAG_NEXT_IDLE, None),
    ];
    for (prev, next, flags, expected) in cases {
        let before = windows
            .get(key(prev))
            .and_then(CgroupView::sched)
            .unwrap_or_default();
        record(&mut windows, &[switch(prev, next, 5, 5, LOST_CPU | flags)]);
        let after = totals(&windows, prev);
        let mut counts = before.preempted_by;
        if let Some(by) = expected {
            counts[by as usize] += 1;
        }
        assert_eq!(after.preempted_by, counts, "{prev} to {next}");
        assert_eq!(after.involuntary, before.involuntary + 1);
        assert_eq!(after.voluntary, before.voluntary);
    }
}

#[test]
fn a_voluntary_switch_is_no_preemption() {
    let mut windows = windows();
    record(
        &mut windows,
        &[
            switch(1, 2, 5, 5, 0),
            switch(1, 2, 5, 5, SchedSample::FLAG_NEXT_KTHREAD),
        ],
    );
    let sched = totals(&windows, 1);
    assert_eq!(
        (sched.voluntary, sched.involuntary, sched.preempted_by),
        (2, 0, [0; 4])
    );
}

#[test]
fn strangers_in_the_overflow_slot_are_not_one_container() {
    let mut windows = CgroupWindows::new(WindowSettings {
        max_cgroups: 0,
        ..WindowSettings::default()
    });
    record(
        &mut windows,
        &[
            switch(1, 2, 5, 5, SchedSample::FLAG_INVOLUNTARY),
            switch(3, 3, 5, 5, SchedSample::FLAG_INVOLUNTARY),
        ],
    );
    let sched = windows.overflow().sched().unwrap();
    assert_eq!(sched.preempted_by[Preemptor::System as usize], 1);
    assert_eq!(sched.preempted_by[Preemptor::SameContainer as usize], 1);
}

#[test]
fn cgroup_id_zero_is_an_id_like_others() {
    let mut windows = windows();
    record(&mut windows, &[switch(0, 0, 500, 30, 0)]);
    assert_eq!(windows.take_new(), [key(0)]);
    assert_eq!(count_and_sum(&totals(&windows, 0).slice), (1, 500));
}

#[test]
fn cgscopes_own_taking_of_the_cpu_is_in_no_preemptor_and_what_it_suffers_is_counted() {
    const OWN: u64 = 1;
    const OWN_CONTAINERS: u64 = 2;
    const SYSTEM: u64 = 3;
    const CONTAINER: u64 = 4;
    let involuntary = |prev, next| switch(prev, next, 10, 10, SchedSample::FLAG_INVOLUNTARY);
    let taken = |prev: u64, next: u64, own_number: Option<NonZeroU32>| {
        let mut windows = windows();
        windows.set_class(key(OWN), Class::Own(own_number));
        windows.set_class(key(OWN_CONTAINERS), Class::Own(own_number));
        windows.set_class(key(CONTAINER), container(9));
        record(&mut windows, &[involuntary(prev, next)]);
        let sched = totals(&windows, prev);
        assert_eq!(sched.involuntary, 1);
        assert_eq!(count_and_sum(&totals(&windows, next).wait), (1, 10));
        let by: Vec<_> = Preemptor::ALL
            .into_iter()
            .filter(|by| sched.preempted_by[*by as usize] == 1)
            .collect();
        assert_eq!(by.len() as u64, sched.preempted_by.iter().sum::<u64>());
        by
    };
    for number in [None, NonZeroU32::new(7)] {
        assert_eq!(taken(CONTAINER, OWN, number), []);
        assert_eq!(taken(SYSTEM, OWN, number), []);
        assert_eq!(taken(OWN, OWN, number), [Preemptor::SameContainer]);
        assert_eq!(taken(OWN, CONTAINER, number), [Preemptor::OtherContainer]);
        assert_eq!(taken(OWN, SYSTEM, number), [Preemptor::System]);
    }
    let number = NonZeroU32::new(7);
    assert_eq!(
        taken(OWN, OWN_CONTAINERS, number),
        [Preemptor::SameContainer]
    );
    assert_eq!(taken(OWN, OWN_CONTAINERS, None), []);
}

#[test]
fn a_cgroup_that_is_cgscopes_no_more_counts_again() {
    let mut windows = windows();
    let taken = switch(1, 2, 10, 10, SchedSample::FLAG_INVOLUNTARY);
    windows.set_class(key(2), Class::Own(None));
    record(&mut windows, &[taken]);
    windows.set_class(key(2), Class::System);
    record(&mut windows, &[taken]);
    let sched = totals(&windows, 1);
    assert_eq!((sched.involuntary, sched.preempted_by), (2, [0, 0, 1, 0]));
}
