//! One owner's latest reading, through one life after the other.
//!
//! It has two locks. What is known of the life is never locked while a file is read: the thread that
//! tells of it may be a real-time thread, which must not wait for one that is not. What the files say
//! is locked as long as they are read. Who needs both takes the figures' lock first, and lets go of it
//! first.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
};

use crate::{
    catalog::OwnerId,
    host::{
        CgroupKey,
        cgroupfs::{CgroupReader, CgroupStatistics, ReadOutcome, Wanted},
        clock::Ktime,
        network::{NetworkReader, NetworkStatistics},
        process_files::ProcessTotals,
    },
    reconcile::{
        Life,
        readings::{
            ReadingSettings,
            life::{EntryLife, Existence, Occupancy},
            stand_in::completed,
            tally::{LeftOut, Tally},
        },
        snapshot::{KernelReading, LastReading},
    },
};

/// One owner's latest reading. The row of a path has one through all its lives, and shows the latest.
#[derive(Debug)]
pub struct Entry {
    /// Whose.
    pub owner: OwnerId,
    settings: ReadingSettings,
    tally: Arc<Tally>,
    life: Mutex<EntryLife>,
    figures: Mutex<EntryFigures>,
}

/// What the files of a life say, and what reads them.
#[derive(Debug, Default)]
struct EntryFigures {
    generation: u32,
    reader: Option<CgroupReader>,
    /// Its ids where it was found, those included that no event tells.
    ids: Vec<CgroupKey>,
    statistics: Arc<CgroupStatistics>,
    /// What its processes tell, where they have something of their own to tell.
    processes: Option<Processes>,
}

/// Another thread is reading the same cgroup's files at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

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

/// What a reading is given.
#[derive(Debug)]
pub struct ReadTarget<'a> {
    /// The path, as the kernel has it.
    pub path: &'a [u8],
    /// The ids that are known of it; none once there is a reader, which has them.
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

impl Entry {
    pub(super) fn new(
        owner: OwnerId,
        life: EntryLife,
        settings: ReadingSettings,
        tally: Arc<Tally>,
    ) -> Self {
        Self {
            owner,
            settings,
            tally,
            life: Mutex::new(life),
            figures: Mutex::default(),
        }
    }

