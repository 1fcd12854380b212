//! Samples that have spans, on the points of the histograms that they are in.
//!
//! In: a cgroup's samples, a series of it. Out: those of the series.

use std::collections::HashMap;

use opentelemetry_proto::tonic::metrics::v1::{Exemplar, exemplar};
use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::Metric;

use crate::{
    export::{
        catalog,
        family::Family,
        histogram::seconds,
        labels::{self, Label, Stage},
        otlp::attributes::unix_nanos,
    },
    reconcile::snapshot::{CgroupStats, ExemplarOf, SpanRef},
    window::{Device, Operation},
};

/// Those of one series of a cgroup.
pub(super) fn of(
    cgroup: &CgroupStats,
    family: &Family,
    series: &Metric,
    devices: &HashMap<Device, String>,
) -> Vec<Exemplar> {
    let its = cgroup
        .exemplars
        .iter()
        .filter(|exemplar| is_in(exemplar.of, family, series, devices));
    its.map(|exemplar| {
        let SpanRef { trace_id, span_id } = exemplar.span;
        Exemplar {
            time_unix_nano: unix_nanos(exemplar.at),
            trace_id: trace_id.into(),
            span_id: span_id.into(),
            value: Some(exemplar::Value::AsDouble(seconds(exemplar.value_ns))),
            filtered_attributes: Vec::new(),
        }
    })
    .collect()
}

fn is_in(
    of: ExemplarOf,
    family: &Family,
    series: &Metric,
    devices: &HashMap<Device, String>,
) -> bool {
    let is_block = |stage: Stage, device: Device, operation: Operation| {
        family.name == catalog::BLOCK_IO_LATENCY.name
            && has(series, &labels::STAGE, stage.name())
            && has(series, &labels::OPERATION, operation.name())
            && has(
                series,
                &labels::DEVICE,
                devices.get(&device).map_or("", String::as_str),
            )
    };
    match of {
        ExemplarOf::RunqueueLatency => family.name == catalog::RUNQUEUE_LATENCY.name,
        ExemplarOf::BlockIoQueue { device, operation } => is_block(Stage::Queue, device, operation),
        ExemplarOf::BlockIoDevice { device, operation } => {
            is_block(Stage::Device, device, operation)
        }
    }
}

fn has(series: &Metric, label: &Label, value: &str) -> bool {
    let mut labels = series.label.iter();
    labels.any(|of| of.name == label.name && of.value == value)
}
