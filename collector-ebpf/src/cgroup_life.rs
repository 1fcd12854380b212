//! Which cgroups come, go, change their path, fill and empty?
//!
//! The cgroup tracepoints fire for every hierarchy and carry the path, so the daemon learns a new
//! cgroup's name without looking for it, even if it is gone before it could. The kernel holds a
//! spinlock with interrupts off around each (`TRACE_CGROUP_PATH`), for the one buffer that it writes
//! all paths to: so one buffer per CPU is enough here too.

use aya_ebpf::{
    helpers::generated::bpf_probe_read_kernel_str,
    macros::{btf_tracepoint, map},
    maps::PerCpuArray,
    programs::BtfTracePointContext,
};
use aya_log_ebpf::debug;
use collector_common::{
    event::{CgroupEvent, EventHeader, TRACE_PATH_LEN},
    signal::Signal,
};

use crate::{batch, emit, kernel_types::Cgroup};

/// Room to put an event together with its path, too large for the stack. Written and read here.
#[map]
static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

#[repr(C)]
struct Scratch {
    event: CgroupEvent,
    path: [u8; TRACE_PATH_LEN],
}

#[btf_tracepoint(function = "cgroup_mkdir")]
pub fn cgroup_mkdir(ctx: BtfTracePointContext) -> i32 {
    send(&ctx, EventHeader::KIND_CGROUP_MKDIR)
}

#[btf_tracepoint(function = "cgroup_rmdir")]
pub fn cgroup_rmdir(ctx: BtfTracePointContext) -> i32 {
    send(&ctx, EventHeader::KIND_CGROUP_RMDIR)
}

#[btf_tracepoint(function = "cgroup_rename")]
pub fn cgroup_rename(ctx: BtfTracePointContext) -> i32 {
    send(&ctx, EventHeader::KIND_CGROUP_RENAME)
}

#[btf_tracepoint(function = "cgroup_notify_populated")]
pub fn cgroup_populate(ctx: BtfTracePointContext) -> i32 {
    let populated: i32 = ctx.arg(2);
    let kind = if populated != 0 {
        EventHeader::KIND_CGROUP_POPULATED
    } else {
        EventHeader::KIND_CGROUP_EMPTY
    };
    send(&ctx, kind)
}

#[inline(always)]
fn send(ctx: &BtfTracePointContext, kind: u32) -> i32 {
    let (Some(cpu), Some(scratch)) = (batch::cpu_state(), SCRATCH.get_ptr_mut(0)) else {
        return 0;
    };
    batch::count_observed(cpu, Signal::CgroupLife);
    let cgroup = Cgroup::new(ctx.arg(0));
    let path: *const core::ffi::c_void = ctx.arg(1);
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
        cgroup: cgroup.id(),
        hierarchy: cgroup.hierarchy(),
        path_len: length as u32,
    };
    debug!(
        ctx,
        "cgroup event {}: id {} of hierarchy {}",
        kind,
        cgroup.id(),
        cgroup.hierarchy()
    );
    let size = size_of::<CgroupEvent>() as u64 + (length & (TRACE_PATH_LEN as u64 - 1));
    // SAFETY: event and path lie side by side in the scratch, which is longer than `size`.
    unsafe { emit::emit(cpu, Signal::CgroupLife, scratch, size) };
    0
}
