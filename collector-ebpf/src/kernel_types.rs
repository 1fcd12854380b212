//! The only reader of kernel structs.
//!
//! rustc emits no CO-RE relocations, so no offset is known when this is built. Each is a global that
//! the daemon fills from the running kernel's BTF before it loads the object; the map behind the
//! globals is then frozen, so the verifier sees constants, checks each access against the type it is
//! made on, and drops the branches that this kernel does not take. `collector/src/host/layout.rs`
//! holds the other half of the table, under the same names.
//!
//! A pointer that comes from a `tp_btf` or `fentry` argument or from a field of one is tracked by the
//! verifier as a pointer into that BTF type: a load through it cannot fault, and reads 0 when the
//! pointer is stale or null. On kernels without BTF of their own ([`entry`](crate::entry)) a pointer is
//! a number, and each load a call of a helper that does the same.

use core::{ffi::c_void, mem::MaybeUninit};

use aya_ebpf::{
    Global,
    helpers::{bpf_probe_read_kernel_buf, generated::bpf_probe_read_kernel},
};
use collector_common::event::COMM_LEN;

/// Declares the globals, each 0 until the daemon overrides it.
macro_rules! globals {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $(
            $(#[$doc])*
            #[unsafe(no_mangle)]
            static $name: Global<u64> = Global::new(0);
        )*
    };
}

globals! {
    OFF_TASK_PID;
    OFF_TASK_TGID;
    OFF_TASK_FLAGS;
    OFF_TASK_PRIO;
    OFF_TASK_COMM;
    OFF_TASK_CGROUPS;
    OFF_TASK_LAST_QUEUED;
    OFF_TASK_LAST_ARRIVAL;
    OFF_TASK_CFS_RQ;
    /// `__state` since 5.14 (commit 2f064a59a11f), `state` before.
    OFF_TASK_STATE;
    OFF_CFS_RQ_RQ;
    OFF_CFS_RQ_TG;
    /// `throttled_clock_self`, since 6.6 (commit 677ea015f231).
    OFF_CFS_RQ_THROTTLED_SINCE;
    /// `throttled_clock_self_time` since 6.6, `throttled_clock_pelt_time` since 5.19 (commit
    /// 64eaf50731ac), `throttled_clock_task_time` before.
    OFF_CFS_RQ_THROTTLED_TIME;
    OFF_CFS_RQ_THROTTLE_COUNT;
    OFF_RQ_CLOCK;
    OFF_TASK_GROUP_CSS;
    OFF_CSS_SET_DFL_CGRP;
    /// The slot of the v1 `cpu` controller in `css_set.subsys`.
    OFF_CSS_SET_CPU;
    OFF_CSS_CGROUP;
    OFF_CGROUP_KN;
    OFF_CGROUP_ROOT;
    OFF_CGROUP_ROOT_HIERARCHY_ID;
    OFF_KERNFS_NODE_ID;
    OFF_REQUEST_START_TIME_NS;
    OFF_REQUEST_IO_START_TIME_NS;
    OFF_REQUEST_BIO;
    OFF_REQUEST_CMD_FLAGS;
    OFF_REQUEST_DATA_LEN;
    OFF_REQUEST_Q;
    /// `request_queue.disk`, since 5.15 (commit d152c682f03c).
    OFF_REQUEST_QUEUE_DISK;
    /// `request.rq_disk`, until 5.16 (commit f3fa33acca9f).
    OFF_REQUEST_RQ_DISK;
    OFF_GENDISK_MAJOR;
    OFF_GENDISK_FIRST_MINOR;
    OFF_BIO_BLKG;
    OFF_BLKCG_GQ_BLKCG;
    OFF_BLKCG_CSS;
    OFF_OOM_CONTROL_MEMCG;
    OFF_MEM_CGROUP_CSS;
    /// Not 0: a task's cgroup is the one of the v1 `cpu` hierarchy.
    HAS_V1_TASK_HIERARCHY;
    /// Not 0: `sched_switch` passes `prev_state`, since 5.18 (commit fa2c3254d7cf).
    HAS_PREV_STATE_ARG;
    /// Not 0: what a bandwidth limit does to a cgroup on a CPU can be read.
    HAS_THROTTLING;
    /// Not 0: the kernel adds up a cgroup's own throttled time, since 6.6 (commit 677ea015f231).
    HAS_EXACT_THROTTLED_TIME;
    /// Not 0: `request.rq_disk` is there.
    HAS_RQ_DISK;
}

