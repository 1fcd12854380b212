//! What is observed, and why an observation can be missing.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A stream of kernel events with its own accounting. The discriminant is its index in
/// [`CpuState::counters`](crate::cpu::CpuState) and its code in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub enum Signal {
    /// One event is one context switch.
    Sched = 0,
    /// One event is one completion (whole or partial) of a block request.
    BlockIo = 1,
    /// One event is one victim chosen by the OOM killer.
    Oom = 2,
    /// One event is one cgroup made, removed, renamed, filled or emptied.
    CgroupLife = 3,
}

impl Signal {
    /// Every signal, in the order of its discriminant.
    pub const ALL: [Self; 4] = [Self::Sched, Self::BlockIo, Self::Oom, Self::CgroupLife];

    /// The signal's name in flags, logs and the `signal` label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sched => "sched",
            Self::BlockIo => "block_io",
            Self::Oom => "oom",
            Self::CgroupLife => "cgroup_life",
        }
    }
}

/// Why the kernel side could not hand an event over. The discriminant is the index in
/// [`SignalCounters::lost`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub enum KernelLoss {
    /// The ring had no room when the event's record, or the batch it sat in, was submitted.
    RingFull = 0,
    /// A time span came out negative: the two ends were read from clocks that disagree.
    NegativeDelta = 1,
    /// The kernel kept no time stamp for the start of the span.
    NoTimestamp = 2,
    /// The program interrupted itself on the same CPU while it was filling its batch.
    Recursion = 3,
}

impl KernelLoss {
    /// Every reason, in the order of its discriminant.
    pub const ALL: [Self; 4] = [
        Self::RingFull,
        Self::NegativeDelta,
        Self::NoTimestamp,
        Self::Recursion,
    ];

    /// The reason's name in the `reason` label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RingFull => "ring_full",
            Self::NegativeDelta => "negative_delta",
            Self::NoTimestamp => "no_timestamp",
            Self::Recursion => "recursion",
        }
    }
}

/// One CPU's account of one signal. Written by the kernel programs only, never reset; the daemon
/// reads it and adds up the CPUs. `observed` minus the rest is what went into the rings.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SignalCounters {
    /// Events seen.
    pub observed: u64,
    /// Events left out by rule in the kernel (they belong to nobody).
    pub filtered: u64,
    /// Events lost in the kernel, by [`KernelLoss`].
    pub lost: [u64; KernelLoss::ALL.len()],
}

const _: () = assert!(size_of::<SignalCounters>() == 48);
