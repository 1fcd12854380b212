//! OpenTelemetry's metrics of containers, as its semantic conventions have them (1.44).
//!
//! In: a snapshot, the CPU times of earlier ones, the kernel names of disks. Out: the data points of each
//! container, with everything that OTLP has fields for. Never here: OTLP's messages, which are made in
//! `otlp`, or a metric for which the conventions have no name.
//!
//! Left out are `container.filesystem.*`, which is not in a cgroup's files. The conventions have no
//! metrics of run-queue latency, throttling, stalls or OOM kills.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use super::row::{ContainerdLabels, NetworkViews};
use crate::{
    catalog::{Container, Identity},
    export::labels::{Label, closed, open},
    host::{
        cgroupfs::{
            CgroupStatistics, CgroupVersion, Limit, Reading, cpu::CpuStatistics,
            memory::MemoryStatistics,
        },
        clock::Ktime,
        network::NetworkStatistics,
    },
    reconcile::{Snapshot, snapshot::CgroupStats},
    window::Device,
};

/// A metric of the conventions.
#[derive(Clone, Copy, Debug)]
pub struct OtelMetric {
    /// Its name.
    pub name: &'static str,
    /// Its unit, as UCUM writes it.
    pub unit: &'static str,
    /// Its instrument.
    pub instrument: Instrument,
    /// Whether its values are doubles, or else integers.
    pub is_double: bool,
    /// The attributes of its points, besides the container's own.
    pub attributes: &'static [Label],
    /// What it says.
    pub help: &'static str,
    /// The files that it is read from.
    pub source: &'static str,
    points: Points,
}

/// What takes points: the values of the attributes, in order, and the value.
type Take<'t> = dyn FnMut(&[&str], Number) + 't;

type Points = fn(&ContainerPoints<'_>, &mut Take<'_>);

/// An instrument, as far as the values that it makes differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instrument {
    /// A sum that only rises.
    Counter,
    /// A sum that also falls.
    UpDownCounter,
    /// A value that makes no sense added up.
    Gauge,
}

/// A value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// An integer.
    Int(i64),
    /// A double.
    Double(f64),
}

/// One data point.
#[derive(Clone, Copy, Debug)]
pub struct OtelPoint<'a> {
    /// Of which metric.
    pub metric: &'static OtelMetric,
    /// The values of [`OtelMetric::attributes`]; empty when the point is of all of them.
    pub attributes: &'a [&'a str],
    /// The value.
    pub value: Number,
    /// From when on a sum counts: since the start of the container, or [`UNIX_EPOCH`] where that was not seen, which
    /// is OTLP's word for not known. Absent for a gauge.
    pub start: Option<SystemTime>,
    /// When it was so.
    pub time: SystemTime,
}

/// A container, and what its points are made from.
#[derive(Debug)]
pub struct ContainerPoints<'a> {
    identity: &'a Identity,
    container: &'a Container,
    is_gone: bool,
    taken: SystemTime,
    statistics: &'a CgroupStatistics,
    cpu: Option<CpuReadings>,
    network: Option<&'a NetworkStatistics>,
    devices: &'a BTreeMap<Device, String>,
}

/// A container's CPU time at the two latest readings that exports had. Usage is the average between them, and stays so
/// while there is no newer one: what rests is read less often than it is exported.
#[derive(Clone, Debug)]
pub struct CpuReadings {
    /// The life of its path.
    generation: u32,
    before: Option<CpuTime>,
    latest: CpuTime,
}

/// CPU time at a reading.
#[derive(Clone, Debug)]
struct CpuTime {
    at: Ktime,
    modes: Vec<CpuMode>,
}

/// CPU time, ns, and of which mode: the values of the attributes.
type CpuMode = (&'static [&'static str], u64);

const CPU_MODE: Label = closed("cpu.mode", &["user", "system"]);
const DISK_DIRECTION: Label = closed("disk.io.direction", &["read", "write"]);
const DEVICE: Label = open(
    "system.device",
    "the disk's kernel name; `major:minor` when it is gone",
);
const NETWORK_DIRECTION: Label = closed("network.io.direction", &["receive", "transmit"]);
const INTERFACE: Label = open("network.interface.name", "the network interface");
const FAULT_TYPE: Label = closed("system.paging.fault.type", &["minor", "major"]);

