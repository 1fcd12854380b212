//! What readings came to, counted: how last ones ended, and what was left out for want of room.

use std::sync::atomic::{AtomicU64, Ordering};

use super::life::Ending;

/// The counters; entries share them.
#[derive(Debug, Default)]
pub(super) struct Tally {
    won: AtomicU64,
    late: AtomicU64,
    lost: AtomicU64,
    left_out: [AtomicU64; LeftOut::ALL.len()],
}

/// How the last readings of the cgroups ended that had processes and are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastReadings {
    /// All files were read after the last process had left.
    pub won: u64,
    /// Some of them were; the others were gone by then.
    pub late: u64,
    /// None was.
    pub lost: u64,
}

/// Something that there was no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeftOut {
    /// A cgroup, of which nothing is read.
    Cgroup,
    /// An id of a cgroup in one more hierarchy, so that another cgroup at its path there would be taken
    /// for it.
    Id,
    /// Notes of what happened to cgroups: which there are was told anew, but not what they had been.
    Notes,
    /// A last reading, for which too many were waiting.
    LastReading,
    /// The threads and open files of a cgroup that has too many processes.
    Processes,
}

/// How often each was left out, in the order of [`LeftOut::ALL`].
pub type LeftOutCounts = [u64; LeftOut::ALL.len()];

impl LeftOut {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::Cgroup,
        Self::Id,
        Self::Notes,
        Self::LastReading,
        Self::Processes,
    ];

    /// Its name in a label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Id => "id",
            Self::Notes => "notes",
            Self::LastReading => "last_reading",
            Self::Processes => "processes",
        }
    }
}

impl Tally {
    pub(super) fn end(&self, ending: Ending) {
        let counter = match ending {
            Ending::Won => &self.won,
            Ending::Late => &self.late,
            Ending::Lost => &self.lost,
            Ending::Nobody => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn leave_out(&self, what: LeftOut) {
        self.left_out[what as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn last_readings(&self) -> LastReadings {
        LastReadings {
            won: self.won.load(Ordering::Relaxed),
            late: self.late.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
        }
    }

    pub(super) fn left_out(&self) -> LeftOutCounts {
        self.left_out
            .each_ref()
            .map(|count| count.load(Ordering::Relaxed))
    }
}
