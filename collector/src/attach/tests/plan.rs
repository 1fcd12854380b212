//! The rules of the plan, one by one.

use std::{collections::BTreeSet, path::PathBuf};

use collector_common::signal::Signal;

use super::{
    SYS_ADMIN, assert_off, current, global, layout_without, no, of, passes, plan, plan_of,
    programs, remedy, support, with, without,
};
use crate::{
    attach::{AttachPlan, Hook, OOM_LIMIT, SignalPlan, TaskHierarchy},
    host::{
        btf::BtfError,
        support::{KernelSupport, KernelTypes, Privileges},
    },
    window::Operation,
};

const PERFMON: u64 = 1 << 38;
const BPF: u64 = 1 << 39;

#[test]
fn on_a_current_kernel_everything_is_on_and_complete() {
    let plan = plan(current());
    assert!(plan.anything_on());
    assert_eq!(programs(&plan, Signal::Sched), ["sched_switch"]);
    assert_eq!(programs(&plan, Signal::BlockIo), ["block_complete"]);
    assert_eq!(programs(&plan, Signal::Oom), ["oom_victim", OOM_LIMIT]);
    assert_eq!(
        programs(&plan, Signal::CgroupLife),
        [
            "cgroup_mkdir",
            "cgroup_rmdir",
            "cgroup_rename",
            "cgroup_populate"
        ]
    );
    for signal in Signal::ALL {
        assert_eq!(without(&plan, signal), [""; 0], "{signal:?}");
    }
    let SignalPlan::On { programs, .. } = of(&plan, Signal::Oom) else {
        panic!("off")
    };
    assert_eq!(programs[1].hook, Hook::FunctionEntry("oom_kill_process"));
    let optional = programs.iter().map(|program| program.optional);
    assert_eq!(
        optional
            .map(|extra| extra.map(|of| of.gives))
            .collect::<Vec<_>>(),
        [None, Some("the limit's owner")]
    );
    assert_eq!(
        with(&plan, Signal::Sched),
        ["throttling told apart from contention (from cfs_rq.throttled_clock_self)"]
    );
    assert!(plan.throttling_known());
}

#[test]
fn without_btf_everything_is_off_and_the_remedy_fits_the_cause() {
    let types = Err(BtfError::Absent {
        path: PathBuf::from("/sys/kernel/btf/vmlinux"),
    });
    let support = KernelSupport {
        types,
        ..support(current())
    };
    let plan = plan_of(&support, Some(TaskHierarchy::V2));
    assert_off(
        &plan,
        &Signal::ALL,
        "/sys/kernel/btf/vmlinux does not exist",
    );
    assert!(!plan.anything_on());
    assert_eq!((plan.globals.len(), plan.operations.len()), (0, 0));
    for part in ["CONFIG_DEBUG_INFO_BTF=y", "--btf", "pahole"] {
        let remedy = remedy(&plan, Signal::Sched);
        assert!(remedy.contains(part), "{remedy}");
    }
    // A file that was asked for is another matter.
    let asked_for = KernelSupport {
        external_btf: Some(PathBuf::from("/tmp/types")),
        ..support
    };
    let plan = plan_of(&asked_for, Some(TaskHierarchy::V2));
    assert!(!remedy(&plan, Signal::Sched).contains("CONFIG"));
}

#[test]
fn without_the_capabilities_everything_is_off_and_the_missing_ones_are_named() {
    for (effective, lacks) in [
        (0, "lacks CAP_BPF and CAP_PERFMON"),
        (BPF, "lacks CAP_PERFMON"),
        (PERFMON, "lacks CAP_BPF"),
        (
            !(SYS_ADMIN | BPF | PERFMON),
            "lacks CAP_BPF and CAP_PERFMON",
        ),
    ] {
        let privileges = Privileges { effective };
        let support = KernelSupport {
            privileges,
            ..support(current())
        };
        assert_off(
            &plan_of(&support, Some(TaskHierarchy::V2)),
            &Signal::ALL,
            lacks,
        );
    }
    for effective in [SYS_ADMIN, BPF | PERFMON] {
        let privileges = Privileges { effective };
        let support = KernelSupport {
            privileges,
            ..support(current())
        };
        assert_off(&plan_of(&support, Some(TaskHierarchy::V2)), &[], "");
    }
}

