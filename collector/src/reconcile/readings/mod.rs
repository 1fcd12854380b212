//! The latest reading of every cgroup's files: what the kernel itself counted, kept until it was
//! exported.
//!
//! In: what happened to cgroups, and what became of reading their files. Out: whose files to read and
//! when, the [`KernelReading`](crate::reconcile::snapshot::KernelReading) of each row, and how many
//! last readings came in time. Never here: a file that is opened or read, or the
//! pipeline's lock: samples go on being recorded while files are read.
//!
//! An entry's own lock is held while its files are read; who wants that entry waits, nobody else.

mod entry;
mod schedule;
mod stand_in;
mod store;

#[cfg(test)]
mod tests;

pub use entry::{Entry, LastFigures, Latest, Processes, ReadTarget, SLOWEST_TICK};
pub use store::{Due, LastReadings, Noted, ReadingSettings, Readings, Why};
