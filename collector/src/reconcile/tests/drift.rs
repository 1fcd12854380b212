//! Two sides of one mind, and sides that were broken on purpose.

use std::{sync::Arc, time::Duration};

use collector_common::sample::SchedSample;

use super::{CPU, hybrid, make, pipeline, read, remove, run, tell};
use crate::{
    drain::{InFlight, Running, decode::CgroupChange},
    host::{
        CgroupKey,
        cgroupfs::{
            CgroupStatistics, CgroupVersion, OtherKeys, Reading,
            cpu::CpuStatistics,
            io::{ByOperation, DeviceIo, IoCost, IoStatistics},
            memory::MemoryStatistics,
            parse::DeviceNumber,
        },
        clock::Ktime,
        host_counters::HostCounters,
    },
    reconcile::{
        Pipeline,
        drift::{Checkpoint, Drift, DriftQuantity, DriftRatio, OwnerSums},
    },
    window::{BlockSums, Device, EventSums, Operation},
};

const DISK: Device = Device { major: 8, minor: 0 };
const MS: u64 = 1_000_000;

/// What both sides of one container have counted.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    cpu_ns: u64,
    bytes: u64,
    operations: u64,
    kills: u64,
}

fn at(seconds: u64) -> Ktime {
    Ktime(Duration::from_secs(seconds))
}

fn events(of: Counted) -> EventSums {
    let mut sums = EventSums {
        cpu_ns: of.cpu_ns,
        oom_victims: of.kills,
        ..EventSums::default()
    };
    sums.add_block(BlockSums {
        device: DISK,
        operation: Operation::Write,
        bytes: of.bytes,
        operations: of.operations,
    });
    sums
}

fn reading<T>(of: T) -> Reading<T> {
    Reading {
        version: CgroupVersion::V2,
        at: at(1),
        of,
    }
}

fn kernel(of: Counted) -> CgroupStatistics {
    let by = |write| ByOperation {
        write: Some(write),
        ..ByOperation::default()
    };
    let mut memory = MemoryStatistics::default();
    memory.events.oom_kill = Some(of.kills);
    let device = DeviceIo {
        device: DeviceNumber {
            major: DISK.major,
            minor: DISK.minor,
        },
        bytes: by(of.bytes),
        operations: by(of.operations),
        cost: IoCost::default(),
        scheduler: None,
        other: OtherKeys::default(),
    };
    let cpu = CpuStatistics {
        usage_ns: Some(of.cpu_ns),
        ..CpuStatistics::default()
    };
    let io = IoStatistics {
        devices: vec![device],
        limits: Vec::new(),
        weight: None,
    };
    CgroupStatistics {
        cpu: Some(reading(cpu)),
        memory: Some(reading(memory)),
        io: Some(reading(io)),
        ..CgroupStatistics::default()
    }
}

/// One container after the other, each with both sides.
struct Comparer {
    drift: Drift,
    checkpoint: Checkpoint,
    taken_ns: u64,
    busy_ns: u64,
    merges: u64,
}

impl Comparer {
    /// Of so many containers.
    fn new(containers: u64) -> Self {
        let mut pipeline = pipeline();
        for id in 1..=containers {
            make(&mut pipeline, id, &format!("/{id}"), 1);
        }
        let mut checkpoint = pipeline.checkpoint(&InFlight::default(), at(2));
        checkpoint
            .owners
            .sort_by(|a, b| a.identity.path.cmp(&b.identity.path));
        Self {
            drift: Drift::default(),
            checkpoint,
            taken_ns: 0,
            busy_ns: 0,
            merges: 0,
        }
    }

    /// One pass: each container's events and kernel counters.
    fn pass(&mut self, sides: &[(Counted, Counted)]) -> Vec<DriftRatio> {
        for (owner, (of_events, _)) in self.checkpoint.owners.iter_mut().zip(sides) {
            owner.sums = events(*of_events);
        }
        let host = HostCounters {
            taken_ns: self.taken_ns,
            busy_ns: self.busy_ns,
            merges: vec![(
                DeviceNumber {
                    major: DISK.major,
                    minor: DISK.minor,
                },
                self.merges,
            )],
        };
        self.drift.begin(&self.checkpoint);
        self.drift.take_host(host);
        for (owner, (_, of_kernel)) in self.checkpoint.owners.iter().zip(sides) {
            let events = owner.sums.clone();
            self.drift
                .compare(owner, true, &events, &kernel(*of_kernel));
        }
        self.drift.finish(&self.checkpoint)
    }
}

fn ratio(ratios: &[DriftRatio], quantity: DriftQuantity) -> Option<(f64, f64)> {
    ratios
        .iter()
        .find(|ratio| ratio.quantity == quantity)
        .map(|ratio| (ratio.worst, ratio.total))
}

fn near(found: Option<(f64, f64)>, expected: (f64, f64)) {
    let (worst, total) = found.expect("a ratio");
    assert!(
        (worst - expected.0).abs() < 1e-9 && (total - expected.1).abs() < 1e-9,
        "({worst}, {total}), not {expected:?}"
    );
}

