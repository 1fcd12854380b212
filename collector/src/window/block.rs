//! A cgroup's block I/O, from completions of requests.

use collector_common::sample::BlockSample;

use super::{
    BatchOutcome, BlockTotals, CgroupWindows, Device, LossReason, Operation, WindowedHistogram,
    cgroups::{OVERFLOW, Slot},
    slow::{SlowMark, SlowSpan, SlowWatch},
};
use crate::host::{CgroupKey, HierarchyId};

/// How many pairs of device and operation one cgroup is told apart by. Further ones are recorded
/// under [`Device::OTHER`]. Each costs up to 6 KiB.
const MAX_SERIES: usize = 256;

/// Which operation each `enum req_op` of the running kernel is.
#[derive(Clone, Debug)]
pub struct OperationCodes {
    /// By the code: the kernel has 8 bits for it (`REQ_OP_BITS`).
    by_code: [Option<Operation>; 256],
}

impl OperationCodes {
    /// From the codes that stand for I/O of a kind that is counted. All others (commands of drivers,
    /// zone management) are filtered.
    #[must_use]
    pub fn new(codes: impl IntoIterator<Item = (u32, Operation)>) -> Self {
        let mut by_code = [None; 256];
        for (code, operation) in codes {
            if let Some(entry) = by_code.get_mut(code as usize) {
                *entry = Some(operation);
            }
        }
        Self { by_code }
    }

    /// The operation of a code, if it is one that is counted.
    #[must_use]
    pub fn operation(&self, code: u32) -> Option<Operation> {
        self.by_code.get(code as usize).copied().flatten()
    }
}

/// The block-I/O numbers of one cgroup: quantiles over all devices, totals for each.
#[derive(Debug)]
pub(super) struct BlockWindows {
    pub(super) queue: WindowedHistogram,
    pub(super) in_device: WindowedHistogram,
    pub(super) totals: Vec<BlockTotals>,
    /// Where the last sample's totals are: most come in runs of one device and operation.
    last: usize,
}

impl BlockWindows {
    fn new(windows: usize) -> Self {
        Self {
            queue: WindowedHistogram::new(windows),
            in_device: WindowedHistogram::new(windows),
            totals: Vec::new(),
            last: 0,
        }
    }

    pub(super) fn rotate(&mut self) {
        self.queue.rotate();
        self.in_device.rotate();
    }

    /// Where the sample before was counted.
    fn last_totals(&self) -> Option<&BlockTotals> {
        self.totals.get(self.last)
    }

    pub(super) fn into_totals(self) -> Vec<BlockTotals> {
        self.totals
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let Self {
            queue,
            in_device,
            totals,
            last: _,
        } = self;
        let series: usize = totals
            .iter()
            .map(|it| it.queue.heap_bytes() + it.in_device.heap_bytes())
            .sum();
        queue.heap_bytes()
            + in_device.heap_bytes()
            + totals.capacity() * size_of::<BlockTotals>()
            + series
    }

    /// Records one completion; the reason, if a part of it could not be.
    fn record(&mut self, sample: &BlockSample, operation: Operation) -> Option<LossReason> {
        self.last = self.position(Device::from_kernel(sample.device), operation);
        let totals = &mut self.totals[self.last];
        totals.bytes += u64::from(sample.bytes);
        totals.errors += u64::from(sample.flags & BlockSample::FLAG_ERROR != 0);
        if sample.flags & BlockSample::FLAG_PARTIAL != 0 {
            return None;
        }
        let mut lost = None;
        // A request for a flush is not issued itself: there is no time that it was queued for.
        if sample.flags & BlockSample::FLAG_EMPTY_FLUSH == 0 {
            match self.queue.record(sample.queue_ns) {
                Ok(()) => totals.queue.record(sample.queue_ns),
                Err(_) => lost = Some(LossReason::OutOfRange),
            }
        }
        match self.in_device.record(sample.device_ns) {
            Ok(()) => totals.in_device.record(sample.device_ns),
            Err(_) => lost = Some(LossReason::OutOfRange),
        }
        lost
    }

