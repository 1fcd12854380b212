//! The metrics of Kata's shims, in the formats of the exposition.
//!
//! In: the families of all shims, and which pods their sandboxes are. Out: their text, or their messages of
//! protobuf. Never here: a figure of our own.
//!
//! They are written as they were told: names and kinds are the shims', and histograms have buckets already
//! added up, which the encoder of our own families does not take.

use std::fmt::{self, Write};

use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType, Quantile,
    Summary, Untyped,
};

use super::{
    cgroup_labels::push_escaped,
    encode_error::EncodeError,
    family_message::FamilyMessage,
    format::Format,
    pieces::{Pieces, Unwanted},
};
use crate::{
    catalog::kata::{
        merged::KataFamily,
        metrics::Kind,
        points::{Point, SANDBOX_LABELS, Value},
    },
    reconcile::snapshot::{KataSnapshot, SandboxPod},
};

/// For a metric of which a shim does not say what it is.
const NO_HELP: &str = "Told by the shims of Kata Containers.";

/// Writes them as text, in either format.
pub(super) fn write_text(out: &mut impl Write, kata: &KataSnapshot, format: Format) -> fmt::Result {
    let labels = all_sandbox_labels(kata);
    let labels: Vec<String> = labels.iter().map(text_labels).collect();
    kata.readings
        .metrics
        .families
        .iter()
        .try_for_each(|family| {
            write_head(out, family, format)?;
            for (sandbox, points) in family.by_sandbox() {
                let of_sandbox = labels.get(sandbox).ok_or(fmt::Error)?;
                for point in points {
                    write_point(out, &family.name, of_sandbox, point)?;
                }
            }
            Ok(())
        })
}

fn write_head(out: &mut impl Write, family: &KataFamily, format: Format) -> fmt::Result {
    let KataFamily {
        name, kind, help, ..
    } = family;
    let help = if help.is_empty() { NO_HELP } else { help };
    let mut escaped = String::new();
    let (name, kind) = if format == Format::OpenMetricsText {
        push_escaped(&mut escaped, help);
        match (kind, kind.open_metrics_stem(name)) {
            (_, Some(stem)) => (stem, "counter"),
            // There, the name of each counter ends in `_total`.
            (Kind::Counter | Kind::Untyped, None) => (name.as_str(), "unknown"),
            (Kind::Gauge | Kind::Histogram | Kind::Summary, None) => (name.as_str(), kind.name()),
        }
    } else {
        // Here, a quote in it is no end.
        push_escaped(&mut escaped, help);
        escaped = escaped.replace("\\\"", "\"");
        (name.as_str(), kind.name())
    };
    writeln!(out, "# HELP {name} {escaped}\n# TYPE {name} {kind}")
}

fn write_point(out: &mut impl Write, name: &str, of_sandbox: &str, point: &Point) -> fmt::Result {
    let mut labels = of_sandbox.to_owned();
    for (name, value) in &point.labels {
        push_label(&mut labels, name, value);
    }
    let number = |value: f64| Number(value);
    match &point.value {
        Value::Number(value) => writeln!(out, "{name}{{{labels}}} {}", number(*value)),
        Value::Histogram {
            count,
            sum,
            buckets,
        } => {
            for (bound, below) in buckets {
                let bound = number(*bound);
                writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {below}")?;
            }
            writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {count}")?;
            write_sum(out, name, &labels, *sum, *count)
        }
        Value::Summary {
            count,
            sum,
            quantiles,
        } => {
            for (quantile, value) in quantiles {
                let (quantile, value) = (number(*quantile), number(*value));
                writeln!(out, "{name}{{{labels},quantile=\"{quantile}\"}} {value}")?;
            }
            write_sum(out, name, &labels, *sum, *count)
        }
    }
}

fn write_sum(out: &mut impl Write, name: &str, labels: &str, sum: f64, count: u64) -> fmt::Result {
    let sum = Number(sum);
    writeln!(
        out,
        "{name}_sum{{{labels}}} {sum}\n{name}_count{{{labels}}} {count}"
    )
}

/// A number as both text formats write it.
#[derive(Clone, Copy, Debug)]
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            // With an exponent where it is long.
            value => write!(f, "{value:?}"),
        }
    }
}

