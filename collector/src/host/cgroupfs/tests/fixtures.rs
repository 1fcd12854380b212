//! Trees of real kernels: what each file says, in the one form.

use super::{Tree, TreeReading};
use crate::host::cgroupfs::{
    CgroupStatistics, CgroupVersion, DescriptorBudget, Limit, MemoryKey, Presence, Wanted,
    io::{ByOperation, DeviceIo},
    parse::DeviceNumber,
};

const V2_5_10: &str = include_str!("../fixtures/v2-5.10.txt");
const V2_6_12: &str = include_str!("../fixtures/v2-6.12.txt");
const V2_7_2: &str = include_str!("../fixtures/v2-7.2.txt");
const V1_5_10: &str = include_str!("../fixtures/v1-5.10.txt");
const V1_6_12: &str = include_str!("../fixtures/v1-6.12.txt");
const HYBRID_6_18: &str = include_str!("../fixtures/hybrid-6.18.txt");
const ROOT_HYBRID_6_18: &str = include_str!("../fixtures/root-hybrid-6.18.txt");

const MIB: u64 = 1 << 20;

/// Reads a dumped tree; every byte of it must have been understood.
fn read(dump: &str) -> CgroupStatistics {
    let (statistics, context) = Tree::dumped(dump).reading().all();
    let account = &context.account;
    assert_eq!(
        account.parse_errors.total(),
        0,
        "{:?}",
        account.parse_errors
    );
    assert_eq!((account.failed, account.cut, account.over_bound), (0, 0, 0));
    assert!(account.files > 15, "{} files", account.files);
    statistics
}

fn device(statistics: &CgroupStatistics, minor: u32) -> DeviceIo {
    let number = DeviceNumber { major: 254, minor };
    statistics
        .io
        .as_ref()
        .unwrap()
        .devices
        .iter()
        .find(|device| device.device == number)
        .unwrap_or_else(|| panic!("no device {number}"))
        .clone()
}

#[test]
fn v2_of_linux_7_2() {
    let read = read(V2_7_2);

    let cpu = read.cpu.as_ref().unwrap();
    assert_eq!(cpu.version, CgroupVersion::V2);
    assert_eq!(cpu.usage_ns, Some(19_575_640_000));
    assert_eq!(cpu.user_ns, Some(10_635_528_000));
    assert_eq!(cpu.system_ns, Some(8_940_112_000));
    assert_eq!(cpu.nice_ns, Some(0));
    assert_eq!((cpu.periods, cpu.throttled_periods), (Some(400), Some(392)));
    assert_eq!(cpu.throttled_ns, Some(19_620_250_000));
    assert_eq!(cpu.throttled_here_ns, Some(19_620_250_000));
    assert_eq!((cpu.bursts, cpu.burst_ns), (Some(0), Some(0)));
    assert_eq!(cpu.quota_ns, Some(Limit::At(50_000_000)));
    assert_eq!(cpu.period_ns, Some(100_000_000));
    assert_eq!(cpu.limit_cores(), Some(0.5));
    assert_eq!((cpu.weight, cpu.weight_nice), (Some(50), Some(3)));
    assert_eq!((cpu.shares, cpu.idle), (None, Some(false)));
    assert!(cpu.other.is_empty());

    let memory = read.memory.as_ref().unwrap();
    assert_eq!(memory.memory.limit_bytes, Some(Limit::At(64 * MIB)));
    assert_eq!(memory.memory.peak_bytes, Some(64 * MIB));
    assert_eq!(memory.high_bytes, Some(Limit::Unlimited));
    assert_eq!(memory.low_bytes, Some(Limit::At(MIB)));
    assert_eq!(memory.events.oom_kill, Some(1));
    assert_eq!(memory.events.max, Some(25));
    assert_eq!(memory.memory.limit_hits, Some(25));
    assert_eq!(memory.events.sock_throttled, Some(0));
    assert_eq!(memory.local_events.oom, Some(1));
    assert_eq!(memory.swap.limit_bytes, Some(Limit::Unlimited));
    assert_eq!(memory.memory_and_swap_limit_bytes(), Some(Limit::Unlimited));
    assert_eq!(memory.zswap.usage_bytes, Some(0));
    assert_eq!(memory.oom_group, Some(false));
    assert_eq!(memory.stat.value(MemoryKey::ZswapIncomp), Some(0));
    assert_eq!(memory.stat.value(MemoryKey::PgstealProactive), Some(0));
    assert_eq!(memory.stat.total(MemoryKey::Anon), None);
    assert!(memory.stat.other.is_empty(), "{:?}", memory.stat.other);
    assert_eq!(
        memory.working_set_bytes(),
        Some(memory.memory.usage_bytes.unwrap() - memory.stat.named("inactive_file").unwrap())
    );

    let disk = device(&read, 0);
    assert_eq!(disk.bytes.read, Some(40_960));
    assert_eq!(disk.bytes.write, Some(1_048_576));
    assert_eq!(disk.operations.read, Some(10));
    assert_eq!(disk.operations.write, Some(16));
    assert_eq!(disk.bytes.total, None);
    assert_eq!(device(&read, 1).bytes.read, Some(12_288));
    let io = read.io.as_ref().unwrap();
    assert_eq!(io.sum(|device| device.bytes.read), Some(53_248));
    assert_eq!(io.limits.len(), 1);
    assert_eq!(io.limits[0].write_bytes, Some(Limit::At(104_857_600)));
    assert_eq!(io.limits[0].read_operations, Some(Limit::At(5_000)));
    assert_eq!(io.limits[0].read_bytes, Some(Limit::Unlimited));

    let pids = read.pids.as_ref().unwrap();
    assert_eq!((pids.current, pids.peak), (Some(1), Some(5)));
    assert_eq!(pids.limit, Some(Limit::At(50)));
    assert_eq!(pids.limit_hits, Some(0));

    let pressure = read.pressure.as_ref().unwrap();
    let cpu = pressure.cpu.unwrap();
    assert_eq!(cpu.some.avg10_basis_points, Some(8_648));
    assert_eq!(cpu.some.total_ns, Some(33_180_134_000));
    assert_eq!(cpu.full.avg300_basis_points, Some(600));
    assert_eq!(pressure.irq, None);
    assert!(pressure.memory.is_some() && pressure.io.is_some());

    let hugetlb = read.hugetlb.as_ref().unwrap();
    assert_eq!(hugetlb.len(), 2);
    assert_eq!(&*hugetlb[0].page_size, "2MB");
    assert_eq!(hugetlb[0].used.limit_bytes, Some(Limit::At(8 * MIB)));
    assert_eq!(hugetlb[0].reserved.usage_bytes, Some(0));
    assert_eq!(hugetlb[1].used.limit_bytes, Some(Limit::Unlimited));

    let cpuset = read.cpuset.as_ref().unwrap();
    assert_eq!(cpuset.cpu_count(), Some(1));
    assert_eq!(cpuset.memory_nodes, None);

    let life = read.life.as_ref().unwrap();
    assert_eq!((life.populated, life.frozen), (Some(true), Some(false)));
    assert_eq!(life.frozen_ns, Some(0));
    assert_eq!(life.other.value("nr_subsys_cpu"), Some(1));
    assert!(read.rdma.as_ref().unwrap().is_empty());
}

