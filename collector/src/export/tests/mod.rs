//! One small snapshot in which every figure is there, and readers for what is made of it.

mod catalog;
mod endpoint;
mod exemplars;
mod exposition;
pub(super) mod kata;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use collector_common::signal::{KernelLoss, Signal};
use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::{
    LabelPair, MetricFamily,
};
use prost::Message as _;

use super::{Format, NameSets, encode};
use crate::{
    catalog::{
        Container, Identity, Names, Qos, Runtime, RuntimeContainer,
        following::RuntimeStatus,
        runtimes::{Endpoint, Protocol},
    },
    reconcile::{
        Snapshot,
        delivery::{OtlpAccount, OtlpSignal},
        drift::{DriftQuantity, DriftRatio},
        forwarding::ForwarderFigures,
        readings::LastReadings,
        snapshot::{
            CgroupCounts, CgroupStats, KataSnapshot, KernelReading, LastReading, LifeEvents,
            ProcessStats, ProgramCost, ProgramStats, ReadErrors, SignalAccount, Timing,
        },
    },
    window::{
        BlockTotals, Cumulative, Device, LossReason, OomTotals, Operation, Quantiles, SchedTotals,
        WindowSignal,
    },
};

/// Raw waits, ns: both sides of the zero threshold and of a classic bound, and one above all.
const WAITS_NS: [u64; 8] = [0, 0, 1, 1_000, 1_001, 3_000_000, 3_100_000, 20_000_000_000];
const SLICES_NS: [u64; 3] = [40_000, 4_000_000, 2_500_000_000];
const QUEUED_NS: [u64; 1] = [70_000];
const IN_DEVICE_NS: [u64; 2] = [900_000, 1_100_000];

pub(super) fn recorded(values_ns: &[u64]) -> Cumulative {
    let mut cumulative = Cumulative::new();
    for &ns in values_ns {
        cumulative.record(ns);
    }
    cumulative
}

/// A container that has done everything, and is gone.
pub(super) fn busy_container() -> CgroupStats {
    CgroupStats {
        identity: Arc::new(Identity {
            path: "/kubepods/burstable/pod1/c0ffee".to_owned(),
            names: Names {
                name: "k8s_web".to_owned(),
                image: "web:1".to_owned(),
                namespace: "shop".to_owned(),
                pod: "web-0".to_owned(),
                container: "web".to_owned(),
            },
            container: Some(Container {
                id: "c0ffee".to_owned(),
                runtime: Runtime::Containerd,
                pod_uid: "pod1".to_owned(),
                qos: Some(Qos::Burstable),
                ..Container::default()
            }),
            told: Some(Arc::new(told())),
            cgroup_version: 2,
            generation: 1,
            started: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250),
            is_found: false,
        }),
        exited: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_101)),
        sched: Some(SchedTotals {
            wait: recorded(&WAITS_NS),
            slice: recorded(&SLICES_NS),
            voluntary: 5,
            involuntary: 3,
            preempted_by: [0, 1, 0, 2],
            clock_skip_ns: 11,
            throttled_ns: 250,
        }),
        block: vec![BlockTotals {
            device: Device { major: 8, minor: 0 },
            operation: Operation::Write,
            queue: recorded(&QUEUED_NS),
            in_device: recorded(&IN_DEVICE_NS),
            bytes: 8_192,
            errors: 1,
        }],
        oom: OomTotals {
            victim: 1,
            limit_owner: 2,
        },
        life: LifeEvents::default(),
        quantiles: vec![(
            WindowSignal::RunqueueLatency,
            Quantiles {
                values_ns: [1_000, 2_000, 3_000, 4_000, 5_000_000, 6_000_000_000],
            },
        )],
        exemplars: Vec::new(),
        kernel: KernelReading {
            last: LastReading::Final,
            ..KernelReading::default()
        },
    }
}

/// What the runtime tells of it.
fn told() -> RuntimeContainer {
    let labels = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
    RuntimeContainer {
        exit_code: Some(137),
        restarts: Some(3),
        labels: labels("example.com/team", "shop \"A\""),
        pod_labels: labels("app", "web"),
        ..RuntimeContainer::default()
    }
}

