//! The collector that asks no runtime: it reads this host's own files.
//!
//! In: which cgroups a container has ([`Places`]), and the files of these and of their processes. Out: all
//! but the names in pods, for containers of every runtime that are processes of this host; of a virtual
//! machine the host sees too little. Nothing is kept open between two requests. Never here: a runtime's
//! socket.

pub mod places;

mod container_files;

pub mod own_container;

#[cfg(test)]
mod tests;

use std::{fs, io, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use tokio::task::spawn_blocking;

pub use places::Places;

use self::{container_files::ContainerFiles, own_container::OwnFiles};
use super::{
    ContainerRef, Recognizer, Runtime, RuntimeMetadata,
    provider::{
        Answer, CollectError, Collectors, ContainerStats, Factory, NetworkStats, Offer, OpenFiles,
        Pids, Ranked, Unavailable,
        capability::{
            CgroupLookup, ContainerStatsCollector, NetworkStatsCollector, OpenFilesCollector,
            OwnContainerLookup, PidLookup, PidsCollector,
        },
    },
};
use crate::host::{
    CgroupKey, cgroup_mounts::CgroupMounts, membership, process_files::ProcessFiles,
};

/// No other is better: what is asked here costs no runtime anything.
const PRIORITY: u8 = 0;

/// The collector's id.
const ID: &str = "system";

/// Makes the collector of this host.
#[derive(Debug)]
pub struct SystemFactory {
    /// Where the host's `/` is.
    pub host_root: PathBuf,
    /// Where its cgroups are.
    pub cgroup_root: PathBuf,
    /// Who knows which cgroups a container has.
    pub places: Arc<dyn Places>,
}

/// Reads this host's files.
#[derive(Debug)]
struct SystemCollector {
    files: Arc<ContainerFiles>,
    places: Arc<dyn Places>,
    recognizer: Recognizer,
    /// The host's `/proc`.
    proc: PathBuf,
}

#[async_trait]
impl Factory for SystemFactory {
    fn id(&self) -> &'static str {
        ID
    }

    async fn build(&self) -> Result<Vec<Offer>, Unavailable> {
        let mounts = CgroupMounts::read(&self.host_root, &self.cgroup_root)
            .map_err(|error| Unavailable::not_yet(crate::error_chain(&error)))?;
        // Without the host's processes, all that is about processes is not offered.
        let processes = ProcessFiles::open(&self.host_root)
            .inspect_err(|error| {
                tracing::warn!("{}; nobody's processes are told", crate::error_chain(error));
            })
            .ok();
        let sees_processes = processes.is_some();
        let collector = Arc::new(SystemCollector {
            files: Arc::new(ContainerFiles::new(&mounts, processes)),
            places: Arc::clone(&self.places),
            recognizer: Recognizer::new(&self.host_root),
            proc: self.host_root.join("proc"),
        });
        let offer = |runtime| Offer {
            runtime: RuntimeMetadata::of(runtime),
            collectors: collector.collectors(sees_processes),
        };
        // That nobody tells whose a container is does not keep its files from being read.
        let all = Runtime::KNOWN.into_iter().chain([Runtime::Unknown]);
        Ok(all.map(offer).collect())
    }
}

impl SystemCollector {
    fn collectors(self: &Arc<Self>, sees_processes: bool) -> Collectors {
        let own = || Arc::<Self>::clone(self);
        let of_cgroups = Collectors {
            container_stats: Some(Ranked::new(PRIORITY, own())),
            container_of_cgroup: Some(Ranked::new(PRIORITY, own())),
            own_container: Some(Ranked::new(PRIORITY, own())),
            ..Collectors::default()
        };
        if !sees_processes {
            return of_cgroups;
        }
        Collectors {
            network_stats: Some(Ranked::new(PRIORITY, own())),
            open_files: Some(Ranked::new(PRIORITY, own())),
            pids: Some(Ranked::new(PRIORITY, own())),
            container_of_pid: Some(Ranked::new(PRIORITY, own())),
            ..of_cgroups
        }
    }

    /// Looks at a container's files, in a thread that may wait for the kernel.
    async fn look<T: Send + 'static>(
        &self,
        of: &ContainerRef,
        look: impl FnOnce(&ContainerFiles, &[Vec<u8>]) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        let mut paths = self.places.paths_of(of);
        if paths.is_empty() {
            return Ok(None);
        }
        // What is in the cgroups below it is in its own: the outermost first.
        paths.sort_unstable_by_key(Vec::len);
        let files = Arc::clone(&self.files);
        spawn_blocking(move || look(&files, &paths))
            .await
            .map_err(CollectError::new)?
    }
}

#[async_trait]
impl ContainerStatsCollector for SystemCollector {
    async fn container_stats(&self, of: &ContainerRef) -> Answer<ContainerStats> {
        self.look(of, ContainerFiles::stats).await
    }
}

#[async_trait]
impl NetworkStatsCollector for SystemCollector {
    async fn network_stats(&self, of: &ContainerRef) -> Answer<NetworkStats> {
        self.look(of, |files, paths| Ok(files.network(paths))).await
    }
}

#[async_trait]
impl OpenFilesCollector for SystemCollector {
    async fn open_files(&self, of: &ContainerRef) -> Answer<OpenFiles> {
        self.look(of, |files, paths| Ok(files.open_files(paths)))
            .await
    }
}

#[async_trait]
impl PidsCollector for SystemCollector {
    async fn pids(&self, of: &ContainerRef) -> Answer<Pids> {
        self.look(of, |files, paths| Ok(files.pids(paths))).await
    }
}

#[async_trait]
impl PidLookup for SystemCollector {
    async fn container_of_pid(&self, pid: u32) -> Answer<ContainerRef> {
        let memberships = match fs::read(self.proc.join(pid.to_string()).join("cgroup")) {
            Ok(memberships) => memberships,
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(CollectError::new(error)),
        };
        let known = membership::parse(&memberships);
        let known = known.iter().find_map(|of| self.places.below(of.path));
        Ok(known.or_else(|| membered(&self.recognizer, &memberships)))
    }
}

#[async_trait]
impl CgroupLookup for SystemCollector {
    async fn container_of_cgroup(&self, key: CgroupKey) -> Answer<ContainerRef> {
        Ok(self.places.at(key))
    }
}

#[async_trait]
impl OwnContainerLookup for SystemCollector {
    async fn own_container(&self) -> Answer<ContainerRef> {
        own_container::find(OwnFiles::default(), &self.recognizer, &*self.places)
            .map_err(CollectError::new)
    }
}

/// The container of a process by what its `cgroup` file says. In some hierarchies a container's processes
/// may be in no cgroup of its own: the first that has one tells.
fn membered(recognizer: &Recognizer, memberships: &[u8]) -> Option<ContainerRef> {
    // A pod's own cgroup is not a container's.
    membership::parse(memberships)
        .iter()
        .find_map(|of| recognizer.container(of.path)?.key())
}

/// Whether the process has ended.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(nix::errno::Errno::ESRCH as i32)
}
