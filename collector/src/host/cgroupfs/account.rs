//! What reading cost, and what of it went wrong: counted, because a file that cannot be used is no
//! reason to stop.

use std::{fmt, time::Duration};

use nix::errno::Errno;

use super::{files::KernelFile, parse::Reason};

/// Counters of one reader thread, since it began.
#[derive(Clone, Debug, Default)]
pub struct ReadAccount {
    /// Readings of a cgroup.
    pub readings: u64,
    /// Time that they took.
    pub time: Duration,
    /// System calls in them.
    pub system_calls: u64,
    /// The most that one reading took.
    pub most_system_calls: u64,
    /// Files read.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Files that were looked for and are not there.
    pub absent: u64,
    /// Directories that were found to be removed.
    pub gone: u64,
    /// Files that were too long, of which the end was not read.
    pub cut: u64,
    /// Devices, keys and names that were not kept because there were too many.
    pub over_bound: u64,
    /// Files that could not be opened or read for another reason.
    pub failed: u64,
    /// The last of them.
    pub last_failure: Option<(KernelFile, Errno)>,
    /// Pieces of files that could not be understood.
    pub parse_errors: ParseErrors,
}

impl ReadAccount {
    pub(super) fn calls_in_a_reading(&mut self, calls: u64) {
        self.most_system_calls = self.most_system_calls.max(calls);
    }
}

/// How many pieces of which file could not be understood, and why.
#[derive(Clone)]
pub struct ParseErrors {
    counts: Box<[[u64; Reason::COUNT]]>,
    last: Option<ParseError>,
}

/// A piece of a file that could not be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The file.
    pub file: KernelFile,
    /// Why.
    pub reason: Reason,
    key: [u8; KEY_BYTES],
    key_length: usize,
}

/// As much of a key as an error names. The longest that a kernel has is shorter.
const KEY_BYTES: usize = 40;

impl Default for ParseErrors {
    fn default() -> Self {
        Self {
            counts: vec![[0; Reason::COUNT]; KernelFile::ALL.len()].into_boxed_slice(),
            last: None,
        }
    }
}

impl fmt::Debug for ParseErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(
                self.iter()
                    .map(|(file, reason, count)| ((file, reason), count)),
            )
            .finish()
    }
}

impl ParseErrors {
    /// Counts one.
    pub(in crate::host) fn record(&mut self, file: KernelFile, key: &[u8], reason: Reason) {
        self.counts[file as usize][reason as usize] += 1;
        let mut error = ParseError {
            file,
            reason,
            key: [0; KEY_BYTES],
            key_length: key.len().min(KEY_BYTES),
        };
        error.key[..error.key_length].copy_from_slice(&key[..error.key_length]);
        self.last = Some(error);
    }

    /// Those that there were.
    pub fn iter(&self) -> impl Iterator<Item = (KernelFile, Reason, u64)> + '_ {
        KernelFile::ALL.iter().flat_map(move |file| {
            Reason::ALL
                .iter()
                .map(move |reason| (*file, *reason, self.count(*file, *reason)))
                .filter(|(_, _, count)| *count > 0)
        })
    }

    /// How many of one file, for one reason.
    #[must_use]
    pub fn count(&self, file: KernelFile, reason: Reason) -> u64 {
        self.counts[file as usize][reason as usize]
    }

    /// All.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// The last one.
    #[must_use]
    pub const fn last(&self) -> Option<&ParseError> {
        self.last.as_ref()
    }
}

impl ParseError {
    /// The key, or the piece of the file, as far as it is kept.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key[..self.key_length]
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, {:?}: {}",
            self.file.name().to_string_lossy(),
            self.key().escape_ascii().to_string(),
            self.reason
        )
    }
}
