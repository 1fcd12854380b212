//! Data points against the values that they are of.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use opentelemetry_proto::tonic::{
    common::v1::{KeyValue, any_value},
    metrics::v1::{
        AggregationTemporality, ExponentialHistogramDataPoint, Metric, NumberDataPoint,
        ResourceMetrics, exemplar, metric::Data, number_data_point,
    },
};
use proptest::prelude::*;

use super::{MetricsEncoder, TemporalityPreference};
use crate::{
    catalog::Identity,
    export::{
        catalog,
        family::Kind,
        labels::CGROUP,
        otel,
        otlp::OwnResource,
        reference::markdown,
        tests::{
            busy_container, encoded_families, full_snapshot,
            kata::{self, WEB},
            recorded, unknown_cgroup,
        },
    },
    host::cgroupfs::tests::statistics_of_dump,
    reconcile::{
        Snapshot,
        snapshot::{CgroupStats, Exemplar, ExemplarOf, SpanRef},
    },
    window::{Device, Operation},
};

const BEGAN: u64 = 1_600_000_000;
const FILES: &str = include_str!("../../../host/cgroupfs/fixtures/v2-7.2.txt");
const PATH: &str = "~unresolved/0/4242";

fn at(second: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(second)
}

fn encoder(temporality: TemporalityPreference) -> MetricsEncoder {
    let attributes = vec![("service.name".to_owned(), "cgscope".to_owned())];
    MetricsEncoder::new(Arc::new(OwnResource { attributes }), temporality, at(BEGAN))
}

fn encode(encoder: &mut MetricsEncoder, snapshot: Snapshot) -> Vec<ResourceMetrics> {
    let disk = Device { major: 8, minor: 0 };
    let devices = BTreeMap::from([(disk, "disk8p0".to_owned())]);
    encoder
        .encode(snapshot, &devices)
        .expect("an encoded snapshot")
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let texts = attributes.iter().map(|attribute| {
        let value = attribute.value.clone().and_then(|value| value.value);
        let Some(any_value::Value::StringValue(value)) = value else {
            panic!("{attribute:?}");
        };
        (attribute.key.clone(), value)
    });
    texts.collect()
}

fn path_of(of: &ResourceMetrics) -> String {
    let resource = of.resource.as_ref().expect("a resource");
    let attributes = texts(&resource.attributes);
    attributes
        .get("cgscope.cgroup.path")
        .cloned()
        .unwrap_or_default()
}

/// The metrics of a cgroup, or of cgscope itself where the path is empty.
fn metrics<'a>(all: &'a [ResourceMetrics], path: &str) -> &'a [Metric] {
    let mut its = all.iter().filter(|of| path_of(of) == path);
    let of = its.next().expect("the cgroup's");
    assert!(its.next().is_none(), "{path} is there twice");
    &of.scope_metrics[0].metrics
}

fn numbers(metric: &Metric) -> &[NumberDataPoint] {
    match &metric.data {
        Some(Data::Gauge(of)) => &of.data_points,
        Some(Data::Sum(of)) => &of.data_points,
        _ => &[],
    }
}

fn histograms(metric: &Metric) -> &[ExponentialHistogramDataPoint] {
    match &metric.data {
        Some(Data::ExponentialHistogram(of)) => &of.data_points,
        _ => &[],
    }
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn number(point: &NumberDataPoint) -> Option<f64> {
    Some(match point.value? {
        number_data_point::Value::AsDouble(value) => value,
        number_data_point::Value::AsInt(value) => value as f64,
    })
}

fn named<'a>(metrics: &'a [Metric], name: &str) -> &'a Metric {
    let mut named = metrics.iter().filter(|metric| metric.name == name);
    let metric = named.next().unwrap_or_else(|| panic!("no {name}"));
    assert!(named.next().is_none(), "{name} is there twice");
    metric
}

/// The counts of the buckets that are not empty, by OTLP's index.
fn buckets(point: &ExponentialHistogramDataPoint) -> BTreeMap<i32, u64> {
    let buckets = point.positive.as_ref().expect("buckets");
    let counts = (buckets.offset..).zip(buckets.bucket_counts.iter().copied());
    counts.filter(|(_, count)| *count > 0).collect()
}

/// The whole snapshot, with these cgroups only.
fn snapshot(second: u64, cgroups: Vec<CgroupStats>) -> Snapshot {
    Snapshot {
        taken: at(second),
        cgroups,
        ..full_snapshot()
    }
}