/// Writes them as messages.
pub(super) fn write_messages<T: FnMut(Vec<u8>) -> bool>(
    out: &mut Pieces<T>,
    kata: &KataSnapshot,
) -> Result<(), EncodeError> {
    let labels = all_sandbox_labels(kata);
    let mut message = FamilyMessage::default();
    for family in &kata.readings.metrics.families {
        for (sandbox, points) in family.by_sandbox() {
            let of_sandbox = labels
                .get(sandbox)
                .ok_or(EncodeError::Protobuf(fmt::Error))?;
            message
                .add(part(family, of_sandbox, points), &[])
                .map_err(EncodeError::Protobuf)?;
        }
        message
            .finish(out)
            .map_err(|Unwanted| EncodeError::Unwanted)?;
    }
    Ok(())
}

/// A family with the points of one sandbox.
fn part(family: &KataFamily, of_sandbox: &SandboxLabels<'_>, points: &[Point]) -> MetricFamily {
    let help = if family.help.is_empty() {
        NO_HELP
    } else {
        &family.help
    };
    let kind = match family.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Histogram => MetricType::Histogram,
        Kind::Summary => MetricType::Summary,
        Kind::Untyped => MetricType::Untyped,
    };
    MetricFamily {
        name: family.name.clone(),
        help: help.to_owned(),
        r#type: kind.into(),
        metric: points
            .iter()
            .map(|point| metric(family.kind, of_sandbox, point))
            .collect(),
        ..MetricFamily::default()
    }
}

fn metric(kind: Kind, of_sandbox: &SandboxLabels<'_>, point: &Point) -> Metric {
    let own = point
        .labels
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let label = of_sandbox
        .iter()
        .copied()
        .chain(own)
        .map(|(name, value)| LabelPair {
            name: name.to_owned(),
            value: value.to_owned(),
        });
    let mut metric = Metric {
        label: label.collect(),
        ..Metric::default()
    };
    match &point.value {
        Value::Number(value) => {
            let value = *value;
            match kind {
                Kind::Counter => {
                    metric.counter = Some(Counter {
                        value,
                        ..Counter::default()
                    });
                }
                Kind::Gauge => metric.gauge = Some(Gauge { value }),
                Kind::Untyped | Kind::Histogram | Kind::Summary => {
                    metric.untyped = Some(Untyped { value });
                }
            }
        }
        Value::Histogram {
            count,
            sum,
            buckets,
        } => {
            let all = [(f64::INFINITY, *count)];
            let buckets = buckets
                .iter()
                .copied()
                .chain(all)
                .map(|(bound, below)| Bucket {
                    cumulative_count: below,
                    upper_bound: bound,
                    ..Bucket::default()
                });
            metric.histogram = Some(Histogram {
                sample_count: *count,
                sample_sum: *sum,
                bucket: buckets.collect(),
                ..Histogram::default()
            });
        }
        Value::Summary {
            count,
            sum,
            quantiles,
        } => {
            let quantiles = quantiles
                .iter()
                .map(|&(quantile, value)| Quantile { quantile, value });
            metric.summary = Some(Summary {
                sample_count: *count,
                sample_sum: *sum,
                quantile: quantiles.collect(),
                ..Summary::default()
            });
        }
    }
    metric
}

/// The labels that say whose a point is.
type SandboxLabels<'a> = [(&'static str, &'a str); SANDBOX_LABELS.len()];

/// Those of all sandboxes, by their positions.
fn all_sandbox_labels(kata: &KataSnapshot) -> Vec<SandboxLabels<'_>> {
    let labels = kata.readings.metrics.sandboxes.iter().map(|sandbox| {
        let pod = kata.pods.get(sandbox);
        let of_pod = |pick: fn(&SandboxPod) -> &String| pod.map_or("", |pod| pick(pod).as_str());
        let [of_sandbox, of_uid, of_name, of_namespace] = SANDBOX_LABELS;
        [
            (of_sandbox, sandbox.as_str()),
            (of_uid, of_pod(|pod| &pod.uid)),
            (of_name, of_pod(|pod| &pod.name)),
            (of_namespace, of_pod(|pod| &pod.namespace)),
        ]
    });
    labels.collect()
}

fn text_labels(labels: &SandboxLabels<'_>) -> String {
    let mut text = String::new();
    for (name, value) in labels {
        push_label(&mut text, name, value);
    }
    text
}

fn push_label(text: &mut String, name: &str, value: &str) {
    if !text.is_empty() {
        text.push(',');
    }
    text.push_str(name);
    text.push_str("=\"");
    push_escaped(text, value);
    text.push('"');
}
