//! From what the kernel offers to programs that run in it.
//!
//! In: [`KernelSupport`](crate::host::support::KernelSupport), the signals that are wanted. Then a
//! pure, printable [`AttachPlan`], then [`Attached`]. Each signal stands alone: what cannot be loaded
//! or attached is off, with the reason, and the rest runs. Never here: a sample or an event.

pub mod plan;

pub mod attached;

#[cfg(test)]
mod tests;

pub use attached::{Attached, LoadError, LoadSettings, ProgramState, Rings, SignalState};
pub use plan::{AttachPlan, Hook, OOM_LIMIT, Program, SignalPlan, TaskHierarchy};
