//! The tables against what containerd, cAdvisor and the kubelet have: names, types, labels.

use std::collections::BTreeSet;

use super::super::{Figures, Metric, cadvisor, containerd};
use crate::export::{catalog, family::Kind};

/// containerd's names of cgroup v1, by the unit that ends them.
const CONTAINERD_V1: &[(&str, &[&str])] = &[
    ("limit", &["pids"]),
    ("current", &["pids"]),
    (
        "nanoseconds",
        &[
            "cpu_total",
            "cpu_kernel",
            "cpu_user",
            "per_cpu",
            "cpu_throttled_time",
        ],
    ),
    (
        "total",
        &[
            "cpu_throttle_periods",
            "cpu_throttled_periods",
            "memory_usage_failcnt",
            "memory_swap_failcnt",
            "memory_kernel_failcnt",
            "memory_kerneltcp_failcnt",
            "hugetlb_failcnt",
            "blkio_io_merged_recursive",
            "blkio_io_queued_recursive",
            "blkio_io_service_time_recursive",
            "blkio_io_serviced_recursive",
            "blkio_io_time_recursive",
            "blkio_sectors_recursive",
        ],
    ),
    (
        "bytes",
        &[
            "memory_cache",
            "memory_rss",
            "memory_rss_huge",
            "memory_mapped_file",
            "memory_dirty",
            "memory_writeback",
            "memory_pgpgin",
            "memory_pgpgout",
            "memory_pgfault",
            "memory_pgmajfault",
            "memory_inactive_anon",
            "memory_active_anon",
            "memory_inactive_file",
            "memory_active_file",
            "memory_unevictable",
            "memory_hierarchical_memory_limit",
            "memory_hierarchical_memsw_limit",
            "memory_total_cache",
            "memory_total_rss",
            "memory_total_rss_huge",
            "memory_total_mapped_file",
            "memory_total_dirty",
            "memory_total_writeback",
            "memory_total_pgpgin",
            "memory_total_pgpgout",
            "memory_total_pgfault",
            "memory_total_pgmajfault",
            "memory_total_inactive_anon",
            "memory_total_active_anon",
            "memory_total_inactive_file",
            "memory_total_active_file",
            "memory_total_unevictable",
            "memory_usage_limit",
            "memory_usage_max",
            "memory_usage_usage",
            "memory_swap_limit",
            "memory_swap_max",
            "memory_swap_usage",
            "memory_kernel_limit",
            "memory_kernel_max",
            "memory_kernel_usage",
            "memory_kerneltcp_limit",
            "memory_kerneltcp_max",
            "memory_kerneltcp_usage",
            "hugetlb_usage",
            "hugetlb_max",
            "blkio_io_service_bytes_recursive",
        ],
    ),
];

/// containerd's names of cgroup v2, by the unit that ends them.
const CONTAINERD_V2: &[(&str, &[&str])] = &[
    ("limit", &["pids"]),
    ("current", &["pids"]),
    (
        "microseconds",
        &[
            "cpu_usage_usec",
            "cpu_user_usec",
            "cpu_system_usec",
            "cpu_throttled_usec",
        ],
    ),
    (
        "total",
        &[
            "cpu_nr_periods",
            "cpu_nr_throttled",
            "memory_oom",
            "io_rios",
            "io_wios",
        ],
    ),
    (
        "bytes",
        &[
            "memory_usage",
            "memory_usage_limit",
            "memory_swap_usage",
            "memory_swap_limit",
            "memory_file_mapped",
            "memory_file_dirty",
            "memory_file_writeback",
            "memory_pgactivate",
            "memory_pgdeactivate",
            "memory_pgfault",
            "memory_pgmajfault",
            "memory_pglazyfree",
            "memory_pgrefill",
            "memory_pglazyfreed",
            "memory_pgscan",
            "memory_pgsteal",
            "memory_inactive_anon",
            "memory_active_anon",
            "memory_inactive_file",
            "memory_active_file",
            "memory_unevictable",
            "memory_anon",
            "memory_file",
            "memory_kernel_stack",
            "memory_slab",
            "memory_sock",
            "memory_shmem",
            "memory_anon_thp",
            "memory_slab_reclaimable",
            "memory_slab_unreclaimable",
            "memory_workingset_refault",
            "memory_workingset_activate",
            "memory_workingset_nodereclaim",
            "memory_thp_fault_alloc",
            "memory_thp_collapse_alloc",
            "io_rbytes",
            "io_wbytes",
        ],
    ),
];

