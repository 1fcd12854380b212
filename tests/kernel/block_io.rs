//! Block I/O against the device's and the cgroup's own byte counts.

use std::{
    fs,
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::Path,
    time::{Duration, Instant},
};

use collector::{drain::Drainer, host::HierarchyId};
use collector_common::{sample::BlockSample, signal::Signal};
use collector_tests::{
    cgroup::TestCgroup,
    null_disk::NullDisk,
    observe::{Observation, Seen, Settings},
};
use nix::{fcntl::OFlag, sys::stat};

const BYTES: u64 = 8 << 20;

/// `REQ_OP_WRITE`.
const WRITE: u16 = 1;

/// Samples that are not the whole time of a request.
const PARTIAL_OR_EMPTY: u16 = BlockSample::FLAG_PARTIAL | BlockSample::FLAG_EMPTY_FLUSH;

/// What all disks counted of writes.
#[derive(Clone, Copy, Debug)]
struct DiskCounts {
    bytes: u64,
    /// From each request to its completion.
    time: Duration,
    /// For which the caches of disks were emptied.
    flushing: Duration,
}

fn disk_counts() -> DiskCounts {
    let stat = fs::read_to_string("/proc/diskstats").expect("/proc/diskstats");
    // Whole disks alone, not their partitions.
    let disks: Vec<Vec<&str>> = stat
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| Path::new("/sys/block").join(fields[2]).exists())
        .collect();
    let sum = |field: usize| -> u64 {
        let numbers = disks.iter().map(|fields| fields[field].parse::<u64>());
        numbers.map(|number| number.expect("a number")).sum()
    };
    DiskCounts {
        // Sectors, of 512 bytes.
        bytes: sum(9) * 512,
        time: Duration::from_millis(sum(10)),
        flushing: Duration::from_millis(sum(19)),
    }
}

/// Writes in a cgroup under observation. What was seen, and what all disks counted meanwhile.
fn write(cgroup: &TestCgroup, arguments: &[&str]) -> (Seen, DiskCounts) {
    let file = tempfile::NamedTempFile::new_in("/var/tmp").expect("a file on a disk");
    let path = file.path().to_str().expect("a plain path").to_owned();
    // What others dirtied before is not this test's.
    nix::unistd::sync();
    let observation = Observation::start(Settings::default());
    let before = disk_counts();
    let bytes = BYTES.to_string();
    let _counts = cgroup.run(&[&["write", &path, &bytes], arguments].concat());
    nix::unistd::sync();
    // Longer than a sample may lie in a silent CPU's batch.
    std::thread::sleep(Duration::from_millis(1200));
    let after = disk_counts();
    let (seen, accounts) = observation.finish();
    let account = &accounts[Signal::BlockIo as usize];
    assert_eq!(account.in_flight, 0, "{account:?}");
    assert_eq!(
        account.lost.iter().map(|(_, lost)| lost).sum::<u64>(),
        0,
        "{account:?}"
    );
    assert!(account.observed > 0);
    // A silent CPU's batch is fetched by a refresh, and is drained with the next pass; both can be held up.
    let most = 2 * Drainer::REFRESH + 3 * seen.longest_pause;
    assert!(
        seen.longest_delay < most.max(Duration::from_secs(1)),
        "{:?}, and {:?} between two drains",
        seen.longest_delay,
        seen.longest_pause
    );
    let counted = DiskCounts {
        bytes: after.bytes - before.bytes,
        time: after.time.abs_diff(before.time),
        flushing: after.flushing.abs_diff(before.flushing),
    };
    (seen, counted)
}

/// Bytes of writes, of one cgroup or of all.
fn bytes_of(seen: &Seen, id: Option<u64>) -> u64 {
    seen.block
        .iter()
        .filter(|sample| sample.operation == WRITE && id.is_none_or(|id| sample.cgroup == id))
        .map(|sample| u64::from(sample.bytes))
        .sum()
}

