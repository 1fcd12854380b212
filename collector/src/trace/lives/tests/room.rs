//! What becomes of those for whom there is no room.

use std::sync::Arc;

use super::{KEY, OWNER, Told};
use crate::{
    catalog::OwnerId,
    reconcile::moments::{LifeLoss, Moment, Moments},
    trace::lives::settings::MAX_LIVES,
};

/// One of the others, who take all the room.
const OTHER: OwnerId = OwnerId::of_test(1_000);

/// So many others are there.
fn crowd(told: &mut Told, many: usize) {
    let identity = told.identity(1, 0, None);
    let others = (OTHER.number()..).map(OwnerId::of_test).take(many);
    let there = others.map(|owner| Moment::There {
        owner,
        identity: Arc::clone(&identity),
        is_new: true,
    });
    let moments = Moments {
        of: there.collect(),
        missed: 0,
    };
    let now = told.now(0);
    told.lives.take(moments, &now);
}

#[test]
fn one_without_room_is_counted_once_and_has_no_trace_also_when_there_is_room_again() {
    let mut told = Told::new();
    crowd(&mut told, MAX_LIVES);
    // In each hierarchy, and once more with its first process.
    told.begins(10, 1, true);
    told.begins(20, 1, false);
    assert_eq!(told.lost(LifeLoss::Containers), 1);
    let now = told.now(30);
    told.lives.close((OTHER, 1), &now);
    told.begins(40, 1, false);
    assert!(!told.lives.awaited(&now).contains(&KEY));
    assert_eq!(told.lost(LifeLoss::Containers), 1);
    told.begins(50, 2, true);
    assert!(told.lives.awaited(&now).contains(&(OWNER, 2)), "the next");
}

#[test]
fn a_life_is_over_when_the_next_at_its_place_begins_also_when_that_finds_no_room() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    crowd(&mut told, MAX_LIVES - 1);
    told.begins(100, 2, true);
    assert_eq!(told.lost(LifeLoss::Containers), 1);
    assert_eq!(told.lives.ended(), [KEY]);
}

#[test]
fn one_that_goes_on_after_its_end_without_room_is_counted_once() {
    let mut told = Told::of_one_that_ended_well();
    assert_eq!(told.named("container").len(), 1);
    crowd(&mut told, MAX_LIVES);
    for ms in [2_000, 2_100] {
        told.happens(ms, Moment::Filled { owner: OWNER });
    }
    assert_eq!(told.lost(LifeLoss::Containers), 1);
}
