//! A task's cgroup, in each hierarchy that it can be attributed in.

use std::time::Duration;

use collector::{attach::TaskHierarchy, host::HierarchyId};
use collector_tests::{
    cgroup::{TestCgroup, mounts},
    observe::{Observation, Seen, Settings},
    stolen, stolen_since,
};

use crate::assert_ran;

/// The root of a hierarchy.
const ROOT: u64 = 1;

/// The time that tasks of a cgroup held CPUs.
fn slices_ns(seen: &Seen, id: u64) -> u64 {
    seen.sched
        .iter()
        .filter(|sample| sample.prev_cgroup == id)
        .map(collector_common::sample::SchedSample::slice_ns)
        .sum()
}

/// Runs for a second in a cgroup of every hierarchy, attributed by one of them; what was stolen meanwhile.
fn observe(tasks: TaskHierarchy) -> (TestCgroup, Seen, Duration) {
    let cgroup = TestCgroup::new("cgscope-identity");
    cgroup.favor();
    let observation = Observation::start(Settings {
        tasks,
        ..Settings::default()
    });
    let before = stolen();
    let _counts = cgroup.run(&["busy", "0", "1", "1000"]);
    let stolen = stolen_since(before);
    let (seen, _) = observation.finish();
    (cgroup, seen, stolen)
}

#[test]
fn a_task_has_the_id_of_its_directory_in_the_hierarchy_of_the_cpu_controller() {
    let (cgroup, seen, stolen) = observe(Settings::default().tasks);
    let key = cgroup.task_key();
    let is_v2 = Settings::default().tasks == TaskHierarchy::V2;
    assert_eq!(key.hierarchy == HierarchyId::V2, is_v2);
    let slices = slices_ns(&seen, key.id.0);
    let cpu_time = u64::try_from(cgroup.cpu_time().as_nanos()).expect("some seconds");
    assert_ran(slices, cpu_time, 0.10, stolen);
}

#[test]
fn in_v2_a_task_has_the_id_of_its_directory_or_where_v2_is_not_mounted_of_the_root() {
    let (cgroup, seen, _) = observe(TaskHierarchy::V2);
    let id = match mounts().v2() {
        Some(v2) => cgroup.key(v2).id.0,
        // The kernel has the hierarchy all the same, and every task is in its root.
        None => ROOT,
    };
    let slices = slices_ns(&seen, id);
    let cpu_time = u64::try_from(cgroup.cpu_time().as_nanos()).expect("some seconds");
    assert!(
        slices > cpu_time - cpu_time / 10,
        "{slices}, not {cpu_time}"
    );
    if mounts().v2().is_none() {
        let ids = seen.sched.iter().map(|sample| sample.prev_cgroup);
        // The idle task is nobody's.
        assert!(ids.clone().all(|id| id == ROOT || id == 0));
        assert!(ids.filter(|id| *id == ROOT).count() > 10);
    }
}
