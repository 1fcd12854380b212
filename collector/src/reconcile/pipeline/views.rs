//! What goes out: the rows of a scrape and of a listing, and what events add up to.

use std::{collections::HashMap, sync::Arc};

use super::{Life, OTHER, Pipeline, Scrape};
use crate::{
    catalog::{ContainerRef, Identity, Names, Onlooker, Owner, OwnerId, RuntimeContainer},
    drain::InFlight,
    host::{CgroupKey, clock::Ktime},
    reconcile::{
        drift::{Checkpoint, CheckpointWish, OwnerSums},
        listing::ListedCgroup,
        snapshot::{CgroupStats, KernelReading, LifeEvents, SchedSums},
    },
    window::{CgroupTotals, EventSums, OomTotals, Quantiles, WindowSignal},
};

impl Pipeline {
    /// All numbers as they are now. Whoever looks at them says so: see [`note_look`](Self::note_look).
    pub fn scrape(&mut self) -> Scrape {
        let owners: Vec<_> = self.table.owners().collect();
        let (mut cgroups, mut lives): (Vec<_>, Vec<_>) = owners
            .iter()
            .map(|(id, owner)| (self.stats(*id, owner), Some(self.life(*id, owner))))
            .unzip();
        let overflow = SchedSums::of(&self.windows.overflow().totals());
        self.roll_up.add_up(&owners, &mut cgroups, overflow);
        if let Some(other) = self.other() {
            cgroups.push(other);
            lives.push(None);
        }
        Scrape {
            cgroups,
            lives,
            counts: self.table.counts(),
            events_overflowed: self.windows.overflowed(),
        }
    }

    /// Says that somebody has looked at all numbers: what is gone is kept until all have who look.
    pub fn note_look(&mut self, by: Onlooker, now: Ktime) {
        self.table.note_look(by, now);
    }

    /// Which cgroups there are, without their readings, the latest life of each, and how many found no
    /// place. Not a scrape: what is gone is kept no shorter for it.
    #[must_use]
    pub fn list(&self) -> (Vec<(ListedCgroup, Life)>, u64) {
        let cgroups = self
            .table
            .owners()
            .map(|(id, owner)| (ListedCgroup::of(owner), self.life(id, owner)))
            .collect();
        (cgroups, self.table.counts().overflowed)
    }

    /// Containers that have no cgroup here.
    #[must_use]
    pub fn containers_elsewhere(&self) -> Vec<Arc<RuntimeContainer>> {
        let has_cgroups = |of: &&Arc<RuntimeContainer>| !self.table.has_cgroups_of(&of.key());
        let elsewhere = self.table.roster().containers().filter(has_cgroups);
        elsewhere.map(Arc::clone).collect()
    }

    /// All containers that are known: those of which a runtime has told, and those that have cgroups.
    #[must_use]
    pub fn containers(&self) -> Vec<(ContainerRef, Option<Arc<RuntimeContainer>>)> {
        let roster = self.table.roster();
        let told = roster
            .containers()
            .map(|told| (told.key(), Some(Arc::clone(told))));
        let untold = self.table.owners().filter_map(|(_, owner)| {
            let key = owner.identity.own_container()?.key()?;
            let told = owner.identity.told.clone();
            roster.get(&key).is_none().then_some((key, told))
        });
        told.chain(untold).collect()
    }

    /// The paths of the cgroups that are there of a container.
    #[must_use]
    pub fn cgroups_of(&self, container: &ContainerRef) -> Vec<Vec<u8>> {
        let paths = self.table.cgroups_of(container);
        paths.map(<[u8]>::to_vec).collect()
    }

    /// The container that the cgroup at a path belongs to.
    #[must_use]
    pub fn container_of_path(&self, path: &[u8]) -> Option<ContainerRef> {
        let (_, owner) = self.table.owner_at(path)?;
        owner.identity.container.as_ref()?.key()
    }

    /// The container that a cgroup belongs to.
    #[must_use]
    pub fn container_at(&self, key: CgroupKey) -> Option<ContainerRef> {
        let (_, owner) = self.table.owner_of(key)?;
        owner.identity.container.as_ref()?.key()
    }

    pub(super) fn life(&self, owner_id: OwnerId, owner: &Owner) -> Life {
        Life {
            owner: owner_id,
            generation: owner.identity.generation,
            sums: owner.exited().map(|_| self.sums(owner)),
        }
    }

    /// What the events of an owner's latest life add up to: those of earlier ones are put aside.
    fn sums(&self, owner: &Owner) -> EventSums {
        let mut sums = EventSums::default();
        for view in owner.keys().filter_map(|key| self.windows.get(key)) {
            sums.add(&view.sums());
        }
        sums
    }

