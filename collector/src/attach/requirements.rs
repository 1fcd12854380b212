//! What each signal needs of a kernel, in which ways it can be had, and what is lost without.
//!
//! The one table on this side that tells kernels apart: [`plan`](super::plan) evaluates it, `doctor`
//! speaks in its words, and `docs/kernels.md` is printed from it. Kernels that call a field otherwise are
//! told apart in [`layout`](crate::host::layout). Nothing here compares versions: a release is named
//! for people, with the commit that made the difference. Never here: a decision, or a question to the
//! kernel.

use collector_common::signal::Signal;

use crate::host::layout::Since;

/// What one signal needs.
#[derive(Clone, Copy, Debug)]
pub struct Requirements {
    /// Which.
    pub signal: Signal,
    /// What it answers, for people.
    pub question: &'static str,
    /// What the kernel must be built with, besides what all need.
    pub built_with: &'static [&'static str],
    /// Without one of these it is off.
    pub needs: &'static [Need],
    /// Its parts; without one that is not optional it is off.
    pub parts: &'static [Part],
}

/// A fact that must be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The offset of a field, by the name of the programs' global.
    Field(&'static str),
    /// How to get from a task to its cgroup in the hierarchy where tasks are attributed.
    TaskCgroup,
    /// How this kernel numbers the operations of block I/O.
    BlockOperations,
}

/// A part of a signal.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// What it gives, and what is lost without it.
    pub gives: &'static str,
    /// Whether the signal does without it.
    pub optional: bool,
    /// What the kernel must be built with for it.
    pub built_with: &'static [&'static str],
    /// How it can be had, best first: the first that this kernel allows is taken.
    pub ways: &'static [Way],
}

/// A way to have a part.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// Where it is from, for people.
    pub from: &'static str,
    /// The program that it takes, when it takes one of its own.
    pub program: Option<ProgramAt>,
    /// What else must be known.
    pub needs: &'static [Need],
    /// Globals of the programs that are 1 when this way is taken, and 0 otherwise.
    pub sets: &'static [&'static str],
    /// When it came; `None` when it was there before any kernel that can load the programs.
    pub since: Option<Since>,
    /// What it does not give, though a better way would.
    pub lacks: Option<&'static str>,
}

/// A program of the object, and where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgramAt {
    /// Its name in the object.
    pub name: &'static str,
    /// Where it goes.
    pub hook: Hook,
    /// The types of what is passed there, as far as the program reads it; `|` separates types that it
    /// takes all the same.
    pub arguments: &'static [&'static str],
}

