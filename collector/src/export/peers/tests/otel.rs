//! OpenTelemetry's metrics, against the kernel's own text.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{ID, network, pod, qos_class, root, second, snapshot, v1_container, v2_container};
use crate::{
    export::otel::{CpuReadings, Instrument, METRICS, Number, RESOURCE, containers},
    reconcile::snapshot::CgroupStats,
    window::Device,
};

type Shown = BTreeMap<(String, Vec<String>), f64>;

fn devices() -> BTreeMap<Device, String> {
    let disk = Device {
        major: 254,
        minor: 0,
    };
    [(disk, "vda".to_owned())].into()
}

#[expect(clippy::cast_precision_loss, reason = "numbers of a dump are small")]
fn points_with(cgroups: Vec<CgroupStats>, earlier: Option<&CpuReadings>) -> Vec<Shown> {
    containers(&snapshot(cgroups), |_| earlier.cloned(), &devices())
        .map(|container| {
            let mut shown = Shown::new();
            container.each(|point| {
                let value = match point.value {
                    Number::Int(value) => {
                        assert!(!point.metric.is_double, "{}", point.metric.name);
                        value as f64
                    }
                    Number::Double(value) => {
                        assert!(point.metric.is_double, "{}", point.metric.name);
                        value
                    }
                };
                // A point is of all values of its attributes, or has one of each.
                assert!([0, point.metric.attributes.len()].contains(&point.attributes.len()));
                assert_eq!(point.time, second(1_700_000_200));
                let is_gauge = point.metric.instrument == Instrument::Gauge;
                assert_eq!(point.start.is_none(), is_gauge);
                let attributes = point.attributes.iter().map(|&value| value.to_owned());
                let key = (point.metric.name.to_owned(), attributes.collect());
                assert_eq!(shown.insert(key.clone(), value), None, "{key:?} twice");
            });
            shown
        })
        .collect()
}

fn points(cgroup: CgroupStats) -> Shown {
    let mut all = points_with(vec![cgroup], None);
    assert_eq!(all.len(), 1);
    all.remove(0)
}

fn expected(table: &[(&str, &[&str], f64)]) -> Shown {
    table
        .iter()
        .map(|&(name, attributes, value)| {
            let attributes = attributes.iter().map(|&value| value.to_owned());
            ((name.to_owned(), attributes.collect()), value)
        })
        .collect()
}

#[test]
fn the_points_of_a_container_of_cgroup_v2_are_the_kernels_numbers() {
    let mut cgroup = v2_container();
    cgroup.kernel.network = Some(Arc::new(network(false)));
    assert_eq!(
        points(cgroup),
        expected(&[
            ("container.uptime", &[], 200.0),
            ("container.cpu.time", &["user"], 10.635_528),
            ("container.cpu.time", &["system"], 8.940_112),
            ("container.memory.usage", &[], 6_434_816.0),
            (
                "container.memory.available",
                &[],
                67_108_864.0 - 6_434_816.0
            ),
            ("container.memory.rss", &[], 49_152.0),
            ("container.memory.working_set", &[], 6_434_816.0),
            ("container.paging.faults", &["minor"], 4_696.0),
            ("container.paging.faults", &["major"], 0.0),
            ("container.disk.io", &["read", "254:1"], 12_288.0),
            ("container.disk.io", &["write", "254:1"], 0.0),
            ("container.disk.io", &["read", "vda"], 40_960.0),
            ("container.disk.io", &["write", "vda"], 1_048_576.0),
            ("container.network.io", &["receive", "lo"], 1.0),
            ("container.network.io", &["transmit", "lo"], 2.0),
            ("container.network.io", &["receive", "eth0"], 1_000.0),
            ("container.network.io", &["transmit", "eth0"], 2_000.0),
            ("container.network.io", &["receive", "vethab12"], 7.0),
            ("container.network.io", &["transmit", "vethab12"], 14.0),
        ])
    );
}

#[test]
fn modes_that_do_not_add_up_are_not_shown() {
    let shown = points(v1_container());
    let cpu: Vec<_> = shown
        .iter()
        .filter(|((name, _), _)| name == "container.cpu.time")
        .collect();
    let key = ("container.cpu.time".to_owned(), Vec::new());
    assert_eq!(cpu, [(&key, &3.886_582_831)]);
    let of = |name: &str| shown.get(&(name.to_owned(), Vec::new()));
    assert_eq!(of("container.memory.usage"), Some(&6_606_848.0));
    assert_eq!(of("container.memory.rss"), Some(&233_472.0));
}

