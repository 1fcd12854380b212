//! High-rate samples, and the batches that carry them through the samples ring.
//!
//! A batch is one ring record: a [`BatchHeader`], then `count` samples of the header's signal. The
//! kernel fills it per CPU and submits it without a wakeup, so that the price of a ring record is
//! shared by a whole batch.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Samples of a scheduler batch. A larger batch costs memory per CPU and makes one full ring lose
/// more at once; a smaller one pays for the ring record more often.
pub const SCHED_BATCH: usize = 64;

/// Samples of a block-I/O batch: smaller, because its rate is.
pub const BLOCK_BATCH: usize = 16;

/// A batch older than this goes out with the next sample: what the daemon's timer would wait for.
pub const FLUSH_NS: u64 = 100_000_000;

/// Starts each record of the samples ring.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct BatchHeader {
    /// The samples' [`Signal`](crate::signal::Signal).
    pub signal: u16,
    /// How many samples follow.
    pub count: u16,
    /// The CPU that filled the batch.
    pub cpu: u32,
    /// When the first sample was put in, on the clock of the signal: rq clock for the scheduler,
    /// ktime for block I/O.
    pub opened_ns: u64,
    /// When the batch was submitted, ktime.
    pub submitted_ktime_ns: u64,
    /// Counts the batches of this CPU and signal, those that found the ring full included: a gap is
    /// a batch that is counted as lost.
    pub sequence: u64,
}

const _: () = assert!(size_of::<BatchHeader>() == 32);

/// One context switch: what `next` waited and what `prev` ran.
///
/// The two measured spans are packed with their flags, so that a sample is half a cache line.
/// Written by `collector-ebpf/src/sched.rs`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SchedSample {
    /// Cgroup id of the task that gets the CPU, in the task hierarchy; 0 when it is the idle task.
    pub next_cgroup: u64,
    /// Cgroup id of the task that leaves the CPU; 0 when it is the idle task.
    pub prev_cgroup: u64,
    /// Low [`WAIT_BITS`](Self::WAIT_BITS): run-queue latency of `next`, ns. Above: `FLAG_*`.
    pub wait_and_flags: u64,
    /// Low [`SLICE_BITS`](Self::SLICE_BITS): time since this CPU's switch before, ns, which is the time that `prev`
    /// held the CPU; the idle task's, too, where nobody's time is meant but the sample's. Above: the clock
    /// skip, or with [`FLAG_THROTTLED`](Self::FLAG_THROTTLED) the throttled share of the wait: beside
    /// the milliseconds of a throttle, a skip is nothing.
    pub slice_and_share: u64,
}

impl SchedSample {
    /// Bits of the wait: 3.2 days.
    pub const WAIT_BITS: u32 = 48;
    /// Bits of the slice: 4.8 hours.
    pub const SLICE_BITS: u32 = 44;
    /// The largest clock skip that a sample holds, 1 ms; a larger one is held as this.
    pub const MAX_SKIP_NS: u64 = (1 << (64 - Self::SLICE_BITS)) - 1;

    /// `prev` is the idle task: there is no slice.
    pub const FLAG_PREV_IDLE: u64 = 1 << 48;
    /// `next` is the idle task: there is no wait.
    pub const FLAG_NEXT_IDLE: u64 = 1 << 49;
    /// `prev` was still runnable: it lost the CPU or yielded it, rather than going to sleep.
    pub const FLAG_INVOLUNTARY: u64 = 1 << 50;
    /// `next` is a kernel thread.
    pub const FLAG_NEXT_KTHREAD: u64 = 1 << 51;
    /// `next` is not idle, but the kernel kept no queue time for it: its wait is unknown.
    pub const FLAG_NO_WAIT: u64 = 1 << 52;
    /// The time since the switch before is unknown, and with it the slice of `prev`.
    pub const FLAG_NO_SLICE: u64 = 1 << 53;
    /// The unknown span of a task that is not idle is one that came out negative or absurdly long.
    pub const FLAG_NEGATIVE: u64 = 1 << 54;

