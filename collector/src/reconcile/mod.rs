//! Joins windows with identity into the numbers of each container.
//!
//! In: the windows, the cgroup table, the kernel's counters. Out: a [`Snapshot`], which knows nothing
//! of how it will be exported. Never here: I/O to the outside, or a metric's name.

pub mod snapshot;

pub use snapshot::Snapshot;
