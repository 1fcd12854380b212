//! The main figures of a reading, as attributes.

use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::KeyValue;

use super::attributes::{int, seconds};
use crate::host::{
    cgroupfs::{CgroupStatistics, cpu::CpuStatistics, io::IoStatistics},
    clock::Ktime,
};

/// What the kernel itself counted from the beginning of a life up to a reading. What it does not tell is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// When the reading was.
    pub at: Ktime,
    /// CPU time, ns.
    pub cpu_ns: Option<u64>,
    /// Periods of its CPU bandwidth limit in which it ran.
    pub periods: Option<u64>,
    /// Those of them in which it was throttled.
    pub throttled_periods: Option<u64>,
    /// How long its CPUs were, added up, ns.
    pub throttled_ns: Option<u64>,
    /// Memory at that time.
    pub memory_bytes: Option<u64>,
    /// The most that there was.
    pub memory_peak_bytes: Option<u64>,
    /// Read from disks.
    pub read_bytes: Option<u64>,
    /// Written to disks.
    pub written_bytes: Option<u64>,
    /// How often it read.
    pub reads: Option<u64>,
    /// How often it wrote.
    pub writes: Option<u64>,
    /// Time in which at least one task was stalled, and in which all were, ns: for CPU, memory and block I/O.
    pub stalled_ns: [(Option<u64>, Option<u64>); 3],
}

impl Figures {
    /// The main ones of a reading.
    #[must_use]
    pub fn of(at: Ktime, statistics: &CgroupStatistics) -> Self {
        let cpu = |of: fn(&CpuStatistics) -> Option<u64>| of(statistics.cpu.as_ref()?);
        let io = |of: fn(&IoStatistics) -> Option<u64>| of(statistics.io.as_ref()?);
        let memory = statistics.memory.as_ref().map(|of| &of.memory);
        let pressure = statistics.pressure.as_ref();
        let stalls = [
            pressure.and_then(|of| of.cpu),
            pressure.and_then(|of| of.memory),
            pressure.and_then(|of| of.io),
        ];
        Self {
            at,
            cpu_ns: cpu(|of| of.usage_ns),
            periods: cpu(|of| of.periods),
            throttled_periods: cpu(|of| of.throttled_periods),
            throttled_ns: cpu(|of| of.throttled_ns),
            memory_bytes: memory.and_then(|of| of.usage_bytes),
            memory_peak_bytes: memory.and_then(|of| of.peak_bytes),
            read_bytes: io(|of| of.sum(|device| device.bytes.read)),
            written_bytes: io(|of| of.sum(|device| device.bytes.write)),
            reads: io(|of| of.sum(|device| device.operations.read)),
            writes: io(|of| of.sum(|device| device.operations.write)),
            stalled_ns: stalls.map(|of| match of {
                Some(of) => (of.some.total_ns, of.full.total_ns),
                None => (None, None),
            }),
        }
    }

    /// They as attributes.
    pub(super) fn attributes(&self) -> Vec<KeyValue> {
        let times = [
            ("cgscope.cpu.time", self.cpu_ns),
            ("cgscope.cpu.throttled_time", self.throttled_ns),
            ("cgscope.cpu.stalled", self.stalled_ns[0].0),
            ("cgscope.memory.stalled", self.stalled_ns[1].0),
            ("cgscope.io.stalled", self.stalled_ns[2].0),
        ];
        let counts = [
            ("cgscope.cpu.periods", self.periods),
            ("cgscope.cpu.throttled_periods", self.throttled_periods),
            ("cgscope.memory.usage", self.memory_bytes),
            ("cgscope.memory.peak", self.memory_peak_bytes),
            ("cgscope.io.read_bytes", self.read_bytes),
            ("cgscope.io.written_bytes", self.written_bytes),
            ("cgscope.io.reads", self.reads),
            ("cgscope.io.writes", self.writes),
        ];
        let times = times
            .into_iter()
            .filter_map(|(key, ns)| Some(seconds(key, Duration::from_nanos(ns?))));
        let counts = counts
            .into_iter()
            .filter_map(|(key, count)| Some(int(key, count?)));
        times.chain(counts).collect()
    }
}
