//! Which samples have spans, and what became of those that have none: what a scrape is told.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    catalog::OwnerId,
    host::clock::Ktime,
    reconcile::{
        Scrape,
        moments::{LifeLoss, LifeLosses},
        snapshot::Exemplar,
    },
    window::Cumulative,
};

/// What a scrape is told of containers' lives. Its lock is held for a look-up, never for work.
#[derive(Debug, Default)]
pub struct LivesView {
    exemplars: Mutex<HashMap<OwnerId, Vec<Kept>>>,
    losses: [AtomicU64; LifeLoss::ALL.len()],
}

/// An exemplar, and when its sample was taken on the clock that nobody sets: of two, the calendar does not tell which is
/// the later one.
#[derive(Clone, Copy, Debug)]
struct Kept {
    taken: Ktime,
    exemplar: Exemplar,
}

/// Exemplars of one cgroup: a bucket each of a few series.
const MAX_OF_CGROUP: usize = 64;

/// Cgroups with exemplars.
const MAX_CGROUPS: usize = 4_096;

/// An older one is shown no more: collectors keep traces for some time only, and so do people.
const MAX_AGE: Duration = Duration::from_mins(15);

impl LivesView {
    /// A sample, taken at that time, has a span, that was put where it will be sent from. It takes the place of the one
    /// before in the same classic bucket of the same series.
    pub fn put(&self, owner: OwnerId, taken: Ktime, exemplar: Exemplar) {
        let mut all = self.exemplars();
        if all.len() >= MAX_CGROUPS && !all.contains_key(&owner) {
            // Those of whose end nothing was heard.
            all.retain(|_, of| of.iter().any(|known| known.is_recent(taken)));
            if all.len() >= MAX_CGROUPS {
                return;
            }
        }
        let new = Kept { taken, exemplar };
        let of_cgroup = all.entry(owner).or_default();
        // What came before can be told later.
        let mut same = of_cgroup.iter().filter(|known| known.is_instead_of(&new));
        if same.any(|known| known.taken > taken) {
            return;
        }
        of_cgroup.retain(|known| !known.is_instead_of(&new) && known.is_recent(taken));
        if of_cgroup.len() >= MAX_OF_CGROUP {
            of_cgroup.remove(0);
        }
        of_cgroup.push(new);
    }

    /// Nothing of that owner is kept any more.
    pub fn forget(&self, owner: OwnerId) {
        self.exemplars().remove(&owner);
    }

    /// Puts the exemplars of each row into it.
    pub fn fill(&self, scrape: &mut Scrape, now: Ktime) {
        let all = self.exemplars();
        for (row, life) in scrape.cgroups.iter_mut().zip(&scrape.lives) {
            let of_row = life.as_ref().and_then(|life| all.get(&life.owner));
            let recent = of_row.into_iter().flatten().filter(|of| of.is_recent(now));
            row.exemplars = recent.map(|of| of.exemplar).collect();
        }
    }

    /// Counts what is in no span.
    pub fn lose(&self, loss: LifeLoss, count: u64) {
        self.losses[loss as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// How much was in no span.
    #[must_use]
    pub fn losses(&self) -> LifeLosses {
        let mut losses = LifeLosses::default();
        for (loss, count) in losses.iter_mut().zip(&self.losses) {
            *loss = count.load(Ordering::Relaxed);
        }
        losses
    }

    fn exemplars(&self) -> MutexGuard<'_, HashMap<OwnerId, Vec<Kept>>> {
        self.exemplars
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Whether only one of the two is shown: both are in one bucket of one series.
    fn is_instead_of(&self, other: &Self) -> bool {
        self.exemplar.of == other.exemplar.of
            && bucket(self.exemplar.value_ns) == bucket(other.exemplar.value_ns)
    }

    fn is_recent(&self, now: Ktime) -> bool {
        now.0.saturating_sub(self.taken.0) < MAX_AGE
    }
}

fn bucket(ns: u64) -> usize {
    Cumulative::CLASSIC_BOUNDS_NS.partition_point(|bound| *bound < ns)
}
