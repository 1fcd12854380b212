//! What a cgroup's tasks wait and run, from context switches.

use collector_common::{sample::SchedSample, signal::KernelLoss};

use super::{
    BatchOutcome, CgroupWindows, Class, Distribution, LossReason, Preemptor, SchedTotals,
    cgroups::OVERFLOW,
    slow::{SlowMark, SlowSpan},
};
use crate::host::{CgroupKey, HierarchyId};

/// The scheduler's numbers of one cgroup.
#[derive(Debug)]
pub(super) struct SchedWindows {
    pub(super) wait: Distribution,
    pub(super) slice: Distribution,
    voluntary: u64,
    involuntary: u64,
    preempted_by: [u64; Preemptor::ALL.len()],
    pub(super) clock_skip_ns: u64,
    throttled_ns: u64,
    pub(super) last_slice_ns: u64,
}

impl SchedWindows {
    pub(super) fn new(windows: usize) -> Self {
        Self {
            wait: Distribution::new(windows),
            slice: Distribution::new(windows),
            voluntary: 0,
            involuntary: 0,
            preempted_by: [0; Preemptor::ALL.len()],
            clock_skip_ns: 0,
            throttled_ns: 0,
            last_slice_ns: 0,
        }
    }

    pub(super) fn rotate(&mut self) {
        self.wait.windowed.rotate();
        self.slice.windowed.rotate();
    }

    /// A copy of the totals; `None` when no task has switched.
    pub(super) fn totals(&self) -> Option<SchedTotals> {
        let &Self {
            ref wait,
            ref slice,
            voluntary,
            involuntary,
            preempted_by,
            clock_skip_ns,
            throttled_ns,
            last_slice_ns: _,
        } = self;
        self.has_switched().then(|| SchedTotals {
            wait: wait.cumulative.clone(),
            slice: slice.cumulative.clone(),
            voluntary,
            involuntary,
            preempted_by,
            clock_skip_ns,
            throttled_ns,
        })
    }

    pub(super) fn into_totals(self) -> Option<SchedTotals> {
        let switched = self.has_switched();
        let Self {
            wait,
            slice,
            voluntary,
            involuntary,
            preempted_by,
            clock_skip_ns,
            throttled_ns,
            last_slice_ns: _,
        } = self;
        switched.then_some(SchedTotals {
            wait: wait.cumulative,
            slice: slice.cumulative,
            voluntary,
            involuntary,
            preempted_by,
            clock_skip_ns,
            throttled_ns,
        })
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.wait.heap_bytes() + self.slice.heap_bytes()
    }

    /// A slice is not counted without a switch, so it need not be asked for.
    const fn has_switched(&self) -> bool {
        self.voluntary > 0 || self.involuntary > 0 || !self.wait.cumulative.is_empty()
    }
}

/// The cgroups of the sample before: a CPU's samples form a chain (who got the CPU is who leaves it
/// next), and two tasks often alternate. So most look-ups are a comparison.
#[derive(Clone, Copy)]
struct Recent {
    id: u64,
    slot: u32,
}

impl Recent {
    /// Before the first sample. Found by no one, as it is never compared without its slot.
    const NONE: Self = Self {
        id: 0,
        slot: u32::MAX,
    };

    const fn is(self, id: u64) -> bool {
        self.id == id && self.slot != u32::MAX
    }
}

