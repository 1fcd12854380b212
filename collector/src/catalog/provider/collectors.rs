//! What one collector offers: for each capability that it has, itself and how good it is at it.

use std::{fmt, ptr, sync::Arc};

use super::capability::{
    Capability, CgroupLookup, ContainerStatsCollector, NetworkStatsCollector, OpenFilesCollector,
    OwnContainerLookup, PidLookup, PidsCollector, PodNameLookup,
};
use crate::catalog::RuntimeMetadata;

/// How good a collector is: the lowest number is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Priority(pub u8);

/// A collector, and how good it is.
pub struct Ranked<T: ?Sized> {
    /// How good.
    pub priority: Priority,
    /// It.
    pub collector: Arc<T>,
}

/// Collectors by capability; absent where there is none. What one offers, and also the best of all that
/// are offered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Collectors {
    /// CPU, memory, block I/O, threads.
    pub container_stats: Option<Ranked<dyn ContainerStatsCollector>>,
    /// What went over the network.
    pub network_stats: Option<Ranked<dyn NetworkStatsCollector>>,
    /// Open files.
    pub open_files: Option<Ranked<dyn OpenFilesCollector>>,
    /// Processes.
    pub pids: Option<Ranked<dyn PidsCollector>>,
    /// The container of a process.
    pub container_of_pid: Option<Ranked<dyn PidLookup>>,
    /// The container of a cgroup.
    pub container_of_cgroup: Option<Ranked<dyn CgroupLookup>>,
    /// The container of a name in a pod.
    pub container_of_pod_name: Option<Ranked<dyn PodNameLookup>>,
    /// The container that this process is in.
    pub own_container: Option<Ranked<dyn OwnContainerLookup>>,
}

/// What a collector offers for the containers of one runtime. It may offer for several.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// Whose containers.
    pub runtime: RuntimeMetadata,
    /// For each capability, who is to be asked.
    pub collectors: Collectors,
}

impl<T: ?Sized> Ranked<T> {
    /// A collector and its priority.
    #[must_use]
    pub const fn new(priority: u8, collector: Arc<T>) -> Self {
        Self {
            priority: Priority(priority),
            collector,
        }
    }

    /// Whether both are one and the same collector.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        ptr::addr_eq(Arc::as_ptr(&self.collector), Arc::as_ptr(&other.collector))
    }
}

impl<T: ?Sized> Clone for Ranked<T> {
    fn clone(&self) -> Self {
        Self {
            priority: self.priority,
            collector: Arc::clone(&self.collector),
        }
    }
}

impl<T: ?Sized> PartialEq for Ranked<T> {
    fn eq(&self, other: &Self) -> bool {
        self.priority == other.priority && self.is_same(other)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Ranked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            priority: Priority(priority),
            collector,
        } = self;
        write!(f, "{priority}: {collector:?}")
    }
}

impl Collectors {
    /// Takes from `other` what is better than what is here. What is as good stays here.
    pub(super) fn take_better(&mut self, other: &Self) {
        take_better(&mut self.container_stats, other.container_stats.as_ref());
        take_better(&mut self.network_stats, other.network_stats.as_ref());
        take_better(&mut self.open_files, other.open_files.as_ref());
        take_better(&mut self.pids, other.pids.as_ref());
        take_better(&mut self.container_of_pid, other.container_of_pid.as_ref());
        take_better(
            &mut self.container_of_cgroup,
            other.container_of_cgroup.as_ref(),
        );
        take_better(
            &mut self.container_of_pod_name,
            other.container_of_pod_name.as_ref(),
        );
        take_better(&mut self.own_container, other.own_container.as_ref());
    }

    /// The priority of the collector of a capability, if there is one.
    #[must_use]
    pub fn priority(&self, of: Capability) -> Option<Priority> {
        fn priority<T: ?Sized>(of: Option<&Ranked<T>>) -> Option<Priority> {
            of.map(|ranked| ranked.priority)
        }
        match of {
            Capability::ContainerStats => priority(self.container_stats.as_ref()),
            Capability::NetworkStats => priority(self.network_stats.as_ref()),
            Capability::OpenFiles => priority(self.open_files.as_ref()),
            Capability::Pids => priority(self.pids.as_ref()),
            Capability::ContainerOfPid => priority(self.container_of_pid.as_ref()),
            Capability::ContainerOfCgroup => priority(self.container_of_cgroup.as_ref()),
            Capability::ContainerOfPodName => priority(self.container_of_pod_name.as_ref()),
            Capability::OwnContainer => priority(self.own_container.as_ref()),
        }
    }

    /// Whether there is none of any capability.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        Capability::ALL
            .iter()
            .all(|capability| self.priority(*capability).is_none())
    }
}

fn take_better<T: ?Sized>(best: &mut Option<Ranked<T>>, other: Option<&Ranked<T>>) {
    if let Some(other) = other
        && best
            .as_ref()
            .is_none_or(|best| other.priority < best.priority)
    {
        *best = Some(other.clone());
    }
}
