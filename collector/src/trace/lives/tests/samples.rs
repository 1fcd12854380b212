//! Slow samples, their exemplars, and those that are told by neither.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use opentelemetry_proto::tonic::common::v1::any_value::Value;

use super::{ID, OWNER, Told, attribute, named};
use crate::{
    catalog::{Identity, OwnerId},
    reconcile::{
        moments::{LifeLoss, Moment},
        slow::{Meanwhile, SlowSample},
        snapshot::ExemplarOf,
    },
    window::{Device, Operation},
};

#[test]
fn what_a_silent_cpu_kept_until_after_the_end_is_told_and_what_comes_later_is_counted() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    told.look(900, 1, 0, Some(named()));
    told.ends(1_000);
    told.exits(1_002, 0);
    told.look(1_900, 1, 0, Some(named()));
    told.slow(2_000, 20);
    assert!(told.named("container").is_empty(), "there may be more");
    told.look(3_000, 1, 0, Some(named()));
    let lives = told.named("container");
    assert_eq!(lives.len(), 1);
    let samples = attribute(&lives[0].attributes, "cgscope.slow_samples");
    assert_eq!(samples, Some(Value::IntValue(1)));
    assert_eq!(told.named("runqueue wait").len(), 1);
    told.slow(3_100, 20);
    assert_eq!(told.named("runqueue wait").len(), 1);
    assert_eq!(told.lost(LifeLoss::Late), 1);
    assert_eq!(told.lost(LifeLoss::Containers), 0);
}

#[test]
fn what_is_above_the_rate_or_finds_no_room_is_counted_and_is_no_exemplar() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    told.look(900, 1, 0, Some(named()));
    // One for each bucket that these are in.
    for (sample, took) in [1, 20, 300, 4_000].into_iter().enumerate() {
        told.slow(1_000 + sample as u64, took);
    }
    assert_eq!(told.named("runqueue wait").len(), 3);
    assert_eq!(told.lost(LifeLoss::ContainerRate), 1);
    assert_eq!(told.exemplars(), 3);
    *told.has_room.lock().unwrap_or_else(PoisonError::into_inner) = false;
    told.slow(2_500, 20_000);
    assert_eq!(told.lost(LifeLoss::QueueFull), 1);
    assert_eq!(told.exemplars(), 3, "nobody can look at it");
    *told.has_room.lock().unwrap_or_else(PoisonError::into_inner) = true;
    told.slow(3_700, 21);
    assert_eq!(told.exemplars(), 3, "it took another's place");
    told.happens(3_800, Moment::Forgotten { owner: OWNER });
    assert_eq!(told.exemplars(), 0);
}

#[test]
fn exemplars_are_replaced_and_grow_old_also_when_the_calendar_was_set_back() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    told.look(900, 1, 0, Some(named()));
    told.slow(1_000, 20);
    told.slow(1_100, 300);
    told.set_back(Duration::from_hours(1));
    told.slow(5_000, 21);
    let shown = told.exemplars_at(6_000);
    let times: Vec<_> = shown.iter().map(|of| (of.value_ns, of.at)).collect();
    let ms = 1_000_000;
    let before = told.wall(1_100) + Duration::from_hours(1);
    assert_eq!(
        times,
        [(300 * ms, before), (21 * ms, told.wall(5_000))],
        "the newer one is shown in its bucket"
    );
    let last = told.exemplars_at(15 * 60_000 + 2_000);
    let last: Vec<_> = last.iter().map(|of| of.value_ns).collect();
    assert_eq!(last, [21 * ms], "the other is older than 15 minutes");
}

#[test]
fn a_root_that_finds_no_room_is_sent_later_and_nothing_is_sent_before_it() {
    let mut told = Told::new();
    *told.has_room.lock().unwrap_or_else(PoisonError::into_inner) = false;
    told.begins(0, 1, true);
    told.look(900, 1, 0, Some(named()));
    told.slow(1_000, 20);
    *told.has_room.lock().unwrap_or_else(PoisonError::into_inner) = true;
    assert_eq!(told.spans(), []);
    told.look(1_950, 1, 0, Some(named()));
    assert_eq!(told.names(), ["container started", "runqueue wait"]);
}

#[test]
fn block_io_names_its_disk_and_its_operation() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    told.look(900, 1, 0, Some(named()));
    let neighbor = Identity {
        path: "/system.slice/backup.service".to_owned(),
        ..Identity::clone(&told.identity(4, 0, None))
    };
    let sample = SlowSample {
        owner: OwnerId::of_test(8),
        generation: 4,
        of: ExemplarOf::BlockIoDevice {
            device: Device { major: 8, minor: 0 },
            operation: Operation::Write,
        },
        took: Duration::from_millis(30),
        throttled: Duration::ZERO,
        ended: told.ktime(1_000),
        within: Duration::from_millis(1),
        meanwhile: Some(Meanwhile {
            who: Arc::new(neighbor),
            had: Duration::from_millis(45),
        }),
    };
    let inside = Arc::new(Identity {
        path: format!("/docker/{ID}/below"),
        ..Identity::clone(&told.identity(4, 0, None))
    });
    let now = told.now(1_010);
    told.lives.slow(
        sample,
        OWNER,
        Some(inside),
        |_| Some("sda".to_owned()),
        &now,
    );
    let [span] = &told.named("block i/o in device")[..] else {
        panic!("{:?}", told.names());
    };
    let text = |value: &str| Some(Value::StringValue(value.to_owned()));
    let of_span = |key| attribute(&span.attributes, key);
    assert_eq!(of_span("system.device"), text("sda"));
    assert_eq!(of_span("cgscope.operation"), text("write"));
    assert_eq!(of_span("cgscope.inside"), text("/docker/c0ffee/below"));
    let neighbor = of_span("cgscope.meanwhile.cgroup.path");
    assert_eq!(neighbor, text("/system.slice/backup.service"));
    let had = of_span("cgscope.meanwhile.time");
    assert_eq!(had, Some(Value::DoubleValue(0.045)));
}
