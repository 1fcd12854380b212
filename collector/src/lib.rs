//! cgscope: latency, block I/O and OOM of every container, from the kernel, at next to no cost.
//!
//! The modules are the stages of one pipeline, in the order in which an event passes them:
//!
//! ```text
//! kernel ─► drain ─► window ─► reconcile ─► export, trace
//!            ▲                  ▲      ▲
//!         attach             catalog  host        daemon wires them and runs them
//! ```

pub mod host;

pub mod attach;

pub mod drain;

pub mod window;

pub mod catalog;

pub mod reconcile;

pub mod export;

pub mod trace;

pub mod daemon;

mod error_chain;

mod text_within;

pub use error_chain::error_chain;

pub use text_within::text_within;
