//! Cgroups come, go, and get other paths, as events and walks tell.

use std::{collections::HashSet, mem, sync::Arc, time::SystemTime};

use super::{CgroupTable, Change, Looks, Moment};
use crate::{
    catalog::{Identity, Names, Owner, OwnerId, path_text::path_text},
    host::{CgroupId, CgroupKey, HierarchyId, clock::Ktime},
};

/// What a walk of a hierarchy found.
#[derive(Clone, Copy, Debug)]
pub struct Walked<'a> {
    /// The cgroups, with their paths.
    pub cgroups: &'a [(CgroupId, Vec<u8>)],
    /// Whether these are all: only then is one that is missing gone.
    pub is_complete: bool,
    /// When the walk began.
    pub began: Ktime,
}

/// How many cgroups without a place are remembered, to count each once.
const MAX_REFUSED: usize = 1 << 16;

impl CgroupTable {
    /// A cgroup is there, under this path. An empty path is one that is not known.
    pub fn insert(&mut self, key: CgroupKey, path: &[u8], now: Moment) -> Change {
        let (mut change, mut made) = (Change::default(), None);
        if let Some(known) = self.by_key.get(&key).copied()
            && let Some(owner) = self.owners.get(&known)
        {
            let is_live = owner.live.iter().any(|(live, _)| *live == key);
            if is_live && (owner.path == path || path.is_empty()) {
                change.owner = Some(known);
                return change;
            }
            if is_live && owner.is_unresolved() {
                // What was counted without a name is this cgroup's all the same, and when it was made.
                made = owner.made.contains(&key).then_some(owner.identity.started);
                self.drop_owner(known);
                change.dropped.push(known);
            } else {
                // The id was used again: by another path, or by the same one's next life.
                change.put_aside.push((key, known));
                self.bury(key, now);
                if let Some(owner) = self.owners.get_mut(&known) {
                    owner.gone.retain(|(gone, _)| *gone != key);
                }
                self.by_key.remove(&key);
            }
        }
        let Some(id) = self.owner_for(key, path, now, &mut change) else {
            if self.refused.len() < MAX_REFUSED {
                self.refused.insert(key);
            }
            return change;
        };
        if let Some(owner) = self.owners.get_mut(&id) {
            owner.live.push((key, now.0));
            for forgotten in owner.forget_oldest() {
                change.put_aside.push((forgotten, id));
                self.by_key.remove(&forgotten);
            }
        }
        self.by_key.insert(key, id);
        if let Some(at) = made {
            self.note_made(key, at);
        }
        change.owner = Some(id);
        change
    }

    /// The owner of a path: the one that is there, the one that was (for its next life), or a new one.
    fn owner_for(
        &mut self,
        key: CgroupKey,
        path: &[u8],
        now: Moment,
        change: &mut Change,
    ) -> Option<OwnerId> {
        let text = if path.is_empty() {
            format!("~unresolved/{}/{}", key.hierarchy, key.id)
        } else {
            path_text(path)
        };
        if let Some(id) = self.by_path.get(&text).copied() {
            let is_gone = |owner: &Owner| owner.exited.is_some();
            // One that comes back needs a place like any other.
            if self.owners.get(&id).is_some_and(is_gone) && self.is_full() {
                return None;
            }
            let owner = self.owners.get_mut(&id)?;
            if let Some((_, ended)) = owner.exited.take() {
                owner.previous_end = Some(ended);
                let identity = Arc::make_mut(&mut owner.identity);
                identity.generation += 1;
                identity.started = now.1;
                identity.is_found = true;
                owner.made.clear();
                // It can be another container's now, and one of the same name is not the same container.
                owner.class = self.naming.take_over(id, path, identity);
                // The windows of the life before are not this one's; its totals are kept.
                change
                    .put_aside
                    .extend(owner.gone.iter().map(|(gone, _)| (*gone, id)));
            }
            return Some(id);
        }
        if self.is_full() {
            return None;
        }
        let id = OwnerId::new(self.next_owner);
        self.next_owner += 1;
        let mut identity = Identity {
            path: text.clone(),
            names: Names::default(),
            container: self.naming.container(path),
            told: None,
            cgroup_version: self.settings.cgroup_version,
            generation: 1,
            started: now.1,
            is_found: true,
        };
        let class = self.naming.join(id, &mut identity);
        self.by_path.insert(text, id);
        self.owners.insert(
            id,
            Owner {
                identity: Arc::new(identity),
                class,
                path: path.to_vec(),
                live: Vec::new(),
                gone: Vec::new(),
                made: Vec::new(),
                previous_end: None,
                exited: None,
                looks: Looks::default(),
            },
        );
        Some(id)
    }

