//! The order in which the parts of a cgroup's statistics are read, and from which hierarchy.
//!
//! A cgroup can be removed at any moment, and its last reading often races with that: what matters
//! most comes first, and limits, which were read before, come last.

use super::{
    CgroupStatistics, Wanted, named_rows,
    reader::{Found, Pass},
    roots::Controller,
    statistics::CgroupVersion::{V1, V2},
    v1, v2,
};

/// Reads what is wanted.
pub(super) fn read(pass: &mut Pass<'_>, wanted: Wanted, statistics: &mut CgroupStatistics) {
    if wanted.contains(Wanted::CPU) {
        cpu(pass, statistics);
    }
    let usage = |statistics: &CgroupStatistics| {
        let memory = statistics.memory.as_ref()?;
        memory.memory.usage_bytes
    };
    let usage_before = usage(statistics);
    if wanted.contains(Wanted::MEMORY) {
        let part = &mut statistics.memory;
        pass.part(
            Wanted::MEMORY,
            Controller::Memory,
            part,
            |version, source, memory| match version {
                V1 => v1::memory(source, memory),
                V2 => v2::memory(source, memory),
            },
        );
    }
    if wanted.contains(Wanted::IO) {
        let part = &mut statistics.io;
        pass.part(
            Wanted::IO,
            Controller::Io,
            part,
            |version, source, io| match version {
                V1 => v1::io(source, io),
                V2 => v2::io(source, io),
            },
        );
    }
    if wanted.contains(Wanted::PIDS) {
        let part = &mut statistics.pids;
        pass.part(Wanted::PIDS, Controller::Pids, part, |_, source, pids| {
            v2::pids(source, pids);
        });
    }
    let is_same = usage_before.is_some() && usage(statistics) == usage_before;
    if wanted.contains(Wanted::SPARING) && is_same {
        pass.pass_over(Wanted::MEMORY_STAT);
    } else if wanted.contains(Wanted::MEMORY_STAT) {
        let part = &mut statistics.memory;
        pass.more_of(
            Wanted::MEMORY_STAT,
            Controller::Memory,
            part,
            |_, source, memory| {
                v2::memory_stat(source, &mut memory.stat);
            },
        );
    }
    if wanted.contains(Wanted::PRESSURE) {
        let part = &mut statistics.pressure;
        pass.part(
            Wanted::PRESSURE,
            Controller::Core,
            part,
            |version, source, pressure| {
                if version == V2 {
                    v2::pressure(source, pressure);
                }
            },
        );
    }
    rarer(pass, wanted, statistics);
    if wanted.contains(Wanted::LIMITS) {
        limits(pass, wanted, statistics);
    }
}

/// From one hierarchy in v2, and from two in v1.
fn cpu(pass: &mut Pass<'_>, statistics: &mut CgroupStatistics) {
    let part = &mut statistics.cpu;
    let accounting = Controller::CpuAccounting;
    let usage = pass.more_of(Wanted::CPU, accounting, part, |_, source, cpu| {
        v1::cpu_usage(source, cpu);
    });
    let controller = Controller::Cpu;
    let other = pass.more_of(
        Wanted::CPU,
        controller,
        part,
        |version, source, cpu| match version {
            V1 => v1::cpu_throttling(source, cpu),
            V2 => v2::cpu(source, cpu),
        },
    );
    if (usage, other) == (Found::Nothing, Found::Nothing) {
        *part = None;
    }
}

