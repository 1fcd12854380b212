//! One owner's latest reading, through one life after the other.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    catalog::OwnerId,
    host::{
        CgroupKey,
        cgroupfs::{CgroupReader, CgroupStatistics, Presence, ReadOutcome, Wanted},
        clock::Ktime,
        network::{NetworkReader, NetworkStatistics},
        process_files::ProcessTotals,
    },
    reconcile::{
        Life,
        readings::stand_in::{stand_in, with_last_slice},
        snapshot::{KernelReading, LastReading},
    },
};

/// One owner's latest reading. The row of a path has one through all its lives, and shows the latest.
#[derive(Debug)]
pub struct Entry {
    /// Whose.
    pub owner: OwnerId,
    life: Mutex<EntryLife>,
}

/// The latest life.
#[derive(Debug)]
pub(super) struct EntryLife {
    pub(super) generation: u32,
    pub(super) path: Vec<u8>,
    pub(super) keys: Vec<CgroupKey>,
    /// When it was made or found.
    pub(super) since: Ktime,
    /// Whether it was made while we looked on.
    pub(super) is_new: bool,
    occupancy: Occupancy,
    after_end: AfterEnd,
    pub(super) exited: bool,
    pub(super) turns: u32,
    /// Until then, its turns can be passed over: nothing has happened in it of late.
    rests_until: Ktime,
    at: Option<Ktime>,
    reader: Option<CgroupReader>,
    statistics: Arc<CgroupStatistics>,
    /// What its processes tell, where they have something of their own to tell.
    processes: Option<Processes>,
}

/// What the processes of a cgroup tell.
#[derive(Debug, Default)]
pub struct Processes {
    /// Reads their network.
    pub network_reader: NetworkReader,
    /// What went over it, once it was read.
    pub network: Option<Arc<NetworkStatistics>>,
    /// Their threads and open files, once they were counted.
    pub totals: Option<ProcessTotals>,
}

/// What is told of its processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Occupancy {
    /// Nothing: it had none yet, or had them before it was found.
    Untold,
    /// There are some.
    Filled,
    /// There were, and the last of them left.
    Emptied(Ktime),
}

/// What was read after the last process had left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum AfterEnd {
    Nothing,
    Part,
    /// But the last slice, of at most a tick, may not have been counted by then.
    All,
    /// When the last slice had been counted for sure.
    Settled,
}

/// What a reading is given.
#[derive(Debug)]
pub struct ReadTarget<'a> {
    /// The path, as the kernel has it.
    pub path: &'a [u8],
    /// The ids that are known of it.
    pub keys: &'a [CgroupKey],
    /// How often it had its turn before.
    pub turns: u32,
    /// Whether nothing has happened in it of late.
    pub rests: bool,
    /// Its reader, once there is one; it ends with the cgroup.
    pub reader: &'a mut Option<CgroupReader>,
    /// Where the figures go.
    pub statistics: &'a mut CgroupStatistics,
    /// Where those of its processes go; `None` where they have none of their own.
    pub processes: Option<&'a mut Processes>,
}

/// What the last reading of a life says.
#[derive(Clone, Debug)]
pub struct Latest {
    /// When it began.
    pub at: Ktime,
    /// When the cgroup was made, if that was while we looked on.
    pub made: Option<Ktime>,
    /// The figures.
    pub statistics: Arc<CgroupStatistics>,
}

/// What was read of a life after its last process had left.
#[derive(Clone, Debug)]
pub struct LastFigures {
    /// When the cgroup was made, if that was while we looked on.
    pub made: Option<Ktime>,
    /// When its last process left.
    pub ended: Ktime,
    /// The figures; final are the parts that were read since then.
    pub statistics: Arc<CgroupStatistics>,
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

/// The kernel counts the CPU time of a task at each tick and when it leaves the CPU: a reading right
/// after the last process left its cgroup can lack what came since the last tick. None is slower.
pub const SLOWEST_TICK: Duration = Duration::from_millis(10);

/// More hierarchies than any host has.
const MAX_KEYS: usize = 32;

impl Entry {
    pub(super) const fn new(owner: OwnerId, life: EntryLife) -> Self {
        Self {
            owner,
            life: Mutex::new(life),
        }
    }

