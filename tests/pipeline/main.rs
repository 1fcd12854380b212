//! The whole daemon, from the kernel's events to a scrape.

mod bad_input;
mod cgroups;
mod life;
mod prometheus;
