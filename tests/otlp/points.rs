//! Each data point of a cgroup, as a real collector took it, beside a scrape of the same, field by field, and beside
//! what the kernel counted.

use std::{
    collections::BTreeMap,
    fmt, thread,
    time::{Duration, Instant, SystemTime},
};

use collector::export::{
    catalog,
    family::{Family, Kind},
};
use collector_tests::{
    cgroup::TestCgroup,
    daemon::{Daemon, cgscope},
    note,
    otel_collector::{OtelCollector, Recorded},
    trace_of::text,
};
use opentelemetry_proto::tonic::{
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::{
        AggregationTemporality, ExponentialHistogramDataPoint, Metric, NumberDataPoint,
        metric::Data, number_data_point,
    },
};
use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model as model;

use crate::scrape::{families, of_cgroup};

/// What a scrape's labels say of whose a series is, and OTLP's resource.
const OF_RESOURCE: [&str; 6] = ["id", "name", "image", "namespace", "pod", "container"];

/// Its windows go on.
const MOVES_ON: &str = "cgscope_container_window_quantile_seconds";

/// After this the collector has what a scrape has.
const MOST: Duration = Duration::from_secs(30);

type Labels = BTreeMap<String, String>;

fn labels_of(series: &model::Metric) -> Labels {
    let labels = series.label.iter();
    // One that is empty is none.
    let labels =
        labels.filter(|of| !OF_RESOURCE.contains(&of.name.as_str()) && !of.value.is_empty());
    labels
        .map(|of| (of.name.clone(), of.value.clone()))
        .collect()
}

fn attributes_of(attributes: &[KeyValue]) -> Labels {
    let text_of = |of: &KeyValue| match of.value.clone().and_then(|of| of.value) {
        Some(Value::StringValue(text)) => (of.key.clone(), text),
        other => panic!("{}: {other:?}", of.key),
    };
    attributes.iter().map(text_of).collect()
}

/// Those of the last export that has any of this cgroup.
fn last_of(recorded: &Recorded, path: &str) -> BTreeMap<String, Metric> {
    let mut last = BTreeMap::new();
    for (resource, scope, metric) in recorded.metrics() {
        if text(&resource.attributes, "cgscope.cgroup.path").as_deref() == Some(path) {
            assert_eq!(scope.name, "cgscope");
            assert!(text(&resource.attributes, "service.name").is_some());
            last.insert(metric.name.clone(), metric);
        }
    }
    last
}

/// What the collector has otherwise than a scrape: it may come yet.
type Mismatch = String;

fn same<T: PartialEq + fmt::Debug>(what: &str, sent: &T, told: &T) -> Result<(), Mismatch> {
    if sent == told {
        return Ok(());
    }
    Err(format!("{what}: {sent:?}, not {told:?}"))
}

fn same_number(what: &str, sent: f64, told: f64) -> Result<(), Mismatch> {
    if (sent - told).abs() <= told.abs() * 1e-12 {
        return Ok(());
    }
    Err(format!("{what}: {sent}, not {told}"))
}

/// Of the points of a metric the one with these attributes; there is one.
fn point<'a, T>(
    points: &'a [T],
    of: impl Fn(&T) -> Labels,
    labels: &Labels,
) -> Result<&'a T, Mismatch> {
    let mut found = points.iter().filter(|point| of(point) == *labels);
    match (found.next(), found.next()) {
        (Some(point), None) => Ok(point),
        (one, more) => Err(format!(
            "{labels:?}: {} and {}",
            one.is_some(),
            more.is_some()
        )),
    }
}

#[expect(clippy::cast_precision_loss, reason = "as a scrape has it")]
fn value_of(point: &NumberDataPoint) -> f64 {
    assert!(point.exemplars.is_empty() && point.flags == 0);
    match point.value {
        Some(number_data_point::Value::AsDouble(value)) => value,
        Some(number_data_point::Value::AsInt(value)) => value as f64,
        None => panic!("{point:?}"),
    }
}

fn is_number(name: &str, point: &NumberDataPoint, told: f64) -> Result<(), Mismatch> {
    same_number(name, value_of(point), told)
}

