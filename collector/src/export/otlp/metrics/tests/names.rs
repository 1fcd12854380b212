//! What metrics are called, and that none is missing.

use std::collections::{BTreeMap, BTreeSet};

use super::{encode, encoder, histograms, metrics, named, number, numbers, texts};
use crate::export::{
    catalog,
    family::Kind,
    labels::CGROUP,
    otel,
    otlp::metrics::TemporalityPreference,
    reference::markdown,
    tests::{encoded_families, full_snapshot},
};

#[test]
fn every_metric_has_a_name_in_otlp_that_no_other_has_and_that_is_documented() {
    let documented = markdown();
    let mut names = BTreeSet::new();
    let own = catalog::all().map(|family| {
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
    for family in catalog::all() {
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
    for (family, listed) in encoded_families(full_snapshot()).iter().zip(catalog::all()) {
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
