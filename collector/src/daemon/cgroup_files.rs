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
        readings::{Busy, Due, Processes, ReadTarget},
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
    /// At the first turn, and then at each so many: what hardly changes.
    pub sometimes: Wanted,
    /// Whether containers' networks are read at every turn, and not as seldom as limits are.
    pub network_always: bool,
}

/// How many turns of a cgroup it takes until its limits are read again: a minute's, by default. Of one that
/// rests it is as long until it is read at all, without them.
const LIMITS_EVERY: u32 = 6;

/// How many turns it takes until all of its files are read again, also those that hardly ever change or
/// that few kernels have: five minutes', by default.
const ALL_EVERY: u32 = 30;

/// The root has most of the host's memory, and of all cgroups below it: its `memory.stat` is the most
/// expensive file there is, and says what `/proc/meminfo` does.
const NOT_OF_ROOT: Wanted = Wanted::MEMORY_STAT;

/// A thread's way to read cgroups.
#[derive(Debug)]
pub struct CgroupFiles {
    sources: FileSources,
    /// Where processes are looked at, if they are.
    processes: Option<ProcessFiles>,
    /// Whether their network is at every reading.
    network_always: bool,
    context: ReadContext,
    timer: Timer,
    /// Used again for the ids of processes.
    pids: Vec<u32>,
    /// Whether these are those of the last reading, and all of them; `None` if they were not asked for.
    listed: Option<bool>,
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
            network_always: names.cadvisor,
        }
    }

    /// What the last reading of a cgroup should have: no part of what is always read may be of an earlier
    /// moment than the others.
    #[must_use]
    pub fn last(self) -> Wanted {
        Wanted::LAST | self.always
    }

    /// What a turn takes of a cgroup that had so many before; `None` if it is passed over.
    #[must_use]
    pub fn of_turn(self, turns: u32, rests: bool) -> Option<Wanted> {
        if turns.is_multiple_of(ALL_EVERY) {
            return Some(self.always | self.sometimes);
        }
        match (turns.is_multiple_of(LIMITS_EVERY), rests) {
            (true, false) => Some(self.always | Wanted::LIMITS),
            (false, true) => None,
            (true, true) => Some(self.always | Wanted::SPARING),
            (false, false) => Some(self.always),
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
            network_always: false,
            context: ReadContext::default(),
            timer: state.own.factory().timer("cgroupfs_read", &[]),
            pids: Vec::new(),
            listed: None,
        }
    }

    /// Also looks at the processes of containers: when limits are read, and at their network at every
    /// reading if `network_always` says so.
    #[must_use]
    pub fn with_processes(mut self, files: Option<ProcessFiles>, network_always: bool) -> Self {
        self.processes = files;
        self.network_always = network_always;
        self
    }

    /// Reads a cgroup; `wanted` is told how many turns it had before, and whether nothing has happened
    /// in it of late. `None` when nothing is wanted, or it is known to be gone or another by now.
    pub fn read(
        &mut self,
        due: &Due,
        wanted: impl FnOnce(u32, bool) -> Option<Wanted>,
    ) -> Option<ReadOutcome> {
        let outcome = due.entry.read(due.generation, |target| {
            let wanted = wanted(target.turns, target.rests)?;
            Some(self.read_target(target, wanted))
        })?;
        self.note(&outcome);
        // Nobody waits for these: they are looked at without the entry's lock.
        if let Some(is_complete) = self.listed.take()
            && let Some(files) = &self.processes
        {
            let totals = is_complete.then(|| files.totals(&self.pids, &mut self.context));
            due.entry.set_process_totals(due.generation, totals);
        }
        Some(outcome)
    }

    /// Reads what a last reading should have, unless another thread is reading the same cgroup.
    pub fn read_last(&mut self, due: &Due) -> Result<(), Busy> {
        let outcome = due.entry.try_read(due.generation, |target| {
            Some(self.read_target(target, due.entry.last_wanted()))
        })?;
        let Some(outcome) = outcome else {
            return Ok(());
        };
        self.note(&outcome);
        // By now the last slice has been counted, too.
        let again = |target: ReadTarget<'_>| Some(self.read_target(target, Wanted::CPU));
        due.entry.try_read(due.generation, again).map(drop)
    }

    fn note(&self, outcome: &ReadOutcome) {
        // What is not there any more takes no time worth telling.
        if matches!(outcome.presence, Presence::There | Presence::Going) {
            self.timer.record(outcome.took);
        }
    }

    fn read_target(&mut self, target: ReadTarget<'_>, mut wanted: Wanted) -> ReadOutcome {
        let ReadTarget {
            path,
            keys,
            reader,
            statistics,
            processes,
            ..
        } = target;
        let Self {
            sources, context, ..
        } = self;
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
        if let (Some(files), Some(processes)) = (&self.processes, processes)
            && outcome.presence == Presence::There
        {
            let is_seldom = wanted.contains(Wanted::LIMITS);
            if is_seldom || self.network_always {
                read_network(processes, reader, files, context);
            }
            // As seldom as limits: this is the most that one container can cost.
            if is_seldom && path != b"/" {
                self.listed = Some(reader.processes(context, &mut self.pids, MAX_PROCESSES));
            }
        }
        outcome
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
    fn limits_and_all_are_read_now_and_then_and_of_what_rests_nothing_in_between() {
        let plan = ReadPlan::for_names(NameSets::default());
        for turn in 0..100 {
            let (busy, resting) = (plan.of_turn(turn, false), plan.of_turn(turn, true));
            let expected = match turn {
                0 | 30 | 60 | 90 => (Some(Wanted::ALL), Some(Wanted::ALL)),
                _ if turn % 6 == 0 => {
                    let with_limits = Wanted::USAGE | Wanted::LIMITS;
                    (Some(with_limits), Some(Wanted::USAGE | Wanted::SPARING))
                }
                _ => (Some(Wanted::USAGE), None),
            };
            assert_eq!((busy, resting), expected, "turn {turn}");
        }
    }

    #[test]
    fn the_last_reading_has_all_that_every_reading_has() {
        for containerd in [false, true] {
            for cadvisor in [false, true] {
                let plan = ReadPlan::for_names(NameSets {
                    containerd,
                    cadvisor,
                });
                assert!(plan.last().contains(plan.always));
                assert!(plan.last().contains(Wanted::LAST));
                let per_cpu = plan.last().contains(Wanted::PER_CPU);
                assert_eq!(
                    per_cpu, containerd,
                    "whose per-CPU times add up to the total"
                );
            }
        }
    }
}
