//! Counters of the whole host that explain why two other counters differ.

use procfs::{CurrentSI as _, KernelStats, diskstats};

use super::cgroupfs::parse::DeviceNumber;

/// The host's counters, since it booted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostCounters {
    /// Time that CPUs were taken from whoever had them: by a hypervisor, and for interrupts.
    pub taken_ns: u64,
    /// Time that CPUs were not idle, this included.
    pub busy_ns: u64,
    /// By disk, how many requests were merged with others.
    pub merges: Vec<(DeviceNumber, u64)>,
}

/// Reads them. What cannot be read explains nothing.
#[must_use]
pub fn read_host_counters() -> HostCounters {
    let tick_ns = 1_000_000_000 / procfs::ticks_per_second().max(1);
    let (taken, busy) = KernelStats::current().map_or((0, 0), |stats| {
        let total = stats.total;
        let taken: u64 = [total.steal, total.irq, total.softirq]
            .into_iter()
            .flatten()
            .sum();
        (taken, taken + total.user + total.nice + total.system)
    });
    let merges = diskstats().unwrap_or_default().into_iter().map(|disk| {
        let number = |number: i32| u32::try_from(number).unwrap_or(0);
        let device = DeviceNumber {
            major: number(disk.major),
            minor: number(disk.minor),
        };
        (device, disk.merged + disk.writes_merged)
    });
    HostCounters {
        taken_ns: taken * tick_ns,
        busy_ns: busy * tick_ns,
        merges: merges.collect(),
    }
}

impl HostCounters {
    /// How many requests were merged on these disks.
    pub fn merges_on(&self, is_one: impl Fn(DeviceNumber) -> bool) -> u64 {
        self.merges
            .iter()
            .filter(|(device, _)| is_one(*device))
            .map(|(_, merges)| merges)
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_s_counters_only_rise() {
        let before = read_host_counters();
        let after = read_host_counters();
        assert!(after.taken_ns >= before.taken_ns);
        assert!(after.busy_ns >= before.busy_ns && after.busy_ns > after.taken_ns);
        assert!(after.merges_on(|_| true) >= before.merges_on(|_| true));
        assert_eq!(after.merges_on(|_| false), 0);
    }
}
