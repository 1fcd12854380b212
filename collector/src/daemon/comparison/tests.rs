//! The pipeline, files that look like a cgroup's, and a comparison of the two.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path, sync::Arc, time::SystemTime};

use collector_common::sample::{BatchHeader, SchedSample};

use super::*;
use crate::{
    catalog::Recognizer,
    daemon::cgroup_files::FileSources,
    drain::{Batch, CgroupChange, Event, InFlight, Samples, Sink as _},
    export::{NameSets, otlp::Outboxes},
    host::{
        CgroupKey, HierarchyId,
        cgroup_mounts::{CgroupMounts, Hierarchy},
        cgroupfs::{CgroupVersion, DescriptorBudget, HierarchyRoots, Wanted},
    },
    reconcile::{
        Pipeline, PipelineSettings,
        drift::{DriftQuantity, DriftRatio},
        readings::{Noted, ReadingSettings, Readings, StandInVersions},
    },
    window::{Backend, BackendSettings, LossReason, Operation},
};

const PATH: &str = "/box";
const INTERVAL: Duration = Duration::from_millis(500);
const SECOND: u64 = 1_000_000_000;

/// One cgroup of v2, in which nothing has happened yet.
struct Bench {
    folder: tempfile::TempDir,
    key: CgroupKey,
    state: State,
    files: CgroupFiles,
    plan: ReadPlan,
    comparison: Comparison,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join(&PATH[1..]);
        fs::create_dir(&directory).unwrap();
        let key = CgroupKey::new(HierarchyId::V2, fs::metadata(&directory).unwrap().ino());
        let mounts = CgroupMounts {
            hierarchies: vec![Hierarchy {
                id: HierarchyId::V2,
                controllers: Vec::new(),
                mount_point: folder.path().to_owned(),
                root: "/".into(),
            }],
        };
        let settings = PipelineSettings {
            mounts: &mounts,
            recognizer: Recognizer::new(Path::new("/nonexistent")),
            operations: vec![(0, Operation::Read)],
            max_cgroups: 10,
            retention: Duration::from_mins(5),
        };
        let readings = ReadingSettings {
            interval: INTERVAL,
            max_entries: 10,
            last: Wanted::LAST,
            versions: StandInVersions {
                cpu: CgroupVersion::V2,
                memory: CgroupVersion::V2,
                io: CgroupVersion::V2,
            },
        };
        let state = State::new(
            Pipeline::new(settings, SystemTime::now()),
            Readings::new(readings),
            Backend::new(BackendSettings::default()),
            Vec::new(),
            "/".into(),
            Outboxes::default(),
        );
        let sources = FileSources {
            roots: Arc::new(HierarchyRoots::open(&mounts)),
            budget: DescriptorBudget::new(0, 0),
        };
        let mut bench = Self {
            comparison: Comparison::new(INTERVAL, true, &state),
            files: CgroupFiles::new(sources, &state),
            plan: ReadPlan::for_names(NameSets::default()),
            folder,
            key,
            state,
        };
        bench.count(0);
        bench.tell(CgroupChange::Made);
        bench.take_turn();
        bench
    }

    /// The kernel has counted so much CPU time.
    fn count(&self, cpu_ns: u64) {
        let directory = self.folder.path().join(&PATH[1..]);
        fs::write(directory.join("cgroup.procs"), "").unwrap();
        let cpu = format!("usage_usec {}\n", cpu_ns / 1_000);
        fs::write(directory.join("cpu.stat"), cpu).unwrap();
    }

    /// Events tell of so much more.
    fn run(&self, cpu_ns: u64) {
        let sample = SchedSample {
            prev_cgroup: self.key.id.0,
            next_cgroup: self.key.id.0,
            slice_and_share: cpu_ns,
            ..SchedSample::default()
        };
        self.state.pipeline().batch(&Batch {
            header: &BatchHeader::default(),
            samples: Samples::Sched(&[sample]),
        });
    }

    /// It happens to the cgroup, and what is to be read at once is read.
    fn tell(&mut self, change: CgroupChange) {
        let now = Ktime::now();
        self.state.pipeline().event(&Event::Cgroup {
            change,
            cgroup: self.key,
            path: PATH.as_bytes(),
            cut: false,
            ktime_ns: u64::try_from(now.0.as_nanos()).unwrap(),
        });
        let notes = self.state.pipeline().take_life();
        for note in notes {
            if let Noted::ReadNow(due) = self.state.readings.note(note, now) {
                self.files.read(&due, |_, _| Some(Wanted::LAST)).unwrap();
            }
        }
    }

    /// Reads it in its turn, whenever that is.
    fn take_turn(&mut self) {
        let late = Ktime(Ktime::now().0 + Duration::from_mins(1));
        let due = self.state.readings.next_due(late).unwrap();
        self.files.read(&due, |_, _| Some(Wanted::USAGE)).unwrap();
        self.state.readings.taken(&due, Ktime::now());
    }

    /// Compares as of `at`.
    fn compare_at(&mut self, at: Ktime) {
        let wish = CheckpointWish {
            slice: Slice::ALL,
            ended_after: self.comparison.seen(Slice::ALL).ended_until,
        };
        let pipeline = self.state.pipeline();
        let checkpoint = pipeline.checkpoint(&wish, &InFlight::default(), at);
        drop(pipeline);
        self.comparison
            .compare(&checkpoint, self.plan, &mut self.files, &self.state);
    }

    fn cpu_drift(&self) -> Option<DriftRatio> {
        let drift = self.state.drift();
        let mut of_cpu = drift
            .iter()
            .filter(|of| of.quantity == DriftQuantity::CpuTime);
        of_cpu.next().copied()
    }

    /// Whether its turns are passed over.
    fn rests(&self) -> bool {
        let owner = self.state.pipeline().list().0[0].1.owner;
        let mut rests = None;
        self.state.readings.entry(owner).unwrap().read(1, |target| {
            rests = Some(target.rests);
            None
        });
        rests.unwrap()
    }
}