#[test]
fn usage_is_the_average_since_the_export_before() {
    let mut now = v2_container();
    let (before, devices) = (snapshot(vec![now.clone()]), devices());
    let earlier = containers(&before, |_| None, &devices).next();
    let earlier = earlier.and_then(|container| container.cpu_readings().cloned());
    let statistics = Arc::make_mut(now.kernel.statistics.as_mut().unwrap());
    let cpu = statistics.cpu.as_mut().unwrap();
    cpu.at.0 += Duration::from_secs(10);
    cpu.of.user_ns = cpu.of.user_ns.map(|ns| ns + 5_000_000_000);
    cpu.of.system_ns = cpu.of.system_ns.map(|ns| ns + 1_000_000_000);
    cpu.of.usage_ns = cpu.of.usage_ns.map(|ns| ns + 6_000_000_000);
    let usage = |cgroup: &CgroupStats, earlier: Option<&CpuReadings>| {
        let mut shown = points_with(vec![cgroup.clone()], earlier).remove(0);
        shown.retain(|(name, _), _| name == "container.cpu.usage");
        shown
    };
    assert_eq!(
        usage(&now, earlier.as_ref()),
        expected(&[
            ("container.cpu.usage", &["user"], 0.5),
            ("container.cpu.usage", &["system"], 0.1),
        ])
    );
    assert_eq!(usage(&now, None), Shown::new());
    // Another life of the same path: there is none before.
    Arc::make_mut(&mut now.identity).generation = 2;
    assert_eq!(usage(&now, earlier.as_ref()), Shown::new());
}

#[test]
fn what_is_gone_keeps_the_sums_that_only_rise() {
    let mut cgroup = v2_container();
    cgroup.exited = Some(second(1_700_000_100));
    let names: Vec<_> = points(cgroup)
        .into_keys()
        .map(|(name, _)| name)
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect();
    assert_eq!(
        names,
        [
            "container.cpu.time",
            "container.disk.io",
            "container.paging.faults"
        ]
    );
}

#[test]
fn the_resource_names_what_is_known_of_containers_alone() {
    let shown = snapshot(vec![
        pod(),
        v2_container(),
        v1_container(),
        qos_class(),
        root(),
    ]);
    let disks = devices();
    let resources: Vec<Vec<(&str, &str)>> = containers(&shown, |_| None, &disks)
        .map(|container| {
            RESOURCE
                .iter()
                .zip(container.resource())
                .filter_map(|(attribute, value)| Some((attribute.name, value?)))
                .collect()
        })
        .collect();
    assert_eq!(
        resources,
        [
            vec![
                ("container.id", ID),
                ("container.name", ID),
                ("container.image.name", "shop:2"),
                ("container.runtime.name", "containerd"),
                ("k8s.namespace.name", "shop"),
                ("k8s.pod.name", "checkout-0"),
                ("k8s.pod.uid", "ab12"),
                ("k8s.container.name", "checkout"),
            ],
            vec![
                ("container.id", ID),
                ("container.name", "web"),
                ("container.image.name", "nginx:1"),
                ("container.runtime.name", "docker"),
            ],
        ]
    );
}

#[test]
fn the_table_is_that_of_the_conventions() {
    // Name, unit, instrument: version 1.44, without file systems.
    let conventions = [
        ("container.uptime", "s", "gauge"),
        ("container.cpu.time", "s", "counter"),
        ("container.cpu.usage", "{cpu}", "gauge"),
        ("container.memory.usage", "By", "updowncounter"),
        ("container.memory.available", "By", "updowncounter"),
        ("container.memory.rss", "By", "updowncounter"),
        ("container.memory.working_set", "By", "updowncounter"),
        ("container.paging.faults", "{fault}", "counter"),
        ("container.disk.io", "By", "counter"),
        ("container.network.io", "By", "counter"),
    ];
    let ours: Vec<_> = METRICS
        .iter()
        .map(|metric| (metric.name, metric.unit, metric.instrument.name()))
        .collect();
    assert_eq!(ours, conventions);
}
