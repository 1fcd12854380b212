//! What the kernel's own accounting says of one cgroup: one form for v1 and v2.
//!
//! Times are nanoseconds and sizes are bytes, whatever the file's unit was. A figure that the kernel
//! does not give, or that could not be read, is absent and not zero.

use std::{ops::Deref, sync::Arc};

use super::{
    OtherKeys,
    cpu::CpuStatistics,
    io::IoStatistics,
    memory::MemoryStatistics,
    parse::{IdRange, Limit, Pressure},
};
use crate::host::clock::Ktime;

/// All that is known of a cgroup. A part that was not asked for keeps its earlier reading.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CgroupStatistics {
    /// CPU time, throttling, and what limits it.
    pub cpu: Option<Reading<CpuStatistics>>,
    /// Memory and swap.
    pub memory: Option<Reading<MemoryStatistics>>,
    /// Block I/O.
    pub io: Option<Reading<IoStatistics>>,
    /// Tasks.
    pub pids: Option<Reading<PidsStatistics>>,
    /// Stalls. v2 only.
    pub pressure: Option<Reading<PressureStatistics>>,
    /// Huge pages, by size.
    pub hugetlb: Option<Reading<Vec<HugetlbStatistics>>>,
    /// RDMA devices.
    pub rdma: Option<Reading<Vec<RdmaStatistics>>>,
    /// Resources of the `misc` controller.
    pub misc: Option<Reading<Vec<MiscStatistics>>>,
    /// CPUs and memory nodes.
    pub cpuset: Option<Reading<CpusetStatistics>>,
    /// Whether it has processes, and what is below it. v2 only.
    pub life: Option<Reading<LifeStatistics>>,
}

/// Which interface a figure was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CgroupVersion {
    /// cgroup v1: a hierarchy per controller.
    V1,
    /// cgroup v2: one hierarchy.
    V2,
}

/// Statistics, when they were read and from where.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading<T> {
    /// From which version.
    pub version: CgroupVersion,
    /// When; limits, which are read less often, can be older.
    pub at: Ktime,
    /// They.
    pub of: T,
}

impl<T> Deref for Reading<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.of
    }
}

/// Tasks, that is, threads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PidsStatistics {
    /// How many there are.
    pub current: Option<u64>,
    /// Most there ever were.
    pub peak: Option<u64>,
    /// How many there can be.
    pub limit: Option<Limit>,
    /// How often one could not be made for this cgroup's limit, or one's below it.
    pub limit_hits: Option<u64>,
    /// v2: how often for this cgroup's own.
    pub limit_hits_here: Option<u64>,
}

/// Stalls by resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PressureStatistics {
    /// Waiting for a CPU.
    pub cpu: Option<Pressure>,
    /// For memory.
    pub memory: Option<Pressure>,
    /// For block I/O.
    pub io: Option<Pressure>,
    /// Held up by interrupts; `full` only.
    pub irq: Option<Pressure>,
}

/// Use of one resource that has a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BoundedUse {
    /// Now.
    pub usage_bytes: Option<u64>,
    /// The most ever.
    pub peak_bytes: Option<u64>,
    /// How much there can be.
    pub limit_bytes: Option<Limit>,
    /// How often the limit was hit.
    pub limit_hits: Option<u64>,
}

/// Huge pages of one size.
#[derive(Clone, Debug, PartialEq)]
pub struct HugetlbStatistics {
    /// The size as the kernel names it: `2MB`.
    pub page_size: Arc<str>,
    /// Those in use.
    pub used: BoundedUse,
    /// Those reserved.
    pub reserved: BoundedUse,
    /// v2: how often this cgroup's own limit was hit, and not one's below.
    pub limit_hits_here: Option<u64>,
    /// v2: those in use in bytes, by memory node.
    pub by_node: Vec<(u32, u64)>,
}

/// One RDMA device.
#[derive(Clone, Debug, PartialEq)]
pub struct RdmaStatistics {
    /// Its name.
    pub device: Arc<str>,
    /// Open handles.
    pub handles: CountedUse,
    /// Objects.
    pub objects: CountedUse,
    /// What else `rdma.current` says, as it says it.
    pub other: OtherKeys,
}

/// Use of something that is counted in pieces and has a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CountedUse {
    /// Now.
    pub current: Option<u64>,
    /// The most ever.
    pub peak: Option<u64>,
    /// How many there can be.
    pub limit: Option<Limit>,
    /// How often this cgroup's limit was hit, or one's below it.
    pub limit_hits: Option<u64>,
    /// How often this cgroup's own.
    pub limit_hits_here: Option<u64>,
    /// How often one could not be had, here or below, whosever limit it was.
    pub failures: Option<u64>,
    /// How often here.
    pub failures_here: Option<u64>,
}

/// One resource of the `misc` controller, such as a kind of encrypted guest.
#[derive(Clone, Debug, PartialEq)]
pub struct MiscStatistics {
    /// Its name.
    pub resource: Arc<str>,
    /// How much of it.
    pub used: CountedUse,
}

/// Where its tasks and memory may be. `None` where nothing is configured here (v2: inherited).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CpusetStatistics {
    /// CPUs as configured.
    pub cpus: Option<Vec<IdRange>>,
    /// Memory nodes as configured.
    pub memory_nodes: Option<Vec<IdRange>>,
    /// CPUs as granted.
    pub effective_cpus: Option<Vec<IdRange>>,
    /// Memory nodes as granted.
    pub effective_memory_nodes: Option<Vec<IdRange>>,
}

impl CpusetStatistics {
    /// How many CPUs it may use.
    #[must_use]
    pub fn cpu_count(&self) -> Option<u64> {
        let cpus = self.effective_cpus.as_ref().or(self.cpus.as_ref())?;
        Some(cpus.iter().map(|range| range.count()).sum())
    }
}

/// The cgroup itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LifeStatistics {
    /// Whether it or one below has processes.
    pub populated: Option<bool>,
    /// Whether it is frozen.
    pub frozen: Option<bool>,
    /// What else `cgroup.events` says, as it says it.
    pub other_events: OtherKeys,
    /// How long it has been frozen.
    pub frozen_ns: Option<u64>,
    /// Cgroups below it.
    pub descendants: Option<u64>,
    /// Cgroups below it that were removed, but still hold something.
    pub dying_descendants: Option<u64>,
    /// What else `cgroup.stat` says.
    pub other: OtherKeys,
}
