//! Which cgroups are shown, by which set, under which labels.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    BOTH, CADVISOR, CONTAINERD, ID, NameSets, POD, kubernetes_container, network, pod, qos_class,
    root, row, samples, second, text, v1_container, v2_container, values,
};
use crate::{
    catalog::{Container, Flavor, Runtime},
    export::{Format, tests::full_snapshot},
    host::{
        cgroupfs::CgroupStatistics,
        network::{NetworkNamespace, NetworkStatistics},
    },
    reconcile::snapshot::{CgroupStats, KernelReading, SchedSums},
};

fn labels_of(cgroup: CgroupStats, names: NameSets, name: &str) -> Vec<BTreeMap<String, String>> {
    samples(vec![cgroup], names)
        .into_keys()
        .filter(|(known, _)| known == name)
        .map(|(_, labels)| labels)
        .collect()
}

fn map<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

#[test]
fn without_a_set_nothing_is_shown() {
    assert_eq!(
        text(
            vec![v1_container(), root()],
            NameSets::default(),
            Format::PrometheusText
        ),
        ""
    );
}

#[test]
fn cadvisors_labels_are_the_kubelets() {
    let name = "container_cpu_usage_seconds_total";
    assert_eq!(
        labels_of(v2_container(), CADVISOR, name),
        [map([
            ("id", &format!("{POD}/cri-containerd-{ID}.scope")),
            ("name", ID),
            ("image", "shop:2"),
            ("namespace", "shop"),
            ("pod", "checkout-0"),
            ("container", "checkout"),
            ("cpu", "total"),
        ])]
    );
    assert_eq!(
        labels_of(pod(), CADVISOR, name),
        [map([
            ("id", POD),
            ("name", ""),
            ("image", ""),
            ("namespace", "shop"),
            ("pod", "checkout-0"),
            ("container", ""),
            ("cpu", "total"),
        ])]
    );
    for (cgroup, id) in [
        (qos_class(), "/kubepods.slice/kubepods-burstable.slice"),
        (root(), "/"),
    ] {
        assert_eq!(
            labels_of(cgroup, CADVISOR, name),
            [map([
                ("id", id),
                ("name", ""),
                ("image", ""),
                ("namespace", ""),
                ("pod", ""),
                ("container", ""),
                ("cpu", "total"),
            ])]
        );
    }
}

#[test]
fn containerds_labels_are_the_id_and_its_own_namespace() {
    let of = |path: &str, container| {
        let cgroup = row(path, Some(container), v2_statistics());
        labels_of(cgroup, CONTAINERD, "container_pids_current")
    };
    let expected =
        |id: &str, namespace: &str| vec![map([("container_id", id), ("namespace", namespace)])];
    let with = |runtime, id: &str| Container {
        id: id.to_owned(),
        runtime,
        ..Container::default()
    };
    // The kubelet's containers are in a namespace of their own, whatever their pod's is.
    assert_eq!(
        labels_of(v2_container(), CONTAINERD, "container_pids_current"),
        expected(ID, "k8s.io")
    );
    assert_eq!(
        of("/build/job-1", with(Runtime::Containerd, "job-1")),
        expected("job-1", "build")
    );
    assert_eq!(
        of(&format!("/docker/{ID}"), with(Runtime::Docker, ID)),
        expected(ID, "moby")
    );
    assert_eq!(
        of(
            &format!("/machine.slice/libpod-{ID}.scope"),
            with(Runtime::Podman, ID)
        ),
        expected(ID, "")
    );
}

fn v2_statistics() -> CgroupStatistics {
    (**v2_container().kernel.statistics.as_ref().unwrap()).clone()
}

#[test]
fn containerds_set_has_containers_alone_and_each_once() {
    let inside = row(
        &format!("{POD}/cri-containerd-{ID}.scope/init.scope"),
        Some(kubernetes_container(ID)),
        v2_statistics(),
    );
    // What is in a container can call its cgroups as it likes.
    let disguised = row(
        &format!("{POD}/cri-containerd-{ID}.scope/{ID}"),
        Some(kubernetes_container(ID)),
        v2_statistics(),
    );
    for cgroup in [pod(), qos_class(), root(), inside, disguised] {
        assert_eq!(text(vec![cgroup], CONTAINERD, Format::PrometheusText), "");
    }
    // The same container in another place, in another hierarchy.
    let mut elsewhere = row(
        &format!("/elsewhere/cri-containerd-{ID}.scope"),
        Some(kubernetes_container(ID)),
        v2_statistics(),
    );
    elsewhere.exited = Some(second(1_700_000_100));
    for cgroups in [
        vec![v2_container(), elsewhere.clone()],
        vec![elsewhere, v2_container()],
    ] {
        let shown = samples(cgroups, CONTAINERD);
        // That of the one that is there.
        assert_eq!(values(&shown, "container_pids_current").len(), 1);
    }
}