#[test]
fn direct_writes_are_the_writers_to_the_byte() {
    let cgroup = TestCgroup::new("cgscope-direct");
    let (seen, device) = write(&cgroup, &["--direct"]);
    let id = cgroup.block_key().id.0;

    assert_eq!(bytes_of(&seen, Some(id)), BYTES);
    if let Some(counted) = cgroup.written_bytes() {
        assert_eq!(counted, BYTES, "the cgroup's own count");
    }
    // All that anyone wrote is what the device counts, but for what others write just before and
    // after the observation.
    let all = bytes_of(&seen, None);
    assert!(
        all.abs_diff(device.bytes) < BYTES / 4,
        "{all} and {device:?}"
    );

    let own: Vec<&BlockSample> = seen
        .block
        .iter()
        .filter(|sample| sample.cgroup == id)
        .collect();
    assert!(own.iter().all(|sample| sample.device_ns > 0), "{own:?}");
    assert!(
        own.iter()
            .all(|sample| sample.flags & BlockSample::FLAG_ERROR == 0)
    );
}

#[test]
fn the_time_in_queue_and_device_adds_up_to_the_disks_own() {
    let cgroup = TestCgroup::new("cgscope-disk-time");
    let (seen, counted) = write(&cgroup, &["--direct"]);
    let kernel = counted.time;
    let ours: u64 = seen
        .block
        .iter()
        .filter(|sample| sample.operation == WRITE && sample.flags & PARTIAL_OR_EMPTY == 0)
        .map(|sample| sample.queue_ns + sample.device_ns)
        .sum();
    let ours = Duration::from_nanos(ours);
    println!(
        "{ours:?}, the disk's own {kernel:?}, and {:?} flushing",
        counted.flushing
    );
    assert!(
        kernel > Duration::from_millis(2),
        "{kernel:?}: nothing was put to the test"
    );
    // Others may write just before and after the observation.
    let tolerance = kernel / 10 + Duration::from_millis(2);
    assert!(ours < kernel + tolerance, "{ours:?}, not {kernel:?}");
    // The kernel counts a file system's commit up to the flush that follows its data, where a disk cannot write
    // through its cache; for us it is complete when its data are.
    assert!(
        kernel < ours + counted.flushing + tolerance,
        "{ours:?}, not {kernel:?} with {:?} of flushes",
        counted.flushing
    );
}

/// The typical time that a device which completes after a set time is seen to take.
fn median_device_time(name: &str, completion: Duration) -> Duration {
    let disk = NullDisk::new(name, completion);
    let cgroup = TestCgroup::new("cgscope-null");
    let id = cgroup.block_key().id.0;
    let observation = Observation::start(Settings::default());
    // 64 KiB at a time.
    let bytes = (64 * (64 << 10)).to_string();
    let _counts = cgroup.run(&["write", &disk.path(), &bytes, "--direct"]);
    std::thread::sleep(Duration::from_millis(1200));
    let (seen, _) = observation.finish();
    let mut times: Vec<u64> = seen
        .block
        .iter()
        .filter(|sample| sample.cgroup == id && sample.operation == WRITE)
        .map(|sample| sample.device_ns)
        .collect();
    assert_eq!(times.len(), 64, "one completion for each write");
    times.sort_unstable();
    assert!(Duration::from_nanos(times[0]) >= completion, "{times:?}");
    Duration::from_nanos(times[times.len() / 2])
}

#[test]
#[ignore = "needs the module null_blk, which `cargo xtask vm` loads"]
fn a_device_of_a_set_speed_takes_that_long() {
    let set = [Duration::from_millis(4), Duration::from_millis(24)];
    let seen = [
        median_device_time("cgscope-fast", set[0]),
        median_device_time("cgscope-slow", set[1]),
    ];
    println!("set {set:?}, seen {seen:?}");
    // What the timer and the interrupt add is in both, so that the difference is without it.
    let (set, seen) = (set[1].abs_diff(set[0]), seen[1].abs_diff(seen[0]));
    assert!(seen.abs_diff(set) < set / 50, "{seen:?}, not {set:?}");
}

