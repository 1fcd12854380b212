//! What `/proc/<pid>` says of the processes of a cgroup: threads, open files, network namespace.

use std::{
    ffi::CStr,
    io::Write as _,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use nix::{
    dir::Dir,
    errno::Errno,
    fcntl::{AtFlags, OFlag, open},
    sys::stat::{FileStat, Mode, fstatat},
};

use super::{
    cgroupfs::{KernelFile, ReadContext, parse::parse_u64},
    clock::Ktime,
    network::NetworkNamespace,
};

/// The host's `/proc`.
#[derive(Debug)]
pub struct ProcessFiles {
    proc: OwnedFd,
    host_network: HostNetwork,
}

/// Processes cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ProcessFilesError {
    /// `/proc` cannot be opened.
    #[error(
        "cannot open {}; mount the host's /proc there, or say with --host-root where it is",
        path.display()
    )]
    Unreadable {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        #[source]
        source: Errno,
    },
    /// It has other numbers for processes than the cgroup files that this process reads.
    #[error(
        "{} numbers processes as another PID namespace does, so that those of a cgroup would be taken \
         for others; run cgscope in that namespace (hostPID, or --pid=host)",
        path.display()
    )]
    OtherNamespace {
        /// Where it is.
        path: PathBuf,
    },
}

/// A process, held by its directory: its id can be used again, the directory of it cannot.
#[derive(Debug)]
pub(super) struct HeldProcess {
    directory: OwnedFd,
}

/// Of several processes together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessTotals {
    /// When they were looked at.
    pub at: Ktime,
    /// Those that were there.
    pub processes: u64,
    /// Their threads; `None` if no process told.
    pub threads: Option<u64>,
    /// Their open files, counted once for each process that has one open.
    pub open_files: Option<u64>,
    /// Processes of which something could not be read, so that the numbers are too low.
    pub unreadable: u64,
}

/// How the host's network is told from others.
#[derive(Clone, Copy, Debug)]
enum HostNetwork {
    /// It is this.
    Known(NetworkNamespace),
    /// It cannot be looked at.
    Unknown,
}

impl ProcessFiles {
    /// Opens it.
    pub fn open(host_root: &Path) -> Result<Self, ProcessFilesError> {
        let path = host_root.join("proc");
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let proc =
            open(&path, flags, Mode::empty()).map_err(|source| ProcessFilesError::Unreadable {
                path: path.clone(),
                source,
            })?;
        let own = std::fs::read(path.join("self/status")).unwrap_or_default();
        if !is_of_one_namespace(&own) {
            return Err(ProcessFilesError::OtherNamespace { path });
        }
        let namespace = |name: &CStr| {
            fstatat(&proc, name, AtFlags::empty())
                .ok()
                .map(|stat| NetworkNamespace(stat.st_ino))
        };
        // The first process is in the host's, and may not be looked at by everybody. Where the
        // kernel numbers the host's namespaces firmly, it is known by its number.
        let host_network = namespace(c"1/ns/net")
            .or_else(|| namespace(c"self/ns/net").filter(|own| own.is_initial()))
            .map_or(HostNetwork::Unknown, HostNetwork::Known);
        Ok(Self { proc, host_network })
    }

    /// Whether a network namespace is the host's.
    #[must_use]
    pub fn is_host_network(&self, namespace: NetworkNamespace) -> Option<bool> {
        if namespace.is_initial() {
            return Some(true);
        }
        match self.host_network {
            HostNetwork::Known(host) => Some(namespace == host),
            HostNetwork::Unknown => None,
        }
    }

    /// Threads and open files of some processes. One that has ended meanwhile has none.
    pub fn totals(&self, pids: &[u32], context: &mut ReadContext) -> ProcessTotals {
        let mut totals = ProcessTotals {
            at: Ktime::now(),
            ..ProcessTotals::default()
        };
        for pid in pids {
            let Ok(process) = self.hold(*pid, context) else {
                continue;
            };
            let (threads, open_files) = (process.threads(context), process.open_files(context));
            process.release(context);
            let gone =
                |of: &Result<Option<u64>, Errno>| matches!(of, Err(Errno::ESRCH | Errno::ENOENT));
            if gone(&threads) || gone(&open_files) {
                continue;
            }
            totals.processes += 1;
            let mut told = true;
            for (total, of) in [
                (&mut totals.threads, threads),
                (&mut totals.open_files, open_files),
            ] {
                match of {
                    Ok(Some(of)) => *total = Some(total.unwrap_or(0).saturating_add(of)),
                    _ => told = false,
                }
            }
            totals.unreadable += u64::from(!told);
        }
        totals
    }

