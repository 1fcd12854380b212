//! Kernels that users have, by what makes each different.

use std::path::{Path, PathBuf};

use collector_common::signal::Signal;

use super::{
    assert_off, current, global, layout_without, no, passes, plan, plan_of, programs, remedy,
    support, with, without,
};
use crate::{
    attach::{Entry, OOM_LIMIT, TaskHierarchy},
    host::support::{KernelSupport, KernelTypes},
};

/// What 5.10 is known by: no state among the arguments, the disk in the request, an `int` for an error,
/// no clock of a cgroup's own throttling; and, in its first releases, only a pid of the victim.
fn debian_11() -> KernelTypes {
    let mut types = current();
    types.layout = layout_without(&["OFF_REQUEST_QUEUE_DISK", "OFF_CFS_RQ_THROTTLED_SINCE"]);
    for (tracepoint, arguments) in [
        (
            "sched_switch",
            &["bool", "task_struct*", "task_struct*"][..],
        ),
        ("block_rq_complete", &["request*", "int", "unsigned int"]),
        ("mark_victim", &["int"]),
    ] {
        types.tracepoints.insert(tracepoint, passes(arguments));
    }
    types
}

#[test]
fn on_5_10_everything_is_on_in_the_older_way_and_what_is_lost_is_said() {
    let plan = plan(debian_11());
    assert_off(&plan, &[], "");
    assert_eq!(programs(&plan, Signal::Oom), ["oom_victim_pid", OOM_LIMIT]);
    for (symbol, value) in [
        ("HAS_PREV_STATE_ARG", None),
        ("HAS_EXACT_THROTTLED_TIME", None),
        ("HAS_THROTTLING", Some(1)),
        ("HAS_RQ_DISK", Some(1)),
    ] {
        assert_eq!(global(&plan, symbol), value, "{symbol}");
    }
    assert!(with(&plan, Signal::Sched)[0].contains("cfs_rq.throttle_count"));
    let lost = without(&plan, Signal::Sched);
    assert!(lost[0].contains("a switch was voluntary"), "{lost:?}");
    assert!(
        lost[1].contains("the exact bounds of a throttle"),
        "{lost:?}"
    );
    assert!(without(&plan, Signal::Oom)[0].contains("looked up by pid"));
    assert_eq!(without(&plan, Signal::BlockIo), [""; 0]);
}

#[test]
fn between_5_15_and_5_16_the_disk_is_in_both_places_and_the_newer_is_taken() {
    let mut types = current();
    types.layout = layout_without(&[]);
    assert_eq!(global(&plan(types), "HAS_RQ_DISK"), None);
}

#[test]
fn a_kernel_without_cpu_bandwidth_limits_has_no_throttling_to_tell() {
    let mut types = current();
    types.layout = layout_without(&[
        "OFF_CFS_RQ_THROTTLED_SINCE",
        "OFF_CFS_RQ_THROTTLED_TIME",
        "OFF_CFS_RQ_THROTTLE_COUNT",
    ]);
    let plan = plan(types);
    assert_off(&plan, &[], "");
    assert!(!plan.throttling_known());
    assert_eq!(with(&plan, Signal::Sched), [""; 0]);
    let lost = without(&plan, Signal::Sched);
    assert!(lost[0].starts_with("throttling told apart from contention ("));
    assert!(lost[0].contains("OFF_CFS_RQ_THROTTLED_SINCE"), "{lost:?}");
}

#[test]
fn the_obstacle_named_is_that_of_the_way_that_was_meant_for_this_kernel() {
    // Passes no state, so the field of the older way is what is missing, not the argument.
    let mut types = debian_11();
    types.layout = layout_without(&["OFF_TASK_STATE"]);
    assert_off(&plan(types), &[Signal::Sched], "OFF_TASK_STATE");
    // Neither fits: the prototype is.
    let mut types = debian_11();
    types
        .tracepoints
        .insert("mark_victim", passes(&["long int"]));
    assert_off(&plan(types), &[Signal::Oom], "passes (long int)");
    let mut types = debian_11();
    types
        .tracepoints
        .insert("mark_victim", Err(no("mark_victim")));
    assert_off(&plan(types), &[Signal::Oom], "this kernel has no");
}

#[test]
fn the_remedy_names_what_the_kernel_must_be_built_with() {
    let mut types = current();
    types.layout = layout_without(&["OFF_BIO_BLKG"]);
    let plan = plan(types);
    let remedy = remedy(&plan, Signal::BlockIo);
    assert!(remedy.contains("CONFIG_BLK_CGROUP"), "{remedy}");
}

/// A kernel of today that shows no types, and a file with them.
fn without_own_types() -> KernelSupport {
    KernelSupport {
        external_btf: Some(PathBuf::from("/tmp/types")),
        has_own_types: false,
        ..support(current())
    }
}

#[test]
fn types_from_elsewhere_are_for_raw_entries_when_the_kernel_has_none() {
    let plan = plan_of(&without_own_types(), Some(TaskHierarchy::V2));
    assert_off(&plan, &[], "");
    assert_eq!(plan.entry, Entry::Raw);
    assert_eq!(plan.external_btf.as_deref(), Some(Path::new("/tmp/types")));
    // The entry of a function cannot be had so.
    assert_eq!(programs(&plan, Signal::Oom), ["oom_victim"]);
    let lost = without(&plan, Signal::Oom);
    assert!(lost[0].contains("the limit's owner (fentry"), "{lost:?}");

    let has_own_types = KernelSupport {
        has_own_types: true,
        ..without_own_types()
    };
    let plan = plan_of(&has_own_types, Some(TaskHierarchy::V2));
    assert_eq!(plan.entry, Entry::Typed);
    assert!(plan.external_btf.is_some(), "to be checked all the same");
    assert_eq!(programs(&plan, Signal::Oom), ["oom_victim", OOM_LIMIT]);
    let own = plan_of(&support(current()), Some(TaskHierarchy::V2));
    assert_eq!((own.entry, own.external_btf), (Entry::Typed, None));
}

#[test]
fn what_a_file_lacks_is_said_of_the_file() {
    let mut support = without_own_types();
    support.types = Ok(KernelTypes {
        layout: layout_without(&["OFF_RQ_CLOCK"]),
        ..current()
    });
    let plan = plan_of(&support, Some(TaskHierarchy::V2));
    assert_off(&plan, &[Signal::Sched], "OFF_RQ_CLOCK, says /tmp/types");
}