    /// Reads, by `read`, unless the cgroup is gone, or has come back as another than the caller means.
    /// `read` says what it found; `None` if it could not begin.
    pub fn read(
        &self,
        generation: u32,
        read: impl FnOnce(ReadTarget<'_>) -> Option<ReadOutcome>,
    ) -> Option<ReadOutcome> {
        let mut life = self.life();
        let life = &mut *life;
        if life.exited || life.generation != generation {
            return None;
        }
        // A copy is made only while a scrape still holds the values of the last reading.
        let statistics = Arc::make_mut(&mut life.statistics);
        let outcome = read(ReadTarget {
            path: &life.path,
            keys: &life.keys,
            turns: life.turns,
            rests: life.rests_until > Ktime::now(),
            reader: &mut life.reader,
            statistics,
            processes: life.processes.as_mut(),
        })?;
        // Of a cgroup that was never there in any hierarchy, nothing is known.
        if outcome.read == Wanted::NOTHING {
            return Some(outcome);
        }
        life.at = Some(outcome.at);
        if let Occupancy::Emptied(emptied) = life.occupancy
            && let Some(since_end) = outcome.at.0.checked_sub(emptied.0)
        {
            let found = match outcome.presence {
                Presence::There if since_end >= SLOWEST_TICK => AfterEnd::Settled,
                Presence::There => AfterEnd::All,
                _ => AfterEnd::Part,
            };
            life.after_end = life.after_end.max(found);
        }
        Some(outcome)
    }

    /// Says until when nothing is expected to happen in it, if so. Whether its turns were passed over at
    /// `now`. It ends by itself, so that nobody has to think of a cgroup that is not looked at any more.
    pub fn rest_until(&self, generation: u32, until: Option<Ktime>, now: Ktime) -> bool {
        let mut life = self.life();
        if life.generation != generation {
            return false;
        }
        mem::replace(&mut life.rests_until, until.unwrap_or_default()) > now
    }

    /// The figures for a row that shows `of`.
    pub(super) fn kernel_reading(&self, of: &Life) -> KernelReading {
        let life = self.life();
        if life.generation != of.generation {
            return KernelReading::default();
        }
        let last = match (&of.sums, life.after_end, life.at) {
            (None, ..) => LastReading::Running,
            (_, AfterEnd::All | AfterEnd::Settled, _) => LastReading::Final,
            (_, AfterEnd::Part, _) => LastReading::Partial,
            (_, AfterEnd::Nothing, Some(_)) => LastReading::Earlier,
            (_, AfterEnd::Nothing, None) => LastReading::EventsOnly,
        };
        let statistics = match (&of.sums, life.after_end) {
            (Some(sums), AfterEnd::Nothing | AfterEnd::Part) => stand_in(&life.statistics, sums),
            (Some(sums), AfterEnd::All) => {
                Some(with_last_slice(&life.statistics, sums, SLOWEST_TICK))
            }
            _ => life.at.map(|_| Arc::clone(&life.statistics)),
        };
        KernelReading {
            statistics,
            at: life.at,
            last,
            network: life
                .processes
                .as_ref()
                .and_then(|processes| processes.network.clone()),
            processes: life
                .processes
                .as_ref()
                .and_then(|processes| processes.totals),
        }
    }

    /// What the last reading says, for comparison with events.
    #[must_use]
    pub fn latest(&self, generation: u32) -> Option<Latest> {
        let life = self.life();
        let at = life.at.filter(|_| life.generation == generation)?;
        Some(Latest {
            at,
            made: life.made(),
            statistics: Arc::clone(&life.statistics),
        })
    }

    /// What was read of a life after its end, if that was in time.
    #[must_use]
    pub fn last_figures(&self, generation: u32) -> Option<LastFigures> {
        let life = self.life();
        let Occupancy::Emptied(ended) = life.occupancy else {
            return None;
        };
        (life.generation == generation && life.after_end >= AfterEnd::All).then(|| LastFigures {
            made: life.made(),
            ended,
            statistics: Arc::clone(&life.statistics),
        })
    }

    pub(super) fn life(&self) -> MutexGuard<'_, EntryLife> {
        // A reader that panicked ends the daemon; until then numbers are better than none.
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EntryLife {
    pub(super) fn new(generation: u32, path: Vec<u8>, since: Ktime, is_new: bool) -> Self {
        Self {
            generation,
            path,
            keys: Vec::new(),
            since,
            is_new,
            occupancy: Occupancy::Untold,
            after_end: AfterEnd::Nothing,
            exited: false,
            turns: 0,
            rests_until: Ktime::default(),
            at: None,
            reader: None,
            statistics: Arc::default(),
            processes: None,
        }
    }

    /// With a network to itself, if it has one.
    pub(super) fn with_network(mut self, has_network: bool) -> Self {
        self.processes = has_network.then(Processes::default);
        self
    }

    /// When it was made, if that is known.
    fn made(&self) -> Option<Ktime> {
        self.is_new.then_some(self.since)
    }

    pub(super) fn add_key(&mut self, key: CgroupKey) {
        if self.keys.len() < MAX_KEYS && !self.keys.contains(&key) {
            self.keys.push(key);
        }
    }

    /// A process is in it: what was read before is not the last reading.
    pub(super) const fn fill(&mut self) {
        self.occupancy = Occupancy::Filled;
        self.after_end = AfterEnd::Nothing;
    }

    /// The last process left. In another hierarchy of the same cgroup it may have left before.
    pub(super) fn empty(&mut self, at: Ktime) {
        self.occupancy = match self.occupancy {
            Occupancy::Emptied(before) => Occupancy::Emptied(before.max(at)),
            Occupancy::Untold | Occupancy::Filled => Occupancy::Emptied(at),
        };
        self.after_end = AfterEnd::Nothing;
    }

    /// It is gone, and with it what was open of it.
    pub(super) fn exit(&mut self) -> Ending {
        self.exited = true;
        self.reader = None;
        if let Some(processes) = &mut self.processes {
            processes.network_reader = NetworkReader::default();
        }
        match self.after_end {
            AfterEnd::All | AfterEnd::Settled => Ending::Won,
            AfterEnd::Part => Ending::Late,
            AfterEnd::Nothing if self.occupancy == Occupancy::Untold => Ending::Nobody,
            AfterEnd::Nothing => Ending::Lost,
        }
    }
}
