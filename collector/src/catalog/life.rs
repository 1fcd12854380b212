//! What those who read a cgroup's files must know of its life.
//!
//! The table is fed under a lock, and files are read outside of it: so what happened is noted, and
//! acted upon afterwards, in the order in which it happened.

use super::OwnerId;
use crate::host::{CgroupKey, clock::Ktime};

/// Something in the life of an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LifeNote {
    /// A cgroup of it is there: the first of a life, or one more in another hierarchy.
    There {
        /// Whose.
        owner: OwnerId,
        /// Which of its lives.
        generation: u32,
        /// Which cgroup.
        key: CgroupKey,
        /// Its path, as the kernel has it.
        path: Vec<u8>,
        /// When it was made; `None` for one that was found.
        made: Option<Ktime>,
        /// Whether it is a container's own, or the root: its processes have a network to themselves.
        has_network: bool,
    },
    /// The first process entered it.
    Filled {
        /// Whose.
        owner: OwnerId,
    },
    /// The last process left it: soon it may be removed.
    Emptied {
        /// Whose.
        owner: OwnerId,
        /// When.
        at: Ktime,
    },
    /// The last of its cgroups is gone.
    Exited {
        /// Whose.
        owner: OwnerId,
    },
    /// Nothing of it is kept any more.
    Forgotten {
        /// Whose.
        owner: OwnerId,
    },
    /// More happened than could be noted: there are these, and no others.
    Only {
        /// All of them.
        owners: Vec<OwnerId>,
    },
}

impl LifeNote {
    /// Whose it is; `None` when it is of all.
    #[must_use]
    pub const fn owner(&self) -> Option<OwnerId> {
        match self {
            Self::There { owner, .. }
            | Self::Filled { owner }
            | Self::Emptied { owner, .. }
            | Self::Exited { owner }
            | Self::Forgotten { owner } => Some(*owner),
            Self::Only { .. } => None,
        }
    }
}