    /// A part of the wait was a CPU bandwidth limit, of the cgroup or of one above.
    pub const FLAG_THROTTLED: u64 = 1 << 55;

    /// What stands for a wait that was throttled from beginning to end.
    const WHOLE_SHARE: u64 = (1 << (64 - Self::SLICE_BITS)) - 1;

    /// How `throttled_ns` of a wait of `wait_ns` (not 0) are held: as a share, which a wait of any
    /// length needs the same few bits for. It errs by a millionth of the wait.
    #[must_use]
    #[inline]
    pub const fn throttled_share(throttled_ns: u64, wait_ns: u64) -> u64 {
        if throttled_ns >= wait_ns {
            return Self::WHOLE_SHARE;
        }
        // Below 2^44 ns the product fits; a longer wait (4.9 hours) is held more coarsely.
        if wait_ns >> Self::SLICE_BITS == 0 {
            throttled_ns * Self::WHOLE_SHARE / wait_ns
        } else {
            (throttled_ns >> 4) * Self::WHOLE_SHARE / (wait_ns >> 4)
        }
    }

    /// Run-queue latency of `next`, ns.
    #[must_use]
    pub const fn wait_ns(&self) -> u64 {
        self.wait_and_flags & ((1 << Self::WAIT_BITS) - 1)
    }

    /// Time that `prev` held the CPU, ns, be it the idle task.
    #[must_use]
    pub const fn slice_ns(&self) -> u64 {
        self.slice_and_share & ((1 << Self::SLICE_BITS) - 1)
    }

    /// The part of the wait that the kernel's own accounting leaves out, ns.
    #[must_use]
    pub const fn skip_ns(&self) -> u64 {
        if self.has(Self::FLAG_THROTTLED) {
            return 0;
        }
        self.slice_and_share >> Self::SLICE_BITS
    }

    /// The part of the wait that was a CPU bandwidth limit, ns.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a share of at most 1 of 64 bits"
    )]
    pub const fn throttled_ns(&self) -> u64 {
        if !self.has(Self::FLAG_THROTTLED) {
            return 0;
        }
        let share = (self.slice_and_share >> Self::SLICE_BITS) as u128;
        // Rounded to the nearest; a share of at most 1 leaves it within the wait.
        let whole = Self::WHOLE_SHARE as u128;
        ((self.wait_ns() as u128 * share + whole / 2) / whole) as u64
    }

    /// Whether all bits of `flag` are set.
    #[must_use]
    pub const fn has(&self, flag: u64) -> bool {
        self.wait_and_flags & flag == flag
    }
}

const _: () = assert!(size_of::<SchedSample>() == 32);

/// One completion of a block request. Written by `collector-ebpf/src/block_io.rs`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct BlockSample {
    /// Cgroup id of the owner (the request's blkcg), in the hierarchy of the `io` or `blkio`
    /// controller.
    pub cgroup: u64,
    /// From the request's start to its issue to the device, ns.
    pub queue_ns: u64,
    /// From issue to completion, ns.
    pub device_ns: u64,
    /// Bytes that this completion covers.
    pub bytes: u32,
    /// The disk's major number, in the upper 12 bits, and its first minor, in the lower 20.
    pub device: u32,
    /// `enum req_op` as the running kernel numbers it.
    pub operation: u16,
    /// `FLAG_*`.
    pub flags: u16,
    /// When it was complete: so many whole microseconds after the batch was opened, or more.
    pub since_opened_us: u32,
}

impl BlockSample {
    /// The device reported an error.
    pub const FLAG_ERROR: u16 = 1;
    /// More of the request is to come: bytes count, the latency does not.
    pub const FLAG_PARTIAL: u16 = 2;
    /// A request for a flush of the device's cache, without data: `device_ns` is its whole time,
    /// `queue_ns` says nothing, `operation` is the kernel's for a write.
    pub const FLAG_EMPTY_FLUSH: u16 = 4;
}

const _: () = assert!(size_of::<BlockSample>() == 40);
