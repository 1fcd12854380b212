//! The windows of every cgroup: the store that samples are recorded in.
//!
//! One writer, no lock. A cgroup takes a slot with its first sample; that is the only allocation on
//! the way of a sample. When all slots are taken, samples of further cgroups are recorded in the
//! overflow slot, so that nothing is lost, only told apart no more.

use std::{collections::HashMap, mem, num::NonZeroU32};

use foldhash::fast::RandomState;

use super::{
    CgroupTotals, CgroupView, OomTotals, WindowedHistogram,
    block::BlockWindows,
    sched::SchedWindows,
    slow::{SlowLeftOut, SlowLimits, SlowMark, SlowThresholds, SlowWatch},
};
use crate::host::CgroupKey;

/// How much the windows may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSettings {
    /// How many windows a histogram keeps; at least 1.
    pub windows: usize,
    /// How many cgroups are told apart.
    pub max_cgroups: usize,
}

impl WindowSettings {
    /// See [`WindowedHistogram::DEFAULT_WINDOWS`].
    pub const DEFAULT_WINDOWS: usize = WindowedHistogram::DEFAULT_WINDOWS;

    /// Each more costs 300 bytes once it is known, up to 30 KiB while its tasks switch (6 KiB of that
    /// for good), and as much again while it does block I/O on one disk. So 16,384 that all switch
    /// are 500 MiB; hosts have hundreds, of which most idle.
    pub const DEFAULT_MAX_CGROUPS: usize = 16_384;
}

impl Default for WindowSettings {
    fn default() -> Self {
        Self {
            windows: Self::DEFAULT_WINDOWS,
            max_cgroups: Self::DEFAULT_MAX_CGROUPS,
        }
    }
}

/// What a cgroup is to others that it shares a CPU with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Class {
    /// No container's, or not known yet.
    #[default]
    System,
    /// The container's that has this number.
    Container(NonZeroU32),
    /// cgscope's own, where its taking of the CPU is not to be counted as a preemption; its container's
    /// number, if it is in one.
    Own(Option<NonZeroU32>),
}

impl Class {
    /// The number of the container, if it is one's.
    pub(super) const fn container(self) -> Option<NonZeroU32> {
        match self {
            Self::System => None,
            Self::Container(number) => Some(number),
            Self::Own(number) => number,
        }
    }
}

/// The windows and totals of every cgroup.
#[derive(Debug)]
pub struct CgroupWindows {
    settings: WindowSettings,
    /// The first is the overflow slot.
    pub(super) slots: Vec<Slot>,
    /// Slots whose cgroup was removed.
    free: Vec<u32>,
    index: HashMap<CgroupKey, u32, RandomState>,
    /// Cgroups that took a slot with a sample, and were not handed over yet.
    new: Vec<CgroupKey>,
    pub(super) overflowed: u64,
    pub(super) slow: SlowWatch,
}

/// The numbers of one cgroup.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) class: Class,
    pub(super) oom: OomTotals,
    pub(super) slow: SlowLimits,
    pub(super) sched: SchedWindows,
    /// Most cgroups do no block I/O.
    pub(super) block: Option<Box<BlockWindows>>,
}

/// The slot that takes what has no slot of its own.
pub(super) const OVERFLOW: u32 = 0;

impl CgroupWindows {
    /// Empty.
    #[must_use]
    pub fn new(settings: WindowSettings) -> Self {
        let settings = WindowSettings {
            windows: settings.windows.max(1),
            max_cgroups: settings.max_cgroups.min(u32::MAX as usize - 1),
        };
        Self {
            settings,
            slots: vec![Slot::empty(settings.windows)],
            free: Vec::new(),
            index: HashMap::default(),
            new: Vec::new(),
            overflowed: 0,
            slow: SlowWatch::OFF,
        }
    }

    /// Says what a cgroup is. One that is a container's, or cgscope's own, gets its slot now, so that its first sample
    /// finds the class there; being known to the caller, it is not handed over as new. Call it for
    /// the hierarchies that samples are attributed in, not for all that the container is in.
    pub fn set_class(&mut self, key: CgroupKey, class: Class) {
        let slot = match (self.index.get(&key), class) {
            (Some(&slot), _) => slot,
            (None, Class::System) => return,
            (None, Class::Container(_) | Class::Own(_)) => self.admit(key),
        };
        if slot != OVERFLOW {
            let slot = &mut self.slots[slot as usize];
            slot.class = class;
            self.slow.limit(slot);
        }
    }

    /// Counts an OOM victim of the cgroup.
    pub fn record_oom_victim(&mut self, key: CgroupKey) {
        self.slot_of_event(key).oom.victim += 1;
    }

    /// Counts an OOM kill because of the cgroup's limit.
    pub fn record_oom_limit_owner(&mut self, key: CgroupKey) {
        self.slot_of_event(key).oom.limit_owner += 1;
    }

    /// The cgroups that took a slot with a sample or an OOM kill since the last call.
    pub fn take_new(&mut self) -> Vec<CgroupKey> {
        mem::take(&mut self.new)
    }

