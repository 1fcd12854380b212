//! The catalog says what is exported, no more and no less.

use std::collections::BTreeSet;

use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::MetricType;

use super::{
    super::{
        catalog::all,
        family::{Kind, Scope},
        feeds,
        labels::{CONTAINER_LABEL, POD_LABEL, Values},
        reference::markdown,
    },
    encoded_families, full_snapshot, labels_of,
};

#[test]
fn every_family_of_the_catalog_is_exported_and_no_other() {
    let exported: Vec<_> = encoded_families(full_snapshot())
        .into_iter()
        .map(|family| {
            assert!(!family.metric.is_empty(), "{} has no series", family.name);
            family.name
        })
        .collect();
    let listed: Vec<_> = all().map(|family| family.name).collect();
    assert_eq!(exported, listed);
}

#[test]
fn each_family_is_fed_once_and_by_its_scope() {
    assert_eq!(feeds::ALL.len(), all().count());
    for ((fed, feed), listed) in feeds::ALL.iter().zip(all()) {
        assert_eq!(fed.name, listed.name);
        let by_cgroup = matches!(feed, feeds::Feed::Cgroup(_));
        assert_eq!(by_cgroup, listed.scope == Scope::Cgroup, "{}", listed.name);
    }
}

#[test]
fn names_are_unique_and_end_as_their_kind_and_unit_want() {
    let names: BTreeSet<_> = all().map(|family| family.name).collect();
    assert_eq!(names.len(), all().count());
    for family in all() {
        let unit = family
            .unit
            .map_or(String::new(), |unit| format!("_{}", unit.name()));
        let suffix = match family.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        assert_eq!(format!("{}{unit}{suffix}", family.stem()), family.name);
        let prefix = if family.scope == Scope::Process {
            "process_"
        } else {
            "cgscope_"
        };
        assert!(family.name.starts_with(prefix), "{}", family.name);
    }
}

#[test]
fn help_needs_no_escaping_and_is_a_sentence() {
    for family in all() {
        assert!(
            !family.help.contains(['"', '\\', '\n']),
            "{}: {}",
            family.name,
            family.help
        );
        assert!(
            !family.help.contains("  "),
            "{}: {}",
            family.name,
            family.help
        );
        assert!(
            family.help.ends_with('.'),
            "{}: {}",
            family.name,
            family.help
        );
    }
}

#[test]
fn series_have_the_kind_the_labels_and_the_label_values_of_the_catalog() {
    let mut compared = 0;
    for (family, listed) in encoded_families(full_snapshot()).iter().zip(all()) {
        let kind = match listed.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge | Kind::Info => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
        };
        assert_eq!(family.r#type(), kind, "{}", listed.name);
        assert_eq!(family.help, listed.help);
        for metric in &family.metric {
            let names: Vec<_> = metric
                .label
                .iter()
                .map(|label| label.name.as_str())
                .filter(|name| {
                    let is_chosen = [CONTAINER_LABEL, POD_LABEL]
                        .iter()
                        .any(|prefix| name.starts_with(prefix));
                    // Those that users choose are on one family only, and their names are not ours.
                    !(is_chosen && listed.name == "cgscope_container_info")
                })
                .collect();
            let listed_names: Vec<_> = listed.all_labels().map(|label| label.name).collect();
            assert_eq!(names, listed_names, "{}", listed.name);
            let values = labels_of(&metric.label);
            for label in listed.all_labels() {
                if let Values::Closed(closed) = label.values {
                    let value = values[label.name].as_str();
                    assert!(
                        closed.contains(&value),
                        "{}: {}={value}",
                        listed.name,
                        label.name
                    );
                    compared += 1;
                }
            }
        }
    }
    assert!(compared >= 50, "{compared} values of closed labels");
}

#[test]
fn the_reference_in_the_tree_is_the_one_that_the_catalog_makes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    let in_tree = std::fs::read_to_string(path).expect("docs/metrics.md");
    assert!(
        in_tree == markdown(),
        "docs/metrics.md is out of date; run: cargo xtask docs"
    );
}