/// A runtime that answers, and has not always.
fn runtime() -> RuntimeStatus {
    RuntimeStatus {
        endpoint: Endpoint {
            protocol: Protocol::Containerd,
            address: "/run/containerd/containerd.sock".to_owned(),
        },
        runtime: Some(Runtime::Containerd),
        version: Some("1.6.20".to_owned()),
        since: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)),
        last_error: None,
        calls: [1, 2, 3, 4],
        errors: [1, 0, 0, 2, 0, 3],
        left_out: 5,
    }
}

/// A cgroup of which nothing is known but that it is there.
pub(super) fn unknown_cgroup() -> CgroupStats {
    CgroupStats {
        identity: Arc::new(Identity {
            path: "~unresolved/0/4242".to_owned(),
            names: Names::default(),
            container: None,
            told: None,
            cgroup_version: 0,
            generation: 1,
            started: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_001),
            is_found: false,
        }),
        exited: None,
        sched: None,
        block: Vec::new(),
        oom: OomTotals::default(),
        life: LifeEvents::default(),
        quantiles: Vec::new(),
        kernel: KernelReading::default(),
        exemplars: Vec::new(),
    }
}

pub(super) fn full_snapshot() -> Snapshot {
    let account = |signal, observed, recorded, filtered, ring_full| SignalAccount {
        signal,
        observed,
        recorded,
        filtered,
        lost: vec![
            (LossReason::Kernel(KernelLoss::RingFull), ring_full),
            (LossReason::Malformed, 0),
        ],
        in_flight: observed - recorded - filtered - ring_full,
    };
    Snapshot {
        otlp: vec![OtlpAccount {
            signal: OtlpSignal::Traces,
            put: 40,
            sent: 20,
            waiting: 5,
            lost: [5, 4, 3, 2, 1],
        }],
        life_losses: Some([1, 2, 3, 4, 5, 6, 7]),
        forwarder: Some(ForwarderFigures {
            spans: 7,
            accepted: 5,
            open: 2,
            sockets: 1,
            errors: [1, 2, 3, 4, 5, 6, 8],
        }),
        taken: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_200),
        cgroups: vec![busy_container(), unknown_cgroup()],
        accounts: vec![
            account(Signal::Sched, 100, 60, 10, 20),
            account(Signal::Oom, 0, 0, 0, 0),
        ],
        programs: vec![
            ProgramStats {
                name: "sched_switch",
                attached: true,
                cost: Some(ProgramCost {
                    runs: 1_000,
                    run_time_ns: 250_000,
                }),
            },
            ProgramStats {
                name: "mark_victim",
                attached: false,
                cost: None,
            },
        ],
        oom_limits_known: true,
        throttling_known: true,
        throttles_forgotten: 3,
        counts: CgroupCounts {
            live: 1,
            exited: 2,
            unresolved: 3,
            overflowed: 4,
            unnamed: 6,
            names_left_out: 7,
        },
        events_overflowed: 5,
        left_out: [1, 2, 3, 4, 5],
        last_readings: LastReadings {
            won: 7,
            late: 2,
            lost: 1,
        },
        drift: vec![
            DriftRatio {
                quantity: DriftQuantity::CpuTime,
                worst: 0.5,
                total: 0.25,
            },
            DriftRatio {
                quantity: DriftQuantity::OomKills,
                worst: 0.0,
                total: 0.0,
            },
        ],
        read_errors: ReadErrors {
            unparsed: [1, 2, 3, 4, 5, 6, 7, 8],
            unreadable: 9,
            cut: 10,
            over_bound: 11,
        },
        runtimes: vec![runtime()],
        kata: KataSnapshot::default(),
        timings: vec![
            (Timing::Reconcile, recorded(&[2_000_000])),
            (Timing::CgroupfsRead, recorded(&[30_000])),
            (Timing::Drain, recorded(&[])),
        ],
        process: ProcessStats {
            cpu_seconds: Some(1.25),
            resident_memory_bytes: Some(30 << 20),
            virtual_memory_bytes: Some(200 << 20),
            open_fds: Some(40),
            max_fds: Some(1_024),
            start_time_seconds: Some(1_700_000_000.5),
        },
    }
}

