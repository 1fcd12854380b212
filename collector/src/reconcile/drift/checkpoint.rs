//! What the events of owners add up to at one moment: taken under the pipeline's lock, used without it.

use std::{collections::HashSet, sync::Arc, time::Duration};

use crate::{
    catalog::{Identity, OwnerId},
    host::clock::Ktime,
    window::EventSums,
};

/// What a checkpoint is asked for.
#[derive(Clone, Copy, Debug)]
pub struct CheckpointWish {
    /// Which owners are summed up.
    pub slice: Slice,
    /// Of those that are gone, only who went after this: the others had their turn.
    pub ended_after: Ktime,
}

/// A part of all owners: a round takes one part after the other, so that their files are not all read
/// at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Which, from 0.
    pub number: u64,
    /// Of so many.
    pub of: u64,
}

/// What the events of an owner add up to at one moment.
#[derive(Clone, Debug)]
pub struct OwnerSums {
    /// Whose.
    pub owner: OwnerId,
    /// Who it is.
    pub identity: Arc<Identity>,
    /// Whether it is gone.
    pub exited: bool,
    /// Of its latest life; slices that are still running have their part.
    pub sums: EventSums,
    /// How many of them are.
    pub running: u32,
}

/// What the events of a slice's owners add up to at one moment.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// When.
    pub at: Ktime,
    /// Whose.
    pub slice: Slice,
    /// Those of the slice that are there, and those of it that ended since it had its turn.
    pub owners: Vec<OwnerSums>,
    /// Of those that are gone, who went until then is among the owners of this checkpoint or of an earlier
    /// one.
    pub ended_until: Ktime,
    /// All owners, with or without sums: they tell who has others below.
    pub identities: Vec<(OwnerId, Arc<Identity>)>,
}

/// So long after its end a cgroup's events are complete: its last request has come back from the disk, and
/// its files were read for the last time.
const COMPLETE_AFTER: Duration = Duration::from_secs(1);

impl CheckpointWish {
    /// Of all owners, whenever they went.
    pub const ALL: Self = Self {
        slice: Slice::ALL,
        ended_after: Ktime(Duration::ZERO),
    };

    /// Whether one that went at `exited` is summed up at `at`.
    #[must_use]
    pub fn has_ended(&self, exited: Ktime, at: Ktime) -> bool {
        exited > self.ended_after && exited <= Checkpoint::ended_until(at)
    }
}

impl Slice {
    /// All owners.
    pub const ALL: Self = Self { number: 0, of: 1 };

    /// Whether this owner is in it.
    #[must_use]
    pub const fn has(self, owner: OwnerId) -> bool {
        owner.number() % self.of == self.number
    }

    /// The one that has its turn after this.
    #[must_use]
    pub const fn next(self) -> Self {
        Self {
            number: (self.number + 1) % self.of,
            of: self.of,
        }
    }
}

impl Checkpoint {
    /// Whose events are complete at `at`.
    #[must_use]
    pub fn ended_until(at: Ktime) -> Ktime {
        Ktime(at.0.saturating_sub(COMPLETE_AFTER))
    }

    /// The paths that have others below them.
    #[must_use]
    pub fn parents(&self) -> HashSet<&str> {
        self.identities
            .iter()
            .filter_map(|(_, identity)| identity.path.rsplit_once('/'))
            .map(|(parent, _)| parent)
            .collect()
    }

    /// Those to compare: they have a path, are not the root and have no cgroups below.
    pub fn leaves(&self) -> impl Iterator<Item = &OwnerSums> {
        let parents = self.parents();
        self.owners.iter().filter(move |of| {
            let path = of.identity.path.as_str();
            path.len() > 1 && path.starts_with('/') && !parents.contains(path)
        })
    }
}

impl OwnerSums {
    /// CPU time until `now`, if those that run go on.
    #[must_use]
    pub fn at(&self, checkpoint: Ktime, now: Ktime) -> EventSums {
        let since = now.0.saturating_sub(checkpoint.0) * self.running;
        let mut sums = self.sums.clone();
        sums.cpu_ns += u64::try_from(since.as_nanos()).unwrap_or(0);
        sums
    }
}
