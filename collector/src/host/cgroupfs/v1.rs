//! What the files of cgroup v1 mean.

use super::{
    KernelFile as File,
    cpu::CpuStatistics,
    directory::Fetched,
    io::{ByOperation, DeviceIo, DeviceLimits, IoStatistics, SchedulerIo},
    memory::{MemoryEvents, MemoryStatistics, OomControl},
    parse::Limit,
    source::Source,
    statistics::{BoundedUse, CpusetStatistics, HugetlbStatistics},
    text::Text,
    v2::{MAX_ID_RANGES, each_page_size},
};

/// CPUs whose time is kept: as many as Linux can be built for.
const MAX_CPUS: usize = 8_192;

pub(super) fn cpu_usage(source: &mut Source<'_>, cpu: &mut CpuStatistics) {
    source.read(File::CpuacctUsage, |text| cpu.usage_ns = text.number());
    let tick_ns = source.tick_ns();
    source.read(File::CpuacctStat, |text| {
        cpu.user_ns = None;
        cpu.system_ns = None;
        text.known(|key, value| match key {
            b"user" => cpu.user_ns = value.times(tick_ns),
            b"system" => cpu.system_ns = value.times(tick_ns),
            _ => {}
        });
    });
}

pub(super) fn per_cpu(source: &mut Source<'_>, cpu: &mut CpuStatistics) {
    source.read(File::CpuacctUsageUser, |text| {
        cpu.ticked_user_ns = text.number();
    });
    source.read(File::CpuacctUsageSys, |text| {
        cpu.ticked_system_ns = text.number();
    });
    for (file, by_cpu) in [
        (File::CpuacctUsagePercpu, &mut cpu.per_cpu_usage_ns),
        (File::CpuacctUsagePercpuUser, &mut cpu.per_cpu_user_ns),
        (File::CpuacctUsagePercpuSys, &mut cpu.per_cpu_system_ns),
    ] {
        source.read(file, |text| text.numbers(by_cpu, MAX_CPUS));
    }
}

pub(super) fn cpu_throttling(source: &mut Source<'_>, cpu: &mut CpuStatistics) {
    source.read(File::CpuStat, |text| {
        cpu.periods = None;
        cpu.throttled_periods = None;
        cpu.throttled_ns = None;
        cpu.bursts = None;
        cpu.burst_ns = None;
        text.flat(&mut cpu.other, |key, value| {
            match key {
                b"nr_periods" => cpu.periods = value.number(),
                b"nr_throttled" => cpu.throttled_periods = value.number(),
                b"throttled_time" => cpu.throttled_ns = value.number(),
                b"nr_bursts" => cpu.bursts = value.number(),
                b"burst_time" => cpu.burst_ns = value.number(),
                _ => return false,
            }
            true
        });
    });
    source.read(File::CpuStatLocal, |text| {
        cpu.throttled_here_ns = None;
        text.known(|key, value| {
            if key == b"throttled_time" {
                cpu.throttled_here_ns = value.number();
            }
        });
    });
}

pub(super) fn cpu_limits(source: &mut Source<'_>, cpu: &mut CpuStatistics) {
    source.read(File::CpuShares, |text| cpu.shares = text.number());
    source.read(File::CpuCfsQuota, |text| cpu.quota_ns = text.v1_quota());
    source.read(File::CpuCfsPeriod, |text| {
        cpu.period_ns = text.microseconds();
    });
    source.read(File::CpuCfsBurst, |text| {
        cpu.burst_limit_ns = text.microseconds();
    });
    source.read(File::CpuIdle, |text| cpu.idle = text.flag());
}

/// What a v1 counter with a limit calls its files.
struct CounterFiles {
    usage: File,
    peak: File,
    limit: File,
    limit_hits: File,
}

