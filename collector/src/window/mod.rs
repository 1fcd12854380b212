//! Windowed histograms, counters, gauges, snapshots.
//!
//! In: raw values. Out: totals and quantiles. Never here: I/O, a clock, a name of a container.

mod cumulative;
mod totals;
mod outcome;
pub use outcome::BatchOutcome;

pub use cumulative::Cumulative;
pub use totals::{
    BlockTotals, Device, LossReason, OomTotals, Operation, Preemptor, Quantiles, SchedTotals,
    WindowSignal,
};
