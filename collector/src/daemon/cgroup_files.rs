//! Reads cgroups' files into the store of readings: what one thread needs for that.

use std::sync::Arc;

use super::state::State;
use crate::{
    host::cgroupfs::{
        CgroupReader, ControllerDirs, DescriptorBudget, HierarchyRoots, Presence, ReadContext,
        ReadOutcome, Wanted,
    },
    reconcile::{
        readings::{Due, ReadTarget},
        snapshot::ReadErrors,
    },
    window::Timer,
};

/// Where cgroups' files are, and how many may be kept open. Clones share both.
#[derive(Clone, Debug)]
pub struct FileSources {
    /// The hierarchies.
    pub roots: Arc<HierarchyRoots>,
    /// What may be kept open.
    pub budget: DescriptorBudget,
}

/// Which files are read.
#[derive(Clone, Copy, Debug)]
pub struct ReadPlan {
    /// At every turn.
    pub always: Wanted,
    /// At the first turn, and then at each so many: limits, and what hardly changes.
    pub sometimes: Wanted,
}

/// How many turns of a cgroup it takes until all of its files are read again: a minute's, by default. More would show a changed limit later.
const ALL_EVERY: u32 = 6;

/// The root has most of the host's memory, and of all cgroups below it: its `memory.stat` is the most
/// expensive file there is, and says what `/proc/meminfo` does.
const NOT_OF_ROOT: Wanted = Wanted::MEMORY_STAT;

/// A thread's way to read cgroups.
#[derive(Debug)]
pub struct CgroupFiles {
    sources: FileSources,
    context: ReadContext,
    timer: Timer,
}

impl Default for ReadPlan {
    fn default() -> Self {
        Self {
            always: Wanted::USAGE,
            sometimes: Wanted::ALL,
        }
    }
}

impl ReadPlan {
    /// What a turn takes of a cgroup that had so many before.
    #[must_use]
    pub const fn wanted(self, turns: u32) -> Wanted {
        if turns.is_multiple_of(ALL_EVERY) {
            self.always.and(self.sometimes)
        } else {
            self.always
        }
    }
}

impl CgroupFiles {
    /// A buffer and an account of its own.
    #[must_use]
    pub fn new(sources: FileSources, state: &State) -> Self {
        Self {
            sources,
            context: ReadContext::default(),
            timer: state.own.factory().timer("cgroupfs_read", &[]),
        }
    }

    /// Reads a cgroup; `wanted` is told how many turns it had before. `None` when it is known to be
    /// gone, or is another by now.
    pub fn read(&mut self, due: &Due, wanted: impl FnOnce(u32) -> Wanted) -> Option<ReadOutcome> {
        let Self {
            sources,
            context,
            timer,
        } = self;
        let outcome = due.entry.read(due.generation, |target| {
            let ReadTarget {
                path,
                keys,
                turns,
                reader,
                statistics,
            } = target;
            let mut wanted = wanted(turns);
            if path == b"/" {
                wanted = wanted.without(NOT_OF_ROOT);
            }
            let reader = reader.get_or_insert_with(|| {
                let directories = ControllerDirs::at(&sources.roots, path);
                CgroupReader::new(directories.with_ids(keys.iter().copied()), &sources.budget)
            });
            Some(reader.read(wanted, context, statistics))
        })?;
        // What is not there any more takes no time worth telling.
        if matches!(outcome.presence, Presence::There | Presence::Going) {
            timer.record(outcome.took);
        }
        Some(outcome)
    }

    /// What went wrong so far.
    #[must_use]
    pub fn errors(&self) -> ReadErrors {
        ReadErrors::of(&self.context.account)
    }
}
