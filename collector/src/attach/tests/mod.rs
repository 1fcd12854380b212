//! Plans for kernels that do not run here.

use collector_common::signal::Signal;

mod kernels;
mod plan;
mod requirements;

use super::{AttachPlan, SignalPlan, TaskHierarchy};
use crate::host::{
    btf::{Missing, Prototype},
    layout::{FIELDS, Layout},
    support::{FUNCTIONS, KernelSupport, KernelTypes, Privileges, TRACEPOINTS},
};

const SYS_ADMIN: u64 = 1 << 21;

#[expect(
    clippy::unnecessary_wraps,
    reason = "as the table of prototypes has it"
)]
fn passes(arguments: &[&str]) -> Result<Prototype, Missing> {
    Ok(arguments.iter().map(|&name| name.to_owned()).collect())
}

fn no(name: &str) -> Missing {
    Missing::field_not_asked_for(name)
}

/// Has all fields but these. Each one's offset is its place in the table, times 8.
fn layout_without(absent: &[&str]) -> Layout {
    Layout::of((0..).zip(&FIELDS).map(|(place, field)| {
        let is_absent = absent.contains(&field.symbol);
        let offset = if is_absent {
            Err(no(field.symbol))
        } else {
            Ok(place * 8)
        };
        (field.symbol, offset)
    }))
}

/// A kernel of today: the request has no disk of its own.
fn current() -> KernelTypes {
    let prototypes: [&[&str]; 7] = [
        &["bool", "task_struct*", "task_struct*", "unsigned int"],
        &["request*", "blk_status_t", "unsigned int"],
        &["task_struct*", "unsigned int"],
        &["cgroup*", "char*"],
        &["cgroup*", "char*"],
        &["cgroup*", "char*"],
        &["cgroup*", "char*", "int"],
    ];
    KernelTypes {
        layout: layout_without(&["OFF_REQUEST_RQ_DISK"]),
        tracepoints: TRACEPOINTS
            .into_iter()
            .zip(prototypes.map(passes))
            .collect(),
        functions: FUNCTIONS
            .into_iter()
            .map(|name| (name, passes(&["oom_control*", "char*"])))
            .collect(),
        cpu_controller: Some(2),
        request_operations: vec![("REQ_OP_READ", 0), ("REQ_OP_WRITE", 1)],
    }
}

fn support(types: KernelTypes) -> KernelSupport {
    KernelSupport {
        release: "6.12.0".into(),
        types: Ok(types),
        external_btf: None,
        has_own_types: true,
        contradiction: None,
        privileges: Privileges {
            effective: SYS_ADMIN,
        },
    }
}

fn plan_of(support: &KernelSupport, tasks: Option<TaskHierarchy>) -> AttachPlan {
    AttachPlan::from_support(support, tasks, &Signal::ALL.into_iter().collect())
}

fn plan(types: KernelTypes) -> AttachPlan {
    plan_of(&support(types), Some(TaskHierarchy::V2))
}

fn of(plan: &AttachPlan, signal: Signal) -> &SignalPlan {
    let mut found = plan.signals.iter().filter(|(of, _)| *of == signal);
    let (_, planned) = found.next().unwrap();
    assert!(found.next().is_none(), "one entry for each signal");
    planned
}

fn programs(plan: &AttachPlan, signal: Signal) -> Vec<&'static str> {
    match of(plan, signal) {
        SignalPlan::On { programs, .. } => programs.iter().map(|program| program.name).collect(),
        SignalPlan::Off { reason, .. } => panic!("{signal:?} is off: {reason}"),
    }
}

fn remedy(plan: &AttachPlan, signal: Signal) -> &str {
    match of(plan, signal) {
        SignalPlan::Off { remedy, .. } => remedy,
        SignalPlan::On { .. } => panic!("{signal:?} is on"),
    }
}

fn with(plan: &AttachPlan, signal: Signal) -> &[String] {
    match of(plan, signal) {
        SignalPlan::On { with, .. } => with,
        SignalPlan::Off { reason, .. } => panic!("{signal:?} is off: {reason}"),
    }
}

fn without(plan: &AttachPlan, signal: Signal) -> &[String] {
    match of(plan, signal) {
        SignalPlan::On { without, .. } => without,
        SignalPlan::Off { reason, .. } => panic!("{signal:?} is off: {reason}"),
    }
}

/// Only these signals are off, each for a reason that has this in it.
fn assert_off(plan: &AttachPlan, signals: &[Signal], because: &str) {
    for signal in Signal::ALL {
        match of(plan, signal) {
            SignalPlan::Off { reason, remedy } => {
                assert!(signals.contains(&signal), "{signal:?} is off: {reason}");
                assert!(reason.contains(because), "{signal:?}: {reason}");
                assert!(!remedy.is_empty(), "{signal:?}");
            }
            SignalPlan::On { .. } => assert!(!signals.contains(&signal), "{signal:?} is on"),
        }
    }
}

fn global(plan: &AttachPlan, symbol: &str) -> Option<u64> {
    let mut found = plan.globals.iter().filter(|(name, _)| *name == symbol);
    let value = found.next().map(|(_, value)| *value);
    assert!(found.next().is_none(), "{symbol} is set twice");
    value
}