/// cAdvisor's counters, without the `container_` before them.
const CADVISOR_COUNTERS: &[&str] = &[
    "cpu_usage_seconds_total",
    "cpu_user_seconds_total",
    "cpu_system_seconds_total",
    "cpu_cfs_periods_total",
    "cpu_cfs_throttled_periods_total",
    "cpu_cfs_throttled_seconds_total",
    "cpu_cfs_burst_periods_total",
    "cpu_cfs_burst_seconds_total",
    "cpu_schedstat_run_seconds_total",
    "cpu_schedstat_runqueue_seconds_total",
    "cpu_schedstat_run_periods_total",
    "memory_failcnt",
    "memory_failures_total",
    "memory_events_high_total",
    "memory_events_max_total",
    "memory_pgscan_total",
    "memory_pgsteal_total",
    "memory_workingset_refault_anon_total",
    "memory_workingset_refault_file_total",
    "oom_events_total",
    "hugetlb_failcnt",
    "fs_reads_bytes_total",
    "fs_writes_bytes_total",
    "fs_reads_total",
    "fs_writes_total",
    "fs_reads_merged_total",
    "fs_writes_merged_total",
    "fs_read_seconds_total",
    "fs_write_seconds_total",
    "fs_io_time_seconds_total",
    "fs_io_cost_usage_seconds_total",
    "fs_io_cost_wait_seconds_total",
    "fs_io_cost_indebt_seconds_total",
    "fs_io_cost_indelay_seconds_total",
    "blkio_device_usage_total",
    "network_receive_bytes_total",
    "network_receive_packets_total",
    "network_receive_packets_dropped_total",
    "network_receive_errors_total",
    "network_transmit_bytes_total",
    "network_transmit_packets_total",
    "network_transmit_packets_dropped_total",
    "network_transmit_errors_total",
    "pressure_cpu_waiting_seconds_total",
    "pressure_cpu_stalled_seconds_total",
    "pressure_memory_waiting_seconds_total",
    "pressure_memory_stalled_seconds_total",
    "pressure_io_waiting_seconds_total",
    "pressure_io_stalled_seconds_total",
];

/// cAdvisor's gauges.
const CADVISOR_GAUGES: &[&str] = &[
    "last_seen",
    "start_time_seconds",
    "spec_cpu_period",
    "spec_cpu_quota",
    "spec_cpu_shares",
    "memory_usage_bytes",
    "memory_max_usage_bytes",
    "memory_working_set_bytes",
    "memory_rss",
    "memory_cache",
    "memory_swap",
    "memory_mapped_file",
    "memory_kernel_usage",
    "memory_total_active_anon_bytes",
    "memory_total_inactive_anon_bytes",
    "memory_total_active_file_bytes",
    "memory_total_inactive_file_bytes",
    "memory_anon_hugepages_bytes",
    "memory_file_dirty_bytes",
    "memory_file_writeback_bytes",
    "spec_memory_limit_bytes",
    "spec_memory_swap_limit_bytes",
    "spec_memory_reservation_limit_bytes",
    "hugetlb_usage_bytes",
    "hugetlb_max_usage_bytes",
    "fs_io_current",
    "processes",
    "file_descriptors",
    "threads",
    "threads_max",
];

/// The labels of their own, of those that have any; a name or the beginning of one.
const LABELS: &[(&str, &[&str])] = &[
    ("container_per_cpu_nanoseconds", &["cpu"]),
    (
        "container_blkio_device_usage_total",
        &["device", "major", "minor", "operation"],
    ),
    ("container_blkio_", &["op", "device", "major", "minor"]),
    ("container_io_", &["major", "minor"]),
    ("container_cpu_usage_seconds_total", &["cpu"]),
    (
        "container_memory_failures_total",
        &["failure_type", "scope"],
    ),
    ("container_fs_", &["device"]),
    ("container_network_", &["interface"]),
];

fn is_of(metric: &Metric, v1: bool) -> bool {
    match metric.figures {
        Figures::Any(_) | Figures::Each { .. } => true,
        Figures::V1(_) => v1,
        Figures::V2(_) => !v1,
    }
}

#[test]
fn containerds_names_and_units_are_all_there_and_no_other() {
    for (v1, listed) in [(true, CONTAINERD_V1), (false, CONTAINERD_V2)] {
        let listed: BTreeSet<_> = listed
            .iter()
            .flat_map(|(unit, names)| {
                names
                    .iter()
                    .map(move |name| format!("container_{name}_{unit}"))
            })
            .collect();
        let ours: BTreeSet<_> = containerd::METRICS
            .iter()
            .filter(|metric| is_of(metric, v1))
            .map(|metric| metric.family.name.to_owned())
            .collect();
        assert_eq!(ours, listed, "v1: {v1}");
    }
    assert!(
        containerd::METRICS
            .iter()
            .all(|metric| metric.family.kind == Kind::Gauge)
    );
}

