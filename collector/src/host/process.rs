//! What `/proc/self` says of our own process.

use procfs::{WithCurrentSystemInfo as _, process::Process};

use super::{HierarchyId, membership};
use crate::reconcile::snapshot::ProcessStats;

/// Reads it. A figure that cannot be read is absent.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "seconds, shown with a few digits"
)]
pub fn read_own_process() -> ProcessStats {
    let Ok(process) = Process::myself() else {
        return ProcessStats::default();
    };
    let stat = process.stat().ok();
    let ticks = procfs::ticks_per_second();
    ProcessStats {
        cpu_seconds: stat
            .as_ref()
            .map(|stat| (stat.utime + stat.stime) as f64 / ticks as f64),
        resident_memory_bytes: stat.as_ref().map(|stat| stat.rss_bytes().get()),
        virtual_memory_bytes: stat.as_ref().map(|stat| stat.vsize),
        open_fds: process.fd_count().ok().map(|count| count as u64),
        max_fds: process
            .limits()
            .ok()
            .and_then(|limits| match limits.max_open_files.soft_limit {
                procfs::process::LimitValue::Value(value) => Some(value),
                procfs::process::LimitValue::Unlimited => None,
            }),
        start_time_seconds: stat.as_ref().and_then(|stat| {
            let boot = procfs::boot_time_secs().ok()?;
            Some(boot as f64 + stat.starttime as f64 / ticks as f64)
        }),
    }
}

/// The path of a process's cgroup in a hierarchy, from the hierarchy's root.
#[must_use]
pub fn cgroup_of(pid: u32, hierarchy: HierarchyId) -> Option<Vec<u8>> {
    let lines = std::fs::read(format!("/proc/{pid}/cgroup")).ok()?;
    membership::parse(&lines)
        .into_iter()
        .find(|of| of.hierarchy == hierarchy)
        .map(|of| of.path.to_vec())
}
