//! Joins windows with identity into the numbers of each container.
//!
//! In: batches and events, walks of the cgroup trees, readings of cgroups' files. Out: a [`Snapshot`],
//! which knows nothing of how it will be exported. Never here: I/O to the outside, a clock, or a metric's name.

mod pipeline;
mod roll_up;

pub mod delivery;

pub mod forwarding;

pub mod drift;

pub mod readings;

pub mod listing;

pub mod moments;

pub mod slow;

pub mod snapshot;

#[cfg(test)]
mod tests;

pub use listing::Listing;
pub use pipeline::{Life, LifeTotals, Pipeline, PipelineSettings, Scrape};
pub use snapshot::Snapshot;