/// `PF_KTHREAD` of `include/linux/sched.h`: the same bit since 2.6.27 (commit 7b34e4283c68).
const PF_KTHREAD: u32 = 0x0020_0000;

/// How memory behind a pointer is read. A constant wherever it is inlined.
#[derive(Clone, Copy)]
pub enum Access {
    /// The verifier knows the pointer's type: by a plain load.
    Tracked,
    /// It is a number to the verifier: by a helper.
    Probed,
}

/// A pointer to a kernel object.
#[derive(Clone, Copy)]
pub struct KernelPointer {
    address: *const c_void,
    access: Access,
}

/// A type that is valid for any bytes.
trait Plain: Copy {}

impl Plain for u32 {}
impl Plain for u64 {}
impl Plain for *const c_void {}

impl KernelPointer {
    /// A pointer that the verifier tracks, or does not, as `access` says.
    #[inline(always)]
    pub fn new(address: *const c_void, access: Access) -> Self {
        Self { address, access }
    }

    /// Where a field lies in the object.
    #[inline(always)]
    fn field(self, offset: &Global<u64>) -> Self {
        let address = self.address.wrapping_byte_add(offset.load() as usize);
        Self { address, ..self }
    }

    /// Loads the `T` that lies `offset` bytes into the object.
    #[inline(always)]
    fn load<T: Plain>(self, offset: &Global<u64>) -> T {
        let at = self.field(offset).address.cast::<T>();
        match self.access {
            // SAFETY: the verifier tracks the pointer, and `offset` is a constant to it: it has checked
            // that this load stays in the object, and makes it read 0 if the object is gone.
            Access::Tracked => unsafe { *at },
            Access::Probed => {
                let mut value = MaybeUninit::<T>::zeroed();
                let size = size_of::<T>() as u32;
                // SAFETY: the helper checks the address itself, and writes 0 when it is a bad one.
                let _read =
                    unsafe { bpf_probe_read_kernel(value.as_mut_ptr().cast(), size, at.cast()) };
                // SAFETY: `Plain` types are valid for any bytes, and there have been some from the start.
                unsafe { value.assume_init() }
            }
        }
    }

    /// The object that a pointer `offset` bytes into this one points to.
    #[inline(always)]
    fn follow(self, offset: &Global<u64>) -> Self {
        let address = self.load(offset);
        Self { address, ..self }
    }

    #[inline(always)]
    fn is_null(self) -> bool {
        self.address.is_null()
    }
}