fn is_histogram(
    name: &str,
    point: &ExponentialHistogramDataPoint,
    told: &model::Histogram,
) -> Result<(), Mismatch> {
    assert_eq!((point.scale, told.schema), (3, 3));
    let counts = (point.count, point.zero_count);
    same(name, &counts, &(told.sample_count, told.zero_count))?;
    assert_eq!(
        point.zero_threshold.to_bits(),
        told.zero_threshold.to_bits()
    );
    same_number(name, point.sum.expect("a sum"), told.sample_sum)?;
    assert!(point.negative.is_none() && point.flags == 0);
    // A native bucket's number is that of its upper edge, an exponential one's of its lower.
    let positive = point.positive.clone().unwrap_or_default();
    let sent: BTreeMap<i32, i64> = (positive.offset + 1..)
        .zip(
            positive
                .bucket_counts
                .iter()
                .map(|count| count.cast_signed()),
        )
        .filter(|(_, count)| *count > 0)
        .collect();
    let (mut index, mut count, mut expected) = (0, 0, BTreeMap::new());
    let mut deltas = told.positive_delta.iter();
    for span in &told.positive_span {
        index += span.offset;
        for delta in deltas.by_ref().take(span.length as usize) {
            count += delta;
            expected.insert(index, count);
            index += 1;
        }
    }
    expected.retain(|_, count| *count > 0);
    assert!(!sent.is_empty());
    same(name, &sent, &expected)
}

/// How many sums, gauges and histograms there were.
fn compare(
    family: &Family,
    told: &[model::Metric],
    metric: &Metric,
    run: &Run,
) -> Result<[usize; 3], Mismatch> {
    let name = family.name;
    let otlp = family.otlp.expect("it leaves by OTLP");
    assert_eq!(
        (metric.name.as_str(), metric.unit.as_str()),
        (otlp.name, otlp.unit)
    );
    assert!(!metric.description.is_empty());
    let cumulative = i32::from(AggregationTemporality::Cumulative);
    let is_in_time = |start: Option<u64>, time: u64| {
        assert!((run.began..run.ended).contains(&time), "{}", metric.name);
        if let Some(start) = start {
            assert!((run.began..=time).contains(&start), "{}", metric.name);
        }
    };
    let mut compared = [0; 3];
    for series in told {
        let labels = labels_of(series);
        let of_number = |point: &NumberDataPoint| attributes_of(&point.attributes);
        match (family.kind, metric.data.as_ref().expect("points")) {
            (Kind::Counter, Data::Sum(sum)) => {
                assert!(sum.is_monotonic && sum.aggregation_temporality == cumulative);
                let point = point(&sum.data_points, of_number, &labels)?;
                let told = series.counter.as_ref().expect("a counter").value;
                is_number(name, point, told)?;
                is_in_time(Some(point.start_time_unix_nano), point.time_unix_nano);
                compared[0] += 1;
            }
            (Kind::Gauge | Kind::Info, Data::Gauge(gauge)) => {
                let point = point(&gauge.data_points, of_number, &labels)?;
                let told = series.gauge.as_ref().expect("a gauge").value;
                is_number(name, point, told)?;
                is_in_time(None, point.time_unix_nano);
                compared[1] += 1;
            }
            (Kind::Histogram, Data::ExponentialHistogram(histogram)) => {
                assert_eq!(histogram.aggregation_temporality, cumulative);
                let of = |point: &ExponentialHistogramDataPoint| attributes_of(&point.attributes);
                let point = point(&histogram.data_points, of, &labels)?;
                let told = series.histogram.as_ref().expect("a histogram");
                is_histogram(name, point, told)?;
                is_in_time(Some(point.start_time_unix_nano), point.time_unix_nano);
                compared[2] += 1;
            }
            (kind, data) => panic!("{}: {kind:?} as {data:?}", metric.name),
        }
    }
    Ok(compared)
}

type Scraped = BTreeMap<String, Vec<model::Metric>>;

/// The same, of all families that a scrape has of a cgroup.
fn compare_all(
    told: &Scraped,
    sent: &BTreeMap<String, Metric>,
    run: &Run,
) -> Result<[usize; 3], Mismatch> {
    let mut compared = [0; 3];
    for family in catalog::all().filter(|of| of.otlp.is_some()) {
        let Some(series) = told.get(family.name).filter(|of| !of.is_empty()) else {
            continue;
        };
        if family.name == MOVES_ON {
            continue;
        }
        let name = family.otlp.expect("it leaves by OTLP").name;
        let metric = sent.get(name).ok_or_else(|| format!("no {name}"))?;
        let of_family = compare(family, series, metric, run)?;
        for (all, of_family) in compared.iter_mut().zip(of_family) {
            *all += of_family;
        }
    }
    let [sums, gauges, histograms] = compared;
    if sums >= 10 && gauges >= 1 && histograms >= 2 {
        Ok(compared)
    } else {
        Err(format!("sums, gauges, histograms: {compared:?}"))
    }
}

/// When the daemon ran, ns since the epoch.
struct Run {
    began: u64,
    ended: u64,
}

fn now() -> u64 {
    let since = SystemTime::UNIX_EPOCH
        .elapsed()
        .expect("a clock that is right");
    u64::try_from(since.as_nanos()).expect("a few centuries")
}