const MEMORY: CounterFiles = CounterFiles {
    usage: File::MemoryUsage,
    peak: File::MemoryMaxUsage,
    limit: File::MemoryLimit,
    limit_hits: File::MemoryFailcnt,
};
const MEMORY_AND_SWAP: CounterFiles = CounterFiles {
    usage: File::MemswUsage,
    peak: File::MemswMaxUsage,
    limit: File::MemswLimit,
    limit_hits: File::MemswFailcnt,
};
const KERNEL: CounterFiles = CounterFiles {
    usage: File::KmemUsage,
    peak: File::KmemMaxUsage,
    limit: File::KmemLimit,
    limit_hits: File::KmemFailcnt,
};
const KERNEL_TCP: CounterFiles = CounterFiles {
    usage: File::KmemTcpUsage,
    peak: File::KmemTcpMaxUsage,
    limit: File::KmemTcpLimit,
    limit_hits: File::KmemTcpFailcnt,
};
const HUGETLB: CounterFiles = CounterFiles {
    usage: File::HugetlbUsage,
    peak: File::HugetlbMaxUsage,
    limit: File::HugetlbLimit,
    limit_hits: File::HugetlbFailcnt,
};
const HUGETLB_RESERVED: CounterFiles = CounterFiles {
    usage: File::HugetlbRsvdUsage,
    peak: File::HugetlbRsvdMaxUsage,
    limit: File::HugetlbRsvdLimit,
    limit_hits: File::HugetlbRsvdFailcnt,
};

impl CounterFiles {
    fn usage(&self, source: &mut Source<'_>, counter: &mut BoundedUse) {
        source.read(self.usage, |text| counter.usage_bytes = text.number());
        source.read(self.peak, |text| counter.peak_bytes = text.number());
        source.read(self.limit_hits, |text| counter.limit_hits = text.number());
    }

    fn limit(&self, source: &mut Source<'_>, counter: &mut BoundedUse) {
        source.read(self.limit, |text| counter.limit_bytes = text.v1_limit());
    }
}

pub(super) fn memory(source: &mut Source<'_>, memory: &mut MemoryStatistics) {
    MEMORY.usage(source, &mut memory.memory);
    source.read(File::MemoryOomControl, |text| {
        memory.oom_control = OomControl::default();
        memory.events = MemoryEvents::default();
        text.known(|key, value| match key {
            b"oom_kill_disable" => memory.oom_control.kill_disabled = value.flag(),
            b"under_oom" => memory.oom_control.under_oom = value.flag(),
            b"oom_kill" => memory.events.oom_kill = value.number(),
            _ => {}
        });
    });
    MEMORY_AND_SWAP.usage(source, &mut memory.memory_and_swap);
}

pub(super) fn kernel_memory(source: &mut Source<'_>, memory: &mut MemoryStatistics) {
    KERNEL.usage(source, &mut memory.kernel);
    KERNEL_TCP.usage(source, &mut memory.kernel_tcp);
}

pub(super) fn kernel_memory_limits(source: &mut Source<'_>, memory: &mut MemoryStatistics) {
    KERNEL.limit(source, &mut memory.kernel);
    KERNEL_TCP.limit(source, &mut memory.kernel_tcp);
}

pub(super) fn memory_limits(source: &mut Source<'_>, memory: &mut MemoryStatistics) {
    MEMORY.limit(source, &mut memory.memory);
    MEMORY_AND_SWAP.limit(source, &mut memory.memory_and_swap);
    source.read(File::MemorySoftLimit, |text| {
        memory.soft_limit_bytes = text.v1_limit();
    });
}

pub(super) fn io(source: &mut Source<'_>, io: &mut IoStatistics) {
    let bytes: Column<ByOperation> = |device| &mut device.bytes;
    let operations: Column<ByOperation> = |device| &mut device.operations;
    let recursive = throttle_table(source, File::ThrottleBytesRecursive, io, bytes);
    throttle_table(source, File::ThrottleOperationsRecursive, io, operations);
    // Without the cgroups below, which is better than nothing. A table that could not be read this time
    // is there the next: its numbers would then go up by those of the cgroups below.
    if recursive == Fetched::Absent {
        throttle_table(source, File::ThrottleBytes, io, bytes);
        throttle_table(source, File::ThrottleOperations, io, operations);
    }
    io.drop_silent();
}

pub(super) fn io_scheduler(source: &mut Source<'_>, io: &mut IoStatistics) {
    source.read(File::BfqServiceTime, |text| {
        for scheduler in io.devices.iter_mut().filter_map(|of| of.scheduler.as_mut()) {
            **scheduler = SchedulerIo::default();
        }
        by_operation(text, io, |device| &mut scheduler(device).service_time_ns);
    });
    source.read(File::BfqWaitTime, |text| {
        by_operation(text, io, |device| &mut scheduler(device).wait_time_ns);
    });
    source.read(File::BfqMerged, |text| {
        by_operation(text, io, |device| &mut scheduler(device).merged);
    });
    source.read(File::BfqQueued, |text| {
        by_operation(text, io, |device| &mut scheduler(device).queued);
    });
    source.read(File::BfqTime, |text| {
        text.rows(|row| {
            // Milliseconds.
            let time = row.number.checked_mul(1_000_000);
            io.device(row.device)
                .map(|device| scheduler(device).device_time_ns = time)
                .is_some()
        });
    });
    source.read(File::BfqSectors, |text| {
        text.rows(|row| {
            io.device(row.device)
                .map(|device| scheduler(device).sectors = Some(row.number))
                .is_some()
        });
    });
    io.drop_silent();
}

