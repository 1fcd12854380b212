//! Do the offsets that the programs were given describe this kernel?
//!
//! Attached to nothing: when the daemon was given type information from elsewhere, it runs this with
//! `BPF_PROG_TEST_RUN` in a thread of its own, and compares what is read of that thread through the
//! offsets with what the kernel tells of it by helpers.

use aya_ebpf::{
    helpers::{
        bpf_get_current_comm, bpf_get_current_pid_tgid,
        generated::{bpf_get_current_cgroup_id, bpf_get_current_task},
    },
    macros::{map, raw_tracepoint},
    maps::Array,
    programs::RawTracePointContext,
};
use collector_common::type_check::TypeCheck;

use crate::kernel_types::{Access, KernelPointer, Task};

/// What was found. Written here, read by the daemon after each run.
#[map]
static TYPE_CHECK: Array<TypeCheck> = Array::with_max_entries(1, 0);

#[raw_tracepoint]
pub fn type_check(_ctx: RawTracePointContext) -> i32 {
    let Some(found) = TYPE_CHECK.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: the entry exists, and the daemon does not run this twice at a time.
    let found = unsafe { &mut *found };
    let pid_tgid = bpf_get_current_pid_tgid();
    found.told_pid = pid_tgid as u32;
    found.told_tgid = (pid_tgid >> 32) as u32;
    // SAFETY: a helper without preconditions.
    found.told_v2_cgroup = unsafe { bpf_get_current_cgroup_id() };
    found.told_comm = bpf_get_current_comm().unwrap_or_default();

    // SAFETY: as above.
    let current = unsafe { bpf_get_current_task() };
    let task = Task(KernelPointer::new(current as *const _, Access::Probed));
    found.pid = task.pid();
    found.tgid = task.tgid();
    task.read_comm(&mut found.comm);
    found.is_kernel_thread = u32::from(task.is_kernel_thread());
    let cgroup = task.cgroup();
    found.cgroup = cgroup.id();
    found.hierarchy = cgroup.hierarchy();
    found.last_arrival_ns = task.last_arrival();
    found.last_queued_ns = task.last_queued();
    let queue = task.cfs_run_queue();
    found.run_queue_clock_ns = queue.run_queue().clock();
    found.run_queue_cgroup = queue.cgroup_id();
    found.throttled_ns = queue.throttled_time();
    found.prio = task.prio();
    found.state = task.state();
    0
}
