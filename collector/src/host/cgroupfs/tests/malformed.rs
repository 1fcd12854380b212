//! Files as no kernel should have them: each malformed value is absent, and counted under its file,
//! key and reason; the others are there.

use std::fmt::Write as _;

use super::{Tree, TreeReading};
use crate::host::cgroupfs::{
    KernelFile, Limit, MemoryKey, Reason, Wanted, context::MAX_FILE_BYTES, io::MAX_DEVICES,
    other_keys::MAX_OTHER_KEYS, statistics::CountedUse,
};

/// Reads all of a v2 cgroup with one file.
fn with(name: &str, bytes: &[u8]) -> TreeReading {
    let tree = Tree::v2(&[(name, bytes)]);
    let mut reading = tree.reading();
    reading.read(Wanted::ALL);
    reading
}

fn cpu_weight(bytes: &[u8]) -> (Option<u64>, u64, String) {
    let reading = with("cpu.weight", bytes);
    let weight = reading.statistics.cpu.as_ref().unwrap().weight;
    (weight, reading.errors(), reading.last_error())
}

#[test]
fn a_number_is_digits_and_a_line_feed() {
    for (bytes, error) in [
        (
            &b""[..],
            "cpu.weight, \"\": nothing where a number should be",
        ),
        (b"\n", "cpu.weight, \"\": nothing where a number should be"),
        (b"100", "cpu.weight, \"100\": the line is cut off"),
        (b"-5\n", "cpu.weight, \"-5\": a negative number"),
        (b"100\r\n", "cpu.weight, \"100\\\\r\": not a number"),
        (b"max\n", "cpu.weight, \"max\": not a number"),
        (b"0x10\n", "cpu.weight, \"0x10\": not a number"),
        (b"+1\n", "cpu.weight, \"+1\": not a number"),
        (b" 1\n", "cpu.weight, \" 1\": not a number"),
        (b"1\n2\n", "cpu.weight, \"1\\\\n2\": not a number"),
        (
            b"\0\xff\xfe\n",
            "cpu.weight, \"\\\\x00\\\\xff\\\\xfe\": not a number",
        ),
        (
            b"18446744073709551616\n",
            "cpu.weight, \"18446744073709551616\": a number above 64 bits",
        ),
    ] {
        let expected = (None, 1, error.to_owned());
        assert_eq!(cpu_weight(bytes), expected, "{}", bytes.escape_ascii());
    }
    let largest = with("cpu.weight", b"18446744073709551615\n");
    assert_eq!(largest.statistics.cpu.unwrap().weight, Some(u64::MAX));
}

#[test]
fn microseconds_that_do_not_fit_as_nanoseconds_overflow() {
    let most = u64::MAX / 1_000;
    let fits = with("cpu.stat", format!("usage_usec {most}\n").as_bytes());
    assert_eq!(fits.statistics.cpu.unwrap().usage_ns, Some(most * 1_000));
    let over = with("cpu.stat", format!("usage_usec {}\n", most + 1).as_bytes());
    assert_eq!(over.statistics.cpu.as_ref().unwrap().usage_ns, None);
    let errors = &over.context.account.parse_errors;
    assert_eq!(errors.count(KernelFile::CpuStat, Reason::Overflow), 1);
    assert_eq!(errors.last().unwrap().key(), b"usage_usec");
}

#[test]
fn max_is_a_limit_and_no_number() {
    let limit = with("memory.max", b"max\n").statistics.memory.unwrap();
    assert_eq!(limit.memory.limit_bytes, Some(Limit::Unlimited));
    assert_eq!(limit.memory.limit_bytes.unwrap().bound(), None);
    let number = with("memory.current", b"max\n");
    assert_eq!(
        number
            .statistics
            .memory
            .as_ref()
            .unwrap()
            .memory
            .usage_bytes,
        None
    );
    assert_eq!(number.errors(), 1);
}

