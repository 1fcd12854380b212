//! What cgroups cost, busy and idle.

use super::*;
use crate::window::Cumulative;

const MIB: usize = 1 << 20;

/// 1,000 cgroups whose tasks switch and that read from and write to one disk, in each of the 5
/// windows that are kept.
fn busy() -> CgroupWindows {
    let mut windows = windows();
    for _ in 0..5 {
        windows.rotate();
        for id in 1..=1_000 {
            windows.record_sched(HierarchyId::V2, &[switch(id, id, 1_000_000, 5_000, 0)]);
        }
    }
    windows
}

#[test]
fn a_thousand_busy_cgroups_fit_in_tens_of_mebibytes() {
    let mut windows = busy();
    let switching = windows.heap_bytes();
    for _ in 0..5 {
        windows.rotate();
        for id in 1..=1_000 {
            windows.record_sched(HierarchyId::V2, &[switch(id, id, 1_000_000, 5_000, 0)]);
            windows.record_block(HierarchyId::V2, &[completion(id, 1, 0)], &codes());
        }
    }
    let all = windows.heap_bytes();
    // 2 and 4 histograms of 5 windows of 2.4 KiB, 2 and 4 totals of 3 KiB.
    assert!((28 * MIB..32 * MIB).contains(&switching), "{switching}");
    assert!((56 * MIB..64 * MIB).contains(&all), "{all}");
}

#[test]
fn an_idle_cgroup_gives_its_windows_back_and_keeps_its_totals() {
    let mut windows = busy();
    for _ in 0..5 {
        windows.rotate();
    }
    let totals = 2 * {
        let mut cumulative = Cumulative::new();
        cumulative.record(1);
        cumulative.heap_bytes()
    };
    let idle = windows.heap_bytes();
    assert!(idle > 1_000 * totals);
    assert!(idle < 1_000 * (totals + 700), "{} bytes each", idle / 1_000);

    for id in 1..=1_000 {
        assert!(windows.remove(key(id)).is_some());
    }
    assert!(windows.heap_bytes() < MIB, "{}", windows.heap_bytes());
}

#[test]
fn a_cgroup_that_is_only_known_costs_a_slot() {
    let mut windows = windows();
    for id in 1..=1_000 {
        windows.set_class(key(id), container(1));
    }
    assert!(windows.heap_bytes() < MIB, "{}", windows.heap_bytes());
}