    /// Where the totals of a device and operation are.
    fn position(&mut self, device: Device, operation: Operation) -> usize {
        let is = |it: &BlockTotals, device| it.device == device && it.operation == operation;
        if self
            .totals
            .get(self.last)
            .is_some_and(|last| is(last, device))
        {
            return self.last;
        }
        if let Some(found) = self.totals.iter().position(|it| is(it, device)) {
            return found;
        }
        let device = if self.totals.len() < MAX_SERIES {
            device
        } else {
            Device::OTHER
        };
        self.totals
            .iter()
            .position(|it| is(it, device))
            .unwrap_or_else(|| {
                self.totals.push(BlockTotals::new(device, operation));
                self.totals.len() - 1
            })
    }
}

/// What a completion is counted as; `None` for what is filtered.
pub(super) fn operation_of(sample: &BlockSample, operations: &OperationCodes) -> Option<Operation> {
    if sample.flags & BlockSample::FLAG_EMPTY_FLUSH != 0 {
        Some(Operation::Flush)
    } else {
        operations.operation(u32::from(sample.operation))
    }
}

impl CgroupWindows {
    /// Records completions of block requests, their cgroup ids being those of `hierarchy`.
    ///
    /// A partial completion has bytes and no latency. One in error counts with its latency. Where
    /// one span is out of range the event is lost for that reason; the other span and the bytes are
    /// still recorded.
    pub fn record_block(
        &mut self,
        hierarchy: HierarchyId,
        samples: &[BlockSample],
        operations: &OperationCodes,
    ) -> BatchOutcome {
        let mut outcome = BatchOutcome::default();
        let windows = self.windows();
        for (position, sample) in samples.iter().enumerate() {
            let Some(operation) = operation_of(sample, operations) else {
                outcome.filtered += 1;
                continue;
            };
            let cgroup = CgroupKey::new(hierarchy, sample.cgroup);
            let slot = self.slot(cgroup);
            self.overflowed += u64::from(slot == OVERFLOW);
            let slot = &mut self.slots[slot as usize];
            let block = slot
                .block
                .get_or_insert_with(|| Box::new(BlockWindows::new(windows)));
            outcome.count(block.record(sample, operation));
            if sample.queue_ns > slot.slow.block_queue || sample.device_ns > slot.slow.block_device
            {
                keep_slow(&mut self.slow, slot, sample, cgroup, position);
            }
        }
        outcome
    }
}

/// Keeps what of a completion is slow, and in a histogram.
#[cold]
fn keep_slow(
    watch: &mut SlowWatch,
    slot: &mut Slot,
    sample: &BlockSample,
    cgroup: CgroupKey,
    position: usize,
) {
    let last = slot.block.as_ref().and_then(|block| block.last_totals());
    let Some((device, operation)) = last.map(|totals| (totals.device, totals.operation)) else {
        return;
    };
    let is_recorded = |ns, without| ns <= WindowedHistogram::REACH && sample.flags & without == 0;
    let untimed = BlockSample::FLAG_PARTIAL;
    let in_queue = sample.queue_ns > slot.slow.block_queue
        && is_recorded(sample.queue_ns, untimed | BlockSample::FLAG_EMPTY_FLUSH);
    let in_device =
        sample.device_ns > slot.slow.block_device && is_recorded(sample.device_ns, untimed);
    let spans = [
        (
            in_queue,
            SlowSpan::BlockQueue(device, operation),
            sample.queue_ns,
        ),
        (
            in_device,
            SlowSpan::BlockDevice(device, operation),
            sample.device_ns,
        ),
    ];
    for (_, span, ns) in spans.into_iter().filter(|(is_slow, ..)| *is_slow) {
        let mark = SlowMark {
            cgroup,
            position,
            span,
            ns,
        };
        watch.keep(&mut slot.slow, mark);
    }
}
