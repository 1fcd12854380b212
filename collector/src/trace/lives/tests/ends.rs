//! What is told of an end.

use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::any_value::Value;

use super::{KEY, OWNER, Told, attribute, named};
use crate::{
    catalog::{RuntimeContainer, RuntimeState},
    reconcile::moments::{Moment, Standing},
    trace::lives::Figures,
};

#[test]
fn a_short_life_is_one_whole_trace_with_its_own_beginning_and_end() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    told.look(50, 1, 0, None);
    told.ends(100);
    told.exits(101, 3);
    let runtime = RuntimeContainer {
        started: Some(told.wall(40)),
        restarts: Some(2),
        ..named()
    };
    told.look(200, 1, 0, Some(runtime.clone()));
    assert_eq!(told.spans(), [], "what is told of it may change yet");
    told.look(1_900, 1, 0, Some(runtime));
    let spans = told.spans();
    let [root, life] = &spans[..] else {
        panic!("{spans:?}");
    };
    assert_eq!(root.name, "container started");
    assert_eq!(root.parent_span_id, Vec::<u8>::new());
    let root_times = (root.start_time_unix_nano, root.end_time_unix_nano);
    assert_eq!(root_times, (told.nanos(0), told.nanos(40)));
    assert_eq!(life.name, "container");
    assert_eq!(
        (&life.trace_id, &life.parent_span_id),
        (&root.trace_id, &root.span_id)
    );
    let life_times = (life.start_time_unix_nano, life.end_time_unix_nano);
    assert_eq!(life_times, (told.nanos(0), told.nanos(100)));
    let of_life = |key| attribute(&life.attributes, key);
    assert_eq!(of_life("process.exit.code"), Some(Value::IntValue(3)));
    assert_eq!(of_life("cgscope.restarts"), Some(Value::IntValue(2)));
    assert_eq!(of_life("cgscope.cpu.time"), Some(Value::DoubleValue(1.5)));
    assert_eq!(
        of_life("cgscope.last_reading"),
        Some(Value::StringValue("final".to_owned()))
    );
    let status = life.status.clone().unwrap_or_default();
    assert_eq!((status.code, status.message.as_str()), (2, "exit code 3"));
    let events = life.events.iter();
    let events: Vec<_> = events
        .map(|of| (of.name.as_str(), of.time_unix_nano))
        .collect();
    assert_eq!(
        events,
        [
            ("cgscope.throttled", told.nanos(0)),
            ("cgscope.runtime.started", told.nanos(40)),
            ("cgscope.runtime.finished", told.nanos(101)),
        ]
    );
    told.look(2_000, 1, 0, None);
    assert_eq!(told.spans().len(), 2, "it is told once");
}

#[test]
fn a_good_end_is_no_error_and_an_end_that_nobody_tells_of_is_told_without_a_code() {
    let mut told = Told::of_one_that_ended_well();
    let [life] = &told.named("container")[..] else {
        panic!("{:?}", told.names());
    };
    assert_eq!(life.status, None);
    told.begins(10_000, 2, true);
    told.look(10_050, 2, 10_000, Some(named()));
    told.ends(10_100);
    told.look(12_000, 2, 10_000, Some(named()));
    assert_eq!(told.named("container").len(), 1, "it is waited for");
    told.look(13_200, 2, 10_000, Some(named()));
    let lives = told.named("container");
    assert_eq!(lives.len(), 2);
    assert_eq!(attribute(&lives[1].attributes, "process.exit.code"), None);
    assert_eq!(lives[1].status, None);
    assert_ne!(lives[0].trace_id, lives[1].trace_id, "another life");
}

#[test]
fn an_exit_is_of_the_life_that_it_ended_also_when_the_next_one_has_begun() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    told.look(50, 1, 0, Some(named()));
    told.ends(100);
    told.exits(102, 1);
    told.begins(250, 2, true);
    let running = RuntimeContainer {
        state: RuntimeState::Running,
        ..named()
    };
    told.look(800, 2, 250, Some(running.clone()));
    told.ends(900);
    told.exits(902, 2);
    told.look(1_800, 2, 250, Some(running.clone()));
    told.look(2_700, 2, 250, Some(running));
    let lives = told.named("container");
    let codes: Vec<_> = lives
        .iter()
        .map(|life| attribute(&life.attributes, "process.exit.code"))
        .collect();
    assert_eq!(codes, [Some(Value::IntValue(1)), Some(Value::IntValue(2))]);
    let ends: Vec<_> = lives.iter().map(|life| life.end_time_unix_nano).collect();
    assert_eq!(ends, [told.nanos(100), told.nanos(900)]);
    assert_ne!(lives[0].trace_id, lives[1].trace_id);
}

