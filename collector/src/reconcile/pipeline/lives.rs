//! What those who tell of containers' lives are given: what happened, and where a life stands.

use std::sync::Arc;

use collector_common::event::OomEvent;

use super::{Life, Pipeline};
use crate::{
    catalog::{Identity, Owner, OwnerId},
    host::{CgroupKey, clock::Ktime},
    reconcile::{
        moments::{Moment, Moments, OomKill, OomLimit, Standing},
        roll_up::RollUp,
        snapshot::SchedSums,
    },
    window::{Quantiles, WindowSignal},
};

/// What the events of a life add up to: of its cgroup with all below it, as readings are.
#[derive(Clone, Debug)]
pub struct LifeTotals {
    /// For its last reading.
    pub life: Life,
    /// What its tasks ran and waited.
    pub sched: SchedSums,
    /// The 99th percentile of the latest waits, ns; absent when there were none of late.
    pub wait_p99_ns: Option<u64>,
}

impl Pipeline {
    /// Keeps what happens to containers from now on, until it is taken; each time that there is more than can be
    /// kept, that is said.
    pub fn watch_lives(&mut self) {
        self.moments = Some(Moments::default());
    }

    /// What happened to containers since this was last asked.
    pub fn take_moments(&mut self) -> Moments {
        let taken = self.moments.as_mut().map(Moments::take).unwrap_or_default();
        if taken.missed > 0 {
            // Who came meanwhile is told once more.
            let there: Vec<_> = self
                .table
                .owners()
                .filter(|(_, of)| of.exited().is_none() && of.identity.own_container().is_some())
                .map(|(owner, of)| (owner, Arc::clone(&of.identity)))
                .collect();
            for (owner, identity) in there {
                self.moment(Moment::There {
                    owner,
                    identity,
                    is_new: false,
                });
            }
        }
        taken
    }

    /// Where these lives stand; `None` for one that is not the latest of its owner.
    #[must_use]
    pub fn standings(&self, lives: &[(OwnerId, u32)]) -> Vec<Option<Standing>> {
        let standing = |(id, generation): &(OwnerId, u32)| {
            let owner = self.table.owner(*id)?;
            let is_it = owner.identity.generation == *generation;
            is_it.then(|| Standing {
                identity: Arc::clone(&owner.identity),
                key: owner
                    .latest_keys()
                    .into_iter()
                    .find(|key| key.hierarchy == self.tasks),
                removed: owner.exited(),
            })
        };
        lives.iter().map(standing).collect()
    }

    /// What the events of these lives add up to; `None` for one that is not the latest of its owner. All of them at
    /// once: each cgroup is looked at, whether it is below one.
    #[must_use]
    pub fn life_totals(&self, lives: &[(OwnerId, u32)]) -> Vec<Option<LifeTotals>> {
        let latest = |(id, generation): &(OwnerId, u32)| {
            let owner = self.table.owner(*id)?;
            (owner.identity.generation == *generation).then_some((*id, owner))
        };
        let tops: Vec<_> = lives.iter().map(latest).collect();
        let owners: Vec<_> = tops.iter().flatten().map(|(_, owner)| *owner).collect();
        let mut trees = RollUp::trees(&self.table, &owners).into_iter();
        let totals = tops.into_iter().map(|top| {
            let (id, owner) = top?;
            let tree = trees.next()?;
            Some(self.totals_of_tree(self.life(id, owner), &tree))
        });
        totals.collect()
    }

    fn totals_of_tree(&self, life: Life, tree: &[(OwnerId, &Owner)]) -> LifeTotals {
        let keys = || tree.iter().flat_map(|(_, owner)| owner.keys());
        let views = || keys().filter_map(|key| self.windows.get(key));
        let mut sched = SchedSums::default();
        for (id, _) in tree {
            sched.add(self.roll_up.gone_below(*id));
        }
        for view in views() {
            sched.add(SchedSums::of(&view.totals()));
        }
        let waits = views().filter_map(|view| view.windowed(WindowSignal::RunqueueLatency));
        let p99 = Quantiles::RANKS.iter().position(|rank| *rank >= 0.99);
        LifeTotals {
            life,
            sched,
            wait_p99_ns: Quantiles::of(waits)
                .and_then(|of| p99.and_then(|rank| of.values_ns.get(rank).copied())),
        }
    }

    /// The container's own cgroup that this one is in: itself, or one above.
    #[must_use]
    pub fn container_around(&self, owner: OwnerId) -> Option<OwnerId> {
        let of = self.table.owner(owner)?;
        if of.identity.own_container().is_some() {
            return Some(owner);
        }
        of.identity.container.as_ref()?;
        let mut path = of.path();
        while let Some(end) = path.iter().rposition(|byte| *byte == b'/') {
            path = &path[..end];
            if let Some((above, of)) = self.table.owner_at(path)
                && of.identity.own_container().is_some()
            {
                return Some(above);
            }
        }
        None
    }

    /// Who an owner is.
    #[must_use]
    pub fn identity(&self, owner: OwnerId) -> Option<Arc<Identity>> {
        let owner = self.table.owner(owner)?;
        Some(Arc::clone(&owner.identity))
    }

    pub(super) fn moment(&mut self, moment: Moment) {
        if let Some(moments) = &mut self.moments {
            moments.push(moment);
        }
    }

    pub(super) fn moment_of_oom(
        &mut self,
        event: &OomEvent,
        victim: Option<CgroupKey>,
        comm: &[u8],
    ) {
        if self.moments.is_none() {
            return;
        }
        let flag = |flag: u32| event.flags & flag != 0;
        let owner_of = |key| {
            let (id, owner) = self.table.owner_of(key)?;
            Some((id, Arc::clone(&owner.identity)))
        };
        let limit = if flag(OomEvent::FLAG_GLOBAL) {
            OomLimit::Host
        } else if flag(OomEvent::FLAG_LIMIT_OWNER) {
            let key = CgroupKey::new(self.memory, event.limit_owner_cgroup);
            owner_of(key).map_or(OomLimit::Unknown, |(_, of)| OomLimit::Cgroup(of))
        } else {
            OomLimit::Unknown
        };
        let kill = OomKill {
            victim: victim.and_then(owner_of),
            pid: event.victim_pid,
            comm: comm.escape_ascii().to_string(),
            limit,
            at: Ktime::from_ns(event.header.ktime_ns),
        };
        self.moment(Moment::OomKill(Box::new(kill)));
    }
}
