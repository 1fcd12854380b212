//! From ring bytes to typed batches and events, and the account of what was lost.
//!
//! In: the rings. Out: a [`Batch`] or an [`Event`], borrowed from the ring, to a [`Sink`]; each
//! signal's [`Accounts`]. Never here: a copy of a sample, an allocation per sample, a look at what a
//! sample means. The only stage that knows the kernel maps.

pub mod decode;

mod accounts;
mod drainer;
mod in_flight;
mod per_cpu;
mod sample_time;

pub use accounts::{Accounts, SignalAccount};
pub use decode::{Batch, CgroupChange, Event, Malformed, Samples};
pub use drainer::{DrainError, Drainer, Sink};
pub use in_flight::{InFlight, Running};
pub use per_cpu::PerCpu;
pub use sample_time::{SampleTimes, TakenAt};
