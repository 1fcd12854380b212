//! Reads cgroups' files into the store of readings: what one thread needs for that.

use std::sync::Arc;

use super::state::State;
use crate::{
    export::NameSets,
    host::{
        cgroupfs::{
            CgroupReader, ControllerDirs, DescriptorBudget, HierarchyRoots, Presence, ReadContext,
            ReadOutcome, Wanted,
        },
        host_memory::complete_root,
        process_files::ProcessFiles,
    },
    reconcile::{
        readings::{Due, Processes, ReadTarget},
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
    /// Where processes are looked at, if they are.
    processes: Option<ProcessFiles>,
    context: ReadContext,
    timer: Timer,
    /// Used again for the ids of processes.
    pids: Vec<u32>,
}

/// Processes of a container whose threads and open files are counted; of more there is no count. Each
/// takes some ten system calls.
const MAX_PROCESSES: usize = 1_024;

impl ReadPlan {
    /// What these names need, and what is kept anyway.
    #[must_use]
    pub fn for_names(names: NameSets) -> Self {
        let mut always = Wanted::USAGE;
        if names.containerd || names.cadvisor {
            always = always | Wanted::HUGETLB | Wanted::KERNEL_MEMORY | Wanted::IO_SCHEDULER;
        }
        if names.containerd {
            always = always | Wanted::PER_CPU;
        }
        Self {
            always,
            sometimes: Wanted::ALL,
        }
    }

    /// What a turn takes of a cgroup that had so many before; `None` if it is passed over.
    #[must_use]
    pub fn of_turn(self, turns: u32, rests: bool) -> Option<Wanted> {
        if turns.is_multiple_of(ALL_EVERY) {
            Some(self.always | self.sometimes)
        } else {
            (!rests).then_some(self.always)
        }
    }
}

impl CgroupFiles {
    /// A buffer and an account of its own.
    #[must_use]
    pub fn new(sources: FileSources, state: &State) -> Self {
        Self {
            sources,
            processes: None,
            context: ReadContext::default(),
            timer: state.own.factory().timer("cgroupfs_read", &[]),
            pids: Vec::new(),
        }
    }

    /// Also looks at the processes of containers.
    #[must_use]
    pub fn with_processes(mut self, processes: Option<ProcessFiles>) -> Self {
        self.processes = processes;
        self
    }

    /// Reads a cgroup; `wanted` is told how many turns it had before, and whether nothing has happened
    /// in it of late. `None` when nothing is wanted, or it is known to be gone or another by now.
    pub fn read(
        &mut self,
        due: &Due,
        wanted: impl FnOnce(u32, bool) -> Option<Wanted>,
    ) -> Option<ReadOutcome> {
        let Self {
            sources,
            processes: files,
            context,
            timer,
            pids,
        } = self;
        let outcome = due.entry.read(due.generation, |target| {
            let ReadTarget {
                path,
                keys,
                turns,
                rests,
                reader,
                statistics,
                processes,
            } = target;
            let mut wanted = wanted(turns, rests)?;
            if path == b"/" {
                wanted = wanted.without(NOT_OF_ROOT);
            }
            let reader = reader.get_or_insert_with(|| {
                let directories = ControllerDirs::at(&sources.roots, path);
                CgroupReader::new(directories.with_ids(keys.iter().copied()), &sources.budget)
            });
            let outcome = reader.read(wanted, context, statistics);
            if path == b"/" && wanted.contains(Wanted::MEMORY) {
                complete_root(&mut statistics.memory);
            }
            if let (Some(files), Some(processes)) = (files.as_ref(), processes)
                && outcome.presence == Presence::There
            {
                read_network(processes, reader, files, context);
                // As seldom as limits: this is the most that one container can cost.
                if wanted.contains(Wanted::LIMITS) && path != b"/" {
                    let all = reader.processes(context, pids, MAX_PROCESSES);
                    processes.totals = all.then(|| files.totals(pids, context));
                }
            }
            Some(outcome)
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

/// Reads the network of a container anew. Without a process to see it through, the last numbers stay.
fn read_network(
    processes: &mut Processes,
    reader: &mut CgroupReader,
    files: &ProcessFiles,
    context: &mut ReadContext,
) {
    // A copy is made only while a scrape still holds the last numbers.
    let mut network = processes.network.take().map(Arc::unwrap_or_clone);
    processes
        .network_reader
        .read(reader, files, context, &mut network);
    processes.network = network.map(Arc::new);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_read_now_and_then_and_of_what_rests_nothing_in_between() {
        let plan = ReadPlan::for_names(NameSets::default());
        let turns = |rests| {
            (0..13)
                .map(|turn| plan.of_turn(turn, rests))
                .collect::<Vec<_>>()
        };
        let (busy, resting) = (turns(false), turns(true));
        for turn in [0, 6, 12] {
            assert_eq!(
                (busy[turn], resting[turn]),
                (Some(Wanted::ALL), Some(Wanted::ALL))
            );
        }
        for turn in [1, 5, 7, 11] {
            assert_eq!((busy[turn], resting[turn]), (Some(Wanted::USAGE), None));
        }
    }
}
