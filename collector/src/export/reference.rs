//! The reference of all metrics, `docs/metrics.md`, printed from the tables.
//!
//! In: the tables of our own metrics and of those whose names others gave. Out: markdown. Never here: a
//! value.

use std::fmt::{self, Write as _};

use super::{
    catalog,
    family::{Family, Otlp, Scope},
    labels::{self, Label, Values},
    peers::{self, Metric, otel},
};

/// The reference of all metrics, `docs/metrics.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(
        "# Metrics\n\n\
         Generated from `collector/src/export/catalog/` and the tables in `collector/src/export/peers` by \
         `cargo xtask docs`: edit those.\n\n\
         `/metrics` serves OpenMetrics text, Prometheus text and Prometheus protobuf, whichever the \
         scraper asks for. Histograms have classic buckets in all three, and native ones (schema 3) \
         in protobuf. A figure that the kernel does not give is absent, not 0. There are no explicit \
         time stamps.\n",
    );
    for (scope, title, introduction) in [
        (
            Scope::Cgroup,
            "Containers and other cgroups",
            "Figures of events are of a cgroup's own tasks, through all lives of its path, and not of the \
             cgroups below it: no event is in two series, so that a sum over series is a pod's or the node's. \
             What was kept of cgroups whose time as tombstones is over goes with them: sum rates, not \
             totals.\n\nEvery series carries these labels, empty when unknown, and then its own:",
        ),
        (
            Scope::Collector,
            "cgscope itself",
            "What was seen, what was lost, and what it cost.",
        ),
        (
            Scope::Process,
            "The process",
            "The usual figures of a process, under their usual names.",
        ),
    ] {
        // Writing to a `String` cannot fail, so the results carry nothing.
        let written = write_section(&mut text, scope, title, introduction);
        debug_assert!(written.is_ok(), "writing to a string");
    }
    text.push_str(KATA);
    let written = write_peers(&mut text);
    debug_assert!(written.is_ok(), "writing to a string");
    text
}

/// What is exported in the shims' own words.
const KATA: &str = "\n## Kata Containers\n\n\
    Where shims of Kata Containers run (a socket `shim-monitor.sock` for each sandbox, below \
    `/run/vc/sbs` or `/run/kata`), they are asked for their metrics once per interval, each for up to 2 s, \
    and `/metrics` has those whose names begin with `kata_`, in all three formats: of the shim, the \
    hypervisor, the agent and the guest. Names, kinds, units, help and values are the shims' \
    ([a list](https://github.com/kata-containers/kata-containers/blob/main/docs/design/kata-metrics.md)); \
    histograms have the shims' classic buckets and no native ones. An answer is kept for three intervals; \
    the metrics of a sandbox that is gone go with it.\n\n\
    Every series carries these labels, as kata-monitor adds them, empty when unknown, and then its own:\n\n\
    * Label `sandbox_id`: the id of the sandbox in its runtime\n\
    * Label `cri_uid`: the UID of its pod\n\
    * Label `cri_name`: the name of its pod\n\
    * Label `cri_namespace`: the namespace of its pod\n\n\
    A shim's own label that has one of these names is renamed (`exported_sandbox_id`). Metrics under \
    other names (`go_*`, `process_*`) are not exported. Left out too, and counted in \
    `cgscope_kata_samples_left_out`, are series that are there twice or contradict themselves, a metric \
    that one shim tells as another kind than most do, and what is above 4,096 samples of a shim or 65,536 \
    of all. In OpenMetrics, a counter whose name does not end in `_total` is of the type `unknown`.\n";

fn write_section(text: &mut String, scope: Scope, title: &str, introduction: &str) -> fmt::Result {
    write!(text, "\n## {title}\n\n{introduction}\n")?;
    if scope == Scope::Cgroup {
        writeln!(text)?;
        for label in &labels::CGROUP {
            write_label(text, label)?;
        }
    }
    for family in catalog::all().filter(|family| family.scope == scope) {
        let Family {
            name,
            otlp,
            kind,
            unit,
            scope: _,
            labels,
            help,
            source,
            since,
        } = family;
        write!(text, "\n### `{name}`\n\n{help}\n\n* Kind: {}", kind.name())?;
        if let Some(unit) = unit {
            write!(text, ", {}", unit.name())?;
        }
        writeln!(text)?;
        if let Some(Otlp { name, unit, .. }) = otlp {
            writeln!(text, "* By OTLP: `{name}`, unit `{unit}`")?;
        }
        for label in *labels {
            write_label(text, label)?;
        }
        writeln!(text, "* Source: {source}\n* Since: {since}")?;
    }
    Ok(())
}

