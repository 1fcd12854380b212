//! Reads one cgroup's files, from all the hierarchies that it is in, into one statistics.
//!
//! A reading of a v2 cgroup takes one system call for a file that is kept open and three for another;
//! [`super::descriptors`] says which are. Nothing is allocated once a cgroup was read twice. A file
//! that a cgroup has not is asked for once and then hardly ever; a cgroup that is gone is said to be.

use std::{os::fd::BorrowedFd, sync::Arc, time::Duration};

use super::{
    CgroupStatistics, Wanted,
    context::ReadContext,
    descriptors::{DescriptorBudget, Kind, Permit},
    directory::{Directory, DirectoryPresence},
    parts,
    roots::{Controller, HierarchyRoots},
    source::Source,
    statistics::{CgroupVersion, Reading},
};
use crate::host::{CgroupId, CgroupKey, clock::Ktime};

/// Reads one cgroup.
#[derive(Debug)]
pub struct CgroupReader {
    roots: Arc<HierarchyRoots>,
    budget: DescriptorBudget,
    /// Its directory in each hierarchy, in the order of the roots.
    directories: Vec<Directory>,
    /// When it was first read.
    born: Option<Ktime>,
}

/// Where a cgroup's directories are: in one hierarchy on v2, in one for each controller on v1.
#[derive(Debug)]
pub struct ControllerDirs {
    roots: Arc<HierarchyRoots>,
    directories: Vec<Directory>,
}

/// What a reading found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOutcome {
    /// When it began.
    pub at: Ktime,
    /// How long it took.
    pub took: Duration,
    /// Whether the cgroup is there.
    pub presence: Presence,
    /// The groups that were asked for.
    pub asked: Wanted,
    /// Those of which at least one file was read, and none failed.
    pub read: Wanted,
    /// Those of what was asked for of which all that there is was read.
    pub whole: Wanted,
    /// Those of which something may be there, but could not be read: their last values stay.
    pub failed: Wanted,
}

/// Whether a cgroup is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// In every hierarchy in which it ever was.
    There,
    /// It went from some of its hierarchies: the runtime is removing it.
    Going,
    /// It is gone.
    Gone,
    /// It never was in any.
    Nowhere,
}

impl ControllerDirs {
    /// The directories at one path, which is what runtimes make: the same in every hierarchy.
    #[must_use]
    pub fn at(roots: &Arc<HierarchyRoots>, path: &[u8]) -> Self {
        Self {
            directories: roots
                .roots
                .iter()
                .map(|root| Directory::new(root.relative(path)))
                .collect(),
            roots: Arc::clone(roots),
        }
    }

    /// Its ids, as far as they are known: what is at its path with another id is another cgroup.
    #[must_use]
    pub fn with_ids(mut self, ids: impl IntoIterator<Item = CgroupKey>) -> Self {
        for key in ids {
            for (root, directory) in self.roots.roots.iter().zip(&mut self.directories) {
                if root.id == key.hierarchy {
                    directory.expect_id(key.id);
                }
            }
        }
        self
    }
}

impl CgroupReader {
    /// A reader that opens nothing yet.
    #[must_use]
    pub fn new(directories: ControllerDirs, budget: &DescriptorBudget) -> Self {
        let ControllerDirs { roots, directories } = directories;
        Self {
            roots,
            budget: budget.clone(),
            directories,
            born: None,
        }
    }

    /// Reads what is wanted. Values of files that are gone stay as they were.
    pub fn read(
        &mut self,
        wanted: Wanted,
        context: &mut ReadContext,
        statistics: &mut CgroupStatistics,
    ) -> ReadOutcome {
        let at = Ktime::now();
        let calls_before = context.account.system_calls;
        // What lives shorter than two readings is not worth keeping open.
        let hold = self.born.is_some();
        let born = *self.born.get_or_insert(at);
        context.lacking.begin(at);
        for directory in &mut self.directories {
            directory.begin(at, born);
        }

        let mut pass = Pass {
            reader: self,
            context,
            at,
            hold,
            read: Wanted::NOTHING,
            failed: Wanted::NOTHING,
            torn: Wanted::NOTHING,
        };
        parts::read(&mut pass, wanted, statistics);
        let (read, torn, failed) = (pass.read, pass.torn, pass.failed);
        let read = read.without(failed);

        for directory in &mut self.directories {
            directory.end(context);
        }
        let took = Ktime::now().0.saturating_sub(at.0);
        context.account.readings += 1;
        context.account.time = context.account.time.saturating_add(took);
        context
            .account
            .calls_in_a_reading(context.account.system_calls - calls_before);
        ReadOutcome {
            at,
            took,
            presence: self.presence(),
            asked: wanted,
            read,
            whole: wanted.without(failed).without(torn),
            failed,
        }
    }

    /// Where to look for its tasks, in this order.
    pub(super) fn task_controllers(&self) -> impl Iterator<Item = Controller> + use<> {
        let cpu = self.roots.place_of(Controller::Cpu);
        let core = self.roots.place_of(Controller::Core);
        [
            cpu.map(|_| Controller::Cpu),
            core.filter(|_| core != cpu).map(|_| Controller::Core),
        ]
        .into_iter()
        .flatten()
    }

