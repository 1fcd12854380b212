//! The sums of events in the place of the kernel's counters, where those were not read in time.

use std::{sync::Arc, time::Duration};

use crate::{
    host::{
        cgroupfs::{
            CgroupStatistics, CgroupVersion, Reading, cpu::CpuStatistics, io::IoStatistics,
            memory::MemoryStatistics,
        },
        clock::Ktime,
    },
    window::{BlockSums, EventSums, Operation},
};

/// From which version of cgroups the figures would be for which events can stand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandInVersions {
    /// CPU time.
    pub cpu: CgroupVersion,
    /// OOM kills.
    pub memory: CgroupVersion,
    /// Block I/O.
    pub io: CgroupVersion,
}

/// The figures of a life that is over, of which events know more than the last reading of the files
/// did. `None` when neither knows anything.
pub(super) fn stand_in(
    read: &Arc<CgroupStatistics>,
    events: &EventSums,
    versions: StandInVersions,
) -> Option<Arc<CgroupStatistics>> {
    if events.is_empty() {
        return (**read != CgroupStatistics::default()).then(|| Arc::clone(read));
    }
    let mut statistics = CgroupStatistics::clone(read);
    let EventSums {
        cpu_ns,
        skipped_ns: _,
        block,
        oom_victims,
    } = events;
    if *cpu_ns > 0 {
        let cpu = part::<CpuStatistics>(&mut statistics.cpu, versions.cpu);
        raise(&mut cpu.usage_ns, *cpu_ns);
    }
    if *oom_victims > 0 {
        let memory = part::<MemoryStatistics>(&mut statistics.memory, versions.memory);
        raise(&mut memory.events.oom_kill, *oom_victims);
    }
    for sums in block {
        add_block(part::<IoStatistics>(&mut statistics.io, versions.io), sums);
    }
    Some(Arc::new(statistics))
}

/// Final figures, but for the last slice of at most a `tick`: where events have more CPU time, they have
/// that slice.
pub(super) fn with_last_slice(
    read: &Arc<CgroupStatistics>,
    events: &EventSums,
    tick: Duration,
) -> Arc<CgroupStatistics> {
    let counted = read.cpu.as_ref().and_then(|cpu| cpu.usage_ns);
    let Some(counted) = counted.filter(|counted| *counted < events.cpu_ns) else {
        return Arc::clone(read);
    };
    let most = counted.saturating_add(u64::try_from(tick.as_nanos()).unwrap_or(u64::MAX));
    let mut statistics = CgroupStatistics::clone(read);
    if let Some(cpu) = &mut statistics.cpu {
        cpu.of.usage_ns = Some(events.cpu_ns.min(most));
    }
    Arc::new(statistics)
}

/// A part of the statistics, made if it was never read.
fn part<T: Default>(part: &mut Option<Reading<T>>, version: CgroupVersion) -> &mut T {
    &mut part
        .get_or_insert_with(|| Reading {
            version,
            at: Ktime::default(),
            of: T::default(),
        })
        .of
}

fn add_block(io: &mut IoStatistics, sums: &BlockSums) {
    let BlockSums {
        device,
        operation,
        bytes,
        operations,
    } = *sums;
    // One disk more than are kept is not told apart.
    let Some(device) = io.device(device) else {
        return;
    };
    let (of_bytes, of_operations) = match operation {
        Operation::Read => (&mut device.bytes.read, &mut device.operations.read),
        Operation::Write => (&mut device.bytes.write, &mut device.operations.write),
        Operation::Discard => (&mut device.bytes.discard, &mut device.operations.discard),
        // The kernel's tables have no flushes.
        Operation::Flush => return,
    };
    raise(of_bytes, bytes);
    raise(of_operations, operations);
}

/// What was read before the end can only be too little.
fn raise(figure: &mut Option<u64>, to: u64) {
    *figure = Some(figure.map_or(to, |known| known.max(to)));
}
