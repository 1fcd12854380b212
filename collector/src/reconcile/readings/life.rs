//! What is known of one life of a cgroup: what happened to it, and what its readings came down to.

use std::sync::Arc;

use super::at_end::AtEnd;
use crate::{
    host::{
        CgroupKey,
        cgroupfs::{ReadOutcome, Wanted},
        clock::Ktime,
    },
    reconcile::snapshot::LastReading,
};

/// The latest life.
#[derive(Debug)]
pub(super) struct EntryLife {
    pub(super) generation: u32,
    pub(super) path: Arc<[u8]>,
    pub(super) keys: Vec<CgroupKey>,
    /// When it was made or found.
    pub(super) since: Ktime,
    /// Whether it was made while we looked on.
    pub(super) is_new: bool,
    /// Whether it has a network to itself.
    pub(super) has_network: bool,
    pub(super) occupancy: Occupancy,
    pub(super) at_end: AtEnd,
    pub(super) existence: Existence,
    pub(super) turns: u32,
    /// Until then, its turns can be passed over: nothing has happened in it of late.
    pub(super) rests_until: Ktime,
    pub(super) at: Option<Ktime>,
    /// Of what its last reading should have, what was ever found.
    pub(super) found: Wanted,
}

/// What is told of its processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occupancy {
    /// Nothing: it had none yet, or had them before it was found.
    Untold,
    /// There are some.
    Filled,
    /// There were, and the last of them left.
    Emptied(Ktime),
}

/// Whether the cgroup is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existence {
    There,
    /// It went while its files were being read: what that found decides how its last reading ended.
    GoneWhileRead,
    Gone,
}

/// How the last reading of a life ended: see [`super::LastReadings`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Won,
    Late,
    Lost,
    /// No process was seen in it: there was nothing to be late for.
    Nobody,
}

/// More hierarchies than any host has.
const MAX_KEYS: usize = 32;

impl EntryLife {
    pub(super) fn new(generation: u32, path: Vec<u8>, since: Ktime, is_new: bool) -> Self {
        Self {
            generation,
            path: path.into(),
            keys: Vec::new(),
            since,
            is_new,
            has_network: false,
            occupancy: Occupancy::Untold,
            at_end: AtEnd::default(),
            existence: Existence::There,
            turns: 0,
            rests_until: Ktime::default(),
            at: None,
            found: Wanted::NOTHING,
        }
    }

    /// With a network to itself, if it has one.
    pub(super) const fn with_network(mut self, has_network: bool) -> Self {
        self.has_network = has_network;
        self
    }

    /// It can turn out late that it is a container's own.
    pub(super) const fn learn_network(&mut self, has_network: bool) {
        self.has_network |= has_network;
    }

    /// When it was made, if that is known.
    pub(super) fn made(&self) -> Option<Ktime> {
        self.is_new.then_some(self.since)
    }

    /// Adds one of its ids. Whether there was room.
    pub(super) fn add_key(&mut self, key: CgroupKey) -> bool {
        if self.keys.contains(&key) {
            return true;
        }
        let has_room = self.keys.len() < MAX_KEYS;
        if has_room {
            self.keys.push(key);
        }
        has_room
    }

    /// A process is in it: what was read before is not the last reading.
    pub(super) fn fill(&mut self) {
        self.occupancy = Occupancy::Filled;
        self.at_end = AtEnd::default();
    }

    /// The last process left. In another hierarchy of the same cgroup it may have left before.
    pub(super) fn empty(&mut self, at: Ktime) {
        if let Occupancy::Emptied(before) = self.occupancy {
            self.occupancy = Occupancy::Emptied(before.max(at));
            self.at_end.end_again();
        } else {
            self.occupancy = Occupancy::Emptied(at);
            self.at_end = AtEnd::default();
        }
    }

    /// Takes over what became of a reading; `last` is what the last one should have.
    pub(super) fn take(&mut self, outcome: &ReadOutcome, last: Wanted) {
        // Of a cgroup that was never there in any hierarchy, nothing is known.
        if outcome.read == Wanted::NOTHING {
            return;
        }
        self.at = Some(outcome.at);
        self.found = self.found.and(outcome.read.only(last));
        if let Occupancy::Emptied(emptied) = self.occupancy {
            self.at_end.take(outcome, emptied);
        }
    }

    /// What its last reading is, once it is over.
    pub(super) const fn last_reading(&self) -> LastReading {
        self.at_end.last_reading(self.found, self.at.is_some())
    }

    /// How the last reading ended, now that it is gone.
    pub(super) fn ending(&self) -> Ending {
        match self.last_reading() {
            LastReading::Final => Ending::Won,
            LastReading::Partial => Ending::Late,
            _ if self.occupancy == Occupancy::Untold => Ending::Nobody,
            _ => Ending::Lost,
        }
    }
}
