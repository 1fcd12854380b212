//! Which cgroups come, go, change their path, fill and empty?
//!
//! The cgroup tracepoints fire for every hierarchy and carry the path, so the daemon learns a new
//! cgroup's name without looking for it, even if it is gone before it could. The kernel holds a
//! spinlock with interrupts off around each (`TRACE_CGROUP_PATH`), for the one buffer that it writes
//! all paths to: so one buffer per CPU is enough here too.

use aya_ebpf::{helpers::generated::bpf_probe_read_kernel_str, macros::map, maps::PerCpuArray};
use aya_log_ebpf::debug;
use collector_common::{
    event::{CgroupEvent, EventHeader, TRACE_PATH_LEN},
    signal::Signal,
};

use crate::{
    batch, emit,
    entry::{Arguments, on_tracepoint},
    kernel_types::Cgroup,
};

/// Room to put an event together with its path, too large for the stack. Written and read here.
#[map]
static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

#[repr(C)]
struct Scratch {
    event: CgroupEvent,
    path: [u8; TRACE_PATH_LEN],
}

on_tracepoint!("cgroup_mkdir", cgroup_mkdir, cgroup_mkdir_raw, made);
on_tracepoint!("cgroup_rmdir", cgroup_rmdir, cgroup_rmdir_raw, removed);
on_tracepoint!("cgroup_rename", cgroup_rename, cgroup_rename_raw, renamed);
on_tracepoint!(
    "cgroup_notify_populated",
    cgroup_populate,
    cgroup_populate_raw,
    populated
);

#[inline(always)]
fn made(arguments: &Arguments) -> i32 {
    send(arguments, EventHeader::KIND_CGROUP_MKDIR)
}

#[inline(always)]
fn removed(arguments: &Arguments) -> i32 {
    send(arguments, EventHeader::KIND_CGROUP_RMDIR)
}

#[inline(always)]
fn renamed(arguments: &Arguments) -> i32 {
    send(arguments, EventHeader::KIND_CGROUP_RENAME)
}

#[inline(always)]
fn populated(arguments: &Arguments) -> i32 {
    let kind = if arguments.number(2) != 0 {
        EventHeader::KIND_CGROUP_POPULATED
    } else {
        EventHeader::KIND_CGROUP_EMPTY
    };
    send(arguments, kind)
}

#[inline(always)]
fn send(arguments: &Arguments, kind: u32) -> i32 {
    let (Some(cpu), Some(scratch)) = (batch::cpu_state(), SCRATCH.get_ptr_mut(0)) else {
        return 0;
    };
    batch::count_observed(cpu, Signal::CgroupLife);
    let cgroup = Cgroup(arguments.pointer(0));
    let (id, hierarchy) = (cgroup.id(), cgroup.hierarchy());
    let path = arguments.text(1);
    // SAFETY: the scratch is this CPU's own, and interrupts are off.
    let scratch_ref = unsafe { &mut *scratch };
    // SAFETY: the helper checks the address itself; the room is as long as it is told.
    let read = unsafe {
        bpf_probe_read_kernel_str(
            scratch_ref.path.as_mut_ptr().cast(),
            TRACE_PATH_LEN as u32,
            path,
        )
    };
    // The length counts the NUL. An unreadable path arrives empty: the daemon then looks for it.
    let length = if read > 0 && read <= TRACE_PATH_LEN as i64 {
        read as u64 - 1
    } else {
        0
    };
    scratch_ref.event = CgroupEvent {
        header: emit::header(kind),
        cgroup: id,
        hierarchy,
        path_len: length as u32,
    };
    debug!(
        arguments,
        "cgroup event {}: id {} of hierarchy {}", kind, id, hierarchy
    );
    let size = size_of::<CgroupEvent>() as u64 + (length & (TRACE_PATH_LEN as u64 - 1));
    // SAFETY: event and path lie side by side in the scratch, which is longer than `size`.
    unsafe { emit::emit(cpu, Signal::CgroupLife, scratch, size) };
    0
}
