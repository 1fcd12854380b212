//! Samples that took unusually long: few, and worth a look each.

use std::{sync::Arc, time::Duration};

use super::snapshot::ExemplarOf;
use crate::{
    catalog::{Identity, OwnerId},
    host::clock::Ktime,
};

pub use crate::window::{SlowAbove, SlowThresholds};

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
    /// Who had what it waited for: the CPU, or the disk. `None` if nobody, or if that is not known.
    pub meanwhile: Option<Meanwhile>,
}

/// Who had the CPU or the disk longest while somebody waited for it.
#[derive(Clone, Debug)]
pub struct Meanwhile {
    /// Whose tasks, or whose requests.
    pub who: Arc<Identity>,
    /// How long of the wait, as far as that is known. Of a CPU from its switches: at least the last 64, if none was
    /// lost. Of a disk from its requests, the latest 1,024 that were drained before and those of some 100 ms after:
    /// requests that were in it at the same time are added up.
    pub had: Duration,
}

/// Slow samples, nearly in the order in which they were drained: requests can be told later than what came after.
#[derive(Clone, Debug, Default)]
pub struct SlowSamples {
    /// Those that were kept.
    pub samples: Vec<SlowSample>,
    /// Those that were not. They are in the histograms all the same.
    pub dropped: SlowDropped,
}

/// Slow samples that were dropped, by the reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlowDropped {
    /// One cgroup had 64 in a pass already.
    pub of_cgroup: u64,
    /// All together had 1,024 in a pass already.
    pub of_all: u64,
    /// Their cgroup has no row of its own.
    pub ownerless: u64,
}

impl SlowDropped {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.of_cgroup + self.of_all + self.ownerless
    }
}
