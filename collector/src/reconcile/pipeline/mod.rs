//! The numbers of every cgroup, and whose they are.
//!
//! Samples are recorded by cgroup id alone; this is where ids meet identities. The two are kept apart
//! because an id can be seen in a sample before anyone knows its path, and because the cgroups of one
//! path in several hierarchies, and in several lives, are one row of the export.

mod disk_users;
mod intake;
mod lives;
mod occupants;
mod own;
mod slow;
mod views;

use std::{
    collections::HashMap,
    mem,
    sync::Arc,
    time::{Duration, SystemTime},
};

pub use self::lives::LifeTotals;
use self::{own::Own, slow::Slow};
use super::{
    moments::Moments,
    roll_up::RollUp,
    snapshot::{CgroupCounts, CgroupStats, SchedSums},
};
use crate::{
    catalog::{
        CgroupTable, ContainerRef, Heard, Informant, LifeNote, News, Owner, OwnerId, Recognizer,
        Roster, RuntimeContainer, TableSettings,
        cgroup_table::{Expired, Moment, Walked},
        following::Unnamed,
        kata,
    },
    host::{CgroupKey, HierarchyId, cgroup_mounts::CgroupMounts, cgroup_walk::Walk, clock::Ktime},
    window::{CgroupTotals, CgroupWindows, EventSums, Operation, OperationCodes, WindowSettings},
};

/// The path of the row that takes what has no row of its own.
const OTHER: &str = "~other";

/// What the pipeline is made with.
#[derive(Clone, Debug)]
pub struct PipelineSettings<'a> {
    /// The hierarchies.
    pub mounts: &'a CgroupMounts,
    /// What recognizes containers.
    pub recognizer: Recognizer,
    /// How this kernel numbers block operations.
    pub operations: Vec<(u32, Operation)>,
    /// How many cgroups get numbers of their own.
    pub max_cgroups: usize,
    /// How long a tombstone stays.
    pub retention: Duration,
}

/// The numbers of every cgroup, and whose they are.
#[derive(Debug)]
pub struct Pipeline {
    windows: CgroupWindows,
    table: CgroupTable,
    operations: OperationCodes,
    tasks: HierarchyId,
    block: HierarchyId,
    memory: HierarchyId,
    /// The hierarchies whose cgroups get an identity. Events of the others are noted and pass.
    attributed: Vec<HierarchyId>,
    /// Which of all is cgscope itself.
    own: Own,
    /// Totals that are no longer under a cgroup's id: of earlier lives.
    put_aside: HashMap<OwnerId, CgroupTotals>,
    /// Totals of cgroups that found no place in the table.
    homeless: CgroupTotals,
    /// What counts in the rows above, though it has no row any more.
    roll_up: RollUp,
    /// What took unusually long.
    slow: Slow,
    started: SystemTime,
    wants_resync: bool,
    /// There is a container of which no runtime has told.
    misses_names: bool,
    /// What happened to cgroups since this was last asked.
    life: Vec<LifeNote>,
    /// Whether some of it could not be kept.
    life_missed: bool,
    /// What happened in the lives of containers, if anyone wants to know.
    moments: Option<Moments>,
}

/// What a scrape found.
#[derive(Debug)]
pub struct Scrape {
    /// Every row.
    pub cgroups: Vec<CgroupStats>,
    /// Of each row, which life it shows; the overflow row has none.
    pub lives: Vec<Option<Life>>,
    /// How many cgroups are known.
    pub counts: CgroupCounts,
    /// How many events went to the overflow row because their cgroups had no place of their own.
    pub events_overflowed: u64,
}

/// The latest life of an owner.
#[derive(Clone, Debug)]
pub struct Life {
    /// Whose.
    pub owner: OwnerId,
    /// Which.
    pub generation: u32,
    /// What its events add up to, once it is over.
    pub sums: Option<EventSums>,
}

/// How much of what happened to cgroups is kept for those who read their files: more than the events
/// of one pass. Each note is a path and some numbers.
pub(super) const MAX_LIFE_NOTES: usize = 1 << 18;

impl Pipeline {
    /// Empty.
    #[must_use]
    pub fn new(settings: PipelineSettings<'_>, started: SystemTime) -> Self {
        let PipelineSettings {
            mounts,
            recognizer,
            operations,
            max_cgroups,
            retention,
        } = settings;
        let id = |of: Option<&crate::host::cgroup_mounts::Hierarchy>| {
            of.map_or(HierarchyId::V2, |hierarchy| hierarchy.id)
        };
        let tasks = id(mounts.task_hierarchy());
        let table = TableSettings {
            max_owners: max_cgroups,
            retention,
            cgroup_version: if tasks == HierarchyId::V2 { 2 } else { 1 },
        };
        Self {
            // Each owner can have a cgroup with numbers in each hierarchy, and may be a tombstone.
            windows: CgroupWindows::new(WindowSettings {
                max_cgroups: max_cgroups.saturating_mul(2 * mounts.attributed().len()),
                ..WindowSettings::default()
            }),
            table: CgroupTable::new(table, recognizer),
            operations: OperationCodes::new(operations),
            tasks,
            block: id(mounts.block_hierarchy()),
            memory: id(mounts.memory_hierarchy()),
            attributed: mounts
                .attributed()
                .iter()
                .map(|hierarchy| hierarchy.id)
                .collect(),
            own: Own::default(),
            put_aside: HashMap::new(),
            homeless: CgroupTotals::default(),
            roll_up: RollUp::default(),
            slow: Slow::default(),
            started,
            wants_resync: false,
            misses_names: false,
            life: Vec::new(),
            life_missed: false,
            moments: None,
        }
    }

