//! Where the events of a batch went: the figures that conservation is checked with.

use collector_common::signal::KernelLoss;

/// Why an event was lost, on either side of the kernel border.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LossReason {
    /// Lost in the kernel.
    Kernel(KernelLoss),
    /// A span above what a histogram holds.
    OutOfRange,
    /// A record that is not what the kernel side writes.
    Malformed,
}

impl LossReason {
    /// Every reason, by [`LossReason::index`].
    pub const ALL: [Self; 6] = [
        Self::Kernel(KernelLoss::RingFull),
        Self::Kernel(KernelLoss::NegativeDelta),
        Self::Kernel(KernelLoss::NoTimestamp),
        Self::Kernel(KernelLoss::Recursion),
        Self::OutOfRange,
        Self::Malformed,
    ];

    /// The name in the `reason` label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kernel(reason) => reason.name(),
            Self::OutOfRange => "out_of_range",
            Self::Malformed => "malformed",
        }
    }

    /// Where it is in [`LossReason::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Kernel(reason) => reason as usize,
            Self::OutOfRange => KernelLoss::ALL.len(),
            Self::Malformed => KernelLoss::ALL.len() + 1,
        }
    }
}

/// Lost events, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LossCounts([u64; LossReason::ALL.len()]);

impl LossCounts {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self([0; LossReason::ALL.len()])
    }

    /// Counts `events` more for a reason.
    pub const fn add(&mut self, reason: LossReason, events: u64) {
        self.0[reason.index()] += events;
    }

    /// The events of one reason.
    #[must_use]
    pub const fn of(&self, reason: LossReason) -> u64 {
        self.0[reason.index()]
    }

    /// The events of all reasons.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Every reason with its events, in the order of [`LossReason::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (LossReason, u64)> {
        LossReason::ALL.into_iter().zip(self.0)
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        for (into, from) in self.0.iter_mut().zip(&other.0) {
            *into += from;
        }
    }
}

/// What became of a batch: `recorded + filtered + lost` is the number of its samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchOutcome {
    /// Samples whose every measurement is in a window or a total.
    pub recorded: u64,
    /// Samples left out by rule.
    pub filtered: u64,
    /// Samples of which at least one measurement is missing, each under one reason.
    pub lost: LossCounts,
}

impl BatchOutcome {
    /// All of `events` recorded.
    #[must_use]
    pub fn all_recorded(events: u64) -> Self {
        Self {
            recorded: events,
            ..Self::default()
        }
    }

    /// All samples.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.recorded + self.filtered + self.lost.total()
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        let Self {
            recorded,
            filtered,
            lost,
        } = other;
        self.recorded += recorded;
        self.filtered += filtered;
        self.lost.merge(lost);
    }

    /// Counts one sample: lost for the reason, if there is one.
    #[inline]
    pub(super) const fn count(&mut self, lost: Option<LossReason>) {
        match lost {
            None => self.recorded += 1,
            Some(reason) => self.lost.add(reason, 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_the_index_of_its_place() {
        for (place, reason) in LossReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), place, "{}", reason.name());
        }
    }

    #[test]
    fn a_reason_is_counted_as_itself() {
        let mut counts = LossCounts::new();
        for (place, reason) in LossReason::ALL.into_iter().enumerate() {
            counts.add(reason, 1 << place);
        }
        let mut twice = counts;
        twice.merge(&counts);
        for (place, (reason, events)) in twice.iter().enumerate() {
            assert_eq!(reason, LossReason::ALL[place]);
            assert_eq!(events, 2 << place);
            assert_eq!(counts.of(reason), 1 << place);
        }
        assert_eq!((counts.total(), twice.total()), (63, 126));
    }

    #[test]
    fn merged_outcomes_keep_their_sum() {
        let mut outcome = BatchOutcome {
            recorded: 1,
            filtered: 2,
            lost: LossCounts::new(),
        };
        outcome.count(Some(LossReason::OutOfRange));
        outcome.count(None);
        let mut merged = outcome;
        merged.merge(&outcome);
        assert_eq!(
            (merged.recorded, merged.filtered, merged.lost.total()),
            (4, 4, 2)
        );
        assert_eq!(merged.total(), 2 * outcome.total());
    }
}
