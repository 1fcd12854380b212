//! What to load, decided from facts alone.

use std::collections::BTreeSet;

use collector_common::signal::Signal;

use super::attached::SignalState;
use crate::{
    error_chain,
    host::{
        btf::BtfError,
        support::{KernelSupport, KernelTypes},
    },
    window::Operation,
};

/// Where a task's cgroup is looked up. Containers live where the `cpu` controller is, and it can be
/// in one hierarchy only: v1's if that is mounted, else v2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskHierarchy {
    /// The unified hierarchy.
    V2,
    /// The v1 hierarchy of the `cpu` controller.
    V1Cpu,
}

/// Where a program is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// A tracepoint, with typed arguments.
    Tracepoint(&'static str),
    /// The entry of a function.
    FunctionEntry(&'static str),
}

/// A program of the object, and where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name in the object.
    pub name: &'static str,
    /// Where it goes.
    pub hook: Hook,
    /// Whether its signal does without it when it cannot be attached.
    pub optional: bool,
}

/// What becomes of one signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignalPlan {
    /// These programs are to be attached.
    On {
        /// The programs.
        programs: Vec<Program>,
        /// What this kernel does not give, though the signal works without it.
        without: Vec<String>,
    },
    /// It cannot, or shall not, work here.
    Off {
        /// Why.
        reason: String,
        /// What would change that; empty when nothing would.
        remedy: String,
    },
}

/// Everything that is to be loaded.
#[derive(Clone, Debug)]
pub struct AttachPlan {
    /// One entry for each signal.
    pub signals: Vec<(Signal, SignalPlan)>,
    /// Globals of the object, and their values.
    pub globals: Vec<(&'static str, u64)>,
    /// How this kernel numbers the block operations.
    pub operations: Vec<(u32, Operation)>,
    /// Whether a wait's own bandwidth limit is told apart from contention.
    pub throttling_known: bool,
}

/// The program that tells whose limit an OOM kill is for.
pub const OOM_LIMIT: &str = "oom_limit";

/// The fields that every program needs which names a task's cgroup.
const TASK_CGROUP: [&str; 3] = ["OFF_TASK_CGROUPS", "OFF_CGROUP_KN", "OFF_KERNFS_NODE_ID"];

const SCHED: [&str; 7] = [
    "OFF_TASK_PID",
    "OFF_TASK_FLAGS",
    "OFF_TASK_LAST_QUEUED",
    "OFF_TASK_LAST_ARRIVAL",
    "OFF_TASK_CFS_RQ",
    "OFF_CFS_RQ_RQ",
    "OFF_RQ_CLOCK",
];

const BLOCK_IO: [&str; 13] = [
    "OFF_REQUEST_START_TIME_NS",
    "OFF_REQUEST_IO_START_TIME_NS",
    "OFF_REQUEST_BIO",
    "OFF_REQUEST_CMD_FLAGS",
    "OFF_REQUEST_DATA_LEN",
    "OFF_GENDISK_MAJOR",
    "OFF_GENDISK_FIRST_MINOR",
    "OFF_BIO_BLKG",
    "OFF_BLKCG_GQ_BLKCG",
    "OFF_BLKCG_CSS",
    "OFF_CSS_CGROUP",
    "OFF_CGROUP_KN",
    "OFF_KERNFS_NODE_ID",
];

const CGROUP_LIFE: [&str; 4] = [
    "OFF_CGROUP_KN",
    "OFF_KERNFS_NODE_ID",
    "OFF_CGROUP_ROOT",
    "OFF_CGROUP_ROOT_HIERARCHY_ID",
];

/// Why a signal is off, on the way to saying so.
type Off = String;

impl AttachPlan {
    /// Decides. Pure: the same facts give the same plan.
    #[must_use]
    pub fn from_support(
        support: &KernelSupport,
        tasks: Option<TaskHierarchy>,
        wanted: &BTreeSet<Signal>,
    ) -> Self {
        let types = match &support.types {
            Ok(types) => types,
            Err(why) => {
                let remedy = match why {
                    BtfError::Absent { .. } => "boot a kernel with CONFIG_DEBUG_INFO_BTF=y",
                    BtfError::Unusable { .. } => {
                        "give --btf the BTF of the running kernel, or leave it out"
                    }
                };
                return Self::all_off(&error_chain(why), remedy);
            }
        };
        let missing = support.privileges.missing_for_tracing();
        if !missing.is_empty() {
            let why = format!(
                "not permitted: this process lacks {}",
                missing.join(" and ")
            );
            return Self::all_off(&why, "run as root, or with these capabilities");
        }
        let signals = Signal::ALL
            .into_iter()
            .map(|signal| {
                if !wanted.contains(&signal) {
                    let reason = "not asked for".to_owned();
                    let remedy = format!("add {} to --signals", signal.name());
                    return (signal, SignalPlan::Off { reason, remedy });
                }
                let planned = match signal {
                    Signal::Sched => plan_sched(types, tasks),
                    Signal::BlockIo => plan_block_io(types),
                    Signal::Oom => plan_oom(types, tasks),
                    Signal::CgroupLife => plan_cgroup_life(types),
                };
                let plan = planned.unwrap_or_else(|reason| SignalPlan::Off {
                    reason,
                    remedy: "a newer kernel, or one built with the feature".to_owned(),
                });
                (signal, plan)
            })
            .collect();
        Self {
            signals,
            globals: globals(types, tasks),
            operations: operations(types),
            throttling_known: require_throttling(types).is_ok(),
        }
    }

