//! What a scrape of 1,000 containers costs, in each format, and what it costs to encode them for OTLP.
//!
//! Each container has what a busy one on Kubernetes has: both scheduler histograms, two rows of block
//! I/O, quantiles of every window. The target is 100 ms per scrape, then 30 ms.

use std::{
    collections::BTreeMap,
    fs,
    hint::black_box,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::SystemTime,
};

use collector::{
    catalog::{Container, Identity, Names, Onlooker, Qos, Runtime, details::Which},
    export::{
        DetailsFuture, Format, NameSets, Source, encode_in_pieces,
        otlp::{MetricsEncoder, OwnResource, TemporalityPreference},
        serve,
    },
    host::{
        HierarchyId,
        cgroup_mounts::{CgroupMounts, Hierarchy},
        cgroupfs::{
            CgroupReader, CgroupStatistics, ControllerDirs, DescriptorBudget, HierarchyRoots,
            ReadContext, Wanted,
        },
    },
    reconcile::{
        Listing, Snapshot,
        listing::Origin,
        readings::LastReadings,
        snapshot::{
            CgroupCounts, CgroupStats, KataSnapshot, KernelReading, LifeEvents, ProcessStats,
            ReadErrors, SchedSums, SignalAccount, Timing,
        },
    },
    window::{
        BlockTotals, Cumulative, Device, LossReason, OomTotals, Operation, Quantiles, SchedTotals,
        WindowSignal,
    },
};
use collector_common::signal::Signal;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message as _;

const CONTAINERS: u64 = 1_000;

/// 1 us to about 1 s, spread over the buckets.
fn latencies(seed: u64) -> Cumulative {
    let mut values = Cumulative::new();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for _ in 0..500 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        values.record(1_000 << (state >> 60) | state >> 50);
    }
    values
}

fn container(number: u64) -> CgroupStats {
    let id = format!("{number:064x}");
    let pod_uid = format!("{number:08x}-1234-5678-9abc-def012345678");
    let slice = pod_uid.replace('-', "_");
    let block = [Operation::Read, Operation::Write].map(|operation| BlockTotals {
        device: Device {
            major: 259,
            minor: 0,
        },
        operation,
        queue: latencies(number),
        in_device: latencies(number + 1),
        bytes: number << 20,
        errors: 0,
    });
    CgroupStats {
        identity: Arc::new(Identity {
            path: format!(
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{slice}.slice/\
                 cri-containerd-{id}.scope"
            ),
            names: Names {
                name: format!("{id:.12}"),
                image: "registry.example.com/shop/checkout:v1.42.0".to_owned(),
                namespace: "shop".to_owned(),
                pod: format!("checkout-7d9c5b8f6d-{number:05}"),
                container: "checkout".to_owned(),
            },
            container: Some(Container {
                id,
                runtime: Runtime::Containerd,
                flavor: collector::catalog::Flavor::Default,
                pod_uid,
                qos: Some(Qos::Burstable),
                ..Container::default()
            }),
            told: None,
            cgroup_version: 2,
            generation: 1,
            started: SystemTime::UNIX_EPOCH,
            is_found: false,
        }),
        exited: None,
        sched: Some(SchedTotals {
            wait: latencies(number + 2),
            slice: latencies(number + 3),
            voluntary: number * 1_000,
            involuntary: number,
            preempted_by: [number, 2, 3, 4],
            clock_skip_ns: 0,
            throttled_ns: 0,
        }),
        block: block.into(),
        oom: OomTotals::default(),
        life: LifeEvents {
            sched: Some(SchedSums {
                ran_ns: number * 1_000_003,
                waited_ns: number * 10_007,
                waits: number * 1_001,
                throttled_ns: 0,
            }),
            limit_oom_kills: 0,
        },
        quantiles: WindowSignal::ALL
            .map(|signal| {
                let values_ns = [1_000, 2_500, 10_000, 64_123, 1_048_575, 33_554_431];
                (signal, Quantiles { values_ns })
            })
            .into(),
        exemplars: Vec::new(),
        kernel: KernelReading::default(),
    }
}

