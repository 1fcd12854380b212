//! The part of `docs/metrics.md` that is about names that others gave.

use std::fmt::{self, Write as _};

use super::{Figures, Metric, cadvisor, containerd};
use crate::export::{
    catalog::write_label,
    labels::{self, Label},
};

/// Writes a section for each set.
pub(in crate::export) fn write_reference(text: &mut String) -> fmt::Result {
    write_set(
        text,
        "Names of cAdvisor and the kubelet",
        "With `[export.cadvisor] enabled = true`, `--export-cadvisor` or `CGSCOPE_EXPORT_CADVISOR=true`. \
         Names, labels, units and meaning are cAdvisor's, the first six labels the kubelet's. Off by \
         default: a kubelet that is scraped under the same job would count everything twice. The \
         series are of every cgroup: containers, pods, QoS classes and the root; a pod's own cgroup has \
         no `container` and no `image`. A cgroup that is gone keeps its totals and peaks for a while, as \
         it does among our own metrics, and nothing of what it had in use.",
        &labels::CGROUP,
        cadvisor::METRICS,
    )?;
    write_set(
        text,
        "Names of containerd",
        "With `[export.containerd] enabled = true`, `--export-containerd` or \
         `CGSCOPE_EXPORT_CONTAINERD=true`. Names, labels and units are containerd's: all are gauges, in \
         the units that end their names. The series are of containers, whichever their runtime is, each \
         once. Both sets at once share some names: those families have the series of both, told apart \
         by their labels (`container_id!=\"\"`, `id!=\"\"`).",
        &labels::CONTAINERD,
        containerd::METRICS,
    )
}

fn write_set(
    text: &mut String,
    title: &str,
    introduction: &str,
    labels: &[Label],
    metrics: &[Metric],
) -> fmt::Result {
    write!(
        text,
        "\n## {title}\n\n{introduction}\n\nEvery series carries these labels, empty when unknown, and \
         then its own:\n\n"
    )?;
    for label in labels {
        write_label(text, label)?;
    }
    text.push_str("\nThe labels of their own:\n\n");
    let mut written: Vec<(&str, String)> = Vec::new();
    for label in metrics.iter().flat_map(|metric| metric.family.labels) {
        let mut line = String::new();
        write_label(&mut line, label)?;
        if !written.iter().any(|(_, known)| *known == line) {
            text.push_str(&line);
            written.push((label.name, line));
        }
    }
    text.push_str("\n| name | kind | own labels | cgroup | meaning | source |\n");
    text.push_str("|---|---|---|---|---|---|\n");
    metrics
        .iter()
        .try_for_each(|metric| write_row(text, metric))
}

fn write_row(text: &mut String, metric: &Metric) -> fmt::Result {
    let family = &metric.family;
    write!(text, "| `{}` | {} |", family.name, family.kind.name())?;
    for label in family.labels {
        write!(text, " `{}`", label.name)?;
    }
    let versions = match metric.figures {
        Figures::Any(_) | Figures::Each { .. } => "v1, v2",
        Figures::V1(_) => "v1",
        Figures::V2(_) => "v2",
    };
    writeln!(
        text,
        " | {versions} | {} | {} |",
        family.help, family.source
    )
}
