//! The metrics of containerd, as its endpoint has them: of cgroup v1, of v2, and of both.
//!
//! A name ends in the unit that containerd declares, which for counts of pages is `bytes` all the same,
//! and every one of them is a gauge. Left out are those whose numbers containerd has from elsewhere
//! than the cgroup's files: OOM notifications of cgroup v1.

use super::{
    Figures::{Any, Each, V1, V2},
    Metric,
    figure::{
        Figure::{
            Cpu, Memory, PerCpu, PerDeviceNumber, PerOp, PerOpOfAll, PerPage, Pids, Stat, StatTotal,
        },
        or_zero,
    },
    metrics,
};
use crate::host::cgroupfs::{Limit, MemoryKey as Key, io::DeviceIo};

pub(in crate::export) const METRICS: &[Metric] = metrics! { Containerd;
    "container_pids_limit": gauge count,
        Each { v1: Pids(|pids| pids.limit.map(or_zero)), v2: Pids(|pids| pids.limit.map(or_largest)) },
        "How many tasks there can be. Without a limit 0 on cgroup v1, and 18446744073709551615 on v2.",
        "`pids.max`";
    "container_pids_current": gauge count, Any(Pids(|pids| pids.current)),
        "How many tasks there are.", "`pids.current`";

    "container_cpu_total_nanoseconds": total nanoseconds, V1(Cpu(|cpu| cpu.usage_ns)),
        "CPU time.", "`cpuacct.usage`";
    "container_cpu_kernel_nanoseconds": total nanoseconds, V1(Cpu(|cpu| cpu.system_ns)),
        "CPU time in the kernel, in steps of a clock tick.", "`cpuacct.stat`: `system`";
    "container_cpu_user_nanoseconds": total nanoseconds, V1(Cpu(|cpu| cpu.user_ns)),
        "CPU time in user space, in steps of a clock tick.", "`cpuacct.stat`: `user`";
    "container_per_cpu_nanoseconds": total nanoseconds, V1(PerCpu(|cpu| &cpu.per_cpu_usage_ns)),
        "CPU time by CPU.", "`cpuacct.usage_percpu`";
    "container_cpu_throttle_periods_total": total count, V1(Cpu(|cpu| cpu.periods)),
        "Periods of the CPU bandwidth limit in which the container ran.", "`cpu.stat`: `nr_periods`";
    "container_cpu_throttled_periods_total": total count, V1(Cpu(|cpu| cpu.throttled_periods)),
        "Of them, those in which it used up its quota.", "`cpu.stat`: `nr_throttled`";
    "container_cpu_throttled_time_nanoseconds": total nanoseconds, V1(Cpu(|cpu| cpu.throttled_ns)),
        "How long its CPUs were throttled, added up.", "`cpu.stat`: `throttled_time`";
    "container_cpu_usage_usec_microseconds": total microseconds, V2(Cpu(|cpu| cpu.usage_ns)),
        "CPU time.", "`cpu.stat`: `usage_usec`";
    "container_cpu_user_usec_microseconds": total microseconds, V2(Cpu(|cpu| cpu.user_ns)),
        "CPU time in user space.", "`cpu.stat`: `user_usec`";
    "container_cpu_system_usec_microseconds": total microseconds, V2(Cpu(|cpu| cpu.system_ns)),
        "CPU time in the kernel.", "`cpu.stat`: `system_usec`";
    "container_cpu_nr_periods_total": total count, V2(Cpu(|cpu| cpu.periods)),
        "Periods of the CPU bandwidth limit in which the container ran.", "`cpu.stat`: `nr_periods`";
    "container_cpu_nr_throttled_total": total count, V2(Cpu(|cpu| cpu.throttled_periods)),
        "Of them, those in which it used up its quota.", "`cpu.stat`: `nr_throttled`";
    "container_cpu_throttled_usec_microseconds": total microseconds, V2(Cpu(|cpu| cpu.throttled_ns)),
        "How long its CPUs were throttled, added up.", "`cpu.stat`: `throttled_usec`";

    "container_memory_usage_bytes": gauge bytes, V2(Memory(|memory| memory.memory.usage_bytes)),
        "Memory in use.", "`memory.current`";
    "container_memory_usage_limit_bytes": gauge bytes,
        Each {
            v1: Memory(|memory| memory.memory.limit_bytes.map(as_v1_prints)),
            v2: Memory(|memory| memory.memory.limit_bytes.map(or_largest)),
        },
        "How much memory there can be. Without a limit 9223372036854771712 on cgroup v1, and 18446744073709551615 on v2.",
        "`memory.max`; v1: `memory.limit_in_bytes`";
    "container_memory_swap_usage_bytes": gauge bytes,
        Each {
            v1: Memory(|memory| memory.memory_and_swap.usage_bytes),
            v2: Memory(|memory| memory.swap.usage_bytes),
        },
        "Swap in use; on cgroup v1 memory and swap together.",
        "`memory.swap.current`; v1: `memory.memsw.usage_in_bytes`";
    "container_memory_swap_limit_bytes": gauge bytes,
        Each {
            v1: Memory(|memory| memory.memory_and_swap.limit_bytes.map(as_v1_prints)),
            v2: Memory(|memory| memory.swap.limit_bytes.map(or_largest)),
        },
        "How much swap there can be; on cgroup v1 memory and swap together. Without a limit as container_memory_usage_limit_bytes.",
        "`memory.swap.max`; v1: `memory.memsw.limit_in_bytes`";
    "container_memory_file_mapped_bytes": gauge bytes, V2(Stat(Key::FileMapped)),
        "Memory of files that are mapped.", "`memory.stat`: `file_mapped`";
    "container_memory_file_dirty_bytes": gauge bytes, V2(Stat(Key::FileDirty)),
        "Memory of files that is still to be written to the disk.", "`memory.stat`: `file_dirty`";
    "container_memory_file_writeback_bytes": gauge bytes, V2(Stat(Key::FileWriteback)),
        "Memory of files that is being written to the disk.", "`memory.stat`: `file_writeback`";
    "container_memory_pgactivate_bytes": total bytes, V2(Stat(Key::Pgactivate)),
        "Pages, not bytes, that became active.", "`memory.stat`: `pgactivate`";
    "container_memory_pgdeactivate_bytes": total bytes, V2(Stat(Key::Pgdeactivate)),
        "Pages, not bytes, that became inactive.", "`memory.stat`: `pgdeactivate`";
    "container_memory_pgfault_bytes": total bytes, Any(Stat(Key::Pgfault)),
        "Page faults, not bytes; on cgroup v1 without those of cgroups below.", "`memory.stat`: `pgfault`";
    "container_memory_pgmajfault_bytes": total bytes, Any(Stat(Key::Pgmajfault)),
        "Page faults, not bytes, that had to read; on cgroup v1 without those of cgroups below.",
        "`memory.stat`: `pgmajfault`";
    "container_memory_pglazyfree_bytes": total bytes, V2(Stat(Key::Pglazyfree)),
        "Pages, not bytes, that were put off to be freed.", "`memory.stat`: `pglazyfree`";
    "container_memory_pgrefill_bytes": total bytes, V2(Stat(Key::Pgrefill)),
        "Active pages, not bytes, that were looked at for reclaim.", "`memory.stat`: `pgrefill`";
    "container_memory_pglazyfreed_bytes": total bytes, V2(Stat(Key::Pglazyfreed)),
        "Pages, not bytes, that were put off and then freed.", "`memory.stat`: `pglazyfreed`";
    "container_memory_pgscan_bytes": total bytes, V2(Stat(Key::Pgscan)),
        "Inactive pages, not bytes, that were looked at for reclaim.", "`memory.stat`: `pgscan`";
    "container_memory_pgsteal_bytes": total bytes, V2(Stat(Key::Pgsteal)),
        "Pages, not bytes, that were reclaimed.", "`memory.stat`: `pgsteal`";
    "container_memory_inactive_anon_bytes": gauge bytes, Any(Stat(Key::InactiveAnon)),
        "Anonymous memory that is inactive.", "`memory.stat`: `inactive_anon`";
    "container_memory_active_anon_bytes": gauge bytes, Any(Stat(Key::ActiveAnon)),
        "Anonymous memory that is active.", "`memory.stat`: `active_anon`";
    "container_memory_inactive_file_bytes": gauge bytes, Any(Stat(Key::InactiveFile)),
        "Memory of files that is inactive.", "`memory.stat`: `inactive_file`";
    "container_memory_active_file_bytes": gauge bytes, Any(Stat(Key::ActiveFile)),
        "Memory of files that is active.", "`memory.stat`: `active_file`";
    "container_memory_unevictable_bytes": gauge bytes, Any(Stat(Key::Unevictable)),
        "Memory that cannot be reclaimed.", "`memory.stat`: `unevictable`";
    "container_memory_anon_bytes": gauge bytes, V2(Stat(Key::Anon)),
        "Anonymous memory.", "`memory.stat`: `anon`";
    "container_memory_file_bytes": gauge bytes, V2(Stat(Key::File)),
        "Memory of files.", "`memory.stat`: `file`";
    "container_memory_kernel_stack_bytes": gauge bytes, V2(Stat(Key::KernelStack)),
        "Memory of kernel stacks.", "`memory.stat`: `kernel_stack`";
    "container_memory_slab_bytes": gauge bytes, V2(Stat(Key::Slab)),
        "Memory of kernel objects.", "`memory.stat`: `slab`";
    "container_memory_sock_bytes": gauge bytes, V2(Stat(Key::Sock)),
        "Memory of network buffers.", "`memory.stat`: `sock`";
    "container_memory_shmem_bytes": gauge bytes, V2(Stat(Key::Shmem)),
        "Memory of files that are in memory alone: tmpfs, shared memory.", "`memory.stat`: `shmem`";
    "container_memory_anon_thp_bytes": gauge bytes, V2(Stat(Key::AnonThp)),
        "Anonymous memory in transparent huge pages.", "`memory.stat`: `anon_thp`";
    "container_memory_slab_reclaimable_bytes": gauge bytes, V2(Stat(Key::SlabReclaimable)),
        "Memory of kernel objects that can be reclaimed.", "`memory.stat`: `slab_reclaimable`";
    "container_memory_slab_unreclaimable_bytes": gauge bytes, V2(Stat(Key::SlabUnreclaimable)),
        "Memory of kernel objects that cannot be reclaimed.", "`memory.stat`: `slab_unreclaimable`";
    "container_memory_workingset_refault_bytes": total bytes, V2(Stat(Key::WorkingsetRefault)),
        "Pages, not bytes, that were wanted again soon after they were reclaimed. Only before Linux 5.9, which tells files and anonymous memory apart.",
        "`memory.stat`: `workingset_refault`";
    "container_memory_workingset_activate_bytes": total bytes, V2(Stat(Key::WorkingsetActivate)),
        "Of them, those that became active at once. Only before Linux 5.9.",
        "`memory.stat`: `workingset_activate`";
    "container_memory_workingset_nodereclaim_bytes": total bytes, V2(Stat(Key::WorkingsetNodereclaim)),
        "How often, not bytes, the memory of that book-keeping was reclaimed.",
        "`memory.stat`: `workingset_nodereclaim`";
    "container_memory_thp_fault_alloc_bytes": total bytes, V2(Stat(Key::ThpFaultAlloc)),
        "Transparent huge pages, not bytes, that a page fault brought.", "`memory.stat`: `thp_fault_alloc`";
    "container_memory_thp_collapse_alloc_bytes": total bytes, V2(Stat(Key::ThpCollapseAlloc)),
        "Transparent huge pages, not bytes, that were made of small ones.",
        "`memory.stat`: `thp_collapse_alloc`";
    "container_memory_oom_total": total count, V2(Memory(|memory| memory.events.oom)),
        "How often no memory could be had at the limit.", "`memory.events`: `oom`";

    "container_memory_cache_bytes": gauge bytes, V1(Stat(Key::Cache)),
        "Memory of files, without cgroups below.", "`memory.stat`: `cache`";
    "container_memory_rss_bytes": gauge bytes, V1(Stat(Key::Rss)),
        "Anonymous memory, without cgroups below.", "`memory.stat`: `rss`";
    "container_memory_rss_huge_bytes": gauge bytes, V1(Stat(Key::RssHuge)),
        "Of it, that in transparent huge pages.", "`memory.stat`: `rss_huge`";
    "container_memory_mapped_file_bytes": gauge bytes, V1(Stat(Key::MappedFile)),
        "Memory of files that are mapped, without cgroups below.", "`memory.stat`: `mapped_file`";
    "container_memory_dirty_bytes": gauge bytes, V1(Stat(Key::Dirty)),
        "Memory of files that is still to be written to the disk, without cgroups below.",
        "`memory.stat`: `dirty`";
    "container_memory_writeback_bytes": gauge bytes, V1(Stat(Key::Writeback)),
        "Memory of files that is being written to the disk, without cgroups below.",
        "`memory.stat`: `writeback`";
    "container_memory_pgpgin_bytes": total bytes, V1(Stat(Key::Pgpgin)),
        "Pages, not bytes, that were charged, without cgroups below.", "`memory.stat`: `pgpgin`";
    "container_memory_pgpgout_bytes": total bytes, V1(Stat(Key::Pgpgout)),
        "Pages, not bytes, that were given back, without cgroups below.", "`memory.stat`: `pgpgout`";
    "container_memory_hierarchical_memory_limit_bytes": gauge bytes, V1(Stat(Key::HierarchicalMemoryLimit)),
        "The lowest memory limit of the cgroup and those above.",
        "`memory.stat`: `hierarchical_memory_limit`";
    "container_memory_hierarchical_memsw_limit_bytes": gauge bytes, V1(Stat(Key::HierarchicalMemswLimit)),
        "The lowest limit of memory and swap together, of the cgroup and those above.",
        "`memory.stat`: `hierarchical_memsw_limit`";
    "container_memory_total_cache_bytes": gauge bytes, V1(StatTotal(Key::Cache)),
        "Memory of files.", "`memory.stat`: `total_cache`";
    "container_memory_total_rss_bytes": gauge bytes, V1(StatTotal(Key::Rss)),
        "Anonymous memory.", "`memory.stat`: `total_rss`";
    "container_memory_total_rss_huge_bytes": gauge bytes, V1(StatTotal(Key::RssHuge)),
        "Of it, that in transparent huge pages.", "`memory.stat`: `total_rss_huge`";
    "container_memory_total_mapped_file_bytes": gauge bytes, V1(StatTotal(Key::MappedFile)),
        "Memory of files that are mapped.", "`memory.stat`: `total_mapped_file`";
    "container_memory_total_dirty_bytes": gauge bytes, V1(StatTotal(Key::Dirty)),
        "Memory of files that is still to be written to the disk.", "`memory.stat`: `total_dirty`";
    "container_memory_total_writeback_bytes": gauge bytes, V1(StatTotal(Key::Writeback)),
        "Memory of files that is being written to the disk.", "`memory.stat`: `total_writeback`";
    "container_memory_total_pgpgin_bytes": total bytes, V1(StatTotal(Key::Pgpgin)),
        "Pages, not bytes, that were charged.", "`memory.stat`: `total_pgpgin`";
    "container_memory_total_pgpgout_bytes": total bytes, V1(StatTotal(Key::Pgpgout)),
        "Pages, not bytes, that were given back.", "`memory.stat`: `total_pgpgout`";
    "container_memory_total_pgfault_bytes": total bytes, V1(StatTotal(Key::Pgfault)),
        "Page faults, not bytes.", "`memory.stat`: `total_pgfault`";
    "container_memory_total_pgmajfault_bytes": total bytes, V1(StatTotal(Key::Pgmajfault)),
        "Page faults, not bytes, that had to read.", "`memory.stat`: `total_pgmajfault`";
    "container_memory_total_inactive_anon_bytes": gauge bytes, V1(StatTotal(Key::InactiveAnon)),
        "Anonymous memory that is inactive.", "`memory.stat`: `total_inactive_anon`";
    "container_memory_total_active_anon_bytes": gauge bytes, V1(StatTotal(Key::ActiveAnon)),
        "Anonymous memory that is active.", "`memory.stat`: `total_active_anon`";
    "container_memory_total_inactive_file_bytes": gauge bytes, V1(StatTotal(Key::InactiveFile)),
        "Memory of files that is inactive.", "`memory.stat`: `total_inactive_file`";
    "container_memory_total_active_file_bytes": gauge bytes, V1(StatTotal(Key::ActiveFile)),
        "Memory of files that is active.", "`memory.stat`: `total_active_file`";
    "container_memory_total_unevictable_bytes": gauge bytes, V1(StatTotal(Key::Unevictable)),
        "Memory that cannot be reclaimed.", "`memory.stat`: `total_unevictable`";
    "container_memory_usage_failcnt_total": total count, V1(Memory(|memory| memory.memory.limit_hits)),
        "How often the limit of memory was hit.", "`memory.failcnt`";
    "container_memory_usage_max_bytes": total bytes, V1(Memory(|memory| memory.memory.peak_bytes)),
        "The most memory ever in use.", "`memory.max_usage_in_bytes`";
    "container_memory_usage_usage_bytes": gauge bytes, V1(Memory(|memory| memory.memory.usage_bytes)),
        "Memory in use.", "`memory.usage_in_bytes`";
    "container_memory_swap_failcnt_total": total count, V1(Memory(|memory| memory.memory_and_swap.limit_hits)),
        "How often the limit of memory and swap together was hit.", "`memory.memsw.failcnt`";
    "container_memory_swap_max_bytes": total bytes, V1(Memory(|memory| memory.memory_and_swap.peak_bytes)),
        "The most memory and swap together ever in use.", "`memory.memsw.max_usage_in_bytes`";
    "container_memory_kernel_failcnt_total": total count, V1(Memory(|memory| memory.kernel.limit_hits)),
        "How often the limit of the kernel's memory was hit.", "`memory.kmem.failcnt`";
    "container_memory_kernel_limit_bytes": gauge bytes,
        V1(Memory(|memory| memory.kernel.limit_bytes.map(as_v1_prints))),
        "How much memory the kernel may use on its behalf. Without a limit as container_memory_usage_limit_bytes.",
        "`memory.kmem.limit_in_bytes`";
    "container_memory_kernel_max_bytes": total bytes, V1(Memory(|memory| memory.kernel.peak_bytes)),
        "The most the kernel ever used on its behalf.", "`memory.kmem.max_usage_in_bytes`";
    "container_memory_kernel_usage_bytes": gauge bytes, V1(Memory(|memory| memory.kernel.usage_bytes)),
        "Memory that the kernel uses on its behalf.", "`memory.kmem.usage_in_bytes`";
    "container_memory_kerneltcp_failcnt_total": total count, V1(Memory(|memory| memory.kernel_tcp.limit_hits)),
        "How often the limit of TCP buffers was hit.", "`memory.kmem.tcp.failcnt`";
    "container_memory_kerneltcp_limit_bytes": gauge bytes,
        V1(Memory(|memory| memory.kernel_tcp.limit_bytes.map(as_v1_prints))),
        "How much memory there can be in TCP buffers. Without a limit as container_memory_usage_limit_bytes.",
        "`memory.kmem.tcp.limit_in_bytes`";
    "container_memory_kerneltcp_max_bytes": total bytes, V1(Memory(|memory| memory.kernel_tcp.peak_bytes)),
        "The most memory ever in TCP buffers.", "`memory.kmem.tcp.max_usage_in_bytes`";
    "container_memory_kerneltcp_usage_bytes": gauge bytes, V1(Memory(|memory| memory.kernel_tcp.usage_bytes)),
        "Memory in TCP buffers.", "`memory.kmem.tcp.usage_in_bytes`";

    "container_hugetlb_usage_bytes": gauge bytes, V1(PerPage(|used| used.usage_bytes)),
        "Huge pages in use.", "`hugetlb.<size>.usage_in_bytes`";
    "container_hugetlb_failcnt_total": total count, V1(PerPage(|used| used.limit_hits)),
        "How often the limit of huge pages was hit.", "`hugetlb.<size>.failcnt`";
    "container_hugetlb_max_bytes": total bytes, V1(PerPage(|used| used.peak_bytes)),
        "The most huge pages ever in use.", "`hugetlb.<size>.max_usage_in_bytes`";

    "container_blkio_io_merged_recursive_total": total count,
        V1(PerOp(|device| Some(device.scheduler.as_deref()?.merged))),
        "Requests that were merged with others. Only of the BFQ scheduler.", "`blkio.bfq.io_merged_recursive`";
    "container_blkio_io_queued_recursive_total": gauge count,
        V1(PerOp(|device| Some(device.scheduler.as_deref()?.queued))),
        "Requests in the queues. Only of the BFQ scheduler.", "`blkio.bfq.io_queued_recursive`";
    "container_blkio_io_service_bytes_recursive_bytes": total bytes, V1(PerOp(|device| Some(device.bytes))),
        "Bytes read and written.", "`blkio.throttle.io_service_bytes_recursive`";
    "container_blkio_io_service_time_recursive_total": total nanoseconds,
        V1(PerOp(|device| Some(device.scheduler.as_deref()?.service_time_ns))),
        "Time of requests from the device to their end, in nanoseconds. Only of the BFQ scheduler.",
        "`blkio.bfq.io_service_time_recursive`";
    "container_blkio_io_serviced_recursive_total": total count, V1(PerOp(|device| Some(device.operations))),
        "Requests.", "`blkio.throttle.io_serviced_recursive`";
    "container_blkio_io_time_recursive_total": total milliseconds,
        V1(PerOpOfAll(|device| device.scheduler.as_deref()?.device_time_ns)),
        "The device's time that was given to the container, in milliseconds. Only of the BFQ scheduler.",
        "`blkio.bfq.time_recursive`";
    "container_blkio_sectors_recursive_total": total count,
        V1(PerOpOfAll(|device| device.scheduler.as_deref()?.sectors)),
        "Sectors of 512 bytes. Only of the BFQ scheduler.", "`blkio.bfq.sectors_recursive`";
    "container_io_rbytes_bytes": total bytes, V2(PerDeviceNumber(|device: &DeviceIo| device.bytes.read)),
        "Bytes read.", "`io.stat`: `rbytes`";
    "container_io_wbytes_bytes": total bytes, V2(PerDeviceNumber(|device| device.bytes.write)),
        "Bytes written.", "`io.stat`: `wbytes`";
    "container_io_rios_total": total count, V2(PerDeviceNumber(|device| device.operations.read)),
        "Reads.", "`io.stat`: `rios`";
    "container_io_wios_total": total count, V2(PerDeviceNumber(|device| device.operations.write)),
        "Writes.", "`io.stat`: `wios`";
};

/// As containerd has v2's `max`.
const fn or_largest(limit: Limit) -> u64 {
    match limit {
        Limit::At(limit) => limit,
        Limit::Unlimited => u64::MAX,
    }
}

/// As v1 prints that there is no limit: the largest number that it can count to, of pages of 4 KiB.
const fn as_v1_prints(limit: Limit) -> u64 {
    match limit {
        Limit::At(limit) => limit,
        Limit::Unlimited => i64::MAX.cast_unsigned() & !0xfff,
    }
}
