//! From what the kernel offers to programs that run in it.
//!
//! In: [`KernelSupport`](crate::host::support::KernelSupport), the signals that are wanted. Held
//! against the table of [`requirements`] they give a pure, printable [`AttachPlan`], then
//! [`Attached`]. Each signal stands alone: what cannot be loaded
//! or attached is off, with the reason, and the rest runs. Never here: a sample or an event.

pub mod requirements;

mod choice;

pub mod plan;

pub mod signal_state;

mod type_check;

pub mod attached;

pub mod document;

#[cfg(test)]
mod tests;

pub use attached::{Attached, LoadError, LoadSettings, ProgramState, Rings};
pub use choice::TaskHierarchy;
pub use plan::{AttachPlan, Entry, Program, SignalPlan};
pub use requirements::{Hook, OOM_LIMIT};
pub use signal_state::SignalState;