/// How long each of some direct writes keeps its writer.
fn write_one_by_one(path: &str, writes: usize) -> Vec<Duration> {
    const BLOCK: usize = 4096;
    let file = fs::OpenOptions::new()
        .write(true)
        .custom_flags(OFlag::O_DIRECT.bits())
        .open(path)
        .expect("the disk opens");
    let buffer = vec![7_u8; 2 * BLOCK];
    let aligned = buffer.as_ptr().align_offset(BLOCK);
    let block = &buffer[aligned..aligned + BLOCK];
    let write = |_| {
        let start = Instant::now();
        file.write_all_at(block, 0).expect("the disk takes it");
        start.elapsed()
    };
    (0..writes).map(write).collect()
}

#[test]
#[ignore = "needs the module null_blk, which `cargo xtask vm` loads"]
fn a_request_takes_what_its_device_is_set_to_and_no_more_than_its_writer_waits() {
    const WRITES: usize = 200;
    let set = Duration::from_millis(2);
    let disk = NullDisk::new("cgscope-each", set);
    let number = fs::metadata(disk.path()).expect("it is there").rdev();
    let (major, minor) = (stat::major(number), stat::minor(number));
    let device = u32::try_from(major << 20 | minor).expect("as the kernel keeps it");
    let observation = Observation::start(Settings::default());
    let mut waited = write_one_by_one(&disk.path(), WRITES);
    std::thread::sleep(Duration::from_millis(1200));
    let (seen, _) = observation.finish();
    let mut ours: Vec<_> = seen
        .block
        .iter()
        .filter(|sample| sample.device == device && sample.operation == WRITE)
        .map(|sample| {
            let device = Duration::from_nanos(sample.device_ns);
            assert!(device >= set, "{sample:?}");
            device + Duration::from_nanos(sample.queue_ns)
        })
        .collect();
    assert_eq!(ours.len(), WRITES, "one completion for each write");
    // Samples of two CPUs do not come in the writes' order. If each is at most its writer's, so is the
    // slowest the slowest's, and so on.
    ours.sort_unstable();
    waited.sort_unstable();
    for (ours, waited) in ours.iter().zip(&waited) {
        assert!(ours <= waited, "{ours:?}, {waited:?}");
    }
    let middle = WRITES / 2;
    println!("{:?} of the writer's {:?}", ours[middle], waited[middle]);
}

#[test]
fn an_fsync_is_a_flush_of_the_writers() {
    let cgroup = TestCgroup::new("cgscope-fsync");
    let (seen, _) = write(&cgroup, &["--sync"]);
    let id = cgroup.block_key().id.0;
    let flushes: Vec<_> = seen
        .block
        .iter()
        .filter(|sample| sample.flags & BlockSample::FLAG_EMPTY_FLUSH != 0)
        .collect();
    assert!(
        flushes.iter().any(|sample| sample.device_ns > 0),
        "no flush seen: {:?}",
        seen.block
    );
    // Who syncs submits, on v1 too.
    assert!(bytes_of(&seen, Some(id)) >= BYTES);
}

#[test]
fn buffered_writes_are_the_writers_on_v2_and_the_roots_on_v1() {
    let cgroup = TestCgroup::new("cgscope-buffered");
    let (seen, _) = write(&cgroup, &[]);
    let key = cgroup.block_key();
    let ours = bytes_of(&seen, Some(key.id.0));
    if key.hierarchy == HierarchyId::V2 {
        assert!(
            (BYTES..BYTES + BYTES / 10).contains(&ours),
            "{ours} bytes for {BYTES} written"
        );
        assert_eq!(Some(ours), cgroup.written_bytes());
    } else {
        // cgroup v1 does not know who dirtied a page: the flusher's cgroup pays.
        /// The root of a cgroup hierarchy.
        const ROOT: u64 = 1;
        assert!(bytes_of(&seen, Some(ROOT)) >= BYTES, "{:?}", seen.block);
        assert_eq!(ours, 0);
    }
}