/// Where a program is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// A tracepoint.
    Tracepoint(&'static str),
    /// The entry of a function.
    FunctionEntry(&'static str),
}

/// The program that tells whose limit an OOM kill is for.
pub const OOM_LIMIT: &str = "oom_limit";

/// The global that says whether a wait's own bandwidth limit is told apart from contention.
pub const HAS_THROTTLING: &str = "HAS_THROTTLING";

/// The fields from a task to the id of its cgroup, whatever the hierarchy.
pub const TASK_CGROUP: [&str; 3] = ["OFF_TASK_CGROUPS", "OFF_CGROUP_KN", "OFF_KERNFS_NODE_ID"];

/// Those of the v2 hierarchy.
pub const TASK_CGROUP_V2: [&str; 1] = ["OFF_CSS_SET_DFL_CGRP"];

/// Those of the v1 hierarchy of the `cpu` controller.
pub const TASK_CGROUP_V1: [&str; 2] = ["OFF_CSS_SET_SUBSYS", "OFF_CSS_CGROUP"];

/// Something that all programs need, whatever they measure.
#[derive(Clone, Copy, Debug)]
pub struct Floor {
    /// What.
    pub what: &'static str,
    /// Since when.
    pub since: Since,
    /// Without it.
    pub without: &'static str,
    /// Whether a kernel without it can be done with.
    pub optional: bool,
}

/// What all programs need.
pub const FLOOR: [Floor; 6] = [
    Floor {
        what: "the BPF ring buffer",
        since: since("5.8", "457f44363a88"),
        without: "nothing can be loaded",
        optional: false,
    },
    Floor {
        what: "`BPF_PROG_TEST_RUN` of raw tracepoint programs, on a chosen CPU",
        since: since("5.10", "1b4d60ec162f"),
        without: "a silent CPU cannot be asked for its last samples, nor a BTF file be checked",
        optional: false,
    },
    Floor {
        what: "reading kernel memory apart from a user's (`bpf_probe_read_kernel`)",
        since: since("5.5", "6ae08ae3dea2"),
        without: "nothing can be loaded",
        optional: false,
    },
    Floor {
        what: "typed tracepoint programs (`tp_btf`)",
        since: since("5.5", "9e15db66136a"),
        without: "raw tracepoints (4.17, commit c4f6699dfcb8) do, at several times the cost",
        optional: true,
    },
    Floor {
        what: "type information of its own in `/sys/kernel/btf/vmlinux` (`CONFIG_DEBUG_INFO_BTF=y`)",
        since: since("5.4", "341dfcf8d78e"),
        without: "every signal is off, unless `--btf` names a file with it; with that, raw \
                  tracepoints are used, and what needs the entry of a function is lost",
        optional: true,
    },
    Floor {
        what: "`CAP_BPF` and `CAP_PERFMON` apart from `CAP_SYS_ADMIN`",
        since: since("5.8", "a17b53c4a4b5"),
        without: "`CAP_SYS_ADMIN` does",
        optional: true,
    },
];

/// What every kernel must be built with.
pub const BUILT_WITH: [&str; 3] = ["CONFIG_BPF_SYSCALL", "CONFIG_BPF_EVENTS", "CONFIG_CGROUPS"];

/// The signals, in the order of [`Signal::ALL`].
pub static REQUIREMENTS: [Requirements; Signal::ALL.len()] = [SCHED, BLOCK_IO, OOM, CGROUP_LIFE];

const SCHED: Requirements = Requirements {
    signal: Signal::Sched,
    question: "who waits for a CPU, for how long, and who holds it",
    built_with: &["CONFIG_FAIR_GROUP_SCHED", "CONFIG_SCHED_INFO"],
    needs: &[
        Need::Field("OFF_TASK_PID"),
        Need::Field("OFF_TASK_FLAGS"),
        Need::Field("OFF_TASK_LAST_QUEUED"),
        Need::Field("OFF_TASK_LAST_ARRIVAL"),
        Need::Field("OFF_TASK_CFS_RQ"),
        Need::Field("OFF_CFS_RQ_RQ"),
        Need::Field("OFF_RQ_CLOCK"),
        Need::TaskCgroup,
    ],
    parts: &[
        Part {
            gives: "context switches",
            optional: false,
            built_with: &[],
            ways: &[
                Way {
                    // The argument came in 5.18 as the second one (commit fa2c3254d7cf), and went to the
                    // end before that release.
                    from: "with the state of the task that leaves",
                    since: Some(since("5.18", "9c2136be0878")),
                    sets: &["HAS_PREV_STATE_ARG"],
                    ..tracepoint(
                        "sched_switch",
                        "sched_switch",
                        &[
                            "bool",
                            "task_struct*",
                            "task_struct*",
                            "unsigned int|long unsigned int",
                        ],
                    )
                },
                Way {
                    from: "the state of the task that leaves is read from the task",
                    needs: &[Need::Field("OFF_TASK_STATE")],
                    lacks: Some(
                        "certainty whether a switch was voluntary, when a wakeup comes just then",
                    ),
                    ..tracepoint(
                        "sched_switch",
                        "sched_switch",
                        &["bool", "task_struct*", "task_struct*"],
                    )
                },
            ],
        },
        Part {
            gives: "throttling told apart from contention",
            optional: true,
            built_with: &["CONFIG_CFS_BANDWIDTH"],
            ways: &[
                Way {
                    since: Some(since("6.6", "677ea015f231")),
                    sets: &[HAS_THROTTLING, "HAS_EXACT_THROTTLED_TIME"],
                    ..fields(
                        "cfs_rq.throttled_clock_self",
                        &[
                            Need::Field("OFF_CFS_RQ_THROTTLED_SINCE"),
                            Need::Field("OFF_CFS_RQ_THROTTLED_TIME"),
                            Need::Field("OFF_TASK_PRIO"),
                            Need::Field("OFF_CFS_RQ_TG"),
                            Need::Field("OFF_TASK_GROUP_CSS"),
                            Need::Field("OFF_CSS_CGROUP"),
                        ],
                    )
                },
                Way {
                    sets: &[HAS_THROTTLING],
                    lacks: Some(
                        "the exact bounds of a throttle (what is waited for the CPU right after counts \
                         as throttled; of a limit above that begins while the cgroup sleeps for long, \
                         a part can count as contention, or contention after it as throttled)",
                    ),
                    ..fields(
                        "cfs_rq.throttle_count",
                        &[
                            Need::Field("OFF_CFS_RQ_THROTTLE_COUNT"),
                            Need::Field("OFF_CFS_RQ_THROTTLED_TIME"),
                            Need::Field("OFF_TASK_PRIO"),
                            Need::Field("OFF_CFS_RQ_TG"),
                            Need::Field("OFF_TASK_GROUP_CSS"),
                            Need::Field("OFF_CSS_CGROUP"),
                        ],
                    )
                },
            ],
        },
    ],
};

const BLOCK_IO: Requirements = Requirements {
    signal: Signal::BlockIo,
    question: "how long a container's block I/O waits in the queue, and how long the device takes",
    built_with: &["CONFIG_BLK_CGROUP"],
    needs: &[
        Need::Field("OFF_REQUEST_START_TIME_NS"),
        Need::Field("OFF_REQUEST_IO_START_TIME_NS"),
        Need::Field("OFF_REQUEST_BIO"),
        Need::Field("OFF_REQUEST_CMD_FLAGS"),
        Need::Field("OFF_REQUEST_DATA_LEN"),
        Need::Field("OFF_GENDISK_MAJOR"),
        Need::Field("OFF_GENDISK_FIRST_MINOR"),
        Need::Field("OFF_BIO_BLKG"),
        Need::Field("OFF_BLKCG_GQ_BLKCG"),
        Need::Field("OFF_BLKCG_CSS"),
        Need::Field("OFF_CSS_CGROUP"),
        Need::Field("OFF_CGROUP_KN"),
        Need::Field("OFF_KERNFS_NODE_ID"),
        Need::BlockOperations,
    ],
    parts: &[
        Part {
            gives: "completions",
            optional: false,
            built_with: &[],
            ways: &[tracepoint(
                "block_complete",
                "block_rq_complete",
                // The second one's type changed in 5.16 (commit 8a7d267b4a2c).
                &["request*", "blk_status_t|int", "unsigned int"],
            )],
        },
        Part {
            gives: "the disk",
            optional: false,
            built_with: &[],
            ways: &[
                Way {
                    since: Some(since("5.15", "d152c682f03c")),
                    ..fields(
                        "request_queue.disk",
                        &[
                            Need::Field("OFF_REQUEST_Q"),
                            Need::Field("OFF_REQUEST_QUEUE_DISK"),
                        ],
                    )
                },
                Way {
                    sets: &["HAS_RQ_DISK"],
                    ..fields(
                        "request.rq_disk, gone in 5.17 (commit f3fa33acca9f)",
                        &[Need::Field("OFF_REQUEST_RQ_DISK")],
                    )
                },
            ],
        },
    ],
};

const OOM: Requirements = Requirements {
    signal: Signal::Oom,
    question: "whom the OOM killer chose, and whose limit it was",
    built_with: &[],
    needs: &[],
    parts: &[
        Part {
            gives: "victims",
            optional: false,
            built_with: &[],
            ways: &[
                Way {
                    from: "with the victim's task; also in stable releases that took it over, as 5.10.262",
                    needs: &[
                        Need::Field("OFF_TASK_TGID"),
                        Need::Field("OFF_TASK_COMM"),
                        Need::TaskCgroup,
                    ],
                    since: Some(since("6.8", "72ba14deb40a")),
                    ..tracepoint("oom_victim", "mark_victim", &["task_struct*"])
                },
                Way {
                    from: "with the victim's pid",
                    lacks: Some(
                        "the victim's name and cgroup from the kernel (looked up by pid, at once)",
                    ),
                    ..tracepoint("oom_victim_pid", "mark_victim", &["int"])
                },
            ],
        },
        Part {
            gives: "the limit's owner",
            optional: true,
            built_with: &["CONFIG_MEMCG"],
            ways: &[Way {
                from: "fentry of oom_kill_process",
                program: Some(ProgramAt {
                    name: OOM_LIMIT,
                    hook: Hook::FunctionEntry("oom_kill_process"),
                    arguments: &["oom_control*"],
                }),
                since: Some(since("5.5", "fec56f5890d9")),
                ..fields(
                    "",
                    &[
                        Need::Field("OFF_OOM_CONTROL_MEMCG"),
                        Need::Field("OFF_MEM_CGROUP_CSS"),
                        Need::Field("OFF_CSS_CGROUP"),
                        Need::Field("OFF_CGROUP_KN"),
                        Need::Field("OFF_KERNFS_NODE_ID"),
                    ],
                )
            }],
        },
    ],
};

const CGROUP_LIFE: Requirements = Requirements {
    signal: Signal::CgroupLife,
    question: "which cgroups come, go, change their path, fill and empty",
    built_with: &[],
    needs: &[
        Need::Field("OFF_CGROUP_KN"),
        Need::Field("OFF_KERNFS_NODE_ID"),
        Need::Field("OFF_CGROUP_ROOT"),
        Need::Field("OFF_CGROUP_ROOT_HIERARCHY_ID"),
    ],
    parts: &[
        Part {
            gives: "new cgroups",
            optional: false,
            built_with: &[],
            ways: &[tracepoint(
                "cgroup_mkdir",
                "cgroup_mkdir",
                &["cgroup*", "char*"],
            )],
        },
        Part {
            gives: "the end of cgroups",
            optional: false,
            built_with: &[],
            ways: &[tracepoint(
                "cgroup_rmdir",
                "cgroup_rmdir",
                &["cgroup*", "char*"],
            )],
        },
        Part {
            gives: "new paths at once",
            optional: true,
            built_with: &[],
            ways: &[tracepoint(
                "cgroup_rename",
                "cgroup_rename",
                &["cgroup*", "char*"],
            )],
        },
        Part {
            gives: "the moment when the last process has left",
            optional: true,
            built_with: &[],
            ways: &[tracepoint(
                "cgroup_populate",
                "cgroup_notify_populated",
                &["cgroup*", "char*", "int"],
            )],
        },
    ],
};

/// What a signal needs.
#[must_use]
pub fn of(signal: Signal) -> &'static Requirements {
    &REQUIREMENTS[signal as usize]
}

/// A release as numbers that compare.
#[must_use]
pub fn release(since: Since) -> (u32, u32) {
    let (major, minor) = since
        .release
        .split_once('.')
        .unwrap_or((since.release, "0"));
    (major.parse().unwrap_or(0), minor.parse().unwrap_or(0))
}

const fn since(release: &'static str, commit: &'static str) -> Since {
    Since { release, commit }
}

/// A way that is a program on a tracepoint and nothing else.
const fn tracepoint(
    name: &'static str,
    tracepoint: &'static str,
    arguments: &'static [&'static str],
) -> Way {
    Way {
        program: Some(ProgramAt {
            name,
            hook: Hook::Tracepoint(tracepoint),
            arguments,
        }),
        ..fields(tracepoint, &[])
    }
}

/// A way that is some more fields for a program that is there already.
const fn fields(from: &'static str, needs: &'static [Need]) -> Way {
    Way {
        from,
        program: None,
        needs,
        sets: &[],
        since: None,
        lacks: None,
    }
}
