//! The metrics of cAdvisor that the kubelet has too, and more of cAdvisor's own, with their meaning.
//!
//! They are of every cgroup: of the root, of a `QoS` class, of a pod and of a container. Left out is what
//! is not in the cgroup's files and not known otherwise: file systems, TCP and UDP connections, load
//! averages, ulimits, sockets, NUMA nodes, perf events, resctrl, health checks. What cAdvisor gives as 0
//! because the kernel does not say it, as most failure counts on cgroup v2, is absent here.

use std::time::{Duration, SystemTime};

use super::{
    Figures::{Any, Each, V1, V2},
    Metric,
    figure::{
        Figure::{
            AllCpus, Cpu, Faults, Memory, PerDevice, PerInterface, PerOperation, PerPageSize, Pids,
            Pressure, Processes, Row, Sched, StatHierarchical,
        },
        or_zero,
    },
    metrics,
};
use crate::host::cgroupfs::{MemoryKey as Key, cpu::CpuStatistics, memory::MemoryStatistics};

/// The time of all stalls for one resource.
macro_rules! pressure {
    ($resource:ident $stall:ident) => {
        V2(Pressure(|pressure| {
            pressure.$resource.as_ref()?.$stall.total_ns
        }))
    };
}

pub(in crate::export) const METRICS: &[Metric] = metrics! { Cgroup;
    "container_last_seen": total seconds, Any(Row(|row| whole_seconds_ns(row.exited.unwrap_or(row.taken)))),
        "When the cgroup was there last, in seconds since the Unix epoch: now, or when it was removed.",
        "the daemon's table of cgroups";
    "container_start_time_seconds": total seconds, Any(Row(|row| whole_seconds_ns(row.identity.started))),
        "When the cgroup was made or, where that is not known, first seen, in seconds since the Unix epoch.",
        "`cgroup_mkdir`, and walks of the cgroup file systems";

    "container_cpu_usage_seconds_total": counter seconds, Any(AllCpus(|cpu| cpu.usage_ns)),
        "CPU time, in seconds.", "`cpu.stat`: `usage_usec`; v1: `cpuacct.usage`";
    "container_cpu_user_seconds_total": counter seconds, Any(Cpu(|cpu| cpu.user_ns)),
        "CPU time in user space, in seconds.", "`cpu.stat`: `user_usec`; v1: `cpuacct.stat`";
    "container_cpu_system_seconds_total": counter seconds, Any(Cpu(|cpu| cpu.system_ns)),
        "CPU time in the kernel, in seconds.", "`cpu.stat`: `system_usec`; v1: `cpuacct.stat`";
    "container_cpu_cfs_periods_total": counter count, Any(Cpu(|cpu| when_limited(cpu, cpu.periods))),
        "Periods of the CPU bandwidth limit in which tasks ran. Only with a limit.", "`cpu.stat`: `nr_periods`";
    "container_cpu_cfs_throttled_periods_total": counter count,
        Any(Cpu(|cpu| when_limited(cpu, cpu.throttled_periods))),
        "Of them, those in which the quota was used up. Only with a limit.", "`cpu.stat`: `nr_throttled`";
    "container_cpu_cfs_throttled_seconds_total": counter seconds,
        Any(Cpu(|cpu| when_limited(cpu, cpu.throttled_ns))),
        "How long CPUs were throttled, added up, in seconds. Only with a limit.",
        "`cpu.stat`: `throttled_usec`; v1: `throttled_time`";
    "container_cpu_cfs_burst_periods_total": counter count, Any(Cpu(|cpu| when_limited(cpu, cpu.bursts))),
        "Periods in which more than the quota was used. Only with a limit.", "`cpu.stat`: `nr_bursts`";
    "container_cpu_cfs_burst_seconds_total": counter seconds,
        Any(Cpu(|cpu| when_limited(cpu, cpu.burst_ns))),
        "How much more, in seconds. Only with a limit.", "`cpu.stat`: `burst_usec`; v1: `burst_time`";
    "container_cpu_schedstat_run_seconds_total": counter seconds, Any(Sched(|sched| sched.ran_ns)),
        "Time that tasks ran on a CPU, in seconds. From the scheduler's events, of all threads, those of the cgroups below included; cAdvisor asks the first thread of each process that is there, and leaves out the cgroups below.",
        "`sched_switch`, as `cgscope_container_cpu_seconds_total`";
    "container_cpu_schedstat_runqueue_seconds_total": counter seconds, Any(Sched(|sched| sched.waited_ns)),
        "Time that tasks waited for a CPU, in seconds. From the scheduler's events, of all threads, those of the cgroups below included; cAdvisor asks the first thread of each process that is there, and leaves out the cgroups below.",
        "`sched_switch`, as `cgscope_container_runqueue_latency_seconds`";
    "container_cpu_schedstat_run_periods_total": counter count, Any(Sched(|sched| sched.waits)),
        "How often tasks got a CPU. From the scheduler's events, of all threads, those of the cgroups below included; cAdvisor asks the first thread of each process that is there, and leaves out the cgroups below.",
        "`sched_switch`, as `cgscope_container_runqueue_latency_seconds`";
    "container_spec_cpu_period": gauge microseconds, Any(Cpu(|cpu| cpu.period_ns)),
        "The period of the CPU bandwidth limit, in microseconds.", "`cpu.max`; v1: `cpu.cfs_period_us`";
    "container_spec_cpu_quota": gauge microseconds, Any(Cpu(|cpu| cpu.quota_ns?.bound())),
        "CPU time in each period, in microseconds. Only with a limit.", "`cpu.max`; v1: `cpu.cfs_quota_us`";
    "container_spec_cpu_shares": gauge count,
        Each { v1: Cpu(|cpu| cpu.shares), v2: Cpu(|cpu| cpu.weight.and_then(shares)) },
        "The share of CPU time, on cgroup v1's scale from 2 to 262144; v2's weight is converted.",
        "`cpu.weight`; v1: `cpu.shares`";

    "container_memory_usage_bytes": gauge bytes, Any(Memory(|memory| memory.memory.usage_bytes)),
        "Memory in use, that of files included.", "`memory.current`; v1: `memory.usage_in_bytes`";
    "container_memory_max_usage_bytes": total bytes, Any(Memory(|memory| memory.memory.peak_bytes)),
        "The most memory ever in use.", "`memory.peak`; v1: `memory.max_usage_in_bytes`";
    "container_memory_working_set_bytes": gauge bytes, Any(Memory(MemoryStatistics::working_set_bytes)),
        "Memory in use, less that of files that is inactive.", "`memory.current` and `memory.stat`: `inactive_file`; v1: `total_inactive_file`";
    "container_memory_rss": gauge bytes, Any(Memory(MemoryStatistics::rss_bytes)),
        "Anonymous memory, in bytes.", "`memory.stat`: `anon`; v1: `total_rss`";
    "container_memory_cache": gauge bytes, Any(Memory(MemoryStatistics::cache_bytes)),
        "Memory of files, in bytes.", "`memory.stat`: `file`; v1: `total_cache`";
    "container_memory_swap": gauge bytes, Any(Memory(MemoryStatistics::swap_bytes)),
        "Swap in use, in bytes.", "`memory.swap.current`; v1: `memory.stat`: `total_swap`";
    "container_memory_mapped_file": gauge bytes, Any(Memory(MemoryStatistics::mapped_file_bytes)),
        "Memory of files that are mapped, in bytes.", "`memory.stat`: `file_mapped`; v1: `total_mapped_file`";
    "container_memory_kernel_usage": gauge bytes, Any(Memory(MemoryStatistics::kernel_bytes)),
        "The kernel's memory on its behalf, in bytes.", "`memory.stat`: `kernel`; v1: `memory.kmem.usage_in_bytes`";
    "container_memory_failcnt": counter count, V1(Memory(|memory| memory.memory.limit_hits)),
        "How often the limit of memory was hit. On cgroup v2 see container_memory_events_max_total.",
        "`memory.failcnt`";
    "container_memory_total_active_anon_bytes": gauge bytes, Any(StatHierarchical(Key::ActiveAnon)),
        "Anonymous memory that is active.", "`memory.stat`: `active_anon`; v1: `total_active_anon`";
    "container_memory_total_inactive_anon_bytes": gauge bytes, Any(StatHierarchical(Key::InactiveAnon)),
        "Anonymous memory that is inactive.", "`memory.stat`: `inactive_anon`; v1: `total_inactive_anon`";
    "container_memory_total_active_file_bytes": gauge bytes, Any(StatHierarchical(Key::ActiveFile)),
        "Memory of files that is active.", "`memory.stat`: `active_file`; v1: `total_active_file`";
    "container_memory_total_inactive_file_bytes": gauge bytes, Any(StatHierarchical(Key::InactiveFile)),
        "Memory of files that is inactive.", "`memory.stat`: `inactive_file`; v1: `total_inactive_file`";
    "container_memory_anon_hugepages_bytes": gauge bytes, V2(StatHierarchical(Key::AnonThp)),
        "Anonymous memory in transparent huge pages.", "`memory.stat`: `anon_thp`";
    "container_memory_file_dirty_bytes": gauge bytes, V2(StatHierarchical(Key::FileDirty)),
        "Memory of files that is still to be written to the disk.", "`memory.stat`: `file_dirty`";
    "container_memory_file_writeback_bytes": gauge bytes, V2(StatHierarchical(Key::FileWriteback)),
        "Memory of files that is being written to the disk.", "`memory.stat`: `file_writeback`";
    "container_memory_failures_total": counter count, Any(Faults),
        "Page faults: pgmajfault those that had to read, pgfault all. On cgroup v2 the kernel does not tell those of the container alone, and both scopes are with cgroups below.",
        "`memory.stat`: `pgfault`, `pgmajfault`; v1 also: `total_pgfault`, `total_pgmajfault`";
    "container_memory_events_high_total": counter count, V2(Memory(|memory| memory.events.high)),
        "How often tasks were slowed down at the bound memory.high.", "`memory.events`: `high`";
    "container_memory_events_max_total": counter count, V2(Memory(|memory| memory.events.max)),
        "How often the limit memory.max was hit.", "`memory.events`: `max`";
    "container_memory_pgscan_total": counter count, V2(StatHierarchical(Key::Pgscan)),
        "Pages that were looked at for reclaim.", "`memory.stat`: `pgscan`";
    "container_memory_pgsteal_total": counter count, V2(StatHierarchical(Key::Pgsteal)),
        "Pages that were reclaimed.", "`memory.stat`: `pgsteal`";
    "container_memory_workingset_refault_anon_total": counter count,
        Any(StatHierarchical(Key::WorkingsetRefaultAnon)),
        "Anonymous pages that were wanted again soon after they were reclaimed.",
        "`memory.stat`: `workingset_refault_anon`";
    "container_memory_workingset_refault_file_total": counter count,
        Any(StatHierarchical(Key::WorkingsetRefaultFile)),
        "Pages of files that were wanted again soon after they were reclaimed.",
        "`memory.stat`: `workingset_refault_file`";
    "container_oom_events_total": counter count, Any(Row(|row| row.limit_oom_kills)),
        "OOM kills because the memory limit of this cgroup was hit. Absent where the kernel does not say whose limit it was.",
        "`mark_victim`, as `cgscope_container_oom_kills_total` with `limit_owner`";
    "container_spec_memory_limit_bytes": gauge bytes, Any(Memory(|memory| memory.memory.limit_bytes.map(or_zero))),
        "How much memory there can be; 0 without a limit.", "`memory.max`; v1: `memory.limit_in_bytes`";
    "container_spec_memory_swap_limit_bytes": gauge bytes,
        Each {
            v1: Memory(|memory| memory.memory_and_swap.limit_bytes.map(or_zero)),
            v2: Memory(|memory| memory.swap.limit_bytes.map(or_zero)),
        },
        "How much swap there can be, on cgroup v1 memory and swap together; 0 without a limit.",
        "`memory.swap.max`; v1: `memory.memsw.limit_in_bytes`";
    "container_spec_memory_reservation_limit_bytes": gauge bytes,
        Each {
            v1: Memory(|memory| memory.soft_limit_bytes.map(or_zero)),
            v2: Memory(|memory| memory.min_bytes.map(or_zero)),
        },
        "Memory that is kept for it; 0 on cgroup v1 when there is no such bound.",
        "`memory.min`; v1: `memory.soft_limit_in_bytes`";
    "container_hugetlb_usage_bytes": gauge bytes, Any(PerPageSize(|used| used.usage_bytes)),
        "Huge pages in use.", "`hugetlb.<size>.current`; v1: `hugetlb.<size>.usage_in_bytes`";
    "container_hugetlb_max_usage_bytes": total bytes, Any(PerPageSize(|used| used.peak_bytes)),
        "The most huge pages ever in use.", "v1: `hugetlb.<size>.max_usage_in_bytes`";
    "container_hugetlb_failcnt": counter count, Any(PerPageSize(|used| used.limit_hits)),
        "How often the limit of huge pages was hit.", "`hugetlb.<size>.events`; v1: `hugetlb.<size>.failcnt`";

    "container_fs_reads_bytes_total": counter bytes, Any(PerDevice(|device| device.bytes.read)),
        "Bytes read from the disk.", "`io.stat`: `rbytes`; v1: `blkio.throttle.io_service_bytes_recursive`";
    "container_fs_writes_bytes_total": counter bytes, Any(PerDevice(|device| device.bytes.write)),
        "Bytes written to the disk. On cgroup v1 the kernel charges buffered writes to the root.",
        "`io.stat`: `wbytes`; v1: `blkio.throttle.io_service_bytes_recursive`";
    "container_fs_reads_total": counter count, Any(PerDevice(|device| device.operations.read)),
        "Reads from the disk.", "`io.stat`: `rios`; v1: `blkio.throttle.io_serviced_recursive`";
    "container_fs_writes_total": counter count, Any(PerDevice(|device| device.operations.write)),
        "Writes to the disk. On cgroup v1 the kernel charges buffered writes to the root.",
        "`io.stat`: `wios`; v1: `blkio.throttle.io_serviced_recursive`";
    "container_fs_reads_merged_total": counter count,
        V1(PerDevice(|device| device.scheduler.as_deref()?.merged.read)),
        "Reads that were merged with others. Only of the BFQ scheduler.", "`blkio.bfq.io_merged_recursive`";
    "container_fs_writes_merged_total": counter count,
        V1(PerDevice(|device| device.scheduler.as_deref()?.merged.write)),
        "Writes that were merged with others. Only of the BFQ scheduler.", "`blkio.bfq.io_merged_recursive`";
    "container_fs_read_seconds_total": counter seconds,
        V1(PerDevice(|device| device.scheduler.as_deref()?.service_time_ns.read)),
        "Time of reads from the device to their end, in seconds. Only of the BFQ scheduler.",
        "`blkio.bfq.io_service_time_recursive`";
    "container_fs_write_seconds_total": counter seconds,
        V1(PerDevice(|device| device.scheduler.as_deref()?.service_time_ns.write)),
        "Time of writes from the device to their end, in seconds. Only of the BFQ scheduler.",
        "`blkio.bfq.io_service_time_recursive`";
    "container_fs_io_time_seconds_total": counter seconds,
        V1(PerDevice(|device| device.scheduler.as_deref()?.service_time_ns.total)),
        "Time of requests from the device to their end, in seconds. Only of the BFQ scheduler.",
        "`blkio.bfq.io_service_time_recursive`";
    "container_fs_io_current": gauge count, V1(PerDevice(|device| device.scheduler.as_deref()?.queued.total)),
        "Requests in the queues. Only of the BFQ scheduler.", "`blkio.bfq.io_queued_recursive`";
    "container_fs_io_cost_usage_seconds_total": counter seconds, V2(PerDevice(|device| device.cost.usage_ns)),
        "Device time used, as the I/O cost model reckons it, in seconds. Only where it is on.",
        "`io.stat`: `cost.usage`";
    "container_fs_io_cost_wait_seconds_total": counter seconds, V2(PerDevice(|device| device.cost.wait_ns)),
        "Time spent waiting for more of it, in seconds.", "`io.stat`: `cost.wait`";
    "container_fs_io_cost_indebt_seconds_total": counter seconds, V2(PerDevice(|device| device.cost.debt_ns)),
        "Time in which it was used in advance, in seconds.", "`io.stat`: `cost.indebt`";
    "container_fs_io_cost_indelay_seconds_total": counter seconds,
        V2(PerDevice(|device| device.cost.debt_delay_ns)),
        "Time that tasks were delayed for it, in seconds.", "`io.stat`: `cost.indelay`";
    "container_blkio_device_usage_total": counter bytes, Any(PerOperation(|device| Some(device.bytes))),
        "Bytes by operation. Sync, Async and Total are cgroup v1's.",
        "`io.stat`; v1: `blkio.throttle.io_service_bytes_recursive`";

    "container_network_receive_bytes_total": counter bytes, Any(PerInterface(|of| of.received.bytes)),
        "Bytes that came in. The containers of a pod have one network: it is with the one that was there first.",
        "`/proc/<pid>/net/dev`";
    "container_network_receive_packets_total": counter count, Any(PerInterface(|of| of.received.packets)),
        "Packets that came in.", "`/proc/<pid>/net/dev`";
    "container_network_receive_packets_dropped_total": counter count,
        Any(PerInterface(|of| of.received.dropped)),
        "Packets dropped on the way in.", "`/proc/<pid>/net/dev`";
    "container_network_receive_errors_total": counter count, Any(PerInterface(|of| of.received.errors)),
        "Packets that came in with an error.", "`/proc/<pid>/net/dev`";
    "container_network_transmit_bytes_total": counter bytes, Any(PerInterface(|of| of.sent.bytes)),
        "Bytes that went out. The containers of a pod have one network: it is with the one that was there first.",
        "`/proc/<pid>/net/dev`";
    "container_network_transmit_packets_total": counter count, Any(PerInterface(|of| of.sent.packets)),
        "Packets that went out.", "`/proc/<pid>/net/dev`";
    "container_network_transmit_packets_dropped_total": counter count, Any(PerInterface(|of| of.sent.dropped)),
        "Packets dropped on the way out.", "`/proc/<pid>/net/dev`";
    "container_network_transmit_errors_total": counter count, Any(PerInterface(|of| of.sent.errors)),
        "Packets that went out with an error.", "`/proc/<pid>/net/dev`";

    "container_processes": gauge count, Any(Processes(|of| Some(of.processes))),
        "Processes.", "`cgroup.procs`";
    "container_file_descriptors": gauge count,
        Any(Processes(|of| of.open_files.filter(|_| of.unreadable == 0))),
        "Open files of its processes. Absent when not all of them can be looked at.", "`/proc/<pid>/fd`";
    "container_threads": gauge count, Any(Pids(|pids| pids.current)),
        "Threads.", "`pids.current`";
    "container_threads_max": gauge count, Any(Pids(|pids| pids.limit.map(or_zero))),
        "How many threads there can be; 0 without a limit.", "`pids.max`";

    "container_pressure_cpu_waiting_seconds_total": counter seconds, pressure!(cpu some),
        "Time in which at least one task waited for a CPU, in seconds.", "`cpu.pressure`: `some`";
    "container_pressure_cpu_stalled_seconds_total": counter seconds, pressure!(cpu full),
        "Time in which all tasks waited for a CPU, in seconds.", "`cpu.pressure`: `full`";
    "container_pressure_memory_waiting_seconds_total": counter seconds, pressure!(memory some),
        "Time in which at least one task waited for memory, in seconds.", "`memory.pressure`: `some`";
    "container_pressure_memory_stalled_seconds_total": counter seconds, pressure!(memory full),
        "Time in which all tasks waited for memory, in seconds.", "`memory.pressure`: `full`";
    "container_pressure_io_waiting_seconds_total": counter seconds, pressure!(io some),
        "Time in which at least one task waited for block I/O, in seconds.", "`io.pressure`: `some`";
    "container_pressure_io_stalled_seconds_total": counter seconds, pressure!(io full),
        "Time in which all tasks waited for block I/O, in seconds.", "`io.pressure`: `full`";
};

/// cAdvisor has these only of a cgroup whose CPU bandwidth is limited.
fn when_limited(cpu: &CpuStatistics, value: Option<u64>) -> Option<u64> {
    cpu.quota_ns?.bound()?;
    value
}

/// v2's weight, 1 to 10000, on v1's scale, 2 to 262144.
fn shares(weight: u64) -> Option<u64> {
    (1..=10_000)
        .contains(&weight)
        .then(|| 2 + (weight - 1) * 262_142 / 9_999)
}

/// cAdvisor has these times in whole seconds. A time before the epoch comes from a clock that is not
/// set: then it is not known.
fn whole_seconds_ns(time: SystemTime) -> Option<u64> {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    u64::try_from(Duration::from_secs(since_epoch.as_secs()).as_nanos()).ok()
}
