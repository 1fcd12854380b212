//! The form of `/catalog.json` and of `cgscope catalog --json`, which other programs read.
//!
//! What is not known has no key. A key that is there keeps its name and meaning as long as [`SCHEMA`]
//! stays; new ones may come.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, SeqAccess, Visitor},
};

use super::{
    names::{NamesEntry, names_entry},
    told::{ElsewhereEntry, OwnContainerEntry, RuntimeEntry, ToldEntry},
    values::{known, seconds},
};
use crate::{
    catalog::{Container, Identity},
    host::{CgroupKey, cgroup_mounts::Hierarchy},
    reconcile::{
        Listing,
        listing::{Figures, ListedCgroup, ListedReading, Origin},
        snapshot::LastReading,
    },
};

/// Counts up when a key goes or changes its meaning.
pub const SCHEMA: u32 = 1;

/// A document has no more cgroups than this; those that are there go before those that are gone. More
/// than the daemon keeps by default, each of some 900 bytes, and of 2 KB where everything is known.
pub(super) const MAX_CGROUPS: usize = 1 << 16;

/// All of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CatalogDocument {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Who knows the cgroups.
    pub source: SourceEntry,
    /// The version of cgscope.
    pub version: String,
    /// When it was put together, since the epoch, as all times here.
    pub taken_seconds: f64,
    /// The hierarchies in which ids are.
    pub hierarchies: Vec<HierarchyEntry>,
    /// Every cgroup, by path.
    #[serde(deserialize_with = "bounded")]
    pub cgroups: Vec<CgroupEntry>,
    /// Cgroups that are known of and not listed, as they are too many.
    pub left_out: u64,
    /// The container that the daemon runs in; absent when it is in none, or does not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_container: Option<OwnContainerEntry>,
    /// Containers that have no cgroup here: that have not been started, have ended, or are in a virtual
    /// machine.
    #[serde(
        default,
        deserialize_with = "bounded",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub containers_elsewhere: Vec<ElsewhereEntry>,
    /// The container runtimes that were found.
    #[serde(
        default,
        deserialize_with = "bounded",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub runtimes: Vec<RuntimeEntry>,
}

/// No more entries than a daemon lists: who answers may be somebody else.
fn bounded<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    struct Bounded<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<T> {
        type Value = Vec<T>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(formatter, "at most {MAX_CGROUPS} entries")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut all = Vec::new();
            while let Some(entry) = entries.next_element()? {
                if all.len() == MAX_CGROUPS {
                    return Err(A::Error::invalid_length(MAX_CGROUPS + 1, &self));
                }
                all.push(entry);
            }
            Ok(all)
        }
    }
    deserializer.deserialize_seq(Bounded(PhantomData))
}

/// Who knows the cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceEntry {
    /// The daemon: those that are gone are among them.
    Daemon,
    /// A walk of the cgroup trees: those that are there.
    Walk,
}

/// A hierarchy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HierarchyEntry {
    /// Its number; 0 is v2.
    pub id: u32,
    /// The version of cgroups: 1 or 2.
    pub version: u8,
    /// What it controls; empty for v2.
    pub controllers: Vec<String>,
}

/// A cgroup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CgroupEntry {
    /// Its path: the metrics' label `id`.
    pub path: String,
    /// Whether it is there.
    pub state: StateEntry,
    /// Counts up from 1 each time that the path comes to life again.
    pub generation: u32,
    /// Its id in each hierarchy; of one that is gone, the last ones.
    pub ids: Vec<IdEntry>,
    /// When it was made, or first seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time_seconds: Option<f64>,
    /// When it was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_time_seconds: Option<f64>,
    /// The container that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerEntry>,
    /// What the runtimes call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<NamesEntry>,
    /// What was last read of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_reading: Option<ReadingEntry>,
}

/// Whether a cgroup is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StateEntry {
    /// It is.
    Running,
    /// It was removed from all hierarchies.
    Exited,
}

/// An id: the inode number of the cgroup's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdEntry {
    /// In which hierarchy.
    pub hierarchy: u32,
    /// Which.
    pub id: u64,
}

/// A container, as its path and its runtime tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerEntry {
    /// Whether this is the container's own cgroup, and not one within it, or its pod's.
    pub own: bool,
    /// The runtime's id of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The runtime.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// What it runs in, if that is not this host: `kata`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flavor: Option<String>,
    /// The UID of its Kubernetes pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// The pod's quality of service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qos: Option<String>,
    /// What its runtime tells besides.
    #[serde(flatten)]
    pub told: ToldEntry,
}

