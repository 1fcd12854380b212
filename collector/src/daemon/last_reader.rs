//! Reads a cgroup at once when its last process has left: before long its runtime removes it.
//!
//! This is the drain thread's work, not another thread's: an event wakes it, and a second wakeup would
//! come too late for a cgroup that is removed within 100 µs.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use super::{cgroup_files::CgroupFiles, state::State};
use crate::{
    catalog::{LifeNote, OwnerId},
    host::{cgroupfs::Wanted, clock::Ktime},
    reconcile::{
        readings::{Due, Noted},
        snapshot::ReadErrors,
    },
};

/// So long the samples can wait for last readings: their ring takes 130 ms to fill at a million
/// switches a second.
const TIME_PER_PASS: Duration = Duration::from_millis(20);

/// Cgroups that wait for their last reading. Of more than are read in a second, the last would be
/// gone before their turn.
const MAX_WAITING: usize = 4_096;

/// Acts on what happens to cgroups.
#[derive(Debug)]
pub struct LastReader {
    files: CgroupFiles,
    /// Those to be read, in the order in which they were emptied.
    order: VecDeque<OwnerId>,
    waiting: HashMap<OwnerId, Due>,
}

impl LastReader {
    /// With nothing to do.
    #[must_use]
    pub fn new(files: CgroupFiles) -> Self {
        Self {
            files,
            order: VecDeque::new(),
            waiting: HashMap::new(),
        }
    }

    /// Takes over what happened, in its order, and reads what was emptied.
    pub fn follow(&mut self, notes: Vec<LifeNote>, state: &State) {
        let now = Ktime::now();
        for note in notes {
            match note {
                // Its files may be there in a hierarchy that no event tells of.
                LifeNote::Exited { owner } => self.read(owner),
                LifeNote::Filled { owner } | LifeNote::Forgotten { owner } => {
                    self.waiting.remove(&owner);
                }
                LifeNote::There { .. } | LifeNote::Emptied { .. } | LifeNote::Only { .. } => {}
            }
            if let Noted::ReadNow(due) = state.readings.note(note, now) {
                self.wait(due);
            }
        }
        while !self.order.is_empty() && Ktime::now().0.saturating_sub(now.0) < TIME_PER_PASS {
            if let Some(owner) = self.order.pop_front() {
                self.read(owner);
            }
        }
    }

    /// Whether some could not be read for want of time.
    #[must_use]
    pub fn has_more(&self) -> bool {
        !self.order.is_empty()
    }

    /// What went wrong so far.
    #[must_use]
    pub fn errors(&self) -> ReadErrors {
        self.files.errors()
    }

    fn wait(&mut self, due: Due) {
        // On a hybrid host each hierarchy's cgroup is emptied: one reading is for all of them.
        if self.waiting.len() < MAX_WAITING {
            let owner = due.entry.owner;
            if self.waiting.insert(owner, due).is_none() {
                self.order.push_back(owner);
            }
        }
    }

    fn read(&mut self, owner: OwnerId) {
        if let Some(due) = self.waiting.remove(&owner) {
            self.files.read(&due, |_, _| Some(Wanted::LAST));
        }
    }
}
