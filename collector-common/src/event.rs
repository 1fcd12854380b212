//! Rare and critical events: one record each in the events ring, with a wakeup.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The longest cgroup path that a cgroup tracepoint carries, with its NUL: `TRACE_CGROUP_PATH_LEN`
/// of the kernel's `kernel/cgroup/cgroup-internal.h` (commit e4f8d81c738d). A longer path arrives
/// cut.
pub const TRACE_PATH_LEN: usize = 1024;

/// Length of `task_struct.comm`, with its NUL.
pub const COMM_LEN: usize = 16;

/// Starts each record of the events ring.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct EventHeader {
    /// One of the `KIND_*`.
    pub kind: u32,
    /// The CPU that wrote the record.
    pub cpu: u32,
    /// When, ktime.
    pub ktime_ns: u64,
}

impl EventHeader {
    /// An [`OomEvent`].
    pub const KIND_OOM: u32 = 1;
    /// A [`CgroupEvent`], as are those below: a cgroup was made.
    pub const KIND_CGROUP_MKDIR: u32 = 2;
    /// A cgroup was removed.
    pub const KIND_CGROUP_RMDIR: u32 = 3;
    /// A cgroup has a new path (cgroup v1 only).
    pub const KIND_CGROUP_RENAME: u32 = 4;
    /// The first process entered a cgroup or one below it.
    pub const KIND_CGROUP_POPULATED: u32 = 5;
    /// The last process left a cgroup and all below it.
    pub const KIND_CGROUP_EMPTY: u32 = 6;
}

const _: () = assert!(size_of::<EventHeader>() == 16);

/// The OOM killer chose a victim. Written by `collector-ebpf/src/oom.rs`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct OomEvent {
    /// Kind, CPU and time.
    pub header: EventHeader,
    /// The victim's cgroup in the task hierarchy; 0 when the kernel gives only the pid.
    pub victim_cgroup: u64,
    /// The cgroup whose limit was hit, in the memory controller's hierarchy; meaningful with
    /// [`FLAG_LIMIT_OWNER`](Self::FLAG_LIMIT_OWNER) and without [`FLAG_GLOBAL`](Self::FLAG_GLOBAL).
    pub limit_owner_cgroup: u64,
    /// The victim's tgid where the kernel passes the task, else the tid it passes.
    pub victim_pid: u32,
    /// `FLAG_*`.
    pub flags: u32,
    /// The victim's name, NUL-padded; empty when the kernel gives only the pid.
    pub comm: [u8; COMM_LEN],
}

impl OomEvent {
    /// The kernel said whose limit was hit (see [`FLAG_GLOBAL`](Self::FLAG_GLOBAL)).
    pub const FLAG_LIMIT_OWNER: u32 = 1;
    /// No cgroup's limit: the host ran out of memory.
    pub const FLAG_GLOBAL: u32 = 2;
    /// The kernel passed only a pid: cgroup and name are to be looked up.
    pub const FLAG_PID_ONLY: u32 = 4;
}

const _: () = assert!(size_of::<OomEvent>() == 56);

/// A cgroup was made, removed, renamed, filled or emptied. `path_len` bytes of its path from the
/// hierarchy's root follow this head, without NUL. Written by `collector-ebpf/src/cgroup_life.rs`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct CgroupEvent {
    /// Kind, CPU and time.
    pub header: EventHeader,
    /// The cgroup's id in its hierarchy.
    pub cgroup: u64,
    /// The hierarchy's number, as in `/proc/<pid>/cgroup`: 0 is cgroup v2.
    pub hierarchy: u32,
    /// Bytes of path that follow; [`TRACE_PATH_LEN`] - 1 means that it may be cut.
    pub path_len: u32,
}

const _: () = assert!(size_of::<CgroupEvent>() == 32);
