//! Memory of a cgroup: what it uses, what it may use, and what happened at the limits.

use super::{MemoryKey, MemoryStat, OtherKeys, parse::Limit, statistics::BoundedUse};

/// Memory statistics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemoryStatistics {
    /// All that is charged to it.
    pub memory: BoundedUse,
    /// v1: memory and swap together.
    pub memory_and_swap: BoundedUse,
    /// v2: swap.
    pub swap: BoundedUse,
    /// v1: the kernel's memory on its behalf.
    pub kernel: BoundedUse,
    /// v1: buffers of TCP sockets.
    pub kernel_tcp: BoundedUse,
    /// v2: compressed swap in memory.
    pub zswap: BoundedUse,
    /// v2: whether compressed swap may go to a disk.
    pub zswap_writeback: Option<bool>,
    /// v2: what is never taken from it.
    pub min_bytes: Option<Limit>,
    /// v2: what is taken only when there is no other.
    pub low_bytes: Option<Limit>,
    /// v2: above this it is slowed down.
    pub high_bytes: Option<Limit>,
    /// v2: above this much swap it is slowed down.
    pub swap_high_bytes: Option<Limit>,
    /// v1: above this it is the first to give.
    pub soft_limit_bytes: Option<Limit>,
    /// v2: whether an OOM kill takes all of it.
    pub oom_group: Option<bool>,
    /// What happened here and below.
    pub events: MemoryEvents,
    /// v2: what happened here.
    pub local_events: MemoryEvents,
    /// v2: what happened at the limits of swap.
    pub swap_events: SwapEvents,
    /// v1: what happens when there is no more.
    pub oom_control: OomControl,
    /// `memory.stat`.
    pub stat: MemoryStat,
}

/// How often what happened at the limits. v1 has `oom_kill` alone, of this cgroup and not below it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemoryEvents {
    /// Memory was taken below the `low` bound.
    pub low: Option<u64>,
    /// Slowed down at the `high` bound.
    pub high: Option<u64>,
    /// At the limit.
    pub max: Option<u64>,
    /// No memory could be had at the limit.
    pub oom: Option<u64>,
    /// Processes killed.
    pub oom_kill: Option<u64>,
    /// Times that all of the cgroup was killed.
    pub oom_group_kill: Option<u64>,
    /// Times that sockets were held back.
    pub sock_throttled: Option<u64>,
    /// What else the file says, as it says it.
    pub other: OtherKeys,
}

/// How often what happened at the limits of swap.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SwapEvents {
    /// Above the `high` bound.
    pub high: Option<u64>,
    /// At the limit.
    pub max: Option<u64>,
    /// No swap could be had.
    pub fail: Option<u64>,
    /// What else the file says, as it says it.
    pub other: OtherKeys,
}

/// v1's `memory.oom_control`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OomControl {
    /// Whether tasks wait instead of being killed.
    pub kill_disabled: Option<bool>,
    /// Whether they wait now.
    pub under_oom: Option<bool>,
}

impl MemoryStatistics {
    /// What Kubernetes counts against a limit: what is used and not easily freed.
    #[must_use]
    pub fn working_set_bytes(&self) -> Option<u64> {
        let usage = self.memory.usage_bytes?;
        let inactive = self.stat.hierarchical(MemoryKey::InactiveFile)?;
        Some(usage.saturating_sub(inactive))
    }

    /// Anonymous memory.
    #[must_use]
    pub fn rss_bytes(&self) -> Option<u64> {
        self.first_of([MemoryKey::Anon, MemoryKey::Rss])
    }

    /// Memory of files.
    #[must_use]
    pub fn cache_bytes(&self) -> Option<u64> {
        self.first_of([MemoryKey::File, MemoryKey::Cache])
    }

    /// Memory of files that are mapped.
    #[must_use]
    pub fn mapped_file_bytes(&self) -> Option<u64> {
        self.first_of([MemoryKey::FileMapped, MemoryKey::MappedFile])
    }

    /// The kernel's memory on its behalf.
    #[must_use]
    pub fn kernel_bytes(&self) -> Option<u64> {
        self.kernel
            .usage_bytes
            .or_else(|| self.stat.hierarchical(MemoryKey::Kernel))
    }

    /// Swap.
    #[must_use]
    pub fn swap_bytes(&self) -> Option<u64> {
        self.swap
            .usage_bytes
            .or_else(|| self.stat.hierarchical(MemoryKey::Swap))
    }

    /// How much memory and swap it may use together.
    #[must_use]
    pub fn memory_and_swap_limit_bytes(&self) -> Option<Limit> {
        if let Some(together) = self.memory_and_swap.limit_bytes {
            return Some(together);
        }
        Some(match (self.memory.limit_bytes?, self.swap.limit_bytes?) {
            (Limit::At(memory), Limit::At(swap)) => Limit::At(memory.saturating_add(swap)),
            _ => Limit::Unlimited,
        })
    }

    /// Page faults.
    #[must_use]
    pub fn page_faults(&self) -> Option<u64> {
        self.stat.hierarchical(MemoryKey::Pgfault)
    }

    /// Page faults that had to read.
    #[must_use]
    pub fn major_page_faults(&self) -> Option<u64> {
        self.stat.hierarchical(MemoryKey::Pgmajfault)
    }

    /// The first that this version of cgroups has.
    fn first_of(&self, keys: [MemoryKey; 2]) -> Option<u64> {
        keys.into_iter().find_map(|key| self.stat.hierarchical(key))
    }
}
