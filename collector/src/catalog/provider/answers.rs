//! Answers about containers, from the best collector that there is, or as they were a while ago.
//!
//! Every request says how old its answer may be: zero asks anew. All callers share what is known, so that a
//! patient one may get what an impatient one has just asked for, and who asks anew does so for that one
//! answer of that one container only. An error is kept and given as any answer is: who fails is not
//! asked again at once. `None` means that nobody can tell: there is no collector for it, or the one that
//! is there does not know the container.

use std::{
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use super::{
    ask_time::within_time,
    cache::Cache,
    capability::{Answer, Capability, PodContainer},
    collectors::{Collectors, Ranked},
    meta::MetaCollector,
    registry::{Effective, Registry},
    statistics::{ContainerStats, NetworkStats, OpenFiles, Pids},
};
use crate::{
    catalog::{ContainerRef, RuntimeMetadata},
    host::CgroupKey,
};

/// Answers about containers.
#[derive(Debug)]
pub struct Provider {
    registry: Arc<Registry>,
    meta: MetaCollector,
    container_stats: Kept<OfContainer, Arc<ContainerStats>>,
    network_stats: Kept<OfContainer, Arc<NetworkStats>>,
    open_files: Kept<OfContainer, OpenFiles>,
    pids: Kept<OfContainer, Arc<Pids>>,
    containers_of_pids: Kept<u32, ContainerRef>,
    containers_of_cgroups: Kept<CgroupKey, ContainerRef>,
    containers_of_pod_names: Kept<PodContainer, ContainerRef>,
}

/// What is known by one capability: the other part of the key is whom it is of.
#[derive(Debug)]
struct Kept<K, T> {
    capability: Capability,
    answers: Mutex<Cache<K, Answer<T>>>,
}

type OfContainer = (RuntimeMetadata, ContainerRef);

/// How long answers are kept, and with that the longest validity that is of use.
pub const COLLECTION_INTERVAL: Duration = Duration::from_mins(5);

impl Provider {
    /// Asks the collectors of `registry`, and keeps answers for the collection interval.
    #[must_use]
    pub fn new(registry: Arc<Registry>, collection_interval: Duration) -> Self {
        Self {
            meta: MetaCollector::new(Arc::clone(&registry)),
            registry,
            container_stats: Kept::new(Capability::ContainerStats, collection_interval),
            network_stats: Kept::new(Capability::NetworkStats, collection_interval),
            open_files: Kept::new(Capability::OpenFiles, collection_interval),
            pids: Kept::new(Capability::Pids, collection_interval),
            containers_of_pids: Kept::new(Capability::ContainerOfPid, collection_interval),
            containers_of_cgroups: Kept::new(Capability::ContainerOfCgroup, collection_interval),
            containers_of_pod_names: Kept::new(Capability::ContainerOfPodName, collection_interval),
        }
    }

    /// CPU, memory, block I/O and threads of a container.
    pub async fn container_stats(
        &self,
        runtime: RuntimeMetadata,
        of: &ContainerRef,
        validity: Duration,
    ) -> Answer<Arc<ContainerStats>> {
        let ask = async {
            let best = self.best(runtime, |of| of.container_stats.as_ref());
            let Some(best) = best else { return Ok(None) };
            Ok(best.container_stats(of).await?.map(Arc::new))
        };
        let key = (runtime, of.clone());
        self.container_stats.answer(key, validity, ask).await
    }

    /// What went over a container's network.
    pub async fn network_stats(
        &self,
        runtime: RuntimeMetadata,
        of: &ContainerRef,
        validity: Duration,
    ) -> Answer<Arc<NetworkStats>> {
        let ask = async {
            let best = self.best(runtime, |of| of.network_stats.as_ref());
            let Some(best) = best else { return Ok(None) };
            Ok(best.network_stats(of).await?.map(Arc::new))
        };
        let key = (runtime, of.clone());
        self.network_stats.answer(key, validity, ask).await
    }

    /// Open files of a container's processes.
    pub async fn open_files(
        &self,
        runtime: RuntimeMetadata,
        of: &ContainerRef,
        validity: Duration,
    ) -> Answer<OpenFiles> {
        let ask = async {
            let best = self.best(runtime, |of| of.open_files.as_ref());
            let Some(best) = best else { return Ok(None) };
            best.open_files(of).await
        };
        let key = (runtime, of.clone());
        self.open_files.answer(key, validity, ask).await
    }

    /// A container's processes.
    pub async fn pids(
        &self,
        runtime: RuntimeMetadata,
        of: &ContainerRef,
        validity: Duration,
    ) -> Answer<Arc<Pids>> {
        let ask = async {
            let best = self.best(runtime, |of| of.pids.as_ref());
            let Some(best) = best else { return Ok(None) };
            Ok(best.pids(of).await?.map(Arc::new))
        };
        let key = (runtime, of.clone());
        self.pids.answer(key, validity, ask).await
    }

    /// The container of a process of the host's PID namespace.
    pub async fn container_of_pid(&self, pid: u32, validity: Duration) -> Answer<ContainerRef> {
        let ask = self.meta.container_of_pid(pid);
        self.containers_of_pids.keep(pid, validity, ask).await
    }

    /// The container of a cgroup.
    pub async fn container_of_cgroup(
        &self,
        key: CgroupKey,
        validity: Duration,
    ) -> Answer<ContainerRef> {
        let ask = self.meta.container_of_cgroup(key);
        self.containers_of_cgroups.keep(key, validity, ask).await
    }

    /// The container of a name in a pod.
    pub async fn container_of_pod_name(
        &self,
        named: &PodContainer,
        validity: Duration,
    ) -> Answer<ContainerRef> {
        let ask = self.meta.container_of_pod_name(named);
        let kept = &self.containers_of_pod_names;
        kept.keep(named.clone(), validity, ask).await
    }

    /// The container that this process is in; asked for until it is known, and then kept for good.
    pub async fn own_container(&self) -> Answer<ContainerRef> {
        self.meta.own_container().await
    }

    /// Tells when there are others to be asked.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Effective>> {
        self.registry.watch()
    }

    /// The best collector for the containers of a runtime, at this time.
    fn best<T: ?Sized>(
        &self,
        runtime: RuntimeMetadata,
        pick: impl FnOnce(&Collectors) -> Option<&Ranked<T>>,
    ) -> Option<Arc<T>> {
        let effective = self.registry.effective();
        let ranked = effective.of_runtime(runtime).and_then(pick)?;
        Some(Arc::clone(&ranked.collector))
    }
}

impl<K: Clone + Eq + Hash, T: Clone> Kept<K, T> {
    fn new(capability: Capability, collection_interval: Duration) -> Self {
        Self {
            capability,
            answers: Mutex::new(Cache::new(collection_interval)),
        }
    }

    /// As [`keep`](Self::keep), of one collector, which has [`ASK_TIME`].
    async fn answer(
        &self,
        key: K,
        validity: Duration,
        ask: impl Future<Output = Answer<T>>,
    ) -> Answer<T> {
        self.keep(key, validity, within_time(self.capability, ask))
            .await
    }

    /// What is known, or else the answer to `ask`, which is known from then on.
    async fn keep(
        &self,
        key: K,
        validity: Duration,
        ask: impl Future<Output = Answer<T>>,
    ) -> Answer<T> {
        if let Some(known) = self.with_answers(|of| of.get(Instant::now(), &key, validity)) {
            return known;
        }
        let answer = ask.await;
        self.with_answers(|of| of.store(Instant::now(), key, answer.clone()));
        answer
    }

    fn with_answers<R>(&self, look: impl FnOnce(&mut Cache<K, Answer<T>>) -> R) -> R {
        look(&mut self.answers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
