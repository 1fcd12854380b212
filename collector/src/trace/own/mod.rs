//! Spans of our own work: a trace for each container that a loop processes.
//!
//! In: that a container is begun, each step of the work for it, how it ended. Out: spans, to who takes them. Never
//! here: a thread, a connection, or a decision about what is done with a container.
//!
//! The model is a control loop's: an *object* is a container, a *controller* is the loop that follows one
//! runtime. `docs/tracing.md` has the table of names, and a test compares spans with it.
//!
//! Off is a comparison with nothing. An object that is not sampled is one subtraction: its key, its
//! attributes and its context are made when its span is recorded, and not before.

mod gaps;

pub mod names;

mod object;

mod processing;

mod spans_out;

mod step;

mod tracer;

#[cfg(test)]
mod tests;

pub use object::{Object, ObjectName};
pub use processing::Processing;
pub use spans_out::SpanTaker;
pub use step::{Action, Step, Steps};
pub use tracer::{Beginning, LoopTracer, WorkTracer};
