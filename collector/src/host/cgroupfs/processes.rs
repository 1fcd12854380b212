//! The processes of a cgroup and of those below it.

use std::{
    ffi::CString,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
};

use nix::{
    dir::{Dir, Type},
    fcntl::OFlag,
    sys::stat::{Mode, fstat},
};

use super::{KernelFile, context::ReadContext, parse::parse_u64, reader::CgroupReader};

/// Cgroups below one that are looked into. A container that runs systemd has some dozens.
pub const MAX_CGROUPS_BELOW: usize = 256;

impl CgroupReader {
    /// Puts the ids of its processes into `pids`, and those of the cgroups below it, up to `bound`.
    /// Whether these are all.
    ///
    /// Processes that this process's namespace does not show have no id, and are not among them.
    pub fn processes(
        &mut self,
        context: &mut ReadContext,
        pids: &mut Vec<u32>,
        bound: usize,
    ) -> bool {
        pids.clear();
        // In the hierarchy of the tasks' time; what is in none of it is at least in v2's.
        for controller in self.task_controllers() {
            let complete = self.with_directory(controller, context, |top, context| {
                walk(top, context, pids, bound)
            });
            if !pids.is_empty() || complete == Some(false) {
                return complete == Some(true);
            }
        }
        true
    }
}

fn walk(top: BorrowedFd<'_>, context: &mut ReadContext, pids: &mut Vec<u32>, bound: usize) -> bool {
    if !read_pids(top, context, pids, bound) {
        return false;
    }
    let mut pending: Vec<OwnedFd> = Vec::new();
    let mut complete = true;
    let mut seen = 0;
    let mut below = |directory: BorrowedFd<'_>, context: &mut ReadContext| {
        let mut children = Vec::new();
        complete &= seen < MAX_CGROUPS_BELOW && open_children(directory, context, &mut children);
        seen += children.len();
        children
    };
    pending.extend(below(top, context));
    let mut all = true;
    while let Some(directory) = pending.pop() {
        if all {
            all = read_pids(directory.as_fd(), context, pids, bound);
        }
        if all {
            pending.extend(below(directory.as_fd(), context));
        }
        context.close(directory);
    }
    all && complete
}

/// Whether there was room for all.
fn read_pids(
    directory: BorrowedFd<'_>,
    context: &mut ReadContext,
    pids: &mut Vec<u32>,
    bound: usize,
) -> bool {
    // A cgroup that is gone, or one of a threaded subtree: it has no processes of its own.
    let Ok(file) = context.open_file(directory, KernelFile::CgroupProcs.name()) else {
        return true;
    };
    let length = context.read_in_pieces(&file);
    context.close(file);
    let Ok(length) = length else { return true };
    let ReadContext {
        buffer, account, ..
    } = context;
    for line in buffer[..length].split_inclusive(|byte| *byte == b'\n') {
        let digits = line.strip_suffix(b"\n").unwrap_or(line);
        let number =
            parse_u64(digits).and_then(|id| u32::try_from(id).ok().ok_or(super::Reason::Overflow));
        match number {
            Ok(0) => {}
            Ok(_) if pids.len() >= bound => return false,
            Ok(pid) => pids.push(pid),
            Err(reason) => account
                .parse_errors
                .record(KernelFile::CgroupProcs, digits, reason),
        }
    }
    true
}

/// Opens every cgroup right below. Whether all could be.
fn open_children(
    directory: BorrowedFd<'_>,
    context: &mut ReadContext,
    children: &mut Vec<OwnedFd>,
) -> bool {
    context.account.system_calls += 1;
    // Each directory below is a link to this: a leaf, as most cgroups are, is not listed.
    if fstat(directory).is_ok_and(|stat| stat.st_nlink <= 2) {
        return true;
    }
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    // Opened, listed twice, closed.
    context.account.system_calls += 4;
    let Ok(mut list) = Dir::openat(directory, c".", flags, Mode::empty()) else {
        return true;
    };
    for entry in list.iter().flatten() {
        let name: CString = entry.file_name().to_owned();
        if entry.file_type() != Some(Type::Directory) || name.as_bytes().starts_with(b".") {
            continue;
        }
        if children.len() >= MAX_CGROUPS_BELOW {
            return false;
        }
        if let Ok(child) = context.open_directory(directory, &name) {
            children.push(child);
        }
    }
    true
}
