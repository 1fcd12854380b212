//! Every cgroup that is known, live or gone: which numbers are whose.
//!
//! Fed by the cgroup events and, as the net below them, by walks of the cgroup trees. Single-threaded,
//! reads no clock, and looks at the host only through the [`Recognizer`].

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, SystemTime},
};

use super::{
    ContainerRef, Owner, OwnerId, Recognizer, Roster, naming::Naming, path_text::path_text,
};
use crate::host::{CgroupKey, clock::Ktime};

mod changes;

mod told;

mod looks;
mod tombstones;

pub use changes::Walked;
use looks::LastLooks;
pub use looks::{Looks, Onlooker};
pub use told::Heard;
pub use tombstones::{Expired, MAX_CROWD};

/// How the table is kept.
#[derive(Clone, Copy, Debug)]
pub struct TableSettings {
    /// How many owners there may be, and as many tombstones again; further cgroups get no identity of
    /// their own.
    pub max_owners: usize,
    /// How long a tombstone stays, if those who look have seen it meanwhile.
    pub retention: Duration,
    /// 1 or 2: the version of the hierarchy that tasks are attributed in.
    pub cgroup_version: u8,
}

/// How many cgroups are known.
#[derive(Clone, Copy, Debug, Default)]
pub struct CgroupCounts {
    /// There now.
    pub live: u64,
    /// Gone, their numbers kept.
    pub exited: u64,
    /// Without a path: seen in a sample only.
    pub unresolved: u64,
    /// Folded into the overflow row because the bound was reached.
    pub overflowed: u64,
    /// Containers that are there and of which no runtime has told.
    pub unnamed: u64,
    /// Containers and pods of which runtimes have told and that found no room.
    pub names_left_out: u64,
}

/// What a change means for those who keep numbers by cgroup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Whose the cgroup is now; `None` when the table is full.
    pub owner: Option<OwnerId>,
    /// Numbers under this cgroup that are of an earlier life, and their owner, to be put aside before
    /// the next sample.
    pub put_aside: Vec<(CgroupKey, OwnerId)>,
    /// Owners that are no more because all they had is another's now.
    pub dropped: Vec<OwnerId>,
}

/// The moment of a change, on both clocks.
pub type Moment = (Ktime, SystemTime);

/// Every cgroup that is known.
#[derive(Debug)]
pub struct CgroupTable {
    settings: TableSettings,
    naming: Naming,
    owners: HashMap<OwnerId, Owner>,
    by_path: HashMap<String, OwnerId>,
    by_key: HashMap<CgroupKey, OwnerId>,
    next_owner: u64,
    /// Cgroups that found no place.
    refused: HashSet<CgroupKey>,
    /// Tombstones that went before their time.
    evicted: u64,
    last_looks: LastLooks,
    /// Owners whose last cgroup went, until they are asked for.
    newly_exited: Vec<OwnerId>,
}

impl CgroupTable {
    /// Empty.
    #[must_use]
    pub fn new(settings: TableSettings, recognizer: Recognizer) -> Self {
        Self {
            settings,
            naming: Naming::new(recognizer, settings.max_owners),
            owners: HashMap::new(),
            by_path: HashMap::new(),
            by_key: HashMap::new(),
            next_owner: 0,
            refused: HashSet::new(),
            evicted: 0,
            last_looks: LastLooks::default(),
            newly_exited: Vec::new(),
        }
    }

    /// What the runtimes have told.
    #[must_use]
    pub const fn roster(&self) -> &Roster {
        self.naming.roster()
    }

    /// The paths of the cgroups that are there of a container.
    pub fn cgroups_of(&self, container: &ContainerRef) -> impl Iterator<Item = &[u8]> {
        let owners = self.naming.members(container).iter();
        let owners = owners.filter_map(|owner| self.owners.get(owner));
        owners
            .filter(|owner| owner.exited.is_none())
            .map(|owner| owner.path.as_slice())
    }

    /// Whether cgroups of a container are known.
    #[must_use]
    pub fn has_cgroups_of(&self, container: &ContainerRef) -> bool {
        self.naming.has_members(container)
    }

    /// Whose a cgroup is.
    #[must_use]
    pub fn owner_of(&self, key: CgroupKey) -> Option<(OwnerId, &Owner)> {
        let id = *self.by_key.get(&key)?;
        Some((id, self.owners.get(&id)?))
    }

    /// An owner.
    #[must_use]
    pub fn owner(&self, id: OwnerId) -> Option<&Owner> {
        self.owners.get(&id)
    }

    /// The owner of a path, as the kernel writes it.
    #[must_use]
    pub fn owner_at(&self, path: &[u8]) -> Option<(OwnerId, &Owner)> {
        let id = *self.by_path.get(&path_text(path))?;
        Some((id, self.owners.get(&id)?))
    }

    /// Every owner, tombstones included, in no order.
    pub fn owners(&self) -> impl Iterator<Item = (OwnerId, &Owner)> {
        self.owners.iter().map(|(id, owner)| (*id, owner))
    }

    /// Whether as many are there as may be.
    fn is_full(&self) -> bool {
        let most = self.settings.max_owners;
        // Counting the live ones takes long, and is needed only near the bound.
        self.owners.len() >= most && self.live_owners() >= most
    }

    fn live_owners(&self) -> usize {
        self.owners
            .values()
            .filter(|owner| owner.exited.is_none())
            .count()
    }

    /// How many there are.
    #[must_use]
    pub fn counts(&self) -> CgroupCounts {
        let mut counts = CgroupCounts {
            overflowed: self.refused.len() as u64 + self.evicted,
            names_left_out: self.roster().refused(),
            ..CgroupCounts::default()
        };
        for owner in self.owners.values() {
            if owner.exited.is_some() {
                counts.exited += 1;
            } else if owner.is_unresolved() {
                counts.unresolved += 1;
            } else {
                counts.live += 1;
            }
            counts.unnamed += u64::from(owner.is_unnamed());
        }
        counts
    }
}
