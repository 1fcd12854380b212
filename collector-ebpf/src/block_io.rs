//! How long does a container's block I/O wait in the queue, and how long does the device take?
//!
//! One program on `block_rq_complete`, no map of start times: the request keeps when it was made and
//! when it was given to the device. The owner is the blkcg of the request's first bio, so buffered
//! writes are charged to the cgroup that dirtied the pages, not to the worker that wrote them (cgroup
//! v1 has no such record for buffered writes, and the kernel gives them to the root).

use aya_ebpf::helpers::bpf_ktime_get_ns;
use collector_common::{
    cpu::CpuState,
    sample::BlockSample,
    signal::{KernelLoss, Signal},
};

use crate::{
    batch::{self, BlockBatch},
    entry::{Arguments, on_tracepoint},
    kernel_types::Request,
};

on_tracepoint!(
    "block_rq_complete",
    block_complete,
    block_complete_raw,
    completion
);

#[inline(always)]
fn completion(arguments: &Arguments) -> i32 {
    let Some(cpu) = batch::cpu_state() else {
        return 0;
    };
    // SAFETY: the state is this CPU's own.
    let busy = unsafe { &raw mut (*cpu).block_busy };
    // A completion can interrupt another one, from a soft into a hard interrupt. Kernels before 6.1
    // (commit 05b24ff9b2cf) do not keep a program from interrupting itself.
    // SAFETY: as above.
    if unsafe { busy.read_volatile() } != 0 {
        batch::count_observed(cpu, Signal::BlockIo);
        batch::count_lost(cpu, Signal::BlockIo, KernelLoss::Recursion, 1);
        return 0;
    }
    // SAFETY: as above.
    unsafe { busy.write_volatile(1) };
    batch::count_observed(cpu, Signal::BlockIo);
    let request = Request(arguments.pointer(0));
    // `int` before 5.16, `blk_status_t` since (commit 8a7d267b4a2c): not 0 means an error in both.
    let error = arguments.number(1);
    let bytes = arguments.number(2);
    complete(cpu, request, error as u8 != 0, bytes);
    // SAFETY: as above.
    unsafe { busy.write_volatile(0) };
    0
}

#[inline(always)]
fn complete(cpu: *mut CpuState, request: Request, error: bool, bytes: u32) {
    let Some(cgroup) = request.owner_cgroup_id() else {
        // A flush made by the block layer, or a driver's own command: nobody's.
        batch::count_filtered(cpu, Signal::BlockIo);
        return;
    };
    let start = request.start_time_ns();
    let mut issue = request.io_start_time_ns();
    let mut flags = 0;
    if issue == 0 && bytes == 0 {
        // An fsync's request to empty the device's cache carries no data and is not issued itself:
        // it waits for a flush that the block layer makes for all who wait.
        flags |= BlockSample::FLAG_EMPTY_FLUSH;
        issue = start;
    }
    if start == 0 || issue == 0 {
        batch::count_lost(cpu, Signal::BlockIo, KernelLoss::NoTimestamp, 1);
        return;
    }
    // SAFETY: a helper without preconditions.
    let now = unsafe { bpf_ktime_get_ns() };
    let queue_ns = issue.wrapping_sub(start);
    let device_ns = now.wrapping_sub(issue);
    if (queue_ns as i64) < 0 || (device_ns as i64) < 0 {
        batch::count_lost(cpu, Signal::BlockIo, KernelLoss::NegativeDelta, 1);
        return;
    }
    if error {
        flags |= BlockSample::FLAG_ERROR;
    }
    if bytes < request.remaining_bytes() {
        flags |= BlockSample::FLAG_PARTIAL;
    }
    let since_opened_us = batch::since_opened::<BlockBatch>(cpu, now) / 1_000;
    let place = batch::next_place::<BlockBatch>(cpu);
    // SAFETY: the place is in the batch, in this CPU's own state, guarded by `block_busy`.
    unsafe {
        *place = BlockSample {
            cgroup,
            queue_ns,
            device_ns,
            bytes,
            device: request.device(),
            operation: request.operation() as u16,
            flags,
            since_opened_us: since_opened_us.min(u32::MAX as u64) as u32,
        }
    };
    batch::commit::<BlockBatch>(cpu, now);
}
