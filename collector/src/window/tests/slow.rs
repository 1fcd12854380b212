//! Which values are marked as slow.

use std::time::Duration;

use super::*;
use crate::window::{SlowAbove, SlowLeftOut, SlowMark, SlowSpan, SlowThresholds};

const MS: u64 = 1_000_000;

const TEN_MS: SlowAbove = SlowAbove::Time(Duration::from_millis(10));

fn both(above: SlowAbove) -> SlowThresholds {
    SlowThresholds {
        runqueue: above,
        block_io: above,
    }
}

fn watching(above: SlowAbove) -> CgroupWindows {
    let mut windows = windows();
    for id in 1..=20 {
        windows.set_class(key(id), container(1));
    }
    windows.watch_slow(both(above));
    windows
}

/// Waits of one cgroup, and which of them are marked.
fn slow_waits(windows: &mut CgroupWindows, id: u64, waits_ns: &[u64]) -> Vec<u64> {
    for &wait in waits_ns {
        windows.record_sched(HierarchyId::V2, &[switch(99, id, 5, wait, 0)]);
    }
    let marked = windows.slow_marks().iter().map(|mark| mark.ns).collect();
    windows.clear_slow_marks();
    marked
}

#[test]
fn a_value_at_the_threshold_is_not_slow_and_the_next_nanosecond_is() {
    let mut windows = watching(TEN_MS);
    let samples = [
        switch(2, 1, 5, 10 * MS, 0),
        switch(1, 2, 5, 10 * MS + 1, 0),
        switch(2, 1, 50 * MS, 1, 0),
    ];
    windows.record_sched(HierarchyId::V2, &samples);
    let mark = SlowMark {
        cgroup: key(2),
        position: 1,
        span: SlowSpan::Wait,
        ns: 10 * MS + 1,
    };
    assert_eq!(windows.slow_marks(), [mark], "slices are not looked at");
}

#[test]
fn what_is_in_no_histogram_is_not_slow() {
    let mut windows = watching(TEN_MS);
    let samples = [
        switch(2, 1, 5, TOO_LONG, 0),
        switch(2, 1, 5, 20 * MS, SchedSample::FLAG_NO_WAIT),
        switch(2, 0, 5, 20 * MS, SchedSample::FLAG_NEXT_IDLE),
    ];
    windows.record_sched(HierarchyId::V2, &samples);
    let completion = |queue_ns, device_ns, flags| BlockSample {
        queue_ns,
        device_ns,
        ..completion(1, 1, flags)
    };
    let samples = [
        completion(TOO_LONG, TOO_LONG, 0),
        completion(20 * MS, 20 * MS, BlockSample::FLAG_PARTIAL),
        completion(20 * MS, 30 * MS, BlockSample::FLAG_EMPTY_FLUSH),
    ];
    windows.record_block(HierarchyId::V2, &samples, &codes());
    let flush = SlowMark {
        cgroup: key(1),
        position: 2,
        span: SlowSpan::BlockDevice(DISK, Operation::Flush),
        ns: 30 * MS,
    };
    assert_eq!(windows.slow_marks(), [flush]);
}

#[test]
fn a_quantile_is_of_the_cgroup_s_own_windows_and_holds_from_their_rotation_on() {
    let mut windows = watching(SlowAbove::Quantile {
        quantile: 0.9,
        least: Duration::from_nanos(1),
    });
    let usual: Vec<u64> = (1..=100).map(|ms| ms * MS).collect();
    assert!(
        slow_waits(&mut windows, 1, &usual).is_empty(),
        "nothing is known yet"
    );
    slow_waits(&mut windows, 2, &[MS; 100]);
    windows.rotate();
    // The bucket of P90 reaches a sixteenth further.
    let unusual = [90 * MS, 97 * MS];
    assert_eq!(slow_waits(&mut windows, 1, &unusual), [97 * MS]);
    assert_eq!(slow_waits(&mut windows, 2, &unusual), unusual);
    assert!(
        slow_waits(&mut windows, 3, &unusual).is_empty(),
        "a new one"
    );
    // What was unusual is usual when it is in the windows.
    slow_waits(&mut windows, 2, &[97 * MS; 900]);
    windows.rotate();
    assert!(slow_waits(&mut windows, 2, &unusual).is_empty());
    for _ in 0..WindowSettings::DEFAULT_WINDOWS {
        windows.rotate();
    }
    assert!(
        slow_waits(&mut windows, 2, &[200 * MS]).is_empty(),
        "forgotten"
    );
}

