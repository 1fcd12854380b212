//! What names a cgroup: its hierarchy and its id there.

use std::fmt;

/// The number of a cgroup hierarchy, as in the first field of `/proc/<pid>/cgroup`. 0 is cgroup v2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HierarchyId(pub u32);

impl HierarchyId {
    /// The one cgroup v2 hierarchy.
    pub const V2: Self = Self(0);
}

impl fmt::Display for HierarchyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The id of a cgroup: the inode number of its directory. Unique in its hierarchy only, and the
/// kernel may use it again when the cgroup is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CgroupId(pub u64);

impl fmt::Display for CgroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A cgroup on this host: on a hybrid host two cgroups of different hierarchies can share an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CgroupKey {
    /// The hierarchy.
    pub hierarchy: HierarchyId,
    /// The id there.
    pub id: CgroupId,
}

impl CgroupKey {
    /// The cgroup `id` of `hierarchy`.
    #[must_use]
    pub const fn new(hierarchy: HierarchyId, id: u64) -> Self {
        Self {
            hierarchy,
            id: CgroupId(id),
        }
    }
}
