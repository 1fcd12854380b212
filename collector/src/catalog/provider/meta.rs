//! Which container is it? Asked of every runtime's collectors, one after the other.

use std::{
    future::Future,
    sync::{Arc, OnceLock},
};

use super::{
    ask_time::within_time,
    capability::{Answer, Capability, PodContainer},
    registry::Registry,
};
use crate::{catalog::ContainerRef, host::CgroupKey};

/// Asks the best collectors of all runtimes, each once, in the order of their priorities. The first that
/// knows the container has answered; one that does not know it leaves it to the next; an error ends the
/// search, because who failed may be the one who knows.
#[derive(Debug)]
pub struct MetaCollector {
    registry: Arc<Registry>,
    own: OnceLock<ContainerRef>,
}

impl MetaCollector {
    /// Asks those that are there at the time.
    #[must_use]
    pub const fn new(registry: Arc<Registry>) -> Self {
        Self {
            registry,
            own: OnceLock::new(),
        }
    }

    /// The container of a process of the host's PID namespace.
    pub async fn container_of_pid(&self, pid: u32) -> Answer<ContainerRef> {
        let collectors = self.registry.effective();
        let collectors = collectors.in_order(|of| of.container_of_pid.as_ref());
        let asked = collectors
            .into_iter()
            .map(|of| async move { of.container_of_pid(pid).await });
        first(Capability::ContainerOfPid, asked).await
    }

    /// The container of a cgroup.
    pub async fn container_of_cgroup(&self, key: CgroupKey) -> Answer<ContainerRef> {
        let collectors = self.registry.effective();
        let collectors = collectors.in_order(|of| of.container_of_cgroup.as_ref());
        let asked = collectors
            .into_iter()
            .map(|of| async move { of.container_of_cgroup(key).await });
        first(Capability::ContainerOfCgroup, asked).await
    }

    /// The container of a name in a pod.
    pub async fn container_of_pod_name(&self, named: &PodContainer) -> Answer<ContainerRef> {
        let collectors = self.registry.effective();
        let collectors = collectors.in_order(|of| of.container_of_pod_name.as_ref());
        let asked = collectors
            .into_iter()
            .map(|of| async move { of.container_of_pod_name(named).await });
        first(Capability::ContainerOfPodName, asked).await
    }

    /// The container that this process is in. Once it is known it stays; that it is not in one may only
    /// mean that who knows is not there yet.
    pub async fn own_container(&self) -> Answer<ContainerRef> {
        if let Some(own) = self.own.get() {
            return Ok(Some(own.clone()));
        }
        let collectors = self.registry.effective();
        let collectors = collectors.in_order(|of| of.own_container.as_ref());
        let asked = collectors
            .into_iter()
            .map(|of| async move { of.own_container().await });
        let own = first(Capability::OwnContainer, asked).await?;
        Ok(own.map(|own| self.own.get_or_init(|| own).clone()))
    }
}

/// The first that knows. The next is asked only when the one before has not known it.
async fn first<F>(capability: Capability, asked: impl Iterator<Item = F>) -> Answer<ContainerRef>
where
    F: Future<Output = Answer<ContainerRef>>,
{
    for answer in asked {
        let answer = within_time(capability, answer).await?;
        if let Some(found) = answer.filter(|found| !found.id.is_empty()) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
