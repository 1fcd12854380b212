//! What happens to one that runs.

use opentelemetry_proto::tonic::common::v1::any_value::Value;

use super::{KEY, Told, attribute, named};
use crate::{
    catalog::RuntimeContainer,
    reconcile::moments::{LifeLoss, Moment, OomKill, OomLimit},
    trace::lives::Figures,
};

#[test]
fn events_are_bounded_and_those_without_room_are_counted() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    told.look(900, 1, 0, Some(named()));
    for kill in 0..130 {
        told.oom(1_000 + kill);
    }
    told.look(12_000, 1, 0, Some(named()));
    let checkpoint = &told.named("container checkpoint")[0];
    assert_eq!(checkpoint.events.len(), 128);
    assert_eq!(checkpoint.dropped_events_count, 2);
    assert_eq!(told.lost(LifeLoss::SpanFull), 2);
}

#[test]
fn what_the_runtime_tells_of_an_end_has_room_and_each_event_without_is_counted() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    told.look(900, 1, 0, Some(named()));
    for kill in 0..127 {
        told.oom(1_000 + kill);
    }
    told.ends(1_500);
    told.exits(1_501, 137);
    let runtime = RuntimeContainer {
        started: Some(told.wall(40)),
        ..named()
    };
    // The last reading was of a container that was throttled: that is an event too.
    told.look(3_300, 1, 0, Some(runtime));
    let [life] = &told.named("container")[..] else {
        panic!("{:?}", told.names());
    };
    let count = |name| life.events.iter().filter(|of| of.name == name).count();
    assert_eq!(life.events.len(), 128);
    assert_eq!(count("cgscope.oom_kill"), 126);
    let ends = [life.events.first(), life.events.last()];
    assert_eq!(
        ends.map(|of| of.map(|of| of.name.as_str())),
        [
            Some("cgscope.runtime.started"),
            Some("cgscope.runtime.finished")
        ]
    );
    assert_eq!(life.dropped_events_count, 2);
    assert_eq!(told.lost(LifeLoss::SpanFull), 2);
}

#[test]
fn stalls_and_throttling_that_follow_each_other_are_one_episode() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    told.look(900, 1, 0, Some(named()));
    let mut figures = Figures {
        at: told.ktime(0),
        periods: Some(0),
        throttled_periods: Some(0),
        throttled_ns: Some(0),
        stalled_ns: [(None, None), (None, None), (Some(0), Some(0))],
        ..Figures::default()
    };
    // In each second: of ten periods so many were throttled, and so long it was stalled for block I/O.
    for (second, throttled, stalled_ms) in [(1, 0, 0), (2, 9, 0), (3, 10, 500), (4, 1, 0)] {
        figures.at = told.ktime(second * 1_000);
        figures.periods = figures.periods.map(|of| of + 10);
        figures.throttled_periods = figures.throttled_periods.map(|of| of + throttled);
        figures.throttled_ns = figures.throttled_ns.map(|of| of + throttled * 50_000_000);
        let (some, full) = figures.stalled_ns[2];
        figures.stalled_ns[2] = (some.map(|of| of + stalled_ms * 1_000_000), full);
        let now = told.now(second * 1_000);
        told.lives.read(KEY, &figures, &now);
    }
    told.look(15_000, 1, 0, Some(named()));
    let checkpoint = &told.named("container checkpoint")[0];
    let events: Vec<_> = checkpoint
        .events
        .iter()
        .map(|event| {
            let value = |key| attribute(&event.attributes, key);
            (
                event.name.as_str(),
                event.time_unix_nano,
                value("cgscope.duration"),
            )
        })
        .collect();
    let seconds = |of| Some(Value::DoubleValue(of));
    assert_eq!(
        events,
        [
            ("cgscope.throttled", told.nanos(1_000), seconds(2.0)),
            ("cgscope.stalled", told.nanos(2_000), seconds(1.0)),
        ]
    );
    let throttled = &checkpoint.events[0].attributes;
    assert_eq!(
        attribute(throttled, "cgscope.cpu.throttled_time"),
        seconds(0.95)
    );
    assert_eq!(
        attribute(throttled, "cgscope.cpu.throttled_periods"),
        Some(Value::IntValue(19))
    );
}

#[test]
fn a_kill_of_nobody_knows_whom_is_counted() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    let kill = OomKill {
        victim: None,
        pid: 99,
        comm: String::new(),
        limit: OomLimit::Unknown,
        at: told.ktime(10),
    };
    told.happens(10, Moment::OomKill(Box::new(kill)));
    assert_eq!(told.lost(LifeLoss::Missed), 1);
}
