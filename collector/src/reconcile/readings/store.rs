//! Every entry, and whose turn it is.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
    mem,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    entry::{Ending, Entry, EntryLife},
    schedule,
};
use crate::{
    catalog::{LifeNote, OwnerId},
    host::clock::Ktime,
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
}

/// The latest reading of every cgroup's files.
#[derive(Debug)]
pub struct Readings {
    settings: ReadingSettings,
    index: Mutex<Index>,
    changed: Condvar,
    won: AtomicU64,
    late: AtomicU64,
    lost: AtomicU64,
}

/// How the last readings of the cgroups ended that had processes and are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastReadings {
    /// All files were read after the last process had left.
    pub won: u64,
    /// Some of them were; the others were gone by then.
    pub late: u64,
    /// None was.
    pub lost: u64,
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
            won: AtomicU64::new(0),
            late: AtomicU64::new(0),
            lost: AtomicU64::new(0),
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
                self.index().entries.remove(&owner);
            }
            LifeNote::Only { owners } => {
                let owners: HashSet<OwnerId> = owners.into_iter().collect();
                self.index()
                    .entries
                    .retain(|owner, _| owners.contains(owner));
            }
        }
        Noted::Nothing
    }

    fn there(&self, owner: OwnerId, mut new: EntryLife, key: crate::host::CgroupKey) {
        let (generation, since, is_new) = (new.generation, new.since, new.is_new);
        new.add_key(key);
        if let Some(entry) = self.entry(owner) {
            let mut life = entry.life();
            if life.generation == generation {
                life.add_key(key);
                return;
            }
            *life = new;
            drop(life);
            if let Some(place) = self.index().entries.get_mut(&owner) {
                place.live = Some(generation);
            }
        } else {
            let mut index = self.index();
            if index.entries.len() >= self.settings.max_entries {
                return;
            }
            let at = schedule::place(index.made, self.settings.interval);
            index.made += 1;
            let place = Place {
                entry: Arc::new(Entry::new(owner, new)),
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
        let ending = {
            let mut life = entry.life();
            if life.exited {
                return;
            }
            life.exit()
        };
        let counter = match ending {
            Ending::Won => &self.won,
            Ending::Late => &self.late,
            Ending::Lost => &self.lost,
            Ending::Nobody => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
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
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LastReadings {
            won: count(&self.won),
            late: count(&self.late),
            lost: count(&self.lost),
        }
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