fn encoded(snapshot: Snapshot, format: Format) -> Vec<u8> {
    encode(
        snapshot,
        format,
        NameSets::default(),
        |Device { major, minor }| format!("disk{major}p{minor}"),
    )
    .expect("the snapshot can be encoded")
}

fn encoded_text(snapshot: Snapshot, format: Format) -> String {
    String::from_utf8(encoded(snapshot, format)).expect("text is UTF-8")
}

pub(super) fn encoded_families(snapshot: Snapshot) -> Vec<MetricFamily> {
    let bytes = encoded(snapshot, Format::PrometheusProtobuf);
    let mut rest = bytes.as_slice();
    let mut families = Vec::new();
    while !rest.is_empty() {
        families.push(MetricFamily::decode_length_delimited(&mut rest).expect("a family"));
    }
    families
}

/// The name and labels of a series.
pub(super) type Series = (String, BTreeMap<String, String>);

/// The samples of a text exposition.
pub(super) fn parsed(text: &str) -> BTreeMap<Series, f64> {
    let mut samples = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = parsed_sample(line);
        assert!(samples.insert(series, value).is_none(), "twice: {line}");
    }
    samples
}

fn parsed_sample(line: &str) -> (Series, f64) {
    let mut labels = BTreeMap::new();
    let name_end = line.find(['{', ' ']).expect("a name");
    let (name, mut rest) = line.split_at(name_end);
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, value) = rest.split_once("=\"").expect("a label");
            let (value, behind) = unescaped(value);
            assert!(
                labels.insert(label.to_owned(), value).is_none(),
                "twice in {line}: {label}"
            );
            rest = behind.strip_prefix(',').unwrap_or(behind);
        }
        rest = &rest[1..];
    }
    let value = rest
        .strip_prefix(' ')
        .expect("a value")
        .parse()
        .expect("a number");
    ((name.to_owned(), labels), value)
}

/// A label's value up to its closing quote, and what is behind that.
fn unescaped(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return (value, &text[index + 1..]),
            '\\' => value.push(match characters.next().expect("an escaped character").1 {
                'n' => '\n',
                same @ ('\\' | '"') => same,
                other => panic!("escaped for no reason: {other}"),
            }),
            other => value.push(other),
        }
    }
    panic!("no closing quote: {text}")
}

/// The samples of a protobuf exposition as the text formats would write them.
pub(super) fn flattened(families: &[MetricFamily]) -> BTreeMap<Series, f64> {
    let mut samples = BTreeMap::new();
    for family in families {
        for metric in &family.metric {
            let labels = labels_of(&metric.label);
            let mut add = |suffix: &str, labels: BTreeMap<String, String>, value: f64| {
                let series = (format!("{}{suffix}", family.name), labels);
                assert!(
                    samples.insert(series.clone(), value).is_none(),
                    "twice: {series:?}"
                );
            };
            if let Some(counter) = &metric.counter {
                add("", labels, counter.value);
            } else if let Some(gauge) = &metric.gauge {
                add("", labels, gauge.value);
            } else if let Some(histogram) = &metric.histogram {
                add("_sum", labels.clone(), histogram.sample_sum);
                add("_count", labels.clone(), as_float(histogram.sample_count));
                for bucket in &histogram.bucket {
                    let mut labels = labels.clone();
                    labels.insert("le".to_owned(), bound_text(bucket.upper_bound));
                    add("_bucket", labels, as_float(bucket.cumulative_count));
                }
            } else {
                panic!("no value: {}", family.name);
            }
        }
    }
    samples
}

fn labels_of(pairs: &[LabelPair]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|pair| (pair.name.clone(), pair.value.clone()))
        .collect()
}

/// With what the text says as a number, so that `1e-6` and `0.000001` are the same.
pub(super) fn with_bounds_as_numbers(samples: BTreeMap<Series, f64>) -> BTreeMap<Series, f64> {
    samples
        .into_iter()
        .map(|((name, mut labels), value)| {
            if let Some(bound) = labels.get_mut("le") {
                *bound = bound_text(bound.parse().expect("a bound"));
            }
            ((name, labels), value)
        })
        .collect()
}

fn bound_text(bound: f64) -> String {
    format!("{bound:e}")
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the counts of the tests are small"
)]
fn as_float(count: u64) -> f64 {
    count as f64
}
