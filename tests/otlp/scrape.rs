//! A scrape with native buckets.

use collector_tests::daemon::Daemon;
use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::{
    Metric, MetricFamily,
};
use prost::Message as _;

/// All families.
pub(crate) fn families(daemon: &Daemon) -> Vec<MetricFamily> {
    let protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                    encoding=delimited";
    let bytes = ureq::get(format!("http://{}/metrics", daemon.address))
        .header("Accept", protobuf)
        .call()
        .expect("an answer")
        .body_mut()
        .with_config()
        .limit(1 << 30)
        .read_to_vec()
        .expect("a body");
    let mut rest = bytes.as_slice();
    let mut families = Vec::new();
    while !rest.is_empty() {
        families.push(MetricFamily::decode_length_delimited(&mut rest).expect("a family"));
    }
    families
}

/// The series of a family that are of this cgroup.
pub(crate) fn of_cgroup(family: &MetricFamily, path: &str) -> Vec<Metric> {
    let series = family.metric.iter().filter(|series| {
        let mut labels = series.label.iter();
        labels.any(|label| label.name == "id" && label.value == path)
    });
    series.cloned().collect()
}
