//! The latest reading of every cgroup's files: what the kernel itself counted, kept until it was
//! exported.
//!
//! In: what happened to cgroups, and what became of reading their files. Out: whose files to read and
//! when, the [`KernelReading`](crate::reconcile::snapshot::KernelReading) of each row, and how many
//! last readings came in time. Never here: a file that is opened or read, or the
//! pipeline's lock: samples go on being recorded while files are read.
//!
//! An entry's own lock is held while its files are read; who wants its figures waits, nobody else, and
//! nobody who tells of its life.

mod at_end;
mod entry;
mod life;
mod schedule;
mod stand_in;
mod store;
mod tally;

#[cfg(test)]
mod tests;

pub use at_end::{LAST_SLICE, SLOWEST_TICK};
pub use entry::{Busy, Entry, LastFigures, Latest, Processes, ReadTarget};
pub use stand_in::StandInVersions;
pub use store::{Due, Noted, ReadingSettings, Readings, Why};
pub use tally::{LastReadings, LeftOut, LeftOutCounts};
