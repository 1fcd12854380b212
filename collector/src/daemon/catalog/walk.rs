//! The catalog without a daemon: one walk of the cgroup trees, and one reading of each cgroup.
//!
//! In: where the trees are. Out: a [`Listing`] of what is there now. What is gone, and since when
//! anything is there, only a daemon knows.

use std::{sync::Arc, time::SystemTime};

use crate::{
    catalog::{CgroupTable, Owner, Recognizer, TableSettings, cgroup_table::Walked},
    daemon::{config::Config, exit::Failure, run::listed_hierarchies},
    error_chain,
    host::{
        block_devices,
        cgroup_mounts::{CgroupMounts, Hierarchy},
        cgroup_walk::walk,
        cgroupfs::{
            CgroupReader, CgroupStatistics, ControllerDirs, DescriptorBudget, HierarchyRoots,
            Presence, ReadContext, Wanted,
        },
        clock::{Ktime, TimeAnchor},
        online_cpus,
    },
    reconcile::{
        Listing,
        listing::{ListedCgroup, ListedReading, Machine, Origin},
        snapshot::KernelReading,
    },
};

/// What the catalog shows.
const WANTED: Wanted = Wanted::USAGE.and(Wanted::LIMITS).and(Wanted::CPUSET);

/// Walks, and reads.
pub(super) fn walk_all(config: &Config) -> Result<Listing, Failure> {
    let mounts = CgroupMounts::read(&config.host_root, &config.cgroup_root)
        .map_err(|error| Failure::Unavailable(error_chain(&error)))?;
    let table = fill_table(config, &mounts)?;
    let mut files = Files::open(&mounts);
    Ok(Listing {
        cgroups: table
            .owners()
            .filter_map(|(_, owner)| files.list(owner))
            .collect(),
        taken: SystemTime::now(),
        origin: Origin::Walk,
        left_out: table.counts().overflowed,
        elsewhere: Vec::new(),
        runtimes: Vec::new(),
        own_container: None,
        hierarchies: listed_hierarchies(&mounts, &files.roots),
    })
}

fn fill_table(config: &Config, mounts: &CgroupMounts) -> Result<CgroupTable, Failure> {
    let is_v2 = mounts.task_hierarchy().is_none_or(Hierarchy::is_v2);
    let settings = TableSettings {
        max_owners: config.max_cgroups,
        retention: config.retention,
        cgroup_version: if is_v2 { 2 } else { 1 },
    };
    let mut table = CgroupTable::new(settings, Recognizer::new(&config.host_root));
    let mut unreadable = 0;
    for hierarchy in mounts.attributed() {
        let began = Ktime::now();
        let walked = walk(hierarchy);
        unreadable += walked.unreadable;
        let is_complete = walked.is_complete();
        table.sync(
            hierarchy.id,
            &Walked {
                cgroups: &walked.cgroups,
                is_complete,
                began,
            },
            (Ktime::now(), SystemTime::now()),
        );
    }
    if table.owners().next().is_none() {
        return Err(Failure::Unavailable(format!(
            "none of the cgroups under {} can be read ({unreadable} directories); run this as root, \
             or say with --cgroup-root where they are",
            config.cgroup_root.display()
        )));
    }
    Ok(table)
}

/// Reads cgroups, one after the other.
struct Files {
    roots: Arc<HierarchyRoots>,
    budget: DescriptorBudget,
    context: ReadContext,
    clocks: TimeAnchor,
    machine: Machine,
}

impl Files {
    fn open(mounts: &CgroupMounts) -> Self {
        Self {
            roots: Arc::new(HierarchyRoots::open(mounts)),
            budget: DescriptorBudget::of_this_process(),
            context: ReadContext::default(),
            clocks: TimeAnchor::now(),
            machine: Machine {
                cpus: online_cpus::count(),
                stacked: block_devices::stacked(),
            },
        }
    }

    /// A cgroup and its figures; `None` when it has gone since the walk.
    fn list(&mut self, owner: &Owner) -> Option<ListedCgroup> {
        let directories = ControllerDirs::at(&self.roots, owner.path());
        let directories = directories.with_ids(owner.live_keys());
        let mut statistics = CgroupStatistics::default();
        // The root's is the most expensive file there is.
        let wanted = match owner.path() {
            b"/" => WANTED.without(Wanted::MEMORY_STAT),
            _ => WANTED,
        };
        let mut reader = CgroupReader::new(directories, &self.budget);
        let outcome = reader.read(wanted, &mut self.context, &mut statistics);
        if outcome.presence == Presence::Gone {
            return None;
        }
        // Processes are not looked at: to count their open files is the most that a cgroup can cost.
        let kernel = KernelReading {
            statistics: Some(Arc::new(statistics)),
            at: (outcome.read != Wanted::NOTHING).then_some(outcome.at),
            ..KernelReading::default()
        };
        let reading = ListedReading::of(&kernel, &self.machine, |at| self.clocks.wall(at));
        Some(ListedCgroup {
            // Since when it is there, nobody has seen.
            started: None,
            reading,
            ..ListedCgroup::of(owner).with_ids(reader.ids())
        })
    }
}
