//! The main figures of a container or cgroup, in one form whoever tells them: its own files here, or its
//! runtime.

use std::collections::HashSet;

use crate::host::{
    DeviceNumber,
    cgroupfs::{CgroupStatistics, Limit, Pressure, io::DeviceIo},
    network::{NetworkNamespace, NetworkStatistics},
    process_files::ProcessTotals,
};

/// The main figures; absent where the kernel does not give them. The times and sizes are of the same reading,
/// limits and what is told of processes of one up to five minutes earlier.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// All CPU time.
    pub cpu_ns: Option<u64>,
    /// Of it in user space.
    pub cpu_user_ns: Option<u64>,
    /// Of it in the kernel.
    pub cpu_system_ns: Option<u64>,
    /// How many CPUs it can use at a time: by its own bandwidth limit and CPU set, else all that are
    /// online.
    pub cpu_limit_cores: Option<f64>,
    /// Whether that is because it has no limit of its own.
    pub cpu_limit_is_default: Option<bool>,
    /// Weight against its neighbors, in v1.
    pub cpu_shares: Option<u64>,
    /// Weight against its neighbors, in v2.
    pub cpu_weight: Option<u64>,
    /// Periods of the bandwidth limit in which it ran.
    pub cpu_periods: Option<u64>,
    /// Of them, those in which it used up its quota.
    pub cpu_throttled_periods: Option<u64>,
    /// How long its CPUs were throttled, added up.
    pub cpu_throttled_ns: Option<u64>,
    /// Time in which at least one task waited for a CPU.
    pub cpu_stalled_ns: Option<u64>,
    /// Memory in use at that time.
    pub memory_usage_bytes: Option<u64>,
    /// The most ever in use.
    pub memory_peak_bytes: Option<u64>,
    /// How much may be in use; absent without a limit.
    pub memory_limit_bytes: Option<u64>,
    /// Above this it is the first to give.
    pub memory_soft_limit_bytes: Option<u64>,
    /// What is in use and not easily freed.
    pub memory_working_set_bytes: Option<u64>,
    /// Anonymous memory.
    pub memory_rss_bytes: Option<u64>,
    /// Memory of files.
    pub memory_cache_bytes: Option<u64>,
    /// The kernel's memory on its behalf.
    pub memory_kernel_bytes: Option<u64>,
    /// Swap in use.
    pub memory_swap_bytes: Option<u64>,
    /// How much memory and swap may be in use together; absent without a limit.
    pub memory_and_swap_limit_bytes: Option<u64>,
    /// Time in which at least one task waited for memory.
    pub memory_stalled_ns: Option<u64>,
    /// Page faults.
    pub page_faults: Option<u64>,
    /// Of them, those that had to read.
    pub major_page_faults: Option<u64>,
    /// Processes killed at the limit.
    pub oom_kills: Option<u64>,
    /// Read from disks; of disks made of others, what these read.
    pub io_read_bytes: Option<u64>,
    /// Written to disks; as above.
    pub io_written_bytes: Option<u64>,
    /// Reads from disks; as above.
    pub io_reads: Option<u64>,
    /// Writes to disks; as above.
    pub io_writes: Option<u64>,
    /// Time in which at least one task waited for block I/O.
    pub io_stalled_ns: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// How many there can be; absent without a limit.
    pub thread_limit: Option<u64>,
    /// Open files of its processes.
    pub open_files: Option<u64>,
    /// The network namespace, by its inode number: containers that have the same share their network.
    pub network_namespace: Option<u64>,
    /// Whether that is the host's, so that what went over it is not its own.
    pub network_is_host: Option<bool>,
    /// What came in over all interfaces but the loopback.
    pub network_received_bytes: Option<u64>,
    /// What went out.
    pub network_sent_bytes: Option<u64>,
    /// Packets that came in.
    pub network_received_packets: Option<u64>,
    /// Packets that went out.
    pub network_sent_packets: Option<u64>,
}