#[test]
fn a_quantile_below_the_least_time_does_not_make_it_slow() {
    let mut windows = watching(SlowAbove::Quantile {
        quantile: 0.99,
        least: Duration::from_millis(10),
    });
    slow_waits(&mut windows, 1, &[1_000; 100]);
    windows.rotate();
    let unusual = [9 * MS, 10 * MS, 11 * MS];
    assert_eq!(slow_waits(&mut windows, 1, &unusual), [11 * MS]);
}

#[test]
fn each_stage_of_block_io_has_a_quantile_of_its_own() {
    let mut windows = watching(SlowAbove::Quantile {
        quantile: 0.9,
        least: Duration::ZERO,
    });
    let record = |windows: &mut CgroupWindows, queue_ns, device_ns| {
        let sample = BlockSample {
            queue_ns,
            device_ns,
            ..completion(1, 0, 0)
        };
        windows.record_block(HierarchyId::V2, &[sample], &codes());
    };
    record(&mut windows, MS, 50 * MS);
    windows.rotate();
    record(&mut windows, 2 * MS, 40 * MS);
    record(&mut windows, MS, 60 * MS);
    let spans: Vec<_> = windows.slow_marks().iter().map(|mark| mark.span).collect();
    assert_eq!(
        spans,
        [
            SlowSpan::BlockQueue(DISK, Operation::Read),
            SlowSpan::BlockDevice(DISK, Operation::Read)
        ]
    );
}

#[test]
fn a_cgroup_that_is_removed_leaves_no_threshold_to_the_next_in_its_place() {
    let mut windows = watching(SlowAbove::Quantile {
        quantile: 0.5,
        least: Duration::ZERO,
    });
    slow_waits(&mut windows, 1, &[1_000; 10]);
    windows.rotate();
    assert_eq!(slow_waits(&mut windows, 1, &[MS]), [MS]);
    windows.remove(key(1)).unwrap();
    assert!(slow_waits(&mut windows, 5, &[MS]).is_empty());
}

#[test]
fn strangers_in_the_overflow_slot_have_no_usual_time() {
    let mut windows = CgroupWindows::new(WindowSettings {
        max_cgroups: 1,
        ..WindowSettings::default()
    });
    windows.watch_slow(both(TEN_MS));
    for id in [1, 2] {
        windows.set_class(key(id), container(1));
    }
    windows.record_sched(HierarchyId::V2, &[switch(1, 1, 5, 20 * MS, 0)]);
    windows.clear_slow_marks();
    windows.rotate();
    assert!(slow_waits(&mut windows, 2, &[20 * MS]).is_empty());
    assert_eq!(slow_waits(&mut windows, 1, &[20 * MS]), [20 * MS]);
}

#[test]
fn what_is_beyond_the_bounds_is_counted_by_which_of_them() {
    let mut windows = watching(TEN_MS);
    for id in 1..=20 {
        slow_waits(&mut windows, id, &[20 * MS; 70]);
    }
    // 16 cgroups take all the room; the first six of each of the others' 70 are not beyond their own.
    let expected = SlowLeftOut {
        of_cgroup: 16 * 6,
        of_all: 4 * 70,
    };
    assert_eq!(windows.begin_slow_round(), expected);
    assert_eq!(windows.begin_slow_round(), SlowLeftOut::default());
    assert_eq!(slow_waits(&mut windows, 20, &[20 * MS; 70]).len(), 64);
}
