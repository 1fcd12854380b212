//! Each figure against the kernel's own text, read once more in the plainest way.

use std::collections::BTreeMap;

use super::{
    CADVISOR, CONTAINERD, NameSets, V1, V2, row, samples, statistics_of_dump, v1_container,
    v2_container, values,
};
use crate::{
    export::tests::Series,
    host::cgroupfs::{CgroupStatistics, Limit},
    reconcile::snapshot::CgroupStats,
};

/// A number of a dump: of a file, and of a key in it, if the file has any.
fn in_dump(dump: &str, file: &str, key: &str) -> f64 {
    let (_, text) = dump
        .split_once(&format!("== {file}\n"))
        .unwrap_or_else(|| panic!("no {file}"));
    let text = text.split("\n== ").next().unwrap();
    let text = text.split("\n@@ ").next().unwrap();
    let number = if key.is_empty() {
        text.split_whitespace().next().unwrap()
    } else {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix([' ', '=']))
            .unwrap_or_else(|| panic!("no {key} in {file}"))
    };
    number.parse().unwrap()
}

/// A dump in which no two numbers are the same: those of a real tree are mostly 0, and one in the place of
/// another would not be seen. What is a switch, and what is a table of several numbers a line, stays.
fn distinct(dump: &str) -> String {
    const SWITCHES: [&str; 5] = [
        "cgroup.",
        "cpuset.",
        "memory.oom",
        "memory.use_hierarchy",
        "memory.zswap.writeback",
    ];
    let mut file = "";
    let mut number = 1_000_000;
    let mut text = String::new();
    for line in dump.lines() {
        if let Some(name) = line.strip_prefix("== ") {
            file = name;
        }
        let words: Vec<_> = line.split(' ').collect();
        let is_number = |word: &str| word.parse::<u64>().is_ok();
        let is_switch = SWITCHES.iter().any(|start| file.starts_with(start));
        match words[..] {
            [value] if !is_switch && is_number(value) => text.push_str(&number.to_string()),
            [key, value] if !is_switch && !is_number(key) && is_number(value) => {
                text.extend([key, " ", &number.to_string()]);
            }
            _ => text.push_str(line),
        }
        text.push('\n');
        number += 7_919;
    }
    text
}

/// A cgroup with the figures of a dump.
fn with(mut cgroup: CgroupStats, dump: &str) -> CgroupStats {
    cgroup.kernel.statistics = Some(statistics_of_dump(dump).into());
    cgroup
}

/// `name: file key`, or `name: file`, and after `*` by what the number is multiplied.
fn check(cgroup: CgroupStats, names: NameSets, dump: &str, table: &str) {
    let dump = &distinct(dump);
    let shown = samples(vec![with(cgroup, dump)], names);
    let mut compared = 0;
    let mut seen = BTreeMap::new();
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, place) = line.split_once(": ").unwrap();
        let (place, factor) = place.split_once(" * ").unwrap_or((place, "1"));
        let (file, key) = place.split_once(' ').unwrap_or((place, ""));
        let expected = in_dump(dump, file, key) * factor.parse::<f64>().unwrap();
        let ours = values(&shown, &format!("container_{name}"));
        let [ours] = ours[..] else {
            panic!("{name} is {ours:?}");
        };
        assert!(
            (ours - expected).abs() <= expected.abs() * 1e-12,
            "{name} is {ours}, and {place} is {expected}"
        );
        // Or one place could stand for another.
        let known = seen.insert(expected.to_bits(), place);
        assert!(
            known.is_none_or(|known| known == place),
            "{known:?}, {place}"
        );
        compared += 1;
    }
    assert!(compared > 20, "{compared}");
}