/// What the figures depend on besides the reading.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// How many CPUs are online.
    pub cpus: Option<u64>,
    /// Disks that are made of others: what is done to them is counted there too.
    pub stacked: HashSet<DeviceNumber>,
}

impl Figures {
    /// The main ones of what was read: of its cgroup's files, of its network, of its processes.
    #[must_use]
    pub fn of(
        statistics: Option<&CgroupStatistics>,
        network: Option<&NetworkStatistics>,
        processes: Option<ProcessTotals>,
        machine: &Machine,
    ) -> Self {
        let mut figures = Self::default();
        if let Some(statistics) = statistics {
            figures.take_cpu(statistics, machine);
            figures.take_memory(statistics);
            figures.take_io(statistics, machine);
            figures.take_stalls(statistics);
            if let Some(pids) = &statistics.pids {
                figures.threads = pids.current;
                figures.thread_limit = pids.limit.and_then(Limit::bound);
            }
        }
        if let Some(network) = network {
            figures.take_network(network);
        }
        figures.open_files = processes.and_then(|processes| processes.open_files);
        figures
    }

    fn take_cpu(&mut self, statistics: &CgroupStatistics, machine: &Machine) {
        let Some(cpu) = &statistics.cpu else { return };
        self.cpu_ns = cpu.usage_ns;
        self.cpu_user_ns = cpu.user_ns;
        self.cpu_system_ns = cpu.system_ns;
        self.cpu_shares = cpu.shares;
        self.cpu_weight = cpu.weight;
        self.cpu_periods = cpu.periods;
        self.cpu_throttled_periods = cpu.throttled_periods;
        self.cpu_throttled_ns = cpu.throttled_ns;
        // Where no limit was read, it is not known that there is none.
        if cpu.quota_ns.is_none() {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "a machine has few CPUs")]
        let cores = |cpus: u64| cpus as f64;
        let set = statistics.cpuset.as_ref().and_then(|set| set.cpu_count());
        let of_set = set.filter(|set| machine.cpus.is_some_and(|cpus| *set < cpus));
        let own = [cpu.limit_cores(), of_set.map(cores)];
        let own = own.into_iter().flatten().reduce(f64::min);
        self.cpu_limit_cores = own.or_else(|| machine.cpus.map(cores));
        self.cpu_limit_is_default = self.cpu_limit_cores.map(|_| own.is_none());
    }

    fn take_memory(&mut self, statistics: &CgroupStatistics) {
        let Some(memory) = &statistics.memory else {
            return;
        };
        self.memory_usage_bytes = memory.memory.usage_bytes;
        self.memory_peak_bytes = memory.memory.peak_bytes;
        self.memory_limit_bytes = memory.memory.limit_bytes.and_then(Limit::bound);
        // Both are what is given up first when memory is short.
        let soft = memory.soft_limit_bytes.or(memory.low_bytes);
        self.memory_soft_limit_bytes = soft.and_then(Limit::bound);
        self.memory_working_set_bytes = memory.working_set_bytes();
        self.memory_rss_bytes = memory.rss_bytes();
        self.memory_cache_bytes = memory.cache_bytes();
        self.memory_kernel_bytes = memory.kernel_bytes();
        self.memory_swap_bytes = memory.swap_bytes();
        let together = memory.memory_and_swap_limit_bytes();
        self.memory_and_swap_limit_bytes = together.and_then(Limit::bound);
        self.page_faults = memory.page_faults();
        self.major_page_faults = memory.major_page_faults();
        self.oom_kills = memory.events.oom_kill;
    }

    fn take_io(&mut self, statistics: &CgroupStatistics, machine: &Machine) {
        let Some(io) = &statistics.io else { return };
        let sum = |of: fn(&DeviceIo) -> Option<u64>| {
            io.sum(|device| of(device).filter(|_| !machine.stacked.contains(&device.device)))
        };
        self.io_read_bytes = sum(|device| device.bytes.read);
        self.io_written_bytes = sum(|device| device.bytes.write);
        self.io_reads = sum(|device| device.operations.read);
        self.io_writes = sum(|device| device.operations.write);
    }

    fn take_stalls(&mut self, statistics: &CgroupStatistics) {
        let Some(pressure) = &statistics.pressure else {
            return;
        };
        let stalled = |of: Option<Pressure>| of.and_then(|of| of.some.total_ns);
        self.cpu_stalled_ns = stalled(pressure.cpu);
        self.memory_stalled_ns = stalled(pressure.memory);
        self.io_stalled_ns = stalled(pressure.io);
    }

    fn take_network(&mut self, network: &NetworkStatistics) {
        let (received, sent) = network.total();
        self.network_namespace = network.namespace.map(|NetworkNamespace(number)| number);
        self.network_is_host = network.is_host;
        self.network_received_bytes = Some(received.bytes);
        self.network_sent_bytes = Some(sent.bytes);
        self.network_received_packets = Some(received.packets);
        self.network_sent_packets = Some(sent.packets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::cgroupfs::tests::statistics_of_dump;

    fn figures(dump: &str, machine: &Machine) -> Figures {
        Figures::of(Some(&statistics_of_dump(dump)), None, None, machine)
    }

    fn machine(cpus: u64) -> Machine {
        Machine {
            cpus: Some(cpus),
            ..Machine::default()
        }
    }

    #[test]
    fn a_container_of_v2_has_its_figures() {
        let dump = include_str!("../../host/cgroupfs/fixtures/v2-7.2.txt");
        let figures = figures(dump, &machine(2));
        assert_eq!(figures.cpu_ns, Some(19_575_640_000));
        assert_eq!(figures.cpu_throttled_periods, Some(392));
        assert_eq!((figures.cpu_weight, figures.cpu_shares), (Some(50), None));
        // Half a CPU by its quota, one by its set.
        assert_eq!(figures.cpu_limit_cores, Some(0.5));
        assert_eq!(figures.cpu_limit_is_default, Some(false));
        assert_eq!(figures.cpu_stalled_ns, Some(33_180_134_000));
        assert_eq!(figures.memory_limit_bytes, Some(64 << 20));
        assert_eq!(figures.memory_soft_limit_bytes, Some(1 << 20));
        assert_eq!(figures.memory_and_swap_limit_bytes, None, "no limit");
        assert_eq!(figures.oom_kills, Some(1));
        assert_eq!((figures.threads, figures.thread_limit), (Some(1), Some(50)));
        assert_eq!(
            (figures.io_read_bytes, figures.io_reads),
            (Some(53_248), Some(13))
        );
        assert_eq!(figures.open_files, None);
    }

    #[test]
    fn without_a_limit_of_its_own_a_cgroup_can_use_all_cpus_that_are_online() {
        let dump = include_str!("../../host/cgroupfs/fixtures/v2-7.2.txt");
        let mut statistics = statistics_of_dump(dump);
        let mut limits = |quota, machine: &Machine| {
            if let Some(cpu) = &mut statistics.cpu {
                cpu.of.quota_ns = quota;
            }
            let figures = Figures::of(Some(&statistics), None, None, machine);
            (figures.cpu_limit_cores, figures.cpu_limit_is_default)
        };
        // Its set has one CPU.
        assert_eq!(
            limits(Some(Limit::Unlimited), &machine(2)),
            (Some(1.0), Some(false))
        );
        assert_eq!(
            limits(Some(Limit::Unlimited), &machine(1)),
            (Some(1.0), Some(true))
        );
        assert_eq!(
            limits(Some(Limit::Unlimited), &Machine::default()),
            (None, None)
        );
        assert_eq!(limits(None, &machine(2)), (None, None), "it was not read");
    }

    #[test]
    fn what_is_done_to_a_disk_made_of_others_counts_once() {
        let dump = include_str!("../../host/cgroupfs/fixtures/v2-7.2.txt");
        let machine = Machine {
            stacked: HashSet::from([DeviceNumber {
                major: 254,
                minor: 1,
            }]),
            ..machine(2)
        };
        assert_eq!(figures(dump, &machine).io_read_bytes, Some(40_960));
    }
}
