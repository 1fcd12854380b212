//! Files that this kernel has in no cgroup, so that a cgroup seen for the first time, perhaps its
//! only time, is not asked for them.

use std::time::Duration;

use super::{
    files::{FileSet, KernelFile},
    statistics::CgroupVersion,
};
use crate::host::clock::Ktime;

/// By version.
#[derive(Debug, Default)]
pub(super) struct LackingFiles {
    v1: FileSet,
    v2: FileSet,
    since: Option<Ktime>,
}

/// Then it is found out again: the module of an I/O scheduler can bring files.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(10);

impl LackingFiles {
    pub(super) const fn contains(&self, version: CgroupVersion, file: KernelFile) -> bool {
        match version {
            CgroupVersion::V1 => self.v1.contains(file),
            CgroupVersion::V2 => self.v2.contains(file),
        }
    }

    /// These were not in a cgroup that has others of the same controller: the kernel lacks them.
    pub(super) const fn learn(&mut self, version: CgroupVersion, files: FileSet) {
        match version {
            CgroupVersion::V1 => self.v1.insert_all(files),
            CgroupVersion::V2 => self.v2.insert_all(files),
        }
    }

    /// Before a reading.
    pub(super) fn begin(&mut self, now: Ktime) {
        let since = *self.since.get_or_insert(now);
        if now.0.saturating_sub(since.0) >= FORGOTTEN_AFTER {
            *self = Self {
                since: Some(now),
                ..Self::default()
            };
        }
    }
}
