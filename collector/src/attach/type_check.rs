//! Do types from elsewhere describe the kernel that runs?
//!
//! In: what a program read of one of our own threads through the types' offsets, and what is known of
//! that thread by other means. Out: the first thing that differs. A file of another kernel would make
//! every number wrong without a word, so nothing is attached before this.

use aya::{
    Ebpf, RawTracePointRunOptions, TestRun as _,
    maps::Array,
    programs::{ProgramError, RawTracePoint},
};
use collector_common::{event::COMM_LEN, type_check::TypeCheck};
use procfs::FromRead as _;

use super::{
    choice::TaskHierarchy,
    plan::{AttachPlan, REMEDY_FOR_TYPES_OF_ANOTHER},
    requirements::{TASK_CGROUP, TASK_CGROUP_V2},
    signal_state::SignalState,
};
use crate::{error_chain, host::CgroupKey};

/// The program, and the map that it writes to.
const PROGRAM: &str = "type_check";
const MAP: &str = "TYPE_CHECK";

/// The name of the thread that is looked at, which no other task has by chance.
const THREAD: &str = "cgscope-types";

/// The id of a hierarchy's root, in all kernels.
const ROOT: u64 = 1;

/// The thread has just got its CPU: a longer time ago than this is no time stamp of it.
const RECENTLY_NS: u64 = 60_000_000_000;