impl CgroupWindows {
    /// Records context switches, their cgroup ids being those of `hierarchy`.
    ///
    /// One sample is one event, of which two parts can be measured: the wait of the task that got
    /// the CPU and the slice of the one that left it. Where one part is unknown or out of range the
    /// other is still recorded, and the event is lost for that reason; where both are, for the
    /// wait's. A switch between idle tasks, which has neither part, is filtered.
    pub fn record_sched(
        &mut self,
        hierarchy: HierarchyId,
        samples: &[SchedSample],
    ) -> BatchOutcome {
        let mut outcome = BatchOutcome::default();
        let mut last_next = Recent::NONE;
        let mut last_prev = Recent::NONE;
        for (position, sample) in samples.iter().enumerate() {
            let next_idle = sample.has(SchedSample::FLAG_NEXT_IDLE);
            let prev_idle = sample.has(SchedSample::FLAG_PREV_IDLE);
            if next_idle && prev_idle {
                outcome.filtered += 1;
                continue;
            }
            let mut overflow = false;
            let mut lost = None;
            let mut next_class = None;
            // Both look-ups come before `last_*` change, as each wants the other's.
            let prev = (!prev_idle)
                .then(|| self.recent_slot(hierarchy, sample.prev_cgroup, last_next, last_prev));
            let next = (!next_idle)
                .then(|| self.recent_slot(hierarchy, sample.next_cgroup, last_prev, last_next));

            if let Some(next) = next {
                last_next = next;
                overflow |= next.slot == OVERFLOW;
                let slot = &mut self.slots[next.slot as usize];
                next_class = Some(slot.class);
                if sample.has(SchedSample::FLAG_NO_WAIT) {
                    lost = Some(unknown_span(sample));
                } else if slot.sched.wait.record(sample.wait_ns()).is_err() {
                    lost = Some(LossReason::OutOfRange);
                } else {
                    slot.sched.clock_skip_ns += sample.skip_ns();
                    slot.sched.throttled_ns += sample.throttled_ns();
                    if sample.wait_ns() > slot.slow.wait {
                        let mark = SlowMark {
                            cgroup: CgroupKey::new(hierarchy, sample.next_cgroup),
                            position,
                            span: SlowSpan::Wait,
                            ns: sample.wait_ns(),
                        };
                        self.slow.keep(&mut slot.slow, mark);
                    }
                }
            }
            if let Some(prev) = prev {
                last_prev = prev;
                overflow |= prev.slot == OVERFLOW;
                let slot = &mut self.slots[prev.slot as usize];
                let prev_class = slot.class;
                let sched = &mut slot.sched;
                if sample.has(SchedSample::FLAG_NO_SLICE) {
                    lost = lost.or_else(|| Some(unknown_span(sample)));
                } else if sched.slice.record(sample.slice_ns()).is_err() {
                    lost = lost.or(Some(LossReason::OutOfRange));
                } else {
                    sched.last_slice_ns = sample.slice_ns();
                }
                if sample.has(SchedSample::FLAG_INVOLUNTARY) {
                    sched.involuntary += 1;
                    if let Some(next_class) = next_class
                        && let Some(by) = preemptor(sample, prev_class, next_class)
                    {
                        sched.preempted_by[by as usize] += 1;
                    }
                } else {
                    sched.voluntary += 1;
                }
            }
            self.overflowed += u64::from(overflow);
            outcome.count(lost);
        }
        outcome
    }

    #[inline]
    fn recent_slot(
        &mut self,
        hierarchy: HierarchyId,
        id: u64,
        likely: Recent,
        less_likely: Recent,
    ) -> Recent {
        if likely.is(id) {
            likely
        } else if less_likely.is(id) {
            less_likely
        } else {
            Recent {
                id,
                slot: self.slot(CgroupKey::new(hierarchy, id)),
            }
        }
    }
}

/// Why the kernel side does not know a span.
const fn unknown_span(sample: &SchedSample) -> LossReason {
    LossReason::Kernel(if sample.has(SchedSample::FLAG_NEGATIVE) {
        KernelLoss::NegativeDelta
    } else {
        KernelLoss::NoTimestamp
    })
}

/// Who took the CPU, where neither task is the idle one; `None` when it is not to be counted.
fn preemptor(sample: &SchedSample, prev: Class, next: Class) -> Option<Preemptor> {
    if sample.has(SchedSample::FLAG_NEXT_KTHREAD) {
        return Some(Preemptor::Kernel);
    }
    // The ids, not the slots: two that share the overflow slot are not the same.
    if sample.prev_cgroup == sample.next_cgroup {
        return Some(Preemptor::SameContainer);
    }
    match (next, prev.container()) {
        (Class::System, _) => Some(Preemptor::System),
        (Class::Container(next) | Class::Own(Some(next)), Some(prev)) if next == prev => {
            Some(Preemptor::SameContainer)
        }
        (Class::Container(_), _) => Some(Preemptor::OtherContainer),
        (Class::Own(_), _) => None,
    }
}