#[test]
fn containerds_figures_of_cgroup_v2_are_the_kernels() {
    check(
        v2_container(),
        CONTAINERD,
        V2,
        "
        pids_limit: pids.max
        pids_current: pids.current
        cpu_usage_usec_microseconds: cpu.stat usage_usec
        cpu_user_usec_microseconds: cpu.stat user_usec
        cpu_system_usec_microseconds: cpu.stat system_usec
        cpu_nr_periods_total: cpu.stat nr_periods
        cpu_nr_throttled_total: cpu.stat nr_throttled
        cpu_throttled_usec_microseconds: cpu.stat throttled_usec
        memory_usage_bytes: memory.current
        memory_usage_limit_bytes: memory.max
        memory_file_mapped_bytes: memory.stat file_mapped
        memory_file_dirty_bytes: memory.stat file_dirty
        memory_file_writeback_bytes: memory.stat file_writeback
        memory_pgactivate_bytes: memory.stat pgactivate
        memory_pgdeactivate_bytes: memory.stat pgdeactivate
        memory_pgfault_bytes: memory.stat pgfault
        memory_pgmajfault_bytes: memory.stat pgmajfault
        memory_pglazyfree_bytes: memory.stat pglazyfree
        memory_pgrefill_bytes: memory.stat pgrefill
        memory_pglazyfreed_bytes: memory.stat pglazyfreed
        memory_pgscan_bytes: memory.stat pgscan
        memory_pgsteal_bytes: memory.stat pgsteal
        memory_inactive_anon_bytes: memory.stat inactive_anon
        memory_active_anon_bytes: memory.stat active_anon
        memory_inactive_file_bytes: memory.stat inactive_file
        memory_active_file_bytes: memory.stat active_file
        memory_unevictable_bytes: memory.stat unevictable
        memory_anon_bytes: memory.stat anon
        memory_file_bytes: memory.stat file
        memory_kernel_stack_bytes: memory.stat kernel_stack
        memory_slab_bytes: memory.stat slab
        memory_sock_bytes: memory.stat sock
        memory_shmem_bytes: memory.stat shmem
        memory_anon_thp_bytes: memory.stat anon_thp
        memory_slab_reclaimable_bytes: memory.stat slab_reclaimable
        memory_slab_unreclaimable_bytes: memory.stat slab_unreclaimable
        memory_workingset_nodereclaim_bytes: memory.stat workingset_nodereclaim
        memory_thp_fault_alloc_bytes: memory.stat thp_fault_alloc
        memory_thp_collapse_alloc_bytes: memory.stat thp_collapse_alloc
        memory_oom_total: memory.events oom
        ",
    );
}

#[test]
fn containerds_figures_of_cgroup_v1_are_the_kernels() {
    check(
        v1_container(),
        CONTAINERD,
        V1,
        "
        pids_limit: pids.max
        pids_current: pids.current
        cpu_total_nanoseconds: cpuacct.usage
        cpu_kernel_nanoseconds: cpuacct.stat system * 1e7
        cpu_user_nanoseconds: cpuacct.stat user * 1e7
        cpu_throttle_periods_total: cpu.stat nr_periods
        cpu_throttled_periods_total: cpu.stat nr_throttled
        cpu_throttled_time_nanoseconds: cpu.stat throttled_time
        memory_cache_bytes: memory.stat cache
        memory_rss_bytes: memory.stat rss
        memory_rss_huge_bytes: memory.stat rss_huge
        memory_mapped_file_bytes: memory.stat mapped_file
        memory_dirty_bytes: memory.stat dirty
        memory_writeback_bytes: memory.stat writeback
        memory_pgpgin_bytes: memory.stat pgpgin
        memory_pgpgout_bytes: memory.stat pgpgout
        memory_pgfault_bytes: memory.stat pgfault
        memory_pgmajfault_bytes: memory.stat pgmajfault
        memory_inactive_anon_bytes: memory.stat inactive_anon
        memory_active_anon_bytes: memory.stat active_anon
        memory_inactive_file_bytes: memory.stat inactive_file
        memory_active_file_bytes: memory.stat active_file
        memory_unevictable_bytes: memory.stat unevictable
        memory_hierarchical_memory_limit_bytes: memory.stat hierarchical_memory_limit
        memory_hierarchical_memsw_limit_bytes: memory.stat hierarchical_memsw_limit
        memory_total_cache_bytes: memory.stat total_cache
        memory_total_rss_bytes: memory.stat total_rss
        memory_total_rss_huge_bytes: memory.stat total_rss_huge
        memory_total_mapped_file_bytes: memory.stat total_mapped_file
        memory_total_dirty_bytes: memory.stat total_dirty
        memory_total_writeback_bytes: memory.stat total_writeback
        memory_total_pgpgin_bytes: memory.stat total_pgpgin
        memory_total_pgpgout_bytes: memory.stat total_pgpgout
        memory_total_pgfault_bytes: memory.stat total_pgfault
        memory_total_pgmajfault_bytes: memory.stat total_pgmajfault
        memory_total_inactive_anon_bytes: memory.stat total_inactive_anon
        memory_total_active_anon_bytes: memory.stat total_active_anon
        memory_total_inactive_file_bytes: memory.stat total_inactive_file
        memory_total_active_file_bytes: memory.stat total_active_file
        memory_total_unevictable_bytes: memory.stat total_unevictable
        memory_usage_failcnt_total: memory.failcnt
        memory_usage_limit_bytes: memory.limit_in_bytes
        memory_usage_max_bytes: memory.max_usage_in_bytes
        memory_usage_usage_bytes: memory.usage_in_bytes
        memory_swap_failcnt_total: memory.memsw.failcnt
        memory_swap_limit_bytes: memory.memsw.limit_in_bytes
        memory_swap_max_bytes: memory.memsw.max_usage_in_bytes
        memory_swap_usage_bytes: memory.memsw.usage_in_bytes
        memory_kernel_failcnt_total: memory.kmem.failcnt
        memory_kernel_limit_bytes: memory.kmem.limit_in_bytes
        memory_kernel_max_bytes: memory.kmem.max_usage_in_bytes
        memory_kernel_usage_bytes: memory.kmem.usage_in_bytes
        memory_kerneltcp_failcnt_total: memory.kmem.tcp.failcnt
        memory_kerneltcp_limit_bytes: memory.kmem.tcp.limit_in_bytes
        memory_kerneltcp_max_bytes: memory.kmem.tcp.max_usage_in_bytes
        memory_kerneltcp_usage_bytes: memory.kmem.tcp.usage_in_bytes
        ",
    );
}

