//! What goes over the wire, in all three formats.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::{
    Histogram, MetricFamily,
};
use proptest::prelude::*;

use super::{
    super::{Format, catalog, histogram::ZERO_THRESHOLD, labels},
    IN_DEVICE_NS, QUEUED_NS, SLICES_NS, WAITS_NS, as_float, encoded_families, encoded_text,
    flattened, full_snapshot, labels_of, parsed, unknown_cgroup, with_bounds_as_numbers,
};
use crate::{
    catalog::{Identity, Names},
    reconcile::Snapshot,
};

#[test]
fn openmetrics_text_is_as_it_was() {
    let text = encoded_text(full_snapshot(), Format::OpenMetricsText);
    assert_same_lines(&text, include_str!("openmetrics.txt"));
}

#[test]
fn prometheus_text_is_as_it_was() {
    let text = encoded_text(full_snapshot(), Format::PrometheusText);
    assert_same_lines(&text, include_str!("prometheus.txt"));
}

fn assert_same_lines(text: &str, golden: &str) {
    let golden = golden
        .replace("{VERSION}", env!("CARGO_PKG_VERSION"))
        .replace("{ARCH}", std::env::consts::ARCH);
    for (number, (line, expected)) in text.lines().zip(golden.lines()).enumerate() {
        assert_eq!(line, expected, "line {}", number + 1);
    }
    assert_eq!(text.lines().count(), golden.lines().count());
}

#[test]
fn all_formats_say_the_same() {
    let open = parsed(&encoded_text(full_snapshot(), Format::OpenMetricsText));
    let classic = parsed(&encoded_text(full_snapshot(), Format::PrometheusText));
    let protobuf = flattened(&encoded_families(full_snapshot()));
    assert!(open.len() > 150, "{} samples", open.len());
    assert_eq!(classic, open);
    assert_eq!(protobuf, with_bounds_as_numbers(open));
}

#[test]
fn native_buckets_hold_exactly_the_values_that_were_recorded() {
    let families = encoded_families(full_snapshot());
    let mut compared = 0;
    for (family, stage, raw) in [
        (catalog::RUNQUEUE_LATENCY, None, &WAITS_NS[..]),
        (catalog::ONCPU_SLICE, None, &SLICES_NS),
        (catalog::BLOCK_IO_LATENCY, Some("queue"), &QUEUED_NS),
        (catalog::BLOCK_IO_LATENCY, Some("device"), &IN_DEVICE_NS),
        (catalog::RECONCILE_DURATION, None, &[2_000_000]),
        (catalog::DRAIN_DURATION, None, &[]),
    ] {
        let histogram = histogram_of(&families, family.name, stage);
        assert_eq!(histogram.schema, 3);
        let buckets = native_buckets(&histogram);
        for &(index, count) in &buckets {
            let expected = raw
                .iter()
                .filter(|&&ns| ns > 0 && native_index(ns) == index)
                .count();
            assert_eq!(
                count,
                i64::try_from(expected).expect("few"),
                "{} {index}",
                family.name
            );
            compared += count;
        }
        let zeros = raw.iter().filter(|&&ns| ns == 0).count() as u64;
        assert_eq!(histogram.zero_count, zeros, "{}", family.name);
        assert_eq!(histogram.sample_count, raw.len() as u64, "{}", family.name);
        let in_buckets: i64 = buckets.iter().map(|(_, count)| count).sum();
        assert_eq!(
            in_buckets.unsigned_abs() + zeros,
            histogram.sample_count,
            "{}",
            family.name
        );
        let sum = as_float(raw.iter().sum()) / 1e9;
        assert!(
            (histogram.sample_sum - sum).abs() <= sum * f64::EPSILON,
            "{}",
            family.name
        );
    }
    assert_eq!(compared, 13);
}

#[test]
fn a_native_histogram_without_values_is_still_a_native_one() {
    let families = encoded_families(full_snapshot());
    let empty = histogram_of(&families, catalog::DRAIN_DURATION.name, None);
    assert_eq!((empty.sample_count, empty.positive_span.len()), (0, 0));
    assert!(empty.zero_threshold > 0.0);
}

#[test]
fn no_nanosecond_falls_into_the_zero_bucket() {
    let families = encoded_families(full_snapshot());
    let histogram = histogram_of(&families, catalog::RUNQUEUE_LATENCY.name, None);
    assert_eq!(histogram.zero_threshold.to_bits(), ZERO_THRESHOLD.to_bits());
    assert!(histogram.zero_threshold < 1e-9);
    // On a bucket's edge: no bucket is partly in the zero bucket.
    assert_eq!(
        histogram.zero_threshold.to_bits(),
        2.0_f64.powi(-30).to_bits()
    );
}

fn histogram_of(families: &[MetricFamily], name: &str, stage: Option<&str>) -> Histogram {
    let family = families
        .iter()
        .find(|family| family.name == name)
        .expect("the family");
    let metric = family
        .metric
        .iter()
        .find(|metric| labels_of(&metric.label).get("stage").map(String::as_str) == stage)
        .expect("the series");
    metric.histogram.clone().expect("a histogram")
}

/// Index and count of each bucket in the spans.
fn native_buckets(histogram: &Histogram) -> Vec<(i32, i64)> {
    let mut index = 0;
    let mut count = 0;
    let mut deltas = histogram.positive_delta.iter();
    let mut buckets = Vec::new();
    for span in &histogram.positive_span {
        index += span.offset;
        for _ in 0..span.length {
            count += deltas.next().expect("a delta for each bucket");
            buckets.push((index, count));
            index += 1;
        }
    }
    assert_eq!(deltas.next(), None);
    buckets
}

