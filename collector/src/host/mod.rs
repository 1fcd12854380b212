//! What this machine is and says: facts, no policy.
//!
//! In: `/sys`, `/proc`, the cgroup file systems. Out: typed facts. Never here: a decision about what
//! to do with them, or a write to anything.

pub mod block_devices;
pub mod cgroup_id;

pub use cgroup_id::{CgroupId, CgroupKey, HierarchyId};
