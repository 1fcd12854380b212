//! What is compared.

use collector_common::signal::Signal;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DriftQuantity {
    /// Slices, against `cpu.stat` or `cpuacct.usage`.
    CpuTime,
    /// Bytes of requests, against `io.stat` or `blkio.throttle.io_service_bytes_recursive`.
    Bytes,
    /// Requests, against the same.
    Operations,
    /// Victims, against `memory.events` or `memory.oom_control`.
    OomKills,
}

impl DriftQuantity {
    /// Every one, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::CpuTime, Self::Bytes, Self::Operations, Self::OomKills];

    /// The signal whose events are compared.
    #[must_use]
    pub const fn signal(self) -> Signal {
        match self {
            Self::CpuTime => Signal::Sched,
            Self::Bytes | Self::Operations => Signal::BlockIo,
            Self::OomKills => Signal::Oom,
        }
    }

    /// The name in the label `quantity`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CpuTime => "cpu_time",
            Self::Bytes => "bytes",
            Self::Operations => "operations",
            Self::OomKills => "kills",
        }
    }

    /// Less than this is not compared, but added to what comes next. The kernel's CPU time is up to a tick
    /// of 10 ms old, the host's is told in steps of as much, and a few requests are on their way: beside
    /// these amounts that is nothing, and nothing is taken off for it.
    pub(super) const fn least(self) -> u64 {
        match self {
            Self::CpuTime => 2_000_000_000,
            Self::Bytes => 32 << 20,
            Self::Operations => 1_000,
            Self::OomKills => 1,
        }
    }
}
