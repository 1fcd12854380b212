//! Which container is this? Paths and runtimes to identities.
//!
//! In: cgroup paths, and later what the runtimes say. Out: an [`Identity`] per cgroup. Never here: a
//! measured number.

pub mod identity;

pub mod cgroup_path;

pub mod path_text;

mod recognizer;

pub mod cgroup_table;

mod owner;

mod life;

#[cfg(test)]
mod tests;

pub use cgroup_table::{CgroupCounts, CgroupTable, MAX_CROWD, OwnerId, TableSettings};
pub use identity::{Container, Identity, Names, Qos, Runtime};
pub use life::LifeNote;
pub use owner::Owner;
pub use recognizer::Recognizer;
