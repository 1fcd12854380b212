//! Which container is this? Paths and runtimes to identities.
//!
//! In: cgroup paths, and later what the runtimes say. Out: an [`Identity`] per cgroup. Never here: a
//! measured number.

pub mod identity;

pub use identity::{Container, Identity, Names, Qos, Runtime};
