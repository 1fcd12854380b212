//! What a task of known identity looks like through the offsets that the programs were given.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::event::COMM_LEN;

/// The task that asked, told by the kernel and read through the offsets. Written by
/// `collector-ebpf/src/type_check.rs`; what has no offset here reads anything.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct TypeCheck {
    /// As a helper tells it.
    pub told_pid: u32,
    /// As a helper tells it.
    pub told_tgid: u32,
    /// The id of its cgroup in the v2 hierarchy, as a helper tells it.
    pub told_v2_cgroup: u64,
    /// As a helper tells it.
    pub told_comm: [u8; COMM_LEN],
    /// `task_struct.pid`.
    pub pid: u32,
    /// `task_struct.tgid`.
    pub tgid: u32,
    /// `task_struct.comm`.
    pub comm: [u8; COMM_LEN],
    /// The id of its cgroup in the task hierarchy.
    pub cgroup: u64,
    /// The number of that cgroup's hierarchy.
    pub hierarchy: u32,
    /// Not 0 when it is a kernel thread.
    pub is_kernel_thread: u32,
    /// `task_struct.sched_info.last_arrival`: when it got the CPU, rq clock.
    pub last_arrival_ns: u64,
    /// The clock of its run queue, read after that.
    pub run_queue_clock_ns: u64,
    /// `task_struct.sched_info.last_queued`: 0 while a task has a CPU.
    pub last_queued_ns: u64,
    /// The id of the cgroup that its run queue is of, in the task hierarchy.
    pub run_queue_cgroup: u64,
    /// For how long a limit has kept that run queue's tasks from running.
    pub throttled_ns: u64,
    /// `task_struct.prio`.
    pub prio: i32,
    /// `task_struct.__state`: 0 while a task has a CPU.
    pub state: u32,
}

const _: () = assert!(size_of::<TypeCheck>() == 120);

#[cfg(feature = "user")]
mod pod {
    #![expect(unsafe_code, reason = "aya's marker for map values is an unsafe trait")]

    // SAFETY: `TypeCheck` is `repr(C)`, has no padding and is valid for any bytes, as its zerocopy
    // derives prove; it holds no pointer.
    unsafe impl aya::Pod for super::TypeCheck {}
}
