//! Are the events and the kernel's own counters of one mind?
//!
//! For each container that has no cgroups below it, what its events add up to is held against what the
//! kernel counted for it meanwhile, again and again while it is there, and once more when it is over, with
//! the last reading of its files. The two are compared and not merged: where they differ, one of them
//! is wrong, or something explains it. Explained differences are taken off:
//!
//! * a slice that is still running, or a sample in a CPU's batch, is in the sums already ([`InFlight`]);
//! * slices have the time that a hypervisor or interrupts took from them, the kernel's CPU time may not:
//!   as much as can have been taken from this container may be missing there. Which CPUs it had nobody
//!   tells: it is its share of what was taken from those where most was;
//! * requests that come back while the files are read are in the kernel's counters and not in events: as many
//!   may be missing as come in that time, if they come evenly;
//! * when a woken task preempts, the scheduler does not update its clock, and the end of the wait is CPU
//!   time to it: as much as was measured of that may be missing in the slices;
//! * the kernel counts block I/O as it was asked for, events as the disk was given it: this container's
//!   share of the requests that were merged on the disks may be missing. Bytes are not touched by that;
//! * a last reading right after the last process left lacks what came since the last tick, and what is
//!   written back after the end: a tick of CPU time, and any I/O, may be missing there. So a life that is
//!   over tells of I/O that events lack, and not of I/O that they have too much.
//!
//! Left out are:
//!
//! * cgroups with others below: the kernel's counters have those, too;
//! * the root, to which cgroup v1 charges what it cannot charge to others;
//! * disks that have no requests of their own (device mapper, RAID): they are in the kernel's counters alone;
//! * lives that ended before their files could be read, or whose path came back before they had their turn.
//!
//! Known, and not taken off, because no counter tells how much it is: requests that are on their way to a disk;
//! the slice in which a task joins a cgroup, which it brings, or leaves it; who has more than a fair share of
//! the merges shows as drift.
//!
//! [`InFlight`]: crate::drain::InFlight

mod checkpoint;
mod ended;
mod explain;
mod host;
mod quantity;
mod sides;
mod window;

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

pub use checkpoint::{Checkpoint, CheckpointWish, OwnerSums, Slice};
pub use quantity::DriftQuantity;

use self::{
    ended::{Ended, Sum},
    explain::Sides,
    host::HostLooks,
    sides::Disks,
    window::{Compared, Window},
};
use super::readings::{LastFigures, Latest};
use crate::{
    catalog::OwnerId,
    host::{cgroupfs::CgroupStatistics, clock::Ktime, host_counters::HostCounters},
    window::EventSums,
};

/// How far events and counters differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DriftRatio {
    /// In what.
    pub quantity: DriftQuantity,
    /// Of the container where they differ most: the unexplained difference, as a share of the larger
    /// side.
    pub worst: f64,
    /// Of all containers: differences and larger sides added up.
    pub total: f64,
}

/// Compares again and again.
#[derive(Debug)]
pub struct Drift {
    containers: HashMap<OwnerId, Container>,
    /// Those that had others below, and in which life: their counters have those for ever.
    had_others_below: HashMap<OwnerId, u32>,
    ended: Ended,
    host: HostLooks,
    disks: Disks,
    /// Rounds through all slices.
    round: u64,
}

#[derive(Debug)]
struct Container {
    generation: u32,
    /// CPU time of its events at the last look.
    cpu_ns: u64,
    windows: [Window; DriftQuantity::ALL.len()],
}

/// A comparison is told for so many rounds: a container that has become quiet has no drift any more. That
/// of OOM kills, which is of all since the beginning, is told as long as the container is there.
const TOLD_FOR: u64 = 6;

impl Drift {
    /// Nothing is compared yet, and the host's counters are these.
    #[must_use]
    pub fn new(now: Ktime, host: HostCounters) -> Self {
        Self {
            containers: HashMap::new(),
            had_others_below: HashMap::new(),
            ended: Ended::default(),
            host: HostLooks::new(now, host),
            disks: Disks::default(),
            round: 0,
        }
    }

    /// Begins with the owners of a checkpoint.
    pub fn begin(&mut self, checkpoint: &Checkpoint) {
        let slice = checkpoint.slice;
        if slice.number == 0 {
            self.round += 1;
        }
        for of in &checkpoint.owners {
            self.disks.add(&of.sums.block);
        }
        let (mut known, parents) = (HashSet::new(), checkpoint.parents());
        for (owner, identity) in &checkpoint.identities {
            if slice.has(*owner) {
                known.insert(*owner);
                if parents.contains(identity.path.as_str()) {
                    self.containers.remove(owner);
                    self.had_others_below.insert(*owner, identity.generation);
                }
            }
        }
        let stays = |owner: &OwnerId| !slice.has(*owner) || known.contains(owner);
        self.containers.retain(|owner, _| stays(owner));
        self.had_others_below.retain(|owner, _| stays(owner));
    }

    /// Takes over the host's counters, before anything is compared. They are best read after the other
    /// side: time that is taken from a task shows there first.
    pub fn take_host(&mut self, checkpoint: &Checkpoint, host: HostCounters) {
        self.host.push(checkpoint.at, host, checkpoint.slice);
    }

