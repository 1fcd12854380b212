//! What events and the kernel say of one quantity.

use std::{collections::HashSet, sync::Arc};

use super::{
    explain::{OfHost, Sides},
    quantity::DriftQuantity,
};
use crate::{
    host::{
        cgroupfs::{
            CgroupStatistics, CgroupVersion,
            io::{ByOperation, DeviceIo},
            parse::DeviceNumber,
        },
        host_counters::HostCounters,
    },
    window::{BlockSums, Device, EventSums, Operation},
};

/// Disks that have requests: others (device mapper, RAID) are in the kernel's counters alone.
#[derive(Debug, Default)]
pub(super) struct Disks(HashSet<DeviceNumber>);

impl Disks {
    /// These have.
    pub(super) fn add(&mut self, sums: &[BlockSums]) {
        self.0.extend(sums.iter().map(|of| number(of.device)));
    }

    /// Both sides of a quantity; `None` when the kernel does not say.
    pub(super) fn sides(
        &self,
        quantity: DriftQuantity,
        events: &EventSums,
        kernel: &CgroupStatistics,
        host: &Arc<HostCounters>,
    ) -> Option<Sides> {
        let block = |of_device: fn(&DeviceIo) -> &ByOperation, of_events: fn(&BlockSums) -> u64| {
            self.block_sides(events, kernel, of_device, of_events)
        };
        Some(match quantity {
            DriftQuantity::CpuTime => Sides {
                events: events.cpu_ns,
                kernel: kernel.cpu.as_ref()?.usage_ns?,
                taken: Some(Arc::clone(host)),
                fewer_here: events.skipped_ns,
                ..Sides::default()
            },
            DriftQuantity::Bytes => block(|of| &of.bytes, |of| of.bytes)?,
            DriftQuantity::Operations => Sides {
                fewer: self.merged(host),
                ..block(|of| &of.operations, |of| of.operations)?
            },
            DriftQuantity::OomKills => Sides {
                events: events.oom_victims,
                kernel: kernel.memory.as_ref()?.events.oom_kill?,
                ..Sides::default()
            },
        })
    }

    /// Both sides at the beginning of a cgroup that was made when the host's counters were these: nothing.
    pub(super) fn beginning(&self, quantity: DriftQuantity, host: &Arc<HostCounters>) -> Sides {
        match quantity {
            DriftQuantity::CpuTime => Sides {
                taken: Some(Arc::clone(host)),
                ..Sides::default()
            },
            DriftQuantity::Operations => Sides {
                fewer: self.merged(host),
                ..Sides::default()
            },
            DriftQuantity::Bytes | DriftQuantity::OomKills => Sides::default(),
        }
    }

    /// Requests that were merged with others, of all that were asked for.
    fn merged(&self, host: &HostCounters) -> OfHost {
        let of = host.requests_on(|disk| self.0.contains(&disk));
        OfHost {
            part: of.merged,
            whole: of.merged + of.completed,
        }
    }

    /// What events and the kernel say of the disks that both know.
    fn block_sides(
        &self,
        events: &EventSums,
        kernel: &CgroupStatistics,
        of_device: impl Fn(&DeviceIo) -> &ByOperation,
        of_events: impl Fn(&BlockSums) -> u64,
    ) -> Option<Sides> {
        let io = kernel.io.as_ref()?;
        let mut counted = HashSet::new();
        let mut kernel_sum = 0;
        for device in io.devices.iter().filter(|of| self.0.contains(&of.device)) {
            let by = of_device(device);
            let figures = [by.read, by.write, by.discard];
            if figures.iter().any(Option::is_some) {
                counted.insert(device.device);
                kernel_sum += figures.into_iter().flatten().sum::<u64>();
            }
        }
        // Of a disk that v2 does not list, it has counted nothing; newer v1 counts only on disks that
        // have a rule.
        let all_count = io.version == CgroupVersion::V2;
        if counted.is_empty() && !all_count {
            return None;
        }
        let events_sum = events
            .block
            .iter()
            .filter(|sums| sums.operation != Operation::Flush)
            .filter(|sums| all_count || counted.contains(&number(sums.device)))
            .map(of_events)
            .sum();
        let disks = if all_count {
            self.0.len()
        } else {
            counted.len()
        };
        Some(Sides {
            events: events_sum,
            kernel: kernel_sum,
            disks: Some(disks),
            ..Sides::default()
        })
    }
}

const fn number(device: Device) -> DeviceNumber {
    DeviceNumber {
        major: device.major,
        minor: device.minor,
    }
}
