//! What the files of cgroup v2 mean. Those of `pids` and `memory.stat` are the same in v1.

use std::sync::Arc;

use super::{
    KernelFile as File, MemoryStat,
    cpu::CpuStatistics,
    io::{ByOperation, IoCost, IoStatistics},
    memory::{MemoryEvents, MemoryStatistics, SwapEvents},
    memory_stat,
    parse::{DeviceNumber, Reason, parse_u64},
    source::Source,
    statistics::{
        BoundedUse, CpusetStatistics, HugetlbStatistics, LifeStatistics, PidsStatistics,
        PressureStatistics,
    },
    text::Text,
};

/// Ranges of a list of CPUs that are kept: every second one of 2,048.
pub(super) const MAX_ID_RANGES: usize = 1_024;

pub(super) fn cpu(source: &mut Source<'_>, cpu: &mut CpuStatistics) {
    source.read(File::CpuStat, |text| {
        cpu.usage_ns = None;
        cpu.user_ns = None;
        cpu.system_ns = None;
        cpu.nice_ns = None;
        cpu.forced_idle_ns = None;
        cpu.periods = None;
        cpu.throttled_periods = None;
        cpu.throttled_ns = None;
        cpu.bursts = None;
        cpu.burst_ns = None;
        text.flat(&mut cpu.other, |key, value| {
            match key {
                b"usage_usec" => cpu.usage_ns = value.microseconds(),
                b"user_usec" => cpu.user_ns = value.microseconds(),
                b"system_usec" => cpu.system_ns = value.microseconds(),
                b"nice_usec" => cpu.nice_ns = value.microseconds(),
                b"core_sched.force_idle_usec" => cpu.forced_idle_ns = value.microseconds(),
                b"nr_periods" => cpu.periods = value.number(),
                b"nr_throttled" => cpu.throttled_periods = value.number(),
                b"throttled_usec" => cpu.throttled_ns = value.microseconds(),
                b"nr_bursts" => cpu.bursts = value.number(),
                b"burst_usec" => cpu.burst_ns = value.microseconds(),
                _ => return false,
            }
            true
        });
    });
    source.read(File::CpuStatLocal, |text| {
        cpu.throttled_here_ns = None;
        text.known(|key, value| {
            if key == b"throttled_usec" {
                cpu.throttled_here_ns = value.microseconds();
            }
        });
    });
}

pub(super) fn cpu_limits(source: &mut Source<'_>, cpu: &mut CpuStatistics) {
    source.read(File::CpuMax, |text| {
        (cpu.quota_ns, cpu.period_ns) = text.pair();
    });
    source.read(File::CpuMaxBurst, |text| {
        cpu.burst_limit_ns = text.microseconds();
    });
    source.read(File::CpuWeight, |text| cpu.weight = text.number());
    source.read(File::CpuWeightNice, |text| cpu.weight_nice = text.signed());
    source.read(File::CpuIdle, |text| cpu.idle = text.flag());
}

pub(super) fn memory(source: &mut Source<'_>, memory: &mut MemoryStatistics) {
    source.read(File::MemoryCurrent, |text| {
        memory.memory.usage_bytes = text.number();
    });
    source.read(File::MemoryPeak, |text| {
        memory.memory.peak_bytes = text.number();
    });
    source.read(File::MemoryEvents, |text| events(text, &mut memory.events));
    memory.memory.limit_hits = memory.events.max;
    source.read(File::MemorySwapCurrent, |text| {
        memory.swap.usage_bytes = text.number();
    });
    source.read(File::MemorySwapPeak, |text| {
        memory.swap.peak_bytes = text.number();
    });
    source.read(File::MemorySwapEvents, |text| {
        let events = &mut memory.swap_events;
        *events = SwapEvents {
            other: std::mem::take(&mut events.other),
            ..SwapEvents::default()
        };
        text.flat(&mut events.other, |key, value| {
            match key {
                b"high" => events.high = value.number(),
                b"max" => events.max = value.number(),
                b"fail" => events.fail = value.number(),
                _ => return false,
            }
            true
        });
    });
    memory.swap.limit_hits = memory.swap_events.max;
    source.read(File::MemoryZswapCurrent, |text| {
        memory.zswap.usage_bytes = text.number();
    });
    source.read(File::MemoryEventsLocal, |text| {
        events(text, &mut memory.local_events);
    });
}

fn events(text: Text<'_>, events: &mut MemoryEvents) {
    *events = MemoryEvents {
        other: std::mem::take(&mut events.other),
        ..MemoryEvents::default()
    };
    text.flat(&mut events.other, |key, value| {
        match key {
            b"low" => events.low = value.number(),
            b"high" => events.high = value.number(),
            b"max" => events.max = value.number(),
            b"oom" => events.oom = value.number(),
            b"oom_kill" => events.oom_kill = value.number(),
            b"oom_group_kill" => events.oom_group_kill = value.number(),
            b"sock_throttled" => events.sock_throttled = value.number(),
            _ => return false,
        }
        true
    });
}

