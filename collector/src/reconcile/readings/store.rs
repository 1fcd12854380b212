//! Every entry, and whose turn it is.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    entry::Entry,
    life::EntryLife,
    schedule,
    stand_in::StandInVersions,
    tally::{LastReadings, LeftOut, LeftOutCounts, Tally},
};
use crate::{
    catalog::{LifeNote, OwnerId},
    host::{CgroupKey, cgroupfs::Wanted, clock::Ktime},
    reconcile::{
        Life, Scrape,
        snapshot::{KernelReading, LastReading},
    },
};

/// What the store is made with.
#[derive(Clone, Copy, Debug)]
pub struct ReadingSettings {
    /// How often each cgroup is read.
    pub interval: Duration,
    /// How many cgroups have readings, tombstones included. Each costs some KiB.
    pub max_entries: usize,
    /// What the last reading of a cgroup should have: what is exported of it.
    pub last: Wanted,
    /// Which version's figures events stand in for.
    pub versions: StandInVersions,
}

/// The latest reading of every cgroup's files.
#[derive(Debug)]
pub struct Readings {
    settings: ReadingSettings,
    index: Mutex<Index>,
    changed: Condvar,
    tally: Arc<Tally>,
}

#[derive(Debug, Default)]
struct Index {
    entries: HashMap<OwnerId, Place>,
    due: BinaryHeap<Reverse<(Ktime, OwnerId, u32, Why)>>,
    /// How many entries there ever were.
    made: u64,
    stopping: bool,
    wanted: bool,
}

#[derive(Debug)]
struct Place {
    entry: Arc<Entry>,
    /// The life that is to be read; none of a cgroup that is gone.
    live: Option<u32>,
    /// Where in the interval it is read.
    at: Duration,
}

/// Why a cgroup is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It is its turn; another turn follows.
    Turn,
    /// It was emptied a moment ago.
    Settled,
    /// It is compared with its events.
    Compared,
}

/// A cgroup that is to be read now.
#[derive(Clone, Debug)]
pub struct Due {
    /// Its entry.
    pub entry: Arc<Entry>,
    /// Which of its lives is meant.
    pub generation: u32,
    /// Why.
    pub why: Why,
}

/// What a note of a cgroup's life calls for.
#[derive(Debug)]
pub enum Noted {
    /// Nothing.
    Nothing,
    /// That it is read at once: it may be removed the next moment.
    ReadNow(Due),
}

impl Readings {
    /// Empty.
    #[must_use]
    pub fn new(settings: ReadingSettings) -> Self {
        Self {
            settings,
            index: Mutex::default(),
            changed: Condvar::new(),
            tally: Arc::default(),
        }
    }

    /// Takes over something that happened to a cgroup, at `now`.
    pub fn note(&self, note: LifeNote, now: Ktime) -> Noted {
        match note {
            LifeNote::There {
                owner,
                generation,
                key,
                path,
                made,
                has_network,
            } => {
                let life = EntryLife::new(generation, path, made.unwrap_or(now), made.is_some());
                self.there(owner, life.with_network(has_network), key);
            }
            LifeNote::Filled { owner } => {
                if let Some(entry) = self.entry(owner) {
                    entry.life().fill();
                }
            }
            LifeNote::Emptied { owner, at } => return self.emptied(owner, at, now),
            LifeNote::Exited { owner } => self.exited(owner),
            LifeNote::Forgotten { owner } => {
                let forgotten = self.index().entries.remove(&owner);
                // Not under the lock: files of it may still be open.
                drop(forgotten);
            }
            LifeNote::Only { owners } => {
                self.leave_out(LeftOut::Notes);
                let owners: HashSet<OwnerId> = owners.into_iter().collect();
                let is_other = |owner: &OwnerId, _: &mut Place| !owners.contains(owner);
                let others: Vec<_> = self.index().entries.extract_if(is_other).collect();
                drop(others);
            }
        }
        Noted::Nothing
    }

    fn there(&self, owner: OwnerId, mut new: EntryLife, key: CgroupKey) {
        let (generation, since, is_new) = (new.generation, new.since, new.is_new);
        if let Some(entry) = self.entry(owner) {
            if !entry.begin(new, key) {
                return;
            }
            if let Some(place) = self.index().entries.get_mut(&owner) {
                place.live = Some(generation);
            }
        } else {
            new.add_key(key);
            let mut index = self.index();
            if index.entries.len() >= self.settings.max_entries {
                drop(index);
                self.leave_out(LeftOut::Cgroup);
                return;
            }
            let at = schedule::place(index.made, self.settings.interval);
            index.made += 1;
            let place = Place {
                entry: Arc::new(Entry::new(
                    owner,
                    new,
                    self.settings,
                    Arc::clone(&self.tally),
                )),
                live: Some(generation),
                at,
            };
            index.entries.insert(owner, place);
        }
        let first = schedule::first(since, is_new);
        self.push((first, owner, generation, Why::Turn));
    }

