//! Counters of the whole host that explain why two other counters differ.

use procfs::{CurrentSI as _, KernelStats, diskstats};

use super::cgroupfs::parse::DeviceNumber;

/// The host's counters, since it booted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostCounters {
    /// By CPU.
    pub cpus: Vec<CpuTimes>,
    /// By disk.
    pub requests: Vec<(DeviceNumber, DiskRequests)>,
}

/// Times of a CPU, since the host booted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTimes {
    /// For which it was taken from whoever had it: by a hypervisor, and for interrupts.
    pub taken_ns: u64,
    /// For which it was not idle, this included.
    pub busy_ns: u64,
}

/// Requests on a disk, since the host booted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskRequests {
    /// That completed.
    pub completed: u64,
    /// That were merged with others.
    pub merged: u64,
}

/// Reads them. What cannot be read explains nothing.
#[must_use]
pub fn read_host_counters() -> HostCounters {
    let tick_ns = 1_000_000_000 / procfs::ticks_per_second().max(1);
    let stats = KernelStats::current().map(|stats| stats.cpu_time);
    let cpus = stats.unwrap_or_default().into_iter().map(|cpu| {
        let taken = [cpu.steal, cpu.irq, cpu.softirq];
        let taken: u64 = taken.into_iter().flatten().sum();
        CpuTimes {
            taken_ns: taken * tick_ns,
            busy_ns: (taken + cpu.user + cpu.nice + cpu.system) * tick_ns,
        }
    });
    let requests = diskstats().unwrap_or_default().into_iter().map(|disk| {
        let number = |number: i32| u32::try_from(number).unwrap_or(0);
        let device = DeviceNumber {
            major: number(disk.major),
            minor: number(disk.minor),
        };
        let discards = [disk.discards, disk.discards_merged].map(Option::unwrap_or_default);
        let requests = DiskRequests {
            completed: disk.reads + disk.writes + discards[0],
            merged: disk.merged + disk.writes_merged + discards[1],
        };
        (device, requests)
    });
    HostCounters {
        cpus: cpus.collect(),
        requests: requests.collect(),
    }
}

impl HostCounters {
    /// Those on these disks.
    pub fn requests_on(&self, is_one: impl Fn(DeviceNumber) -> bool) -> DiskRequests {
        let mut sum = DiskRequests::default();
        for (_, of) in self.requests.iter().filter(|(device, _)| is_one(*device)) {
            sum.completed += of.completed;
            sum.merged += of.merged;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_s_counters_only_rise() {
        let before = read_host_counters();
        let after = read_host_counters();
        assert!(!before.cpus.is_empty());
        for (before, after) in before.cpus.iter().zip(&after.cpus) {
            assert!(after.taken_ns >= before.taken_ns);
            assert!(after.busy_ns >= before.busy_ns && after.busy_ns > after.taken_ns);
        }
        let [all_before, all] = [&before, &after].map(|host| host.requests_on(|_| true));
        assert!(all.merged >= all_before.merged && all.completed >= all_before.completed);
        assert!(all.completed > 0);
        assert_eq!(after.requests_on(|_| false), DiskRequests::default());
    }
}
