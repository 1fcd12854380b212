//! Per-CPU batches of samples, and the samples ring.
//!
//! A program takes the next free place of its batch, fills it there, and commits; the batch goes to
//! the ring as one record, without a wakeup, when it is full or old. The daemon drains on a timer,
//! and runs [`flush_cpu`] on a CPU that has gone silent over a batch that is not full.

use core::mem::offset_of;

use aya_ebpf::{
    bindings::BPF_RB_NO_WAKEUP,
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns, generated::bpf_ringbuf_output},
    macros::{map, raw_tracepoint},
    maps::{PerCpuArray, RingBuf},
    programs::RawTracePointContext,
};
use collector_common::{
    cpu::CpuState,
    sample::{BLOCK_BATCH, BatchHeader, BlockSample, FLUSH_NS, SCHED_BATCH, SchedSample},
    signal::{KernelLoss, Signal},
};

/// Batches of samples, to the daemon. Written here, read by `collector/src/drain`. The daemon sets
/// its size; when it is full, the batch at hand is lost and each of its samples counted.
#[map]
static SAMPLES: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

/// Each CPU's state. Written by the programs on that CPU, read by the daemon for its counters.
#[map]
static CPU_STATE: PerCpuArray<CpuState> = PerCpuArray::with_max_entries(1, 0);

/// The state of the CPU that this runs on.
#[inline(always)]
pub fn cpu_state() -> Option<*mut CpuState> {
    CPU_STATE.get_ptr_mut(0)
}

/// One kind of batch: where it lies in [`CpuState`] and how much it holds.
pub trait Batch {
    type Sample;
    const SIGNAL: Signal;
    const CAPACITY: usize;
    const HEADER: usize;
}

/// The batch of context switches.
pub struct SchedBatch;

impl Batch for SchedBatch {
    type Sample = SchedSample;
    const SIGNAL: Signal = Signal::Sched;
    const CAPACITY: usize = SCHED_BATCH;
    const HEADER: usize = offset_of!(CpuState, sched);
}

/// The batch of block-I/O completions.
pub struct BlockBatch;

impl Batch for BlockBatch {
    type Sample = BlockSample;
    const SIGNAL: Signal = Signal::BlockIo;
    const CAPACITY: usize = BLOCK_BATCH;
    const HEADER: usize = offset_of!(CpuState, block);
}

const _: () = assert!(SCHED_BATCH.is_power_of_two() && BLOCK_BATCH.is_power_of_two());
const _: () = assert!(
    offset_of!(CpuState, sched_samples) == SchedBatch::HEADER + size_of::<BatchHeader>()
        && offset_of!(CpuState, block_samples) == BlockBatch::HEADER + size_of::<BatchHeader>()
);

#[inline(always)]
fn header<B: Batch>(cpu: *mut CpuState) -> *mut BatchHeader {
    // SAFETY: `HEADER` is the offset of a header in the state.
    unsafe { cpu.byte_add(B::HEADER).cast() }
}

/// The free place of the batch; [`commit`] makes it part of it.
#[inline(always)]
pub fn next_place<B: Batch>(cpu: *mut CpuState) -> *mut B::Sample {
    let header = header::<B>(cpu);
    // SAFETY: the header is in the state, which is ours alone while this program runs.
    let count = unsafe { (*header).count };
    // The batch is never left full, so the mask changes nothing; it is what tells the verifier.
    let index = usize::from(count) & (B::CAPACITY - 1);
    // The samples follow the header, and `index` is below their number.
    header
        .wrapping_add(1)
        .cast::<B::Sample>()
        .wrapping_add(index)
}

/// How long ago the batch was opened; 0 for the sample that opens it.
#[inline(always)]
pub fn since_opened<B: Batch>(cpu: *mut CpuState, now_ns: u64) -> u64 {
    // SAFETY: as in `next_place`.
    let header = unsafe { &*header::<B>(cpu) };
    if header.count == 0 {
        0
    } else {
        now_ns.wrapping_sub(header.opened_ns)
    }
}

