//! One cgroup as the other collectors see it: its figures, and under which names they would know it.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    time::SystemTime,
};

use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};

use crate::{
    catalog::{Container, Identity, Runtime, kata},
    export::{cgroup_labels::CgroupLabels, label_sets::encode_label, labels::CONTAINERD},
    host::{
        cgroupfs::{CgroupStatistics, parse::DeviceNumber},
        network::{Interface, NetworkNamespace, NetworkStatistics},
        process_files::ProcessTotals,
    },
    reconcile::snapshot::{CgroupStats, SchedSums},
    window::Device,
};

/// One cgroup.
#[derive(Clone, Copy, Debug)]
pub(in crate::export) struct Row<'a> {
    pub(in crate::export) identity: &'a Identity,
    pub(in crate::export) labels: &'a CgroupLabels,
    /// Absent when containerd would not show it.
    pub(in crate::export) containerd: Option<&'a ContainerdLabels>,
    /// When it went, if it is gone.
    pub(in crate::export) exited: Option<SystemTime>,
    /// When the numbers were taken.
    pub(in crate::export) taken: SystemTime,
    pub(in crate::export) statistics: &'a CgroupStatistics,
    /// Absent when it is not this row that shows it.
    pub(in crate::export) network: Option<&'a NetworkStatistics>,
    pub(in crate::export) processes: Option<&'a ProcessTotals>,
    /// What its tasks waited and ran in its latest life, with all below it.
    pub(in crate::export) sched: Option<&'a SchedSums>,
    /// OOM kills at its limit in its latest life; absent when they are not told.
    pub(in crate::export) limit_oom_kills: Option<u64>,
    /// The names of disks.
    pub(in crate::export) devices: &'a HashMap<Device, String>,
}

/// The prefixes of interfaces that cAdvisor leaves out, in any case: they are not a container's own.
const LEFT_OUT_INTERFACES: [&str; 3] = ["lo", "veth", "docker"];

impl<'a> Row<'a> {
    /// Whether it is a cgroup, and not what is told of several, or of one without a path.
    pub(super) fn is_cgroup(&self) -> bool {
        self.identity.path.starts_with('/')
    }

    /// The interfaces that it shows.
    pub(super) fn interfaces(&self) -> impl Iterator<Item = &'a Interface> {
        self.network.into_iter().flat_map(shown_interfaces)
    }

    /// The file of a disk; empty when the disk is gone.
    pub(super) fn device_file(&self, number: DeviceNumber) -> &'a str {
        match self.devices.get(&number) {
            Some(file) if file.starts_with('/') => file,
            _ => "",
        }
    }

    /// The file of a disk, or what else tells it from the cgroup's others.
    pub(super) fn device_label(&self, number: DeviceNumber) -> &'a str {
        self.devices.get(&number).map_or("", String::as_str)
    }
}

/// The interfaces of a network that are shown.
pub(super) fn shown_interfaces(network: &NetworkStatistics) -> impl Iterator<Item = &Interface> {
    network.interfaces.iter().filter(|interface| {
        let name = interface.name.as_str().to_ascii_lowercase();
        !LEFT_OUT_INTERFACES
            .iter()
            .any(|prefix| name.starts_with(prefix))
    })
}

/// A container as containerd labels it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::export) struct ContainerdLabels {
    id: String,
    namespace: String,
}

/// The namespace in which Docker keeps its containers, unless it is told another.
const DOCKER_NAMESPACE: &str = "moby";

/// The namespace in which the kubelet's containers are.
const KUBERNETES_NAMESPACE: &str = "k8s.io";

impl ContainerdLabels {
    /// Those of each row, by its position: a container's own cgroup has them, none above or below, and
    /// no two rows have the same.
    pub(in crate::export) fn of_all(rows: &[CgroupStats]) -> Vec<Option<Self>> {
        let mut labels: Vec<_> = rows.iter().map(|row| Self::of(&row.identity)).collect();
        // A container can be in different places in different hierarchies, or move: then the one that
        // is there counts.
        let mut seen = HashSet::new();
        for gone in [false, true] {
            for (row, labels) in rows.iter().zip(&mut labels) {
                if row.exited.is_some() == gone
                    && labels.as_ref().is_some_and(|of| !seen.insert(of.clone()))
                {
                    *labels = None;
                }
            }
        }
        labels
    }

