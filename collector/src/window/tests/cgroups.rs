use super::*;
use crate::window::{OomTotals, WindowSignal};

fn with_room_for(max_cgroups: usize) -> CgroupWindows {
    CgroupWindows::new(WindowSettings {
        max_cgroups,
        ..WindowSettings::default()
    })
}

fn switch_on(windows: &mut CgroupWindows, id: u64) {
    let outcome = windows.record_sched(HierarchyId::V2, &[switch(id, id, 10, 20, 0)]);
    assert_eq!(outcome.recorded, 1);
}

fn sorted_keys(windows: &CgroupWindows) -> Vec<CgroupKey> {
    let mut keys: Vec<_> = windows.keys().collect();
    keys.sort_unstable();
    keys
}

#[test]
fn a_new_cgroup_is_handed_over_once() {
    let mut windows = windows();
    assert!(windows.take_new().is_empty());
    switch_on(&mut windows, 1);
    switch_on(&mut windows, 2);
    switch_on(&mut windows, 1);
    windows.record_oom_victim(key(3));
    assert_eq!(windows.take_new(), [key(1), key(2), key(3)]);
    switch_on(&mut windows, 1);
    assert_eq!(windows.take_new(), []);
    assert_eq!(windows.take_new().capacity(), 0);
}

#[test]
fn a_cgroup_whose_class_was_said_first_is_not_new() {
    let mut windows = windows();
    windows.set_class(key(1), container(1));
    windows.set_class(key(2), Class::System);
    assert_eq!(
        windows.keys().collect::<Vec<_>>(),
        [key(1)],
        "nothing need be kept of the system's"
    );
    switch_on(&mut windows, 1);
    assert_eq!(windows.take_new(), []);
    assert_eq!(windows.get(key(1)).unwrap().class(), container(1));
    windows.set_class(key(1), Class::System);
    assert_eq!(windows.get(key(1)).unwrap().class(), Class::System);
}

#[test]
fn a_removed_cgroup_leaves_its_totals_and_nothing_else() {
    let mut windows = windows();
    windows.set_class(key(1), container(1));
    switch_on(&mut windows, 1);
    windows.record_block(HierarchyId::V2, &[completion(1, 0, 0)], &codes());
    windows.record_oom_victim(key(1));
    windows.record_oom_limit_owner(key(1));
    windows.record_oom_limit_owner(key(1));

    let totals = windows.remove(key(1)).unwrap();
    let sched = totals.sched.unwrap();
    assert_eq!(
        (count_and_sum(&sched.slice), count_and_sum(&sched.wait)),
        ((1, 10), (1, 20))
    );
    assert_eq!(totals.block[0].bytes, 4_096);
    assert_eq!(
        totals.oom,
        OomTotals {
            victim: 1,
            limit_owner: 2
        }
    );
    assert!(windows.get(key(1)).is_none());
    assert!(windows.remove(key(1)).is_none());

    switch_on(&mut windows, 1);
    let view = windows.get(key(1)).unwrap();
    assert_eq!(view.sched().unwrap().slice.count(), 1);
    assert_eq!(view.class(), Class::System);
    assert_eq!((view.block().len(), view.oom()), (0, OomTotals::default()));
    assert_eq!(windows.take_new(), [key(1)], "its next life is new");
}

#[test]
fn what_is_removed_before_it_was_handed_over_is_not_handed_over() {
    let mut windows = windows();
    switch_on(&mut windows, 1);
    switch_on(&mut windows, 2);
    windows.remove(key(1));
    assert_eq!(windows.take_new(), [key(2)]);
}

#[test]
fn slots_are_used_again() {
    let mut windows = with_room_for(10);
    for id in 0..1_000 {
        switch_on(&mut windows, id);
        assert!(windows.remove(key(id)).is_some());
    }
    assert_eq!(windows.overflowed(), 0);
    assert_eq!(windows.slots.len(), 2, "the overflow's and one more");
}

#[test]
fn when_all_slots_are_taken_samples_go_to_the_overflow() {
    let mut windows = with_room_for(2);
    for id in 1..=4 {
        switch_on(&mut windows, id);
    }
    switch_on(&mut windows, 1);
    // Half of this one has a slot.
    windows.record_sched(HierarchyId::V2, &[switch(1, 9, 10, 20, 0)]);
    windows.record_block(HierarchyId::V2, &[completion(8, 0, 0)], &codes());
    windows.record_oom_victim(key(8));
    windows.set_class(key(8), container(1));

    assert_eq!(sorted_keys(&windows), [key(1), key(2)]);
    assert_eq!(windows.take_new(), [key(1), key(2)]);
    assert_eq!(windows.overflowed(), 5);
    let overflow = windows.overflow();
    assert_eq!(overflow.class(), Class::System);
    let totals = overflow.totals();
    let sched = totals.sched.unwrap();
    assert_eq!((sched.slice.count(), sched.wait.count()), (2, 3));
    assert_eq!(totals.block[0].queue.count(), 1);
    assert_eq!(totals.oom.victim, 1);

    windows.remove(key(1));
    switch_on(&mut windows, 3);
    assert_eq!(windows.overflowed(), 5);
    assert_eq!(sorted_keys(&windows), [key(2), key(3)]);
}

#[test]
fn rotation_moves_every_signal_of_every_cgroup() {
    let mut windows = CgroupWindows::new(WindowSettings {
        windows: 2,
        max_cgroups: 2,
    });
    for id in 1..=3 {
        switch_on(&mut windows, id);
        windows.record_block(HierarchyId::V2, &[completion(id, 0, 0)], &codes());
    }
    for (rotations, expected) in [(0, 1), (1, 1), (2, 0)] {
        for view in [
            windows.get(key(1)),
            windows.get(key(2)),
            Some(windows.overflow()),
        ] {
            for signal in WindowSignal::ALL {
                let count = view.unwrap().windowed(signal).unwrap().merged().len();
                assert_eq!(count, expected, "{signal:?} after {rotations}");
            }
            assert_eq!(view.unwrap().sched().unwrap().slice.count(), 1);
        }
        windows.rotate();
    }
}
