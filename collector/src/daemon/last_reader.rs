//! Reads a cgroup at once when its last process has left: before long its runtime removes it.
//!
//! This is the drain thread's work, not another thread's: an event wakes it, and a second wakeup would
//! come too late for a cgroup that is removed within 100 µs. As it may be a real-time thread, it waits
//! for no other, and stops after a while however much there is to do.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use super::{cgroup_files::CgroupFiles, state::State};
use crate::{
    catalog::{LifeNote, OwnerId},
    host::clock::Ktime,
    reconcile::{
        readings::{Busy, Due, LeftOut, Noted},
        snapshot::ReadErrors,
    },
};

/// So long the samples can wait for last readings: their ring takes 130 ms to fill at a million
/// switches a second.
const TIME_PER_PASS: Duration = Duration::from_millis(20);

/// So long those are let be that another thread is reading at the moment.
const BUSY_FOR: Duration = Duration::from_millis(1);

/// Cgroups that wait for their last reading. Of more than are read in a second, the last would be
/// gone before their turn.
const MAX_WAITING: usize = 4_096;

/// Acts on what happens to cgroups.
#[derive(Debug)]
pub struct LastReader {
    files: CgroupFiles,
    waiting: Waiting,
    /// Whether a pass ended for want of time.
    out_of_time: bool,
}

/// Those to be read, in the order in which they were emptied.
#[derive(Debug, Default)]
struct Waiting {
    in_order: BTreeMap<u64, Due>,
    places: HashMap<OwnerId, u64>,
    next: u64,
}

impl LastReader {
    /// With nothing to do.
    #[must_use]
    pub fn new(files: CgroupFiles) -> Self {
        Self {
            files,
            waiting: Waiting::default(),
            out_of_time: false,
        }
    }

    /// Takes over what happened, in its order, and reads what was emptied.
    pub fn follow(&mut self, notes: Vec<LifeNote>, state: &State) {
        let now = Ktime::now();
        let has_time = || Ktime::now().0.saturating_sub(now.0) < TIME_PER_PASS;
        for note in notes {
            match note {
                // Its files may be there in a hierarchy that no event tells of.
                LifeNote::Exited { owner } => {
                    if let Some(due) = self.waiting.take(owner)
                        && has_time()
                    {
                        // One that is being read at the moment is as well read.
                        self.read(&due).ok();
                    }
                }
                LifeNote::Filled { owner } | LifeNote::Forgotten { owner } => {
                    self.waiting.take(owner);
                }
                LifeNote::There { .. } | LifeNote::Emptied { .. } | LifeNote::Only { .. } => {}
            }
            if let Noted::ReadNow(due) = state.readings.note(note, now)
                && !self.waiting.add(due)
            {
                state.readings.leave_out(LeftOut::LastReading);
            }
        }
        self.read_waiting(has_time);
    }

    /// How soon to go on, if some could not be read in this pass.
    #[must_use]
    pub fn pause(&self) -> Option<Duration> {
        if self.waiting.in_order.is_empty() {
            None
        } else if self.out_of_time {
            Some(Duration::ZERO)
        } else {
            Some(BUSY_FOR)
        }
    }

    /// What went wrong so far.
    #[must_use]
    pub fn errors(&self) -> ReadErrors {
        self.files.errors()
    }

    /// Reads each that waits, as long as there is time.
    fn read_waiting(&mut self, has_time: impl Fn() -> bool) {
        let mut busy = Vec::new();
        while has_time()
            && let Some(due) = self.waiting.take_first()
        {
            if self.read(&due) == Err(Busy) {
                busy.push(due);
            }
        }
        self.out_of_time = !self.waiting.in_order.is_empty();
        for due in busy {
            self.waiting.add(due);
        }
    }

    fn read(&mut self, due: &Due) -> Result<(), Busy> {
        self.files.read_last(due)
    }
}

impl Waiting {
    /// Adds one at the end, unless it waits already: on a hybrid host each hierarchy's cgroup is emptied,
    /// and one reading is for all of them. Whether there was room.
    fn add(&mut self, due: Due) -> bool {
        let owner = due.entry.owner;
        if let Some(place) = self.places.get(&owner) {
            // Perhaps of another life.
            self.in_order.insert(*place, due);
            return true;
        }
        if self.in_order.len() >= MAX_WAITING {
            return false;
        }
        self.places.insert(owner, self.next);
        self.in_order.insert(self.next, due);
        self.next += 1;
        true
    }

    fn take(&mut self, owner: OwnerId) -> Option<Due> {
        let place = self.places.remove(&owner)?;
        self.in_order.remove(&place)
    }

    fn take_first(&mut self) -> Option<Due> {
        let (_, due) = self.in_order.pop_first()?;
        self.places.remove(&due.entry.owner);
        Some(due)
    }
}
