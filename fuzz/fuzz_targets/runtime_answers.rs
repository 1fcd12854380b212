//! What container runtimes, Kata's shims and the mounts of our own process tell: anyone who may make a
//! container chooses parts of it, yet objects end where they end, texts and numbers are bounded, and no two
//! series of an exposition are the same.
//!
//! The first byte says who is told the rest.
#![no_main]

use std::{
    collections::{BTreeMap, HashSet},
    time::SystemTime,
};

use collector::catalog::{
    LabelSelection,
    kata::{
        merged::{KataMetrics, MAX_WEIGHT, SandboxMetrics},
        metrics::ShimMetrics,
        points::{Point, SANDBOX_LABELS, Value, points},
    },
    runtime_container::MAX_TEXT,
    runtimes::{
        json_objects::ObjectSplitter,
        oci_spec::Spec,
        told_json::{Labels, each_entry, each_item, told_time},
    },
    system::own_container::mounted,
};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

/// The most bytes of an object of a stream.
const OBJECT: usize = 256;

/// The most bytes of the text that stands for one that is too long.
const LONGEST: usize = MAX_TEXT;

fuzz_target!(|input: &[u8]| {
    let Some((first, rest)) = input.split_first() else {
        return;
    };
    match first {
        b'o' => objects(rest),
        b'm' => own_mounts(rest),
        b's' => specification(rest),
        other => {
            if let Ok(text) = std::str::from_utf8(rest) {
                match other {
                    b'j' => json(text),
                    b't' => time(text),
                    _ => shims(text),
                }
            }
        }
    }
});

/// A stream is the same objects however it is cut.
fn objects(stream: &[u8]) {
    let split = |chunk: usize| {
        let mut splitter = ObjectSplitter::new(OBJECT);
        let mut objects = Vec::new();
        for bytes in stream.chunks(chunk) {
            splitter.extend(bytes);
            while let Some(object) = splitter.take_object() {
                assert!(object.starts_with(b"{") && object.ends_with(b"}"));
                assert!(object.len() <= OBJECT);
                objects.push(object);
            }
        }
        (objects, splitter.check().is_ok())
    };
    let (whole, byte_by_byte) = (split(stream.len().max(1)), split(1));
    assert_eq!(whole.0, byte_by_byte.0);
    // Where it stops, one object and all before it have been told.
    let told: usize = whole.0.iter().map(Vec::len).sum();
    assert!(told <= stream.len());
}

fn own_mounts(mountinfo: &[u8]) {
    if let Some(container) = mounted(mountinfo) {
        assert!(!container.id.is_empty() && !container.id.contains('/'));
        let id = container.id.as_bytes();
        assert!(mountinfo.windows(id.len()).any(|window| window == id));
    }
}

fn specification(json: &[u8]) {
    let spec = Spec::read(json);
    if let Some(path) = spec.cgroup_path() {
        assert!(path.is_empty() || path.starts_with('/'));
        assert!(!path.split('/').any(|component| component == ".."));
    }
    assert!(spec != Spec::default() || spec.host_network().is_none());
}

fn json(text: &str) {
    let chosen = LabelSelection {
        container: vec!["team".to_owned()],
        pod: vec!["app".to_owned()],
    };
    let mut items = 0;
    if each_item(text, |_| items += 1).is_ok() {
        assert!(items <= text.len());
    }
    let labels = |raw: &RawValue| {
        if let Ok(labels) = Labels::read(Some(raw), &["known"], &chosen) {
            for key in ["team", "app", "known"] {
                let value = labels.get(key).unwrap_or_default();
                assert!(value.len() <= LONGEST && !value.chars().any(char::is_control));
            }
            assert_eq!(labels.get("other"), None);
        }
    };
    if let Ok(raw) = serde_json::from_str::<&RawValue>(text) {
        labels(raw);
    }
    // Those that cannot be read are an error, and no panic.
    drop(each_entry(text, |_, value| labels(value)));
}

fn time(text: &str) {
    if let Some(time) = told_time(text) {
        assert!(time > SystemTime::UNIX_EPOCH);
    }
}

/// Shims, one behind the other, with an empty line between.
fn shims(text: &str) {
    let all: BTreeMap<String, SandboxMetrics> = text
        .split("\n\n")
        .take(4)
        .zip(["a", "b", "c", "d"])
        .map(|(text, sandbox)| {
            let (families, left_out) = points(ShimMetrics::read(text));
            let metrics = SandboxMetrics {
                families: families.into(),
                left_out,
            };
            (sandbox.to_owned(), metrics)
        })
        .collect();
    let merged = KataMetrics::of(&all);
    let mut names = HashSet::new();
    let mut weight = 0;
    for family in &merged.families {
        assert!(family.name.starts_with("kata_") && names.insert(&family.name));
        for (sandbox, points) in family.by_sandbox() {
            assert!(sandbox < merged.sandboxes.len() && !points.is_empty());
            weight += points.iter().map(Point::weight).sum::<usize>();
            let labels: HashSet<_> = points.iter().map(|point| &point.labels).collect();
            assert_eq!(labels.len(), points.len(), "{}", family.name);
            points.iter().for_each(point);
        }
    }
    assert!(weight <= MAX_WEIGHT);
}

fn point(point: &Point) {
    for pair in point.labels.windows(2) {
        assert!(pair[0].0 < pair[1].0, "{point:?}");
    }
    for (name, value) in &point.labels {
        assert!(!name.starts_with("__") && !SANDBOX_LABELS.contains(&name.as_str()));
        assert!(!value.is_empty() && value.len() <= LONGEST);
    }
    if let Value::Histogram { count, buckets, .. } = &point.value {
        for pair in buckets.windows(2) {
            assert!(pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1, "{point:?}");
        }
        assert!(
            buckets
                .iter()
                .all(|(bound, below)| *bound < f64::INFINITY && below <= count)
        );
    }
}