#[test]
fn v2_of_linux_5_10_lacks_what_came_later() {
    let read = read(V2_5_10);
    let cpu = read.cpu.as_ref().unwrap();
    assert!(cpu.usage_ns > Some(0));
    assert_eq!(cpu.nice_ns, None);
    assert_eq!(cpu.throttled_here_ns, None);
    assert_eq!(cpu.burst_limit_ns, None);
    let memory = read.memory.as_ref().unwrap();
    assert_eq!(memory.memory.peak_bytes, None);
    assert_eq!(memory.events.oom_kill, Some(1));
    assert_eq!(memory.events.oom_group_kill, None);
    assert_eq!(memory.stat.value(MemoryKey::Kernel), None);
    assert_eq!(memory.kernel_bytes(), None);
    assert!(memory.stat.other.is_empty());
    assert_eq!(read.pids.as_ref().unwrap().peak, None);
    let cpu = read.pressure.as_ref().unwrap().cpu.unwrap();
    assert!(cpu.some.total_ns > Some(0));
    assert_eq!(device(&read, 0).bytes.write, Some(1_048_576));
    assert_eq!(read.life.as_ref().unwrap().frozen_ns, None);
}

#[test]
fn v2_of_linux_6_12() {
    let read = read(V2_6_12);
    let cpu = read.cpu.as_ref().unwrap();
    assert_eq!(cpu.usage_ns, Some(21_626_081_000));
    let memory = read.memory.as_ref().unwrap();
    assert_eq!(memory.memory.usage_bytes, Some(6_516_736));
    assert_eq!(memory.rss_bytes(), Some(57_344));
    assert_eq!(memory.cache_bytes(), Some(6_291_456));
    assert_eq!(memory.kernel_bytes(), Some(77_824));
    assert_eq!(memory.page_faults(), Some(3_798));
    assert_eq!(memory.stat.values().count(), 60);
    assert_eq!(device(&read, 1).operations.read, Some(3));
}

