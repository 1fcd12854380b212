//! Two sides of one mind, and sides that were broken on purpose.

mod checkpoint;
mod ended;
mod live;

use std::{sync::Arc, time::Duration};

use collector_common::sample::SchedSample;

use super::{CPU, hybrid, make, pipeline, read, remove, run, tell};
use crate::{
    drain::{CgroupChange, InFlight, Running},
    host::{
        CgroupKey,
        cgroupfs::{
            CgroupStatistics, CgroupVersion, OtherKeys, Reading,
            cpu::CpuStatistics,
            io::{ByOperation, DeviceIo, IoCost, IoStatistics},
            memory::MemoryStatistics,
            parse::DeviceNumber,
        },
        clock::Ktime,
        host_counters::{CpuTimes, DiskRequests, HostCounters},
    },
    reconcile::{
        Pipeline,
        drift::{Checkpoint, CheckpointWish, Drift, DriftQuantity, DriftRatio, OwnerSums, Slice},
        readings::{LAST_SLICE, LastFigures, Latest},
    },
    window::{BlockSums, Device, EventSums, Operation},
};

const DISK: Device = Device { major: 8, minor: 0 };
const MS: u64 = 1_000_000;
/// When all containers here were made.
const MADE: Ktime = Ktime(Duration::from_secs(1));
/// When the last process of those left that end.
const ENDED: Ktime = Ktime(Duration::from_secs(50));
/// When all of their last figures could be read.
const SETTLED: Ktime = Ktime(Duration::from_secs(51));

/// What both sides of one container have counted.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    cpu_ns: u64,
    bytes: u64,
    operations: u64,
    kills: u64,
}

fn at(seconds: u64) -> Ktime {
    Ktime(Duration::from_secs(seconds))
}

fn events(of: Counted) -> EventSums {
    let mut sums = EventSums {
        cpu_ns: of.cpu_ns,
        oom_victims: of.kills,
        ..EventSums::default()
    };
    sums.add_block(BlockSums {
        device: DISK,
        operation: Operation::Write,
        bytes: of.bytes,
        operations: of.operations,
    });
    sums
}

fn reading<T>(of: T) -> Reading<T> {
    Reading {
        version: CgroupVersion::V2,
        at: at(1),
        of,
    }
}

fn kernel(of: Counted) -> CgroupStatistics {
    let by = |write| ByOperation {
        write: Some(write),
        ..ByOperation::default()
    };
    let mut memory = MemoryStatistics::default();
    memory.events.oom_kill = Some(of.kills);
    let device = DeviceIo {
        device: DeviceNumber {
            major: DISK.major,
            minor: DISK.minor,
        },
        bytes: by(of.bytes),
        operations: by(of.operations),
        cost: IoCost::default(),
        scheduler: None,
        other: OtherKeys::default(),
    };
    let cpu = CpuStatistics {
        usage_ns: Some(of.cpu_ns),
        ..CpuStatistics::default()
    };
    let io = IoStatistics {
        devices: vec![device],
        limits: Vec::new(),
        weight: None,
    };
    CgroupStatistics {
        cpu: Some(reading(cpu)),
        memory: Some(reading(memory)),
        io: Some(reading(io)),
        ..CgroupStatistics::default()
    }
}

fn read_at(statistics: &mut CgroupStatistics, at: Ktime) {
    if let Some(cpu) = &mut statistics.cpu {
        cpu.at = at;
    }
    if let Some(memory) = &mut statistics.memory {
        memory.at = at;
    }
    if let Some(io) = &mut statistics.io {
        io.at = at;
    }
}

/// What was read at the moment of a checkpoint.
fn latest(made: Option<Ktime>, of: Counted, checkpoint: &Checkpoint) -> Latest {
    Latest {
        at: checkpoint.at,
        made,
        statistics: Arc::new(kernel(of)),
    }
}

/// One container after the other, each with both sides.
struct Comparer {
    drift: Drift,
    checkpoint: Checkpoint,
    taken_ns: u64,
    busy_ns: u64,
    merged: u64,
    completed: u64,
}

impl Comparer {
    /// Of so many containers.
    fn new(containers: u64) -> Self {
        let mut pipeline = pipeline();
        for id in 1..=containers {
            make(&mut pipeline, id, &format!("/{id}"), 1);
        }
        let mut checkpoint = pipeline.checkpoint(&CheckpointWish::ALL, &InFlight::default(), at(2));
        checkpoint
            .owners
            .sort_by(|a, b| a.identity.path.cmp(&b.identity.path));
        Self {
            drift: Drift::new(MADE, HostCounters::default()),
            checkpoint,
            taken_ns: 0,
            busy_ns: 0,
            merged: 0,
            completed: 0,
        }
    }

    /// One pass: each container's events and kernel counters.
    fn pass(&mut self, sides: &[(Counted, Counted)]) -> Vec<DriftRatio> {
        for (owner, (of_events, _)) in self.checkpoint.owners.iter_mut().zip(sides) {
            owner.sums = events(*of_events);
        }
        self.drift.begin(&self.checkpoint);
        self.drift.take_host(&self.checkpoint, self.host());
        for (owner, (_, of_kernel)) in self.checkpoint.owners.iter().zip(sides) {
            let latest = latest(Some(MADE), *of_kernel, &self.checkpoint);
            self.drift.compare(&self.checkpoint, owner, &latest);
        }
        self.drift.finish()
    }

    fn host(&self) -> HostCounters {
        let device = DeviceNumber {
            major: DISK.major,
            minor: DISK.minor,
        };
        let requests = DiskRequests {
            completed: self.completed,
            merged: self.merged,
        };
        HostCounters {
            cpus: vec![CpuTimes {
                taken_ns: self.taken_ns,
                busy_ns: self.busy_ns,
            }],
            requests: vec![(device, requests)],
        }
    }

    /// One pass in which each is gone: its events, and what was read of it at `at`.
    fn end(&mut self, sides: &[(Counted, Counted)], at: Ktime) -> Vec<DriftRatio> {
        for (owner, (of_events, _)) in self.checkpoint.owners.iter_mut().zip(sides) {
            owner.sums = events(*of_events);
            owner.exited = true;
        }
        self.drift.begin(&self.checkpoint);
        self.drift.take_host(&self.checkpoint, self.host());
        for (owner, (_, of_kernel)) in self.checkpoint.owners.iter().zip(sides) {
            let mut statistics = kernel(*of_kernel);
            read_at(&mut statistics, at);
            let last = LastFigures {
                made: Some(MADE),
                ended: ENDED,
                statistics: Arc::new(statistics),
            };
            self.drift.compare_ended(owner, &last);
        }
        self.drift.finish()
    }
}

fn ratio(ratios: &[DriftRatio], quantity: DriftQuantity) -> Option<(f64, f64)> {
    ratios
        .iter()
        .find(|ratio| ratio.quantity == quantity)
        .map(|ratio| (ratio.worst, ratio.total))
}

fn near(found: Option<(f64, f64)>, expected: (f64, f64)) {
    let (worst, total) = found.expect("a ratio");
    assert!(
        (worst - expected.0).abs() < 1e-9 && (total - expected.1).abs() < 1e-9,
        "({worst}, {total}), not {expected:?}"
    );
}

fn all(times: u64) -> Counted {
    Counted {
        cpu_ns: times * 4_000 * MS,
        bytes: times * (64 << 20),
        operations: times * 4_000,
        kills: times,
    }
}

fn cpu(ms: u64) -> Counted {
    Counted {
        cpu_ns: ms * MS,
        ..Counted::default()
    }
}