#[test]
fn a_quota_is_two_words_and_each_is_for_itself() {
    let of = |bytes: &[u8]| {
        let reading = with("cpu.max", bytes);
        let cpu = reading.statistics.cpu.as_ref().unwrap();
        (cpu.quota_ns, cpu.period_ns, reading.errors())
    };
    let half = Some(Limit::At(50_000_000));
    assert_eq!(of(b"50000 100000\n"), (half, Some(100_000_000), 0));
    assert_eq!(
        of(b"max 100000\n"),
        (Some(Limit::Unlimited), Some(100_000_000), 0)
    );
    assert_eq!(of(b"50000\n"), (half, None, 1));
    assert_eq!(of(b"x 100000\n"), (None, Some(100_000_000), 1));
    assert_eq!(of(b"50000 1000"), (None, None, 1));
}

#[test]
fn negative_is_read_where_the_kernel_documents_it() {
    let nice = with("cpu.weight.nice", b"-20\n");
    assert_eq!(nice.statistics.cpu.unwrap().weight_nice, Some(-20));
    let v1 = |bytes: &[u8]| {
        let tree = Tree::v1("cpu", &[("cpu.cfs_quota_us", bytes)]);
        let mut reading = tree.reading();
        reading.read(Wanted::CPU | Wanted::LIMITS);
        let quota = reading.statistics.cpu.as_ref().unwrap().quota_ns;
        (quota, reading.errors())
    };
    assert_eq!(v1(b"-1\n"), (Some(Limit::Unlimited), 0));
    assert_eq!(v1(b"20000\n"), (Some(Limit::At(20_000_000)), 0));
    assert_eq!(v1(b"--1\n"), (None, 1));
}

#[test]
fn what_is_malformed_costs_its_own_value_only() {
    let reading = with(
        "cpu.stat",
        b"usage_usec 7\nuser_usec\n\nsystem_usec -1\nnr_periods 1 2\nnr_throttled 4\nnew_key 5\nnr_bursts 1",
    );
    let cpu = reading.statistics.cpu.as_ref().unwrap();
    assert_eq!(cpu.usage_ns, Some(7_000));
    assert_eq!(
        (cpu.user_ns, cpu.system_ns, cpu.periods),
        (None, None, None)
    );
    assert_eq!(cpu.throttled_periods, Some(4));
    assert_eq!(cpu.bursts, None, "the line is cut off");
    assert_eq!(cpu.other.value("new_key"), Some(5));
    let errors = &reading.context.account.parse_errors;
    let counted: Vec<_> = errors
        .iter()
        .map(|(_, reason, count)| (reason, count))
        .collect();
    assert_eq!(
        counted,
        [
            (Reason::NotANumber, 1),
            (Reason::Negative, 1),
            (Reason::MissingValue, 1),
            (Reason::Unterminated, 1),
        ]
    );
}

#[test]
fn a_memory_stat_of_an_unknown_kernel_keeps_every_key() {
    let reading = with(
        "memory.stat",
        b"file 1\nanon 2\nbrand_new 3\nzzz_words x\ntotal_brand_new 4\npgfault 5\n",
    );
    let stat = &reading.statistics.memory.as_ref().unwrap().stat;
    assert_eq!(stat.value(MemoryKey::Anon), Some(2));
    assert_eq!(stat.value(MemoryKey::File), Some(1));
    assert_eq!(stat.value(MemoryKey::Pgfault), Some(5));
    assert_eq!(stat.value(MemoryKey::Pgmajfault), None);
    let other: Vec<_> = stat.other.iter().collect();
    assert_eq!(other, [("brand_new", 3), ("total_brand_new", 4)]);
    assert_eq!(stat.named("brand_new"), Some(3));
    assert_eq!(stat.named("file"), Some(1));
    assert_eq!(reading.errors(), 0);
}