/// Where a device's numbers of one table are.
type Column<T> = fn(&mut DeviceIo) -> &mut T;

fn scheduler(device: &mut DeviceIo) -> &mut SchedulerIo {
    device.scheduler.get_or_insert_default()
}

/// Reads a table that every device with I/O is in.
fn throttle_table(
    source: &mut Source<'_>,
    file: File,
    io: &mut IoStatistics,
    column: Column<ByOperation>,
) -> Fetched {
    source.read(file, |text| {
        for device in &mut io.devices {
            *column(device) = ByOperation::default();
        }
        by_operation(text, io, column);
    })
}

fn by_operation(text: Text<'_>, io: &mut IoStatistics, column: Column<ByOperation>) {
    text.rows(|row| {
        let Some(device) = io.device(row.device) else {
            return false;
        };
        if let Some(place) = column(device).place(row.operation) {
            *place = Some(row.number);
        }
        true
    });
}

pub(super) fn io_limits(source: &mut Source<'_>, io: &mut IoStatistics) {
    limit_table(source, File::ThrottleReadBytesLimit, io, |limits| {
        &mut limits.read_bytes
    });
    limit_table(source, File::ThrottleWriteBytesLimit, io, |limits| {
        &mut limits.write_bytes
    });
    limit_table(source, File::ThrottleReadOperationsLimit, io, |limits| {
        &mut limits.read_operations
    });
    limit_table(source, File::ThrottleWriteOperationsLimit, io, |limits| {
        &mut limits.write_operations
    });
    io.drop_unlimited();
}

fn limit_table(
    source: &mut Source<'_>,
    file: File,
    io: &mut IoStatistics,
    column: fn(&mut DeviceLimits) -> &mut Option<Limit>,
) {
    source.read(file, |text| {
        for limits in &mut io.limits {
            *column(limits) = None;
        }
        text.rows(|row| {
            io.limits_of(row.device)
                .map(|limits| *column(limits) = Some(Limit::At(row.number)))
                .is_some()
        });
    });
}

pub(super) fn hugetlb(source: &mut Source<'_>, sizes: &mut Vec<HugetlbStatistics>) {
    each_page_size(source, sizes, |source, size, at| {
        for (files, counter) in [
            (&HUGETLB, &mut at.used),
            (&HUGETLB_RESERVED, &mut at.reserved),
        ] {
            source.read_page_size(files.usage, size, |text| {
                counter.usage_bytes = text.number();
            });
            source.read_page_size(files.peak, size, |text| counter.peak_bytes = text.number());
            source.read_page_size(files.limit_hits, size, |text| {
                counter.limit_hits = text.number();
            });
        }
    });
}

pub(super) fn hugetlb_limits(source: &mut Source<'_>, sizes: &mut Vec<HugetlbStatistics>) {
    each_page_size(source, sizes, |source, size, at| {
        for (files, counter) in [
            (&HUGETLB, &mut at.used),
            (&HUGETLB_RESERVED, &mut at.reserved),
        ] {
            source.read_page_size(files.limit, size, |text| {
                counter.limit_bytes = text.v1_limit();
            });
        }
    });
}

pub(super) fn cpuset(source: &mut Source<'_>, cpuset: &mut CpusetStatistics) {
    source.read(File::CpusetCpus, |text| {
        text.ids(&mut cpuset.cpus, MAX_ID_RANGES);
    });
    source.read(File::CpusetMems, |text| {
        text.ids(&mut cpuset.memory_nodes, MAX_ID_RANGES);
    });
    source.read(File::CpusetEffectiveCpus, |text| {
        text.ids(&mut cpuset.effective_cpus, MAX_ID_RANGES);
    });
    source.read(File::CpusetEffectiveMems, |text| {
        text.ids(&mut cpuset.effective_memory_nodes, MAX_ID_RANGES);
    });
}