/// The attributes of the resource, each absent when unknown.
pub const RESOURCE: [Label; 8] = [
    open("container.id", "the runtime's id of the container"),
    open("container.name", "its name in the runtime"),
    open("container.image.name", "its image"),
    open("container.runtime.name", "the runtime"),
    open("k8s.namespace.name", "the Kubernetes namespace"),
    open("k8s.pod.name", "the pod"),
    open("k8s.pod.uid", "the pod's UID"),
    open("k8s.container.name", "the container's name in its pod"),
];

/// Every metric.
pub const METRICS: &[OtelMetric] = &[
    OtelMetric {
        name: "container.uptime",
        unit: "s",
        instrument: Instrument::Gauge,
        is_double: true,
        attributes: &[],
        help: "How long the container has been there; of one that was there before cgscope, how long its runtime says that it runs.",
        source: "`cgroup_mkdir`, and walks of the cgroup file systems",
        points: uptime,
    },
    OtelMetric {
        name: "container.cpu.time",
        unit: "s",
        instrument: Instrument::Counter,
        is_double: true,
        attributes: &[CPU_MODE],
        help: "CPU time. On cgroup v1, where the modes are counted in clock ticks and do not add up to it, of all modes. What events add to the last reading at the end of a life is under `user`; of a life that was never read it is of all modes.",
        source: "`cpu.stat`; v1: `cpuacct.usage`",
        points: cpu_time,
    },
    OtelMetric {
        name: "container.cpu.usage",
        unit: "{cpu}",
        instrument: Instrument::Gauge,
        is_double: true,
        attributes: &[CPU_MODE],
        help: "CPUs in use, on average since the export before. Stays as it is until there is a newer reading: where nothing runs, for a minute.",
        source: "as `container.cpu.time`",
        points: cpu_usage,
    },
    OtelMetric {
        name: "container.memory.usage",
        unit: "By",
        instrument: Instrument::UpDownCounter,
        is_double: false,
        attributes: &[],
        help: "Memory in use, that of files included.",
        source: "`memory.current`; v1: `memory.usage_in_bytes`",
        points: |of, take| of.in_memory(|memory| memory.memory.usage_bytes, take),
    },
    OtelMetric {
        name: "container.memory.available",
        unit: "By",
        instrument: Instrument::UpDownCounter,
        is_double: false,
        attributes: &[],
        help: "The limit less the working set. Only with a limit.",
        source: "`memory.max` and `memory.current`; v1: `memory.limit_in_bytes`",
        points: |of, take| of.in_memory(available, take),
    },
    OtelMetric {
        name: "container.memory.rss",
        unit: "By",
        instrument: Instrument::UpDownCounter,
        is_double: false,
        attributes: &[],
        help: "Anonymous memory.",
        source: "`memory.stat`: `anon`; v1: `total_rss`",
        points: |of, take| of.in_memory(MemoryStatistics::rss_bytes, take),
    },
    OtelMetric {
        name: "container.memory.working_set",
        unit: "By",
        instrument: Instrument::UpDownCounter,
        is_double: false,
        attributes: &[],
        help: "Memory in use, less that of files that is inactive.",
        source: "`memory.current` and `memory.stat`",
        points: |of, take| of.in_memory(MemoryStatistics::working_set_bytes, take),
    },
    OtelMetric {
        name: "container.paging.faults",
        unit: "{fault}",
        instrument: Instrument::Counter,
        is_double: false,
        attributes: &[FAULT_TYPE],
        help: "Page faults: major those that had to read, minor the others.",
        source: "`memory.stat`: `pgfault`, `pgmajfault`; v1: `total_pgfault`, `total_pgmajfault`",
        points: paging_faults,
    },
    OtelMetric {
        name: "container.disk.io",
        unit: "By",
        instrument: Instrument::Counter,
        is_double: false,
        attributes: &[DISK_DIRECTION, DEVICE],
        help: "Bytes read from and written to disks. On cgroup v1 the kernel charges buffered writes to the root.",
        source: "`io.stat`; v1: `blkio.throttle.io_service_bytes_recursive`",
        points: disk_io,
    },
    OtelMetric {
        name: "container.network.io",
        unit: "By",
        instrument: Instrument::Counter,
        is_double: false,
        attributes: &[NETWORK_DIRECTION, INTERFACE],
        help: "Bytes over the interfaces of its network namespace, by the container that was there first of those that share it; never the host's.",
        source: "`/proc/<pid>/net/dev`",
        points: network_io,
    },
];