#[test]
fn cadvisors_figures_of_cgroup_v2_are_the_kernels() {
    check(
        v2_container(),
        CADVISOR,
        V2,
        "
        cpu_usage_seconds_total: cpu.stat usage_usec * 1e-6
        cpu_user_seconds_total: cpu.stat user_usec * 1e-6
        cpu_system_seconds_total: cpu.stat system_usec * 1e-6
        cpu_cfs_periods_total: cpu.stat nr_periods
        cpu_cfs_throttled_periods_total: cpu.stat nr_throttled
        cpu_cfs_throttled_seconds_total: cpu.stat throttled_usec * 1e-6
        cpu_cfs_burst_periods_total: cpu.stat nr_bursts
        cpu_cfs_burst_seconds_total: cpu.stat burst_usec * 1e-6
        spec_cpu_quota: cpu.max
        memory_usage_bytes: memory.current
        memory_max_usage_bytes: memory.peak
        memory_rss: memory.stat anon
        memory_cache: memory.stat file
        memory_mapped_file: memory.stat file_mapped
        memory_kernel_usage: memory.stat kernel
        memory_total_active_anon_bytes: memory.stat active_anon
        memory_total_inactive_anon_bytes: memory.stat inactive_anon
        memory_total_active_file_bytes: memory.stat active_file
        memory_total_inactive_file_bytes: memory.stat inactive_file
        memory_anon_hugepages_bytes: memory.stat anon_thp
        memory_file_dirty_bytes: memory.stat file_dirty
        memory_file_writeback_bytes: memory.stat file_writeback
        memory_events_high_total: memory.events high
        memory_events_max_total: memory.events max
        memory_pgscan_total: memory.stat pgscan
        memory_pgsteal_total: memory.stat pgsteal
        memory_workingset_refault_anon_total: memory.stat workingset_refault_anon
        memory_workingset_refault_file_total: memory.stat workingset_refault_file
        spec_memory_limit_bytes: memory.max
        threads: pids.current
        threads_max: pids.max
        ",
    );
}

