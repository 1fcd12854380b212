//! Which samples have spans, and what became of those that have none: what a scrape is told.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use crate::{
    catalog::OwnerId,
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
    exemplars: Mutex<HashMap<OwnerId, Vec<Exemplar>>>,
    losses: [AtomicU64; LifeLoss::ALL.len()],
}

/// Exemplars of one cgroup: a bucket each of a few series.
const MAX_OF_CGROUP: usize = 64;

/// Cgroups with exemplars.
const MAX_CGROUPS: usize = 4_096;

/// An older one is shown no more: collectors keep traces for some time only, and so do people.
const MAX_AGE: Duration = Duration::from_mins(15);

impl LivesView {
    /// A sample has a span, that was put where it will be sent from. It takes the place of the one before in the
    /// same classic bucket of the same series.
    pub fn put(&self, owner: OwnerId, exemplar: Exemplar) {
        let mut all = self.exemplars();
        if all.len() >= MAX_CGROUPS && !all.contains_key(&owner) {
            // Those of whose end nothing was heard.
            all.retain(|_, of| of.iter().any(|known| is_recent(known, exemplar.at)));
            if all.len() >= MAX_CGROUPS {
                return;
            }
        }
        let of_cgroup = all.entry(owner).or_default();
        let is_same = |known: &Exemplar| {
            known.of == exemplar.of && bucket(known.value_ns) == bucket(exemplar.value_ns)
        };
        // What came before can be told later.
        if of_cgroup
            .iter()
            .any(|known| is_same(known) && known.at > exemplar.at)
        {
            return;
        }
        of_cgroup.retain(|known| !is_same(known) && is_recent(known, exemplar.at));
        if of_cgroup.len() >= MAX_OF_CGROUP {
            of_cgroup.remove(0);
        }
        of_cgroup.push(exemplar);
    }

    /// Nothing of that owner is kept any more.
    pub fn forget(&self, owner: OwnerId) {
        self.exemplars().remove(&owner);
    }

    /// Puts the exemplars of each row into it.
    pub fn fill(&self, scrape: &mut Scrape, now: SystemTime) {
        let all = self.exemplars();
        for (row, life) in scrape.cgroups.iter_mut().zip(&scrape.lives) {
            let of_row = life.as_ref().and_then(|life| all.get(&life.owner));
            let recent = of_row.into_iter().flatten();
            row.exemplars = recent.filter(|of| is_recent(of, now)).copied().collect();
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

    fn exemplars(&self) -> MutexGuard<'_, HashMap<OwnerId, Vec<Exemplar>>> {
        self.exemplars
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn bucket(ns: u64) -> usize {
    Cumulative::CLASSIC_BOUNDS_NS.partition_point(|bound| *bound < ns)
}

fn is_recent(exemplar: &Exemplar, now: SystemTime) -> bool {
    now.duration_since(exemplar.at)
        .is_ok_and(|age| age < MAX_AGE)
        || exemplar.at > now
}
