//! The latest reading of every cgroup's files: what the kernel itself counted, kept until it was
//! exported.
//!
//! In: what happened to cgroups, and what became of reading their files. Out: whose files to read and
//! when, the [`KernelReading`](crate::reconcile::snapshot::KernelReading) of each row, and how many
//! last readings came in time. Never here: a system call, a clock, or the pipeline's lock: files are
//! read while samples go on being recorded.
//!
//! An entry's own lock is held while its files are read; who wants that entry waits, nobody else.

mod entry;
mod schedule;
mod stand_in;
mod store;

#[cfg(test)]
mod tests;

pub use entry::{Entry, Latest, Processes, ReadTarget};
pub use store::{Due, LastReadings, Noted, ReadingSettings, Readings, Why};
