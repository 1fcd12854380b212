//! Which cgroups there are, and what was last read of each: what the catalog shows.
//!
//! In: the table of cgroups and their readings. Out: a [`Listing`], a copy with the main figures only.
//! Never here: histograms, which a scrape has, or a change of what is kept and for how long.

use std::{sync::Arc, time::SystemTime};

use super::snapshot::{KernelReading, LastReading};
pub use crate::catalog::provider::figures::{Figures, Machine};
use crate::{
    catalog::{ContainerRef, Identity, Owner, RuntimeContainer, following::RuntimeStatus},
    host::{CgroupKey, cgroup_mounts::Hierarchy, clock::Ktime},
};

/// Which cgroups there are.
#[derive(Clone, Debug)]
pub struct Listing {
    /// When this was put together.
    pub taken: SystemTime,
    /// Who knows them.
    pub origin: Origin,
    /// The hierarchies in which their ids are.
    pub hierarchies: Vec<Hierarchy>,
    /// They, in no order.
    pub cgroups: Vec<ListedCgroup>,
    /// Those that found no place in the table.
    pub left_out: u64,
    /// Containers that have no cgroup here: that have not been started, or have ended, or are in a virtual
    /// machine.
    pub elsewhere: Vec<Arc<RuntimeContainer>>,
    /// The container runtimes that were found.
    pub runtimes: Vec<RuntimeStatus>,
    /// The container that the daemon runs in, if it is in one and knows it.
    pub own_container: Option<OwnContainer>,
}

/// The container that cgscope runs in.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnContainer {
    /// Which.
    pub of: ContainerRef,
    /// What its runtime tells of it, once it does.
    pub told: Option<Arc<RuntimeContainer>>,
}

/// Who knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The daemon: those that are gone are among them.
    Daemon,
    /// A walk of the cgroup trees: those that are there.
    Walk,
}

/// One cgroup, in all of its hierarchies, in its latest life.
#[derive(Clone, Debug)]
pub struct ListedCgroup {
    /// Who it is. Its [`started`](Identity::started) is not meant; see below.
    pub identity: Arc<Identity>,
    /// Its id in each hierarchy.
    pub keys: Vec<CgroupKey>,
    /// When it was made, or first seen; absent where nobody looked on.
    pub started: Option<SystemTime>,
    /// When the last of its cgroups was removed, if it was.
    pub exited: Option<SystemTime>,
    /// Its last reading; absent when its files were never read, and it is not gone.
    pub reading: Option<ListedReading>,
}

/// What the last reading says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ListedReading {
    /// How it was had.
    pub how: LastReading,
    /// When; absent when the files were never read.
    pub at: Option<SystemTime>,
    /// When its network was; absent when it was not looked at.
    pub network_at: Option<SystemTime>,
    /// When its processes were; absent when they were not looked at.
    pub processes_at: Option<SystemTime>,
    /// The main figures.
    pub figures: Figures,
}

impl ListedCgroup {
    /// As the table of cgroups has it, without a reading.
    #[must_use]
    pub fn of(owner: &Owner) -> Self {
        Self {
            identity: Arc::clone(&owner.identity),
            keys: owner.latest_keys(),
            started: Some(owner.identity.started),
            exited: owner.exited(),
            reading: None,
        }
    }

    /// With the ids in hierarchies of which its files were read, too.
    #[must_use]
    pub fn with_ids(mut self, ids: impl IntoIterator<Item = CgroupKey>) -> Self {
        for key in ids {
            let is_known = |known: &CgroupKey| known.hierarchy == key.hierarchy;
            if !self.keys.iter().any(is_known) {
                self.keys.push(key);
            }
        }
        self
    }
}

impl ListedReading {
    /// The main figures of a reading; `None` when there was none and nothing stands in for it.
    #[must_use]
    pub fn of(
        kernel: &KernelReading,
        machine: &Machine,
        wall: impl Fn(Ktime) -> SystemTime,
    ) -> Option<Self> {
        if kernel.at.is_none() && kernel.last == LastReading::Running {
            return None;
        }
        Some(Self {
            how: kernel.last,
            at: kernel.at.map(&wall),
            network_at: kernel.network.as_ref().map(|network| wall(network.at)),
            processes_at: kernel.processes.as_ref().map(|of| wall(of.at)),
            figures: Figures::of(
                kernel.statistics.as_deref(),
                kernel.network.as_deref(),
                kernel.processes,
                machine,
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::HierarchyId;

    #[test]
    fn ids_of_hierarchies_without_events_are_added_to_those_of_the_table() {
        let key = |hierarchy, id| CgroupKey::new(HierarchyId(hierarchy), id);
        let listed = ListedCgroup {
            identity: Arc::clone(&crate::reconcile::tests::empty_row().identity),
            keys: vec![key(0, 1), key(2, 5)],
            started: None,
            exited: None,
            reading: None,
        };
        let with_ids = listed.with_ids([key(2, 5), key(3, 9), key(0, 1)]);
        assert_eq!(with_ids.keys, [key(0, 1), key(2, 5), key(3, 9)]);
    }
}
