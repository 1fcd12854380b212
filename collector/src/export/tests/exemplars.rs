//! Exemplars in each format.

use std::time::{Duration, SystemTime};

use super::{
    super::{Format, catalog},
    encoded_families, encoded_text, full_snapshot, labels_of,
};
use crate::{
    reconcile::{
        Snapshot,
        snapshot::{Exemplar, ExemplarOf, SpanRef},
    },
    window::{Device, Operation},
};

fn exemplar(of: ExemplarOf, value_ns: u64, at_ms: u64, number: u8) -> Exemplar {
    Exemplar {
        of,
        value_ns,
        at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_000 + at_ms),
        span: SpanRef {
            trace_id: [number; 16],
            span_id: [0xA0 | number; 8],
        },
    }
}

/// Of the waits, three in two buckets and one above all; of the disk, one of each stage; of another disk,
/// which has no series, one.
fn with_exemplars() -> Snapshot {
    let operation = Operation::Write;
    let device = Device { major: 8, minor: 0 };
    let other = Device { major: 8, minor: 1 };
    let wait = ExemplarOf::RunqueueLatency;
    let mut snapshot = full_snapshot();
    snapshot.cgroups[0].exemplars = vec![
        exemplar(wait, 3_100_000, 2_005, 2),
        exemplar(wait, 3_000_000, 1_000, 1),
        exemplar(wait, 1_000, 3, 3),
        exemplar(wait, 20_000_000_000, 4_000, 4),
        exemplar(ExemplarOf::BlockIoQueue { device, operation }, 70_000, 5, 5),
        exemplar(
            ExemplarOf::BlockIoDevice { device, operation },
            1_100_000,
            6,
            6,
        ),
        exemplar(
            ExemplarOf::BlockIoDevice {
                device: other,
                operation,
            },
            9,
            7,
            7,
        ),
    ];
    snapshot
}

/// The lines that have an exemplar: their name, their bucket and what is behind.
fn lines_with_exemplars(text: &str) -> Vec<(&str, &str, &str)> {
    let lines = text.lines().filter_map(|line| line.split_once(" # {"));
    let parts = lines.map(|(line, exemplar)| {
        let (name, labels) = line.split_once('{').expect("labels");
        let (_, rest) = labels.split_once("le=\"").expect("a bucket");
        let (bound, _) = rest.split_once('"').expect("a bound");
        (name, bound, exemplar)
    });
    parts.collect()
}

#[test]
fn openmetrics_has_the_latest_one_behind_the_bucket_that_it_is_in() {
    let text = encoded_text(with_exemplars(), Format::OpenMetricsText);
    let waits = "cgscope_container_runqueue_latency_seconds_bucket";
    let block = "cgscope_container_block_io_latency_seconds_bucket";
    let span = |number: u8| {
        let [trace_id, span_id] = [
            format!("0{number}").repeat(16),
            format!("a{number}").repeat(8),
        ];
        format!("trace_id=\"{trace_id}\",span_id=\"{span_id}\"}}")
    };
    let expected = [
        (waits, "0.000001", 3, "0.000001 1700000000.003"),
        (waits, "0.005", 2, "0.0031 1700000002.005"),
        (waits, "+Inf", 4, "20 1700000004.000"),
        (block, "0.0001", 5, "0.00007 1700000000.005"),
        (block, "0.0025", 6, "0.0011 1700000000.006"),
    ]
    .map(|(name, bound, number, rest)| (name, bound, format!("{} {rest}", span(number))));
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, bound, exemplar)| (*name, *bound, exemplar.as_str()))
        .collect();
    assert_eq!(lines_with_exemplars(&text), expected);
    assert!(text.contains(
        " # {trace_id=\"03030303030303030303030303030303\",span_id=\"a3a3a3a3a3a3a3a3\"} 0.000001 "
    ));
    // Nothing else is another.
    let without: String = text
        .lines()
        .map(|line| line.split(" # ").next().unwrap_or_default().to_owned() + "\n")
        .collect();
    assert_eq!(
        without,
        encoded_text(full_snapshot(), Format::OpenMetricsText)
    );
}

#[test]
fn prometheus_text_has_none() {
    assert_eq!(
        encoded_text(with_exemplars(), Format::PrometheusText),
        encoded_text(full_snapshot(), Format::PrometheusText)
    );
}

#[test]
fn protobuf_has_them_in_the_bucket_and_in_the_native_histogram() {
    // A second cgroup with the same numbers, and one whose series come between, lest they be mixed up.
    let mut snapshot = with_exemplars();
    snapshot.cgroups.push(full_snapshot().cgroups.remove(0));
    snapshot.cgroups.reverse();
    let families = encoded_families(snapshot);
    let mut found = Vec::new();
    for family in &families {
        for (series, metric) in family.metric.iter().enumerate() {
            let Some(histogram) = &metric.histogram else {
                continue;
            };
            let in_buckets: Vec<_> = histogram
                .bucket
                .iter()
                .filter_map(|bucket| Some((bucket.upper_bound, bucket.exemplar.clone()?)))
                .collect();
            let native = histogram.exemplars.iter();
            assert!(native.eq(in_buckets.iter().map(|(_, exemplar)| exemplar)));
            let stage = labels_of(&metric.label).remove("stage");
            for (bound, exemplar) in in_buckets {
                let at = exemplar.timestamp.expect("a time");
                let labels = labels_of(&exemplar.label);
                assert_eq!(labels["span_id"].len(), 16);
                let trace_id = labels["trace_id"][..2].to_owned();
                found.push((
                    family.name.as_str(),
                    series,
                    stage.clone().unwrap_or_default(),
                    bound,
                    exemplar.value,
                    (at.seconds - 1_700_000_000) * 1_000 + i64::from(at.nanos / 1_000_000),
                    trace_id,
                ));
            }
        }
    }
    let waits = catalog::RUNQUEUE_LATENCY.name;
    let block = catalog::BLOCK_IO_LATENCY.name;
    let of = |text: &str| text.to_owned();
    assert_eq!(
        found,
        [
            (waits, 1, of(""), 1e-6, 1e-6, 3, of("03")),
            (waits, 1, of(""), 0.005, 0.0031, 2_005, of("02")),
            (waits, 1, of(""), f64::INFINITY, 20.0, 4_000, of("04")),
            (block, 2, of("queue"), 0.0001, 0.00007, 5, of("05")),
            (block, 3, of("device"), 0.0025, 0.0011, 6, of("06")),
        ]
    );
}