#[test]
fn every_documented_key_finds_its_own_place() {
    let mut lines = String::new();
    for (number, key) in MemoryKey::ALL.iter().enumerate() {
        writeln!(
            lines,
            "{} {number}\ntotal_{0} {}",
            key.name(),
            number + 1_000
        )
        .unwrap();
    }
    let reading = with("memory.stat", lines.as_bytes());
    let stat = &reading.statistics.memory.as_ref().unwrap().stat;
    for (number, key) in (0..).zip(MemoryKey::ALL) {
        assert_eq!(stat.value(*key), Some(number), "{}", key.name());
        assert_eq!(stat.total(*key), Some(number + 1_000), "{}", key.name());
        assert_eq!(stat.hierarchical(*key), Some(number + 1_000));
    }
    assert_eq!(stat.values().count(), MemoryKey::ALL.len());
}

#[test]
fn devices_without_values_and_values_without_devices() {
    // Some kernels put the names of devices without I/O before the next one that has some.
    let reading = with(
        "io.stat",
        b"7:1 7:0 8:0 rbytes=1 cost.usage=2 delay_nsec=3 cost.vrate=100.00\n\
          rbytes=9\n8:x rbytes=9\n8:16 rbytes= wbytes=-1 rios=4\n7:2 7:3 ",
    );
    let io = reading.statistics.io.as_ref().unwrap();
    let devices: Vec<_> = io.devices.iter().map(|of| of.device.to_string()).collect();
    assert_eq!(devices, ["8:0", "8:16"]);
    assert_eq!(io.devices[0].bytes.read, Some(1));
    assert_eq!(io.devices[0].cost.usage_ns, Some(2_000));
    assert_eq!(io.devices[0].other.value("delay_nsec"), Some(3));
    assert_eq!(io.devices[1].operations.read, Some(4));
    assert_eq!(io.devices[1].bytes.write, None);
    let errors = &reading.context.account.parse_errors;
    for reason in [
        Reason::MissingName,
        Reason::NotADevice,
        Reason::MissingValue,
        Reason::Negative,
    ] {
        assert_eq!(errors.count(KernelFile::IoStat, reason), 1, "{reason:?}");
    }
    assert_eq!(errors.total(), 4);
}

#[test]
fn a_table_of_v1_loses_its_bad_rows_alone() {
    let tree = Tree::v1(
        "blkio",
        &[(
            "blkio.throttle.io_service_bytes_recursive",
            b"8:0 Read 1\n8:0 Write x\nsda Read 2\n8:0\n8:0 Frobnicate 3\n8:16 Read 4\nTotal 9\n8:0 Dis",
        )],
    );
    let mut reading = tree.reading();
    reading.read(Wanted::IO);
    let io = reading.statistics.io.as_ref().unwrap();
    assert_eq!(io.devices.len(), 2);
    assert_eq!(io.devices[0].bytes.read, Some(1));
    assert_eq!(io.devices[0].bytes.write, None);
    assert_eq!(io.devices[1].bytes.read, Some(4));
    assert_eq!(reading.errors(), 4);
}

#[test]
fn pressure_has_two_decimals_and_microseconds() {
    let reading = with(
        "cpu.pressure",
        b"some avg10=100.00 avg60=1.5 avg300=0.01 total=-3\nfull avg10=1.00 total=5\nmore x=1\n",
    );
    let cpu = reading.statistics.pressure.as_ref().unwrap().cpu.unwrap();
    assert_eq!(cpu.some.avg10_basis_points, Some(10_000));
    assert_eq!(cpu.some.avg60_basis_points, None);
    assert_eq!(cpu.some.avg300_basis_points, Some(1));
    assert_eq!(cpu.some.total_ns, None);
    assert_eq!(cpu.full.total_ns, Some(5_000));
    assert_eq!(reading.errors(), 2);
    let binary = with("io.pressure", &[0xff; 300]);
    assert_eq!(binary.statistics.pressure.unwrap().io, None);
}

