//! Samples that took unusually long: few, and worth a look each.

use std::{sync::Arc, time::Duration};

use super::snapshot::ExemplarOf;
use crate::{
    catalog::{Identity, OwnerId},
    host::clock::Ktime,
};

/// From when on a sample is slow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SlowAbove {
    /// Never.
    Off,
    /// Above a time.
    Time(Duration),
    /// Above a quantile of the cgroup's own windows, as they were when they were rotated last, and above a time.
    Quantile {
        /// From 0 to 1.
        quantile: f64,
        /// Nothing below is slow.
        least: Duration,
    },
}

/// What is slow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlowThresholds {
    /// Of waits for a CPU.
    pub runqueue: SlowAbove,
    /// Of block I/O: of either stage.
    pub block_io: SlowAbove,
}

/// A slow sample.
#[derive(Clone, Debug)]
pub struct SlowSample {
    /// Whose.
    pub owner: OwnerId,
    /// In which life.
    pub generation: u32,
    /// In which histogram it is.
    pub of: ExemplarOf,
    /// How long it took.
    pub took: Duration,
    /// The part of a wait that was a CPU bandwidth limit.
    pub throttled: Duration,
    /// When it ended.
    pub ended: Ktime,
    /// How exact that is: it can have been earlier by as much.
    pub within: Duration,
    /// Of a wait: whose task had the CPU last before it was over; `None` if nobody's.
    pub meanwhile: Option<Arc<Identity>>,
}