    /// The numbers of a cgroup, if it has a slot.
    #[must_use]
    pub fn get(&self, key: CgroupKey) -> Option<CgroupView<'_>> {
        self.index
            .get(&key)
            .map(|&slot| CgroupView::new(&self.slots[slot as usize]))
    }

    /// The numbers of all that had no slot.
    #[must_use]
    pub fn overflow(&self) -> CgroupView<'_> {
        CgroupView::new(&self.slots[OVERFLOW as usize])
    }

    /// How many samples and OOM kills went, in whole or in part, to the overflow slot.
    #[must_use]
    pub const fn overflowed(&self) -> u64 {
        self.overflowed
    }

    /// Forgets a cgroup, and hands over its totals. A sample of it that comes later makes it a new
    /// cgroup.
    pub fn remove(&mut self, key: CgroupKey) -> Option<CgroupTotals> {
        let slot = self.index.remove(&key)?;
        self.free.push(slot);
        self.new.retain(|new| *new != key);
        let empty = Slot::empty(self.settings.windows);
        Some(mem::replace(&mut self.slots[slot as usize], empty).into_totals())
    }

    /// Closes the current window of every histogram, and begins the next.
    pub fn rotate(&mut self) {
        for slot in &mut self.slots {
            slot.sched.rotate();
            if let Some(block) = &mut slot.block {
                block.rotate();
            }
        }
        self.limit_all();
    }

    /// How many values are marked as slow in a round.
    pub const MAX_SLOW: usize = SlowWatch::MAX_KEPT as usize;

    /// Marks values of containers as slow from now on, or no longer.
    pub fn watch_slow(&mut self, thresholds: SlowThresholds) {
        self.slow.watch(thresholds);
        self.limit_all();
    }

    /// The values marked as slow since [`clear_slow_marks`](Self::clear_slow_marks), in their order.
    #[must_use]
    pub fn slow_marks(&self) -> &[SlowMark] {
        self.slow.marks()
    }

    /// Forgets them.
    pub fn clear_slow_marks(&mut self) {
        self.slow.clear_marks();
    }

    /// Begins anew to count how many values may be marked, and tells how many could not be.
    pub fn begin_slow_round(&mut self) -> SlowLeftOut {
        self.slow.next_round()
    }

    fn limit_all(&mut self) {
        let slots = self.slots.iter_mut();
        slots.for_each(|slot| self.slow.limit(slot));
    }

    /// The cgroups that have a slot, in no order.
    #[must_use]
    pub fn keys(&self) -> impl ExactSizeIterator<Item = CgroupKey> + '_ {
        self.index.keys().copied()
    }

    /// Memory that it holds beyond its own size, bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let entry = size_of::<(CgroupKey, u32)>() + 1;
        self.slots.iter().map(Slot::heap_bytes).sum::<usize>()
            + self.slots.capacity() * size_of::<Slot>()
            + self.free.capacity() * size_of::<u32>()
            + self.new.capacity() * size_of::<CgroupKey>()
            + self.slow.heap_bytes()
            // A table is at most 7/8 full; its capacity is what it holds then.
            + self.index.capacity() * 8 / 7 * entry
    }

    pub(super) const fn windows(&self) -> usize {
        self.settings.windows
    }

    /// The slot of a cgroup that a sample names.
    #[inline]
    pub(super) fn slot(&mut self, key: CgroupKey) -> u32 {
        match self.index.get(&key) {
            Some(&slot) => slot,
            None => self.admit_new(key),
        }
    }

    fn slot_of_event(&mut self, key: CgroupKey) -> &mut Slot {
        let slot = self.slot(key);
        self.overflowed += u64::from(slot == OVERFLOW);
        &mut self.slots[slot as usize]
    }

    #[cold]
    fn admit_new(&mut self, key: CgroupKey) -> u32 {
        let slot = self.admit(key);
        if slot != OVERFLOW {
            self.new.push(key);
        }
        slot
    }

    /// Gives a cgroup a slot, if there is one left.
    fn admit(&mut self, key: CgroupKey) -> u32 {
        if self.index.len() >= self.settings.max_cgroups {
            return OVERFLOW;
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::empty(self.settings.windows));
            // `max_cgroups` is below `u32::MAX`.
            u32::try_from(self.slots.len() - 1).unwrap_or(OVERFLOW)
        });
        self.index.insert(key, slot);
        slot
    }
}

impl Slot {
    fn empty(windows: usize) -> Self {
        Self {
            class: Class::System,
            oom: OomTotals::default(),
            slow: SlowLimits::NONE,
            sched: SchedWindows::new(windows),
            block: None,
        }
    }

    fn into_totals(self) -> CgroupTotals {
        let Self {
            class: _,
            oom,
            slow: _,
            sched,
            block,
        } = self;
        CgroupTotals {
            sched: sched.into_totals(),
            block: block.map_or_else(Vec::new, |block| block.into_totals()),
            oom,
        }
    }

    fn heap_bytes(&self) -> usize {
        let Self {
            class: _,
            oom: _,
            slow: _,
            sched,
            block,
        } = self;
        let block = block
            .as_ref()
            .map_or(0, |block| size_of::<BlockWindows>() + block.heap_bytes());
        sched.heap_bytes() + block
    }
}