#[test]
fn what_events_lack_of_what_the_kernel_counted_is_drift() {
    let mut bench = Bench::new();
    bench.run(3 * SECOND);
    bench.count(4 * SECOND);
    bench.compare_at(Ktime::now());
    let drift = bench.cpu_drift().unwrap();
    assert!((drift.worst - 0.25).abs() < 1e-9, "{drift:?}");
    bench.run(4 * SECOND);
    bench.count(8 * SECOND);
    bench.compare_at(Ktime::now());
    let drift = bench.cpu_drift().unwrap();
    assert!(drift.worst.abs() < f64::EPSILON, "{drift:?}");
}

#[test]
fn one_that_is_quiet_rests_until_there_is_an_event() {
    let mut bench = Bench::new();
    bench.run(3 * SECOND);
    bench.count(3 * SECOND);
    bench.compare_at(Ktime::now());
    assert!(!bench.rests());
    bench.compare_at(Ktime::now());
    assert!(bench.rests());
    bench.run(1);
    bench.compare_at(Ktime::now());
    assert!(!bench.rests());
}

#[test]
fn one_that_is_not_looked_at_any_more_does_not_rest_for_ever() {
    let mut bench = Bench::new();
    bench.run(SECOND);
    bench.count(SECOND);
    bench.compare_at(Ktime::now());
    let before = Ktime::now().0.saturating_sub(RESTS_FOR * INTERVAL);
    bench.compare_at(Ktime(before));
    assert!(!bench.rests());
}

#[test]
fn one_whose_samples_may_be_lost_is_compared_though_it_looks_quiet() {
    let mut bench = Bench::new();
    bench.run(SECOND);
    bench.count(SECOND);
    bench.compare_at(Ktime::now());
    bench.compare_at(Ktime::now());
    assert!(bench.rests());
    // It ran, and nothing tells of it; nor was it read since.
    bench.count(5 * SECOND);
    bench
        .state
        .accounts()
        .lose(Signal::Sched, LossReason::Malformed, 1);
    bench.compare_at(Ktime::now());
    assert!(!bench.rests());
    let drift = bench.cpu_drift().unwrap();
    assert!((drift.worst - 0.8).abs() < 1e-9, "{drift:?}");
}

#[test]
fn one_that_lived_between_two_comparisons_is_compared_once_its_events_are_complete() {
    let mut bench = Bench::new();
    bench.run(2 * SECOND);
    bench.tell(CgroupChange::Populated);
    bench.count(4 * SECOND);
    bench.tell(CgroupChange::Emptied);
    fs::remove_file(bench.folder.path().join("box/cpu.stat")).unwrap();
    bench.tell(CgroupChange::Removed);
    let now = Ktime::now();
    bench.compare_at(now);
    assert_eq!(bench.cpu_drift(), None);
    for later in [2, 3] {
        bench.compare_at(Ktime(now.0 + Duration::from_secs(later)));
        let drift = bench.cpu_drift().unwrap();
        // Once: the second time neither adds to it nor takes from it.
        assert!((drift.total - 0.5).abs() < 1e-9, "{drift:?}");
    }
}

#[test]
fn a_slice_is_asked_for_in_its_time_and_all_of_them_in_an_interval() {
    let bench = Bench::new();
    let interval = Duration::from_secs(10);
    let mut comparison = Comparison::new(interval, true, &bench.state);
    assert_eq!(comparison.slice.of, 10);
    let mut files = bench.files;
    comparison.go_on(bench.plan, &mut files, &bench.state);
    assert!(bench.state.take_checkpoint_wish().is_none());
    // As if it had been looked at last so long ago.
    comparison.asked = Instant::now().checked_sub(interval).unwrap() + SHORTEST;
    let asked: Vec<_> = (0..12)
        .map(|_| {
            comparison.go_on(bench.plan, &mut files, &bench.state);
            let wish = bench.state.take_checkpoint_wish();
            wish.map(|wish| wish.slice.number)
        })
        .collect();
    let due: Vec<_> = (0..9).map(Some).collect();
    assert_eq!((&asked[..9], &asked[9..]), (&due[..], &[None; 3][..]));
}
