//! Which traces a life has, and when they are told.

use std::{collections::HashSet, time::SystemTime};

use opentelemetry_proto::tonic::{common::v1::any_value::Value, trace::v1::Span};

use super::{ID, OWNER, Told, attribute, named};
use crate::{catalog::RuntimeContainer, reconcile::moments::Moment};

#[test]
fn one_that_runs_has_its_root_at_once_and_then_what_happens_to_it() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    told.look(100, 1, 0, None);
    told.slow(300, 20);
    assert_eq!(told.spans(), [], "its name is waited for");
    assert_eq!(told.exemplars(), 0);
    told.look(900, 1, 0, Some(named()));
    assert_eq!(told.names(), ["container started", "runqueue wait"]);
    assert_eq!(told.exemplars(), 1);
    told.oom(1_000);
    told.look(5_000, 1, 0, Some(named()));
    assert_eq!(
        told.names().len(),
        2,
        "what else happens may be told with it"
    );
    told.slow(6_000, 200);
    told.look(11_100, 1, 0, Some(named()));
    let names = [
        "container started",
        "runqueue wait",
        "runqueue wait",
        "container checkpoint",
    ];
    assert_eq!(told.names(), names);
    let spans = told.spans();
    for span in &spans[1..] {
        let place = (&span.trace_id, &span.parent_span_id);
        assert_eq!(place, (&spans[0].trace_id, &spans[0].span_id));
    }
    let wait = &spans[2];
    let times = (wait.start_time_unix_nano, wait.end_time_unix_nano);
    assert_eq!(times, (told.nanos(5_800), told.nanos(6_000)));
    assert_eq!(
        attribute(&wait.attributes, "cgscope.meanwhile.container.id"),
        Some(Value::StringValue(ID.to_owned()))
    );
    assert_eq!(
        attribute(&wait.attributes, "cgscope.meanwhile.time"),
        Some(Value::DoubleValue(0.2))
    );
    let checkpoint = &spans[3];
    let [oom] = &checkpoint.events[..] else {
        panic!("{checkpoint:?}");
    };
    assert_eq!(oom.time_unix_nano, told.nanos(1_000));
    assert_eq!(
        attribute(&oom.attributes, "process.pid"),
        Some(Value::IntValue(99))
    );
    assert_eq!(
        attribute(&oom.attributes, "process.executable.name"),
        Some(Value::StringValue("hog".to_owned()))
    );
    let status = checkpoint.status.clone().unwrap_or_default();
    assert_eq!(status.message, "the OOM killer killed process 99 (hog)");
    assert_eq!(checkpoint.end_time_unix_nano, told.nanos(11_100));
    // Nothing happens, and it is told once in five minutes.
    told.look(300_000, 1, 0, Some(named()));
    assert_eq!(told.names().len(), 4);
    told.look(312_000, 1, 0, Some(named()));
    let checkpoints = told.named("container checkpoint");
    assert_eq!(checkpoints.len(), 2);
    assert_eq!(checkpoints[1].start_time_unix_nano, told.nanos(11_100));
}

#[test]
fn a_name_that_does_not_come_is_not_waited_for_for_ever() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    told.look(1_900, 1, 0, None);
    assert_eq!(told.spans(), []);
    told.look(2_100, 1, 0, None);
    assert_eq!(told.names(), ["container started"]);
}

#[test]
fn a_long_life_is_several_traces_each_linked_to_the_one_before() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    told.look(900, 1, 0, Some(named()));
    for hour in 1..=2_u64 {
        told.look(hour * 3_601_000, 1, 0, Some(named()));
    }
    let roots: Vec<_> = told
        .spans()
        .into_iter()
        .filter(|span| span.parent_span_id.is_empty())
        .collect();
    let names: Vec<_> = roots.iter().map(|root| root.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "container started",
            "container goes on",
            "container goes on"
        ]
    );
    let traces: HashSet<_> = roots.iter().map(|root| &root.trace_id).collect();
    assert_eq!(traces.len(), 3);
    let links =
        |root: &Span| -> Vec<_> { root.links.iter().map(|of| of.span_id.clone()).collect() };
    assert_eq!(links(&roots[1]), [roots[0].span_id.clone()]);
    assert_eq!(
        links(&roots[2]),
        [roots[1].span_id.clone(), roots[0].span_id.clone()]
    );
    for checkpoint in told.named("container checkpoint") {
        let root = roots
            .iter()
            .find(|root| root.trace_id == checkpoint.trace_id);
        assert_eq!(
            root.map(|root| &root.span_id),
            Some(&checkpoint.parent_span_id)
        );
    }
}

#[test]
fn one_that_was_found_has_a_trace_of_its_own_that_leads_to_the_one_from_its_beginning() {
    let mut from_beginning = Told::new();
    from_beginning.begins(0, 1, true);
    from_beginning.look(900, 1, 0, Some(named()));
    let mut later = Told::new();
    later.begins(0, 1, false);
    let runtime = RuntimeContainer {
        started: Some(SystemTime::UNIX_EPOCH),
        ..named()
    };
    later.look(900, 1, 0, Some(runtime));
    let first = &from_beginning.spans()[0];
    let found = &later.spans()[0];
    assert_eq!(found.name, "container found");
    assert_ne!(found.trace_id, first.trace_id);
    let links: Vec<_> = found
        .links
        .iter()
        .map(|of| (&of.trace_id, &of.span_id))
        .collect();
    assert_eq!(links, [(&first.trace_id, &first.span_id)]);
    let life = |span: &Span| attribute(&span.attributes, "cgscope.life");
    assert!(life(first).is_some());
    assert_eq!(life(found), life(first));
    assert_eq!(
        attribute(&found.attributes, "cgscope.runtime.started"),
        Some(Value::IntValue(0))
    );
}

#[test]
fn a_cgroup_that_is_filled_after_its_life_was_told_goes_on_in_a_linked_trace() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    told.look(50, 1, 0, Some(named()));
    let at = told.ktime(100);
    told.happens(100, Moment::Emptied { owner: OWNER, at });
    told.look(4_000, 1, 0, Some(named()));
    assert_eq!(told.names(), ["container started", "container"]);
    told.happens(9_000, Moment::Filled { owner: OWNER });
    told.look(9_100, 1, 0, Some(named()));
    let at = told.ktime(9_500);
    told.happens(9_500, Moment::Emptied { owner: OWNER, at });
    told.exits(9_510, 4);
    told.look(11_300, 1, 0, Some(named()));
    let names = [
        "container started",
        "container",
        "container goes on",
        "container",
    ];
    assert_eq!(told.names(), names);
    let [first, _, root, life] = &told.spans()[..] else {
        panic!("{:?}", told.names());
    };
    assert_eq!(root.links[0].span_id, first.span_id);
    assert_ne!(root.trace_id, first.trace_id);
    assert_eq!(life.parent_span_id, root.span_id);
    let times = (life.start_time_unix_nano, life.end_time_unix_nano);
    assert_eq!(times, (told.nanos(9_000), told.nanos(9_500)));
    let of_life = |key| attribute(&life.attributes, key);
    assert_eq!(of_life("process.exit.code"), Some(Value::IntValue(4)));
    assert_eq!(of_life("cgscope.life.part"), Some(Value::IntValue(1)));
    // Once it is forgotten, nothing is left to go on.
    told.happens(11_000, Moment::Forgotten { owner: OWNER });
    told.happens(12_000, Moment::Filled { owner: OWNER });
    told.look(16_000, 1, 0, Some(named()));
    assert_eq!(told.names(), names);
}
