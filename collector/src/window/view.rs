//! The numbers of one cgroup, to read.

use super::{
    BlockTotals, CgroupTotals, Class, OomTotals, Quantiles, SchedTotals, WindowSignal,
    WindowedHistogram, cgroups::Slot,
};

/// The numbers of one cgroup, or of the overflow, where they are stored. What leaves it is a copy.
#[derive(Clone, Copy, Debug)]
pub struct CgroupView<'a> {
    slot: &'a Slot,
}

impl<'a> CgroupView<'a> {
    pub(super) const fn new(slot: &'a Slot) -> Self {
        Self { slot }
    }

    pub(super) const fn slot(self) -> &'a Slot {
        self.slot
    }

    /// What the cgroup is said to be.
    #[must_use]
    pub const fn class(self) -> Class {
        self.slot.class
    }

    /// What its tasks waited and ran; `None` when none has switched.
    #[must_use]
    pub fn sched(self) -> Option<SchedTotals> {
        self.slot.sched.totals()
    }

    /// Its block I/O, one entry per device and operation.
    #[must_use]
    pub fn block(self) -> Vec<BlockTotals> {
        self.slot
            .block
            .as_ref()
            .map_or_else(Vec::new, |block| block.totals.clone())
    }

    /// OOM kills.
    #[must_use]
    pub const fn oom(self) -> OomTotals {
        self.slot.oom
    }

    /// All of these.
    #[must_use]
    pub fn totals(self) -> CgroupTotals {
        CgroupTotals {
            sched: self.sched(),
            block: self.block(),
            oom: self.oom(),
        }
    }

    /// The windows of a signal; `None` when the cgroup has none of the kind.
    #[must_use]
    pub fn windowed(self, signal: WindowSignal) -> Option<&'a WindowedHistogram> {
        let Slot {
            class: _,
            oom: _,
            slow: _,
            sched,
            block,
        } = self.slot;
        match signal {
            WindowSignal::RunqueueLatency => Some(&sched.wait.windowed),
            WindowSignal::OncpuSlice => Some(&sched.slice.windowed),
            WindowSignal::BlockIoQueue => block.as_ref().map(|block| &block.queue),
            WindowSignal::BlockIoDevice => block.as_ref().map(|block| &block.in_device),
        }
    }

    /// The quantiles of a signal; `None` when its windows have no value.
    #[must_use]
    pub fn quantiles(self, signal: WindowSignal) -> Option<Quantiles> {
        Quantiles::of(self.windowed(signal))
    }
}