/// Writes a section for each set.
fn write_peers(text: &mut String) -> fmt::Result {
    write_set(
        text,
        "Names of cAdvisor and the kubelet",
        "With `[export.cadvisor] enabled = true`, `--export-cadvisor` or `CGSCOPE_EXPORT_CADVISOR=true`. \
         Names, labels, units and meaning are cAdvisor's, the first six labels the kubelet's. Off by \
         default: a kubelet that is scraped under the same job would count everything twice. The \
         series are of every cgroup: containers, pods, QoS classes and the root; a pod's own cgroup has \
         no `container` and no `image`. As the kernel counts, a figure is of the path's latest life and of \
         all cgroups below it; those of the scheduler's events are added up so too, over cgroups that are \
         gone as well, and those of the root are the node's. Only container_oom_events_total is of the \
         cgroup's own limit alone. Memory of the root is the host's. A cgroup that is gone keeps its totals and peaks for a while, as \
         it does among our own metrics, and nothing of what it had in use.",
        &labels::CGROUP,
        peers::CADVISOR,
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
        peers::CONTAINERD,
    )?;
    write_otel(text)
}

fn write_otel(text: &mut String) -> fmt::Result {
    text.push_str(
        "\n## OTLP\n\n\
         With `[export.otlp] enabled = true`, `--export-otlp` or `CGSCOPE_EXPORT_OTLP=true`, all metrics above but \
         those of cAdvisor and containerd are sent to an OpenTelemetry collector too (docs/opentelemetry.md), \
         under the names that are given with each: counters as monotonic sums, histograms as exponential ones \
         (scale 3), all else as gauges. A Prometheus that takes them calls them as `/metrics` does, \
         except those of the process, which are `cgscope_process_…` there. Labels are attributes, \
         without those that are empty. The labels of every cgroup are not on the points: whose they are is in the \
         resource. The metrics of Kata's shims have the shims' names.\n\n\
         Besides, there are those of the semantic conventions of OpenTelemetry (1.44), of containers, each once: \
         sums are from the start of the container on, with a start of 0 where that was not seen. What the conventions have no name for is under our own.\n\n\
         The attributes of a cgroup's resource, absent when unknown:\n\n",
    );
    for attribute in &otel::RESOURCE {
        write_attribute(text, attribute)?;
    }
    text.push_str(
        "* Attribute `cgscope.cgroup.path`: the cgroup's path, of every cgroup\n\
         * Attribute `service.instance.id`: of every cgroup another, so that a Prometheus, which makes it \
         the label `instance`, keeps their series apart: the host's name, a colon and the path\n\nWhat is told of the host and of cgscope's service (`service.name`, `host.name`, what \
         `OTEL_RESOURCE_ATTRIBUTES` adds) is in it as well; of cgscope's own container, pod and process \
         nothing is.\n",
    );
    text.push_str("\nThe attributes of the points of the conventions:\n\n");
    for attribute in otel::METRICS.iter().flat_map(|metric| metric.attributes) {
        let mut line = String::new();
        write_attribute(&mut line, attribute)?;
        if !text.ends_with(&line) {
            text.push_str(&line);
        }
    }
    text.push_str("\n| name | unit | instrument | value | attributes | meaning | source |\n");
    text.push_str("|---|---|---|---|---|---|---|\n");
    for metric in otel::METRICS {
        let value = if metric.is_double { "double" } else { "int" };
        let instrument = metric.instrument.name();
        write!(
            text,
            "| `{}` | `{}` | {instrument} | {value} |",
            metric.name, metric.unit
        )?;
        for attribute in metric.attributes {
            write!(text, " `{}`", attribute.name)?;
        }
        writeln!(text, " | {} | {} |", metric.help, metric.source)?;
    }
    Ok(())
}

fn write_attribute(text: &mut String, attribute: &Label) -> fmt::Result {
    write_named(text, "Attribute", attribute)
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
    let versions = metric.cgroup_versions();
    writeln!(
        text,
        " | {versions} | {} | {} |",
        family.help, family.source
    )
}

fn write_label(text: &mut String, label: &Label) -> fmt::Result {
    write_named(text, "Label", label)
}

fn write_named(text: &mut String, what: &str, label: &Label) -> fmt::Result {
    write!(text, "* {what} `{}`: ", label.name)?;
    match label.values {
        Values::Open(description) => writeln!(text, "{description}"),
        Values::Closed(values) => {
            for (index, value) in values.iter().enumerate() {
                let separator = if index == 0 { "" } else { ", " };
                match *value {
                    "" => write!(text, "{separator}or empty")?,
                    value => write!(text, "{separator}`{value}`")?,
                }
            }
            writeln!(text)
        }
    }
}