macro_rules! kernel_pointer {
    ($($(#[$doc:meta])* $name:ident)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy)]
            pub struct $name(pub KernelPointer);
        )*
    };
}

kernel_pointer! {
    /// `struct task_struct *`
    Task
    /// `struct cfs_rq *`
    CfsRunQueue
    /// `struct rq *`
    RunQueue
    /// `struct cgroup *`
    Cgroup
    /// `struct request *`
    Request
    /// `struct oom_control *`
    OomControl
}

impl Task {
    #[inline(always)]
    pub fn pid(self) -> u32 {
        self.0.load(&OFF_TASK_PID)
    }

    #[inline(always)]
    pub fn tgid(self) -> u32 {
        self.0.load(&OFF_TASK_TGID)
    }

    #[inline(always)]
    pub fn is_idle(self) -> bool {
        self.pid() == 0
    }

    #[inline(always)]
    pub fn is_kernel_thread(self) -> bool {
        self.0.load::<u32>(&OFF_TASK_FLAGS) & PF_KTHREAD != 0
    }

    /// Not 0 when the task is not runnable. Races with a wakeup once the task is off its queue, so
    /// it serves only kernels whose `sched_switch` does not pass the state.
    #[inline(always)]
    pub fn state(self) -> u32 {
        self.0.load(&OFF_TASK_STATE)
    }

    /// When the task was put on this run queue, rq clock; 0 when the kernel did not note it.
    #[inline(always)]
    pub fn last_queued(self) -> u64 {
        self.0.load(&OFF_TASK_LAST_QUEUED)
    }

    /// When the task last got a CPU, rq clock.
    #[inline(always)]
    pub fn last_arrival(self) -> u64 {
        self.0.load(&OFF_TASK_LAST_ARRIVAL)
    }

    /// Whether the task is scheduled before all of the fair class: `prio` is below `MAX_RT_PRIO`, 100
    /// in every kernel that can run these programs.
    #[inline(always)]
    pub fn is_real_time(self) -> bool {
        self.prio() < 100
    }

    /// Signed: that of a deadline task is -1.
    #[inline(always)]
    pub fn prio(self) -> i32 {
        self.0.load::<u32>(&OFF_TASK_PRIO) as i32
    }

    /// The cgroup's queue on the task's CPU. Also set for tasks that are not in the fair class.
    #[inline(always)]
    pub fn cfs_run_queue(self) -> CfsRunQueue {
        CfsRunQueue(self.0.follow(&OFF_TASK_CFS_RQ))
    }

    /// Id of the task's cgroup in the task hierarchy.
    #[inline(always)]
    pub fn cgroup_id(self) -> u64 {
        self.cgroup().id()
    }

    /// The task's cgroup in the task hierarchy.
    #[inline(always)]
    pub fn cgroup(self) -> Cgroup {
        let css_set = self.0.follow(&OFF_TASK_CGROUPS);
        if HAS_V1_TASK_HIERARCHY.load() != 0 {
            css_cgroup(css_set.follow(&OFF_CSS_SET_CPU))
        } else {
            Cgroup(css_set.follow(&OFF_CSS_SET_DFL_CGRP))
        }
    }

    /// Copies the task's name.
    #[inline(always)]
    pub fn read_comm(self, into: &mut [u8; COMM_LEN]) {
        let name = self.0.field(&OFF_TASK_COMM).address.cast();
        // SAFETY: the helper checks the address itself and fails on a bad one; `into` is ours.
        let read = unsafe { bpf_probe_read_kernel_buf(name, into) };
        if read.is_err() {
            into[0] = 0;
        }
    }
}

impl CfsRunQueue {
    /// The CPU's run queue that this is a part of.
    #[inline(always)]
    pub fn run_queue(self) -> RunQueue {
        RunQueue(self.0.follow(&OFF_CFS_RQ_RQ))
    }

    /// Id of the cgroup whose queue it is, in the task hierarchy: the task's own, or, in cgroup v2, the
    /// nearest above it that has a `cpu` controller. 0 for a session's autogroup, which has no limit.
    #[inline(always)]
    pub fn cgroup_id(self) -> u64 {
        let group = self.0.follow(&OFF_CFS_RQ_TG);
        css_cgroup(group.field(&OFF_TASK_GROUP_CSS)).id()
    }

    /// Since when a bandwidth limit, of this cgroup or of one above, keeps its tasks from running, rq
    /// clock; 0 when none does. Kernels that do not note it are asked as a task leaves the CPU, when
    /// it can only be `now`.
    #[inline(always)]
    pub fn throttled_since(self, now: u64) -> u64 {
        if HAS_EXACT_THROTTLED_TIME.load() != 0 {
            self.0.load(&OFF_CFS_RQ_THROTTLED_SINCE)
        } else if self.0.load::<u32>(&OFF_CFS_RQ_THROTTLE_COUNT) != 0 {
            now
        } else {
            0
        }
    }

    /// The kernel's sum of the time that such limits took, without what is under way; never less than
    /// before, and more when one has ended.
    #[inline(always)]
    pub fn throttled_time(self) -> u64 {
        self.0.load(&OFF_CFS_RQ_THROTTLED_TIME)
    }
}

impl RunQueue {
    /// The run queue's clock, ns.
    #[inline(always)]
    pub fn clock(self) -> u64 {
        self.0.load(&OFF_RQ_CLOCK)
    }
}

impl Cgroup {
    /// The cgroup's id: the inode number of its directory, unique within its hierarchy.
    #[inline(always)]
    pub fn id(self) -> u64 {
        self.0.follow(&OFF_CGROUP_KN).load(&OFF_KERNFS_NODE_ID)
    }

    /// The number of the cgroup's hierarchy; 0 is cgroup v2.
    #[inline(always)]
    pub fn hierarchy(self) -> u32 {
        self.0
            .follow(&OFF_CGROUP_ROOT)
            .load(&OFF_CGROUP_ROOT_HIERARCHY_ID)
    }
}

/// The cgroup that a `struct cgroup_subsys_state *` belongs to.
#[inline(always)]
fn css_cgroup(css: KernelPointer) -> Cgroup {
    Cgroup(css.follow(&OFF_CSS_CGROUP))
}

impl Request {
    /// When the request was made, ktime; 0 when the queue keeps no statistics.
    #[inline(always)]
    pub fn start_time_ns(self) -> u64 {
        self.0.load(&OFF_REQUEST_START_TIME_NS)
    }

    /// When the request was given to the device, ktime; 0 as above.
    #[inline(always)]
    pub fn io_start_time_ns(self) -> u64 {
        self.0.load(&OFF_REQUEST_IO_START_TIME_NS)
    }

    /// `enum req_op`: the lowest `REQ_OP_BITS` of the flags.
    #[inline(always)]
    pub fn operation(self) -> u32 {
        self.0.load::<u32>(&OFF_REQUEST_CMD_FLAGS) & 0xff
    }

    /// Bytes of the request that are not yet completed.
    #[inline(always)]
    pub fn remaining_bytes(self) -> u32 {
        self.0.load(&OFF_REQUEST_DATA_LEN)
    }

    /// Id of the owning cgroup (the first bio's blkcg), or `None` when the request carries no bio or
    /// the bio no blkcg: it is nobody's.
    #[inline(always)]
    pub fn owner_cgroup_id(self) -> Option<u64> {
        let bio = self.0.follow(&OFF_REQUEST_BIO);
        if bio.is_null() {
            return None;
        }
        let blkg = bio.follow(&OFF_BIO_BLKG);
        if blkg.is_null() {
            return None;
        }
        let blkcg = blkg.follow(&OFF_BLKCG_GQ_BLKCG);
        if blkcg.is_null() {
            return None;
        }
        let id = css_cgroup(blkcg.field(&OFF_BLKCG_CSS)).id();
        (id != 0).then_some(id)
    }

    /// The disk's number as `major << 20 | minor`, or 0 when the queue has no disk.
    #[inline(always)]
    pub fn device(self) -> u32 {
        let disk = if HAS_RQ_DISK.load() != 0 {
            self.0.follow(&OFF_REQUEST_RQ_DISK)
        } else {
            self.0
                .follow(&OFF_REQUEST_Q)
                .follow(&OFF_REQUEST_QUEUE_DISK)
        };
        if disk.is_null() {
            return 0;
        }
        let major: u32 = disk.load(&OFF_GENDISK_MAJOR);
        let minor: u32 = disk.load(&OFF_GENDISK_FIRST_MINOR);
        major << 20 | minor
    }
}

impl OomControl {
    /// Id of the cgroup whose limit was hit, or `None` when the host ran out of memory.
    #[inline(always)]
    pub fn limit_owner_cgroup_id(self) -> Option<u64> {
        let memcg = self.0.follow(&OFF_OOM_CONTROL_MEMCG);
        if memcg.is_null() {
            return None;
        }
        Some(css_cgroup(memcg.field(&OFF_MEM_CGROUP_CSS)).id())
    }
}

/// Whether `sched_switch` passes the state of `prev` as its fourth argument.
#[inline(always)]
pub fn has_prev_state_arg() -> bool {
    HAS_PREV_STATE_ARG.load() != 0
}

/// Whether what a bandwidth limit does can be read.
#[inline(always)]
pub fn knows_throttling() -> bool {
    HAS_THROTTLING.load() != 0
}

/// Whether [`CfsRunQueue::throttled_time`] is the very time, on the run queue's clock, and not only
/// near to it (before 6.6 it leaves out interrupts, or is scaled by the CPU's speed).
#[inline(always)]
pub fn throttled_time_is_exact() -> bool {
    HAS_EXACT_THROTTLED_TIME.load() != 0
}