/// What the files of a container said to Linux 7.2.
fn statistics() -> Arc<CgroupStatistics> {
    let folder = tempfile::tempdir().expect("a folder");
    let directory = folder.path().join("pod/box");
    fs::create_dir_all(&directory).expect("a folder");
    let dump = include_str!("../src/host/cgroupfs/fixtures/v2-7.2.txt");
    for file in dump.split("== ").skip(1) {
        let (name, text) = file.split_once('\n').expect("a name");
        fs::write(directory.join(name), text).expect("a file");
    }
    let mounts = CgroupMounts {
        hierarchies: vec![Hierarchy {
            id: HierarchyId::V2,
            controllers: Vec::new(),
            mount_point: folder.path().to_owned(),
            root: "/".into(),
        }],
    };
    let roots = Arc::new(HierarchyRoots::open(&mounts));
    let directories = ControllerDirs::at(&roots, b"/pod/box");
    let mut reader = CgroupReader::new(directories, &DescriptorBudget::new(0, 0));
    let mut statistics = CgroupStatistics::default();
    reader.read(Wanted::ALL, &mut ReadContext::default(), &mut statistics);
    assert!(statistics.memory.is_some() && statistics.io.is_some());
    Arc::new(statistics)
}

/// The same containers, with what their files say.
fn snapshot_with_files() -> Snapshot {
    let statistics = statistics();
    let mut snapshot = snapshot();
    for cgroup in &mut snapshot.cgroups {
        cgroup.kernel.statistics = Some(Arc::clone(&statistics));
    }
    snapshot
}

fn snapshot() -> Snapshot {
    Snapshot {
        otlp: Vec::new(),
        life_losses: None,
        forwarder: None,
        taken: SystemTime::UNIX_EPOCH,
        cgroups: (0..CONTAINERS).map(container).collect(),
        accounts: Signal::ALL
            .map(|signal| SignalAccount {
                signal,
                observed: 1_000_000,
                recorded: 999_000,
                filtered: 1_000,
                lost: LossReason::ALL.map(|reason| (reason, 0)).into(),
                in_flight: 0,
            })
            .into(),
        programs: Vec::new(),
        oom_limits_known: true,
        throttling_known: true,
        throttles_forgotten: 0,
        counts: CgroupCounts {
            live: CONTAINERS,
            ..CgroupCounts::default()
        },
        events_overflowed: 0,
        last_readings: LastReadings::default(),
        left_out: [0; 5],
        drift: Vec::new(),
        read_errors: ReadErrors::default(),
        runtimes: Vec::new(),
        kata: KataSnapshot::default(),
        timings: vec![(Timing::Reconcile, latencies(7))],
        process: ProcessStats::default(),
    }
}

/// As the endpoint does it, which sends each piece.
fn in_pieces(snapshot: Snapshot, format: Format, names: NameSets) -> usize {
    let mut size = 0;
    let disk = |_| "nvme0n1".to_owned();
    encode_in_pieces(snapshot, format, names, disk, |piece| {
        size += black_box(piece).len();
        true
    })
    .expect("a snapshot can be encoded");
    size
}