/// The bucket of a value by the definition: the first whose upper edge is not below it.
fn native_index(ns: u64) -> i32 {
    let seconds = as_float(ns) / 1e9;
    (-300..300)
        .find(|&index| seconds <= (f64::from(index) / 8.0).exp2())
        .expect("a bucket")
}

#[test]
fn unknown_is_not_zero() {
    let mut snapshot = full_snapshot();
    snapshot.cgroups = vec![unknown_cgroup()];
    snapshot
        .accounts
        .retain(|account| account.signal != collector_common::signal::Signal::Oom);
    snapshot.process = crate::reconcile::snapshot::ProcessStats::default();
    let samples = parsed(&encoded_text(snapshot, Format::OpenMetricsText));
    let of_cgroup: Vec<_> = samples
        .keys()
        .filter(|(_, labels)| labels.contains_key("id"))
        .map(|(name, _)| name.as_str())
        .collect();
    let expected = [
        catalog::CONTAINER_EXITED.name,
        catalog::CONTAINER_INFO.name,
        catalog::CONTAINER_START_TIME.name,
    ];
    assert_eq!(of_cgroup, expected);
    assert!(!samples.keys().any(|(name, _)| name.starts_with("process_")));
    // A watched signal without events has counts and no completeness.
    let completeness = samples
        .keys()
        .filter(|(name, _)| name == catalog::COMPLETENESS.name);
    assert_eq!(completeness.count(), 1);
}

#[test]
fn more_cgroups_than_a_round_holds_are_one_family() {
    let mut snapshot = full_snapshot();
    snapshot.cgroups = (0..100).map(named).collect();
    let families = encoded_families(snapshot);
    assert_eq!(families.len(), catalog::all().count());
    let exited = families
        .iter()
        .find(|family| family.name == catalog::CONTAINER_EXITED.name);
    let ids: Vec<_> = exited
        .expect("the family")
        .metric
        .iter()
        .map(|metric| labels_of(&metric.label)["id"].clone())
        .collect();
    assert_eq!(
        ids,
        (0..100)
            .map(|number| format!("/cgroup{number}"))
            .collect::<Vec<_>>()
    );
}

fn named(number: usize) -> crate::reconcile::snapshot::CgroupStats {
    with_identity(format!("/cgroup{number}"), Names::default())
}

fn with_identity(path: String, names: Names) -> crate::reconcile::snapshot::CgroupStats {
    let mut cgroup = unknown_cgroup();
    let identity = Identity {
        path,
        names,
        ..(*cgroup.identity).clone()
    };
    cgroup.identity = identity.into();
    cgroup
}

/// Everything that could end a value, a label, a line or a family too early.
fn hostile_text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("\"} 1\n# EOF\n".to_owned()),
        Just("a\\".to_owned()),
        Just("\\n\\\"".to_owned()),
        Just("# TYPE x counter".to_owned()),
        proptest::collection::vec(
            prop_oneof![
                Just('"'),
                Just('\\'),
                Just('\n'),
                Just('\r'),
                Just('\0'),
                Just('{'),
                Just('}'),
                Just(','),
                Just('='),
                Just('#'),
                Just(' '),
                Just('é'),
                Just('\u{2028}'),
                Just('🦀'),
                any::<char>(),
            ],
            0..12
        )
        .prop_map(String::from_iter),
    ]
}

proptest! {
    #[test]
    fn hostile_label_values_come_back_as_they_were(
        values in proptest::array::uniform6(hostile_text())
    ) {
        let [path, name, image, namespace, pod, container] = values.clone();
        let mut snapshot: Snapshot = full_snapshot();
        snapshot.cgroups =
            vec![with_identity(path, Names { name, image, namespace, pod, container })];
        let expected: Vec<(String, String)> = labels::CGROUP
            .iter()
            .map(|label| label.name.to_owned())
            .zip(values)
            .collect();
        let open = encoded_text(snapshot.clone(), Format::OpenMetricsText);
        let classic = encoded_text(snapshot.clone(), Format::PrometheusText);
        let families = encoded_families(snapshot);
        for samples in [split_lines(&open), split_lines(&classic), flattened(&families)] {
            let (_, labels) = samples
                .keys()
                .find(|(name, _)| name == catalog::CONTAINER_EXITED.name)
                .expect("the series");
            prop_assert_eq!(labels, &expected.iter().cloned().collect());
        }
    }
}

/// As `parsed`, but lines end at a newline only: `str::lines` would also drop a carriage return.
fn split_lines(text: &str) -> std::collections::BTreeMap<super::Series, f64> {
    text.split_terminator('\n')
        .filter(|line| !line.starts_with('#'))
        .map(super::parsed_sample)
        .collect()
}

#[test]
fn promtool_finds_nothing_to_say() {
    if let Err(error) = Command::new("promtool").arg("--version").output() {
        eprintln!("skipped: promtool cannot be run: {error}");
        return;
    }
    let mut no_cgroups = full_snapshot();
    no_cgroups.cgroups.clear();
    for snapshot in [full_snapshot(), no_cgroups] {
        let mut check = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("promtool runs");
        let text = encoded_text(snapshot, Format::PrometheusText);
        let mut input = check.stdin.take().expect("its input");
        input.write_all(text.as_bytes()).expect("promtool reads");
        drop(input);
        let output = check.wait_with_output().expect("promtool ends");
        let said = [output.stdout, output.stderr].concat();
        assert_eq!(String::from_utf8_lossy(&said), "");
        assert!(output.status.success());
    }
}