#[test]
fn cadvisors_names_and_types_are_all_there_and_no_other() {
    for (kind, listed) in [
        (Kind::Counter, CADVISOR_COUNTERS),
        (Kind::Gauge, CADVISOR_GAUGES),
    ] {
        let listed: BTreeSet<_> = listed
            .iter()
            .map(|name| format!("container_{name}"))
            .collect();
        let ours: BTreeSet<_> = cadvisor::METRICS
            .iter()
            .filter(|metric| metric.family.kind == kind)
            .map(|metric| metric.family.name.to_owned())
            .collect();
        assert_eq!(ours, listed, "{kind:?}");
    }
}

#[test]
fn labels_of_their_own_are_those_of_the_table() {
    let mut compared = 0;
    for (set, page) in [
        (containerd::METRICS, "page"),
        (cadvisor::METRICS, "pagesize"),
    ] {
        for metric in set {
            let name = metric.family.name;
            let ours: Vec<_> = metric
                .family
                .labels
                .iter()
                .map(|label| label.name)
                .collect();
            if name.starts_with("container_hugetlb_") {
                assert_eq!(ours, [page], "{name}");
                continue;
            }
            let listed = LABELS
                .iter()
                .find(|(start, _)| name.starts_with(start))
                .map_or(&[][..], |(_, labels)| labels);
            assert_eq!(ours, listed, "{name}");
            compared += 1;
        }
    }
    assert!(compared > 150, "{compared}");
}

#[test]
fn figures_of_both_versions_have_the_same_labels() {
    for metric in containerd::METRICS.iter().chain(cadvisor::METRICS) {
        if let Figures::Each { v1, v2 } = &metric.figures {
            let names = |of: &super::super::Figure| -> Vec<_> {
                of.labels().iter().map(|label| label.name).collect()
            };
            assert_eq!(names(v1), names(v2), "{}", metric.family.name);
        }
    }
}

#[test]
fn each_name_is_once_in_a_set_and_has_one_type_in_both() {
    for set in [containerd::METRICS, cadvisor::METRICS] {
        let names: BTreeSet<_> = set.iter().map(|metric| metric.family.name).collect();
        assert_eq!(names.len(), set.len());
    }
    let mut shared = 0;
    for one in containerd::METRICS {
        let other = cadvisor::METRICS
            .iter()
            .find(|other| other.family.name == one.family.name);
        if let Some(other) = other {
            assert_eq!(one.family.kind, other.family.kind, "{}", one.family.name);
            assert_eq!(one.family.unit, other.family.unit, "{}", one.family.name);
            shared += 1;
        }
    }
    assert_eq!(shared, 8);
}

#[test]
fn no_name_of_others_is_one_of_ours_and_every_text_can_be_written() {
    for metric in containerd::METRICS.iter().chain(cadvisor::METRICS) {
        let family = &metric.family;
        assert!(
            catalog::named(family.name).is_none() && family.name.starts_with("container_"),
            "{}",
            family.name
        );
        let help = family.help;
        assert!(
            !help.contains(['"', '\\', '\n', '|']) && !help.contains("  ") && help.ends_with('.'),
            "{}: {help}",
            family.name
        );
        assert!(
            !family.source.contains(['\n', '|']) && !family.source.is_empty(),
            "{}",
            family.name
        );
    }
}

/// What cAdvisor documents and we do not have, by the beginning of the name: what is not in the files of a
/// cgroup, and is not known otherwise.
const NOT_HAD: &[&str] = &[
    "container_accelerator_",
    "container_cpu_kernel_seconds",
    "container_cpu_load_average_10s",
    "container_fs_inodes_",
    "container_fs_io_time_weighted_seconds_total",
    "container_fs_limit_bytes",
    "container_fs_sector_",
    "container_fs_usage_bytes",
    "container_llc_occupancy_bytes",
    "container_memory_bandwidth_",
    "container_memory_numa_pages",
    "container_network_tcp",
    "container_network_udp",
    "container_perf_",
    "container_referenced_bytes",
    "container_tasks_state",
];

#[test]
fn what_cadvisor_documents_is_had_with_its_type_or_left_out_on_purpose() {
    let mut had = 0;
    for line in include_str!("upstream/cadvisor.txt").lines() {
        let Some((name, kind)) = line
            .split_once(' ')
            .filter(|(name, _)| name.starts_with("container_"))
        else {
            continue;
        };
        let ours = cadvisor::METRICS
            .iter()
            .find(|metric| metric.family.name == name);
        let left_out = name == "container_cpu_user_seconds"
            || NOT_HAD.iter().any(|start| name.starts_with(start));
        assert_eq!(ours.is_none(), left_out, "{name}");
        if let Some(ours) = ours {
            assert_eq!(ours.family.kind.name(), kind, "{name}");
            had += 1;
        }
    }
    assert_eq!(had, 49);
}