/// A cgroup whose tasks have waited so long, in a life of its path.
fn waited(waits_ns: &[u64], generation: u32) -> CgroupStats {
    let mut cgroup = unknown_cgroup();
    cgroup.identity = Arc::new(Identity {
        generation,
        started: at(1_700_000_000 + u64::from(generation)),
        ..(*cgroup.identity).clone()
    });
    cgroup.sched = busy_container().sched.map(|mut sched| {
        sched.wait = recorded(waits_ns);
        sched.slice = recorded(waits_ns);
        sched.voluntary = waits_ns.len() as u64;
        sched
    });
    cgroup
}

const LATENCY: &str = "cgscope.container.runqueue.latency";
const SWITCHES: &str = "cgscope.container.context_switches";

/// Of an export, the histogram of run-queue latencies and the voluntary switches.
fn latency_and_switches(
    all: &[ResourceMetrics],
) -> (ExponentialHistogramDataPoint, NumberDataPoint) {
    let metrics = metrics(all, PATH);
    let points = histograms(named(metrics, LATENCY));
    assert_eq!(points.len(), 1);
    let switches = numbers(named(metrics, SWITCHES));
    (points[0].clone(), switches[0].clone())
}

#[test]
fn every_metric_has_a_name_in_otlp_that_no_other_has_and_that_is_documented() {
    let documented = markdown();
    let mut names = BTreeSet::new();
    let own = catalog::ALL.iter().map(|family| {
        let otlp = family
            .otlp
            .unwrap_or_else(|| panic!("{} has no name", family.name));
        assert!(otlp.name.starts_with("cgscope."), "{}", otlp.name);
        (otlp.name, otlp.unit)
    });
    let conventions = otel::METRICS
        .iter()
        .map(|metric| (metric.name, metric.unit));
    for (name, unit) in own.chain(conventions) {
        assert!(names.insert(name), "{name} twice");
        let is_word = |part: &str| {
            part.starts_with(|first: char| first.is_ascii_lowercase())
                && part.chars().all(|of| of.is_ascii_lowercase() || of == '_')
        };
        assert!(name.split('.').all(is_word), "{name}");
        let is_count = unit.starts_with('{') && unit.ends_with('}') && unit.len() > 2;
        assert!(
            is_count || ["s", "By", "1"].contains(&unit),
            "{name}: {unit}"
        );
        assert!(documented.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn a_prometheus_calls_a_metric_as_a_scrape_does() {
    for family in catalog::ALL {
        let otlp = family.otlp.expect("a name");
        let is_counter = family.kind == Kind::Counter;
        // As its receiver puts it together, unless it is told to leave names alone.
        let unit = match otlp.unit {
            "s" => "_seconds",
            "By" => "_bytes",
            "1" if family.kind == Kind::Gauge => "_ratio",
            annotation => {
                assert!(annotation.starts_with('{'), "{}", family.name);
                ""
            }
        };
        let total = if is_counter { "_total" } else { "" };
        let name = format!("{}{unit}{total}", otlp.name.replace('.', "_"));
        let ours = family.name.strip_prefix("process_").map_or_else(
            || family.name.to_owned(),
            |of_process| format!("cgscope_process_{of_process}"),
        );
        assert_eq!(name, ours);
    }
}

#[test]
fn every_series_of_a_scrape_is_one_point_with_its_value() {
    let all = encode(
        &mut encoder(TemporalityPreference::Cumulative),
        full_snapshot(),
    );
    let mut compared = 0;
    for (family, listed) in encoded_families(full_snapshot()).iter().zip(catalog::ALL) {
        let otlp = listed.otlp.expect("a name");
        for series in &family.metric {
            let of_series = series.label.iter();
            let mut labels: BTreeMap<_, _> = of_series
                .map(|label| (label.name.clone(), label.value.clone()))
                .collect();
            let path = labels.get("id").cloned().unwrap_or_default();
            let is_cgroup = |name: &String| CGROUP.iter().any(|label| label.name == name);
            labels.retain(|name, value| !is_cgroup(name) && !value.is_empty());
            let metric = named(metrics(&all, &path), otlp.name);
            assert_eq!(metric.unit, otlp.unit);
            if let Some(histogram) = &series.histogram {
                let mut points = histograms(metric).iter();
                let point = points.find(|point| texts(&point.attributes) == labels);
                let point = point.unwrap_or_else(|| panic!("{} {labels:?}", listed.name));
                assert_eq!(
                    (point.count, point.sum, point.zero_count),
                    (
                        histogram.sample_count,
                        Some(histogram.sample_sum),
                        histogram.zero_count
                    )
                );
            } else {
                let mut points = numbers(metric).iter();
                let point = points.find(|point| texts(&point.attributes) == labels);
                let point = point.unwrap_or_else(|| panic!("{} {labels:?}", listed.name));
                let counter = series.counter.as_ref().map(|counter| counter.value);
                let value = counter.or_else(|| series.gauge.map(|gauge| gauge.value));
                assert_eq!(number(point), value, "{} {labels:?}", listed.name);
            }
            compared += 1;
        }
    }
    let points = all.iter().flat_map(|of| &of.scope_metrics[0].metrics);
    let points: usize = points
        .map(|metric| numbers(metric).len() + histograms(metric).len())
        .sum();
    assert_eq!(points, compared, "and no others");
    assert!(compared > 100, "{compared}");
}

#[test]
fn counts_begin_with_the_cgroup_or_with_cgscope_and_gauges_never() {
    let mut cumulative = encoder(TemporalityPreference::Cumulative);
    let all = encode(&mut cumulative, full_snapshot());
    for of in &all {
        let start = match path_of(of).as_str() {
            "" => BEGAN * 1_000_000_000,
            PATH => 1_700_000_001_000_000_000,
            _ => 1_700_000_000_250_000_000,
        };
        for metric in &of.scope_metrics[0].metrics {
            for point in histograms(metric) {
                assert_eq!(point.start_time_unix_nano, start, "{}", metric.name);
            }
            for point in numbers(metric) {
                let is_gauge = matches!(metric.data, Some(Data::Gauge(_)));
                let start = if is_gauge { 0 } else { start };
                assert_eq!(point.start_time_unix_nano, start, "{}", metric.name);
                assert_eq!(point.time_unix_nano, 1_700_000_200_000_000_000);
            }
        }
    }
    // What was there before cgscope was counted since cgscope was there.
    let attributes = Vec::new();
    let own = Arc::new(OwnResource { attributes });
    let mut late = MetricsEncoder::new(own, TemporalityPreference::Cumulative, at(1_700_000_100));
    let all = encode(&mut late, snapshot(1_700_000_200, vec![waited(&[7], 1)]));
    let (latency, _) = latency_and_switches(&all);
    assert_eq!(latency.start_time_unix_nano, 1_700_000_100_000_000_000);
}

#[test]
fn another_life_of_a_path_goes_on_counting_and_one_that_was_forgotten_begins_anew() {
    for temporality in [
        TemporalityPreference::Cumulative,
        TemporalityPreference::Delta,
    ] {
        let mut encoder = encoder(temporality);
        let mut shown = |second, cgroup| {
            let all = encode(&mut encoder, snapshot(second, vec![cgroup]));
            let (latency, switches) = latency_and_switches(&all);
            assert_eq!(latency.start_time_unix_nano, switches.start_time_unix_nano);
            let start = latency.start_time_unix_nano / 1_000_000_000 - 1_700_000_000;
            (start, latency.count, number(&switches).expect("a value"))
        };
        let first = shown(1_700_000_100, waited(&[5, 6], 1));
        let second = shown(1_700_000_110, waited(&[5, 6, 7], 2));
        // It fell, though it is told as the same life.
        let third = shown(1_700_000_120, waited(&[9], 2));
        // It is more than before, and another life all the same.
        let fourth = shown(1_700_000_130, waited(&[9, 9, 9, 9], 1));
        let expected = match temporality {
            TemporalityPreference::Cumulative => {
                [(1, 2, 2.0), (1, 3, 3.0), (110, 1, 1.0), (1, 4, 4.0)]
            }
            TemporalityPreference::Delta => {
                [(1, 2, 2.0), (100, 1, 1.0), (110, 1, 1.0), (1, 4, 4.0)]
            }
        };
        assert_eq!([first, second, third, fourth], expected, "{temporality:?}");
    }
}

#[test]
fn what_is_gone_is_said_to_have_no_value_once_and_is_forgotten() {
    let mut cumulative = encoder(TemporalityPreference::Cumulative);
    let gone = |point: &NumberDataPoint| point.flags == 1 && point.value.is_none();
    let before = encode(
        &mut cumulative,
        snapshot(1_700_000_100, vec![waited(&[5], 1)]),
    );
    let all = encode(&mut cumulative, snapshot(1_700_000_110, Vec::new()));
    let (before, last) = (metrics(&before, PATH), metrics(&all, PATH));
    for metric in before {
        let last = named(last, &metric.name);
        assert_eq!(numbers(last).len(), numbers(metric).len());
        assert!(numbers(last).iter().all(gone), "{}", metric.name);
        assert_eq!(histograms(last).len(), histograms(metric).len());
        assert!(
            histograms(last)
                .iter()
                .all(|point| point.flags == 1 && point.count == 0)
        );
    }
    let attributes = |metrics: &[Metric]| -> BTreeSet<_> {
        let points = numbers(named(metrics, SWITCHES)).iter();
        points.map(|point| texts(&point.attributes)).collect()
    };
    assert_eq!(attributes(last), attributes(before));
    assert!(cumulative.cgroups.is_empty());
    let all = encode(&mut cumulative, snapshot(1_700_000_120, Vec::new()));
    assert!(all.iter().all(|of| path_of(of) != PATH));

    // Of a cgroup that stays, only what it has no more of.
    let mut quantiles = waited(&[5], 1);
    quantiles.quantiles = busy_container().quantiles;
    let _ = encode(&mut cumulative, snapshot(1_700_000_130, vec![quantiles]));
    let all = encode(
        &mut cumulative,
        snapshot(1_700_000_140, vec![waited(&[5], 1)]),
    );
    let flagged = metrics(&all, PATH).iter().filter(|metric| {
        let points = numbers(metric);
        !points.is_empty() && points.iter().all(gone)
    });
    let flagged: Vec<_> = flagged.map(|metric| metric.name.as_str()).collect();
    assert_eq!(flagged, ["cgscope.container.window.quantile"]);

    // A difference needs no end.
    let mut delta = encoder(TemporalityPreference::Delta);
    let _ = encode(&mut delta, snapshot(1_700_000_100, vec![waited(&[5], 1)]));
    let all = encode(&mut delta, snapshot(1_700_000_110, Vec::new()));
    let last = metrics(&all, PATH).iter();
    assert!(last.clone().count() > 0);
    assert!(
        last.clone()
            .all(|metric| matches!(metric.data, Some(Data::Gauge(_))))
    );
    assert!(delta.cgroups.is_empty());
}

#[test]
fn a_sample_with_a_span_is_on_the_point_of_its_histogram() {
    let mut cgroup = busy_container();
    let block = ExemplarOf::BlockIoDevice {
        device: Device { major: 8, minor: 0 },
        operation: Operation::Write,
    };
    let exemplar = |of, number, value_ns| Exemplar {
        of,
        value_ns,
        at: at(1_700_000_150),
        span: SpanRef {
            trace_id: [number; 16],
            span_id: [number; 8],
        },
    };
    cgroup.exemplars = vec![
        exemplar(ExemplarOf::RunqueueLatency, 1, 3_000_000),
        exemplar(block, 2, 1_100_000),
        exemplar(ExemplarOf::RunqueueLatency, 3, 20_000_000_000),
    ];
    let path = cgroup.identity.path.clone();
    let all = encode(
        &mut encoder(TemporalityPreference::Cumulative),
        snapshot(1_700_000_200, vec![cgroup]),
    );
    let mut found = Vec::new();
    for metric in metrics(&all, &path) {
        for point in histograms(metric) {
            let stage = texts(&point.attributes).remove("stage").unwrap_or_default();
            for exemplar in &point.exemplars {
                assert_eq!(exemplar.time_unix_nano, 1_700_000_150_000_000_000);
                assert_eq!((exemplar.trace_id.len(), exemplar.span_id.len()), (16, 8));
                let Some(exemplar::Value::AsDouble(seconds)) = exemplar.value else {
                    panic!("{exemplar:?}");
                };
                found.push((
                    metric.name.clone(),
                    stage.clone(),
                    exemplar.trace_id[0],
                    exemplar.span_id[7],
                    seconds,
                ));
            }
        }
    }
    let io = "cgscope.container.block_io.latency";
    let expected = [
        (LATENCY, "", 1, 1, 0.003),
        (LATENCY, "", 3, 3, 20.0),
        (io, "device", 2, 2, 0.001_1),
    ];
    let expected = expected.map(|(name, stage, trace, span, value)| {
        (name.to_owned(), stage.to_owned(), trace, span, value)
    });
    assert_eq!(found, expected);
}

/// A container, and what its files say.
fn container(generation: u32) -> CgroupStats {
    let mut container = busy_container();
    container.exited = None;
    container.kernel.statistics = Some(Arc::new(statistics_of_dump(FILES)));
    container.identity = Arc::new(Identity {
        generation,
        started: at(1_700_000_000 + u64::from(generation)),
        ..(*container.identity).clone()
    });
    container
}

#[test]
fn the_figures_of_files_are_of_one_life_and_the_events_of_all() {
    let mut delta = encoder(TemporalityPreference::Delta);
    let mut shown = |second, generation| {
        let container = container(generation);
        let path = container.identity.path.clone();
        let all = encode(&mut delta, snapshot(second, vec![container]));
        let metrics = metrics(&all, &path);
        let starts_and_values = |name: &str| {
            let point = &numbers(named(metrics, name))[0];
            let start = point.start_time_unix_nano / 1_000_000_000;
            (start, number(point).expect("a value"))
        };
        let memory = &named(metrics, "container.memory.usage").data;
        let Some(Data::Sum(memory)) = memory else {
            panic!("{memory:?}");
        };
        assert!(!memory.is_monotonic);
        let temporality = memory.aggregation_temporality();
        assert_eq!(temporality, AggregationTemporality::Cumulative);
        let resource = all.iter().find(|of| path_of(of) == path);
        let resource = resource.and_then(|of| of.resource.as_ref());
        let known = texts(&resource.expect("a resource").attributes);
        assert_eq!(known["container.id"], "c0ffee");
        assert_eq!(known["k8s.pod.name"], "web-0");
        [
            starts_and_values("container.memory.usage"),
            starts_and_values("container.cpu.time"),
            starts_and_values(SWITCHES),
        ]
    };
    let [(_, in_use), (_, cpu), _] = shown(1_700_000_100, 1);
    assert!(in_use > 0.0 && cpu > 0.0);
    let second = shown(1_700_000_110, 1);
    let third = shown(1_700_000_120, 2);
    let (first, other) = (1_700_000_001, 1_700_000_002);
    assert_eq!(
        second,
        [(first, in_use), (1_700_000_100, 0.0), (1_700_000_100, 0.0)]
    );
    assert_eq!(third, [(other, in_use), (other, cpu), (1_700_000_110, 0.0)]);
}

#[test]
fn sums_that_only_rise_are_of_the_temporality_that_is_wanted() {
    for (temporality, of_rising) in [
        (
            TemporalityPreference::Cumulative,
            AggregationTemporality::Cumulative,
        ),
        (TemporalityPreference::Delta, AggregationTemporality::Delta),
    ] {
        let all = encode(&mut encoder(temporality), full_snapshot());
        let mut seen = 0;
        for metric in all.iter().flat_map(|of| &of.scope_metrics[0].metrics) {
            match &metric.data {
                Some(Data::Sum(sum)) => {
                    assert!(sum.is_monotonic, "{}", metric.name);
                    assert_eq!(sum.aggregation_temporality(), of_rising);
                    seen += 1;
                }
                Some(Data::ExponentialHistogram(of)) => {
                    assert_eq!(of.aggregation_temporality(), of_rising);
                }
                _ => {}
            }
        }
        assert!(seen > 20, "{seen}");
    }
}

#[tokio::test]
async fn shims_of_kata_have_a_resource_each_and_their_own_figures() {
    let snapshot = kata::snapshot().await;
    let all = encode(&mut encoder(TemporalityPreference::Delta), snapshot);
    let of_web = all.iter().find(|of| {
        let resource = of.resource.as_ref().expect("a resource");
        texts(&resource.attributes)
            .get("cgscope.kata.sandbox.id")
            .map(String::as_str)
            == Some(WEB)
    });
    let of_web = of_web.expect("the sandbox");
    let attributes = texts(&of_web.resource.as_ref().expect("a resource").attributes);
    assert_eq!(attributes["k8s.namespace.name"], "shop");
    assert_eq!(attributes["service.instance.id"], format!(":{WEB}"));
    let metrics = &of_web.scope_metrics[0].metrics;
    let histogram = named(
        metrics,
        "kata_shim_agent_rpc_durations_histogram_milliseconds",
    );
    let Some(Data::Histogram(histogram)) = &histogram.data else {
        panic!("{histogram:?}");
    };
    let point = &histogram.data_points[0];
    assert_eq!((point.count, point.sum), (4, Some(12.5)));
    assert_eq!(point.bucket_counts, [2, 1, 1]);
    assert_eq!(point.explicit_bounds, [1.0, 2.0]);
    let cpu = named(metrics, "kata_shim_process_cpu_seconds_total");
    assert!(matches!(&cpu.data, Some(Data::Sum(sum)) if sum.is_monotonic));
    assert_eq!(number(&numbers(cpu)[0]), Some(1.5));
}

/// Values over all octaves, 0 among them.
fn waits() -> impl Strategy<Value = Vec<u64>> {
    let value = (0_u32..40, any::<u64>()).prop_map(|(octave, low)| low & ((1 << octave) - 1));
    prop::collection::vec(value, 0..60)
}

proptest! {
    #[test]
    fn a_histogram_has_every_value_in_its_bucket(waits in waits()) {
        let all = encode(
            &mut encoder(TemporalityPreference::Cumulative),
            snapshot(1_700_000_100, vec![waited(&waits, 1)]),
        );
        let (point, _) = latency_and_switches(&all);
        prop_assert_eq!(point.scale, 3);
        prop_assert_eq!(point.count, waits.len() as u64);
        #[expect(clippy::cast_precision_loss, reason = "as the wire's")]
        let sum = waits.iter().sum::<u64>() as f64 / 1e9;
        prop_assert_eq!(point.sum, Some(sum));
        let zeros = waits.iter().filter(|ns| **ns == 0).count() as u64;
        prop_assert_eq!(point.zero_count, zeros);
        let mut expected = BTreeMap::new();
        for ns in waits.iter().filter(|ns| **ns > 0) {
            #[expect(clippy::cast_precision_loss, reason = "as the wire's")]
            let seconds = *ns as f64 / 1e9;
            prop_assert!(seconds > point.zero_threshold);
            // (base^i, base^(i+1)] with base 2^(1/8), as OTLP has it.
            let index = (-300..300).find(|index| (f64::from(index + 1) / 8.0).exp2() >= seconds);
            *expected.entry(index.expect("a bucket")).or_insert(0) += 1;
        }
        prop_assert_eq!(buckets(&point), expected);
    }

    #[test]
    fn differences_add_up_to_what_was_counted(rounds in prop::collection::vec(waits(), 1..6)) {
        let mut delta = encoder(TemporalityPreference::Delta);
        let mut so_far = Vec::new();
        let (mut count, mut zeros, mut sum, mut switches) = (0, 0, 0.0, 0.0);
        let mut counts: HashMap<i32, u64> = HashMap::new();
        let mut before = 1_700_000_001_000_000_000;
        for (second, round) in (1_700_000_100..).step_by(10).zip(rounds) {
            so_far.extend(round);
            let all = encode(&mut delta, snapshot(second, vec![waited(&so_far, 1)]));
            let (point, switched) = latency_and_switches(&all);
            prop_assert_eq!(point.start_time_unix_nano, before);
            prop_assert_eq!(switched.start_time_unix_nano, before);
            before = point.time_unix_nano;
            count += point.count;
            zeros += point.zero_count;
            sum += point.sum.expect("a sum");
            switches += number(&switched).expect("a value");
            for (index, of_bucket) in buckets(&point) {
                *counts.entry(index).or_default() += of_bucket;
            }
        }
        let all = encode(
            &mut encoder(TemporalityPreference::Cumulative),
            snapshot(1_700_000_100, vec![waited(&so_far, 1)]),
        );
        let (point, switched) = latency_and_switches(&all);
        prop_assert_eq!((count, zeros), (point.count, point.zero_count));
        prop_assert!((sum - point.sum.expect("a sum")).abs() <= sum * 1e-12);
        prop_assert_eq!(Some(switches), number(&switched));
        prop_assert_eq!(counts.into_iter().collect::<BTreeMap<_, _>>(), buckets(&point));
    }
}