    /// Whether nothing that concerns it has changed since the last comparison, as far as its events and
    /// an earlier reading tell: then there is nothing to read for.
    #[must_use]
    pub fn is_quiet(&self, owner: &OwnerSums, earlier: &CgroupStatistics) -> bool {
        let Some(container) = self
            .containers
            .get(&owner.owner)
            .filter(|of| of.generation == owner.identity.generation)
            .filter(|of| of.cpu_ns == owner.sums.cpu_ns && owner.running == 0)
        else {
            return false;
        };
        DriftQuantity::ALL.into_iter().all(|quantity| {
            let seen = container.windows[quantity as usize].seen();
            match (seen, self.sides(quantity, &owner.sums, earlier)) {
                (Some(seen), Some(now)) => seen.events == now.events && seen.kernel >= now.kernel,
                (None, None) => true,
                _ => false,
            }
        })
    }

    /// Compares one container that is there with what was read of it.
    pub fn compare(&mut self, checkpoint: &Checkpoint, owner: &OwnerSums, latest: &Latest) {
        let Latest {
            at,
            made,
            ref statistics,
        } = *latest;
        let round = self.round;
        let late = at.0.saturating_sub(checkpoint.at.0);
        let events = owner.at(checkpoint.at, at);
        let sides = DriftQuantity::ALL.map(|quantity| {
            let sides = self.sides(quantity, &events, statistics)?;
            let is_late = matches!(quantity, DriftQuantity::Bytes | DriftQuantity::Operations);
            let late = if is_late { late } else { Duration::ZERO };
            Some(Sides { at, late, ..sides })
        });
        let mut container = self.take(owner, made);
        container.cpu_ns = owner.sums.cpu_ns;
        for (quantity, now) in DriftQuantity::ALL.into_iter().zip(sides) {
            let window = &mut container.windows[quantity as usize];
            if let Some(compared) = window.compare(quantity, now, round) {
                tell(&owner.identity.path, quantity, &compared);
            }
        }
        self.containers.insert(owner.owner, container);
    }

    /// Compares one that is gone: what came since it was compared last, or since its beginning.
    pub fn compare_ended(&mut self, owner: &OwnerSums, last: &LastFigures) {
        let container = self.take(owner, last.made);
        for quantity in DriftQuantity::ALL {
            let window = &container.windows[quantity as usize];
            if quantity != DriftQuantity::OomKills
                && let Some(compared) = window.compared().filter(|of| self.is_told(of))
            {
                self.ended.keep(quantity, &compared);
            }
            let now = ended::is_final(quantity, last)
                .then(|| self.sides(quantity, &owner.sums, &last.statistics))
                .flatten();
            let Some(mut growth) = window.rest(now) else {
                continue;
            };
            match quantity {
                DriftQuantity::CpuTime => growth.more += ended::cpu_ns_to_come(last),
                DriftQuantity::Bytes | DriftQuantity::Operations => growth.more = u64::MAX,
                DriftQuantity::OomKills => {}
            }
            if let Some(compared) = self.ended.add(quantity, &growth, self.round) {
                tell(&owner.identity.path, quantity, &compared);
            }
        }
    }

    /// Ends with a checkpoint: what is to be told.
    #[must_use]
    pub fn finish(&mut self) -> Vec<DriftRatio> {
        let ended = self.ended.told(self.round);
        DriftQuantity::ALL
            .into_iter()
            .zip(ended)
            .filter_map(|(quantity, ended)| self.ratio(quantity, ended))
            .collect()
    }

    fn ratio(&self, quantity: DriftQuantity, ended: Sum) -> Option<DriftRatio> {
        let is_told =
            |compared: &Compared| quantity == DriftQuantity::OomKills || self.is_told(compared);
        let mut sum = ended;
        self.containers
            .values()
            .filter_map(|container| container.windows[quantity as usize].compared())
            .filter(is_told)
            .for_each(|compared| sum.add(&compared));
        (sum.size > 0).then(|| DriftRatio {
            quantity,
            worst: sum.worst,
            total: sum.ratio(),
        })
    }

    fn is_told(&self, compared: &Compared) -> bool {
        compared.round + TOLD_FOR > self.round
    }

    fn sides(
        &self,
        quantity: DriftQuantity,
        events: &EventSums,
        kernel: &CgroupStatistics,
    ) -> Option<Sides> {
        self.disks
            .sides(quantity, events, kernel, self.host.latest()?)
    }

    /// What is known of a container, or the beginning of one that is new.
    fn take(&mut self, owner: &OwnerSums, made: Option<Ktime>) -> Container {
        let generation = owner.identity.generation;
        let known = self.containers.remove(&owner.owner);
        known
            .filter(|of| of.generation == generation)
            .unwrap_or_else(|| Container {
                generation,
                cpu_ns: 0,
                windows: DriftQuantity::ALL
                    .map(|quantity| Window::since(self.beginning(owner, made, quantity))),
            })
    }

    /// Both sides at the beginning of a life, if it is known.
    fn beginning(
        &self,
        owner: &OwnerSums,
        made: Option<Ktime>,
        quantity: DriftQuantity,
    ) -> Option<Sides> {
        if self.had_others_below.get(&owner.owner) == Some(&owner.identity.generation) {
            return None;
        }
        let made = made?;
        let beginning = self.disks.beginning(quantity, self.host.before(made)?);
        Some(Sides {
            at: made,
            ..beginning
        })
    }
}

/// Says where events and counters differ much.
fn tell(path: &str, quantity: DriftQuantity, compared: &Compared) {
    if compared.difference > compared.size / 100 {
        tracing::debug!(
            cgroup = path,
            quantity = quantity.name(),
            events_have_more = compared.is_more,
            difference = compared.difference,
            explained = compared.explained,
            of = compared.size,
            "events and the kernel's counters differ"
        );
    }
}