#[test]
fn a_missing_field_turns_off_only_what_needs_it() {
    use Signal::{BlockIo, CgroupLife, Oom, Sched};
    for (field, off) in [
        ("OFF_RQ_CLOCK", &[Sched][..]),
        ("OFF_TASK_CGROUPS", &[Sched, Oom]),
        ("OFF_CSS_SET_DFL_CGRP", &[Sched, Oom]),
        ("OFF_TASK_COMM", &[Oom]),
        ("OFF_REQUEST_IO_START_TIME_NS", &[BlockIo]),
        ("OFF_BIO_BLKG", &[BlockIo]),
        ("OFF_CGROUP_ROOT_HIERARCHY_ID", &[CgroupLife]),
        ("OFF_CGROUP_KN", &[Sched, BlockIo, Oom, CgroupLife]),
        ("OFF_TASK_STATE", &[]),
        ("OFF_CSS_SET_SUBSYS", &[]),
    ] {
        let layout = layout_without(&["OFF_REQUEST_RQ_DISK", field]);
        let plan = plan(KernelTypes {
            layout,
            ..current()
        });
        assert_off(&plan, off, field);
        assert_eq!(global(&plan, field), None);
    }
}

#[test]
fn a_missing_or_strange_tracepoint_turns_off_only_its_signal() {
    use Signal::{BlockIo, CgroupLife, Oom, Sched};
    for (tracepoint, signal) in [
        ("sched_switch", Sched),
        ("block_rq_complete", BlockIo),
        ("mark_victim", Oom),
        ("cgroup_mkdir", CgroupLife),
        ("cgroup_rmdir", CgroupLife),
    ] {
        let mut types = current();
        types.tracepoints.insert(tracepoint, Err(no(tracepoint)));
        assert_off(&plan(types), &[signal], "this kernel has no");
        let mut types = current();
        types
            .tracepoints
            .insert(tracepoint, passes(&["pt_regs*", "long int"]));
        assert_off(&plan(types), &[signal], "passes (pt_regs*, long int)");
    }
}

#[test]
fn rename_and_populated_are_done_without() {
    for (tracepoint, program) in [
        ("cgroup_rename", "cgroup_rename"),
        ("cgroup_notify_populated", "cgroup_populate"),
    ] {
        let mut types = current();
        types.tracepoints.insert(tracepoint, Err(no(tracepoint)));
        let plan = plan(types);
        assert_eq!(programs(&plan, Signal::CgroupLife).len(), 3);
        assert!(!programs(&plan, Signal::CgroupLife).contains(&program));
        let lost = without(&plan, Signal::CgroupLife);
        assert!(lost.len() == 1 && lost[0].contains(tracepoint), "{lost:?}");
    }
}

#[test]
fn a_kernel_that_passes_the_victims_pid_gets_the_program_for_it() {
    let mut types = current();
    types.tracepoints.insert("mark_victim", passes(&["int"]));
    // Of the victim nothing is read then.
    types.layout = layout_without(&["OFF_TASK_COMM", "OFF_TASK_TGID"]);
    let plan = plan(types);
    assert_eq!(programs(&plan, Signal::Oom), ["oom_victim_pid", OOM_LIMIT]);
    let lost = without(&plan, Signal::Oom);
    assert!(lost.len() == 1 && lost[0].contains("by pid"), "{lost:?}");
}

#[test]
fn victims_are_told_where_the_limits_owner_cannot_be() {
    let mut inlined = current();
    inlined
        .functions
        .insert("oom_kill_process", Err(no("oom_kill_process")));
    let mut other_arguments = current();
    other_arguments
        .functions
        .insert("oom_kill_process", passes(&["task_struct*"]));
    let layout = layout_without(&["OFF_OOM_CONTROL_MEMCG", "OFF_REQUEST_RQ_DISK"]);
    let no_field = KernelTypes {
        layout,
        ..current()
    };
    for types in [inlined, other_arguments, no_field] {
        let plan = plan(types);
        assert_off(&plan, &[], "");
        assert_eq!(programs(&plan, Signal::Oom), ["oom_victim"]);
        let lost = without(&plan, Signal::Oom);
        assert!(
            lost.len() == 1 && lost[0].contains("limit's owner"),
            "{lost:?}"
        );
    }
}