#[test]
fn v1_of_linux_5_10_fills_the_same_form() {
    let read = read(V1_5_10);

    let cpu = read.cpu.as_ref().unwrap();
    assert_eq!(cpu.version, CgroupVersion::V1);
    assert_eq!(cpu.usage_ns, Some(3_886_582_831));
    assert_eq!(cpu.user_ns, Some(1_320_000_000));
    assert_eq!(cpu.system_ns, Some(370_000_000));
    assert_eq!(cpu.ticked_user_ns, Some(1_320_000_000));
    assert_eq!(cpu.ticked_system_ns, Some(372_000_000));
    assert_eq!(cpu.per_cpu_usage_ns, [21_049_719, 3_865_533_112]);
    assert_eq!(cpu.per_cpu_system_ns, [16_000_000, 356_000_000]);
    assert_eq!((cpu.periods, cpu.throttled_periods), (Some(79), Some(76)));
    assert_eq!(cpu.throttled_ns, Some(3_745_792_853));
    assert_eq!(cpu.bursts, None);
    assert_eq!(cpu.limit_cores(), Some(0.5));
    assert_eq!((cpu.shares, cpu.weight), (Some(512), None));

    let memory = read.memory.as_ref().unwrap();
    assert_eq!(memory.memory.usage_bytes, Some(6_606_848));
    assert_eq!(memory.memory.peak_bytes, Some(64 * MIB));
    assert_eq!(memory.memory.limit_bytes, Some(Limit::At(64 * MIB)));
    assert_eq!(memory.memory.limit_hits, Some(14_599));
    assert_eq!(
        memory.memory_and_swap.limit_bytes,
        Some(Limit::At(96 * MIB))
    );
    assert_eq!(memory.soft_limit_bytes, Some(Limit::At(32 * MIB)));
    assert_eq!(memory.kernel.peak_bytes, Some(536_576));
    assert_eq!(memory.kernel.limit_bytes, Some(Limit::Unlimited));
    assert_eq!(memory.kernel_tcp.usage_bytes, Some(0));
    assert_eq!(memory.oom_control.under_oom, Some(false));
    assert_eq!(memory.events.oom_kill, Some(1));
    assert_eq!(memory.stat.value(MemoryKey::Rss), Some(233_472));
    assert_eq!(memory.stat.total(MemoryKey::Rss), Some(233_472));
    assert_eq!(memory.stat.named("total_pgpgin"), Some(5_346));
    assert_eq!(
        memory.stat.named("hierarchical_memsw_limit"),
        Some(96 * MIB)
    );
    assert_eq!(memory.rss_bytes(), Some(233_472));
    assert_eq!(memory.cache_bytes(), Some(6_217_728));
    assert_eq!(memory.swap_bytes(), Some(0));
    assert_eq!(memory.working_set_bytes(), Some(6_606_848));
    assert!(memory.stat.other.is_empty(), "{:?}", memory.stat.other);

    let disk = device(&read, 0);
    assert_eq!(
        disk.bytes,
        ByOperation {
            read: Some(40_960),
            write: Some(1_048_576),
            discard: Some(0),
            sync: Some(1_089_536),
            asynchronous: Some(0),
            total: Some(1_089_536),
        }
    );
    assert_eq!(disk.operations.total, Some(26));
    assert_eq!(disk.scheduler, None);
    assert_eq!(device(&read, 1).bytes.read, Some(12_288));
    let limits = &read.io.as_ref().unwrap().limits;
    assert_eq!(limits.len(), 1);
    assert_eq!(limits[0].write_bytes, Some(Limit::At(104_857_600)));
    assert_eq!(limits[0].read_bytes, None);

    // The largest number that v1 can count to depends on the page size.
    for size in &**read.hugetlb.as_ref().unwrap() {
        assert_eq!(size.used.limit_bytes, Some(Limit::Unlimited));
        assert_eq!(size.reserved.limit_bytes, Some(Limit::Unlimited));
    }
    assert_eq!(read.cpuset.as_ref().unwrap().cpu_count(), Some(2));
    assert_eq!(read.pids.as_ref().unwrap().limit, Some(Limit::At(50)));
    assert_eq!(read.pressure, None);
    assert_eq!(read.life, None);
}

#[test]
fn a_controller_that_is_nowhere_has_no_statistics() {
    // This kernel was built without v1's memory controller.
    let read = read(V1_6_12);
    assert_eq!(read.memory, None);
    assert_eq!(read.cpuset, None);
    assert_eq!(read.cpu.as_ref().unwrap().usage_ns, Some(2_188_730_691));
    assert_eq!(
        read.cpu.as_ref().unwrap().throttled_here_ns,
        Some(2_216_798_863)
    );
    assert_eq!(read.pids.as_ref().unwrap().peak, Some(2));
    assert_eq!(read.misc.as_ref().unwrap().len(), 0);
}

