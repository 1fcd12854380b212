//! How fast samples get into the windows, and quantiles out of them. One element is one sample (one
//! context switch, or one completion).

use std::{
    hint::black_box,
    path::Path,
    time::{Duration, SystemTime},
};

use collector::{
    catalog::Recognizer,
    drain::{Batch, CgroupChange, Event, Samples, Sink as _},
    host::{
        CgroupKey, HierarchyId,
        cgroup_mounts::{CgroupMounts, Hierarchy},
    },
    reconcile::{Pipeline, PipelineSettings},
    window::{
        CgroupView, CgroupWindows, Cumulative, Operation, OperationCodes, Quantiles, SlowAbove,
        SlowThresholds, WindowSettings, WindowSignal, WindowedHistogram,
    },
};
use collector_common::sample::{BLOCK_BATCH, BatchHeader, BlockSample, SCHED_BATCH, SchedSample};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Batches per round: enough that branch predictors cannot learn them by heart.
const BATCHES: usize = 512;

/// Repeatable noise (xorshift64).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A span of about `2^octave` ns, spread over several octaves as latencies are.
    fn span(&mut self, octave: u64) -> u64 {
        let octave = octave + self.below(4) + self.below(4);
        (1 << octave) | (self.next() & ((1 << octave) - 1))
    }
}

/// Batches as a CPU fills them: who gets the CPU leaves it next, a fifth of the time to idle, and
/// one switch in five is a preemption.
fn switches(cgroups: u64) -> Vec<[SchedSample; SCHED_BATCH]> {
    let mut noise = Noise(0x9E37_79B9_7F4A_7C15);
    let mut running = 1;
    let mut batch = || {
        [(); SCHED_BATCH].map(|()| {
            let prev = running;
            let mut flags = 0;
            running = if noise.below(5) == 0 {
                0
            } else {
                1 + noise.below(cgroups)
            };
            if running == 0 && prev == 0 {
                running = 1;
            }
            if prev == 0 {
                flags |= SchedSample::FLAG_PREV_IDLE;
            } else if running == 0 {
                flags |= SchedSample::FLAG_NEXT_IDLE;
            } else if noise.below(5) == 0 {
                flags |= SchedSample::FLAG_INVOLUNTARY;
            }
            SchedSample {
                next_cgroup: running,
                prev_cgroup: prev,
                wait_and_flags: noise.span(9) | flags,
                slice_and_share: noise.span(13),
            }
        })
    };
    (0..BATCHES).map(|_| batch()).collect()
}

fn completions(cgroups: u64) -> Vec<[BlockSample; BLOCK_BATCH]> {
    let mut noise = Noise(0x9E37_79B9_7F4A_7C15);
    let mut batch = || {
        [(); BLOCK_BATCH].map(|()| BlockSample {
            cgroup: 1 + noise.below(cgroups),
            queue_ns: noise.span(10),
            device_ns: noise.span(16),
            bytes: 4_096,
            device: 8 << 20,
            operation: u16::from(noise.below(3) == 0),
            flags: 0,
            since_opened_us: 0,
        })
    };
    (0..BATCHES).map(|_| batch()).collect()
}

fn record_sched(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("record_sched");
    group.throughput(Throughput::Elements((BATCHES * SCHED_BATCH) as u64));
    for cgroups in [2, 100, 1_000] {
        let batches = switches(cgroups);
        let mut windows = CgroupWindows::new(WindowSettings::default());
        group.bench_function(format!("{cgroups} cgroups"), |bencher| {
            bencher.iter(|| {
                for batch in &batches {
                    black_box(windows.record_sched(HierarchyId::V2, black_box(batch)));
                }
            });
        });
        assert_eq!(windows.overflowed(), 0);
    }
    group.finish();
}

fn record_block(criterion: &mut Criterion) {
    let codes = OperationCodes::new([(0, Operation::Read), (1, Operation::Write)]);
    let mut group = criterion.benchmark_group("record_block");
    group.throughput(Throughput::Elements((BATCHES * BLOCK_BATCH) as u64));
    for cgroups in [2, 1_000] {
        let batches = completions(cgroups);
        let mut windows = CgroupWindows::new(WindowSettings::default());
        group.bench_function(format!("{cgroups} cgroups"), |bencher| {
            bencher.iter(|| {
                for batch in &batches {
                    black_box(windows.record_block(HierarchyId::V2, black_box(batch), &codes));
                }
            });
        });
    }
    group.finish();
}

/// The numbers and identities of containers, with a look-out for slow samples.
fn pipeline(containers: u64, above: SlowAbove) -> Pipeline {
    let hierarchy = Hierarchy {
        id: HierarchyId::V2,
        controllers: Vec::new(),
        mount_point: "/sys/fs/cgroup".into(),
        root: "/".into(),
    };
    let mut pipeline = Pipeline::new(
        PipelineSettings {
            mounts: &CgroupMounts {
                hierarchies: vec![hierarchy],
            },
            recognizer: Recognizer::new(Path::new("/nonexistent")),
            operations: vec![(0, Operation::Read), (1, Operation::Write)],
            max_cgroups: 1_000,
            retention: Duration::from_mins(5),
        },
        SystemTime::UNIX_EPOCH,
    );
    for id in 1..=containers {
        pipeline.event(&Event::Cgroup {
            change: CgroupChange::Made,
            cgroup: CgroupKey::new(HierarchyId::V2, id),
            path: format!("/docker/{id:064x}").as_bytes(),
            cut: false,
            ktime_ns: 1,
        });
    }
    pipeline.watch_slow(SlowThresholds {
        runqueue: above,
        block_io: above,
    });
    pipeline
}