pub(super) fn memory_limits(source: &mut Source<'_>, memory: &mut MemoryStatistics) {
    source.read(File::MemoryMax, |text| {
        memory.memory.limit_bytes = text.limit();
    });
    source.read(File::MemoryHigh, |text| memory.high_bytes = text.limit());
    source.read(File::MemoryLow, |text| memory.low_bytes = text.limit());
    source.read(File::MemoryMin, |text| memory.min_bytes = text.limit());
    source.read(File::MemorySwapMax, |text| {
        memory.swap.limit_bytes = text.limit();
    });
    source.read(File::MemorySwapHigh, |text| {
        memory.swap_high_bytes = text.limit();
    });
    source.read(File::MemoryZswapMax, |text| {
        memory.zswap.limit_bytes = text.limit();
    });
    source.read(File::MemoryZswapWriteback, |text| {
        memory.zswap_writeback = text.flag();
    });
    source.read(File::MemoryOomGroup, |text| memory.oom_group = text.flag());
}

pub(super) fn memory_stat(source: &mut Source<'_>, stat: &mut MemoryStat) {
    source.read(File::MemoryStat, |text| {
        stat.begin();
        let MemoryStat { other, .. } = &mut *stat;
        let mut other = std::mem::take(other);
        let mut likely = 0;
        text.flat(&mut other, |key, value| {
            let Some(found) = memory_stat::find(key, likely) else {
                return false;
            };
            likely = found.next();
            if let Some(number) = value.number() {
                stat.put(found, number);
            }
            true
        });
        stat.other = other;
    });
}

pub(super) fn io(source: &mut Source<'_>, io: &mut IoStatistics) {
    source.read(File::IoStat, |text| {
        for device in &mut io.devices {
            device.bytes = ByOperation::default();
            device.operations = ByOperation::default();
            device.cost = IoCost::default();
            device.other.begin();
        }
        text.by_device(|number, key, value| {
            let Some(device) = io.device(number) else {
                value.too_many();
                return;
            };
            match key {
                b"rbytes" => device.bytes.read = value.number(),
                b"wbytes" => device.bytes.write = value.number(),
                b"dbytes" => device.bytes.discard = value.number(),
                b"rios" => device.operations.read = value.number(),
                b"wios" => device.operations.write = value.number(),
                b"dios" => device.operations.discard = value.number(),
                b"cost.usage" => device.cost.usage_ns = value.microseconds(),
                b"cost.wait" => device.cost.wait_ns = value.microseconds(),
                b"cost.indebt" => device.cost.debt_ns = value.microseconds(),
                b"cost.indelay" => device.cost.debt_delay_ns = value.microseconds(),
                _ => value.keep_in(&mut device.other),
            }
        });
        io.drop_silent();
    });
}

pub(super) fn io_limits(source: &mut Source<'_>, io: &mut IoStatistics) {
    source.read(File::IoMax, |text| {
        io.limits.clear();
        text.by_device(|number, key, value| {
            let Some(limits) = io.limits_of(number) else {
                value.too_many();
                return;
            };
            match key {
                b"rbps" => limits.read_bytes = value.limit(),
                b"wbps" => limits.write_bytes = value.limit(),
                b"riops" => limits.read_operations = value.limit(),
                b"wiops" => limits.write_operations = value.limit(),
                _ => {}
            }
        });
    });
    source.read(File::IoWeight, |text| {
        io.weight = None;
        for limits in &mut io.limits {
            limits.weight = None;
        }
        text.known(|key, value| {
            if key == b"default" {
                io.weight = value.number();
                return;
            }
            match DeviceNumber::parse(key) {
                Ok(device) => match io.limits_of(device) {
                    Some(limits) => limits.weight = value.number(),
                    None => value.too_many(),
                },
                Err(reason) => value.complain(key, reason),
            }
        });
    });
}

pub(super) fn pids(source: &mut Source<'_>, pids: &mut PidsStatistics) {
    source.read(File::PidsCurrent, |text| pids.current = text.number());
    source.read(File::PidsPeak, |text| pids.peak = text.number());
    source.read(File::PidsEvents, |text| pids.limit_hits = max_of(text));
}

/// The limit, and what only says more of where it was hit.
pub(super) fn pids_limit(source: &mut Source<'_>, pids: &mut PidsStatistics) {
    source.read(File::PidsMax, |text| pids.limit = text.limit());
    source.read(File::PidsEventsLocal, |text| {
        pids.limit_hits_here = max_of(text);
    });
}

/// The only key that the events of most controllers have.
fn max_of(text: Text<'_>) -> Option<u64> {
    let mut max = None;
    text.known(|key, value| {
        if key == b"max" {
            max = value.number();
        }
    });
    max
}

