//! Whose a cgroup's numbers are: one path, in all hierarchies, through all its lives.

use std::{
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{Identity, cgroup_table::Looks};
use crate::host::{CgroupKey, clock::Ktime};

/// The cgroups of one path. On a hybrid host each hierarchy has one of its own; they are the same
/// container's.
#[derive(Clone, Debug)]
pub struct Owner {
    /// Who it is. Made anew only when something of it changes.
    pub identity: Arc<Identity>,
    /// The number of its container, to tell containers apart cheaply.
    pub class: Option<NonZeroU32>,
    /// The path as the kernel has it.
    pub(super) path: Vec<u8>,
    /// Its cgroups that are there, and since when they are known.
    pub(super) live: Vec<(CgroupKey, Ktime)>,
    /// Its cgroups that are gone, and since when; late samples of them are still its own.
    pub(super) gone: Vec<(CgroupKey, Ktime)>,
    /// Those of its cgroups whose making was seen in this life.
    pub(super) made: Vec<CgroupKey>,
    /// When the life before this one ended.
    pub(super) previous_end: Option<SystemTime>,
    /// When the last of its cgroups went.
    pub(super) exited: Option<(Ktime, SystemTime)>,
    /// Who has looked since then.
    pub(super) looks: Looks,
}

/// Names an owner in the table. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OwnerId(u64);

impl OwnerId {
    pub(super) const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number, in the order in which they were made.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
impl OwnerId {
    /// One that no table made.
    pub(crate) const fn of_test(number: u64) -> Self {
        Self(number)
    }
}

/// How many removed cgroups of one path are remembered. More are only there when the path comes and
/// goes many times within the retention.
const MAX_GONE: usize = 16;

impl Owner {
    /// When it went; `None` while it is there.
    #[must_use]
    pub fn exited(&self) -> Option<SystemTime> {
        self.exited.map(|(_, wall)| wall)
    }

    /// When the life before its latest one ended; `None` when there was none.
    #[must_use]
    pub const fn previous_end(&self) -> Option<SystemTime> {
        self.previous_end
    }

    /// Whether its latest life had begun at a time; the present, without one.
    #[must_use]
    pub fn was_there_at(&self, time: Option<SystemTime>) -> bool {
        time.is_none_or(|time| self.identity.started < time)
    }

    /// The same moment in the kernel's time.
    #[must_use]
    pub fn exited_at(&self) -> Option<Ktime> {
        self.exited.map(|(ktime, _)| ktime)
    }

    /// The path as the kernel has it; empty while it is not known.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// Its cgroups that are there.
    pub fn live_keys(&self) -> impl Iterator<Item = CgroupKey> + '_ {
        self.live.iter().map(|(key, _)| *key)
    }

    /// Its cgroups that are there, or when it is gone, those that it had at last: one of each hierarchy.
    #[must_use]
    pub fn latest_keys(&self) -> Vec<CgroupKey> {
        if !self.live.is_empty() {
            return self.live_keys().collect();
        }
        let mut latest: Vec<CgroupKey> = Vec::new();
        for (key, _) in self.gone.iter().rev() {
            if latest.iter().all(|of| of.hierarchy != key.hierarchy) {
                latest.push(*key);
            }
        }
        latest
    }

    /// Whether its path is not known.
    #[must_use]
    pub const fn is_unresolved(&self) -> bool {
        self.path.is_empty()
    }

    /// Whether it is there, is a container's own, and no runtime has told of it.
    #[must_use]
    pub fn is_unnamed(&self) -> bool {
        let identity = &self.identity;
        self.exited.is_none() && identity.told.is_none() && identity.own_container().is_some()
    }

    /// All its cgroups, those that are gone included.
    pub fn keys(&self) -> impl Iterator<Item = CgroupKey> + '_ {
        self.live.iter().chain(&self.gone).map(|(key, _)| *key)
    }

    /// Whether its time as a tombstone is over.
    pub(super) fn is_over(&self, now: Ktime, retention: Duration) -> bool {
        let exited = self.exited.map(|(exited, _)| exited);
        exited.is_some_and(|exited| now.0.saturating_sub(exited.0) >= retention)
    }

    /// Takes a cgroup off the live ones. Whether it was the last.
    pub(super) fn bury(&mut self, key: CgroupKey, now: (Ktime, SystemTime)) -> bool {
        let before = self.live.len();
        self.live.retain(|(live, _)| *live != key);
        if self.live.len() == before {
            return false;
        }
        self.gone.push((key, now.0));
        let last = self.live.is_empty();
        if last {
            self.exited = Some(now);
            self.looks = Looks::default();
        }
        last
    }

    /// The removed cgroups that are too many to remember.
    pub(super) fn forget_oldest(&mut self) -> Vec<CgroupKey> {
        let over = self.gone.len().saturating_sub(MAX_GONE);
        self.gone.drain(..over).map(|(key, _)| key).collect()
    }
}