/// A batch's samples, and what passes from the one before of its CPU.
type Timed<'a> = (Samples<'a>, u64);

/// Records batches as of two CPUs in turn, none of which is lost.
fn drain(pipeline: &mut Pipeline, headers: &mut [BatchHeader; 2], batches: &[Timed<'_>]) {
    for (index, (samples, ns)) in batches.iter().enumerate() {
        let header = &mut headers[index % 2];
        header.sequence += 1;
        header.opened_ns += ns;
        header.submitted_ktime_ns = header.opened_ns + ns;
        black_box(pipeline.batch(&Batch {
            header,
            samples: black_box(*samples),
        }));
    }
    black_box(pipeline.take_slow());
}

/// The same, and whose they are, with a look-out for slow samples: for none, for such as do not come, for one in a
/// thousand, and for all. Who had the CPU or the disk meanwhile is looked up for those that are kept.
fn record_slow(criterion: &mut Criterion) {
    let (switches, completions) = (switches(100), completions(100));
    let slices = |batch: &[SchedSample]| batch.iter().map(SchedSample::slice_ns).sum();
    let sched: Vec<Timed<'_>> = switches
        .iter()
        .map(|batch| (Samples::Sched(batch), slices(batch)))
        .collect();
    // A disk of some 32,000 requests a second.
    let block: Vec<Timed<'_>> = completions
        .iter()
        .map(|batch| (Samples::BlockIo(batch), 1_000_000))
        .collect();
    let waits = switches.iter().flatten().map(SchedSample::wait_ns);
    let in_disk = completions.iter().flatten().map(|of| of.device_ns);
    record_slow_of(criterion, "record_slow", &sched, waits.collect());
    record_slow_of(criterion, "record_slow_block", &block, in_disk.collect());
}

fn record_slow_of(
    criterion: &mut Criterion,
    name: &str,
    batches: &[Timed<'_>],
    mut values: Vec<u64>,
) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(values.len() as u64));
    let time = |of| SlowAbove::Time(Duration::from_nanos(of));
    values.sort_unstable();
    let one_in_a_thousand = values[values.len() - values.len() / 1_000];
    for (name, above) in [
        ("off", SlowAbove::Off),
        ("nothing slow", time(1 << 38)),
        ("one in a thousand slow", time(one_in_a_thousand)),
        ("all slow", time(0)),
    ] {
        let mut pipeline = pipeline(100, above);
        let mut headers = [0, 1].map(|cpu| BatchHeader {
            cpu,
            ..BatchHeader::default()
        });
        group.bench_function(name, |bencher| {
            bencher.iter(|| drain(&mut pipeline, &mut headers, batches));
        });
    }
    group.finish();
}

/// The two halves of one value, apart.
fn record_value(criterion: &mut Criterion) {
    let mut noise = Noise(0x9E37_79B9_7F4A_7C15);
    let values: Vec<u64> = (0..1 << 15).map(|_| noise.span(11)).collect();
    let mut group = criterion.benchmark_group("record_value");
    group.throughput(Throughput::Elements(values.len() as u64));
    let mut windowed = WindowedHistogram::new(WindowSettings::DEFAULT_WINDOWS);
    group.bench_function("windowed", |bencher| {
        bencher.iter(|| {
            for &value in &values {
                black_box(windowed.record(value)).expect("all are in range");
            }
        });
    });
    let mut cumulative = Cumulative::new();
    group.bench_function("cumulative", |bencher| {
        bencher.iter(|| {
            for &value in &values {
                cumulative.record(black_box(value));
            }
        });
    });
    group.finish();
}

/// What a scrape of 1,000 cgroups takes from here, and what a rotation does. One element is one
/// cgroup.
fn read(criterion: &mut Criterion) {
    let cgroups = 1_000;
    let mut windows = CgroupWindows::new(WindowSettings::default());
    let batches = switches(cgroups);
    for _ in 0..WindowSettings::DEFAULT_WINDOWS {
        windows.rotate();
        for batch in &batches {
            windows.record_sched(HierarchyId::V2, batch);
        }
    }
    let keys: Vec<CgroupKey> = windows.keys().collect();
    let mut group = criterion.benchmark_group("read");
    group.throughput(Throughput::Elements(cgroups));
    group.bench_function("quantiles of 2 signals", |bencher| {
        bencher.iter(|| {
            for &key in &keys {
                for signal in [WindowSignal::RunqueueLatency, WindowSignal::OncpuSlice] {
                    let view = windows.get(key);
                    black_box(Quantiles::of(view.and_then(|view| view.windowed(signal))));
                }
            }
        });
    });
    group.bench_function("totals", |bencher| {
        bencher.iter(|| {
            for &key in &keys {
                black_box(windows.get(key).map(CgroupView::totals));
            }
        });
    });
    group.bench_function("rotate and record once", |bencher| {
        bencher.iter(|| {
            windows.rotate();
            for batch in &batches {
                black_box(windows.record_sched(HierarchyId::V2, batch));
            }
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(3));
    targets = record_sched, record_block, record_slow, record_value, read
}
criterion_main!(benches);