fn all(times: u64) -> Counted {
    Counted {
        cpu_ns: times * 1_000 * MS,
        bytes: times * (64 << 20),
        operations: times * 1_000,
        kills: times,
    }
}

#[test]
fn sides_of_one_mind_have_no_drift() {
    let mut comparer = Comparer::new(2);
    let ratios = comparer.pass(&[(all(1), all(1)), (all(3), all(3))]);
    for quantity in DriftQuantity::ALL {
        near(ratio(&ratios, quantity), (0.0, 0.0));
    }
}

#[test]
fn a_side_that_is_broken_shows_in_its_quantity_and_in_no_other() {
    for broken in DriftQuantity::ALL {
        let mut comparer = Comparer::new(2);
        let mut events = all(4);
        match broken {
            DriftQuantity::CpuTime => events.cpu_ns /= 2,
            DriftQuantity::Bytes => events.bytes /= 2,
            // Fewer could have been merged.
            DriftQuantity::Operations => events.operations *= 2,
            DriftQuantity::OomKills => events.kills /= 2,
        }
        let ratios = comparer.pass(&[(events, all(4)), (all(4), all(4))]);
        for quantity in DriftQuantity::ALL {
            let total = match quantity {
                DriftQuantity::Operations => 1.0 / 3.0,
                _ => 0.25,
            };
            let expected = if quantity == broken {
                (0.5, total)
            } else {
                (0.0, 0.0)
            };
            near(ratio(&ratios, quantity), expected);
        }
    }
}

#[test]
fn what_explains_a_difference_is_taken_off_and_no_more() {
    let mut comparer = Comparer::new(1);
    comparer.pass(&[(all(1), all(1))]);
    comparer.taken_ns = 300 * MS;
    comparer.busy_ns = 2_000 * MS;
    comparer.merges = 400;
    let mut events = all(2);
    events.cpu_ns += 500 * MS;
    events.operations -= 600;
    let ratios = comparer.pass(&[(events, all(2))]);
    // 500 ms more of 1.5 s, of which 300 are explained; 600 fewer of 1,000, of which 400 are.
    near(
        ratio(&ratios, DriftQuantity::CpuTime),
        (200.0 / 1_500.0, 200.0 / 1_500.0),
    );
    near(ratio(&ratios, DriftQuantity::Operations), (0.2, 0.2));
    // In the other direction neither explains anything.
    comparer.taken_ns += 1_000 * MS;
    comparer.merges += 1_000;
    let mut kernel = all(3);
    kernel.cpu_ns += 1_000 * MS;
    let mut events_now = events;
    events_now.cpu_ns += 1_000 * MS;
    events_now.operations += 2_000;
    let ratios = comparer.pass(&[(events_now, kernel)]);
    near(ratio(&ratios, DriftQuantity::CpuTime), (0.5, 0.5));
    near(ratio(&ratios, DriftQuantity::Operations), (0.5, 0.5));
}

#[test]
fn what_was_taken_from_a_large_host_does_not_explain_what_one_container_lacks() {
    let mut comparer = Comparer::new(1);
    comparer.pass(&[(all(1), all(1))]);
    // A tenth of 100 s was taken: of this container's second, 400 ms at most.
    comparer.taken_ns = 10_000 * MS;
    comparer.busy_ns = 100_000 * MS;
    let mut kernel = all(2);
    kernel.cpu_ns -= 900 * MS;
    let ratios = comparer.pass(&[(all(2), kernel)]);
    near(ratio(&ratios, DriftQuantity::CpuTime), (0.49, 0.49));
}

#[test]
fn waits_that_the_kernel_takes_for_cpu_time_explain_that_it_has_more() {
    let mut comparer = Comparer::new(1);
    comparer.drift.begin(&comparer.checkpoint);
    comparer.drift.take_host(HostCounters::default());
    let mut owner = comparer.checkpoint.owners[0].clone();
    owner.sums = EventSums {
        cpu_ns: 900 * MS,
        skipped_ns: 80 * MS,
        ..EventSums::default()
    };
    let events = owner.sums.clone();
    let kernel = kernel(Counted {
        cpu_ns: 1_000 * MS,
        ..Counted::default()
    });
    comparer.drift.compare(&owner, true, &events, &kernel);
    let ratios = comparer.drift.finish(&comparer.checkpoint);
    near(ratio(&ratios, DriftQuantity::CpuTime), (0.02, 0.02));
}

#[test]
fn little_is_added_up_until_it_is_enough() {
    let mut comparer = Comparer::new(1);
    let cpu = |ms: u64| Counted {
        cpu_ns: ms * MS,
        ..Counted::default()
    };
    for ms in [100, 200, 300, 400] {
        // A difference of a tick would be 4 % of 100 ms.
        let ratios = comparer.pass(&[(cpu(ms), cpu(ms - 4))]);
        assert_eq!(ratio(&ratios, DriftQuantity::CpuTime), None);
    }
    let ratios = comparer.pass(&[(cpu(500), cpu(495))]);
    near(ratio(&ratios, DriftQuantity::CpuTime), (0.01, 0.01));
}