/// A daemon that sends its metrics to a collector.
fn begin(collector: &OtelCollector, protocol: &str, temporality: &str) -> Daemon {
    let endpoint = match protocol {
        "grpc" => collector.grpc_endpoint(),
        _ => collector.http_endpoint(),
    };
    let preference = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    let mut command = cgscope();
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        .env("OTEL_METRIC_EXPORT_INTERVAL", "1000")
        .env(preference, temporality);
    Daemon::launch(command, &["--export-otlp"], "/readyz")
}

#[test]
fn each_data_point_of_a_cgroup_reaches_a_real_collector_as_a_scrape_has_it_over_both_protocols() {
    for protocol in ["grpc", "http/protobuf"] {
        let collector = OtelCollector::start();
        let began = now();
        let daemon = begin(&collector, protocol, "cumulative");
        let cgroup = TestCgroup::new("cgscope-otlp-points");
        assert!(cgroup.run(&["busy", "1", "3", "1500"]).arrivals > 100);
        // It is idle: once its last samples and its last reading are there, its numbers stay as they are.
        thread::sleep(Duration::from_secs(3));
        let scraped = || -> Scraped {
            let families = families(&daemon).into_iter();
            families
                .map(|family| (family.name.clone(), of_cgroup(&family, &cgroup.path)))
                .collect()
        };
        let start = Instant::now();
        let [sums, gauges, histograms] = loop {
            let sent = last_of(&collector.recorded(), &cgroup.path);
            let told = scraped();
            let ended = now();
            match compare_all(&told, &sent, &Run { began, ended }) {
                Ok(compared) => break compared,
                Err(mismatch) => assert!(start.elapsed() < MOST, "{protocol}: {mismatch}"),
            }
            thread::sleep(Duration::from_millis(100));
        };
        note(&format!(
            "{protocol}: {sums} sums, {gauges} gauges, {histograms} histograms"
        ));
    }
}

/// What the differences of a sum add up to, and how many there were. Each begins where the one before ended.
fn added_up(recorded: &Recorded, path: &str, name: &str) -> (f64, usize) {
    let delta = i32::from(AggregationTemporality::Delta);
    let mut ended: BTreeMap<Labels, u64> = BTreeMap::new();
    let (mut sum, mut count) = (0.0, 0);
    for (resource, _, metric) in recorded.metrics() {
        let of = text(&resource.attributes, "cgscope.cgroup.path");
        if of.as_deref() != Some(path) || metric.name != name {
            continue;
        }
        let Some(Data::Sum(differences)) = metric.data else {
            panic!("{metric:?}");
        };
        assert!(differences.is_monotonic && differences.aggregation_temporality == delta);
        for point in differences.data_points {
            let (start, time) = (point.start_time_unix_nano, point.time_unix_nano);
            let before = ended.insert(attributes_of(&point.attributes), time);
            assert!(before.is_none_or(|before| before == start), "{point:?}");
            assert!(start < time, "{point:?}");
            sum += value_of(&point);
            count += 1;
        }
    }
    (sum, count)
}

#[test]
fn differences_that_a_real_collector_took_add_up_to_what_the_kernel_counted_over_both_protocols() {
    for protocol in ["grpc", "http/protobuf"] {
        let collector = OtelCollector::start();
        let daemon = begin(&collector, protocol, "delta");
        let cgroup = TestCgroup::container();
        let of_cgroup = [("id", cgroup.path.as_str())];
        for _ in 0..3 {
            assert!(cgroup.run(&["busy", "1", "2", "600"]).arrivals > 10);
            thread::sleep(Duration::from_millis(1_200));
        }
        let start = Instant::now();
        let exports = loop {
            let recorded = collector.recorded();
            let (cpu, exports) = added_up(&recorded, &cgroup.path, "container.cpu.time");
            let switches = "cgscope.container.context_switches";
            let (switches, _) = added_up(&recorded, &cgroup.path, switches);
            let used = cgroup.cpu_time().as_secs_f64();
            let name = "cgscope_container_context_switches_total";
            let scraped = daemon.scrape().sum(name, &of_cgroup);
            // A mode is counted in whole microseconds.
            let is_all = (cpu - used).abs() < 1e-5 && scraped == Some(switches);
            // How much it got of a CPU is up to who else was there.
            if is_all && used > 0.2 && exports > 3 {
                break exports;
            }
            assert!(
                start.elapsed() < MOST,
                "{protocol}: {cpu} s of {used}, {switches} switches of {scraped:?}, {exports} exports"
            );
            thread::sleep(Duration::from_millis(100));
        };
        note(&format!("{protocol}: {exports} differences of CPU time"));
    }
}
