//! What goes over the wire, to the letter.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::{
    MetricFamily, MetricType,
};
use prost::Message as _;

use super::{
    BOTH, CADVISOR, NameSets, encoded, parsed, pod, qos_class, root, text, v1_container,
    v2_container,
};
use crate::{
    export::{
        Format,
        tests::{flattened, with_bounds_as_numbers},
    },
    reconcile::snapshot::CgroupStats,
};

fn assert_as_kept(cgroup: CgroupStats, kept: &str) {
    let text = text(vec![cgroup], BOTH, Format::PrometheusText);
    for (number, (line, expected)) in text.lines().zip(kept.lines()).enumerate() {
        assert_eq!(line, expected, "line {}", number + 1);
    }
    assert_eq!(text.lines().count(), kept.lines().count());
}

#[test]
fn a_container_of_cgroup_v1_is_as_it_was() {
    assert_as_kept(v1_container(), include_str!("v1-container.txt"));
}

#[test]
fn a_container_of_cgroup_v2_is_as_it_was() {
    assert_as_kept(v2_container(), include_str!("v2-container.txt"));
}

#[test]
fn a_pod_is_as_it_was() {
    assert_as_kept(pod(), include_str!("pod.txt"));
}

#[test]
fn a_qos_class_is_as_it_was() {
    assert_as_kept(qos_class(), include_str!("qos.txt"));
}

#[test]
fn the_root_is_as_it_was() {
    assert_as_kept(root(), include_str!("root.txt"));
}

fn everybody() -> Vec<CgroupStats> {
    vec![v1_container(), v2_container(), pod(), qos_class(), root()]
}

fn families(names: NameSets) -> Vec<MetricFamily> {
    let bytes = encoded(everybody(), names, Format::PrometheusProtobuf);
    let mut rest = bytes.as_slice();
    let mut families = Vec::new();
    while !rest.is_empty() {
        let family = MetricFamily::decode_length_delimited(&mut rest).expect("a family");
        if family.name.starts_with("container_") {
            families.push(family);
        }
    }
    families
}

#[test]
fn all_formats_say_the_same() {
    let open = parsed(&text(everybody(), BOTH, Format::OpenMetricsText));
    let classic = parsed(&text(everybody(), BOTH, Format::PrometheusText));
    let protobuf = flattened(&families(BOTH));
    assert!(open.len() > 400, "{} samples", open.len());
    assert_eq!(classic, open);
    assert_eq!(protobuf, with_bounds_as_numbers(open));
}

#[test]
fn a_counter_whose_name_does_not_say_so_is_one_wherever_it_can_be() {
    let line = |format, start: &str| {
        text(everybody(), CADVISOR, format)
            .lines()
            .find(|line| line.starts_with(start))
            .expect("the line")
            .to_owned()
    };
    for name in ["container_memory_failcnt", "container_hugetlb_failcnt"] {
        let head = format!("# TYPE {name} ");
        assert_eq!(
            line(Format::PrometheusText, &head),
            format!("{head}counter")
        );
        // Here a counter's samples must end in `_total`.
        assert_eq!(
            line(Format::OpenMetricsText, &head),
            format!("{head}unknown")
        );
        let families = families(CADVISOR);
        let family = families
            .iter()
            .find(|family| family.name == name)
            .expect("the family");
        assert_eq!(family.r#type(), MetricType::Counter);
        assert!(family.metric.iter().all(|metric| metric.counter.is_some()));
    }
}

#[test]
fn each_family_has_one_head_with_both_sets_at_once() {
    let text = text(everybody(), BOTH, Format::PrometheusText);
    let mut heads: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("# TYPE"))
        .collect();
    let all = heads.len();
    heads.sort_unstable();
    heads.dedup();
    assert_eq!(heads.len(), all);
    // And its series are in one piece.
    let mut names: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split('{').next())
        .collect();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn promtool_understands_every_line() {
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
    let bytes = encoded(everybody(), BOTH, Format::PrometheusText);
    let mut input = check.stdin.take().expect("its input");
    input.write_all(&bytes).expect("promtool reads");
    drop(input);
    let output = check.wait_with_output().expect("promtool ends");
    // It finds fault with the names, which are not ours to choose, and with nothing else: what it
    // cannot read ends it with another code.
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    for line in said.lines() {
        let about_a_name = [
            "non-counter metrics should not have",
            "counter metrics should have",
            "use base unit",
            "metric names should not contain",
            "no help text",
        ]
        .iter()
        .any(|fault| line.contains(fault));
        assert!(line.starts_with("container_") && about_a_name, "{line}");
        assert!(!line.contains("no help text"), "{line}");
    }
}