    /// A cgroup that is there was made just then. It can have been seen a moment ago, by who was faster than the
    /// event.
    pub fn note_made(&mut self, key: CgroupKey, at: SystemTime) {
        let owner = self.by_key.get(&key).copied();
        let Some(owner) = owner.and_then(|id| self.owners.get_mut(&id)) else {
            return;
        };
        let live: Vec<_> = owner.live_keys().collect();
        owner
            .made
            .retain(|made| *made != key && live.contains(made));
        owner.made.push(key);
        // Of one that was there in another hierarchy before, this is not the beginning.
        let is_whole = live.iter().all(|live| owner.made.contains(live));
        if is_whole && (owner.identity.is_found || at < owner.identity.started) {
            let identity = Arc::make_mut(&mut owner.identity);
            identity.started = identity.started.min(at);
            identity.is_found = false;
        }
    }

    /// A cgroup is gone. Its owner, if it was known and this was the last of its cgroups.
    pub fn remove(&mut self, key: CgroupKey, now: Moment) -> Option<OwnerId> {
        self.bury(key, now)
    }

    fn bury(&mut self, key: CgroupKey, now: Moment) -> Option<OwnerId> {
        let id = *self.by_key.get(&key)?;
        let is_last = self.owners.get_mut(&id)?.bury(key, now);
        if is_last {
            self.newly_exited.push(id);
        }
        is_last.then_some(id)
    }

    /// A cgroup, and with it all below it, has another path (cgroup v1). What became of each.
    pub fn rename(&mut self, key: CgroupKey, path: &[u8], now: Moment) -> Vec<(CgroupKey, Change)> {
        let old = self.live_path(key).unwrap_or_default().to_vec();
        if old.is_empty() || old == path {
            return vec![(key, self.insert(key, path, now))];
        }
        // What is gone keeps the path that it had.
        let mut moved: Vec<(CgroupKey, Vec<u8>)> = self
            .by_key
            .keys()
            .filter(|other| other.hierarchy == key.hierarchy && **other != key)
            .filter_map(|other| {
                let rest = self.live_path(*other)?.strip_prefix(old.as_slice())?;
                (rest.first() == Some(&b'/')).then(|| (*other, [path, rest].concat()))
            })
            .collect();
        moved.insert(0, (key, path.to_vec()));
        moved
            .into_iter()
            .map(|(key, path)| (key, self.move_to(key, &path, now)))
            .collect()
    }

    /// The path of a cgroup that is there.
    fn live_path(&self, key: CgroupKey) -> Option<&[u8]> {
        let (_, owner) = self.owner_of(key)?;
        let is_live = owner.live.iter().any(|(live, _)| *live == key);
        is_live.then_some(owner.path.as_slice())
    }

    /// The owners whose last cgroup went since this was last asked; some may have come back since.
    pub fn take_exited(&mut self) -> Vec<OwnerId> {
        mem::take(&mut self.newly_exited)
    }

    /// Gives a cgroup to the owner of another path, its numbers with it.
    fn move_to(&mut self, key: CgroupKey, path: &[u8], now: Moment) -> Change {
        let mut dropped = None;
        if let Some(id) = self.by_key.remove(&key)
            && let Some(owner) = self.owners.get_mut(&id)
        {
            owner.live.retain(|(live, _)| *live != key);
            if owner.live.is_empty() && owner.gone.is_empty() {
                self.drop_owner(id);
                dropped = Some(id);
            } else if owner.live.is_empty() && owner.exited.is_none() {
                owner.exited = Some(now);
                owner.looks = Looks::default();
                self.newly_exited.push(id);
            }
        }
        let mut change = self.insert(key, path, now);
        change.dropped.extend(dropped);
        change
    }

    /// Makes the table agree with a walk: adds what is missing, closes what is gone. What an event has told since then is newer than the walk, and stays.
    pub fn sync(
        &mut self,
        hierarchy: HierarchyId,
        walked: &Walked<'_>,
        now: Moment,
    ) -> Vec<(CgroupKey, Change)> {
        let Walked {
            cgroups: walked,
            is_complete,
            began,
        } = *walked;
        let mut changes = Vec::new();
        let mut there = HashSet::with_capacity(walked.len());
        for (id, path) in walked {
            let key = CgroupKey { hierarchy, id: *id };
            there.insert(key);
            let owner = self.by_key.get(&key).and_then(|id| self.owners.get(id));
            let removed_since = owner.is_some_and(|owner| {
                owner
                    .gone
                    .iter()
                    .any(|(gone, when)| *gone == key && *when >= began)
            });
            let is_known = owner.is_some_and(|owner| {
                owner.live.iter().any(|(live, since)| {
                    let told_since = *since >= began && !owner.is_unresolved();
                    *live == key && (owner.path == *path || told_since)
                })
            });
            if !removed_since && !is_known {
                changes.push((key, self.insert(key, path, now)));
            }
        }
        if !is_complete {
            return changes;
        }
        let vanished: Vec<CgroupKey> = self
            .owners
            .values()
            .flat_map(|owner| &owner.live)
            .filter(|(key, since)| {
                key.hierarchy == hierarchy && *since < began && !there.contains(key)
            })
            .map(|(key, _)| *key)
            .collect();
        for key in vanished {
            self.bury(key, now);
        }
        changes
    }
}