#[test]
fn a_part_of_a_list_is_no_list() {
    let cpus = |bytes: &[u8]| {
        let reading = with("cpuset.cpus.effective", bytes);
        let cpuset = reading.statistics.cpuset.as_ref().unwrap();
        (cpuset.cpu_count(), reading.errors())
    };
    assert_eq!(cpus(b"0-3,8,10-11\n"), (Some(7), 0));
    assert_eq!(cpus(b"0-4294967295\n"), (Some(1 << 32), 0));
    assert_eq!(cpus(b"\n"), (None, 0));
    assert_eq!(cpus(b""), (None, 0));
    for bad in [
        &b"0-3,8"[..],
        b"0-3,x\n",
        b"3-1\n",
        b"0-\n",
        b",\n",
        b"4294967296\n",
    ] {
        assert_eq!(cpus(bad), (None, 1), "{}", bad.escape_ascii());
    }
}

#[test]
fn times_of_cpus_are_all_there_or_none() {
    let by_cpu = |bytes: &[u8]| {
        let tree = Tree::v1("cpuacct", &[("cpuacct.usage_percpu", bytes)]);
        let mut reading = tree.reading();
        reading.read(Wanted::PER_CPU);
        let cpu = reading.statistics.cpu.as_ref().unwrap();
        (cpu.per_cpu_usage_ns.clone(), reading.errors())
    };
    assert_eq!(by_cpu(b"1 2 3 \n"), (vec![1, 2, 3], 0));
    assert_eq!(by_cpu(b"1 x 3 \n"), (vec![], 1));
    assert_eq!(by_cpu(b"1 2"), (vec![], 1));
    assert_eq!(by_cpu(b"\n"), (vec![], 1));
}

#[test]
fn named_rows_are_found_by_name() {
    let tree = Tree::v2(&[
        (
            "rdma.current",
            b"mlx4_0 hca_handle=2 hca_object=2000 mr_mem=7\nocrdma1 hca_handle=3\n",
        ),
        ("rdma.peak", b"mlx4_0 hca_handle=5 hca_object=2500\n"),
        (
            "rdma.events",
            b"mlx4_0 hca_handle.max=5 hca_handle.alloc_fail=3 hca_object.max=1 hca_object.alloc_fail=0\n",
        ),
        ("rdma.events.local", b"mlx4_0 hca_handle.max=4 hca_handle.alloc_fail=2\n"),
        ("misc.events.local", b"res_a.max 0\nres_b.max 1\n"),
        ("rdma.max", b"mlx4_0 hca_handle=max hca_object=3000\n"),
        ("misc.current", b"res_a 3\nres_b 0\n"),
        ("misc.max", b"res_a max\nres_b 4\n"),
        ("misc.peak", b"res_a 9\n"),
        ("misc.events", b"res_a.max 1\nres_b.max 2\n"),
    ]);
    let (statistics, context) = tree.reading().all();
    let rdma = statistics.rdma.unwrap();
    assert_eq!(&*rdma[0].device, "mlx4_0");
    let handles = CountedUse {
        current: Some(2),
        peak: Some(5),
        limit: Some(Limit::Unlimited),
        limit_hits: Some(5),
        limit_hits_here: Some(4),
        failures: Some(3),
        failures_here: Some(2),
    };
    assert_eq!(rdma[0].handles, handles);
    let objects = CountedUse {
        current: Some(2_000),
        peak: Some(2_500),
        limit: Some(Limit::At(3_000)),
        limit_hits: Some(1),
        limit_hits_here: None,
        failures: Some(0),
        failures_here: None,
    };
    assert_eq!(rdma[0].objects, objects);
    assert_eq!(
        rdma[0].other.value("mr_mem"),
        Some(7),
        "what is not known is kept"
    );
    assert_eq!(
        (&*rdma[1].device, rdma[1].objects.current),
        ("ocrdma1", None)
    );
    let misc = statistics.misc.unwrap();
    assert_eq!((&*misc[0].resource, misc[0].used.peak), ("res_a", Some(9)));
    assert_eq!(misc[0].used.limit, Some(Limit::Unlimited));
    let second = misc[1].used;
    assert_eq!(
        (second.current, second.limit),
        (Some(0), Some(Limit::At(4)))
    );
    assert_eq!(
        (second.limit_hits, second.limit_hits_here),
        (Some(2), Some(1))
    );
    assert_eq!(context.account.parse_errors.total(), 0);
}