/// Each container of a snapshot once. `earlier` gives [`ContainerPoints::cpu_readings`] of the export before, by the
/// path of its cgroup.
pub fn containers<'a>(
    snapshot: &'a Snapshot,
    mut earlier: impl FnMut(&str) -> Option<CpuReadings> + 'a,
    devices: &'a BTreeMap<Device, String>,
) -> impl Iterator<Item = ContainerPoints<'a>> {
    let networks = NetworkViews::of(&snapshot.cgroups);
    ContainerdLabels::of_all(&snapshot.cgroups)
        .into_iter()
        .zip(&snapshot.cgroups)
        .enumerate()
        .filter_map(move |(position, (labels, stats))| {
            // What containerd would show are containers, each once.
            labels?;
            let CgroupStats {
                identity,
                exited,
                kernel,
                ..
            } = stats;
            let statistics = kernel.statistics.as_deref()?;
            let cpu = statistics.cpu.as_ref();
            let readings = |cpu| CpuReadings::next(earlier(&identity.path), identity, cpu);
            Some(ContainerPoints {
                identity,
                container: identity.own_container()?,
                is_gone: exited.is_some(),
                taken: snapshot.taken,
                statistics,
                cpu: cpu.map(readings),
                network: kernel
                    .network
                    .as_deref()
                    .filter(|_| networks.shows(position)),
                devices,
            })
        })
}

impl Instrument {
    /// Whether a sum only rises.
    #[must_use]
    pub const fn is_monotonic(self) -> bool {
        matches!(self, Self::Counter)
    }

    /// The name in the conventions.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::UpDownCounter => "updowncounter",
            Self::Gauge => "gauge",
        }
    }
}

/// What is known of a container, by the keys of [`RESOURCE`]; nothing of a cgroup that is no container's own.
pub fn resource_of(identity: &Identity) -> impl Iterator<Item = (&'static str, &str)> {
    let container = identity.own_container();
    let values = container.map(|container| resource_values(identity, container));
    let known = RESOURCE.iter().zip(values.into_iter().flatten());
    known.filter_map(|(label, value)| Some((label.name, value?)))
}

/// The values of [`RESOURCE`], in its order.
fn resource_values<'a>(
    identity: &'a Identity,
    container: &'a Container,
) -> [Option<&'a str>; RESOURCE.len()] {
    let names = &identity.names;
    // A namespace of the runtime's is not one of Kubernetes.
    let in_pod = !container.pod_uid.is_empty();
    let namespace = if in_pod { names.namespace.as_str() } else { "" };
    [
        &container.id,
        &names.name,
        &names.image,
        container.runtime.name(),
        namespace,
        &names.pod,
        &container.pod_uid,
        &names.container,
    ]
    .map(|value: &str| Some(value).filter(|value| !value.is_empty()))
}

impl<'a> ContainerPoints<'a> {
    /// The path of its cgroup.
    #[must_use]
    pub fn path(&self) -> &'a str {
        &self.identity.path
    }

    /// What the next export's usage is to be since.
    #[must_use]
    pub const fn cpu_readings(&self) -> Option<&CpuReadings> {
        self.cpu.as_ref()
    }

    /// The values of [`RESOURCE`], in its order.
    #[must_use]
    pub fn resource(&self) -> [Option<&'a str>; RESOURCE.len()] {
        resource_values(self.identity, self.container)
    }

    /// Gives each point to `take`. Of a container that is gone there are sums that only rise.
    pub fn each(&self, mut take: impl FnMut(OtelPoint<'_>)) {
        let Identity {
            started, is_found, ..
        } = self.identity;
        let start = if *is_found { UNIX_EPOCH } else { *started };
        for metric in METRICS {
            if self.is_gone && !metric.instrument.is_monotonic() {
                continue;
            }
            let is_sum = metric.instrument != Instrument::Gauge;
            (metric.points)(self, &mut |attributes, value| {
                take(OtelPoint {
                    metric,
                    attributes,
                    value,
                    start: is_sum.then_some(start),
                    time: self.taken,
                });
            });
        }
    }

    fn in_memory(&self, of: impl Fn(&MemoryStatistics) -> Option<u64>, take: &mut Take<'_>) {
        if let Some(bytes) = self.statistics.memory.as_deref().and_then(of) {
            take(&[], integer(bytes));
        }
    }
}