/// Adds the sample in [`next_place`] to the batch, and submits the batch when it is full or old.
/// `now_ns` is on the clock of the signal.
#[inline(always)]
pub fn commit<B: Batch>(cpu: *mut CpuState, now_ns: u64) {
    let header = header::<B>(cpu);
    // SAFETY: as in `next_place`.
    let header_ref = unsafe { &mut *header };
    if header_ref.count == 0 {
        header_ref.opened_ns = now_ns;
    }
    header_ref.count += 1;
    if usize::from(header_ref.count) >= B::CAPACITY
        || now_ns.wrapping_sub(header_ref.opened_ns) > FLUSH_NS
    {
        submit::<B>(cpu);
    }
}

/// Sends the batch, if anything is in it, and empties it.
#[inline(always)]
fn submit<B: Batch>(cpu: *mut CpuState) {
    let header = header::<B>(cpu);
    // SAFETY: as in `next_place`.
    let header_ref = unsafe { &mut *header };
    let count = u64::from(header_ref.count);
    if count == 0 || count > B::CAPACITY as u64 {
        return;
    }
    header_ref.signal = B::SIGNAL as u16;
    // SAFETY: helpers without preconditions.
    header_ref.cpu = unsafe { bpf_get_smp_processor_id() };
    // SAFETY: as above.
    header_ref.submitted_ktime_ns = unsafe { bpf_ktime_get_ns() };
    let size = size_of::<BatchHeader>() as u64 + count * size_of::<B::Sample>() as u64;
    // SAFETY: header and samples lie side by side in the state, and `size` covers no more of them
    // than the batch holds, as the verifier sees from the check above.
    let sent = unsafe {
        bpf_ringbuf_output(
            (&raw const SAMPLES).cast_mut().cast(),
            header.cast(),
            size,
            u64::from(BPF_RB_NO_WAKEUP),
        )
    };
    if sent != 0 {
        count_lost(cpu, B::SIGNAL, KernelLoss::RingFull, count);
    }
    header_ref.sequence += 1;
    header_ref.count = 0;
}

/// Counts an event as seen.
#[inline(always)]
pub fn count_observed(cpu: *mut CpuState, signal: Signal) {
    // SAFETY: the state is this CPU's own; `signal` indexes an array of its length.
    unsafe { (*cpu).counters[signal as usize].observed += 1 };
}

/// Counts an event as left out by rule.
#[inline(always)]
pub fn count_filtered(cpu: *mut CpuState, signal: Signal) {
    // SAFETY: as in `count_observed`.
    unsafe { (*cpu).counters[signal as usize].filtered += 1 };
}

/// Counts `events` as lost.
#[inline(always)]
pub fn count_lost(cpu: *mut CpuState, signal: Signal, reason: KernelLoss, events: u64) {
    // SAFETY: as in `count_observed`; `reason` likewise.
    unsafe { (*cpu).counters[signal as usize].lost[reason as usize] += events };
}

/// Submits what the CPU that this runs on has in its batches. Attached to nothing: the daemon runs
/// it with `BPF_PROG_TEST_RUN` on the CPU it wants (since 5.10, commit 1b4d60ec162f).
#[raw_tracepoint]
pub fn flush_cpu(_ctx: RawTracePointContext) -> i32 {
    let Some(cpu) = cpu_state() else {
        return 0;
    };
    // `sched_switch` runs with interrupts off, so it is not half-way here.
    submit::<SchedBatch>(cpu);
    // A block completion may be half-way under the interrupt that this runs in; then the CPU is not
    // silent either.
    // SAFETY: the state is this CPU's own.
    let busy = unsafe { &raw const (*cpu).block_busy };
    // SAFETY: as above.
    if unsafe { busy.read_volatile() } == 0 {
        submit::<BlockBatch>(cpu);
    }
    0
}
