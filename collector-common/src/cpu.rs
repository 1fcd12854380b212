//! The kernel programs' state of one CPU: the only memory they keep.
//!
//! One value of the per-CPU map `CPU_STATE`: one look-up finds everything that a program needs.
//! Written by the programs on that CPU alone; the daemon reads [`CpuState::counters`] and nothing
//! else of it.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    sample::{BLOCK_BATCH, BatchHeader, BlockSample, SCHED_BATCH, SchedSample},
    signal::{Signal, SignalCounters},
};

/// How far ktime was ahead of the rq clock at a moment when the latter had just been updated.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct ClockReading {
    /// The rq clock. 0 before the first reading.
    pub at_ns: u64,
    /// Ktime less that, as a wrapping difference.
    pub distance_ns: u64,
}

/// How many readings of a CPU's clock are compared. More find one that was taken at once even on a
/// busy host; fewer follow sooner when ktime is steered anew.
pub const CLOCK_READINGS: usize = 8;

/// What the scheduler program knows of this CPU's clock.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct ClockState {
    /// When this CPU last switched, rq clock: the start of the running task's slice. 0 before the
    /// first switch.
    pub last_switch_ns: u64,
    /// The latest readings.
    pub readings: [ClockReading; CLOCK_READINGS],
    /// Where the newest of them is.
    pub newest: u64,
    /// The best of them, as it would have been read with the newest.
    pub best: ClockReading,
    /// The reading that the drift is measured from.
    pub anchor: ClockReading,
    /// How fast ktime gains on the rq clock, in 2^-20 (about a millionth); a signed number.
    pub drift: u64,
    /// Not 0 once `drift` has been measured.
    pub drift_known: u64,
}

/// All that the kernel programs keep of one CPU.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct CpuState {
    /// The scheduler's clock.
    pub clock: ClockState,
    /// The account of each signal, by [`Signal`].
    pub counters: [SignalCounters; Signal::ALL.len()],
    /// How often a bandwidth limit that was biting had to be forgotten for another cgroup's.
    pub throttles_forgotten: u64,
    /// The scheduler batch's header; its `count` is how full the batch is.
    pub sched: BatchHeader,
    /// The scheduler batch's samples; directly behind the header, as the ring record has them.
    pub sched_samples: [SchedSample; SCHED_BATCH],
    /// The block-I/O batch's header.
    pub block: BatchHeader,
    /// The block-I/O batch's samples.
    pub block_samples: [BlockSample; BLOCK_BATCH],
    /// Not 0 while a program is filling the block-I/O batch, which an interrupt could reach again.
    pub block_busy: u64,
}

#[cfg(feature = "user")]
mod pod {
    #![expect(unsafe_code, reason = "aya's marker for map values is an unsafe trait")]

    // SAFETY: `CpuState` is `repr(C)`, has no padding and is valid for any bytes, as its zerocopy
    // derives prove; it holds no pointer.
    unsafe impl aya::Pod for super::CpuState {}
}
