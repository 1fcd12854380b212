//! Which container is this? Paths and runtimes to identities.
//!
//! In: cgroup paths, and what the runtimes say. Out: an [`Identity`] per cgroup; and one container's figures
//! when they are asked for ([`provider`]). Never here: a sample, or what is added up over time.

pub mod container_ref;

pub mod identity;

pub mod runtime;

pub mod runtime_container;

pub mod provider;

pub mod runtimes;

pub mod kata;

pub mod following;

pub mod system;

pub mod details;

pub mod cgroup_path;

pub mod path_text;

mod recognizer;

pub mod roster;

mod naming;

pub mod cgroup_table;

mod owner;

mod life;

#[cfg(test)]
mod tests;

pub use cgroup_table::{CgroupCounts, CgroupTable, Heard, MAX_CROWD, Onlooker, TableSettings};
pub use container_ref::ContainerRef;
pub use identity::{Container, Identity, Names, Qos};
pub use life::LifeNote;
pub use naming::News;
pub use owner::{Owner, OwnerId};
pub use recognizer::Recognizer;
pub use roster::{Informant, Roster};
pub use runtime::{Flavor, Runtime, RuntimeMetadata};
pub use runtime_container::{LabelSelection, Role, RuntimeContainer, RuntimeState};