    /// Those of a container's own cgroup.
    fn of(identity: &Identity) -> Option<Self> {
        let container = identity.own_container()?;
        // A sandbox of Kata has a cgroup besides, which counts.
        if kata::is_overhead(&identity.path) {
            return None;
        }
        let plain = || {
            // `/<namespace>/<id>`, which the recognizer has looked up.
            let (above, last) = identity.path.rsplit_once('/')?;
            let (_, namespace) = above.rsplit_once('/')?;
            (last == container.id).then(|| namespace.to_owned())
        };
        let namespace = match container.runtime {
            Runtime::Docker => DOCKER_NAMESPACE.to_owned(),
            Runtime::Containerd if !container.pod_uid.is_empty() => KUBERNETES_NAMESPACE.to_owned(),
            Runtime::Containerd => plain().unwrap_or_else(|| identity.names.namespace.clone()),
            // A pod's namespace is Kubernetes', not the runtime's.
            _ if container.pod_uid.is_empty() => identity.names.namespace.clone(),
            _ => String::new(),
        };
        Some(Self {
            id: container.id.clone(),
            namespace,
        })
    }
}

impl EncodeLabelSet for &ContainerdLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let [id_label, namespace_label] = &CONTAINERD;
        let ContainerdLabels { id, namespace } = self;
        encode_label(encoder, id_label, &id.as_str())?;
        encode_label(encoder, namespace_label, &namespace.as_str())
    }
}

/// Which rows show a network. The containers of a pod have one together, and so have those that were
/// started in another's: it is shown by the one that was there first, which holds it for the others, as
/// the kubelet does; once that is gone, by the next.
#[derive(Debug, Default)]
pub(in crate::export) struct NetworkViews {
    /// By position.
    shown: Vec<bool>,
}

/// What containers have in common that have one network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Shared<'a> {
    Namespace(NetworkNamespace),
    /// Where the namespace may not be asked.
    Pod(&'a str),
}

impl NetworkViews {
    /// Decides.
    pub(in crate::export) fn of(rows: &[CgroupStats]) -> Self {
        let mut sharing: HashMap<Shared<'_>, Vec<usize>> = HashMap::new();
        let mut shown = vec![false; rows.len()];
        for (position, row) in rows.iter().enumerate() {
            let Some(network) = &row.kernel.network else {
                continue;
            };
            // The host's numbers are the root's, and nobody else's.
            if row.identity.path == "/" {
                shown[position] = network.is_host == Some(true);
                continue;
            }
            // What may be the host's is not shown as a container's.
            let Some(container) = row.identity.own_container() else {
                continue;
            };
            if network.is_host != Some(false) {
                continue;
            }
            match Shared::of(network, container) {
                Some(shared) => sharing.entry(shared).or_default().push(position),
                None => shown[position] = true,
            }
        }
        for mut together in sharing.into_values() {
            together.sort_unstable_by_key(|position| order(&rows[*position]));
            for position in one_for_each(rows, &together) {
                shown[position] = true;
            }
        }
        Self { shown }
    }

    /// Whether the row at a position shows its network.
    pub(in crate::export) fn shows(&self, position: usize) -> bool {
        self.shown.get(position).copied().unwrap_or_default()
    }
}

impl<'a> Shared<'a> {
    /// `None` where nothing is known to be in common with others.
    fn of(network: &NetworkStatistics, container: &'a Container) -> Option<Self> {
        let namespace = network.namespace.map(Self::Namespace);
        namespace.or_else(|| {
            let pod = container.pod_uid.as_str();
            (!pod.is_empty()).then_some(Self::Pod(pod))
        })
    }
}

/// One row for each network. The number of a namespace is used again when it is gone: only those whose
/// lives overlap, or are joined by others', have one. They come in their order.
fn one_for_each(rows: &[CgroupStats], in_order: &[usize]) -> Vec<usize> {
    let mut chosen: Vec<usize> = Vec::new();
    let mut ends: Option<SystemTime> = None;
    let mut is_held = false;
    for &position in in_order {
        let row = &rows[position];
        let is_joined = is_held || ends.is_some_and(|ends| row.identity.started <= ends);
        match chosen.last_mut() {
            Some(first) if is_joined => {
                if rows[*first].exited.is_some() && row.exited.is_none() {
                    *first = position;
                }
            }
            _ => {
                chosen.push(position);
                ends = None;
            }
        }
        is_held |= row.exited.is_none();
        ends = ends.max(row.exited);
    }
    chosen
}

/// Which of two containers was there first.
fn order(row: &CgroupStats) -> (SystemTime, &str) {
    (row.identity.started, &row.identity.path)
}