#[test]
fn a_sandbox_of_kata_that_has_two_cgroups_is_one_container_in_containerds_set() {
    let of = |path: String| {
        let container = Container {
            id: ID.to_owned(),
            runtime: Runtime::Containerd,
            flavor: Flavor::Kata,
            pod_uid: "0b9f".to_owned(),
            ..Container::default()
        };
        row(&path, Some(container), v2_statistics())
    };
    let overhead = of(format!("/kata_overhead/{ID}"));
    let sandbox = of(format!("/kubepods/burstable/pod0b9f/kata_{ID}"));
    let name = "container_memory_usage_bytes";
    let expected = [map([("container_id", ID), ("namespace", "k8s.io")])];
    assert_eq!(labels_of(sandbox.clone(), CONTAINERD, name), expected);
    assert_eq!(labels_of(overhead.clone(), CONTAINERD, name), []);
    // Together they are no more; in cAdvisor's set each is a cgroup of its own.
    let both = samples(vec![overhead, sandbox], BOTH);
    let ids: Vec<_> = both
        .keys()
        .filter(|(known, _)| known == name)
        .map(|(_, labels)| (labels.get("container_id"), labels.get("id")))
        .collect();
    assert_eq!(ids.len(), 3, "{ids:?}");
    assert_eq!(ids.iter().filter(|(id, _)| id.is_some()).count(), 1);
}

#[test]
fn what_is_no_cgroup_is_not_in_cadvisors_set() {
    for path in ["~other", "~unresolved/0/4242"] {
        let cgroup = row(path, None, v2_statistics());
        assert_eq!(text(vec![cgroup], BOTH, Format::PrometheusText), "");
    }
}

#[test]
fn a_cgroup_that_was_never_read_has_no_series() {
    let mut cgroup = v2_container();
    cgroup.kernel = KernelReading::default();
    assert_eq!(text(vec![cgroup], BOTH, Format::PrometheusText), "");
}

#[test]
fn absent_figures_give_no_series() {
    let cgroup = row(
        &format!("/docker/{ID}"),
        Some(Container {
            id: ID.to_owned(),
            runtime: Runtime::Docker,
            ..Container::default()
        }),
        CgroupStatistics::default(),
    );
    let mut snapshot = super::snapshot(vec![cgroup]);
    snapshot.oom_limits_known = false;
    let bytes =
        crate::export::encode(snapshot, Format::PrometheusText, BOTH, |_| String::new()).unwrap();
    let shown: Vec<_> = String::from_utf8(bytes)
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("container_"))
        .map(|line| line.split('{').next().unwrap().to_owned())
        .collect();
    assert_eq!(
        shown,
        ["container_last_seen", "container_start_time_seconds"]
    );
}

#[test]
fn what_is_gone_keeps_its_totals_and_peaks_and_nothing_in_use() {
    let mut cgroup = v2_container();
    let there = samples(vec![cgroup.clone()], BOTH);
    cgroup.exited = Some(second(1_700_000_100));
    let gone = samples(vec![cgroup], BOTH);
    for name in [
        "container_cpu_usage_seconds_total",
        "container_cpu_usage_usec_microseconds",
        "container_memory_max_usage_bytes",
        "container_memory_pgfault_bytes",
        "container_io_rbytes_bytes",
        "container_memory_oom_total",
        "container_pressure_cpu_waiting_seconds_total",
    ] {
        assert!(!values(&gone, name).is_empty(), "{name}");
        assert_eq!(values(&gone, name), values(&there, name), "{name}");
    }
    for name in [
        "container_memory_usage_bytes",
        "container_memory_working_set_bytes",
        "container_memory_anon_bytes",
        "container_pids_current",
        "container_threads",
        "container_spec_memory_limit_bytes",
    ] {
        assert!(!values(&there, name).is_empty(), "{name}");
        assert!(values(&gone, name).is_empty(), "{name}");
    }
    // The time of the snapshot, and that of its end.
    assert_eq!(values(&there, "container_last_seen"), [1_700_000_200.0]);
    assert_eq!(values(&gone, "container_last_seen"), [1_700_000_100.0]);
}

