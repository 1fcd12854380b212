//! Which cgroups there are, and what was last read of each: what the catalog shows.
//!
//! In: the table of cgroups and their readings. Out: a [`Listing`], a copy with the main figures only.
//! Never here: histograms, which a scrape has, or a change of what is kept and for how long.

use std::{sync::Arc, time::SystemTime};

use super::snapshot::{KernelReading, LastReading};
use crate::{
    catalog::{Identity, Owner},
    host::{CgroupKey, cgroup_mounts::Hierarchy, cgroupfs::CgroupStatistics, clock::Ktime},
};

/// Which cgroups there are.
#[derive(Clone, Debug)]
pub struct Listing {
    /// When this was put together.
    pub taken: SystemTime,
    /// Who knows them.
    pub origin: Origin,
    /// The hierarchies in which their ids are.
    pub hierarchies: Vec<Hierarchy>,
    /// They, in no order.
    pub cgroups: Vec<ListedCgroup>,
    /// Those that found no place in the table.
    pub left_out: u64,
}

/// Who knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The daemon: those that are gone are among them.
    Daemon,
    /// A walk of the cgroup trees: those that are there.
    Walk,
}

/// One cgroup, in all of its hierarchies, in its latest life.
#[derive(Clone, Debug)]
pub struct ListedCgroup {
    /// Who it is. Its [`started`](Identity::started) is not meant; see below.
    pub identity: Arc<Identity>,
    /// Its id in each hierarchy.
    pub keys: Vec<CgroupKey>,
    /// When it was made, or first seen; absent where nobody looked on.
    pub started: Option<SystemTime>,
    /// When the last of its cgroups was removed, if it was.
    pub exited: Option<SystemTime>,
    /// Its last reading; absent when its files were never read, and it is not gone.
    pub reading: Option<ListedReading>,
}

/// What the last reading says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedReading {
    /// How it was had.
    pub how: LastReading,
    /// When; absent when the files were never read.
    pub at: Option<SystemTime>,
    /// The main figures.
    pub figures: Figures,
}

/// The main figures; absent where the kernel does not give them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// All CPU time.
    pub cpu_ns: Option<u64>,
    /// Memory in use at that time.
    pub memory_usage_bytes: Option<u64>,
    /// The most ever in use.
    pub memory_peak_bytes: Option<u64>,
    /// Read from disks.
    pub io_read_bytes: Option<u64>,
    /// Written to disks.
    pub io_written_bytes: Option<u64>,
}

impl ListedCgroup {
    /// As the table of cgroups has it, without a reading.
    #[must_use]
    pub fn of(owner: &Owner) -> Self {
        Self {
            identity: Arc::clone(&owner.identity),
            keys: owner.latest_keys(),
            started: Some(owner.identity.started),
            exited: owner.exited(),
            reading: None,
        }
    }
}

impl ListedReading {
    /// The main figures of a reading; `None` when there was none and nothing stands in for it.
    #[must_use]
    pub fn of(kernel: &KernelReading, wall: impl Fn(Ktime) -> SystemTime) -> Option<Self> {
        if kernel.at.is_none() && kernel.last == LastReading::Running {
            return None;
        }
        let figures = kernel.statistics.as_deref().map(Figures::of);
        Some(Self {
            how: kernel.last,
            at: kernel.at.map(wall),
            figures: figures.unwrap_or_default(),
        })
    }
}

impl Figures {
    /// The main ones of all.
    #[must_use]
    pub fn of(statistics: &CgroupStatistics) -> Self {
        let memory = statistics.memory.as_ref().map(|memory| memory.memory);
        let io = statistics.io.as_ref();
        Self {
            cpu_ns: statistics.cpu.as_ref().and_then(|cpu| cpu.usage_ns),
            memory_usage_bytes: memory.and_then(|memory| memory.usage_bytes),
            memory_peak_bytes: memory.and_then(|memory| memory.peak_bytes),
            io_read_bytes: io.and_then(|io| io.sum(|device| device.bytes.read)),
            io_written_bytes: io.and_then(|io| io.sum(|device| device.bytes.write)),
        }
    }
}
