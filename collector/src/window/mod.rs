//! Windowed histograms, since-start totals, counters and gauges, for cgroups and for ourselves.
//!
//! In: batches of samples, and our own timings. Out: [`CgroupTotals`], [`Quantiles`] and
//! [`BackendSnapshot`]s. Never here: I/O, a clock (who rotates says when), a name of a container, or
//! a word about how a number is exported.
//!
//! A value goes three ways: into a [`WindowedHistogram`] for quantiles of the last minute, and into
//! the classic and the native buckets of a [`Cumulative`], each filled from the raw value, so that
//! no shape is derived from another and none has another's error.

mod windowed;

mod quantiles;

mod native;

mod cumulative;

mod distribution;

mod totals;

mod outcome;

mod cgroups;

mod sched;

mod block;

mod slow;

mod view;

mod sums;

mod backend;

mod cells;

mod factory;

mod snapshot;

#[cfg(test)]
mod tests;

pub use backend::{Backend, BackendSettings};
pub use block::OperationCodes;
pub use cgroups::{CgroupWindows, Class, WindowSettings};
pub use cumulative::Cumulative;
pub use distribution::Distribution;
pub use factory::{Counter, Factory, Gauge, Histogram, Timer};
pub use outcome::{BatchOutcome, LossCounts, LossReason};
pub use quantiles::Quantiles;
pub use slow::{SlowAbove, SlowLeftOut, SlowMark, SlowSpan, SlowThresholds};
pub use snapshot::BackendSnapshot;
pub use sums::{BlockSums, EventSums};
pub use totals::{
    BlockTotals, CgroupTotals, Device, OomTotals, Operation, Preemptor, SchedTotals, WindowSignal,
};
pub use view::CgroupView;
pub use windowed::{OutOfRange, WindowedHistogram};