#[test]
fn the_network_of_a_pod_is_shown_once_by_the_container_that_was_there_first() {
    let container = |id: char, started| {
        let id = id.to_string().repeat(64);
        let mut cgroup = row(
            &format!("{POD}/cri-containerd-{id}.scope"),
            Some(kubernetes_container(&id)),
            v2_statistics(),
        );
        Arc::make_mut(&mut cgroup.identity).started = second(started);
        cgroup.kernel.network = Some(Arc::new(network(false)));
        cgroup
    };
    let name = "container_network_receive_bytes_total";
    let shown = samples(
        vec![container('a', 20), container('b', 10), container('c', 30)],
        CADVISOR,
    );
    let ids: Vec<_> = shown
        .keys()
        .filter(|(known, _)| known == name)
        .map(|(_, labels)| (labels["id"].clone(), labels["interface"].clone()))
        .collect();
    let first = format!("{POD}/cri-containerd-{}.scope", "b".repeat(64));
    assert_eq!(ids, [(first, "eth0".to_owned())]);
}

#[test]
fn containers_of_one_namespace_show_it_once_while_their_lives_overlap() {
    let container = |id: char, namespace, started, exited: Option<u64>| {
        let id = id.to_string().repeat(64);
        let mut cgroup = row(&format!("/docker/{id}"), None, v2_statistics());
        let identity = Arc::make_mut(&mut cgroup.identity);
        identity.container = Some(Container {
            pod_uid: String::new(),
            ..kubernetes_container(&id)
        });
        identity.started = second(started);
        cgroup.exited = exited.map(second);
        cgroup.kernel.network = Some(Arc::new(NetworkStatistics {
            namespace: Some(NetworkNamespace(namespace)),
            ..network(false)
        }));
        cgroup
    };
    let shown = |cgroups: Vec<_>| {
        let shown = samples(cgroups, CADVISOR);
        let ids = shown
            .keys()
            .filter(|(known, _)| known == "container_network_receive_bytes_total")
            .filter_map(|(_, labels)| labels["id"].chars().last());
        ids.collect::<String>()
    };
    // The first of three that are there, and the one with a network of its own.
    let there = vec![
        container('b', 7, 20, None),
        container('a', 7, 10, None),
        container('c', 7, 30, None),
        container('d', 8, 30, None),
    ];
    assert_eq!(shown(there), "ad");
    // The first is gone: another shows what goes on.
    let gone = vec![container('a', 7, 10, Some(25)), container('b', 7, 20, None)];
    assert_eq!(shown(gone), "b");
    // The number of a namespace that ended is used again.
    let reused = vec![
        container('a', 7, 10, Some(15)),
        container('b', 7, 12, Some(18)),
        container('c', 7, 20, None),
    ];
    assert_eq!(shown(reused), "ac");
}

#[test]
fn what_may_be_the_hosts_network_is_nobodys() {
    let mut container = v1_container();
    let unknown = NetworkStatistics {
        is_host: None,
        ..network(false)
    };
    container.kernel.network = Some(Arc::new(unknown));
    let name = "container_network_receive_bytes_total";
    assert!(values(&samples(vec![container], CADVISOR), name).is_empty());
}

#[test]
fn the_hosts_network_is_the_roots_alone() {
    let name = "container_network_transmit_bytes_total";
    let mut container = v1_container();
    assert_eq!(
        values(&samples(vec![container.clone()], CADVISOR), name),
        [2_000.0]
    );
    container.kernel.network = Some(Arc::new(network(true)));
    assert!(values(&samples(vec![container], CADVISOR), name).is_empty());
    assert_eq!(values(&samples(vec![root()], CADVISOR), name), [2_000.0]);
}

#[test]
fn a_pod_shows_the_scheduler_s_figures_of_all_that_is_below_it() {
    let mut cgroup = pod();
    // Its own tasks never ran: it has none.
    assert!(cgroup.sched.is_none());
    cgroup.life.sched = Some(SchedSums {
        ran_ns: 2_500_000_000,
        waited_ns: 500_000_000,
        waits: 40,
        throttled_ns: 0,
    });
    let shown = samples(vec![cgroup], CADVISOR);
    for (name, expected) in [
        ("container_cpu_schedstat_run_seconds_total", 2.5),
        ("container_cpu_schedstat_runqueue_seconds_total", 0.5),
        ("container_cpu_schedstat_run_periods_total", 40.0),
    ] {
        assert_eq!(values(&shown, name), [expected], "{name}");
    }
}

#[test]
fn a_row_is_of_the_latest_life_in_all_its_figures() {
    let mut cgroup = v1_container();
    // Of all lives, as our own metrics have them.
    cgroup.oom.limit_owner = 9;
    cgroup.sched = full_snapshot().cgroups[0].sched.clone();
    assert!(cgroup.sched.is_some());
    let shown = samples(vec![cgroup], CADVISOR);
    assert_eq!(values(&shown, "container_oom_events_total"), [2.0]);
    assert!(values(&shown, "container_cpu_schedstat_run_seconds_total").is_empty());
}