/// The check could not be made.
#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error("the kernel programs' object has no {name}")]
    NoSuchPart { name: &'static str },
    #[error("the kernel does not run the program for it")]
    Program(#[from] ProgramError),
    #[error("cannot read what the program for it found")]
    Map(#[from] aya::maps::MapError),
    #[error("cannot start a thread to look at")]
    Thread(#[source] std::io::Error),
    #[error("the thread to look at panicked")]
    Panicked,
}

/// What a program read of a thread, and what else is known of it.
#[derive(Clone, Copy, Debug)]
struct Looked {
    found: TypeCheck,
    /// Its priority, as its `stat` file tells it; `None` when that cannot be read.
    told_prio: Option<i32>,
}

/// Why the types of a plan are not to be trusted; `None` when they are, or are the kernel's own.
pub(super) fn distrust(
    ebpf: &mut Ebpf,
    plan: &AttachPlan,
    own_cgroup: Option<CgroupKey>,
) -> Option<SignalState> {
    let file = plan.external_btf.as_ref()?.display();
    if !plan.anything_on() {
        return None;
    }
    let reason = match look(ebpf) {
        Ok(found) => {
            tracing::debug!(?found, "looked at ourselves through {file}");
            let difference = first_difference(&found, plan, own_cgroup)?;
            format!("{file} does not describe the running kernel: {difference}")
        }
        Err(error) => format!(
            "{file} cannot be checked against the running kernel: {}",
            error_chain(&error)
        ),
    };
    Some(SignalState::Off {
        reason,
        remedy: REMEDY_FOR_TYPES_OF_ANOTHER.to_owned(),
    })
}

/// Lets the program look at a thread of ours.
fn look(ebpf: &mut Ebpf) -> Result<Looked, CheckError> {
    let no_such_part = |name| move || CheckError::NoSuchPart { name };
    let program = ebpf
        .program_mut(PROGRAM)
        .ok_or_else(no_such_part(PROGRAM))?;
    let program: &mut RawTracePoint = program.try_into()?;
    program.load()?;
    // A thread of its own, so that its pid is not its tgid, and its name is ours to choose. Without a
    // CPU asked for, the kernel runs the program in the thread that asks.
    let told_prio = std::thread::scope(|threads| {
        std::thread::Builder::new()
            .name(THREAD.to_owned())
            .spawn_scoped(threads, || {
                program.test_run(RawTracePointRunOptions::new())?;
                Ok(own_prio())
            })
            .map_err(CheckError::Thread)?
            .join()
            .ok()
            .ok_or(CheckError::Panicked)?
            .map_err(CheckError::Program)
    })?;
    program.unload()?;
    let map = ebpf.map(MAP).ok_or_else(no_such_part(MAP))?;
    Ok(Looked {
        found: Array::<_, TypeCheck>::try_from(map)?.get(&0, 0)?,
        told_prio,
    })
}

/// `task_struct.prio` of this thread: its `stat` file has it less `MAX_RT_PRIO`.
fn own_prio() -> Option<i32> {
    let path = "/proc/thread-self/stat";
    let stat = procfs::process::Stat::from_read(std::fs::File::open(path).ok()?).ok()?;
    i32::try_from(stat.priority).ok()?.checked_add(100)
}

/// Something that is read through the offsets and known by other means.
struct Fact {
    what: &'static str,
    /// The offsets that it is read through; without one of them it says nothing.
    through: Vec<&'static str>,
    read: String,
    /// What is known; `None` when it is not.
    known: Option<String>,
}

/// The first fact that the offsets get wrong.
fn first_difference(
    looked: &Looked,
    plan: &AttachPlan,
    own_cgroup: Option<CgroupKey>,
) -> Option<String> {
    let found = &looked.found;
    let has = |symbol: &&str| plan.globals.iter().any(|(name, _)| name == symbol);
    let difference = facts(looked, plan.tasks, own_cgroup)
        .into_iter()
        .filter(|fact| fact.through.iter().all(has))
        .find_map(|fact| {
            let known = fact.known.filter(|known| *known != fact.read)?;
            Some(format!("{} reads {}, and is {known}", fact.what, fact.read))
        });
    let clock_fields = [
        "OFF_TASK_LAST_ARRIVAL",
        "OFF_TASK_CFS_RQ",
        "OFF_CFS_RQ_RQ",
        "OFF_RQ_CLOCK",
    ];
    difference.or_else(|| {
        clock_fields
            .iter()
            .all(has)
            .then(|| clock_difference(found, has(&"OFF_CFS_RQ_THROTTLED_TIME")))?
    })
}

fn facts(
    Looked { found, told_prio }: &Looked,
    tasks: Option<TaskHierarchy>,
    own_cgroup: Option<CgroupKey>,
) -> Vec<Fact> {
    let number = |what, through: &[&'static str], read: u64, known: Option<u64>| Fact {
        what,
        through: through.to_vec(),
        read: read.to_string(),
        known: known.map(|known| known.to_string()),
    };
    let (way, cgroup, hierarchy) = match tasks {
        Some(TaskHierarchy::V2) => (&TASK_CGROUP_V2[..], Some(found.told_v2_cgroup), Some(0)),
        Some(TaskHierarchy::V1Cpu) => (
            &["OFF_CSS_SET_CPU", "OFF_CSS_CGROUP"][..],
            own_cgroup.map(|key| key.id.0),
            own_cgroup.map(|key| u64::from(key.hierarchy.0)),
        ),
        None => (&[][..], None, None),
    };
    let to_cgroup = [&TASK_CGROUP, way].concat();
    let to_hierarchy = [
        &to_cgroup[..],
        &["OFF_CGROUP_ROOT", "OFF_CGROUP_ROOT_HIERARCHY_ID"],
    ]
    .concat();
    let to_queue = [
        "OFF_TASK_CFS_RQ",
        "OFF_CFS_RQ_TG",
        "OFF_TASK_GROUP_CSS",
        "OFF_CSS_CGROUP",
        "OFF_CGROUP_KN",
        "OFF_KERNFS_NODE_ID",
    ];
    // In v2 it can be that of a cgroup above, which is not looked up; and a task of the root can be in an
    // autogroup, which has none.
    let in_autogroup = found.run_queue_cgroup == 0 && cgroup == Some(ROOT);
    let queue_cgroup = cgroup.filter(|_| tasks == Some(TaskHierarchy::V1Cpu) && !in_autogroup);
    vec![
        number(
            "sched_info.last_queued of a task that runs",
            &["OFF_TASK_LAST_QUEUED"],
            found.last_queued_ns,
            Some(0),
        ),
        number(
            "task_struct.__state (or state) of a task that runs",
            &["OFF_TASK_STATE"],
            found.state.into(),
            Some(0),
        ),
        Fact {
            what: "task_struct.prio",
            through: vec!["OFF_TASK_PRIO"],
            read: found.prio.to_string(),
            known: told_prio.map(|prio| prio.to_string()),
        },
        number(
            "task_struct.pid",
            &["OFF_TASK_PID"],
            found.pid.into(),
            Some(found.told_pid.into()),
        ),
        number(
            "task_struct.tgid",
            &["OFF_TASK_TGID"],
            found.tgid.into(),
            Some(found.told_tgid.into()),
        ),
        Fact {
            what: "task_struct.comm",
            through: vec!["OFF_TASK_COMM"],
            read: text(&found.comm),
            known: Some(text(&found.told_comm)),
        },
        number(
            "PF_KTHREAD in task_struct.flags",
            &["OFF_TASK_FLAGS"],
            found.is_kernel_thread.into(),
            Some(0),
        ),
        number(
            "kernfs_node.id of the task's cgroup",
            &to_cgroup,
            found.cgroup,
            cgroup,
        ),
        number(
            "cgroup_root.hierarchy_id of the task's cgroup",
            &to_hierarchy,
            found.hierarchy.into(),
            hierarchy,
        ),
        number(
            "kernfs_node.id of the cgroup of the task's run queue",
            &to_queue,
            found.run_queue_cgroup,
            queue_cgroup,
        ),
    ]
}

/// A running task got its CPU before now, and not long ago; and its limits took no longer than the
/// host is up.
fn clock_difference(found: &TypeCheck, knows_throttling: bool) -> Option<String> {
    let (arrival, clock) = (found.last_arrival_ns, found.run_queue_clock_ns);
    let holds = arrival != 0 && clock.wrapping_sub(arrival) < RECENTLY_NS;
    if !holds {
        return Some(format!(
            "task_struct.sched_info.last_arrival reads {arrival}, and is some time before rq.clock, \
             which reads {clock}"
        ));
    }
    let throttled = found.throttled_ns;
    (knows_throttling && throttled > clock).then(|| {
        format!(
            "the throttled time in cfs_rq reads {throttled}, and is not more than rq.clock, which \
             reads {clock}"
        )
    })
}

fn text(comm: &[u8; COMM_LEN]) -> String {
    let length = comm.iter().position(|&byte| byte == 0).unwrap_or(COMM_LEN);
    format!("{:?}", String::from_utf8_lossy(&comm[..length]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{attach::Entry, host::HierarchyId};

    const ALL: [&str; 22] = [
        "OFF_TASK_PID",
        "OFF_TASK_TGID",
        "OFF_TASK_FLAGS",
        "OFF_TASK_COMM",
        "OFF_TASK_CGROUPS",
        "OFF_TASK_LAST_ARRIVAL",
        "OFF_TASK_CFS_RQ",
        "OFF_CFS_RQ_RQ",
        "OFF_RQ_CLOCK",
        "OFF_CSS_SET_DFL_CGRP",
        "OFF_CSS_SET_CPU",
        "OFF_CSS_CGROUP",
        "OFF_CGROUP_KN",
        "OFF_KERNFS_NODE_ID",
        "OFF_CGROUP_ROOT",
        "OFF_CGROUP_ROOT_HIERARCHY_ID",
        "OFF_TASK_LAST_QUEUED",
        "OFF_TASK_STATE",
        "OFF_TASK_PRIO",
        "OFF_CFS_RQ_TG",
        "OFF_TASK_GROUP_CSS",
        "OFF_CFS_RQ_THROTTLED_TIME",
    ];

    fn plan(tasks: TaskHierarchy, without: &str) -> AttachPlan {
        let known = ALL.into_iter().filter(|symbol| *symbol != without);
        AttachPlan {
            signals: Vec::new(),
            entry: Entry::Raw,
            external_btf: Some("/tmp/types".into()),
            tasks: Some(tasks),
            globals: known.map(|symbol| (symbol, 8)).collect(),
            operations: Vec::new(),
        }
    }

    /// What is read with the right offsets.
    fn right() -> TypeCheck {
        let comm = *b"cgscope-types\0\0\0";
        TypeCheck {
            told_pid: 11,
            told_tgid: 10,
            told_v2_cgroup: 77,
            told_comm: comm,
            pid: 11,
            tgid: 10,
            comm,
            cgroup: 77,
            hierarchy: 0,
            is_kernel_thread: 0,
            last_arrival_ns: 1_000_000,
            run_queue_clock_ns: 1_000_500,
            last_queued_ns: 0,
            run_queue_cgroup: 77,
            throttled_ns: 0,
            prio: 120,
            state: 0,
        }
    }

    fn difference(found: TypeCheck, plan: &AttachPlan, own: Option<CgroupKey>) -> Option<String> {
        let told_prio = Some(120);
        first_difference(&Looked { found, told_prio }, plan, own)
    }

    fn on_v2(change: impl FnOnce(&mut TypeCheck)) -> Option<String> {
        let mut found = right();
        change(&mut found);
        difference(found, &plan(TaskHierarchy::V2, ""), None)
    }

    #[test]
    fn right_offsets_differ_in_nothing() {
        assert_eq!(on_v2(|_| {}), None);
    }

    #[test]
    fn each_wrong_offset_is_named_with_what_it_reads() {
        type Change = fn(&mut TypeCheck);
        let cases: [(Change, &str); 13] = [
            (|of| of.pid = 10, "task_struct.pid reads 10, and is 11"),
            (|of| of.tgid = 0, "task_struct.tgid reads 0, and is 10"),
            (
                |of| of.comm = [0; COMM_LEN],
                "task_struct.comm reads \"\", and is \"cgscope-types\"",
            ),
            (|of| of.is_kernel_thread = 1, "PF_KTHREAD"),
            (
                |of| of.cgroup = 1,
                "kernfs_node.id of the task's cgroup reads 1, and is 77",
            ),
            (|of| of.hierarchy = 3, "cgroup_root.hierarchy_id"),
            (|of| of.last_arrival_ns = 0, "last_arrival reads 0"),
            (|of| of.last_arrival_ns = u64::MAX / 2, "last_arrival"),
            (|of| of.run_queue_clock_ns = 0, "rq.clock"),
            (|of| of.last_queued_ns = 1_000_000, "sched_info.last_queued"),
            (|of| of.state = 1, "task_struct.__state (or state)"),
            (|of| of.prio = 0, "task_struct.prio reads 0, and is 120"),
            (|of| of.throttled_ns = u64::MAX, "the throttled time"),
        ];
        for (change, said) in cases {
            let difference = on_v2(change).unwrap_or_default();
            assert!(difference.contains(said), "{difference:?}, not {said:?}");
        }
    }

    #[test]
    fn what_has_no_offset_says_nothing() {
        let mut wrong = right();
        wrong.pid = 10;
        let plan = plan(TaskHierarchy::V2, "OFF_TASK_PID");
        assert_eq!(difference(wrong, &plan, None), None);
    }

    #[test]
    fn on_v1_the_directory_of_our_own_cgroup_tells_if_it_can_be_seen() {
        let plan = plan(TaskHierarchy::V1Cpu, "");
        let own = |hierarchy, id| Some(CgroupKey::new(HierarchyId(hierarchy), id));
        let mut found = right();
        (found.cgroup, found.run_queue_cgroup, found.hierarchy) = (5, 5, 4);
        let with_own = |own| difference(found, &plan, own);
        assert_eq!(with_own(own(4, 5)), None);
        assert_eq!(with_own(None), None);
        let other_id = with_own(own(4, 6)).unwrap_or_default();
        assert!(other_id.contains("reads 5, and is 6"), "{other_id}");
        let other_hierarchy = with_own(own(2, 5)).unwrap_or_default();
        assert!(
            other_hierarchy.contains("reads 4, and is 2"),
            "{other_hierarchy}"
        );
        found.run_queue_cgroup = 9;
        let other_queue = difference(found, &plan, own(4, 5)).unwrap_or_default();
        assert!(other_queue.contains("run queue reads 9"), "{other_queue}");
        found.run_queue_cgroup = 0;
        assert!(difference(found, &plan, own(4, 5)).is_some());
        found.cgroup = ROOT;
        assert_eq!(difference(found, &plan, own(4, ROOT)), None);
    }
}