fn encoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scrape_1000_containers");
    group.sample_size(20);
    let snapshot = snapshot();
    for format in Format::ALL {
        let size = in_pieces(snapshot.clone(), format, NameSets::default());
        group.bench_function(format!("{format:?} ({} KiB)", size / 1024), |bencher| {
            bencher.iter_batched(
                || snapshot.clone(),
                |snapshot| in_pieces(snapshot, format, NameSets::default()),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

/// For an OpenTelemetry collector, with what containers' files say, beside a scrape of the same as protobuf.
fn encoding_for_otlp(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("otlp_1000_containers");
    group.sample_size(20);
    let snapshot = snapshot_with_files();
    let protobuf = Format::PrometheusProtobuf;
    let size = in_pieces(snapshot.clone(), protobuf, NameSets::default());
    group.bench_function(
        format!("a scrape as protobuf ({} KiB)", size / 1024),
        |bencher| {
            bencher.iter_batched(
                || snapshot.clone(),
                |snapshot| in_pieces(snapshot, protobuf, NameSets::default()),
                BatchSize::LargeInput,
            );
        },
    );
    for temporality in [
        TemporalityPreference::Cumulative,
        TemporalityPreference::Delta,
    ] {
        let own = Arc::new(OwnResource::default());
        let mut encoder = MetricsEncoder::new(own, temporality, SystemTime::UNIX_EPOCH);
        let mut encode = |snapshot| {
            let devices = BTreeMap::new();
            let made = encoder.encode(snapshot, &devices);
            let resource_metrics = made.expect("a snapshot can be encoded");
            let request = ExportMetricsServiceRequest { resource_metrics };
            black_box(request.encode_to_vec()).len()
        };
        let first = encode(snapshot.clone());
        let size = encode(snapshot.clone());
        let name = format!(
            "{temporality:?} ({} KiB, then {} KiB)",
            first / 1024,
            size / 1024
        );
        group.bench_function(name, |bencher| {
            bencher.iter_batched(|| snapshot.clone(), &mut encode, BatchSize::LargeInput);
        });
    }
    group.finish();
}

/// Under the names of others too.
fn encoding_with_names_of_others(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scrape_1000_containers_with_names_of");
    group.sample_size(20);
    let snapshot = snapshot_with_files();
    let (on, off) = (true, false);
    for (what, containerd, cadvisor) in [
        ("containerd", on, off),
        ("cadvisor", off, on),
        ("both", on, on),
    ] {
        let names = NameSets {
            containerd,
            cadvisor,
        };
        for format in Format::ALL {
            let size = in_pieces(snapshot.clone(), format, names);
            let name = format!("{what}, {format:?} ({} KiB)", size / 1024);
            group.bench_function(name, |bencher| {
                bencher.iter_batched(
                    || snapshot.clone(),
                    |snapshot| in_pieces(snapshot, format, names),
                    BatchSize::LargeInput,
                );
            });
        }
    }
    group.finish();
}

/// Always the same numbers.
struct Fixed(Snapshot);

impl Source for Fixed {
    fn details(&self, _: Which) -> DetailsFuture {
        Box::pin(async { None })
    }

    fn snapshot(&self, _: Onlooker) -> Snapshot {
        self.0.clone()
    }

    fn listing(&self) -> Listing {
        Listing {
            elsewhere: Vec::new(),
            runtimes: Vec::new(),
            own_container: None,
            taken: self.0.taken,
            origin: Origin::Daemon,
            hierarchies: Vec::new(),
            cgroups: Vec::new(),
            left_out: 0,
        }
    }

    fn readiness(&self) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }
}

/// Scrapes once and returns the size of the answer.
fn scrape(endpoint: SocketAddr, format: Format, encoding: &str) -> usize {
    let mut connection = TcpStream::connect(endpoint).expect("the endpoint listens");
    write!(
        connection,
        "GET /metrics HTTP/1.1\r\nHost: bench\r\nAccept: {}\r\nAccept-Encoding: {encoding}\r\n\
         Connection: close\r\n\r\n",
        format.content_type()
    )
    .expect("the endpoint reads");
    let mut answer = Vec::new();
    connection
        .read_to_end(&mut answer)
        .expect("the endpoint answers");
    assert!(
        answer.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    answer.len()
}

fn over_http(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .expect("a free port");
    let endpoint = listener.local_addr().expect("an address");
    let source = Arc::new(Fixed(snapshot()));
    let server = std::thread::spawn(move || {
        runtime.block_on(serve(listener, source, std::future::pending()))
    });
    let mut group = criterion.benchmark_group("scrape_1000_containers_over_http");
    group.sample_size(10);
    for format in Format::ALL {
        for encoding in ["identity", "gzip"] {
            let size = scrape(endpoint, format, encoding);
            group.bench_function(
                format!("{format:?} {encoding} ({} KiB)", size / 1024),
                |bencher| {
                    bencher.iter(|| scrape(endpoint, format, encoding));
                },
            );
        }
    }
    group.finish();
    assert!(!server.is_finished(), "the endpoint is still there");
}

criterion_group!(
    benches,
    encoding,
    encoding_for_otlp,
    encoding_with_names_of_others,
    over_http
);
criterion_main!(benches);
