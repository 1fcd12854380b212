//! Where the running kernel keeps the fields that the programs read.
//!
//! The daemon's half of the table in `collector-ebpf/src/kernel_types.rs`, under the same names. A
//! field that a kernel calls otherwise, or does not have, is known here and nowhere else; what is lost
//! without it is in `attach/requirements.rs`.

use std::{collections::BTreeMap, fmt};

use super::btf::{KernelBtf, Missing};

/// A release of the kernel, and the commit that made it different from those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    /// As in `5.14`.
    pub release: &'static str,
    /// The first digits of the commit's hash.
    pub commit: &'static str,
}

/// A member of a kernel struct.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The struct.
    pub structure: &'static str,
    /// The member, `a.b` being a member of a member.
    pub path: &'static str,
    /// When it came; `None` when it was there before any kernel that can load the programs.
    pub since: Option<Since>,
}

/// A global of the kernel programs, and the member whose offset it wants.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The global's name.
    pub symbol: &'static str,
    /// Where it may be, newest first: the first that this kernel has is taken.
    pub places: &'static [Place],
}

const fn field(symbol: &'static str, places: &'static [Place]) -> Field {
    Field { symbol, places }
}

const fn at(structure: &'static str, path: &'static str) -> Place {
    Place {
        structure,
        path,
        since: None,
    }
}

impl Place {
    const fn since(mut self, release: &'static str, commit: &'static str) -> Self {
        self.since = Some(Since { release, commit });
        self
    }
}

/// Every field that a program may read.
pub const FIELDS: [Field; 39] = [
    field("OFF_TASK_PID", &[at("task_struct", "pid")]),
    field("OFF_TASK_TGID", &[at("task_struct", "tgid")]),
    field("OFF_TASK_FLAGS", &[at("task_struct", "flags")]),
    field("OFF_TASK_PRIO", &[at("task_struct", "prio")]),
    field("OFF_TASK_COMM", &[at("task_struct", "comm")]),
    field("OFF_TASK_CGROUPS", &[at("task_struct", "cgroups")]),
    field(
        "OFF_TASK_LAST_QUEUED",
        &[at("task_struct", "sched_info.last_queued")],
    ),
    field(
        "OFF_TASK_LAST_ARRIVAL",
        &[at("task_struct", "sched_info.last_arrival")],
    ),
    field("OFF_TASK_CFS_RQ", &[at("task_struct", "se.cfs_rq")]),
    field(
        "OFF_TASK_STATE",
        &[
            at("task_struct", "__state").since("5.14", "2f064a59a11f"),
            at("task_struct", "state"),
        ],
    ),
    field("OFF_CFS_RQ_RQ", &[at("cfs_rq", "rq")]),
    field("OFF_CFS_RQ_TG", &[at("cfs_rq", "tg")]),
    field(
        "OFF_CFS_RQ_THROTTLED_SINCE",
        &[at("cfs_rq", "throttled_clock_self").since("6.6", "677ea015f231")],
    ),
    field(
        "OFF_CFS_RQ_THROTTLED_TIME",
        &[
            at("cfs_rq", "throttled_clock_self_time").since("6.6", "677ea015f231"),
            at("cfs_rq", "throttled_clock_pelt_time").since("5.19", "64eaf50731ac"),
            at("cfs_rq", "throttled_clock_task_time"),
        ],
    ),
    field(
        "OFF_CFS_RQ_THROTTLE_COUNT",
        &[at("cfs_rq", "throttle_count")],
    ),
    field("OFF_RQ_CLOCK", &[at("rq", "clock")]),
    field("OFF_TASK_GROUP_CSS", &[at("task_group", "css")]),
    field("OFF_CSS_SET_DFL_CGRP", &[at("css_set", "dfl_cgrp")]),
    field("OFF_CSS_SET_SUBSYS", &[at("css_set", "subsys")]),
    field("OFF_CSS_CGROUP", &[at("cgroup_subsys_state", "cgroup")]),
    field("OFF_CGROUP_KN", &[at("cgroup", "kn")]),
    field("OFF_CGROUP_ROOT", &[at("cgroup", "root")]),
    field(
        "OFF_CGROUP_ROOT_HIERARCHY_ID",
        &[at("cgroup_root", "hierarchy_id")],
    ),
    field("OFF_KERNFS_NODE_ID", &[at("kernfs_node", "id")]),
    field(
        "OFF_REQUEST_START_TIME_NS",
        &[at("request", "start_time_ns")],
    ),
    field(
        "OFF_REQUEST_IO_START_TIME_NS",
        &[at("request", "io_start_time_ns")],
    ),
    field("OFF_REQUEST_BIO", &[at("request", "bio")]),
    field("OFF_REQUEST_CMD_FLAGS", &[at("request", "cmd_flags")]),
    field("OFF_REQUEST_DATA_LEN", &[at("request", "__data_len")]),
    // The disk moved from the request to its queue, and is gone from the request since 5.17 (commit
    // f3fa33acca9f).
    field("OFF_REQUEST_Q", &[at("request", "q")]),
    field(
        "OFF_REQUEST_QUEUE_DISK",
        &[at("request_queue", "disk").since("5.15", "d152c682f03c")],
    ),
    field("OFF_REQUEST_RQ_DISK", &[at("request", "rq_disk")]),
    field("OFF_GENDISK_MAJOR", &[at("gendisk", "major")]),
    field("OFF_GENDISK_FIRST_MINOR", &[at("gendisk", "first_minor")]),
    field("OFF_BIO_BLKG", &[at("bio", "bi_blkg")]),
    field("OFF_BLKCG_GQ_BLKCG", &[at("blkcg_gq", "blkcg")]),
    field("OFF_BLKCG_CSS", &[at("blkcg", "css")]),
    field("OFF_OOM_CONTROL_MEMCG", &[at("oom_control", "memcg")]),
    field("OFF_MEM_CGROUP_CSS", &[at("mem_cgroup", "css")]),
];

