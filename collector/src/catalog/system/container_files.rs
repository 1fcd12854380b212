//! One reading of a container's files.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use crate::{
    catalog::provider::{
        Answer, CollectError, ContainerStats, NetworkStats, OpenFiles, Pids,
        figures::{Figures, Machine},
    },
    host::{
        block_devices,
        cgroup_mounts::CgroupMounts,
        cgroupfs::{
            CgroupReader, CgroupStatistics, ControllerDirs, DescriptorBudget, HierarchyRoots,
            Presence, ReadContext, Wanted,
        },
        clock::TimeAnchor,
        network::NetworkReader,
        online_cpus,
        process_files::ProcessFiles,
    },
};

/// Reads containers' files, one after the other.
#[derive(Debug)]
pub(super) struct ContainerFiles {
    roots: Arc<HierarchyRoots>,
    processes: Option<ProcessFiles>,
    context: Mutex<ReadContext>,
}

/// What a container's statistics are made of.
const WANTED: Wanted = Wanted::USAGE.and(Wanted::LIMITS).and(Wanted::CPUSET);

/// The most processes of a container that are listed.
const MAX_PROCESSES: usize = 16_384;

impl ContainerFiles {
    pub(super) fn new(mounts: &CgroupMounts, processes: Option<ProcessFiles>) -> Self {
        Self {
            roots: Arc::new(HierarchyRoots::open(mounts)),
            processes,
            context: Mutex::default(),
        }
    }

    /// Of the first of these paths where there is a cgroup.
    pub(super) fn stats(&self, paths: &[Vec<u8>]) -> Answer<ContainerStats> {
        let mut context = self.context();
        for path in paths {
            let mut statistics = CgroupStatistics::default();
            let outcome = self
                .reader(path)
                .read(WANTED, &mut context, &mut statistics);
            if matches!(outcome.presence, Presence::Gone | Presence::Nowhere) {
                continue;
            }
            if outcome.read == Wanted::NOTHING {
                if outcome.failed == Wanted::NOTHING {
                    continue;
                }
                let failure = context.account.last_failure;
                return Err(unreadable(path, failure.map(|(_, error)| error)));
            }
            let machine = Machine {
                cpus: online_cpus::count(),
                stacked: block_devices::stacked(),
            };
            return Ok(Some(ContainerStats {
                at: TimeAnchor::now().wall(outcome.at),
                figures: Figures::of(Some(&statistics), None, None, &machine),
                devices: statistics.io.map(|io| io.of.devices).unwrap_or_default(),
            }));
        }
        Ok(None)
    }

    /// As one of its processes sees it; `None` when it has none.
    pub(super) fn network(&self, paths: &[Vec<u8>]) -> Option<NetworkStats> {
        let files = self.processes.as_ref()?;
        let mut context = self.context();
        let network = paths.iter().find_map(|path| {
            let mut network = None;
            NetworkReader::default().read(
                &mut self.reader(path),
                files,
                &mut context,
                &mut network,
            );
            network
        })?;
        Some(NetworkStats {
            at: TimeAnchor::now().wall(network.at),
            figures: Figures::of(None, Some(&network), None, &Machine::default()),
            interfaces: network.interfaces,
        })
    }

    /// Of all its processes; `None` when it has none, or none may be looked at.
    pub(super) fn open_files(&self, paths: &[Vec<u8>]) -> Option<OpenFiles> {
        let files = self.processes.as_ref()?;
        let listed = self.pids(paths)?;
        let totals = files.totals(&listed.pids, &mut self.context());
        Some(OpenFiles {
            at: TimeAnchor::now().wall(totals.at),
            count: totals.open_files?,
            is_complete: listed.is_complete && totals.unreadable == 0,
        })
    }

    /// All its processes; `None` when it has none.
    pub(super) fn pids(&self, paths: &[Vec<u8>]) -> Option<Pids> {
        let mut context = self.context();
        let mut pids = Vec::new();
        let at = SystemTime::now();
        paths.iter().find_map(|path| {
            let mut reader = self.reader(path);
            let is_complete = reader.processes(&mut context, &mut pids, MAX_PROCESSES);
            (!pids.is_empty()).then(|| Pids {
                at,
                pids: std::mem::take(&mut pids),
                is_complete,
            })
        })
    }

    /// Keeps nothing open.
    fn reader(&self, path: &[u8]) -> CgroupReader {
        let directories = ControllerDirs::at(&self.roots, path);
        CgroupReader::new(directories, &DescriptorBudget::new(0, 0))
    }

    fn context(&self) -> MutexGuard<'_, ReadContext> {
        self.context.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unreadable(path: &[u8], why: Option<nix::errno::Errno>) -> CollectError {
    let path = path.escape_ascii();
    CollectError::new(match why {
        Some(why) => format!("cannot read the files of the cgroup {path}: {why}; run this as root"),
        None => format!("cannot read the files of the cgroup {path}; run this as root"),
    })
}
