//! Whom did the OOM killer choose, and whose limit was it?
//!
//! `mark_victim` is where every victim passes, of a cgroup's limit or of the host's. It does not say
//! whose limit was hit; `oom_kill_process` has that in its argument, but only an `fentry` program can
//! look there, which some kernels refuse. So that one is optional, and leaves its finding in
//! [`OOM_LIMIT`] for the `mark_victim` that follows in the same task.

use aya_ebpf::{
    helpers::bpf_get_current_pid_tgid,
    macros::{fentry, map},
    maps::Array,
    programs::FEntryContext,
};
use aya_log_ebpf::debug;
use collector_common::{
    cpu::CpuState,
    event::{COMM_LEN, EventHeader, OomEvent},
    signal::Signal,
};

use crate::{
    batch, emit,
    entry::{Arguments, on_tracepoint},
    kernel_types::{Access, KernelPointer, OomControl, Task},
};

/// What `oom_kill_process` was last called with. Written and read here: the kernel holds `oom_lock`
/// around both, so one place is enough for the host.
#[map]
static OOM_LIMIT: Array<OomLimit> = Array::with_max_entries(1, 0);

#[derive(Clone, Copy)]
#[repr(C)]
struct OomLimit {
    /// The task that ran into the limit, so that an old note is not taken for its own.
    pid_tgid: u64,
    /// The limit's owner, or 0 for the host.
    cgroup: u64,
}

/// Optional: notes whose limit is being enforced.
#[fentry(function = "oom_kill_process")]
pub fn oom_limit(ctx: FEntryContext) -> i32 {
    if let Some(limit) = OOM_LIMIT.get_ptr_mut(0) {
        let control = OomControl(KernelPointer::new(ctx.arg(0), Access::Tracked));
        // SAFETY: the entry exists, and `oom_lock` keeps others from writing it.
        unsafe {
            *limit = OomLimit {
                pid_tgid: bpf_get_current_pid_tgid(),
                cgroup: control.limit_owner_cgroup_id().unwrap_or(0),
            }
        };
    }
    0
}

on_tracepoint!("mark_victim", oom_victim, oom_victim_raw, victim_task);
on_tracepoint!(
    "mark_victim",
    oom_victim_pid,
    oom_victim_pid_raw,
    victim_pid
);

/// For kernels that pass the victim's task: since 6.8 (commit 72ba14deb40a), and stable releases
/// that took it over.
#[inline(always)]
fn victim_task(arguments: &Arguments) -> i32 {
    let Some(cpu) = batch::cpu_state() else {
        return 0;
    };
    let victim = Task(arguments.pointer(0));
    let mut comm = [0; COMM_LEN];
    victim.read_comm(&mut comm);
    let event = OomEvent {
        victim_cgroup: victim.cgroup_id(),
        victim_pid: victim.tgid(),
        comm,
        ..OomEvent::default()
    };
    send(arguments, cpu, event)
}

/// For kernels that pass only the victim's pid; the daemon looks the rest up at once.
#[inline(always)]
fn victim_pid(arguments: &Arguments) -> i32 {
    let Some(cpu) = batch::cpu_state() else {
        return 0;
    };
    let event = OomEvent {
        victim_pid: arguments.number(0),
        flags: OomEvent::FLAG_PID_ONLY,
        ..OomEvent::default()
    };
    send(arguments, cpu, event)
}

#[inline(always)]
fn send(arguments: &Arguments, cpu: *mut CpuState, mut event: OomEvent) -> i32 {
    batch::count_observed(cpu, Signal::Oom);
    event.header = emit::header(EventHeader::KIND_OOM);
    if let Some(note) = OOM_LIMIT.get_ptr_mut(0) {
        // SAFETY: the entry exists, and `oom_lock` keeps others from writing it.
        let limit = unsafe { &mut *note };
        if limit.pid_tgid != 0 && limit.pid_tgid == bpf_get_current_pid_tgid() {
            event.flags |= OomEvent::FLAG_LIMIT_OWNER;
            event.limit_owner_cgroup = limit.cgroup;
            if limit.cgroup == 0 {
                event.flags |= OomEvent::FLAG_GLOBAL;
            }
        }
        // Each note is for one victim: a task can also be marked without `oom_kill_process`.
        limit.pid_tgid = 0;
    }
    debug!(arguments, "OOM victim {}", event.victim_pid);
    // SAFETY: the record is a whole local variable.
    unsafe {
        emit::emit(
            cpu,
            Signal::Oom,
            &raw const event,
            size_of::<OomEvent>() as u64,
        )
    };
    0
}
