//! Where the running kernel keeps the fields that the programs read.
//!
//! The daemon's half of the table in `collector-ebpf/src/kernel_types.rs`, under the same names. A
//! field that a kernel calls otherwise, or does not have, is known here and nowhere else.

use std::collections::BTreeMap;

use super::btf::{KernelBtf, Missing};

/// A global of the kernel programs, and the member whose offset it wants.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The global's name.
    pub symbol: &'static str,
    /// The struct, then the path of the member: the first that this kernel has is taken.
    places: &'static [(&'static str, &'static str)],
}

const fn field(symbol: &'static str, places: &'static [(&'static str, &'static str)]) -> Field {
    Field { symbol, places }
}

/// Every field that a program may read.
pub const FIELDS: [Field; 35] = [
    field("OFF_TASK_PID", &[("task_struct", "pid")]),
    field("OFF_TASK_TGID", &[("task_struct", "tgid")]),
    field("OFF_TASK_FLAGS", &[("task_struct", "flags")]),
    field("OFF_TASK_PRIO", &[("task_struct", "prio")]),
    field("OFF_TASK_COMM", &[("task_struct", "comm")]),
    field("OFF_TASK_CGROUPS", &[("task_struct", "cgroups")]),
    field(
        "OFF_TASK_LAST_QUEUED",
        &[("task_struct", "sched_info.last_queued")],
    ),
    field(
        "OFF_TASK_LAST_ARRIVAL",
        &[("task_struct", "sched_info.last_arrival")],
    ),
    field("OFF_TASK_CFS_RQ", &[("task_struct", "se.cfs_rq")]),
    // Renamed in 5.14 (commit 2f064a59a11f).
    field(
        "OFF_TASK_STATE",
        &[("task_struct", "__state"), ("task_struct", "state")],
    ),
    field("OFF_CFS_RQ_RQ", &[("cfs_rq", "rq")]),
    // Since 6.6 (commit 677ea015f231).
    field(
        "OFF_CFS_RQ_THROTTLED_SINCE",
        &[("cfs_rq", "throttled_clock_self")],
    ),
    field(
        "OFF_CFS_RQ_THROTTLED_TIME",
        &[
            // Since 6.6, as above.
            ("cfs_rq", "throttled_clock_self_time"),
            // Renamed in 5.19 (commit 64eaf50731ac).
            ("cfs_rq", "throttled_clock_pelt_time"),
            ("cfs_rq", "throttled_clock_task_time"),
        ],
    ),
    field("OFF_CFS_RQ_THROTTLE_COUNT", &[("cfs_rq", "throttle_count")]),
    field("OFF_RQ_CLOCK", &[("rq", "clock")]),
    field("OFF_CSS_SET_DFL_CGRP", &[("css_set", "dfl_cgrp")]),
    field("OFF_CSS_SET_SUBSYS", &[("css_set", "subsys")]),
    field("OFF_CSS_CGROUP", &[("cgroup_subsys_state", "cgroup")]),
    field("OFF_CGROUP_KN", &[("cgroup", "kn")]),
    field("OFF_CGROUP_ROOT", &[("cgroup", "root")]),
    field(
        "OFF_CGROUP_ROOT_HIERARCHY_ID",
        &[("cgroup_root", "hierarchy_id")],
    ),
    field("OFF_KERNFS_NODE_ID", &[("kernfs_node", "id")]),
    field("OFF_REQUEST_START_TIME_NS", &[("request", "start_time_ns")]),
    field(
        "OFF_REQUEST_IO_START_TIME_NS",
        &[("request", "io_start_time_ns")],
    ),
    field("OFF_REQUEST_BIO", &[("request", "bio")]),
    field("OFF_REQUEST_CMD_FLAGS", &[("request", "cmd_flags")]),
    field("OFF_REQUEST_DATA_LEN", &[("request", "__data_len")]),
    // The disk moved from the request to its queue: there since 5.15 (commit d152c682f03c), gone
    // from the request since 5.17 (commit f3fa33acca9f).
    field("OFF_REQUEST_Q", &[("request", "q")]),
    field("OFF_REQUEST_QUEUE_DISK", &[("request_queue", "disk")]),
    field("OFF_REQUEST_RQ_DISK", &[("request", "rq_disk")]),
    field("OFF_GENDISK_MAJOR", &[("gendisk", "major")]),
    field("OFF_GENDISK_FIRST_MINOR", &[("gendisk", "first_minor")]),
    field("OFF_BIO_BLKG", &[("bio", "bi_blkg")]),
    field("OFF_BLKCG_GQ_BLKCG", &[("blkcg_gq", "blkcg")]),
    field("OFF_BLKCG_CSS", &[("blkcg", "css")]),
];

/// The fields that only the optional look at the OOM killer's argument needs.
pub const OOM_LIMIT_FIELDS: [Field; 2] = [
    field("OFF_OOM_CONTROL_MEMCG", &[("oom_control", "memcg")]),
    field("OFF_MEM_CGROUP_CSS", &[("mem_cgroup", "css")]),
];

/// The offsets of the running kernel, those it lacks included.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    offsets: BTreeMap<&'static str, Result<u64, Missing>>,
}

impl Layout {
    /// Asks BTF for every field.
    #[must_use]
    pub fn resolve(btf: &KernelBtf) -> Self {
        let offsets = FIELDS
            .iter()
            .chain(&OOM_LIMIT_FIELDS)
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

    /// Every offset that the kernel has, by symbol.
    pub fn known(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.offsets
            .iter()
            .filter_map(|(symbol, offset)| offset.as_ref().ok().map(|offset| (*symbol, *offset)))
    }
}

fn resolve_field(btf: &KernelBtf, field: &Field) -> Result<u64, Missing> {
    let mut first_miss = None;
    for (structure, path) in field.places {
        match btf.offset(structure, path) {
            Ok(offset) => return Ok(offset),
            Err(missing) => first_miss = first_miss.or(Some(missing)),
        }
    }
    Err(first_miss.unwrap_or_else(|| Missing::field_not_asked_for(field.symbol)))
}