#[test]
fn tasks_are_looked_up_where_the_cpu_controller_is() {
    let support = support(current());
    let v2 = plan_of(&support, Some(TaskHierarchy::V2));
    let v1 = plan_of(&support, Some(TaskHierarchy::V1Cpu));
    assert_eq!(global(&v2, "HAS_V1_TASK_HIERARCHY"), Some(0));
    assert_eq!(global(&v1, "HAS_V1_TASK_HIERARCHY"), Some(1));
    // The third pointer of the array.
    let controllers = current().layout.offset("OFF_CSS_SET_SUBSYS").unwrap();
    assert_eq!(global(&v1, "OFF_CSS_SET_CPU"), Some(controllers + 16));
    assert_eq!(global(&v1, "OFF_CSS_SET_SUBSYS"), None, "no program has it");
    let nowhere = plan_of(&support, None);
    assert_off(
        &nowhere,
        &[Signal::Sched, Signal::Oom],
        "no cgroup hierarchy",
    );
}

#[test]
fn v1_needs_the_number_of_the_cpu_controller_and_v2_does_not() {
    let support = support(KernelTypes {
        cpu_controller: None,
        ..current()
    });
    assert_off(&plan_of(&support, Some(TaskHierarchy::V2)), &[], "");
    let v1 = plan_of(&support, Some(TaskHierarchy::V1Cpu));
    assert_off(
        &v1,
        &[Signal::Sched, Signal::Oom],
        "does not number the cpu controller",
    );
    assert_eq!(global(&v1, "OFF_CSS_SET_CPU"), None);
}

#[test]
fn without_the_argument_the_previous_state_is_read_from_the_task() {
    assert_eq!(global(&plan(current()), "HAS_PREV_STATE_ARG"), Some(1));
    let mut types = current();
    let short = passes(&["bool", "task_struct*", "task_struct*"]);
    types.tracepoints.insert("sched_switch", short.clone());
    let plan_with_state = plan(types.clone());
    assert_off(&plan_with_state, &[], "");
    assert_eq!(global(&plan_with_state, "HAS_PREV_STATE_ARG"), None);
    types.layout = layout_without(&["OFF_TASK_STATE"]);
    assert_off(&plan(types), &[Signal::Sched], "OFF_TASK_STATE");

    // For a while it was the second argument: no program is for that.
    let mut types = current();
    let second = passes(&["bool", "unsigned int", "task_struct*", "task_struct*"]);
    types.tracepoints.insert("sched_switch", second);
    assert_off(&plan(types), &[Signal::Sched], "bool, unsigned int");
}

#[test]
fn the_disk_is_taken_from_the_request_or_its_queue() {
    assert_eq!(global(&plan(current()), "HAS_RQ_DISK"), None);
    let layout = layout_without(&["OFF_REQUEST_QUEUE_DISK"]);
    let old = plan(KernelTypes {
        layout,
        ..current()
    });
    assert_off(&old, &[], "");
    assert_eq!(global(&old, "HAS_RQ_DISK"), Some(1));
    let layout = layout_without(&["OFF_REQUEST_QUEUE_DISK", "OFF_REQUEST_RQ_DISK"]);
    let neither = plan(KernelTypes {
        layout,
        ..current()
    });
    assert_off(&neither, &[Signal::BlockIo], "OFF_REQUEST_QUEUE_DISK");
}

#[test]
fn operations_have_the_numbers_of_the_kernel() {
    let request_operations = vec![
        ("REQ_OP_READ", 0),
        ("REQ_OP_FLUSH", 2),
        ("REQ_OP_SECURE_ERASE", 5),
        ("REQ_OP_ZONE_APPEND", 7),
        ("REQ_OP_DRV_IN", 34),
    ];
    let known = plan(KernelTypes {
        request_operations,
        ..current()
    });
    let expected = [
        (0, Operation::Read),
        (2, Operation::Flush),
        (5, Operation::Discard),
        (7, Operation::Write),
    ];
    assert_eq!(known.operations, expected);
    let unknown = plan(KernelTypes {
        request_operations: Vec::new(),
        ..current()
    });
    assert_off(&unknown, &[Signal::BlockIo], "unknown names");
}

#[test]
fn a_signal_that_is_not_asked_for_is_off_and_says_how_to_ask() {
    let wanted = BTreeSet::from([Signal::Sched]);
    let plan = AttachPlan::from_support(&support(current()), Some(TaskHierarchy::V2), &wanted);
    assert_off(
        &plan,
        &[Signal::BlockIo, Signal::Oom, Signal::CgroupLife],
        "not asked for",
    );
    let how = format!("add {} to --signals", Signal::Oom.name());
    assert_eq!(remedy(&plan, Signal::Oom), how);
}
