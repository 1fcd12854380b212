//! The sums of events in the place of the kernel's counters, where those were not read in time.

use std::sync::Arc;

use crate::{
    host::{
        cgroupfs::{
            CgroupStatistics, CgroupVersion, Reading, Wanted, cpu::CpuStatistics, io::IoStatistics,
            memory::MemoryStatistics,
        },
        clock::Ktime,
    },
    reconcile::readings::at_end::{AtEnd, SLOWEST_TICK},
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

/// The figures of a life that is over: what was read, and where that was not at the end and events know
/// more, what these say. `None` when neither knows anything.
pub(super) fn completed(
    read: &Arc<CgroupStatistics>,
    at_end: AtEnd,
    events: &EventSums,
    versions: StandInVersions,
) -> Option<Arc<CgroupStatistics>> {
    let mut completed = Arc::clone(read);
    let EventSums {
        cpu_ns,
        last_slice_ns,
        skipped_ns: _,
        block,
        oom_victims,
    } = events;
    let counted = read.cpu.as_ref().and_then(|cpu| cpu.usage_ns).unwrap_or(0);
    // At the end all can be missing that came since the last tick of the last slice, and no more: events
    // also have what a hypervisor took meanwhile, and all of the slice in which a task was moved here.
    let cpu_ns = match (at_end.has(Wanted::CPU), at_end.is_settled()) {
        (true, true) => 0,
        (true, false) => {
            let tick_ns = u64::try_from(SLOWEST_TICK.as_nanos()).unwrap_or(u64::MAX);
            (*cpu_ns).min(counted.saturating_add((*last_slice_ns).min(tick_ns)))
        }
        (false, _) => *cpu_ns,
    };
    if cpu_ns > counted {
        let statistics = Arc::make_mut(&mut completed);
        let cpu = part::<CpuStatistics>(&mut statistics.cpu, versions.cpu);
        raise(&mut cpu.usage_ns, cpu_ns);
    }
    if *oom_victims > 0 && !at_end.has(Wanted::MEMORY) {
        let statistics = Arc::make_mut(&mut completed);
        let memory = part::<MemoryStatistics>(&mut statistics.memory, versions.memory);
        raise(&mut memory.events.oom_kill, *oom_victims);
    }
    if !block.is_empty() && !at_end.has(Wanted::IO) {
        let statistics = Arc::make_mut(&mut completed);
        let io = part::<IoStatistics>(&mut statistics.io, versions.io);
        for sums in block {
            add_block(io, sums);
        }
    }
    (*completed != CgroupStatistics::default()).then_some(completed)
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