#[test]
fn cadvisors_figures_of_cgroup_v1_are_the_kernels() {
    check(
        v1_container(),
        CADVISOR,
        V1,
        "
        cpu_usage_seconds_total: cpuacct.usage * 1e-9
        cpu_user_seconds_total: cpuacct.stat user * 0.01
        cpu_system_seconds_total: cpuacct.stat system * 0.01
        cpu_cfs_periods_total: cpu.stat nr_periods
        cpu_cfs_throttled_periods_total: cpu.stat nr_throttled
        cpu_cfs_throttled_seconds_total: cpu.stat throttled_time * 1e-9
        spec_cpu_period: cpu.cfs_period_us
        spec_cpu_quota: cpu.cfs_quota_us
        spec_cpu_shares: cpu.shares
        memory_usage_bytes: memory.usage_in_bytes
        memory_max_usage_bytes: memory.max_usage_in_bytes
        memory_failcnt: memory.failcnt
        memory_rss: memory.stat total_rss
        memory_cache: memory.stat total_cache
        memory_swap: memory.stat total_swap
        memory_mapped_file: memory.stat total_mapped_file
        memory_kernel_usage: memory.kmem.usage_in_bytes
        memory_total_active_anon_bytes: memory.stat total_active_anon
        memory_total_inactive_anon_bytes: memory.stat total_inactive_anon
        memory_total_active_file_bytes: memory.stat total_active_file
        memory_total_inactive_file_bytes: memory.stat total_inactive_file
        spec_memory_limit_bytes: memory.limit_in_bytes
        spec_memory_swap_limit_bytes: memory.memsw.limit_in_bytes
        threads: pids.current
        threads_max: pids.max
        ",
    );
}

fn sample(shown: &BTreeMap<Series, f64>, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let mut found = shown.iter().filter(|((known, of), _)| {
        known == name
            && labels
                .iter()
                .all(|(label, value)| of.get(*label).is_some_and(|known| known == value))
    });
    let (_, value) = found.next()?;
    assert!(
        found.next().is_none(),
        "more than one {name} with {labels:?}"
    );
    Some(*value)
}

#[test]
fn stalls_have_the_kubelets_names() {
    let shown = samples(vec![v2_container()], CADVISOR);
    for resource in ["cpu", "memory", "io"] {
        for (stall, word) in [("some", "waiting"), ("full", "stalled")] {
            let text = V2
                .split_once(&format!("== {resource}.pressure\n"))
                .unwrap()
                .1;
            let line = text.lines().find(|line| line.starts_with(stall)).unwrap();
            let total: f64 = line.rsplit_once("total=").unwrap().1.parse().unwrap();
            let name = format!("container_pressure_{resource}_{word}_seconds_total");
            let ours = sample(&shown, &name, &[]).unwrap();
            assert!((ours - total / 1e6).abs() < 1e-9, "{name}: {ours}");
        }
    }
    // cgroup v1 tells none.
    assert!(
        !samples(vec![v1_container()], CADVISOR)
            .keys()
            .any(|(name, _)| name.starts_with("container_pressure_"))
    );
}

#[test]
fn block_io_is_by_device_and_operation_as_each_labels_it() {
    // Of both dumps: 254:0 has read 40960 bytes in 10, and written 1048576 bytes in 16.
    let shown = samples(vec![v2_container()], CONTAINERD);
    let disk = [("major", "254"), ("minor", "0")];
    for (name, value) in [
        ("container_io_rbytes_bytes", 40_960.0),
        ("container_io_wbytes_bytes", 1_048_576.0),
        ("container_io_rios_total", 10.0),
        ("container_io_wios_total", 16.0),
    ] {
        assert_eq!(sample(&shown, name, &disk), Some(value), "{name}");
    }
    for cgroup in [v1_container(), v2_container()] {
        let shown = samples(vec![cgroup], CADVISOR);
        for (name, value) in [
            ("container_fs_reads_bytes_total", 40_960.0),
            ("container_fs_writes_bytes_total", 1_048_576.0),
            ("container_fs_reads_total", 10.0),
            ("container_fs_writes_total", 16.0),
        ] {
            assert_eq!(
                sample(&shown, name, &[("device", "/dev/vda")]),
                Some(value),
                "{name}"
            );
            // A disk that is gone is told by its number.
            assert!(sample(&shown, name, &[("device", "254:1")]).is_some());
        }
        let written = [
            ("device", "/dev/vda"),
            ("major", "254"),
            ("minor", "0"),
            ("operation", "Write"),
        ];
        assert_eq!(
            sample(&shown, "container_blkio_device_usage_total", &written),
            Some(1_048_576.0)
        );
    }
    let shown = samples(vec![v1_container()], CONTAINERD);
    for (op, value) in [
        ("Read", 10.0),
        ("Write", 16.0),
        ("Sync", 26.0),
        ("Async", 0.0),
        ("Discard", 0.0),
        ("Total", 26.0),
    ] {
        let labels = [
            ("op", op),
            ("device", "/dev/vda"),
            ("major", "254"),
            ("minor", "0"),
        ];
        let name = "container_blkio_io_serviced_recursive_total";
        assert_eq!(sample(&shown, name, &labels), Some(value), "{op}");
        let gone = [("op", op), ("device", ""), ("minor", "1")];
        assert!(sample(&shown, name, &gone).is_some());
    }
}

