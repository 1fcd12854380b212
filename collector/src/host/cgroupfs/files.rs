//! The kernel's files that are read: those of a cgroup's directory, and a few of a process's.

use std::ffi::CStr;

macro_rules! kernel_files {
    ($($file:ident = $name:literal,)*) => {
        /// A file. Where v1 and v2 have the same name, it is the same file here.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum KernelFile { $($file,)* }

        impl KernelFile {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$file,)*];

            /// Its name. Those of huge pages have the size in the middle, which is not in here.
            #[must_use]
            pub const fn name(self) -> &'static CStr {
                match self { $(Self::$file => $name,)* }
            }
        }
    };
}

kernel_files! {
    // Of a process.
    NetDev = c"net/dev",
    Status = c"status",

    // Of every cgroup.
    CgroupProcs = c"cgroup.procs",

    // Of every cgroup of v2.
    CgroupEvents = c"cgroup.events",
    CgroupStat = c"cgroup.stat",
    CgroupStatLocal = c"cgroup.stat.local",
    CpuPressure = c"cpu.pressure",
    MemoryPressure = c"memory.pressure",
    IoPressure = c"io.pressure",
    IrqPressure = c"irq.pressure",

    // CPU.
    CpuStat = c"cpu.stat",
    CpuStatLocal = c"cpu.stat.local",
    CpuMax = c"cpu.max",
    CpuMaxBurst = c"cpu.max.burst",
    CpuWeight = c"cpu.weight",
    CpuWeightNice = c"cpu.weight.nice",
    CpuIdle = c"cpu.idle",
    CpuShares = c"cpu.shares",
    CpuCfsQuota = c"cpu.cfs_quota_us",
    CpuCfsPeriod = c"cpu.cfs_period_us",
    CpuCfsBurst = c"cpu.cfs_burst_us",
    CpuacctUsage = c"cpuacct.usage",
    CpuacctUsageUser = c"cpuacct.usage_user",
    CpuacctUsageSys = c"cpuacct.usage_sys",
    CpuacctUsagePercpu = c"cpuacct.usage_percpu",
    CpuacctUsagePercpuUser = c"cpuacct.usage_percpu_user",
    CpuacctUsagePercpuSys = c"cpuacct.usage_percpu_sys",
    CpuacctStat = c"cpuacct.stat",

    // Memory.
    MemoryStat = c"memory.stat",
    MemoryCurrent = c"memory.current",
    MemoryPeak = c"memory.peak",
    MemoryEvents = c"memory.events",
    MemoryEventsLocal = c"memory.events.local",
    MemoryMin = c"memory.min",
    MemoryLow = c"memory.low",
    MemoryHigh = c"memory.high",
    MemoryMax = c"memory.max",
    MemoryOomGroup = c"memory.oom.group",
    MemorySwapCurrent = c"memory.swap.current",
    MemorySwapPeak = c"memory.swap.peak",
    MemorySwapEvents = c"memory.swap.events",
    MemorySwapHigh = c"memory.swap.high",
    MemorySwapMax = c"memory.swap.max",
    MemoryZswapCurrent = c"memory.zswap.current",
    MemoryZswapMax = c"memory.zswap.max",
    MemoryZswapWriteback = c"memory.zswap.writeback",
    MemoryUsage = c"memory.usage_in_bytes",
    MemoryMaxUsage = c"memory.max_usage_in_bytes",
    MemoryLimit = c"memory.limit_in_bytes",
    MemoryFailcnt = c"memory.failcnt",
    MemorySoftLimit = c"memory.soft_limit_in_bytes",
    MemoryOomControl = c"memory.oom_control",
    MemswUsage = c"memory.memsw.usage_in_bytes",
    MemswMaxUsage = c"memory.memsw.max_usage_in_bytes",
    MemswLimit = c"memory.memsw.limit_in_bytes",
    MemswFailcnt = c"memory.memsw.failcnt",
    KmemUsage = c"memory.kmem.usage_in_bytes",
    KmemMaxUsage = c"memory.kmem.max_usage_in_bytes",
    KmemLimit = c"memory.kmem.limit_in_bytes",
    KmemFailcnt = c"memory.kmem.failcnt",
    KmemTcpUsage = c"memory.kmem.tcp.usage_in_bytes",
    KmemTcpMaxUsage = c"memory.kmem.tcp.max_usage_in_bytes",
    KmemTcpLimit = c"memory.kmem.tcp.limit_in_bytes",
    KmemTcpFailcnt = c"memory.kmem.tcp.failcnt",

    // Block I/O.
    IoStat = c"io.stat",
    IoMax = c"io.max",
    IoWeight = c"io.weight",
    ThrottleBytes = c"blkio.throttle.io_service_bytes",
    ThrottleBytesRecursive = c"blkio.throttle.io_service_bytes_recursive",
    ThrottleOperations = c"blkio.throttle.io_serviced",
    ThrottleOperationsRecursive = c"blkio.throttle.io_serviced_recursive",
    ThrottleReadBytesLimit = c"blkio.throttle.read_bps_device",
    ThrottleWriteBytesLimit = c"blkio.throttle.write_bps_device",
    ThrottleReadOperationsLimit = c"blkio.throttle.read_iops_device",
    ThrottleWriteOperationsLimit = c"blkio.throttle.write_iops_device",
    BfqServiceTime = c"blkio.bfq.io_service_time_recursive",
    BfqWaitTime = c"blkio.bfq.io_wait_time_recursive",
    BfqMerged = c"blkio.bfq.io_merged_recursive",
    BfqQueued = c"blkio.bfq.io_queued_recursive",
    BfqTime = c"blkio.bfq.time_recursive",
    BfqSectors = c"blkio.bfq.sectors_recursive",

    // Tasks.
    PidsCurrent = c"pids.current",
    PidsPeak = c"pids.peak",
    PidsEvents = c"pids.events",
    PidsEventsLocal = c"pids.events.local",
    PidsMax = c"pids.max",

    // Huge pages: what is behind the size.
    HugetlbCurrent = c".current",
    HugetlbEvents = c".events",
    HugetlbEventsLocal = c".events.local",
    HugetlbNumaStat = c".numa_stat",
    HugetlbMax = c".max",
    HugetlbRsvdCurrent = c".rsvd.current",
    HugetlbRsvdMax = c".rsvd.max",
    HugetlbUsage = c".usage_in_bytes",
    HugetlbMaxUsage = c".max_usage_in_bytes",
    HugetlbLimit = c".limit_in_bytes",
    HugetlbFailcnt = c".failcnt",
    HugetlbRsvdUsage = c".rsvd.usage_in_bytes",
    HugetlbRsvdMaxUsage = c".rsvd.max_usage_in_bytes",
    HugetlbRsvdLimit = c".rsvd.limit_in_bytes",
    HugetlbRsvdFailcnt = c".rsvd.failcnt",

    // Others.
    RdmaCurrent = c"rdma.current",
    RdmaPeak = c"rdma.peak",
    RdmaEvents = c"rdma.events",
    RdmaEventsLocal = c"rdma.events.local",
    RdmaMax = c"rdma.max",
    MiscCurrent = c"misc.current",
    MiscPeak = c"misc.peak",
    MiscMax = c"misc.max",
    MiscEvents = c"misc.events",
    MiscEventsLocal = c"misc.events.local",
    CpusetCpus = c"cpuset.cpus",
    CpusetMems = c"cpuset.mems",
    CpusetCpusEffective = c"cpuset.cpus.effective",
    CpusetMemsEffective = c"cpuset.mems.effective",
    CpusetEffectiveCpus = c"cpuset.effective_cpus",
    CpusetEffectiveMems = c"cpuset.effective_mems",
}