/// The offsets of the running kernel, those it lacks included.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    offsets: BTreeMap<&'static str, Result<u64, Missing>>,
}

impl Field {
    /// The field that a global of the programs is for.
    #[must_use]
    pub fn of(symbol: &str) -> Option<&'static Self> {
        FIELDS.iter().find(|field| field.symbol == symbol)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.structure, self.path)
    }
}

impl Layout {
    /// Asks BTF for every field.
    #[must_use]
    pub fn resolve(btf: &KernelBtf) -> Self {
        let offsets = FIELDS
            .iter()
            .map(|field| (field.symbol, resolve_field(btf, field)))
            .collect();
        Self { offsets }
    }

    /// Of a kernel that does not run here.
    #[cfg(test)]
    pub(crate) fn of(
        offsets: impl IntoIterator<Item = (&'static str, Result<u64, Missing>)>,
    ) -> Self {
        Self {
            offsets: offsets.into_iter().collect(),
        }
    }

    /// The offset for a symbol, or what the kernel lacks.
    pub fn offset(&self, symbol: &'static str) -> Result<u64, Missing> {
        self.offsets
            .get(symbol)
            .cloned()
            .unwrap_or_else(|| Err(Missing::field_not_asked_for(symbol)))
    }

    /// The first field that this has elsewhere than `own`, in words. What either lacks is no difference:
    /// types can be told in part.
    #[must_use]
    pub fn difference(&self, own: &Self) -> Option<String> {
        self.known().find_map(|(symbol, offset)| {
            let truth = own.offset(symbol).ok().filter(|truth| *truth != offset)?;
            let places = Field::of(symbol)?.places.iter().map(Place::to_string);
            let names = places.collect::<Vec<_>>().join(" or ");
            Some(format!(
                "{names} is at byte {offset}, and the kernel's own types say {truth}"
            ))
        })
    }

    /// Every offset that the kernel has, by symbol.
    pub fn known(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.offsets
            .iter()
            .filter_map(|(symbol, offset)| offset.as_ref().ok().map(|offset| (*symbol, *offset)))
    }
}

fn resolve_field(btf: &KernelBtf, field: &Field) -> Result<u64, Missing> {
    let mut first_miss = None;
    for place in field.places {
        match btf.offset(place.structure, place.path) {
            Ok(offset) => return Ok(offset),
            Err(missing) => first_miss = first_miss.or(Some(missing)),
        }
    }
    Err(first_miss.unwrap_or_else(|| Missing::field_not_asked_for(field.symbol)))
}