    /// Holds a process.
    pub(super) fn hold(&self, pid: u32, context: &mut ReadContext) -> nix::Result<HeldProcess> {
        // Room for every number: no allocation for a name.
        let mut name = [0_u8; 16];
        write!(&mut name[..15], "{pid}").ok().ok_or(Errno::EINVAL)?;
        let name = CStr::from_bytes_until_nul(&name)
            .ok()
            .ok_or(Errno::EINVAL)?;
        Ok(HeldProcess {
            directory: context.open_directory(self.proc.as_fd(), name)?,
        })
    }
}

impl HeldProcess {
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    pub(super) fn release(self, context: &mut ReadContext) {
        context.close(self.directory);
    }

    /// Its network namespace, if it may be asked.
    pub(super) fn network_namespace(
        &self,
        context: &mut ReadContext,
    ) -> nix::Result<Option<NetworkNamespace>> {
        match self.stat(c"ns/net", context) {
            Ok(stat) => Ok(Some(NetworkNamespace(stat.st_ino))),
            Err(Errno::EACCES | Errno::EPERM) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn threads(&self, context: &mut ReadContext) -> nix::Result<Option<u64>> {
        let file = context.open_file(self.as_fd(), KernelFile::Status.name())?;
        let length = context.read_at_once(&file);
        context.close(file);
        let length = length?;
        let threads = parse_threads(context.content(length));
        Ok(match threads {
            Some(Ok(threads)) => Some(threads),
            Some(Err(reason)) => {
                let errors = &mut context.account.parse_errors;
                errors.record(KernelFile::Status, b"Threads", reason);
                None
            }
            None => None,
        })
    }

    fn open_files(&self, context: &mut ReadContext) -> nix::Result<Option<u64>> {
        // Linux 6.2 and later say it as the directory's size; before, it is always 0.
        let stat = self.stat(c"fd", context)?;
        if let Ok(size @ 1..) = u64::try_from(stat.st_size) {
            return Ok(Some(size));
        }
        // Opened, listed twice, closed; more for a longer list.
        context.account.system_calls += 4;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        match Dir::openat(self.as_fd(), c"fd", flags, Mode::empty()) {
            Ok(mut list) => Ok(Some(
                list.iter()
                    .flatten()
                    .filter(|entry| !entry.file_name().to_bytes().starts_with(b"."))
                    .count() as u64,
            )),
            Err(Errno::EACCES | Errno::EPERM) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn stat(&self, name: &CStr, context: &mut ReadContext) -> nix::Result<FileStat> {
        context.account.system_calls += 1;
        fstatat(&self.directory, name, AtFlags::empty())
    }
}

/// Whether our own `status` in a `/proc` says that we are in the PID namespace whose numbers it shows: then
/// we have one number only. In one that does not show us there is no such file.
fn is_of_one_namespace(own_status: &[u8]) -> bool {
    let ids = own_status
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(b"NSpid:"));
    match ids {
        Some(ids) => {
            let ids = ids.split(u8::is_ascii_whitespace);
            ids.filter(|id| !id.is_empty()).count() == 1
        }
        // A kernel without namespaces has one.
        None => !own_status.is_empty(),
    }
}

/// The number of threads in `/proc/<pid>/status`.
fn parse_threads(bytes: &[u8]) -> Option<Result<u64, super::cgroupfs::Reason>> {
    bytes
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(b"Threads:"))
        .map(|number| parse_u64(number.trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proc_of_another_pid_namespace_is_told_by_our_numbers_in_it() {
        let own = std::fs::read("/proc/self/status").expect("our own status");
        assert!(is_of_one_namespace(&own));
        assert!(is_of_one_namespace(b"Name:\tx\nNSpid:\t77\nNSpgid:\t77\n"));
        assert!(is_of_one_namespace(b"Name:\tx\nThreads:\t1\n"));
        // The host's, as a container sees it; and one in which we are not.
        assert!(!is_of_one_namespace(b"Name:\tx\nNSpid:\t12345\t7\n"));
        assert!(!is_of_one_namespace(b""));
    }

    #[test]
    fn a_folder_without_a_proc_is_an_error_that_says_what_to_do() {
        let error = ProcessFiles::open(Path::new("/nonexistent")).expect_err("no /proc there");
        assert!(error.to_string().contains("--host-root"), "{error}");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("proc")).expect("an empty /proc");
        let error = ProcessFiles::open(folder.path()).expect_err("it does not show us");
        assert!(error.to_string().contains("hostPID"), "{error}");
    }
}
