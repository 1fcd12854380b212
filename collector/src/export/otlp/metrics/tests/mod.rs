//! Data points against the values that they are of.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use opentelemetry_proto::tonic::{
    common::v1::{KeyValue, any_value},
    metrics::v1::{
        ExponentialHistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, metric::Data,
        number_data_point,
    },
};

use super::{MetricsEncoder, TemporalityPreference};
use crate::{
    catalog::Identity,
    export::{
        otlp::OwnResource,
        tests::{busy_container, full_snapshot, recorded, unknown_cgroup},
    },
    reconcile::{Snapshot, snapshot::CgroupStats},
    window::Device,
};

mod lives;

mod names;

mod points;

const BEGAN: u64 = 1_600_000_000;

const FILES: &str = include_str!("../../../../host/cgroupfs/fixtures/v2-7.2.txt");

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