/// What was last read of a cgroup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadingEntry {
    /// How it was had: `running`, while the cgroup was there; else `final`, `partial`, `earlier` or
    /// `events_only`, as the label `last_reading` of the info metric.
    pub how: String,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_seconds: Option<f64>,
    /// When its network was; once a minute, where no exported names need it more often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_time_seconds: Option<f64>,
    /// When its open files were counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes_time_seconds: Option<f64>,
    /// All CPU time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_seconds: Option<f64>,
    /// Of it in user space.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_user_seconds: Option<f64>,
    /// Of it in the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_system_seconds: Option<f64>,
    /// How many CPUs it can use at a time: by its own bandwidth limit and CPU set, else all that are
    /// online.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_limit_cores: Option<f64>,
    /// Whether that is because it has no limit of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_limit_is_default: Option<bool>,
    /// Weight against its neighbors, in v1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_shares: Option<u64>,
    /// Weight against its neighbors, in v2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_weight: Option<u64>,
    /// Periods of the bandwidth limit in which it ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_periods: Option<u64>,
    /// Of them, those in which it used up its quota.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_throttled_periods: Option<u64>,
    /// How long its CPUs were throttled, added up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_throttled_seconds: Option<f64>,
    /// Time in which at least one task waited for a CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_stalled_seconds: Option<f64>,
    /// Memory in use at that time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_usage_bytes: Option<u64>,
    /// The most ever in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_peak_bytes: Option<u64>,
    /// How much may be in use; absent without a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_limit_bytes: Option<u64>,
    /// Above this it is the first to give.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_soft_limit_bytes: Option<u64>,
    /// What is in use and not easily freed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_working_set_bytes: Option<u64>,
    /// Anonymous memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_rss_bytes: Option<u64>,
    /// Memory of files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_cache_bytes: Option<u64>,
    /// The kernel's memory on its behalf.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_kernel_bytes: Option<u64>,
    /// Swap in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_swap_bytes: Option<u64>,
    /// How much memory and swap may be in use together; absent without a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_and_swap_limit_bytes: Option<u64>,
    /// Time in which at least one task waited for memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_stalled_seconds: Option<f64>,
    /// Page faults.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_faults: Option<u64>,
    /// Of them, those that had to read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub major_page_faults: Option<u64>,
    /// Processes killed at the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_kills: Option<u64>,
    /// Read from disks; of disks made of others, what these read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_read_bytes: Option<u64>,
    /// Written to disks; as above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_written_bytes: Option<u64>,
    /// Reads from disks; as above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_reads: Option<u64>,
    /// Writes to disks; as above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_writes: Option<u64>,
    /// Time in which at least one task waited for block I/O.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_stalled_seconds: Option<f64>,
    /// Threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<u64>,
    /// How many there can be; absent without a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread_limit: Option<u64>,
    /// Open files of its processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u64>,
    /// The network namespace, by its inode number: containers that have the same share their network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_namespace: Option<u64>,
    /// Whether that is the host's, so that what went over it is not its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_is_host: Option<bool>,
    /// What came in over all interfaces but the loopback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_received_bytes: Option<u64>,
    /// What went out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_sent_bytes: Option<u64>,
    /// Packets that came in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_received_packets: Option<u64>,
    /// Packets that went out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_sent_packets: Option<u64>,
}

impl CatalogDocument {
    /// Makes it.
    #[must_use]
    pub fn of(listing: Listing) -> Self {
        let Listing {
            taken,
            origin,
            hierarchies,
            mut cgroups,
            left_out,
            mut elsewhere,
            runtimes,
            own_container,
        } = listing;
        let elsewhere_over = elsewhere.len().saturating_sub(MAX_CGROUPS);
        elsewhere.truncate(MAX_CGROUPS);
        elsewhere.sort_unstable_by_key(|of| of.key());
        let over = cgroups.len().saturating_sub(MAX_CGROUPS);
        if over > 0 {
            cgroups.sort_unstable_by_key(|cgroup| cgroup.exited.is_some());
            cgroups.truncate(MAX_CGROUPS);
        }
        cgroups.sort_unstable_by(|a, b| a.identity.path.cmp(&b.identity.path));
        Self {
            schema: SCHEMA,
            source: match origin {
                Origin::Daemon => SourceEntry::Daemon,
                Origin::Walk => SourceEntry::Walk,
            },
            version: env!("CARGO_PKG_VERSION").to_owned(),
            taken_seconds: seconds(taken),
            hierarchies: hierarchies.into_iter().map(hierarchy_entry).collect(),
            cgroups: cgroups.iter().map(cgroup_entry).collect(),
            left_out: left_out + (over + elsewhere_over) as u64,
            own_container: own_container.as_ref().map(OwnContainerEntry::of),
            containers_elsewhere: elsewhere.iter().map(|of| ElsewhereEntry::of(of)).collect(),
            runtimes: runtimes.iter().map(RuntimeEntry::of).collect(),
        }
    }