#[test]
fn a_hybrid_host_has_each_part_from_its_own_hierarchy() {
    let read = read(HYBRID_6_18);
    let cpu = read.cpu.as_ref().unwrap();
    assert_eq!(cpu.version, CgroupVersion::V1);
    assert_eq!(cpu.usage_ns, Some(843_619_945));
    assert_eq!(cpu.user_ns, Some(770_000_000));
    assert_eq!((cpu.periods, cpu.throttled_periods), (Some(19), Some(16)));
    assert_eq!(cpu.per_cpu_usage_ns, [0, 843_619_945]);
    assert_eq!(read.memory.as_ref().unwrap().version, CgroupVersion::V1);
    let pressure = read.pressure.as_ref().unwrap();
    assert_eq!(pressure.version, CgroupVersion::V2);
    assert_eq!(pressure.cpu.unwrap().some.total_ns, Some(830_048_000));
    // Without a limit on the disk, newer kernels keep no table.
    assert_eq!(read.io.as_ref().unwrap().devices, []);
    assert_eq!(read.io.as_ref().unwrap().sum(|of| of.bytes.read), None);
}

#[test]
fn the_root_of_a_hybrid_host_has_fewer_files_than_what_is_below_it() {
    let tree = Tree::dumped(ROOT_HYBRID_6_18);
    let budget = DescriptorBudget::new(100, 100);
    let (read, context) = TreeReading::of(&tree.roots(), "/", &budget).all();
    let account = &context.account;
    assert_eq!(
        account.parse_errors.total(),
        0,
        "{:?}",
        account.parse_errors
    );
    assert_eq!((account.failed, account.over_bound), (0, 0));

    let cpu = read.cpu.as_ref().unwrap();
    assert_eq!(cpu.usage_ns, Some(46_644_216_317_006));
    assert_eq!(cpu.user_ns, Some(38_805_830_000_000));
    assert_eq!(
        cpu.per_cpu_usage_ns,
        [22_597_235_111_898, 24_046_981_205_108]
    );
    assert_eq!(cpu.quota_ns, Some(Limit::Unlimited));
    let memory = read.memory.as_ref().unwrap();
    assert_eq!(memory.memory.usage_bytes, Some(3_476_180_992));
    assert_eq!(memory.memory.peak_bytes, Some(18_568_359_936));
    assert_eq!(memory.memory.limit_bytes, Some(Limit::Unlimited));
    assert_eq!(
        memory.rss_bytes(),
        Some(1_071_804_416),
        "that of all cgroups"
    );
    assert_eq!(
        memory.stat.value(MemoryKey::Rss),
        Some(8_626_176),
        "its own"
    );
    assert_eq!(read.io.as_ref().unwrap().devices, []);
    assert_eq!(read.pids, None, "the root has no count of tasks");
    let cpuset = read.cpuset.as_ref().unwrap();
    assert_eq!(cpuset.cpu_count(), Some(2));
    let pressure = read.pressure.as_ref().unwrap();
    assert_eq!(pressure.version, CgroupVersion::V2);
    assert_eq!(pressure.io.unwrap().full.total_ns, Some(190_096_651_000));
    let life = read.life.as_ref().unwrap();
    assert_eq!((life.descendants, life.populated), (Some(503), None));
}

#[test]
fn only_what_is_wanted_is_read_and_the_rest_stays() {
    let tree = Tree::dumped(V2_7_2);
    let mut reading = tree.reading();
    let outcome = reading.read(Wanted::CPU | Wanted::PIDS);
    assert_eq!(outcome.presence, Presence::There);
    assert_eq!(outcome.read, Wanted::CPU | Wanted::PIDS);
    let cpu = reading.statistics.cpu.clone().unwrap();
    assert_eq!(cpu.quota_ns, None);
    assert_eq!(reading.statistics.memory, None);

    tree.write("unified/pod/box/cpu.stat", b"usage_usec 1\n");
    tree.write("unified/pod/box/pids.current", b"7\n");
    reading.read(Wanted::PIDS | Wanted::LIMITS);
    let pids = reading.statistics.pids.clone().unwrap();
    assert_eq!((pids.current, pids.limit), (Some(7), Some(Limit::At(50))));
    assert_eq!(
        reading.statistics.cpu.as_ref(),
        Some(&cpu),
        "not read again"
    );

    reading.read(Wanted::MEMORY);
    let memory = reading.statistics.memory.as_ref().unwrap();
    assert_eq!(memory.stat.values().count(), 0, "memory.stat is its own");
    assert!(memory.at > pids.at && pids.at > cpu.at);
}
