//! One cgroup's directory in one hierarchy: what is open, what is known not to be there, and whether
//! it is gone.

use std::{
    ffi::{CStr, CString},
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    time::Duration,
};

use nix::errno::Errno;

use super::{
    context::ReadContext,
    descriptors::{DescriptorBudget, Held, Kind, Permit},
    files::{FileSet, KernelFile},
    roots::Root,
};
use crate::host::{CgroupId, clock::Ktime};

/// A directory.
#[derive(Debug)]
pub(super) struct Directory {
    /// From the hierarchy's mount point.
    path: Option<CString>,
    /// Its inode, once known: another directory at its path is another cgroup.
    id: Option<CgroupId>,
    presence: DirectoryPresence,
    /// Open for this reading, or for longer with a permit.
    open: Option<OwnedFd>,
    permit: Option<Permit>,
    /// Files that are kept open.
    held: Vec<(KernelFile, Held)>,
    /// Files that are not there.
    absent: FileSet,
    /// When to look again for what is not there.
    look_again: Ktime,
    /// Those of them that this part of the reading found out.
    newly_absent: FileSet,
}

/// What is known of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DirectoryPresence {
    /// Not looked for yet.
    Unknown,
    /// It is not there, and never was since we look.
    Missing,
    /// It is there.
    There,
    /// It was there, and was removed.
    Gone,
}

/// What became of reading a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fetched {
    /// So many bytes of the buffer.
    Content(usize),
    /// No such file, or none that can be read.
    Absent,
    /// It may be there, but could not be read this time: for want of a descriptor or of memory, say.
    Failed,
    /// No such directory any more.
    Gone,
}

/// A file that is not there is looked for again after as long as the cgroup has been known, but at
/// least this often: a controller can be enabled later, though hardly ever is.
const LOOK_AGAIN_AFTER: Duration = Duration::from_mins(10);

/// In every cgroup, of v1 and of v2: without it there is no cgroup.
const ALWAYS_THERE: &CStr = c"cgroup.procs";

impl Directory {
    pub(super) const fn new(path: Option<CString>) -> Self {
        Self {
            path,
            id: None,
            presence: DirectoryPresence::Unknown,
            open: None,
            permit: None,
            held: Vec::new(),
            absent: FileSet::new(),
            look_again: Ktime(Duration::ZERO),
            newly_absent: FileSet::new(),
        }
    }

    /// Takes another cgroup at its path for another.
    pub(super) const fn expect_id(&mut self, id: CgroupId) {
        self.id = Some(id);
    }

    pub(super) const fn presence(&self) -> DirectoryPresence {
        self.presence
    }

    /// Before a reading of a cgroup that has been known since `born`.
    pub(super) fn begin(&mut self, now: Ktime, born: Ktime) {
        if now >= self.look_again {
            let age = now.0.saturating_sub(born.0);
            self.look_again = Ktime(now.0.saturating_add(age.min(LOOK_AGAIN_AFTER)));
            self.absent.clear();
            if self.presence == DirectoryPresence::Missing {
                self.presence = DirectoryPresence::Unknown;
            }
        }
    }

    /// After it.
    pub(super) fn end(&mut self, context: &mut ReadContext) {
        if self.permit.is_none()
            && let Some(fd) = self.open.take()
        {
            context.close(fd);
        }
    }

    /// Its inode, if it was found.
    pub(super) fn id(&self) -> Option<CgroupId> {
        self.id.filter(|_| {
            matches!(
                self.presence,
                DirectoryPresence::There | DirectoryPresence::Gone
            )
        })
    }

    /// Whether it is the hierarchy's root, which has fewer files than other cgroups.
    pub(super) fn is_root(&self) -> bool {
        self.path.as_deref() == Some(c".")
    }

    /// The files that were found not to be there since this was last asked.
    pub(super) const fn take_newly_absent(&mut self) -> FileSet {
        let newly = self.newly_absent;
        self.newly_absent.clear();
        newly
    }

