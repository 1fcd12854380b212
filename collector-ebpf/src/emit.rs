//! The events ring: rare records, one by one, each with a wakeup.

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_RING_SIZE},
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns, generated::bpf_ringbuf_output},
    macros::map,
    maps::RingBuf,
};
use collector_common::{
    cpu::CpuState,
    event::EventHeader,
    signal::{KernelLoss, Signal},
};

use crate::batch::count_lost;

/// OOM kills and the life of cgroups, to the daemon. Written here, read by `collector/src/drain`.
/// Apart from the samples, so that no burst of those can push out an OOM kill. Big enough for
/// thousands of cgroups made at once; when it is full, the event is lost and counted.
#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

/// The header of an event that happens here and now.
#[inline(always)]
pub fn header(kind: u32) -> EventHeader {
    EventHeader {
        kind,
        // SAFETY: a helper without preconditions.
        cpu: unsafe { bpf_get_smp_processor_id() },
        // SAFETY: as above.
        ktime_ns: unsafe { bpf_ktime_get_ns() },
    }
}

/// Sends `size` bytes of the record at `record`, or counts the event as lost.
///
/// # Safety
///
/// `size` bytes at `record` are readable, and the verifier can see that they are.
#[inline(always)]
pub unsafe fn emit<T>(cpu: *mut CpuState, signal: Signal, record: *const T, size: u64) {
    // The last eighth of the ring is for OOM kills alone: no burst of cgroups can push one out.
    let ring = EVENTS.query(u64::from(BPF_RB_RING_SIZE));
    if !matches!(signal, Signal::Oom)
        && EVENTS.query(u64::from(BPF_RB_AVAIL_DATA)) > ring - ring / 8
    {
        count_lost(cpu, signal, KernelLoss::RingFull, 1);
        return;
    }
    // SAFETY: the caller's promise.
    let sent = unsafe {
        bpf_ringbuf_output(
            (&raw const EVENTS).cast_mut().cast(),
            record.cast_mut().cast(),
            size,
            0,
        )
    };
    if sent != 0 {
        count_lost(cpu, signal, KernelLoss::RingFull, 1);
    }
}
