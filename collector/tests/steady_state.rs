//! Reading cgroup files again and again, and recording samples, slow ones too, allocates nothing: counted by an
//! allocator of this test's own.
#![expect(unsafe_code, reason = "an allocator is unsafe by its interface")]

mod counting;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use counting::ALLOCATIONS;

use collector::{
    catalog::Recognizer,
    drain::{Batch, CgroupChange, Event, Samples, Sink as _},
    host::{
        CgroupKey, HierarchyId,
        cgroup_mounts::{CgroupMounts, Hierarchy},
        cgroupfs::{
            CgroupReader, CgroupStatistics, ControllerDirs, DescriptorBudget, HierarchyRoots,
            ReadContext, Wanted,
        },
    },
    reconcile::{
        Pipeline, PipelineSettings,
        slow::{SlowAbove, SlowThresholds},
    },
    window::Operation,
};
use collector_common::sample::{BatchHeader, BlockSample, SchedSample};

/// Writes a dumped tree into a folder, and a key that no version of this program knows.
fn write(folder: &Path, dump: &str) {
    let mut directory = PathBuf::new();
    let mut file = PathBuf::new();
    for line in dump.split_inclusive('\n') {
        if let Some(name) = line.strip_prefix("@@ ") {
            directory = folder.join(name.trim_end().replacen("pod/box", "tree/pod/box", 1));
            fs::create_dir_all(&directory).expect("a folder");
        } else if let Some(name) = line.strip_prefix("== ") {
            file = directory.join(name.trim_end());
            let begin = if name.contains("memory.stat") {
                "a_new_key 7\n"
            } else {
                ""
            };
            fs::write(&file, begin).expect("a file");
        } else {
            let text = fs::read_to_string(&file).expect("a file") + line;
            fs::write(&file, text).expect("a file");
        }
    }
}

/// Allocations of ten readings, after two that may allocate.
fn allocations(hierarchies: Vec<Hierarchy>, path: &str, budget: &DescriptorBudget) -> u64 {
    let roots = Arc::new(HierarchyRoots::open(&CgroupMounts { hierarchies }));
    let mut reader = CgroupReader::new(ControllerDirs::at(&roots, path.as_bytes()), budget);
    let mut context = ReadContext::default();
    let mut statistics = CgroupStatistics::default();
    for _ in 0..2 {
        reader.read(Wanted::ALL, &mut context, &mut statistics);
    }
    let (before, files) = (ALLOCATIONS.get(), context.account.files);
    for _ in 0..10 {
        reader.read(Wanted::ALL, &mut context, &mut statistics);
    }
    let allocations = ALLOCATIONS.get() - before;
    let files = context.account.files - files;
    assert!(files > 200, "{files} files");
    let memory = statistics.memory.expect("memory");
    assert_eq!(memory.stat.other.value("a_new_key"), Some(7));
    allocations
}

#[test]
fn readings_allocate_nothing_once_the_cgroup_is_known() {
    let counted = ALLOCATIONS.get();
    drop(std::hint::black_box(Box::new(1)));
    assert_eq!(ALLOCATIONS.get(), counted + 1, "the counter counts");

    for budget in [DescriptorBudget::new(99, 99), DescriptorBudget::new(0, 0)] {
        let folder = tempfile::tempdir().expect("a folder");
        write(
            folder.path(),
            include_str!("../src/host/cgroupfs/fixtures/v2-7.2.txt"),
        );
        let hierarchy = |name: &str, id, controllers: &[&str]| Hierarchy {
            id: HierarchyId(id),
            controllers: controllers.iter().map(|of| (*of).to_owned()).collect(),
            mount_point: folder.path().join(name),
            root: "/".into(),
        };
        let v2 = vec![hierarchy("tree", 0, &[])];
        assert_eq!(allocations(v2, "/pod/box", &budget), 0);

        write(
            folder.path(),
            include_str!("../src/host/cgroupfs/fixtures/v1-5.10.txt"),
        );
        let v1 = [
            "cpu,cpuacct",
            "memory",
            "blkio",
            "pids",
            "hugetlb",
            "cpuset",
        ]
        .iter()
        .zip(1..)
        .map(|(name, id)| hierarchy(name, id, &name.split(',').collect::<Vec<_>>()))
        .collect();
        assert_eq!(allocations(v1, "/tree/pod/box", &budget), 0);
    }
}

/// A batch of each signal, of three cgroups, in which every value is above a microsecond.
fn give_batches(pipeline: &mut Pipeline) {
    let header = BatchHeader {
        opened_ns: 5_000_000_000,
        submitted_ktime_ns: 6_000_000_000,
        ..BatchHeader::default()
    };
    let switches: [_; 64] = std::array::from_fn(|number| SchedSample {
        next_cgroup: 1 + number as u64 % 3,
        prev_cgroup: 1 + (number as u64 + 1) % 3,
        wait_and_flags: 30_000_000,
        slice_and_share: 1_000_000,
    });
    let completions: [_; 16] = std::array::from_fn(|number| BlockSample {
        cgroup: 1 + number as u64 % 3,
        queue_ns: 20_000,
        device_ns: 20_000_000,
        bytes: 4_096,
        device: 8 << 20,
        ..BlockSample::default()
    });
    for samples in [Samples::Sched(&switches), Samples::BlockIo(&completions)] {
        let header = &header;
        pipeline.batch(&Batch { header, samples });
    }
}

#[test]
fn recording_samples_allocates_nothing_be_they_slow_or_not() {
    let hierarchies = vec![Hierarchy {
        id: HierarchyId::V2,
        controllers: Vec::new(),
        mount_point: "/nonexistent".into(),
        root: "/".into(),
    }];
    let settings = PipelineSettings {
        mounts: &CgroupMounts { hierarchies },
        recognizer: Recognizer::new(Path::new("/nonexistent")),
        operations: vec![(0, Operation::Read)],
        max_cgroups: 100,
        retention: Duration::from_mins(5),
    };
    let mut pipeline = Pipeline::new(settings, SystemTime::UNIX_EPOCH);
    for id in 1..=3 {
        pipeline.event(&Event::Cgroup {
            change: CgroupChange::Made,
            cgroup: CgroupKey::new(HierarchyId::V2, id),
            path: format!("/docker/{id:064x}").as_bytes(),
            cut: false,
            ktime_ns: 1,
        });
    }
    let above = SlowAbove::Time(Duration::from_micros(1));
    let watched = SlowThresholds {
        runqueue: above,
        block_io: above,
    };
    for (thresholds, is_watched) in [(SlowThresholds::OFF, false), (watched, true)] {
        pipeline.watch_slow(thresholds);
        // Takes the places of the cgroups, and the memory of their windows.
        give_batches(&mut pipeline);
        let take_all = |pipeline: &mut Pipeline| {
            let rounds = (0..Pipeline::SLOW_ROUNDS).map(|_| pipeline.take_slow());
            rounds.fold((0, 0), |(kept, dropped), slow| {
                (kept + slow.samples.len(), dropped + slow.dropped.total())
            })
        };
        take_all(&mut pipeline);
        let before = ALLOCATIONS.get();
        for _ in 0..100 {
            give_batches(&mut pipeline);
        }
        assert_eq!(ALLOCATIONS.get() - before, 0);
        let (kept, dropped) = take_all(&mut pipeline);
        // 64 of each cgroup are kept, and all else is counted.
        assert_eq!(kept, if is_watched { 3 * 64 } else { 0 });
        let all = if is_watched { 100 * (64 + 2 * 16) } else { 0 };
        assert_eq!(dropped + kept as u64, all);
    }
}