fn rarer(pass: &mut Pass<'_>, wanted: Wanted, statistics: &mut CgroupStatistics) {
    if wanted.contains(Wanted::HUGETLB) {
        let part = &mut statistics.hugetlb;
        pass.part(
            Wanted::HUGETLB,
            Controller::Hugetlb,
            part,
            |version, source, sizes| match version {
                V1 => v1::hugetlb(source, sizes),
                V2 => v2::hugetlb(source, sizes),
            },
        );
    }
    if wanted.contains(Wanted::KERNEL_MEMORY) {
        let part = &mut statistics.memory;
        let group = Wanted::KERNEL_MEMORY;
        pass.more_of(
            group,
            Controller::Memory,
            part,
            |version, source, memory| {
                if version == V1 {
                    v1::kernel_memory(source, memory);
                }
            },
        );
    }
    if wanted.contains(Wanted::PER_CPU) {
        let part = &mut statistics.cpu;
        pass.more_of(
            Wanted::PER_CPU,
            Controller::CpuAccounting,
            part,
            |_, source, cpu| {
                v1::per_cpu(source, cpu);
            },
        );
    }
    if wanted.contains(Wanted::IO_SCHEDULER) {
        let part = &mut statistics.io;
        pass.more_of(
            Wanted::IO_SCHEDULER,
            Controller::Io,
            part,
            |version, source, io| {
                if version == V1 {
                    v1::io_scheduler(source, io);
                }
            },
        );
    }
    if wanted.contains(Wanted::RDMA) {
        let part = &mut statistics.rdma;
        pass.part(
            Wanted::RDMA,
            Controller::Rdma,
            part,
            |_, source, devices| {
                named_rows::rdma(source, devices);
            },
        );
    }
    if wanted.contains(Wanted::MISC) {
        let part = &mut statistics.misc;
        pass.part(
            Wanted::MISC,
            Controller::Misc,
            part,
            |_, source, resources| {
                named_rows::misc(source, resources);
            },
        );
    }
    if wanted.contains(Wanted::CPUSET) {
        let part = &mut statistics.cpuset;
        pass.part(
            Wanted::CPUSET,
            Controller::Cpuset,
            part,
            |version, source, cpuset| match version {
                V1 => v1::cpuset(source, cpuset),
                V2 => v2::cpuset(source, cpuset),
            },
        );
    }
    if wanted.contains(Wanted::LIFE) {
        let part = &mut statistics.life;
        pass.part(
            Wanted::LIFE,
            Controller::Core,
            part,
            |version, source, life| {
                if version == V2 {
                    v2::life(source, life);
                }
            },
        );
    }
}

/// The limits of what else is wanted.
fn limits(pass: &mut Pass<'_>, wanted: Wanted, statistics: &mut CgroupStatistics) {
    if wanted.contains(Wanted::CPU) {
        let part = &mut statistics.cpu;
        pass.more_of(
            Wanted::LIMITS,
            Controller::Cpu,
            part,
            |version, source, cpu| match version {
                V1 => v1::cpu_limits(source, cpu),
                V2 => v2::cpu_limits(source, cpu),
            },
        );
    }
    if wanted.contains(Wanted::MEMORY) {
        let part = &mut statistics.memory;
        pass.more_of(
            Wanted::LIMITS,
            Controller::Memory,
            part,
            |version, source, memory| match version {
                V1 => v1::memory_limits(source, memory),
                V2 => v2::memory_limits(source, memory),
            },
        );
    }
    if wanted.contains(Wanted::KERNEL_MEMORY) {
        let part = &mut statistics.memory;
        let group = Wanted::LIMITS;
        pass.more_of(
            group,
            Controller::Memory,
            part,
            |version, source, memory| {
                if version == V1 {
                    v1::kernel_memory_limits(source, memory);
                }
            },
        );
    }
    if wanted.contains(Wanted::IO) {
        let part = &mut statistics.io;
        pass.more_of(
            Wanted::LIMITS,
            Controller::Io,
            part,
            |version, source, io| match version {
                V1 => v1::io_limits(source, io),
                V2 => v2::io_limits(source, io),
            },
        );
    }
    if wanted.contains(Wanted::PIDS) {
        let part = &mut statistics.pids;
        pass.more_of(Wanted::LIMITS, Controller::Pids, part, |_, source, pids| {
            v2::pids_limit(source, pids);
        });
    }
    if wanted.contains(Wanted::HUGETLB) {
        let part = &mut statistics.hugetlb;
        pass.more_of(
            Wanted::LIMITS,
            Controller::Hugetlb,
            part,
            |version, source, sizes| match version {
                V1 => v1::hugetlb_limits(source, sizes),
                V2 => v2::hugetlb_limits(source, sizes),
            },
        );
    }
    if wanted.contains(Wanted::RDMA) {
        let part = &mut statistics.rdma;
        pass.more_of(
            Wanted::LIMITS,
            Controller::Rdma,
            part,
            |_, source, devices| {
                named_rows::rdma_limits(source, devices);
            },
        );
    }
    if wanted.contains(Wanted::MISC) {
        let part = &mut statistics.misc;
        pass.more_of(
            Wanted::LIMITS,
            Controller::Misc,
            part,
            |_, source, resources| {
                named_rows::misc_limits(source, resources);
            },
        );
    }
}