    /// Reads, by `read`, unless the cgroup is gone, or has come back as another than the caller means.
    /// `read` says what it found; `None` if it could not begin.
    pub fn read(
        &self,
        generation: u32,
        read: impl FnOnce(ReadTarget<'_>) -> Option<ReadOutcome>,
    ) -> Option<ReadOutcome> {
        self.read_into(self.figures(), generation, read)
    }

    /// The same, but waits for nobody.
    pub fn try_read(
        &self,
        generation: u32,
        read: impl FnOnce(ReadTarget<'_>) -> Option<ReadOutcome>,
    ) -> Result<Option<ReadOutcome>, Busy> {
        let figures = self.try_figures().ok_or(Busy)?;
        Ok(self.read_into(figures, generation, read))
    }

    fn read_into(
        &self,
        mut figures: MutexGuard<'_, EntryFigures>,
        generation: u32,
        read: impl FnOnce(ReadTarget<'_>) -> Option<ReadOutcome>,
    ) -> Option<ReadOutcome> {
        let (path, keys, turns, rests) = {
            let life = self.life();
            if life.existence != Existence::There || life.generation != generation {
                return None;
            }
            figures.begin(&life);
            let keys = match &figures.reader {
                Some(_) => Vec::new(),
                None => life.keys.clone(),
            };
            let rests = life.rests_until > Ktime::now();
            (Arc::clone(&life.path), keys, life.turns, rests)
        };
        let of = &mut *figures;
        let outcome = read(ReadTarget {
            path: &path,
            keys: &keys,
            turns,
            rests,
            reader: &mut of.reader,
            // A copy is made only while a scrape still holds the values of the last reading.
            statistics: Arc::make_mut(&mut of.statistics),
            processes: of.processes.as_mut(),
        });
        figures.keep_ids();
        let mut life = self.life();
        let is_same = life.generation == generation;
        if let Some(outcome) = outcome.filter(|_| is_same) {
            life.take(&outcome, self.settings.last);
        }
        if life.existence != Existence::There || !is_same {
            figures.close();
        }
        // Before the life's lock: who sees that it went while this was held can rely on the above.
        drop(figures);
        if is_same {
            self.end(&mut life);
        }
        outcome
    }

    /// What the last reading of a life should have.
    #[must_use]
    pub const fn last_wanted(&self) -> Wanted {
        self.settings.last
    }

    /// Says what the processes of a life add up to; `None` when they are too many to look at.
    pub fn set_process_totals(&self, generation: u32, totals: Option<ProcessTotals>) {
        if totals.is_none() {
            self.tally.leave_out(LeftOut::Processes);
        }
        let mut figures = self.figures();
        if figures.generation == generation
            && let Some(processes) = &mut figures.processes
        {
            processes.totals = totals;
        }
    }

    /// The cgroup is gone, and with it what was open of it.
    pub(super) fn exit(&self) {
        let mut life = self.life();
        if life.existence != Existence::There {
            return;
        }
        life.existence = Existence::GoneWhileRead;
        if let Some(mut figures) = self.try_figures() {
            figures.close();
            self.end(&mut life);
        }
    }

    /// Counts how the last reading ended, once, if that can be told now.
    fn end(&self, life: &mut EntryLife) {
        if life.existence == Existence::GoneWhileRead {
            life.existence = Existence::Gone;
            self.tally.end(life.ending());
        }
    }

    /// Another life begins at its path. Whether it is another, and not one more cgroup of the same.
    pub(super) fn begin(&self, new: EntryLife, key: CgroupKey) -> bool {
        let mut life = self.life();
        let is_other = life.generation != new.generation;
        if is_other {
            self.end(&mut life);
            *life = new;
        } else {
            life.learn_network(new.has_network);
        }
        if !life.add_key(key) {
            self.tally.leave_out(LeftOut::Id);
        }
        is_other
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
        let mut figures = self.figures();
        let life = self.life();
        if life.generation != of.generation {
            return KernelReading::default();
        }
        figures.begin(&life);
        let (last, statistics) = match &of.sums {
            None => {
                let read = life.at.map(|_| Arc::clone(&figures.statistics));
                (LastReading::Running, read)
            }
            Some(sums) => {
                let versions = self.settings.versions;
                let read = &figures.statistics;
                (
                    life.last_reading(),
                    completed(read, life.at_end, sums, versions),
                )
            }
        };
        let processes = figures.processes.as_ref();
        KernelReading {
            statistics,
            at: life.at,
            last,
            network: processes.and_then(|processes| processes.network.clone()),
            processes: processes.and_then(|processes| processes.totals),
        }
    }

    /// The ids of a life, in all hierarchies in which its files were found.
    #[must_use]
    pub fn ids(&self, generation: u32) -> Vec<CgroupKey> {
        let figures = self.figures();
        if figures.generation == generation {
            figures.ids.clone()
        } else {
            Vec::new()
        }
    }

    /// What the last reading says, for comparison with events.
    #[must_use]
    pub fn latest(&self, generation: u32) -> Option<Latest> {
        let figures = self.figures();
        let life = self.life();
        let at = life.at.filter(|_| life.generation == generation)?;
        Some(Latest {
            at,
            made: life.made(),
            statistics: Arc::clone(&figures.statistics),
        })
    }

    /// What was read of a life after its end, if that was in time.
    #[must_use]
    pub fn last_figures(&self, generation: u32) -> Option<LastFigures> {
        let figures = self.figures();
        let life = self.life();
        let Occupancy::Emptied(ended) = life.occupancy else {
            return None;
        };
        let is_final = life.last_reading() == LastReading::Final;
        (life.generation == generation && is_final).then(|| LastFigures {
            made: life.made(),
            ended,
            statistics: Arc::clone(&figures.statistics),
        })
    }

    fn figures(&self) -> MutexGuard<'_, EntryFigures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_figures(&self) -> Option<MutexGuard<'_, EntryFigures>> {
        match self.figures.try_lock() {
            Ok(figures) => Some(figures),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    pub(super) fn life(&self) -> MutexGuard<'_, EntryLife> {
        // A reader that panicked ends the daemon; until then numbers are better than none.
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EntryFigures {
    /// Those of the life that is now, which begins without those of the one before.
    fn begin(&mut self, life: &EntryLife) {
        if self.generation != life.generation {
            *self = Self {
                generation: life.generation,
                processes: life.has_network.then(Processes::default),
                ..Self::default()
            };
        }
    }

    /// Keeps the ids that the reader found, when there are more.
    fn keep_ids(&mut self) {
        if let Some(reader) = &self.reader
            && reader.ids().count() > self.ids.len()
        {
            self.ids = reader.ids().collect();
        }
    }

    /// Lets go of what is open.
    fn close(&mut self) {
        self.reader = None;
        if let Some(processes) = &mut self.processes {
            processes.network_reader = NetworkReader::default();
        }
    }
}