impl CpuReadings {
    /// With what was read by now, if that is newer.
    fn next(earlier: Option<Self>, identity: &Identity, now: &Reading<CpuStatistics>) -> Self {
        let generation = identity.generation;
        match earlier.filter(|earlier| earlier.generation == generation) {
            Some(earlier) if now.at <= earlier.latest.at => earlier,
            earlier => Self {
                generation,
                before: earlier.map(|earlier| earlier.latest),
                latest: CpuTime {
                    at: now.at,
                    modes: modes(now),
                },
            },
        }
    }
}

fn uptime(of: &ContainerPoints<'_>, take: &mut Take<'_>) {
    let Identity {
        started,
        is_found,
        told,
        ..
    } = of.identity;
    let since = if *is_found {
        // Its runtime may know.
        told.as_ref().and_then(|told| told.started)
    } else {
        Some(*started)
    };
    if let Some(Ok(since)) = since.map(|since| of.taken.duration_since(since)) {
        take(&[], Number::Double(since.as_secs_f64()));
    }
}

/// CPU time by mode where the kernel divides it by them: cgroup v1 counts them apart.
fn modes(cpu: &Reading<CpuStatistics>) -> Vec<CpuMode> {
    let Reading {
        version, of: cpu, ..
    } = cpu;
    let Some(usage) = cpu.usage_ns else {
        return Vec::new();
    };
    match (version, cpu.user_ns, cpu.system_ns) {
        (CgroupVersion::V2, Some(user), Some(system)) => {
            let rest = usage.saturating_sub(user.saturating_add(system));
            // At the end of a life the last slice can be known that was in no reading; and not in which mode.
            let last_slice = if rest > ROUNDING_NS { rest } else { 0 };
            vec![(&["user"], user + last_slice), (&["system"], system)]
        }
        _ => vec![(&[], usage)],
    }
}

/// The kernel cuts the sum and both parts to whole microseconds, each for itself.
const ROUNDING_NS: u64 = 2_000;

fn cpu_time(of: &ContainerPoints<'_>, take: &mut Take<'_>) {
    let Some(cpu) = &of.statistics.cpu else {
        return;
    };
    for (attributes, ns) in modes(cpu) {
        take(attributes, Number::Double(seconds(ns)));
    }
}

fn cpu_usage(of: &ContainerPoints<'_>, take: &mut Take<'_>) {
    let Some(CpuReadings {
        before: Some(before),
        latest,
        ..
    }) = &of.cpu
    else {
        return;
    };
    let between = latest.at.0.saturating_sub(before.at.0);
    for (&(attributes, ns), &(same, earlier)) in latest.modes.iter().zip(&before.modes) {
        if attributes == same && ns >= earlier {
            let share = seconds(ns - earlier) / between.as_secs_f64();
            take(attributes, Number::Double(share));
        }
    }
}

fn available(memory: &MemoryStatistics) -> Option<u64> {
    match memory.memory.limit_bytes? {
        Limit::At(limit) => Some(limit.saturating_sub(memory.working_set_bytes()?)),
        Limit::Unlimited => None,
    }
}

fn paging_faults(of: &ContainerPoints<'_>, take: &mut Take<'_>) {
    let Some(memory) = of.statistics.memory.as_deref() else {
        return;
    };
    if let (Some(all), Some(major)) = (memory.page_faults(), memory.major_page_faults()) {
        take(&["minor"], integer(all.saturating_sub(major)));
        take(&["major"], integer(major));
    }
}

fn disk_io(of: &ContainerPoints<'_>, take: &mut Take<'_>) {
    let Some(io) = of.statistics.io.as_deref() else {
        return;
    };
    for row in &io.devices {
        let disk = row.device;
        let name = match of.devices.get(&disk) {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(format!("{}:{}", disk.major, disk.minor)),
        };
        for (direction, bytes) in [("read", row.bytes.read), ("write", row.bytes.write)] {
            if let Some(bytes) = bytes {
                take(&[direction, &name], integer(bytes));
            }
        }
    }
}

fn network_io(of: &ContainerPoints<'_>, take: &mut Take<'_>) {
    for interface in of.network.map_or(&[][..], |network| &network.interfaces) {
        let name = interface.name.as_str();
        take(&["receive", name], integer(interface.received.bytes));
        take(&["transmit", name], integer(interface.sent.bytes));
    }
}

fn integer(value: u64) -> Number {
    Number::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the wire's numbers are floats: exact to 104 days, and to 16 digits above"
)]
fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}
