//! Which cgroups a container has.

use std::fmt;

use crate::{catalog::ContainerRef, host::CgroupKey};

/// Knows the cgroups of containers.
pub trait Places: fmt::Debug + Send + Sync {
    /// The paths, from the root of the hierarchies, of the cgroups that are there of the container;
    /// empty for one that is not known.
    fn paths_of(&self, container: &ContainerRef) -> Vec<Vec<u8>>;

    /// The container that the cgroup at this path, from the root of the hierarchies, belongs to.
    fn below(&self, path: &[u8]) -> Option<ContainerRef>;

    /// The container that the cgroup belongs to.
    fn at(&self, key: CgroupKey) -> Option<ContainerRef>;
}
