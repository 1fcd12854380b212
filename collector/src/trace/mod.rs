//! Spans: of our own work, of the lives of containers, of Kata's agents.
//!
//! In: what happens, from the stages that know of it. Out: spans of OTLP, to who
//! takes them, and who asks is told which sample has which span. Never
//! here: a connection to a collector, or a metric's name.
//!
//! Each of the parts is off by default, and then costs a comparison where it could be.

pub mod forwarder;

pub mod lives;

pub mod own;