#[test]
fn huge_pages_are_by_size_as_each_labels_it() {
    for (names, label) in [(CONTAINERD, "page"), (CADVISOR, "pagesize")] {
        let shown = samples(vec![v1_container()], names);
        for size in ["2MB", "1GB"] {
            let name = "container_hugetlb_usage_bytes";
            assert!(sample(&shown, name, &[(label, size)]).is_some(), "{size}");
        }
    }
}

#[test]
fn cpu_time_is_by_cpu_as_far_as_each_tells_it() {
    let (_, line) = V1.split_once("== cpuacct.usage_percpu\n").unwrap();
    let line = line.lines().next().unwrap();
    let shown = samples(vec![v1_container()], CONTAINERD);
    let mut cpus = 0;
    for (number, expected) in line.split_whitespace().enumerate() {
        let ours = sample(
            &shown,
            "container_per_cpu_nanoseconds",
            &[("cpu", &number.to_string())],
        );
        assert_eq!(ours, expected.parse().ok(), "CPU {number}");
        cpus += 1;
    }
    assert_eq!(cpus, 2);
    // The kubelet has all of them together.
    let shown = samples(vec![v1_container()], CADVISOR);
    let total = in_dump(V1, "cpuacct.usage", "") / 1e9;
    let ours = sample(
        &shown,
        "container_cpu_usage_seconds_total",
        &[("cpu", "total")],
    );
    assert!((ours.unwrap() - total).abs() < 1e-9);
}

#[test]
fn page_faults_are_by_kind_and_scope() {
    for (cgroup, dump, total) in [(v1_container(), V1, "total_"), (v2_container(), V2, "")] {
        let dump = &distinct(dump);
        let shown = samples(vec![with(cgroup, dump)], CADVISOR);
        for kind in ["pgfault", "pgmajfault"] {
            for (scope, prefix) in [("container", ""), ("hierarchy", total)] {
                let labels = [("failure_type", kind), ("scope", scope)];
                assert_eq!(
                    sample(&shown, "container_memory_failures_total", &labels),
                    Some(in_dump(dump, "memory.stat", &format!("{prefix}{kind}"))),
                    "{kind} {scope}"
                );
            }
        }
    }
}

#[test]
fn no_limit_is_what_each_writes_for_it() {
    let unlimited = |mut cgroup: CgroupStats| {
        let mut statistics: CgroupStatistics =
            (**cgroup.kernel.statistics.as_ref().unwrap()).clone();
        let memory = &mut statistics.memory.as_mut().unwrap().of;
        memory.memory.limit_bytes = Some(Limit::Unlimited);
        memory.swap.limit_bytes = memory.swap.limit_bytes.map(|_| Limit::Unlimited);
        statistics.pids.as_mut().unwrap().of.limit = Some(Limit::Unlimited);
        statistics.cpu.as_mut().unwrap().of.quota_ns = Some(Limit::Unlimited);
        cgroup.kernel.statistics = Some(statistics.into());
        cgroup
    };
    let v1 = samples(vec![unlimited(v1_container())], CONTAINERD);
    let v2 = samples(vec![unlimited(v2_container())], CONTAINERD);
    // As the kernel prints it with pages of 4 KiB, and as containerd has `max`.
    let largest = 18_446_744_073_709_551_615.0;
    for (shown, bytes, tasks) in [
        (&v1, 9_223_372_036_854_771_712.0, 0.0),
        (&v2, largest, largest),
    ] {
        assert_eq!(values(shown, "container_memory_usage_limit_bytes"), [bytes]);
        assert_eq!(values(shown, "container_pids_limit"), [tasks]);
    }
    for cgroup in [v1_container(), v2_container()] {
        let shown = samples(vec![unlimited(cgroup)], CADVISOR);
        assert_eq!(values(&shown, "container_spec_memory_limit_bytes"), [0.0]);
        assert_eq!(values(&shown, "container_threads_max"), [0.0]);
        // Without a bandwidth limit there is nothing to tell of it.
        for name in [
            "container_spec_cpu_quota",
            "container_cpu_cfs_periods_total",
            "container_cpu_cfs_throttled_seconds_total",
        ] {
            assert!(values(&shown, name).is_empty(), "{name}");
        }
    }
}