const _: () = assert!(KernelFile::ALL.len() <= 128, "a bit for each");

impl KernelFile {
    /// Whether it is read so often that keeping it open can pay. A cgroup of v2 has eight of them,
    /// one of v1 ten.
    #[must_use]
    pub const fn is_hot(self) -> bool {
        matches!(
            self,
            Self::CpuStat
                | Self::CpuacctUsage
                | Self::CpuacctStat
                | Self::MemoryCurrent
                | Self::MemoryUsage
                | Self::MemoryMaxUsage
                | Self::MemoryStat
                | Self::MemoryEvents
                | Self::MemoryOomControl
                | Self::IoStat
                | Self::ThrottleBytesRecursive
                | Self::ThrottleOperationsRecursive
                | Self::PidsCurrent
                | Self::CpuPressure
                | Self::MemoryPressure
                | Self::IoPressure
        )
    }
}

/// Some files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FileSet(u128);

impl FileSet {
    pub(super) const fn new() -> Self {
        Self(0)
    }

    pub(super) const fn contains(self, file: KernelFile) -> bool {
        self.0 >> (file as u8) & 1 == 1
    }

    pub(super) const fn insert(&mut self, file: KernelFile) {
        self.0 |= 1 << (file as u8);
    }

    pub(super) const fn insert_all(&mut self, files: Self) {
        self.0 |= files.0;
    }

    pub(super) const fn clear(&mut self) {
        self.0 = 0;
    }
}
