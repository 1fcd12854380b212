//! What shims of Kata tell comes out as they told it, with the pods that they are.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};

use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::MetricType;

use super::{encoded_families, encoded_text, full_snapshot, labels_of, parsed};
use crate::{
    catalog::{
        Informant, Names, Role, Roster, RuntimeContainer,
        kata::reading::{ShimReadings, tests::FakeShim},
    },
    export::Format,
    reconcile::{Snapshot, snapshot::KataSnapshot},
};

pub(in crate::export) const WEB: &str =
    "4f1e7e2c6a9b3d5f8c0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60";

/// As a shim in Go tells them.
const OF_WEB: &str = "\
# HELP go_goroutines Number of goroutines that currently exist.
# TYPE go_goroutines gauge
go_goroutines 17
# HELP kata_guest_load Guest system \"load\".
# TYPE kata_guest_load gauge
kata_guest_load{item=\"load1\"} 0.25
kata_guest_load{item=\"a\\\\b\\nc\\\"\"} NaN
# HELP kata_hypervisor_threads Hypervisor process threads.
# TYPE kata_hypervisor_threads gauge
kata_hypervisor_threads 7
# HELP kata_shim_agent_rpc_durations_histogram_milliseconds RPC latency distributions.
# TYPE kata_shim_agent_rpc_durations_histogram_milliseconds histogram
kata_shim_agent_rpc_durations_histogram_milliseconds_bucket{action=\"grpc.CheckRequest\",le=\"1\"} 2
kata_shim_agent_rpc_durations_histogram_milliseconds_bucket{action=\"grpc.CheckRequest\",le=\"2\"} 3
kata_shim_agent_rpc_durations_histogram_milliseconds_bucket{action=\"grpc.CheckRequest\",le=\"+Inf\"} 4
kata_shim_agent_rpc_durations_histogram_milliseconds_sum{action=\"grpc.CheckRequest\"} 12.5
kata_shim_agent_rpc_durations_histogram_milliseconds_count{action=\"grpc.CheckRequest\"} 4
# HELP kata_shim_go_gc_duration_seconds A summary of pauses.
# TYPE kata_shim_go_gc_duration_seconds summary
kata_shim_go_gc_duration_seconds{quantile=\"0.5\"} 2.5e-05
kata_shim_go_gc_duration_seconds_sum 0.001
kata_shim_go_gc_duration_seconds_count 9
# TYPE kata_shim_process_cpu_seconds_total counter
kata_shim_process_cpu_seconds_total 1.5
# TYPE kata_shim_pod_overhead counter
kata_shim_pod_overhead 3
";

/// A shim that lies: another kind, others' labels, one series twice.
const OF_LIAR: &str = "\
# TYPE kata_hypervisor_threads counter
kata_hypervisor_threads 1
# TYPE kata_guest_load gauge
kata_guest_load{sandbox_id=\"4f1e\",cri_name=\"web-0\"} 1
kata_guest_load{sandbox_id=\"4f1e\",cri_name=\"web-0\"} 2
";

/// What comes out of them, in the older text format.
const EXPECTED: &str = include_str!("kata.txt");

pub(in crate::export) async fn snapshot() -> Snapshot {
    let host = tempfile::tempdir().unwrap();
    let third = "# TYPE kata_hypervisor_threads gauge\nkata_hypervisor_threads 5\n";
    let shims = [(WEB, OF_WEB), ("liar", OF_LIAR), ("third", third)];
    let _shims = shims.map(|(sandbox, text)| FakeShim::start(host.path(), sandbox, Some(text)));
    let mut readings = ShimReadings::default();
    readings.read(host.path(), Duration::from_secs(5)).await;

    let mut roster = Roster::new(10);
    let sandbox = RuntimeContainer {
        id: WEB.to_owned(),
        id_namespace: "k8s.io".to_owned(),
        role: Role::Sandbox,
        names: Names {
            name: WEB.to_owned(),
            namespace: "shop".to_owned(),
            pod: "web-0".to_owned(),
            ..Names::default()
        },
        pod_uid: "0b9f".to_owned(),
        ..RuntimeContainer::default()
    };
    let informant = Informant {
        rank: 0,
        number: 0,
        user: None,
    };
    roster.tell(informant, sandbox, true).unwrap();
    Snapshot {
        kata: KataSnapshot::of(readings.known(), &roster),
        ..full_snapshot()
    }
}

fn of_kata(text: &str) -> String {
    let is_of_kata = |line: &&str| {
        let name = line
            .strip_prefix("# HELP ")
            .or_else(|| line.strip_prefix("# TYPE "));
        name.unwrap_or(line).starts_with("kata_")
    };
    text.split_inclusive('\n').filter(is_of_kata).collect()
}

#[tokio::test]
async fn what_shims_tell_is_exported_with_their_pods() {
    let text = encoded_text(snapshot().await, Format::PrometheusText);
    assert_eq!(of_kata(&text), EXPECTED, "{}", of_kata(&text));
    // Ours are there too, what was left out among them.
    assert!(text.contains("\ncgscope_kata_shims 3\n"));
    assert!(text.contains("\ncgscope_kata_samples_left_out 2\n"));
    assert!(text.contains("\ncgscope_kata_shim_errors_total{error=\"timeout\"} 0\n"));
}

#[tokio::test]
async fn the_three_formats_say_the_same() {
    let snapshot = snapshot().await;
    let classic = encoded_text(snapshot.clone(), Format::PrometheusText);
    let open = encoded_text(snapshot.clone(), Format::OpenMetricsText);
    assert!(open.ends_with("# EOF\n"));
    let without_nan = |text: &str| {
        let mut samples = parsed(&of_kata(text));
        samples.retain(|_, value| !value.is_nan());
        samples
    };
    assert_eq!(without_nan(&classic), without_nan(&open));
    for head in [
        "# TYPE kata_shim_process_cpu_seconds counter\n",
        "# TYPE kata_shim_pod_overhead unknown\n",
        "# HELP kata_guest_load Guest system \\\"load\\\".\n",
    ] {
        assert!(open.contains(head), "{head}");
    }

    let families = encoded_families(snapshot);
    let family = |name: &str| families.iter().find(|of| of.name == name).unwrap();
    let threads = family("kata_hypervisor_threads");
    assert_eq!(threads.r#type(), MetricType::Gauge);
    assert_eq!(threads.metric.len(), 2);
    let labels = labels_of(&threads.metric[0].label);
    assert_eq!(
        (labels["cri_name"].as_str(), labels["cri_uid"].as_str()),
        ("web-0", "0b9f")
    );
    let rpc = &family("kata_shim_agent_rpc_durations_histogram_milliseconds").metric[0];
    let histogram = rpc.histogram.as_ref().unwrap();
    assert_eq!(histogram.sample_count, 4);
    let buckets: Vec<_> = histogram
        .bucket
        .iter()
        .map(|of| (of.upper_bound, of.cumulative_count))
        .collect();
    assert_eq!(buckets, [(1.0, 2), (2.0, 3), (f64::INFINITY, 4)]);
    let summary = family("kata_shim_go_gc_duration_seconds").metric[0]
        .summary
        .clone();
    let quantile = summary.unwrap().quantile[0];
    assert_eq!(format!("{:?}", quantile.value), "2.5e-5");
    let overhead = family("kata_shim_pod_overhead");
    assert_eq!(overhead.r#type(), MetricType::Counter);
    let value = overhead.metric[0].counter.as_ref().unwrap().value;
    assert_eq!(format!("{value:?}"), "3.0");
}

#[tokio::test]
async fn promtool_understands_every_line_of_them() {
    if let Err(error) = Command::new("promtool").arg("--version").output() {
        eprintln!("skipped: promtool cannot be run: {error}");
        return;
    }
    let mut check = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs");
    let text = encoded_text(snapshot().await, Format::PrometheusText);
    let mut input = check.stdin.take().expect("its input");
    input.write_all(text.as_bytes()).expect("promtool reads");
    drop(input);
    let output = check.wait_with_output().expect("promtool ends");
    // It finds fault with the shims' names; what it cannot read ends it with another code.
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    for line in said.lines() {
        let about_a_name = [
            "counter metrics should have",
            "use base unit",
            "metric name should not include type",
            "metric names should not contain",
        ]
        .iter()
        .any(|fault| line.contains(fault));
        assert!(line.starts_with("kata_") && about_a_name, "{line}");
    }
}