#[test]
fn a_difference_of_long_ago_is_forgotten_but_not_one_of_oom_kills() {
    let mut comparer = Comparer::new(1);
    let mut events = all(2);
    events.cpu_ns /= 2;
    events.kills = 1;
    let ratios = comparer.pass(&[(events, all(2))]);
    near(ratio(&ratios, DriftQuantity::CpuTime), (0.5, 0.5));
    for _ in 0..5 {
        let ratios = comparer.pass(&[(events, all(2))]);
        near(ratio(&ratios, DriftQuantity::CpuTime), (0.5, 0.5));
    }
    let ratios = comparer.pass(&[(events, all(2))]);
    assert_eq!(ratio(&ratios, DriftQuantity::CpuTime), None);
    near(ratio(&ratios, DriftQuantity::OomKills), (0.5, 0.5));
}

#[test]
fn a_counter_that_begins_anew_is_not_compared_with_what_it_was() {
    let mut comparer = Comparer::new(1);
    comparer.pass(&[(all(5), all(5))]);
    let ratios = comparer.pass(&[(all(6), all(1))]);
    near(ratio(&ratios, DriftQuantity::CpuTime), (0.0, 0.0));
    let ratios = comparer.pass(&[(all(7), all(2))]);
    near(ratio(&ratios, DriftQuantity::CpuTime), (0.0, 0.0));
}

#[test]
fn a_quiet_container_is_not_read_for_a_comparison() {
    let mut comparer = Comparer::new(1);
    comparer.pass(&[(all(1), all(1))]);
    let owner = comparer.checkpoint.owners[0].clone();
    let is_quiet = |owner: &OwnerSums, earlier| comparer.drift.is_quiet(owner, &kernel(earlier));
    assert!(is_quiet(&owner, all(1)));
    assert!(!is_quiet(&owner, all(2)), "the kernel counted more");
    let mut busy = owner.clone();
    busy.sums.cpu_ns += 1;
    assert!(!is_quiet(&busy, all(1)), "there were events");
    let mut running = owner.clone();
    running.running = 1;
    assert!(!is_quiet(&running, all(1)), "one is running");
    let mut next_life = owner;
    Arc::make_mut(&mut next_life.identity).generation += 1;
    assert!(!is_quiet(&next_life, all(1)), "it is another");
}

fn sums(pipeline: &Pipeline, in_flight: &InFlight, path: &str) -> OwnerSums {
    let checkpoint = pipeline.checkpoint(in_flight, at(10));
    let found = checkpoint.owners.iter();
    let mut found = found.filter(|of| of.identity.path == path);
    found.next().expect("an owner").clone()
}

#[test]
fn a_checkpoint_has_what_was_drained_what_is_on_its_way_and_what_is_running() {
    let mut pipeline = pipeline();
    make(&mut pipeline, 7, "/a", 1);
    run(&mut pipeline, 7, 3);
    read(&mut pipeline, 7);
    let in_flight = InFlight {
        sched: vec![SchedSample {
            prev_cgroup: 7,
            slice_and_share: 500,
            ..SchedSample::default()
        }],
        block: Vec::new(),
        running: vec![
            Running {
                cgroup: 7,
                since: at(9),
            },
            Running {
                cgroup: 99,
                since: at(1),
            },
        ],
    };
    let sums = sums(&pipeline, &in_flight, "/a");
    assert_eq!(sums.sums.cpu_ns, 3 * 10 + 500 + 1_000_000_000);
    assert_eq!((sums.sums.block[0].bytes, sums.running), (4_096, 1));
    assert_eq!(
        sums.at(at(10), at(12)).cpu_ns - sums.sums.cpu_ns,
        2_000_000_000
    );
}

#[test]
fn a_new_life_has_none_of_the_sums_of_the_one_before() {
    let mut pipeline = pipeline();
    make(&mut pipeline, 7, "/a", 1);
    run(&mut pipeline, 7, 3);
    remove(&mut pipeline, 7, "/a", 2);
    make(&mut pipeline, 8, "/a", 3);
    run(&mut pipeline, 8, 2);
    let sums = sums(&pipeline, &InFlight::default(), "/a");
    assert_eq!((sums.sums.cpu_ns, sums.identity.generation), (20, 2));
}

#[test]
fn only_cgroups_without_others_below_are_compared() {
    let mut pipeline = hybrid();
    for (id, path) in (1..).zip(["/", "/pod", "/pod/a", "/pod-2", "/gone", "/gone/b"]) {
        let cgroup = CgroupKey::new(CPU, id);
        tell(&mut pipeline, CgroupChange::Made, cgroup, path, 1);
    }
    for id in [6, 5] {
        let cgroup = CgroupKey::new(CPU, id);
        tell(&mut pipeline, CgroupChange::Removed, cgroup, "/x", 2);
    }
    run(&mut pipeline, 77, 1);
    let checkpoint = pipeline.checkpoint(&InFlight::default(), at(3));
    let mut leaves: Vec<_> = checkpoint
        .leaves()
        .map(|of| of.identity.path.as_str())
        .collect();
    leaves.sort_unstable();
    assert_eq!(leaves, ["/pod-2", "/pod/a"]);
}
