//! Rows of real kernels' figures, and what the names that others gave make of them.

mod bounds;
mod exposition;
mod meaning;
mod otel;
mod rows;
mod tables;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::NameSets;
use crate::{
    catalog::{Container, Identity, Names, Qos, Runtime},
    export::{
        Format, encode,
        tests::{Series, full_snapshot, parsed},
    },
    host::{
        cgroupfs::{CgroupStatistics, Limit, tests::statistics_of_dump},
        clock::Ktime,
        network::{Interface, InterfaceName, NetworkStatistics, Traffic},
        process_files::ProcessTotals,
    },
    reconcile::{
        Snapshot,
        snapshot::{CgroupStats, KernelReading, LifeEvents},
    },
    window::OomTotals,
};

const V1: &str = include_str!("../../../host/cgroupfs/fixtures/v1-5.10.txt");
const V2: &str = include_str!("../../../host/cgroupfs/fixtures/v2-7.2.txt");
const HYBRID: &str = include_str!("../../../host/cgroupfs/fixtures/hybrid-6.18.txt");

const BOTH: NameSets = NameSets {
    containerd: true,
    cadvisor: true,
};
const CONTAINERD: NameSets = NameSets {
    containerd: true,
    cadvisor: false,
};
const CADVISOR: NameSets = NameSets {
    containerd: false,
    cadvisor: true,
};

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const POD: &str = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podab12.slice";

fn second(number: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(number)
}

/// A cgroup of which only the kernel's own figures are known.
fn row(path: &str, container: Option<Container>, statistics: CgroupStatistics) -> CgroupStats {
    CgroupStats {
        identity: Arc::new(Identity {
            path: path.to_owned(),
            names: Names::default(),
            container,
            told: None,
            cgroup_version: 2,
            generation: 1,
            started: second(1_700_000_000),
            is_found: false,
        }),
        exited: None,
        sched: None,
        block: Vec::new(),
        oom: OomTotals::default(),
        life: LifeEvents::default(),
        quantiles: Vec::new(),
        exemplars: Vec::new(),
        kernel: KernelReading {
            statistics: Some(Arc::new(statistics)),
            at: Some(Ktime::from_ns(1)),
            ..KernelReading::default()
        },
    }
}

fn named(mut row: CgroupStats, names: Names) -> CgroupStats {
    Arc::make_mut(&mut row.identity).names = names;
    row
}

/// A container of Docker on a host with cgroup v1, with all that can be known of it.
fn v1_container() -> CgroupStats {
    let container = Container {
        id: ID.to_owned(),
        runtime: Runtime::Docker,
        ..Container::default()
    };
    let mut row = named(
        row(
            &format!("/docker/{ID}"),
            Some(container),
            statistics_of_dump(V1),
        ),
        Names {
            name: "web".to_owned(),
            image: "nginx:1".to_owned(),
            ..Names::default()
        },
    );
    row.kernel.network = Some(Arc::new(network(false)));
    row.kernel.processes = Some(ProcessTotals {
        at: Ktime::from_ns(1),
        processes: 3,
        threads: Some(5),
        open_files: Some(17),
        unreadable: 0,
    });
    row.life.limit_oom_kills = 2;
    row
}

fn kubernetes_container(id: &str) -> Container {
    Container {
        id: id.to_owned(),
        runtime: Runtime::Containerd,
        pod_uid: "ab12".to_owned(),
        qos: Some(Qos::Burstable),
        ..Container::default()
    }
}

/// A container of Kubernetes with containerd and cgroup v2.
fn v2_container() -> CgroupStats {
    named(
        row(
            &format!("{POD}/cri-containerd-{ID}.scope"),
            Some(kubernetes_container(ID)),
            statistics_of_dump(V2),
        ),
        Names {
            name: ID.to_owned(),
            image: "shop:2".to_owned(),
            namespace: "shop".to_owned(),
            pod: "checkout-0".to_owned(),
            container: "checkout".to_owned(),
        },
    )
}

/// The pod around it.
fn pod() -> CgroupStats {
    named(
        row(POD, Some(kubernetes_container("")), statistics_of_dump(V2)),
        Names {
            namespace: "shop".to_owned(),
            pod: "checkout-0".to_owned(),
            ..Names::default()
        },
    )
}

/// The cgroup of all burstable pods.
fn qos_class() -> CgroupStats {
    row(
        "/kubepods.slice/kubepods-burstable.slice",
        None,
        statistics_of_dump(V2),
    )
}

/// The root of a hybrid host, which has no limits.
fn root() -> CgroupStats {
    let mut statistics = statistics_of_dump(HYBRID);
    if let Some(cpu) = &mut statistics.cpu {
        (cpu.of.quota_ns, cpu.of.period_ns, cpu.of.shares) = (None, None, None);
    }
    if let Some(memory) = &mut statistics.memory {
        memory.of.memory.limit_bytes = Some(Limit::Unlimited);
    }
    statistics.pids = None;
    let mut row = row("/", None, statistics);
    row.kernel.network = Some(Arc::new(network(true)));
    row
}

fn network(is_host: bool) -> NetworkStatistics {
    let interface = |name: &str, bytes| Interface {
        name: InterfaceName::new(name.as_bytes()).unwrap(),
        received: Traffic {
            bytes,
            packets: 10,
            errors: 1,
            dropped: 2,
        },
        sent: Traffic {
            bytes: bytes * 2,
            packets: 20,
            errors: 3,
            dropped: 4,
        },
    };
    NetworkStatistics {
        at: Ktime::from_ns(1),
        namespace: None,
        is_host: Some(is_host),
        interfaces: vec![
            interface("lo", 1),
            interface("eth0", 1_000),
            interface("vethab12", 7),
        ],
    }
}

fn snapshot(cgroups: Vec<CgroupStats>) -> Snapshot {
    Snapshot {
        cgroups,
        ..full_snapshot()
    }
}

fn encoded(cgroups: Vec<CgroupStats>, names: NameSets, format: Format) -> Vec<u8> {
    encode(snapshot(cgroups), format, names, |device| {
        match (device.major, device.minor) {
            (254, 0) => "vda".to_owned(),
            (major, minor) => format!("{major}:{minor}"),
        }
    })
    .expect("the snapshot can be encoded")
}

/// The text of the names that others gave, without our own.
fn text(cgroups: Vec<CgroupStats>, names: NameSets, format: Format) -> String {
    let text = String::from_utf8(encoded(cgroups, names, format)).expect("text is UTF-8");
    text.split_inclusive('\n')
        .filter(|line| {
            let line = line
                .trim_start_matches("# HELP ")
                .trim_start_matches("# TYPE ")
                .trim_start_matches("# UNIT ");
            line.starts_with("container_")
        })
        .collect()
}

fn samples(cgroups: Vec<CgroupStats>, names: NameSets) -> BTreeMap<Series, f64> {
    parsed(&text(cgroups, names, Format::PrometheusText))
}

/// The values of a name.
fn values(samples: &BTreeMap<Series, f64>, name: &str) -> Vec<f64> {
    samples
        .iter()
        .filter(|((known, _), _)| known == name)
        .map(|(_, value)| *value)
        .collect()
}