    /// What the events of these owners' latest lives add up to at `at`, with what is on its way.
    #[must_use]
    pub fn checkpoint(&self, wish: &CheckpointWish, in_flight: &InFlight, at: Ktime) -> Checkpoint {
        let mut on_its_way: HashMap<OwnerId, (EventSums, u32)> = HashMap::new();
        let owner_of = |hierarchy, cgroup| {
            let key = CgroupKey::new(hierarchy, cgroup);
            self.table.owner_of(key).map(|(owner, _)| owner)
        };
        for sample in &in_flight.sched {
            if let Some(owner) = owner_of(self.tasks, sample.prev_cgroup) {
                on_its_way.entry(owner).or_default().0.add_slice(sample);
            }
            if let Some(owner) = owner_of(self.tasks, sample.next_cgroup) {
                on_its_way.entry(owner).or_default().0.add_wait(sample);
            }
        }
        for sample in &in_flight.block {
            if let Some(owner) = owner_of(self.block, sample.cgroup) {
                let (sums, _) = on_its_way.entry(owner).or_default();
                sums.add_completion(sample, &self.operations);
            }
        }
        for running in &in_flight.running {
            if let Some(owner) = owner_of(self.tasks, running.cgroup) {
                let (sums, count) = on_its_way.entry(owner).or_default();
                let since = at.0.saturating_sub(running.since.0);
                sums.cpu_ns += u64::try_from(since.as_nanos()).unwrap_or(0);
                *count += 1;
            }
        }
        let is_wanted = |(id, owner): &(OwnerId, &Owner)| {
            wish.slice.has(*id)
                && owner
                    .exited_at()
                    .is_none_or(|exited| wish.has_ended(exited, at))
        };
        let owners = self.table.owners().filter(is_wanted).map(|(id, owner)| {
            let (sums, running) = on_its_way.remove(&id).unwrap_or_default();
            let mut all = self.sums(owner);
            all.add(&sums);
            OwnerSums {
                owner: id,
                identity: Arc::clone(&owner.identity),
                exited: owner.exited().is_some(),
                sums: all,
                running,
            }
        });
        let owners = owners.collect();
        let identities = self.table.owners();
        let identities = identities.map(|(id, owner)| (id, Arc::clone(&owner.identity)));
        Checkpoint {
            at,
            slice: wish.slice,
            owners,
            ended_until: Checkpoint::ended_until(at),
            identities: identities.collect(),
        }
    }

    fn stats(&self, id: OwnerId, owner: &Owner) -> CgroupStats {
        let mut totals = CgroupTotals::default();
        let views = || owner.keys().filter_map(|key| self.windows.get(key));
        for view in views() {
            totals.merge(&view.totals());
        }
        let sched = SchedSums::of(&totals);
        let life = LifeEvents {
            sched: (!sched.is_empty()).then_some(sched),
            limit_oom_kills: totals.oom.limit_owner,
        };
        if let Some(earlier) = self.put_aside.get(&id) {
            totals.merge(earlier);
        }
        let quantiles = WindowSignal::ALL.into_iter().filter_map(|signal| {
            let of = Quantiles::of(views().filter_map(|view| view.windowed(signal)))?;
            Some((signal, of))
        });
        let CgroupTotals { sched, block, oom } = totals;
        CgroupStats {
            identity: Arc::clone(&owner.identity),
            exited: owner.exited(),
            sched,
            block,
            oom,
            life,
            quantiles: quantiles.collect(),
            kernel: KernelReading::default(),
            exemplars: Vec::new(),
        }
    }

    /// The overflow row, once something went there.
    fn other(&self) -> Option<CgroupStats> {
        let overflow = self.windows.overflow();
        let mut totals = self.homeless.clone();
        totals.merge(&overflow.totals());
        let CgroupTotals { sched, block, oom } = totals;
        if sched.is_none() && block.is_empty() && oom == OomTotals::default() {
            return None;
        }
        let identity = Identity {
            path: OTHER.to_owned(),
            names: Names::default(),
            container: None,
            told: None,
            cgroup_version: 0,
            generation: 1,
            started: self.started,
            is_found: false,
        };
        let quantiles = WindowSignal::ALL
            .into_iter()
            .filter_map(|signal| Some((signal, overflow.quantiles(signal)?)));
        Some(CgroupStats {
            identity: Arc::new(identity),
            exited: None,
            sched,
            block,
            oom,
            life: LifeEvents::default(),
            quantiles: quantiles.collect(),
            kernel: KernelReading::default(),
            exemplars: Vec::new(),
        })
    }
}
