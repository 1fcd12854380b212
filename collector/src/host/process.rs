//! What `/proc/self` says of our own process.

use std::{
    fs,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::Path,
};

use procfs::{WithCurrentSystemInfo as _, process::Process};

use super::{CgroupKey, HierarchyId, cgroup_mounts::CgroupMounts, membership};

/// Our own process, from `/proc/self`. Absent figures could not be read.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessStats {
    /// User and system time.
    pub cpu_seconds: Option<f64>,
    /// Resident set.
    pub resident_memory_bytes: Option<u64>,
    /// Virtual size.
    pub virtual_memory_bytes: Option<u64>,
    /// Open file descriptors.
    pub open_fds: Option<u64>,
    /// Their limit.
    pub max_fds: Option<u64>,
    /// When the process started, seconds since the epoch.
    pub start_time_seconds: Option<f64>,
}

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

/// The path of a process's cgroup in a hierarchy, from the hierarchy's root; of a process of the host
/// whose `/` is at `host_root`.
#[must_use]
pub fn cgroup_of(host_root: &Path, pid: u32, hierarchy: HierarchyId) -> Option<Vec<u8>> {
    let lines = fs::read(host_root.join(format!("proc/{pid}/cgroup"))).ok()?;
    membership::parse(&lines)
        .into_iter()
        .find(|of| of.hierarchy == hierarchy)
        .map(|of| of.path.to_vec())
}

/// The cgroup of this process where tasks are attributed, if it can be seen from here.
#[must_use]
pub fn own_cgroup(mounts: &CgroupMounts) -> Option<CgroupKey> {
    let hierarchy = mounts.task_hierarchy()?;
    let path = cgroup_of(Path::new("/"), std::process::id(), hierarchy.id)?;
    let below = path.strip_prefix(b"/")?;
    let directory = hierarchy
        .mount_point
        .join(std::ffi::OsStr::from_bytes(below));
    // In a cgroup namespace the path does not begin where the mount does: only a directory that has
    // this process is its cgroup.
    let processes = fs::read_to_string(directory.join("cgroup.procs")).ok()?;
    let own = std::process::id().to_string();
    processes.lines().find(|pid| *pid == own)?;
    let inode = fs::metadata(&directory).ok()?.ino();
    Some(CgroupKey::new(hierarchy.id, inode))
}