    /// The right to keep one more directory open.
    pub(in crate::host) fn directory_permit(&self) -> Option<Permit> {
        self.budget.permit(Kind::Directory)
    }

    /// Its directory in the hierarchy of a controller, if it is there.
    pub(super) fn with_directory<T>(
        &mut self,
        controller: Controller,
        context: &mut ReadContext,
        look: impl FnOnce(BorrowedFd<'_>, &mut ReadContext) -> T,
    ) -> Option<T> {
        let place = self.roots.place_of(controller)?;
        let directory = &mut self.directories[place];
        let found = directory
            .open(&self.roots.roots[place], &self.budget, context)
            .map(|open| look(open, context));
        directory.end(context);
        found
    }

    /// Whether it is there, as far as the readings so far tell.
    #[must_use]
    pub fn presence(&self) -> Presence {
        let count = |of| {
            self.directories
                .iter()
                .filter(|directory| directory.presence() == of)
                .count()
        };
        match (
            count(DirectoryPresence::There),
            count(DirectoryPresence::Gone),
        ) {
            (0, 0) => Presence::Nowhere,
            (_, 0) => Presence::There,
            (0, _) => Presence::Gone,
            (_, _) => Presence::Going,
        }
    }

    /// Its ids, in the hierarchies where it was found.
    pub fn ids(&self) -> impl Iterator<Item = CgroupKey> + '_ {
        self.roots
            .roots
            .iter()
            .zip(&self.directories)
            .filter_map(|(root, directory)| {
                let CgroupId(id) = directory.id()?;
                Some(CgroupKey::new(root.id, id))
            })
    }
}

/// What there was of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// At least one file.
    Something,
    /// No file.
    Nothing,
    /// It cannot be told: what was tried failed.
    Failed,
    /// No directory any more.
    Gone,
}

/// One reading under way.
#[derive(Debug)]
pub(super) struct Pass<'r> {
    reader: &'r mut CgroupReader,
    context: &'r mut ReadContext,
    at: Ktime,
    hold: bool,
    read: Wanted,
    failed: Wanted,
    /// Those of which a directory went, or that were passed over.
    torn: Wanted,
}

impl Pass<'_> {
    /// Reads one part of the statistics, from the hierarchy of its controller. A part of which there
    /// is no file is absent; one whose directory is gone, or of which that could not be told, stays.
    pub(super) fn part<T: Default>(
        &mut self,
        group: Wanted,
        controller: Controller,
        part: &mut Option<Reading<T>>,
        take: impl FnOnce(CgroupVersion, &mut Source<'_>, &mut T),
    ) {
        if self.more_of(group, controller, part, take) == Found::Nothing {
            *part = None;
        }
    }

    /// Leaves a group as it was.
    pub(super) const fn pass_over(&mut self, group: Wanted) {
        self.torn = self.torn.and(group);
    }

    /// Reads more of a part, which can do without.
    pub(super) fn more_of<T: Default>(
        &mut self,
        group: Wanted,
        controller: Controller,
        part: &mut Option<Reading<T>>,
        take: impl FnOnce(CgroupVersion, &mut Source<'_>, &mut T),
    ) -> Found {
        let reader = &mut *self.reader;
        let Some(place) = reader.roots.place_of(controller) else {
            return Found::Nothing;
        };
        let (root, directory) = (&reader.roots.roots[place], &mut reader.directories[place]);
        directory.open(root, &reader.budget, self.context);
        match directory.presence() {
            // Of one that cannot be opened now, the files that are kept open can be read.
            DirectoryPresence::There => {}
            DirectoryPresence::Gone => {
                self.torn = self.torn.and(group);
                return Found::Gone;
            }
            DirectoryPresence::Missing => return Found::Nothing,
            DirectoryPresence::Unknown => {
                self.failed = self.failed.and(group);
                return Found::Failed;
            }
        }
        let is_new = part.is_none();
        let reading = part.get_or_insert_with(|| Reading {
            version: root.version,
            at: self.at,
            of: T::default(),
        });
        let mut source = Source {
            directory,
            roots: &reader.roots,
            root,
            hold: self.hold.then_some(&reader.budget),
            context: self.context,
            found: 0,
            failed: 0,
            gone: false,
        };
        take(root.version, &mut source, &mut reading.of);
        let (found, failed, gone) = (source.found > 0, source.failed > 0, source.gone);
        if failed {
            self.failed = self.failed.and(group);
        }
        if gone {
            self.torn = self.torn.and(group);
        }
        let newly_absent = directory.take_newly_absent();
        if found {
            reading.version = root.version;
            reading.at = self.at;
            self.read = self.read.and(group);
            if !gone && !directory.is_root() {
                self.context.lacking.learn(root.version, newly_absent);
            }
            return Found::Something;
        }
        if is_new {
            *part = None;
        }
        match (gone, failed) {
            (true, _) => Found::Gone,
            (false, true) => Found::Failed,
            (false, false) => Found::Nothing,
        }
    }
}
