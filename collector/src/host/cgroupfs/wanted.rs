//! Which files a reading is to take: each group has its price, and not everybody wants everything.

use std::ops::BitOr;

/// Groups of files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted(u16);

impl Wanted {
    /// Nothing.
    pub const NOTHING: Self = Self(0);
    /// CPU time and throttling.
    pub const CPU: Self = Self(1);
    /// v1: CPU time by CPU. A number for every CPU of the host, in three files.
    pub const PER_CPU: Self = Self(1 << 1);
    /// Usage, peaks and events of memory and swap.
    pub const MEMORY: Self = Self(1 << 2);
    /// `memory.stat`, which costs the kernel as much as ten other files. Of the root it is the most
    /// expensive file there is.
    pub const MEMORY_STAT: Self = Self(1 << 3);
    /// Block I/O by device.
    pub const IO: Self = Self(1 << 4);
    /// v1: the tables of the BFQ scheduler, which most kernels are built without.
    pub const IO_SCHEDULER: Self = Self(1 << 5);
    /// Tasks.
    pub const PIDS: Self = Self(1 << 6);
    /// v2: stalls.
    pub const PRESSURE: Self = Self(1 << 7);
    /// Huge pages.
    pub const HUGETLB: Self = Self(1 << 8);
    /// RDMA devices.
    pub const RDMA: Self = Self(1 << 9);
    /// Resources of the `misc` controller.
    pub const MISC: Self = Self(1 << 10);
    /// CPUs and memory nodes.
    pub const CPUSET: Self = Self(1 << 11);
    /// v2: whether it has processes, and what is below it.
    pub const LIFE: Self = Self(1 << 12);
    /// Also the limits and weights of the groups above, which hardly change.
    pub const LIMITS: Self = Self(1 << 13);

    /// v1: the kernel's memory and that of TCP sockets, in six files. v2 has them in `memory.stat`.
    pub const KERNEL_MEMORY: Self = Self(1 << 14);

    /// Without `memory.stat` where the usage of memory is what it was: of a cgroup in which nothing runs,
    /// it tells the same again.
    pub const SPARING: Self = Self(1 << 15);

    /// All of it.
    pub const ALL: Self = Self((1 << 15) - 1);

    /// What a container's statistics need every time.
    pub const USAGE: Self = Self::CPU
        .and(Self::MEMORY)
        .and(Self::MEMORY_STAT)
        .and(Self::IO)
        .and(Self::PIDS)
        .and(Self::PRESSURE);

    /// What is worth having of a cgroup that is about to go: what it used, in the order in which the
    /// reader takes it.
    pub const LAST: Self = Self::USAGE.and(Self::HUGETLB);

    /// These and those.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These, but not those.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Those of these that are among those.
    #[must_use]
    pub const fn only(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether all of those are among these.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Wanted {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.and(other)
    }
}
