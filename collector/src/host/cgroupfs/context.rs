//! What one thread needs to read files: a buffer that is used again and again, and the account of
//! every system call.

use std::{
    ffi::CStr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, openat},
    sys::{
        stat::{Mode, fstat},
        uio::pread,
    },
    unistd::{AccessFlags, faccessat},
};

use super::{account::ReadAccount, lacking::LackingFiles, other_keys::NameTable};

/// A thread's buffer and account.
#[derive(Debug)]
pub struct ReadContext {
    pub(super) buffer: Vec<u8>,
    pub(super) names: NameTable,
    pub(super) lacking: LackingFiles,
    /// What reading cost so far.
    pub account: ReadAccount,
}

/// The buffer at first: longer than any file of a usual cgroup.
const FIRST_BUFFER_BYTES: usize = 16 << 10;

/// Of a longer file the rest is not read, and that is counted. A `memory.stat` has 2 KiB; the table
/// of a cgroup that uses 256 disks has 40.
pub const MAX_FILE_BYTES: usize = 1 << 20;

impl Default for ReadContext {
    fn default() -> Self {
        Self {
            buffer: vec![0; FIRST_BUFFER_BYTES],
            names: NameTable::default(),
            lacking: LackingFiles::default(),
            account: ReadAccount::default(),
        }
    }
}

impl ReadContext {
    /// Opens a directory to look for files in it, and nothing else.
    pub(in crate::host) fn open_directory(
        &mut self,
        at: BorrowedFd<'_>,
        path: &CStr,
    ) -> nix::Result<OwnedFd> {
        self.account.system_calls += 1;
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        openat(at, path, flags, Mode::empty())
    }

    /// Opens a file.
    pub(in crate::host) fn open_file(
        &mut self,
        at: BorrowedFd<'_>,
        name: &CStr,
    ) -> nix::Result<OwnedFd> {
        self.account.system_calls += 1;
        openat(at, name, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
    }

    /// Closes one.
    pub(in crate::host) fn close(&mut self, fd: OwnedFd) {
        self.account.system_calls += 1;
        drop(fd);
    }

    /// Whether there is such a file, or that cannot be found out.
    pub(super) fn exists(&mut self, at: BorrowedFd<'_>, name: &CStr) -> bool {
        self.account.system_calls += 1;
        let found = faccessat(at, name, AccessFlags::F_OK, AtFlags::empty());
        !matches!(found, Err(Errno::ENOENT | Errno::ENODEV))
    }

    /// The inode number of what is open.
    pub(in crate::host) fn inode(&mut self, fd: BorrowedFd<'_>) -> Option<u64> {
        self.account.system_calls += 1;
        fstat(fd).ok().map(|stat| stat.st_ino)
    }

    /// Reads a file that the kernel makes anew in one piece for every read at its beginning, as all
    /// statistics are. How many bytes of the buffer it fills, up to the last whole line if it is too
    /// long.
    pub(in crate::host) fn read_at_once(&mut self, fd: impl AsFd) -> nix::Result<usize> {
        let fd = fd.as_fd();
        loop {
            let length = self.pread(fd, 0)?;
            if length < self.buffer.len() {
                return Ok(self.done(length));
            }
            // There may be more, but of a later moment: a longer buffer gets all of it of one.
            if !self.grow() {
                return Ok(self.cut(length));
            }
        }
    }

    /// Reads a file that comes in pieces: lists of processes or of network interfaces.
    pub(in crate::host) fn read_in_pieces(&mut self, fd: impl AsFd) -> nix::Result<usize> {
        let fd = fd.as_fd();
        let mut filled = 0;
        loop {
            if filled == self.buffer.len() && !self.grow() {
                return Ok(self.cut(filled));
            }
            match self.pread(fd, filled)? {
                0 => return Ok(self.done(filled)),
                length => filled += length,
            }
        }
    }

    /// What the last reading put into the buffer.
    pub(in crate::host) fn content(&self, length: usize) -> &[u8] {
        &self.buffer[..length]
    }

    /// The same, and the account, for what is wrong with it.
    pub(in crate::host) fn content_and_account(
        &mut self,
        length: usize,
    ) -> (&[u8], &mut ReadAccount) {
        (&self.buffer[..length], &mut self.account)
    }

    fn pread(&mut self, fd: BorrowedFd<'_>, filled: usize) -> nix::Result<usize> {
        loop {
            self.account.system_calls += 1;
            let offset = i64::try_from(filled).ok().ok_or(Errno::EFBIG)?;
            match pread(fd, &mut self.buffer[filled..], offset) {
                Err(Errno::EINTR) => {}
                result => return result,
            }
        }
    }

    /// Makes the buffer longer, if it may be.
    fn grow(&mut self) -> bool {
        let length = self.buffer.len();
        if length >= MAX_FILE_BYTES {
            return false;
        }
        self.buffer.resize((length * 2).min(MAX_FILE_BYTES), 0);
        true
    }

    const fn done(&mut self, length: usize) -> usize {
        self.account.files += 1;
        self.account.bytes += length as u64;
        length
    }

    /// A part of a number is another number: what is behind the last line feed goes.
    fn cut(&mut self, length: usize) -> usize {
        self.account.cut += 1;
        let whole = self.buffer[..length]
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        self.done(whole)
    }
}