    /// Closes the current window of every histogram.
    pub fn rotate(&mut self) {
        self.windows.rotate();
    }

    /// Whether the cgroup trees should be looked at: there is a cgroup whose path is not known. Says
    /// so once.
    pub fn wants_resync(&mut self) -> bool {
        mem::take(&mut self.wants_resync)
    }

    /// Whether a container has come of which no runtime has told. Says so once.
    pub fn misses_names(&mut self) -> bool {
        mem::take(&mut self.misses_names)
    }

    /// Makes identities agree with a walk of a hierarchy that began at `began`.
    pub fn sync(&mut self, hierarchy: HierarchyId, walk: &Walk, began: Ktime, now: Moment) {
        let walked = Walked {
            cgroups: &walk.cgroups,
            is_complete: walk.is_complete(),
            began,
        };
        for (key, change) in self.table.sync(hierarchy, &walked, now) {
            self.follow(key, change, None);
        }
        self.note_exits();
        self.make_room();
    }

    /// Takes what a runtime tells of its containers: names of rows, those that are gone too. The
    /// containers that a list has no more.
    pub fn tell(&mut self, informant: Informant, news: News) -> Vec<Arc<RuntimeContainer>> {
        if let Some(moments) = &mut self.moments {
            moments.hear(&news);
        }
        let Heard { moved, gone } = self.table.tell(informant, news);
        for owner in moved {
            self.classify(owner);
        }
        gone
    }

    /// The first process of a container is in this cgroup.
    pub fn place(&mut self, container: &ContainerRef, path: &[u8]) {
        for owner in self.table.place(container, path) {
            self.classify(owner);
        }
    }

    /// Which containers there are, as the runtimes tell.
    #[must_use]
    pub const fn roster(&self) -> &Roster {
        self.table.roster()
    }

    /// Whether a container has cgroups here.
    #[must_use]
    pub fn has_cgroups_of(&self, container: &ContainerRef) -> bool {
        self.table.has_cgroups_of(container)
    }

    /// The hierarchy in which tasks are attributed.
    #[must_use]
    pub const fn task_hierarchy(&self) -> HierarchyId {
        self.tasks
    }

    /// Containers that are there, and of which no runtime has told; at most so many.
    #[must_use]
    pub fn unnamed(&self, most: usize) -> Vec<Unnamed> {
        let unnamed = self.table.owners().filter(|(_, owner)| owner.is_unnamed());
        let unnamed = unnamed.filter_map(|(_, owner)| {
            let container = owner.identity.container.as_ref()?;
            Some(Unnamed {
                of: container.key()?,
                runtime: container.runtime,
            })
        });
        unnamed.take(most).collect()
    }

    /// Lets go of tombstones whose time is over.
    pub fn expire(&mut self, now: Ktime) {
        for Expired {
            owner,
            path,
            ended,
            keys,
            is_early,
        } in self.table.expire(now)
        {
            self.note(LifeNote::Forgotten { owner });
            let mut totals = self.put_aside.remove(&owner).unwrap_or_default();
            let mut of_life = SchedSums::default();
            for key in keys {
                if let Some(of_key) = self.windows.remove(key) {
                    of_life.add(SchedSums::of(&of_key));
                    totals.merge(&of_key);
                }
            }
            self.roll_up
                .forget(&self.table, owner, &path, ended, of_life);
            // What goes before its time, for want of room, is not lost: only told apart no more.
            if is_early {
                self.homeless.merge(&totals);
            }
        }
    }

    /// Cgroups may come and go faster than [`expire`](Self::expire) is called.
    fn make_room(&mut self) {
        if self.table.is_crowded() {
            self.expire(Ktime::now());
        }
    }

    /// What happened to cgroups since this was last asked, in its order. To be asked after every
    /// pass.
    pub fn take_life(&mut self) -> Vec<LifeNote> {
        if !mem::take(&mut self.life_missed) {
            return mem::take(&mut self.life);
        }
        self.life.clear();
        let mut notes = vec![LifeNote::Only {
            owners: self.table.owners().map(|(owner, _)| owner).collect(),
        }];
        for (owner, of) in self.table.owners() {
            notes.extend(of.live_keys().filter_map(|key| there(owner, of, key, None)));
            if of.exited().is_some() {
                notes.push(LifeNote::Exited { owner });
            }
        }
        notes
    }

    fn note(&mut self, note: LifeNote) {
        if let Some(moments) = &mut self.moments {
            let owner = note.owner().and_then(|owner| self.table.owner(owner));
            moments.note(&note, owner);
        }
        if self.life.len() < MAX_LIFE_NOTES {
            self.life.push(note);
        } else {
            self.life_missed = true;
        }
    }

    fn note_exits(&mut self) {
        for owner in self.table.take_exited() {
            self.note(LifeNote::Exited { owner });
        }
    }
}

/// The note that a cgroup is there; none for one whose path is not known.
fn there(id: OwnerId, owner: &Owner, key: CgroupKey, made: Option<Ktime>) -> Option<LifeNote> {
    let path = &owner.identity.path;
    // What Kata keeps out of a pod's cgroup shares the network with what is in it.
    let has_network =
        path == "/" || owner.identity.own_container().is_some() && !kata::is_overhead(path);
    (!owner.is_unresolved()).then(|| LifeNote::There {
        owner: id,
        generation: owner.identity.generation,
        key,
        path: owner.path().to_vec(),
        made,
        has_network,
    })
}