#[test]
fn an_exit_code_is_told_also_when_the_calendar_was_set_back_meanwhile() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    told.look(50, 1, 0, Some(named()));
    let identity = told.identity(1, 0, Some(named()));
    told.set_back(Duration::from_hours(1));
    told.ends(5_000);
    told.exits(5_001, 137);
    let standing = Standing {
        identity,
        key: None,
        removed: None,
    };
    let now = told.now(7_000);
    told.lives.stand(KEY, Some(&standing), &now);
    assert_eq!(told.lives.over(&now), [KEY]);
    told.lives.close(KEY, &now);
    let [life] = &told.named("container")[..] else {
        panic!("{:?}", told.names());
    };
    let code = attribute(&life.attributes, "process.exit.code");
    assert_eq!(code, Some(Value::IntValue(137)));
    let status = life.status.clone().unwrap_or_default();
    assert_eq!((status.code, status.message.as_str()), (2, "exit code 137"));
}

#[test]
fn an_exit_from_before_a_life_is_not_its_own() {
    let mut told = Told::new();
    told.begins(1_000, 1, true);
    // Heard of 10 ms after the beginning.
    told.exits(990, 3);
    told.look(1_050, 1, 1_000, Some(named()));
    told.ends(1_100);
    told.look(4_200, 1, 1_000, Some(named()));
    let [life] = &told.named("container")[..] else {
        panic!("{:?}", told.names());
    };
    assert_eq!(attribute(&life.attributes, "process.exit.code"), None);
}

#[test]
fn how_one_ended_is_known_also_when_another_began_at_its_place_before_that_was_told() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    told.look(50, 1, 0, Some(named()));
    told.ends(100);
    told.exits(102, 0);
    told.look(600, 1, 0, Some(named()));
    assert!(told.named("container").is_empty());
    told.begins(700, 2, true);
    told.look(2_000, 2, 700, Some(named()));
    let [life] = &told.named("container")[..] else {
        panic!("{:?}", told.names());
    };
    let of_life = |key| attribute(&life.attributes, key);
    assert_eq!(of_life("cgscope.cpu.time"), Some(Value::DoubleValue(1.5)));
    assert_eq!(of_life("cgscope.runqueue.waits"), Some(Value::IntValue(3)));
}

#[test]
fn an_end_that_the_next_life_came_before_has_the_figures_that_were_seen_and_no_others() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    told.look(50, 1, 0, Some(named()));
    let figures = Figures {
        at: told.ktime(60),
        cpu_ns: Some(250_000_000),
        ..Figures::default()
    };
    let now = told.now(90);
    told.lives.read(KEY, &figures, &now);
    told.ends(100);
    told.begins(250, 2, true);
    told.look(4_000, 2, 250, Some(named()));
    let [life] = &told.named("container")[..] else {
        panic!("{:?}", told.names());
    };
    assert_eq!(life.start_time_unix_nano, told.nanos(0));
    let of_life = |key| attribute(&life.attributes, key);
    assert_eq!(of_life("cgscope.cpu.time"), Some(Value::DoubleValue(0.25)));
    let earlier = Some(Value::StringValue("earlier".to_owned()));
    assert_eq!(of_life("cgscope.last_reading"), earlier);
    assert_eq!(of_life("cgscope.runqueue.waits"), None, "it is not known");
}

#[test]
fn what_never_had_a_process_and_that_no_runtime_knows_was_no_life() {
    let mut told = Told::new();
    let identity = told.identity(1, 0, None);
    told.happens(
        0,
        Moment::There {
            owner: OWNER,
            identity,
            is_new: true,
        },
    );
    told.look(10, 1, 0, None);
    let at = told.wall(20);
    told.happens(20, Moment::Removed { owner: OWNER, at });
    told.look(1_000, 1, 0, None);
    told.look(4_000, 1, 0, None);
    assert_eq!(told.spans(), []);
}
