//! What a collector can tell, each as a trait of its own: a collector has those that it is able to.
//!
//! An answer has three forms: what was asked for; `None`, "not mine, ask another"; and an error, which is
//! an answer too: it is kept as one, and ends a search.

use std::{error::Error, fmt, sync::Arc};

use async_trait::async_trait;

use super::statistics::{ContainerStats, NetworkStats, OpenFiles, Pids};
use crate::{catalog::ContainerRef, host::CgroupKey};

/// One thing that can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Capability {
    /// CPU, memory, block I/O, threads.
    ContainerStats,
    /// What went over its network.
    NetworkStats,
    /// Open files of its processes.
    OpenFiles,
    /// Its processes.
    Pids,
    /// The container of a process.
    ContainerOfPid,
    /// The container of a cgroup.
    ContainerOfCgroup,
    /// The container of a name in a pod.
    ContainerOfPodName,
    /// The container that this process is in.
    OwnContainer,
}

impl Capability {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::ContainerStats,
        Self::NetworkStats,
        Self::OpenFiles,
        Self::Pids,
        Self::ContainerOfPid,
        Self::ContainerOfCgroup,
        Self::ContainerOfPodName,
        Self::OwnContainer,
    ];

    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ContainerStats => "container stats",
            Self::NetworkStats => "network stats",
            Self::OpenFiles => "open files",
            Self::Pids => "PIDs",
            Self::ContainerOfPid => "container of a PID",
            Self::ContainerOfCgroup => "container of a cgroup",
            Self::ContainerOfPodName => "container of a pod's name",
            Self::OwnContainer => "own container",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What was asked for; `None` when who was asked does not know it.
pub type Answer<T> = Result<Option<T>, CollectError>;

/// A collector could not look. Clones share the cause, so that an answer that is kept can be given many
/// times.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub struct CollectError(Arc<dyn Error + Send + Sync>);

impl CollectError {
    /// For this reason; a text is one too.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Arc::from(cause.into()))
    }
}

/// A container by its name in a pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodContainer {
    /// The pod's UID.
    pub pod_uid: String,
    /// The container's name there.
    pub name: String,
    /// Whether it is an init container: these may have the names of others.
    pub is_init: bool,
}

/// Tells CPU, memory, block I/O and threads.
#[async_trait]
pub trait ContainerStatsCollector: fmt::Debug + Send + Sync {
    /// Of a container, now.
    async fn container_stats(&self, of: &ContainerRef) -> Answer<ContainerStats>;
}

/// Tells what went over the network.
#[async_trait]
pub trait NetworkStatsCollector: fmt::Debug + Send + Sync {
    /// Of a container, now.
    async fn network_stats(&self, of: &ContainerRef) -> Answer<NetworkStats>;
}

/// Counts open files.
#[async_trait]
pub trait OpenFilesCollector: fmt::Debug + Send + Sync {
    /// Of a container, now.
    async fn open_files(&self, of: &ContainerRef) -> Answer<OpenFiles>;
}

/// Lists processes.
#[async_trait]
pub trait PidsCollector: fmt::Debug + Send + Sync {
    /// Of a container, now.
    async fn pids(&self, of: &ContainerRef) -> Answer<Pids>;
}

/// Knows whose a process is.
#[async_trait]
pub trait PidLookup: fmt::Debug + Send + Sync {
    /// The container of a process of the host's PID namespace.
    async fn container_of_pid(&self, pid: u32) -> Answer<ContainerRef>;
}

/// Knows whose a cgroup is.
#[async_trait]
pub trait CgroupLookup: fmt::Debug + Send + Sync {
    /// The container of a cgroup, by its inode number in a hierarchy.
    async fn container_of_cgroup(&self, key: CgroupKey) -> Answer<ContainerRef>;
}

/// Knows the containers of pods by their names.
#[async_trait]
pub trait PodNameLookup: fmt::Debug + Send + Sync {
    /// The latest container of that name.
    async fn container_of_pod_name(&self, of: &PodContainer) -> Answer<ContainerRef>;
}

/// Knows where this process is.
#[async_trait]
pub trait OwnContainerLookup: fmt::Debug + Send + Sync {
    /// The container that it is in.
    async fn own_container(&self) -> Answer<ContainerRef>;
}
