//! What is gone is kept for a while.

use std::time::SystemTime;

use super::{CgroupTable, Onlooker};
use crate::{
    catalog::OwnerId,
    host::{CgroupKey, clock::Ktime},
};

/// A tombstone that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired {
    /// Whose it was.
    pub owner: OwnerId,
    /// Its path as the kernel has it; empty if it was not known.
    pub path: Vec<u8>,
    /// When it ended.
    pub ended: Option<SystemTime>,
    /// The cgroups whose numbers go with it.
    pub keys: Vec<CgroupKey>,
    /// Whether it goes before its time, because there are too many.
    pub is_early: bool,
}

/// How many times `max_owners` there may be, tombstones included, before it is crowded: twice as many
/// tombstones as are kept, so that the next time is as many removals away.
pub const MAX_CROWD: usize = 3;

impl CgroupTable {
    /// Lets tombstones go whose time is over, and the oldest of those that are too many. The cgroups
    /// whose numbers go with them.
    pub fn expire(&mut self, now: Ktime) -> Vec<Expired> {
        let mut tombstones: Vec<(Ktime, OwnerId)> = self
            .owners
            .iter()
            .filter_map(|(id, owner)| owner.exited.map(|(exited, _)| (exited, *id)))
            .collect();
        tombstones.sort_unstable();
        let too_many = tombstones.len().saturating_sub(self.settings.max_owners);
        let mut expired = Vec::new();
        for (index, (_, id)) in tombstones.into_iter().enumerate() {
            let Some(owner) = self.owners.get(&id) else {
                continue;
            };
            let is_due = owner.is_over(now, self.settings.retention)
                && self.last_looks.are_enough(owner.looks, now);
            if is_due || index < too_many {
                let (path, ended) = (owner.path.clone(), owner.exited());
                let is_early = !is_due;
                self.evicted += u64::from(is_early);
                expired.push(Expired {
                    owner: id,
                    path,
                    ended,
                    keys: self.drop_owner(id),
                    is_early,
                });
            }
        }
        expired
    }

    /// Forgets an owner. The cgroups that were its.
    pub(super) fn drop_owner(&mut self, id: OwnerId) -> Vec<CgroupKey> {
        let Some(owner) = self.owners.remove(&id) else {
            return Vec::new();
        };
        self.by_path.remove(&owner.identity.path);
        let keys: Vec<_> = owner.keys().collect();
        for key in &keys {
            self.by_key.remove(key);
        }
        self.naming.leave(id, &owner.identity);
        keys
    }

    /// Says that somebody has looked at everything once more.
    pub fn note_look(&mut self, by: Onlooker, now: Ktime) {
        self.last_looks.note(by, now);
        let owners = self.owners.values_mut();
        for owner in owners.filter(|owner| owner.exited.is_some()) {
            owner.looks.note(by);
        }
    }

    /// Whether there are so many tombstones that the next [`expire`](Self::expire) should not be
    /// waited for.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.owners.len() > self.settings.max_owners.saturating_mul(MAX_CROWD)
    }
}