#[test]
fn keys_that_no_kernel_had_are_kept_by_name() {
    let tree = Tree::v2(&[
        ("memory.current", b"1\n"),
        ("memory.events", b"low 1\nnew_event 2\n"),
        ("memory.swap.events", b"fail 3\nnew_event 4\n"),
        ("cgroup.events", b"populated 1\nnew_state 5\n"),
        ("io.weight", b"default 100\n8:16 200\nx 3\n"),
        ("hugetlb.2MB.current", b"4194304\n"),
        ("hugetlb.2MB.numa_stat", b"total=4194304 N0=0 N1=4194304\n"),
        ("hugetlb.2MB.events.local", b"max 6\n"),
        ("pids.events.local", b"max 7\n"),
    ]);
    let (statistics, context) = tree.reading().all();
    let memory = statistics.memory.unwrap();
    assert_eq!(memory.events.low, Some(1));
    assert_eq!(memory.events.other.value("new_event"), Some(2));
    assert_eq!(memory.swap_events.fail, Some(3));
    assert_eq!(memory.swap_events.other.value("new_event"), Some(4));
    let life = statistics.life.unwrap();
    assert_eq!(life.populated, Some(true));
    assert_eq!(life.other_events.value("new_state"), Some(5));
    let io = statistics.io.unwrap();
    assert_eq!((io.weight, io.limits[0].weight), (Some(100), Some(200)));
    assert_eq!(context.account.parse_errors.total(), 1, "x is no disk");
    let hugetlb = statistics.hugetlb.unwrap();
    assert_eq!(hugetlb[0].by_node, [(0, 0), (1, 4_194_304)]);
    assert_eq!(hugetlb[0].limit_hits_here, Some(6));
    assert_eq!(statistics.pids.unwrap().limit_hits_here, Some(7));
}

#[test]
fn a_long_file_is_cut_at_a_line_and_counted() {
    let mut lines = b"anon 1\n".to_vec();
    for number in 0.. {
        if lines.len() > MAX_FILE_BYTES {
            break;
        }
        lines.extend_from_slice(format!("key_{number} {number}\n").as_bytes());
    }
    lines.extend_from_slice(b"file 2\n");
    let reading = with("memory.stat", &lines);
    let stat = &reading.statistics.memory.as_ref().unwrap().stat;
    assert_eq!(stat.value(MemoryKey::Anon), Some(1));
    assert_eq!(stat.value(MemoryKey::File), None, "behind the bound");
    assert_eq!(stat.other.iter().count(), MAX_OTHER_KEYS);
    let account = &reading.context.account;
    assert_eq!(account.cut, 1);
    assert!(account.over_bound > 1_000);
    assert_eq!(account.parse_errors.total(), 0, "no half line was read");
}

#[test]
fn one_endless_line_has_no_value() {
    let reading = with("memory.current", &vec![b'1'; MAX_FILE_BYTES + 5]);
    assert_eq!(
        reading
            .statistics
            .memory
            .as_ref()
            .unwrap()
            .memory
            .usage_bytes,
        None
    );
    assert_eq!((reading.context.account.cut, reading.errors()), (1, 1));
}

#[test]
fn devices_beyond_the_bound_are_counted() {
    let mut lines = String::new();
    for minor in 0..MAX_DEVICES + 5 {
        writeln!(lines, "8:{minor} rbytes=1").unwrap();
    }
    let reading = with("io.stat", lines.as_bytes());
    assert_eq!(
        reading.statistics.io.as_ref().unwrap().devices.len(),
        MAX_DEVICES
    );
    assert_eq!(reading.context.account.over_bound, 5);
}
