//! What the events of a container's life add up to.

use super::*;
use crate::{
    catalog::OwnerId,
    reconcile::{LifeTotals, Scrape, snapshot::SchedSums},
};

const OWN: u64 = 1;
const INIT: u64 = 2;
const INNER: u64 = 3;
const NEIGHBOR: u64 = 4;

fn inner(name: &str) -> String {
    format!("{CONTAINER}/{name}")
}

/// A container whose tasks are all in cgroups that it made itself.
fn with_systemd_inside() -> Pipeline {
    let mut pipeline = pipeline();
    make(&mut pipeline, OWN, CONTAINER, 1);
    make(&mut pipeline, INIT, &inner("init.scope"), 2);
    make(&mut pipeline, INNER, &inner("system.slice/job"), 3);
    make(&mut pipeline, NEIGHBOR, &format!("{CONTAINER}-else"), 3);
    pipeline
}

fn owner_of(pipeline: &mut Pipeline, path: &str) -> OwnerId {
    let Scrape { cgroups, lives, .. } = pipeline.scrape();
    let mut rows = cgroups.iter().zip(&lives);
    let (_, life) = rows.find(|(row, _)| row.identity.path == path).unwrap();
    life.as_ref().unwrap().owner
}

fn totals(pipeline: &mut Pipeline, generation: u32) -> Option<LifeTotals> {
    let owner = owner_of(pipeline, CONTAINER);
    pipeline.life_totals(&[(owner, generation)]).remove(0)
}

fn has_row(pipeline: &mut Pipeline, name: &str) -> bool {
    let path = inner(name);
    rows(pipeline).iter().any(|row| row.identity.path == path)
}

fn waits(pipeline: &mut Pipeline, generation: u32) -> u64 {
    totals(pipeline, generation).unwrap().sched.waits
}

#[test]
fn a_life_has_the_waits_of_all_cgroups_below_its_own() {
    let mut pipeline = with_systemd_inside();
    run(&mut pipeline, INIT, 2);
    run(&mut pipeline, INNER, 3);
    run(&mut pipeline, NEIGHBOR, 8);
    let throttled = SchedSample {
        next_cgroup: INNER,
        prev_cgroup: INNER,
        wait_and_flags: 0x14 | SchedSample::FLAG_THROTTLED,
        slice_and_share: 10 + (SchedSample::throttled_share(20, 20) << SchedSample::SLICE_BITS),
    };
    pipeline.batch(&Batch {
        header: &BatchHeader::default(),
        samples: Samples::Sched(&[throttled]),
    });
    let all = SchedSums {
        ran_ns: 60,
        waited_ns: 120,
        waits: 6,
        throttled_ns: 20,
    };
    let LifeTotals {
        sched, wait_p99_ns, ..
    } = totals(&mut pipeline, 1).unwrap();
    assert_eq!(sched, all);
    assert!(wait_p99_ns.is_some(), "of the same cgroups");
    // What is gone meanwhile, and when its own row is gone too, counts as before.
    remove(&mut pipeline, INNER, "", 4);
    assert_eq!(totals(&mut pipeline, 1).unwrap().sched, all);
    expire(&mut pipeline, 1_000);
    assert!(!has_row(&mut pipeline, "system.slice/job"));
    assert_eq!(totals(&mut pipeline, 1).unwrap().sched, all);
    remove(&mut pipeline, INIT, "", 1_001);
    remove(&mut pipeline, OWN, "", 1_002);
    assert_eq!(totals(&mut pipeline, 1).unwrap().sched, all);
}

#[test]
fn what_was_below_an_earlier_life_of_a_container_is_not_in_the_next() {
    let mut pipeline = with_systemd_inside();
    run(&mut pipeline, INIT, 1);
    run(&mut pipeline, INNER, 2);
    for (second, id) in (4..).zip([INIT, INNER, OWN]) {
        remove(&mut pipeline, id, "", second);
    }
    assert_eq!(waits(&mut pipeline, 1), 3);
    make(&mut pipeline, 11, CONTAINER, 10);
    assert!(totals(&mut pipeline, 1).is_none(), "it is not the latest");
    assert_eq!(waits(&mut pipeline, 2), 0);
    // One of the cgroups inside comes back, the other one's row goes.
    make(&mut pipeline, 12, &inner("init.scope"), 11);
    run(&mut pipeline, 12, 4);
    assert_eq!(waits(&mut pipeline, 2), 4);
    expire(&mut pipeline, 1_000);
    assert!(!has_row(&mut pipeline, "system.slice/job"));
    assert_eq!(waits(&mut pipeline, 2), 4);
}

#[test]
fn of_many_lives_each_has_its_own_totals_and_one_that_is_over_none() {
    let mut pipeline = pipeline();
    let other = CONTAINER.replace("4f1e", "0000");
    make(&mut pipeline, OWN, CONTAINER, 1);
    make(&mut pipeline, INIT, &inner("init.scope"), 2);
    make(&mut pipeline, NEIGHBOR, &other, 1);
    run(&mut pipeline, INIT, 2);
    run(&mut pipeline, NEIGHBOR, 8);
    let own = owner_of(&mut pipeline, CONTAINER);
    let other = owner_of(&mut pipeline, &other);
    let totals = pipeline.life_totals(&[(own, 7), (other, 1), (own, 1)]);
    let waits: Vec<_> = totals
        .iter()
        .map(|of| of.as_ref().map(|of| of.sched.waits))
        .collect();
    assert_eq!(waits, [None, Some(8), Some(2)]);
}
