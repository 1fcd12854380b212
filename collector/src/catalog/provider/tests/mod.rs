//! The provider's rules, with collectors and factories that say what they are told to.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;

use super::{
    Answer, CollectError, Collectors, ContainerStats, Factory, NetworkStats, Offer, PodContainer,
    Ranked, Unavailable,
    capability::{
        CgroupLookup, ContainerStatsCollector, NetworkStatsCollector, OwnContainerLookup,
        PidLookup, PodNameLookup,
    },
};
use crate::{
    catalog::{ContainerRef, Runtime, RuntimeMetadata},
    host::CgroupKey,
};

mod answers;
mod discovery;
mod meta;
mod registry;

const DOCKER: RuntimeMetadata = RuntimeMetadata::of(Runtime::Docker);
const CONTAINERD: RuntimeMetadata = RuntimeMetadata::of(Runtime::Containerd);

fn container(id: &str) -> ContainerRef {
    ContainerRef {
        id: id.to_owned(),
        ..ContainerRef::default()
    }
}

/// A factory that says what it is told to.
#[derive(Debug)]
pub(super) struct Scripted {
    id: &'static str,
    says: Mutex<fn() -> Built>,
    takes: Duration,
    builds: AtomicUsize,
}

type Built = Result<Vec<Offer>, Unavailable>;

impl Scripted {
    pub(super) fn new(id: &'static str, says: fn() -> Built) -> Arc<Self> {
        Self::slow(id, Duration::ZERO, says)
    }

    /// One that never says anything.
    pub(super) fn hanging(id: &'static str) -> Arc<Self> {
        Self::slow(id, Duration::MAX, || Ok(Vec::new()))
    }

    /// One that takes its time.
    fn slow(id: &'static str, takes: Duration, says: fn() -> Built) -> Arc<Self> {
        Arc::new(Self {
            id,
            says: Mutex::new(says),
            takes,
            builds: AtomicUsize::new(0),
        })
    }

    pub(super) fn now(&self, says: fn() -> Built) {
        *self.says.lock().unwrap() = says;
    }

    pub(super) fn builds(&self) -> usize {
        self.builds.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Factory for Scripted {
    fn id(&self) -> &str {
        self.id
    }

    async fn build(&self) -> Built {
        self.builds.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(self.takes).await;
        let says = *self.says.lock().unwrap();
        says()
    }
}

/// A collector that knows one container for everything, nothing, or fails.
#[derive(Debug)]
struct Knows {
    says: Mutex<Says>,
    asked: AtomicUsize,
}

#[derive(Clone, Copy, Debug)]
enum Says {
    Container(&'static str),
    Nothing,
    Fails(&'static str),
    Hangs,
}

impl Knows {
    fn new(says: Says) -> Arc<Self> {
        Arc::new(Self {
            says: Mutex::new(says),
            asked: AtomicUsize::new(0),
        })
    }

    fn now(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    async fn say(&self) -> Answer<ContainerRef> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let says = *self.says.lock().unwrap();
        match says {
            Says::Container(id) => Ok(Some(container(id))),
            Says::Nothing => Ok(None),
            Says::Fails(why) => Err(CollectError::new(why)),
            Says::Hangs => std::future::pending().await,
        }
    }

    /// An offer of all its look-ups.
    fn look_ups(self: &Arc<Self>, runtime: RuntimeMetadata, priority: u8) -> Offer {
        Offer {
            runtime,
            collectors: Collectors {
                container_of_pid: Some(Ranked::new(priority, Arc::<Self>::clone(self))),
                container_of_cgroup: Some(Ranked::new(priority, Arc::<Self>::clone(self))),
                container_of_pod_name: Some(Ranked::new(priority, Arc::<Self>::clone(self))),
                own_container: Some(Ranked::new(priority, Arc::<Self>::clone(self))),
                ..Collectors::default()
            },
        }
    }

    /// An offer of its statistics: the threads of one are how often it was asked.
    fn statistics(self: &Arc<Self>, runtime: RuntimeMetadata, priority: u8) -> Offer {
        Offer {
            runtime,
            collectors: Collectors {
                container_stats: Some(Ranked::new(priority, Arc::<Self>::clone(self))),
                network_stats: Some(Ranked::new(priority, Arc::<Self>::clone(self))),
                ..Collectors::default()
            },
        }
    }
}

#[async_trait]
impl PidLookup for Knows {
    async fn container_of_pid(&self, _: u32) -> Answer<ContainerRef> {
        self.say().await
    }
}

#[async_trait]
impl CgroupLookup for Knows {
    async fn container_of_cgroup(&self, _: CgroupKey) -> Answer<ContainerRef> {
        self.say().await
    }
}

#[async_trait]
impl PodNameLookup for Knows {
    async fn container_of_pod_name(&self, _: &PodContainer) -> Answer<ContainerRef> {
        self.say().await
    }
}

#[async_trait]
impl OwnContainerLookup for Knows {
    async fn own_container(&self) -> Answer<ContainerRef> {
        self.say().await
    }
}

#[async_trait]
impl ContainerStatsCollector for Knows {
    async fn container_stats(&self, _: &ContainerRef) -> Answer<ContainerStats> {
        let known = self.say().await?;
        Ok(known.map(|_| ContainerStats {
            at: std::time::SystemTime::UNIX_EPOCH,
            figures: super::figures::Figures {
                threads: Some(self.asked() as u64),
                ..Default::default()
            },
            devices: Vec::new(),
        }))
    }
}

#[async_trait]
impl NetworkStatsCollector for Knows {
    async fn network_stats(&self, _: &ContainerRef) -> Answer<NetworkStats> {
        let known = self.say().await?;
        Ok(known.map(|_| NetworkStats {
            at: std::time::SystemTime::UNIX_EPOCH,
            figures: super::figures::Figures::default(),
            interfaces: Vec::new(),
        }))
    }
}
