//! What one cgroup has too many of is added up, and counted.

use std::sync::Arc;

use super::{BOTH, network, samples, v1_container, v2_container, values};
use crate::{
    export::peers::{
        bounds::{MAX_CPUS, MAX_DISKS, MAX_INTERFACES},
        over_bound,
    },
    host::{cgroupfs::parse::DeviceNumber, network::InterfaceName},
    reconcile::snapshot::CgroupStats,
};

const OVER: usize = 3;

fn sum(values: &[f64]) -> f64 {
    values.iter().sum()
}

/// A container with more of everything than is told apart, each with the same numbers.
fn crowded(mut cgroup: CgroupStats) -> CgroupStats {
    let statistics = Arc::make_mut(cgroup.kernel.statistics.as_mut().unwrap());
    let io = &mut statistics.io.as_mut().unwrap().of;
    let disk = io.devices.swap_remove(1);
    assert!(disk.bytes.write.is_some_and(|bytes| bytes > 0));
    io.devices = (0..MAX_DISKS + OVER)
        .map(|minor| {
            let mut disk = disk.clone();
            disk.device = DeviceNumber {
                major: 8,
                minor: u32::try_from(minor).unwrap(),
            };
            disk
        })
        .collect();
    statistics.cpu.as_mut().unwrap().of.per_cpu_usage_ns = vec![7; MAX_CPUS + OVER];
    let mut of_network = network(false);
    let interface = of_network.interfaces[1];
    of_network.interfaces = (0..MAX_INTERFACES + OVER)
        .map(|number| {
            let mut interface = interface;
            interface.name = InterfaceName::new(format!("eth{number}").as_bytes()).unwrap();
            interface
        })
        .collect();
    cgroup.kernel.network = Some(Arc::new(of_network));
    cgroup
}

#[test]
fn what_is_over_a_bound_is_one_series_with_the_sum_of_the_rest() {
    for (cgroup, name, bound, labels, each) in [
        (
            v2_container(),
            "container_fs_writes_bytes_total",
            MAX_DISKS,
            ("device", "~other"),
            1_048_576.0,
        ),
        (
            v1_container(),
            "container_fs_writes_bytes_total",
            MAX_DISKS,
            ("device", "~other"),
            1_048_576.0,
        ),
        (
            v2_container(),
            "container_io_wbytes_bytes",
            MAX_DISKS,
            ("major", "0"),
            1_048_576.0,
        ),
        (
            v1_container(),
            "container_per_cpu_nanoseconds",
            MAX_CPUS,
            ("cpu", "~other"),
            7.0,
        ),
        (
            v1_container(),
            "container_network_receive_bytes_total",
            MAX_INTERFACES,
            ("interface", "~other"),
            1_000.0,
        ),
    ] {
        let shown = samples(vec![crowded(cgroup)], BOTH);
        let of_name = values(&shown, name);
        assert_eq!(of_name.len(), bound + 1, "{name}");
        let (label, other) = labels;
        let rest: Vec<f64> = shown
            .iter()
            .filter(|((known, labels), _)| known == name && labels[label] == other)
            .map(|(_, value)| *value)
            .collect();
        let over = u32::try_from(OVER).unwrap();
        assert_eq!(rest, [each * f64::from(over)], "{name}");
        // And nothing is lost.
        let all = each * f64::from(u32::try_from(bound + OVER).unwrap());
        assert!((sum(&of_name) - all).abs() < 1.0, "{name}");
    }
}

#[test]
fn operations_of_disks_over_the_bound_stay_apart() {
    let shown = samples(vec![crowded(v1_container())], BOTH);
    let of = |name: &str, label: &str, operation: &str| {
        let mut found = shown.iter().filter(|((known, labels), _)| {
            known == name && labels["device"] == "~other" && labels[label] == operation
        });
        let value = found.next().map(|(_, value)| *value);
        assert!(found.next().is_none());
        value
    };
    let name = "container_blkio_io_service_bytes_recursive_bytes";
    assert_eq!(of(name, "op", "Read"), Some(3.0 * 40_960.0));
    assert_eq!(of(name, "op", "Write"), Some(3.0 * 1_048_576.0));
    let name = "container_blkio_device_usage_total";
    assert_eq!(of(name, "operation", "Read"), Some(3.0 * 40_960.0));
}

#[test]
fn what_is_over_a_bound_is_counted() {
    let over = OVER as u64;
    assert_eq!(
        over_bound(&[v2_container(), v1_container()]),
        [("cpu", 0), ("disk", 0), ("interface", 0)]
    );
    assert_eq!(
        over_bound(&[crowded(v2_container()), crowded(v1_container())]),
        [
            ("cpu", 2 * over),
            ("disk", 2 * over),
            ("interface", 2 * over)
        ]
    );
}
