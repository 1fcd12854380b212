//! The whole daemon, from the kernel's events to a scrape.
#![expect(
    clippy::unwrap_used,
    reason = "what a test needs and does not have fails the test"
)]

mod bad_input;
mod catalog;
mod cgroups;
mod drift;
mod exemplars;
mod kernel_types;
mod life;
mod lives;
mod own_preemptions;
mod peers;
mod prometheus;
mod short_lived;
mod stopping;
mod witness;
