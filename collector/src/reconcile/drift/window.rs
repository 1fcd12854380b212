//! The time since the last comparison of one quantity of one container.

use super::{
    explain::{Growth, Sides},
    quantity::DriftQuantity,
};

/// The time since the last comparison of one quantity.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    base: Option<Sides>,
    /// As they were at the last look.
    seen: Option<Sides>,
    compared: Option<Compared>,
}

/// What a comparison found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compared {
    /// What is not explained.
    pub(super) difference: u64,
    /// What is.
    pub(super) explained: u64,
    /// Whether the events are more.
    pub(super) is_more: bool,
    pub(super) size: u64,
    /// In which round.
    pub(super) round: u64,
}

impl Compared {
    /// Of what came in a window.
    pub(super) fn of(growth: &Growth, round: u64) -> Self {
        let unexplained = growth.unexplained();
        let difference = u64::try_from(unexplained.unsigned_abs()).unwrap_or(u64::MAX);
        Self {
            difference,
            explained: growth.events.abs_diff(growth.kernel) - difference,
            is_more: unexplained > 0,
            size: growth.size(),
            round,
        }
    }

    /// The difference as a share of the larger side.
    pub(super) fn ratio(&self) -> f64 {
        share(self.difference, self.size)
    }
}

impl Window {
    /// One that begins at `base`, or where it is first looked at.
    pub(super) const fn since(base: Option<Sides>) -> Self {
        Self {
            base,
            seen: None,
            compared: None,
        }
    }

    /// Both sides as they were at the last look.
    pub(super) const fn seen(&self) -> Option<&Sides> {
        self.seen.as_ref()
    }

    /// What the last comparison found.
    pub(super) const fn compared(&self) -> Option<Compared> {
        self.compared
    }

    /// Compares what came since the base, once it is enough, and makes `now` the base.
    pub(super) fn compare(
        &mut self,
        quantity: DriftQuantity,
        now: Option<Sides>,
        round: u64,
    ) -> Option<Compared> {
        self.seen.clone_from(&now);
        let (Some(base), Some(now)) = (&self.base, &now) else {
            self.base = now;
            return None;
        };
        let Some(growth) = now.since(base) else {
            self.base = Some(now.clone());
            return None;
        };
        if growth.size() < quantity.least() {
            return None;
        }
        let compared = Compared::of(&growth, round);
        self.compared = Some(compared);
        // OOM kills are so few that all since the beginning are compared.
        if quantity != DriftQuantity::OomKills {
            self.base = Some(now.clone());
        }
        Some(compared)
    }

    /// What came since the base, at its end.
    pub(super) fn rest(&self, now: Option<Sides>) -> Option<Growth> {
        now?.since(self.base.as_ref()?)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a ratio, shown with a few digits"
)]
pub(super) fn share(part: u64, of: u64) -> f64 {
    part as f64 / of.max(1) as f64
}