#[test]
fn a_weight_is_on_the_scale_of_shares() {
    for (weight, shares) in [(1, 2.0), (100, 2_597.0), (10_000, 262_144.0)] {
        let mut cgroup = v2_container();
        let mut statistics: CgroupStatistics =
            (**cgroup.kernel.statistics.as_ref().unwrap()).clone();
        statistics.cpu.as_mut().unwrap().of.weight = Some(weight);
        cgroup.kernel.statistics = Some(statistics.into());
        let shown = samples(vec![cgroup], CADVISOR);
        assert_eq!(values(&shown, "container_spec_cpu_shares"), [shares]);
    }
}

#[test]
fn the_working_set_is_what_is_used_less_inactive_files() {
    for (cgroup, dump, usage, inactive) in [
        (
            v1_container(),
            V1,
            "memory.usage_in_bytes",
            "total_inactive_file",
        ),
        (v2_container(), V2, "memory.current", "inactive_file"),
    ] {
        let dump = &dump
            .replace("\ninactive_file 0\n", "\ninactive_file 4096\n")
            .replace("\ntotal_inactive_file 0\n", "\ntotal_inactive_file 12288\n");
        let expected = in_dump(dump, usage, "") - in_dump(dump, "memory.stat", inactive);
        let shown = samples(vec![with(cgroup, dump)], CADVISOR);
        assert_eq!(
            values(&shown, "container_memory_working_set_bytes"),
            [expected]
        );
    }
}

#[test]
fn processes_and_oom_kills_are_those_of_the_row() {
    let shown = samples(vec![v1_container()], CADVISOR);
    for (name, value) in [
        ("container_processes", 3.0),
        ("container_file_descriptors", 17.0),
        ("container_oom_events_total", 2.0),
    ] {
        assert_eq!(values(&shown, name), [value], "{name}");
    }
    // Of open files that not all could be seen there is no number.
    let mut cgroup = v1_container();
    cgroup.kernel.processes.as_mut().unwrap().unreadable = 1;
    let shown = samples(vec![cgroup], CADVISOR);
    assert!(values(&shown, "container_file_descriptors").is_empty());
    assert_eq!(values(&shown, "container_processes"), [3.0]);
}

#[test]
fn the_interfaces_are_the_containers_own() {
    let shown = samples(vec![v1_container()], CADVISOR);
    let of = |direction: &str, what: &str| {
        sample(
            &shown,
            &format!("container_network_{direction}_{what}_total"),
            &[("interface", "eth0")],
        )
    };
    for (what, received, sent) in [
        ("bytes", 1_000.0, 2_000.0),
        ("packets", 10.0, 20.0),
        ("errors", 1.0, 3.0),
        ("packets_dropped", 2.0, 4.0),
    ] {
        assert_eq!(of("receive", what), Some(received), "{what}");
        assert_eq!(of("transmit", what), Some(sent), "{what}");
    }
    let interfaces: std::collections::BTreeSet<_> = shown
        .keys()
        .filter_map(|(_, labels)| labels.get("interface"))
        .collect();
    assert_eq!(interfaces, ["eth0".to_owned()].iter().collect());
}

#[test]
fn a_row_without_figures_of_a_version_has_none_of_its_names() {
    // A hybrid host has its controllers in v1, and its stalls in v2.
    let shown = samples(
        vec![row("/pod", None, statistics_of_dump(super::HYBRID))],
        CADVISOR,
    );
    assert!(!values(&shown, "container_memory_failcnt").is_empty());
    assert!(values(&shown, "container_memory_events_max_total").is_empty());
    assert!(!values(&shown, "container_pressure_cpu_waiting_seconds_total").is_empty());
}