    fn all_off(reason: &str, remedy: &str) -> Self {
        let off = SignalPlan::Off {
            reason: reason.to_owned(),
            remedy: remedy.to_owned(),
        };
        Self {
            signals: Signal::ALL
                .into_iter()
                .map(|signal| (signal, off.clone()))
                .collect(),
            globals: Vec::new(),
            operations: Vec::new(),
            throttling_known: false,
        }
    }

    /// What becomes of the signals when none is to be loaded.
    #[must_use]
    pub fn states_when_nothing_is_on(&self) -> Vec<(Signal, SignalState)> {
        let off = |plan: &SignalPlan| match plan {
            SignalPlan::On { without, .. } => SignalState::On {
                without: without.clone(),
            },
            SignalPlan::Off { reason, remedy } => SignalState::Off {
                reason: reason.clone(),
                remedy: remedy.clone(),
            },
        };
        self.signals
            .iter()
            .map(|(signal, plan)| (*signal, off(plan)))
            .collect()
    }

    /// Whether anything is to be loaded.
    #[must_use]
    pub fn anything_on(&self) -> bool {
        self.signals
            .iter()
            .any(|(_, plan)| matches!(plan, SignalPlan::On { .. }))
    }
}

fn plan_sched(types: &KernelTypes, tasks: Option<TaskHierarchy>) -> Result<SignalPlan, Off> {
    let prototype = types
        .tracepoint("sched_switch")
        .map_err(|missing| missing.to_string())?;
    expect_prototype(
        "sched_switch",
        prototype,
        &["bool", "task_struct*", "task_struct*"],
    )?;
    require(types, &SCHED)?;
    require_task_cgroup(types, tasks)?;
    if !has_prev_state(prototype) {
        require(types, &["OFF_TASK_STATE"])?;
    }
    let without = match require_throttling(types) {
        Ok(()) => Vec::new(),
        Err(why) => vec![format!("throttling told apart from contention ({why})")],
    };
    Ok(SignalPlan::On {
        programs: vec![required("sched_switch", Hook::Tracepoint("sched_switch"))],
        without,
    })
}

/// What a bandwidth limit does to a cgroup on a CPU.
fn require_throttling(types: &KernelTypes) -> Result<(), Off> {
    require(types, &["OFF_CFS_RQ_THROTTLED_TIME", "OFF_TASK_PRIO"])?;
    if has_exact_throttled_time(types) {
        return Ok(());
    }
    require(types, &["OFF_CFS_RQ_THROTTLE_COUNT"])
}

fn has_exact_throttled_time(types: &KernelTypes) -> bool {
    types.layout.offset("OFF_CFS_RQ_THROTTLED_SINCE").is_ok()
}

fn plan_block_io(types: &KernelTypes) -> Result<SignalPlan, Off> {
    let prototype = types
        .tracepoint("block_rq_complete")
        .map_err(|missing| missing.to_string())?;
    if prototype.len() != 3 || prototype[0] != "request*" {
        return Err(unknown_prototype("block_rq_complete", prototype));
    }
    require(types, &BLOCK_IO)?;
    if types.layout.offset("OFF_REQUEST_RQ_DISK").is_err() {
        require(types, &["OFF_REQUEST_Q", "OFF_REQUEST_QUEUE_DISK"])?;
    }
    if operations(types).is_empty() {
        return Err("this kernel's request operations have unknown names".to_owned());
    }
    Ok(on(vec![required(
        "block_complete",
        Hook::Tracepoint("block_rq_complete"),
    )]))
}

fn plan_oom(types: &KernelTypes, tasks: Option<TaskHierarchy>) -> Result<SignalPlan, Off> {
    let hook = Hook::Tracepoint("mark_victim");
    let prototype = types
        .tracepoint("mark_victim")
        .map_err(|missing| missing.to_string())?;
    let mut without = Vec::new();
    // The task is passed since 6.8 (commit 72ba14deb40a) and in stable releases that took that over.
    let victim = match prototype.first().map(String::as_str) {
        Some("task_struct*") => {
            require(types, &["OFF_TASK_TGID", "OFF_TASK_COMM"])?;
            require_task_cgroup(types, tasks)?;
            required("oom_victim", hook)
        }
        Some("int") => {
            without.push("the victim's name and cgroup from the kernel (looked up by pid)".into());
            required("oom_victim_pid", hook)
        }
        _ => return Err(unknown_prototype("mark_victim", prototype)),
    };
    let mut programs = vec![victim];
    let limit_fields = [
        "OFF_OOM_CONTROL_MEMCG",
        "OFF_MEM_CGROUP_CSS",
        "OFF_CSS_CGROUP",
    ];
    let takes_control = matches!(
        types.functions.get("oom_kill_process"),
        Some(Ok(prototype)) if prototype.first().is_some_and(|of| of == "oom_control*")
    );
    if takes_control && require(types, &limit_fields).is_ok() {
        programs.push(Program {
            name: OOM_LIMIT,
            hook: Hook::FunctionEntry("oom_kill_process"),
            optional: true,
        });
    } else {
        without.push("the limit's owner (oom_kill_process cannot be read here)".into());
    }
    Ok(SignalPlan::On { programs, without })
}

fn plan_cgroup_life(types: &KernelTypes) -> Result<SignalPlan, Off> {
    require(types, &CGROUP_LIFE)?;
    let mut programs = Vec::new();
    let mut without = Vec::new();
    for (name, tracepoint, arguments, optional) in [
        (
            "cgroup_mkdir",
            "cgroup_mkdir",
            &["cgroup*", "char*"][..],
            false,
        ),
        ("cgroup_rmdir", "cgroup_rmdir", &["cgroup*", "char*"], false),
        (
            "cgroup_rename",
            "cgroup_rename",
            &["cgroup*", "char*"],
            true,
        ),
        (
            "cgroup_populate",
            "cgroup_notify_populated",
            &["cgroup*", "char*", "int"],
            true,
        ),
    ] {
        let checked = types
            .tracepoint(tracepoint)
            .map_err(|missing| missing.to_string())
            .and_then(|prototype| expect_prototype(tracepoint, prototype, arguments));
        match checked {
            Ok(()) => {
                programs.push(Program {
                    name,
                    hook: Hook::Tracepoint(tracepoint),
                    optional,
                });
            }
            Err(why) if optional => without.push(why),
            Err(why) => return Err(why),
        }
    }
    Ok(SignalPlan::On { programs, without })
}

const fn required(name: &'static str, hook: Hook) -> Program {
    Program {
        name,
        hook,
        optional: false,
    }
}

const fn on(programs: Vec<Program>) -> SignalPlan {
    SignalPlan::On {
        programs,
        without: Vec::new(),
    }
}

fn require(types: &KernelTypes, symbols: &[&'static str]) -> Result<(), Off> {
    for symbol in symbols {
        types
            .layout
            .offset(symbol)
            .map_err(|missing| missing.to_string())?;
    }
    Ok(())
}

fn require_task_cgroup(types: &KernelTypes, tasks: Option<TaskHierarchy>) -> Result<(), Off> {
    require(types, &TASK_CGROUP)?;
    match tasks {
        None => Err("no cgroup hierarchy is mounted that holds tasks".to_owned()),
        Some(TaskHierarchy::V2) => require(types, &["OFF_CSS_SET_DFL_CGRP"]),
        Some(TaskHierarchy::V1Cpu) => {
            require(types, &["OFF_CSS_SET_SUBSYS", "OFF_CSS_CGROUP"])?;
            types
                .cpu_controller
                .map(drop)
                .ok_or_else(|| "this kernel does not number the cpu controller".to_owned())
        }
    }
}

fn expect_prototype(name: &str, found: &[String], expected: &[&str]) -> Result<(), Off> {
    if found.len() >= expected.len() && found.iter().zip(expected).all(|(a, b)| a == b) {
        Ok(())
    } else {
        Err(unknown_prototype(name, found))
    }
}

fn unknown_prototype(name: &str, found: &[String]) -> Off {
    format!(
        "this kernel's {name} passes ({}), which no program here expects",
        found.join(", ")
    )
}

/// `prev_state` came in 5.18 (commit fa2c3254d7cf) as the second argument, and went to the end before
/// that release (commit 9c2136be0878).
fn has_prev_state(prototype: &[String]) -> bool {
    prototype
        .get(3)
        .is_some_and(|of| of == "unsigned int" || of == "long unsigned int")
}

fn globals(types: &KernelTypes, tasks: Option<TaskHierarchy>) -> Vec<(&'static str, u64)> {
    let mut globals: Vec<_> = types
        .layout
        .known()
        .filter(|(symbol, _)| *symbol != "OFF_CSS_SET_SUBSYS")
        .collect();
    if let (Ok(controllers), Some(cpu)) = (
        types.layout.offset("OFF_CSS_SET_SUBSYS"),
        types.cpu_controller,
    ) {
        let pointer = size_of::<usize>() as u64;
        globals.push(("OFF_CSS_SET_CPU", controllers + cpu * pointer));
    }
    let has_prev_state = types
        .tracepoint("sched_switch")
        .is_ok_and(|of| has_prev_state(of));
    for (symbol, set) in [
        ("HAS_V1_TASK_HIERARCHY", tasks == Some(TaskHierarchy::V1Cpu)),
        ("HAS_PREV_STATE_ARG", has_prev_state),
        ("HAS_THROTTLING", require_throttling(types).is_ok()),
        ("HAS_EXACT_THROTTLED_TIME", has_exact_throttled_time(types)),
        (
            "HAS_RQ_DISK",
            types.layout.offset("OFF_REQUEST_RQ_DISK").is_ok(),
        ),
    ] {
        globals.push((symbol, u64::from(set)));
    }
    globals
}

fn operations(types: &KernelTypes) -> Vec<(u32, Operation)> {
    types
        .request_operations
        .iter()
        .filter_map(|(name, code)| {
            let operation = match *name {
                "REQ_OP_READ" => Operation::Read,
                "REQ_OP_WRITE" | "REQ_OP_WRITE_ZEROES" | "REQ_OP_ZONE_APPEND" => Operation::Write,
                "REQ_OP_FLUSH" => Operation::Flush,
                "REQ_OP_DISCARD" | "REQ_OP_SECURE_ERASE" => Operation::Discard,
                _ => return None,
            };
            Some((u32::try_from(*code).ok()?, operation))
        })
        .collect()
}