    /// As JSON, in one line.
    pub fn encode(&self) -> serde_json::Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

fn hierarchy_entry(hierarchy: Hierarchy) -> HierarchyEntry {
    HierarchyEntry {
        id: hierarchy.id.0,
        version: if hierarchy.is_v2() { 2 } else { 1 },
        controllers: hierarchy.controllers,
    }
}

fn cgroup_entry(cgroup: &ListedCgroup) -> CgroupEntry {
    let ListedCgroup {
        identity,
        keys,
        started,
        exited,
        reading,
    } = cgroup;
    let mut ids: Vec<IdEntry> = keys
        .iter()
        .map(|CgroupKey { hierarchy, id }| IdEntry {
            hierarchy: hierarchy.0,
            id: id.0,
        })
        .collect();
    ids.sort_unstable_by_key(|id| (id.hierarchy, id.id));
    CgroupEntry {
        path: identity.path.clone(),
        state: if exited.is_some() {
            StateEntry::Exited
        } else {
            StateEntry::Running
        },
        generation: identity.generation,
        ids,
        start_time_seconds: started.map(seconds),
        exit_time_seconds: exited.map(seconds),
        container: identity
            .container
            .as_ref()
            .map(|container| container_entry(container, identity)),
        names: names_entry(&identity.names),
        last_reading: reading.as_ref().map(reading_entry),
    }
}

fn container_entry(container: &Container, identity: &Identity) -> ContainerEntry {
    let Container {
        id,
        runtime,
        flavor,
        pod_uid,
        qos,
        id_namespace: _,
        place: _,
    } = container;
    ContainerEntry {
        own: identity.own_container().is_some(),
        id: known(id),
        runtime: known(runtime.name()),
        pod_uid: known(pod_uid),
        qos: qos.map(|qos| qos.name().to_owned()),
        flavor: known(flavor.name()),
        told: identity
            .told
            .as_deref()
            .map(ToldEntry::of)
            .unwrap_or_default(),
    }
}

pub(super) fn reading_entry(reading: &ListedReading) -> ReadingEntry {
    let ListedReading {
        how,
        at,
        network_at,
        processes_at,
        figures,
    } = reading;
    let Figures {
        cpu_ns,
        cpu_user_ns,
        cpu_system_ns,
        cpu_limit_cores,
        cpu_limit_is_default,
        cpu_shares,
        cpu_weight,
        cpu_periods,
        cpu_throttled_periods,
        cpu_throttled_ns,
        cpu_stalled_ns,
        memory_usage_bytes,
        memory_peak_bytes,
        memory_limit_bytes,
        memory_soft_limit_bytes,
        memory_working_set_bytes,
        memory_rss_bytes,
        memory_cache_bytes,
        memory_kernel_bytes,
        memory_swap_bytes,
        memory_and_swap_limit_bytes,
        memory_stalled_ns,
        page_faults,
        major_page_faults,
        oom_kills,
        io_read_bytes,
        io_written_bytes,
        io_reads,
        io_writes,
        io_stalled_ns,
        threads,
        thread_limit,
        open_files,
        network_namespace,
        network_is_host,
        network_received_bytes,
        network_sent_bytes,
        network_received_packets,
        network_sent_packets,
    } = *figures;
    let of_ns = |ns| std::time::Duration::from_nanos(ns).as_secs_f64();
    ReadingEntry {
        how: match how {
            LastReading::Running => "running",
            other => other.name(),
        }
        .to_owned(),
        time_seconds: at.map(seconds),
        network_time_seconds: network_at.map(seconds),
        processes_time_seconds: processes_at.map(seconds),
        cpu_seconds: cpu_ns.map(of_ns),
        cpu_user_seconds: cpu_user_ns.map(of_ns),
        cpu_system_seconds: cpu_system_ns.map(of_ns),
        cpu_limit_cores,
        cpu_limit_is_default,
        cpu_shares,
        cpu_weight,
        cpu_periods,
        cpu_throttled_periods,
        cpu_throttled_seconds: cpu_throttled_ns.map(of_ns),
        cpu_stalled_seconds: cpu_stalled_ns.map(of_ns),
        memory_usage_bytes,
        memory_peak_bytes,
        memory_limit_bytes,
        memory_soft_limit_bytes,
        memory_working_set_bytes,
        memory_rss_bytes,
        memory_cache_bytes,
        memory_kernel_bytes,
        memory_swap_bytes,
        memory_and_swap_limit_bytes,
        memory_stalled_seconds: memory_stalled_ns.map(of_ns),
        page_faults,
        major_page_faults,
        oom_kills,
        io_read_bytes,
        io_written_bytes,
        io_reads,
        io_writes,
        io_stalled_seconds: io_stalled_ns.map(of_ns),
        threads,
        thread_limit,
        open_files,
        network_namespace,
        network_is_host,
        network_received_bytes,
        network_sent_bytes,
        network_received_packets,
        network_sent_packets,
    }
}