    fn emptied(&self, owner: OwnerId, at: Ktime, now: Ktime) -> Noted {
        let Some(entry) = self.entry(owner) else {
            return Noted::Nothing;
        };
        let generation = {
            let mut life = entry.life();
            life.empty(at);
            life.generation
        };
        for after in schedule::SETTLED_AFTER {
            self.push((Ktime(now.0 + after), owner, generation, Why::Settled));
        }
        Noted::ReadNow(Due {
            entry,
            generation,
            why: Why::Settled,
        })
    }

    fn exited(&self, owner: OwnerId) {
        let Some(entry) = self.entry(owner) else {
            return;
        };
        if let Some(place) = self.index().entries.get_mut(&owner) {
            place.live = None;
        }
        entry.exit();
    }

    /// A cgroup whose time has come by `now`; if there is none, when the next one's does.
    pub fn next_due(&self, now: Ktime) -> Result<Due, Option<Ktime>> {
        let mut index = self.index();
        while let Some(&Reverse((due, owner, generation, why))) = index.due.peek() {
            if due > now {
                return Err(Some(due));
            }
            index.due.pop();
            // Of one that is forgotten or gone, or has begun another life, nothing is due any more.
            let entry = match index.entries.get(&owner) {
                Some(place) if place.live == Some(generation) => Arc::clone(&place.entry),
                _ => continue,
            };
            return Ok(Due {
                entry,
                generation,
                why,
            });
        }
        Err(None)
    }

    /// When the next one is due, if any is; that may have been before now.
    pub fn next_at(&self) -> Option<Ktime> {
        let index = self.index();
        index.due.peek().map(|&Reverse((due, ..))| due)
    }

    /// Says that a turn was taken at `now`: the next one is due after that, if it is still there.
    pub fn taken(&self, due: &Due, now: Ktime) {
        if due.why != Why::Turn {
            return;
        }
        let owner = due.entry.owner;
        let next = {
            let place = match self.index().entries.get(&owner) {
                Some(place) if place.live == Some(due.generation) => place.at,
                _ => return,
            };
            let mut life = due.entry.life();
            life.turns = life.turns.saturating_add(1);
            schedule::next(now, life.since, life.is_new, place, self.settings.interval)
        };
        self.push((next, owner, due.generation, Why::Turn));
    }

    /// Waits until something is due, but no longer than until `until`.
    pub fn wait(&self, until: Ktime) {
        let mut index = self.index();
        loop {
            let next = index.due.peek().map(|&Reverse((due, ..))| due);
            let wake = next.map_or(until, |next| next.min(until));
            let left = wake.0.saturating_sub(Ktime::now().0);
            if left.is_zero() || index.stopping || mem::take(&mut index.wanted) {
                return;
            }
            index = self
                .changed
                .wait_timeout(index, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Lets those who wait look up: there is something else to do.
    pub fn wake(&self) {
        self.index().wanted = true;
        self.changed.notify_all();
    }

    /// Lets those who wait go on, now and in future.
    pub fn stop(&self) {
        self.index().stopping = true;
        self.changed.notify_all();
    }

    /// Puts the figures of each row into it.
    pub fn fill(&self, scrape: &mut Scrape) {
        for (row, life) in scrape.cgroups.iter_mut().zip(&scrape.lives) {
            let Some(life) = life else { continue };
            row.kernel = self.of(life);
        }
    }

    /// The figures of one life.
    #[must_use]
    pub fn of(&self, life: &Life) -> KernelReading {
        match self.entry(life.owner) {
            Some(entry) => entry.kernel_reading(life),
            None => KernelReading {
                last: if life.sums.is_some() {
                    LastReading::EventsOnly
                } else {
                    LastReading::Running
                },
                ..KernelReading::default()
            },
        }
    }

    /// The entry of an owner.
    #[must_use]
    pub fn entry(&self, owner: OwnerId) -> Option<Arc<Entry>> {
        let index = self.index();
        index
            .entries
            .get(&owner)
            .map(|place| Arc::clone(&place.entry))
    }

    /// How the last readings ended so far.
    #[must_use]
    pub fn last_readings(&self) -> LastReadings {
        self.tally.last_readings()
    }

    /// Counts something that there was no room for.
    pub fn leave_out(&self, what: LeftOut) {
        self.tally.leave_out(what);
    }

    /// How often what was left out so far.
    #[must_use]
    pub fn left_out(&self) -> LeftOutCounts {
        self.tally.left_out()
    }

    fn push(&self, due: (Ktime, OwnerId, u32, Why)) {
        let mut index = self.index();
        let is_first = index
            .due
            .peek()
            .is_none_or(|Reverse((first, ..))| due.0 < *first);
        index.due.push(Reverse(due));
        drop(index);
        // Who waits for the one that was the first would sleep over this one.
        if is_first {
            self.changed.notify_all();
        }
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
