//! One container, looked at now.
//!
//! In: who is meant. Out: all that the provider can tell of it, each part with its own time or its own
//! error.

use std::{sync::Arc, time::Duration};

use super::{
    ContainerRef, RuntimeContainer, RuntimeMetadata,
    provider::{
        answers::Provider,
        capability::{Answer, PodContainer},
        statistics::{ContainerStats, NetworkStats, OpenFiles, Pids},
    },
};
use crate::host::CgroupId;

/// Which container is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one with this id, or the beginning of it, or this name.
    Called(String),
    /// The one of a process of the host's PID namespace.
    OfPid(u32),
    /// The one of a cgroup of the hierarchy in which tasks are attributed.
    OfCgroup(CgroupId),
    /// The one of this name in a pod.
    InPod(PodContainer),
    /// The one that the daemon is in.
    Own,
}

/// A container as those who remember know it.
#[derive(Clone, Debug)]
pub struct Known {
    /// What tells it from all others.
    pub key: ContainerRef,
    /// Whose it is.
    pub runtime: RuntimeMetadata,
    /// What its runtime tells; absent when none has.
    pub told: Option<Arc<RuntimeContainer>>,
}

/// A container, looked at now.
#[derive(Clone, Debug)]
pub struct Details {
    /// Who it is.
    pub of: Known,
    /// CPU, memory, block I/O and threads.
    pub stats: Answer<Arc<ContainerStats>>,
    /// Its network.
    pub network: Answer<Arc<NetworkStats>>,
    /// Open files.
    pub open_files: Answer<OpenFiles>,
    /// Processes.
    pub pids: Answer<Arc<Pids>>,
}

/// As old as what is told may be: who asks many times in a second is told the same.
pub const VALIDITY: Duration = Duration::from_secs(1);

impl Details {
    /// Looks at a container.
    pub async fn look(provider: &Provider, of: Known) -> Self {
        let (runtime, key) = (of.runtime, of.key.clone());
        let (stats, network, open_files, pids) = tokio::join!(
            provider.container_stats(runtime, &key, VALIDITY),
            provider.network_stats(runtime, &key, VALIDITY),
            provider.open_files(runtime, &key, VALIDITY),
            provider.pids(runtime, &key, VALIDITY),
        );
        Self {
            of,
            stats,
            network,
            open_files,
            pids,
        }
    }
}
