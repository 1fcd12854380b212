//! Every cgroup that is known, live or gone: which numbers are whose.
//!
//! Fed by the cgroup events and, as the net below them, by walks of the cgroup trees. Single-threaded,
//! reads no clock, and looks at the host only through the [`Recognizer`].

use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    Container, ContainerRef, Identity, Informant, Names, News, Owner, Recognizer, Roster,
    RuntimeContainer,
    naming::{Moves, Naming, Telling},
    path_text::path_text,
    roster::at_or_above,
};
use crate::host::{CgroupId, CgroupKey, HierarchyId, clock::Ktime};

/// What came of what a runtime told.
#[derive(Debug, Default)]
pub struct Heard {
    /// The owners that are another container's now.
    pub moved: Vec<OwnerId>,
    /// The containers that a list has no more, as they were known.
    pub gone: Vec<Arc<RuntimeContainer>>,
}

/// Names an owner in the table. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OwnerId(u64);

impl OwnerId {
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

/// How the table is kept.
#[derive(Clone, Copy, Debug)]
pub struct TableSettings {
    /// How many owners there may be, and as many tombstones again; further cgroups get no identity of
    /// their own.
    pub max_owners: usize,
    /// How long a tombstone stays, if it was scraped twice meanwhile.
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

/// How many cgroups without a place are remembered, to count each once.
const MAX_REFUSED: usize = 1 << 16;

/// How many times `max_owners` there may be, tombstones included, before it is crowded: twice as many
/// tombstones as are kept, so that the next time is as many removals away.
pub const MAX_CROWD: usize = 3;

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
            newly_exited: Vec::new(),
        }
    }

    /// A cgroup is there, under this path. An empty path is one that is not known.
    pub fn insert(&mut self, key: CgroupKey, path: &[u8], now: Moment) -> Change {
        let mut change = Change::default();
        if let Some(known) = self.by_key.get(&key).copied()
            && let Some(owner) = self.owners.get(&known)
        {
            let is_live = owner.live.iter().any(|(live, _)| *live == key);
            if is_live && (owner.path == path || path.is_empty()) {
                change.owner = Some(known);
                return change;
            }
            if is_live && owner.is_unresolved() {
                // What was counted without a name is this cgroup's all the same.
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
        let id = OwnerId(self.next_owner);
        self.next_owner += 1;
        let mut identity = Identity {
            path: text.clone(),
            names: Names::default(),
            container: self.naming.container(path),
            told: None,
            cgroup_version: self.settings.cgroup_version,
            generation: 1,
            started: now.1,
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
                previous_end: None,
                exited: None,
                scrapes: 0,
            },
        );
        Some(id)
    }

    /// Takes what a runtime tells, and names those whom it is about.
    pub fn tell(&mut self, informant: Informant, news: News) -> Heard {
        let Telling {
            renamed,
            moves,
            gone,
        } = self.naming.tell(informant, news);
        for owner in &renamed {
            if let Some(owner) = self.owners.get_mut(owner) {
                self.naming.name(Arc::make_mut(&mut owner.identity));
            }
        }
        Heard {
            moved: self.follow_moves(moves),
            gone,
        }
    }

    /// The first process of a container is in this cgroup. The owners that are another container's now.
    pub fn place(&mut self, container: &ContainerRef, path: &[u8]) -> Vec<OwnerId> {
        self.follow_moves(Moves {
            claims: vec![(path.to_vec(), container.clone())],
            freed: Vec::new(),
        })
    }

    fn follow_moves(&mut self, moves: Moves) -> Vec<OwnerId> {
        let Moves {
            mut claims,
            freed: mut changed,
        } = moves;
        claims.retain(|(path, key)| self.naming.is_news_of_place(path, key));
        if !claims.is_empty() {
            let containers = self.containers_below();
            claims.retain(|(path, _)| containers.get(path).is_none_or(|count| *count < 2));
        }
        for (path, key) in claims {
            if self.naming.place(&path, &key) {
                changed.push(path);
            }
        }
        if changed.is_empty() {
            Vec::new()
        } else {
            self.recognize_below(&changed)
        }
    }

    /// How many containers are known below each path. What is above two of them, as what runtimes have for all
    /// of theirs, is not one container's, whoever says so.
    fn containers_below(&self) -> HashMap<Vec<u8>, usize> {
        let mut below: HashMap<Vec<u8>, usize> = HashMap::new();
        let is_there = |owner: &&Owner| owner.exited.is_none();
        for owner in self.owners.values().filter(is_there) {
            if owner.identity.own_container().is_some() {
                let above = at_or_above(&owner.path).filter(|above| *above != owner.path);
                for above in above {
                    *below.entry(above.to_vec()).or_default() += 1;
                }
            }
        }
        below
    }

    /// Looks again whose cgroups and those below them are, now that it is known whose places they are.
    /// Of what is gone, less can be found than could: it keeps the container that it has, as does what its path
    /// tells of.
    fn recognize_below(&mut self, places: &[Vec<u8>]) -> Vec<OwnerId> {
        let places: HashSet<&[u8]> = places.iter().map(Vec::as_slice).collect();
        let mut changed = Vec::new();
        for (id, owner) in &mut self.owners {
            let is_below = at_or_above(&owner.path).any(|above| places.contains(above));
            if !is_below || (owner.exited.is_some() && owner.identity.container.is_some()) {
                continue;
            }
            let container = self.naming.container(&owner.path);
            let known = owner.identity.container.as_ref();
            let is_same =
                container.as_ref().and_then(Container::key) == known.and_then(Container::key);
            let was_placed = known.is_some_and(|of| of.place.is_some());
            if is_same || (container.is_none() && !was_placed) {
                continue;
            }
            let identity = Arc::make_mut(&mut owner.identity);
            owner.class = self.naming.give_to(*id, container, identity);
            changed.push(*id);
        }
        changed
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
                owner.scrapes = 0;
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
            let is_due = owner.is_due(now, self.settings.retention);
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
    fn drop_owner(&mut self, id: OwnerId) -> Vec<CgroupKey> {
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

    /// Says that everything was scraped once more.
    pub fn note_scrape(&mut self) {
        for owner in self
            .owners
            .values_mut()
            .filter(|owner| owner.exited.is_some())
        {
            owner.scrapes = owner.scrapes.saturating_add(1);
        }
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

    /// Whether there are so many tombstones that the next [`expire`](Self::expire) should not be
    /// waited for.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.owners.len() > self.settings.max_owners.saturating_mul(MAX_CROWD)
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