    /// Opens it if it is not open.
    pub(super) fn open(
        &mut self,
        root: &Root,
        budget: &DescriptorBudget,
        context: &mut ReadContext,
    ) -> Option<BorrowedFd<'_>> {
        if self.open.is_none() {
            self.try_open(root, budget, context);
        }
        self.open.as_ref().map(|fd| fd.as_fd())
    }

    /// Reads a file into the context's buffer, and keeps it open if `hold` says so.
    pub(super) fn fetch(
        &mut self,
        root: &Root,
        (file, name): (KernelFile, &CStr),
        hold: Option<&DescriptorBudget>,
        context: &mut ReadContext,
    ) -> Fetched {
        if self.absent.contains(file) || context.lacking.contains(root.version, file) {
            return Fetched::Absent;
        }
        if let Some((_, held)) = self.held.iter().find(|(known, _)| *known == file) {
            let length = context.read_at_once(&held.fd);
            return self.settle(file, length, context);
        }
        let Some(directory) = &self.open else {
            return match self.presence {
                DirectoryPresence::Gone => Fetched::Gone,
                DirectoryPresence::Missing => Fetched::Absent,
                DirectoryPresence::There | DirectoryPresence::Unknown => Fetched::Failed,
            };
        };
        let opened = match context.open_file(directory.as_fd(), name) {
            Ok(opened) => opened,
            Err(error) => return self.settle(file, Err(error), context),
        };
        let length = context.read_at_once(&opened);
        let permit = hold
            .filter(|_| length.is_ok() && file.is_hot())
            .and_then(|budget| budget.permit(Kind::File));
        match permit {
            Some(permit) => self.held.push((file, Held::new(opened, permit))),
            None => context.close(opened),
        }
        self.settle(file, length, context)
    }

    fn try_open(&mut self, root: &Root, budget: &DescriptorBudget, context: &mut ReadContext) {
        if matches!(
            self.presence,
            DirectoryPresence::Missing | DirectoryPresence::Gone
        ) {
            return;
        }
        let Some(path) = &self.path else {
            self.presence = DirectoryPresence::Missing;
            return;
        };
        match context.open_directory(root.fd.as_fd(), path) {
            Ok(fd) => {
                let Some(id) = context.inode(fd.as_fd()).map(CgroupId) else {
                    context.account.failed += 1;
                    context.close(fd);
                    return;
                };
                if self.id.is_some_and(|known| known != id) {
                    context.close(fd);
                    self.leave(context);
                    return;
                }
                self.id = Some(id);
                self.presence = DirectoryPresence::There;
                self.permit = budget.permit(Kind::Directory);
                self.open = Some(fd);
            }
            Err(Errno::ENOENT | Errno::ENODEV) => {
                // One whose id is known was there, even if it was never opened.
                if self.presence == DirectoryPresence::There || self.id.is_some() {
                    self.leave(context);
                } else {
                    self.presence = DirectoryPresence::Missing;
                }
            }
            // Too many open files, say: it may be there the next time.
            Err(_) => context.account.failed += 1,
        }
    }

    /// What became of reading a file, from what the kernel said.
    fn settle(
        &mut self,
        file: KernelFile,
        length: nix::Result<usize>,
        context: &mut ReadContext,
    ) -> Fetched {
        match length {
            Ok(length) => Fetched::Content(length),
            Err(Errno::ENODEV) => {
                self.leave(context);
                Fetched::Gone
            }
            // A removed directory that is still open is empty.
            Err(Errno::ENOENT) if !self.is_still_there(context) => {
                self.leave(context);
                Fetched::Gone
            }
            // The kernel was told not to measure stalls.
            Err(Errno::ENOENT | Errno::EOPNOTSUPP) => {
                context.account.absent += 1;
                self.absent.insert(file);
                self.newly_absent.insert(file);
                Fetched::Absent
            }
            Err(error) => {
                context.account.failed += 1;
                context.account.last_failure = Some((file, error));
                // What is forbidden stays so; what there was no memory or descriptor for may come.
                if matches!(
                    error,
                    Errno::EACCES | Errno::EPERM | Errno::EIO | Errno::EINVAL
                ) {
                    self.absent.insert(file);
                    return Fetched::Absent;
                }
                Fetched::Failed
            }
        }
    }

    fn is_still_there(&self, context: &mut ReadContext) -> bool {
        self.open
            .as_ref()
            .is_none_or(|directory| context.exists(directory.as_fd(), ALWAYS_THERE))
    }

    /// It was removed: nothing of it is worth keeping open.
    fn leave(&mut self, context: &mut ReadContext) {
        context.account.gone += 1;
        context.account.system_calls += self.held.len() as u64 + u64::from(self.open.is_some());
        self.presence = DirectoryPresence::Gone;
        self.held.clear();
        self.open = None;
        self.permit = None;
    }
}
