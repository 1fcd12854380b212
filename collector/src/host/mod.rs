//! What this machine is and says: facts, no policy.
//!
//! In: `/sys`, `/proc`, the cgroup file systems. Out: typed facts. Never here: a decision about what
//! to do with them, or a write to anything.

pub mod btf;

pub mod layout;

pub mod support;

pub mod clock;

pub mod cgroup_id;

pub mod cgroup_mounts;

pub mod membership;

pub mod cgroup_walk;

pub mod cgroupfs;

pub mod block_devices;

pub mod host_counters;

pub mod host_memory;

pub mod process;

pub mod process_files;

pub mod network;

pub mod online_cpus;

pub mod program_cost;

pub use cgroup_id::{CgroupId, CgroupKey, HierarchyId};
pub use cgroupfs::parse::DeviceNumber;
