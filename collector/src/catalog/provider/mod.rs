//! Who can tell what of containers: collectors of each runtime, ranked.
//!
//! In: factories of collectors. Out: for each runtime and capability the best collector there is, and
//! answers that are kept for as long as who asks allows. Never here: a runtime's protocol.

pub mod capability;

pub mod collectors;

pub mod registry;

pub mod discovery;

pub mod retry;

pub mod cache;

pub mod answers;

pub mod ask_time;

pub mod meta;

pub mod figures;

pub mod statistics;

#[cfg(test)]
mod tests;

pub use answers::Provider;
pub use capability::{Answer, Capability, CollectError, PodContainer};
pub use collectors::{Collectors, Offer, Priority, Ranked};
pub use discovery::{Discovery, Factory};
pub use meta::MetaCollector;
pub use registry::Registry;
pub use statistics::{ContainerStats, NetworkStats, OpenFiles, Pids};

/// Why a runtime or a collector is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Not yet: it may come, and is tried again.
    #[error("{reason}")]
    NotYet {
        /// Why not.
        reason: String,
    },
    /// Never on this host, as it is configured: it is not tried again.
    #[error("{reason}")]
    Never {
        /// Why not.
        reason: String,
    },
}

impl Unavailable {
    /// It may come.
    pub fn not_yet(reason: impl Into<String>) -> Self {
        Self::NotYet {
            reason: reason.into(),
        }
    }

    /// It will not come.
    pub fn never(reason: impl Into<String>) -> Self {
        Self::Never {
            reason: reason.into(),
        }
    }
}
