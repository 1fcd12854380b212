//! Look-ups that need no call: what a runtime has told is asked.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use crate::catalog::{
    ContainerRef, Runtime, RuntimeContainer,
    provider::capability::{Answer, PidLookup, PodContainer, PodNameLookup},
};

/// Who remembers what runtimes tell.
pub trait Told: Send + Sync {
    /// The container that fits and was started last.
    fn find(&self, fits: &dyn Fn(&RuntimeContainer) -> bool) -> Option<ContainerRef>;
}

/// Look-ups in what one runtime has told.
#[derive(Clone)]
pub struct RosterLookups {
    told: Arc<dyn Told>,
    runtime: Runtime,
}

impl fmt::Debug for RosterLookups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "what {} has told", self.runtime.name())
    }
}

impl RosterLookups {
    /// In all that is told.
    #[must_use]
    pub fn new(told: Arc<dyn Told>) -> Self {
        Self {
            told,
            runtime: Runtime::Unknown,
        }
    }

    /// In what one runtime tells.
    #[must_use]
    pub fn of(&self, runtime: Runtime) -> Self {
        Self {
            told: Arc::clone(&self.told),
            runtime,
        }
    }

    fn find(&self, fits: impl Fn(&RuntimeContainer) -> bool) -> Option<ContainerRef> {
        self.told
            .find(&|of| of.runtime.runtime == self.runtime && fits(of))
    }
}

#[async_trait]
impl PidLookup for RosterLookups {
    /// By the containers' first processes only.
    async fn container_of_pid(&self, pid: u32) -> Answer<ContainerRef> {
        Ok(self.find(|of| of.pid == Some(pid)))
    }
}

#[async_trait]
impl PodNameLookup for RosterLookups {
    /// A runtime does not tell init containers from others: of one name, which Kubernetes does not allow,
    /// the one that was started last.
    async fn container_of_pod_name(&self, wanted: &PodContainer) -> Answer<ContainerRef> {
        Ok(self.find(|of| {
            !of.pod_uid.is_empty()
                && of.pod_uid == wanted.pod_uid
                && of.names.container == wanted.name
        }))
    }
}