pub(super) fn pressure(source: &mut Source<'_>, pressure: &mut PressureStatistics) {
    source.read(File::CpuPressure, |text| pressure.cpu = text.pressure());
    source.read(File::MemoryPressure, |text| {
        pressure.memory = text.pressure();
    });
    source.read(File::IoPressure, |text| pressure.io = text.pressure());
    source.read(File::IrqPressure, |text| pressure.irq = text.pressure());
}

pub(super) fn life(source: &mut Source<'_>, life: &mut LifeStatistics) {
    source.read(File::CgroupEvents, |text| {
        life.populated = None;
        life.frozen = None;
        text.flat(&mut life.other_events, |key, value| {
            match key {
                b"populated" => life.populated = value.flag(),
                b"frozen" => life.frozen = value.flag(),
                _ => return false,
            }
            true
        });
    });
    source.read(File::CgroupStat, |text| {
        life.descendants = None;
        life.dying_descendants = None;
        text.flat(&mut life.other, |key, value| {
            match key {
                b"nr_descendants" => life.descendants = value.number(),
                b"nr_dying_descendants" => life.dying_descendants = value.number(),
                _ => return false,
            }
            true
        });
    });
    source.read(File::CgroupStatLocal, |text| {
        life.frozen_ns = None;
        text.known(|key, value| {
            if key == b"frozen_usec" {
                life.frozen_ns = value.microseconds();
            }
        });
    });
}

pub(super) fn hugetlb(source: &mut Source<'_>, sizes: &mut Vec<HugetlbStatistics>) {
    each_page_size(source, sizes, |source, size, at| {
        source.read_page_size(File::HugetlbEventsLocal, size, |text| {
            at.limit_hits_here = max_of(text);
        });
        source.read_page_size(File::HugetlbNumaStat, size, |text| {
            by_node(text, &mut at.by_node);
        });
        let (used, reserved) = (&mut at.used, &mut at.reserved);
        source.read_page_size(File::HugetlbCurrent, size, |text| {
            used.usage_bytes = text.number();
        });
        source.read_page_size(File::HugetlbEvents, size, |text| {
            used.limit_hits = max_of(text);
        });
        source.read_page_size(File::HugetlbRsvdCurrent, size, |text| {
            reserved.usage_bytes = text.number();
        });
    });
}

pub(super) fn hugetlb_limits(source: &mut Source<'_>, sizes: &mut Vec<HugetlbStatistics>) {
    each_page_size(source, sizes, |source, size, at| {
        let (used, reserved) = (&mut at.used, &mut at.reserved);
        source.read_page_size(File::HugetlbMax, size, |text| {
            used.limit_bytes = text.limit();
        });
        source.read_page_size(File::HugetlbRsvdMax, size, |text| {
            reserved.limit_bytes = text.limit();
        });
    });
}

/// The nodes of a `numa_stat`, whose one line begins with their total.
fn by_node(text: Text<'_>, nodes: &mut Vec<(u32, u64)>) {
    nodes.clear();
    text.pairs(|key, value| {
        if key == b"total" {
            return;
        }
        let node = key.strip_prefix(b"N").and_then(|node| parse_u64(node).ok());
        let Some(node) = node.and_then(|node| u32::try_from(node).ok()) else {
            value.complain(key, Reason::NotANumber);
            return;
        };
        if nodes.len() >= MAX_ID_RANGES {
            value.too_many();
        } else if let Some(bytes) = value.number() {
            nodes.push((node, bytes));
        }
    });
}

/// Every size of huge pages that this machine has.
pub(super) fn each_page_size(
    source: &mut Source<'_>,
    sizes: &mut Vec<HugetlbStatistics>,
    mut read: impl FnMut(&mut Source<'_>, &super::roots::HugePageSize, &mut HugetlbStatistics),
) {
    let roots = source.roots;
    for (place, size) in roots.page_sizes.iter().enumerate() {
        if place == sizes.len() {
            sizes.push(HugetlbStatistics {
                page_size: Arc::clone(&size.label),
                used: BoundedUse::default(),
                reserved: BoundedUse::default(),
                limit_hits_here: None,
                by_node: Vec::new(),
            });
        }
        read(source, size, &mut sizes[place]);
    }
}

pub(super) fn cpuset(source: &mut Source<'_>, cpuset: &mut CpusetStatistics) {
    source.read(File::CpusetCpus, |text| {
        text.ids(&mut cpuset.cpus, MAX_ID_RANGES);
    });
    source.read(File::CpusetMems, |text| {
        text.ids(&mut cpuset.memory_nodes, MAX_ID_RANGES);
    });
    source.read(File::CpusetCpusEffective, |text| {
        text.ids(&mut cpuset.effective_cpus, MAX_ID_RANGES);
    });
    source.read(File::CpusetMemsEffective, |text| {
        text.ids(&mut cpuset.effective_memory_nodes, MAX_ID_RANGES);
    });
}
