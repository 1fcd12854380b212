//! What events add up to in the tree of cgroups.

use std::collections::HashMap;

use super::{expire, hierarchy, make, pipeline, pipeline_of, run};
use crate::{
    host::HierarchyId,
    reconcile::{Pipeline, snapshot::SchedSums},
};

const POD: &str = "/kubepods.slice/kubepods-pod1.slice";

/// Of each row, how often its tasks and those below it waited.
fn waits(pipeline: &mut Pipeline) -> HashMap<String, u64> {
    pipeline
        .scrape()
        .cgroups
        .iter()
        .map(|row| {
            let sums = row.life.sched.unwrap_or_default();
            assert_eq!(
                sums,
                SchedSums {
                    ran_ns: 10 * sums.waits,
                    waited_ns: 20 * sums.waits,
                    waits: sums.waits,
                    throttled_ns: 0,
                },
                "every wait is 20 ns and every slice 10"
            );
            (row.identity.path.clone(), sums.waits)
        })
        .collect()
}

fn remove(pipeline: &mut Pipeline, id: u64, second: u64) {
    super::remove(pipeline, id, "", second);
}

fn tree(pipeline: &mut Pipeline) {
    make(pipeline, 1, "/", 1);
    make(pipeline, 2, "/kubepods.slice", 1);
    make(pipeline, 3, POD, 2);
    make(pipeline, 4, &format!("{POD}/a"), 3);
    make(pipeline, 5, &format!("{POD}/b"), 3);
    make(pipeline, 6, &format!("{POD}/b/inner"), 4);
    make(pipeline, 7, "/system.slice", 1);
    make(pipeline, 8, "/kubepods.slice-else", 1);
}

#[test]
fn a_cgroup_counts_all_that_is_below_it_once() {
    let mut pipeline = pipeline();
    tree(&mut pipeline);
    for (id, times) in [(1, 1), (3, 2), (4, 4), (5, 8), (6, 16), (7, 32), (8, 64)] {
        run(&mut pipeline, id, times);
    }
    let waits = waits(&mut pipeline);
    assert_eq!(waits["/"], 127);
    assert_eq!(waits["/kubepods.slice"], 2 + 4 + 8 + 16);
    assert_eq!(waits[POD], 2 + 4 + 8 + 16);
    assert_eq!(waits[&format!("{POD}/a")], 4);
    assert_eq!(waits[&format!("{POD}/b")], 8 + 16);
    assert_eq!(waits["/system.slice"], 32);
    // A path that begins alike is not below it.
    assert_eq!(waits["/kubepods.slice-else"], 64);
}

#[test]
fn what_is_gone_still_counts_in_what_is_above_it() {
    let mut pipeline = pipeline();
    tree(&mut pipeline);
    run(&mut pipeline, 4, 4);
    run(&mut pipeline, 6, 16);
    remove(&mut pipeline, 4, 10);
    remove(&mut pipeline, 6, 10);
    remove(&mut pipeline, 5, 11);
    for second in [12, 1_000] {
        expire(&mut pipeline, second);
        let waits = waits(&mut pipeline);
        let inner = format!("{POD}/b/inner");
        assert_eq!(waits.contains_key(&inner), second == 12);
        assert_eq!(waits[POD], 20, "after {second} s");
        assert_eq!(waits["/kubepods.slice"], 20);
        assert_eq!(waits["/"], 20);
    }
    // The pod follows.
    remove(&mut pipeline, 3, 1_010);
    expire(&mut pipeline, 2_000);
    let waits = waits(&mut pipeline);
    assert!(!waits.contains_key(POD));
    assert_eq!(waits["/kubepods.slice"], 20);
    assert_eq!(waits["/"], 20);
}

#[test]
fn a_restart_begins_anew_and_stays_counted_above() {
    let mut pipeline = pipeline();
    tree(&mut pipeline);
    let path = format!("{POD}/a");
    run(&mut pipeline, 4, 4);
    remove(&mut pipeline, 4, 10);
    make(&mut pipeline, 44, &path, 11);
    run(&mut pipeline, 44, 1);
    let now = waits(&mut pipeline);
    assert_eq!(now[&path], 1);
    assert_eq!(now[POD], 5);
    assert_eq!(now["/"], 5);
}

#[test]
fn what_was_below_an_earlier_life_is_not_below_the_next() {
    let mut pipeline = pipeline();
    make(&mut pipeline, 1, "/", 1);
    make(&mut pipeline, 2, "/job", 2);
    make(&mut pipeline, 3, "/job/early", 3);
    make(&mut pipeline, 4, "/job/late", 3);
    run(&mut pipeline, 3, 1);
    run(&mut pipeline, 4, 2);
    remove(&mut pipeline, 3, 4);
    expire(&mut pipeline, 1_000);
    remove(&mut pipeline, 4, 1_001);
    remove(&mut pipeline, 2, 1_002);
    assert_eq!(waits(&mut pipeline)["/job"], 3);
    // Its next life, while one row of the life before is still there, and then is not.
    make(&mut pipeline, 12, "/job", 1_003);
    run(&mut pipeline, 12, 4);
    for second in [1_004, 2_000] {
        let now = waits(&mut pipeline);
        assert_eq!(now.contains_key("/job/late"), second == 1_004);
        assert_eq!((now["/job"], now["/"]), (4, 7));
        expire(&mut pipeline, 2_000);
    }
    // The same where the child comes back too.
    make(&mut pipeline, 14, "/job/late", 2_001);
    run(&mut pipeline, 14, 8);
    remove(&mut pipeline, 14, 2_002);
    remove(&mut pipeline, 12, 2_003);
    make(&mut pipeline, 22, "/job", 2_004);
    make(&mut pipeline, 24, "/job/late", 2_005);
    run(&mut pipeline, 24, 16);
    let now = waits(&mut pipeline);
    assert_eq!(now["/job/late"], 16);
    assert_eq!((now["/job"], now["/"]), (16, 31));
}

#[test]
fn the_node_counts_what_has_no_path_and_no_row() {
    let mut pipeline = pipeline_of(vec![hierarchy(HierarchyId::V2, &[])], 3);
    make(&mut pipeline, 1, "/", 1);
    make(&mut pipeline, 2, "/a", 1);
    run(&mut pipeline, 2, 1);
    // Seen in a sample before anyone told of it.
    run(&mut pipeline, 90, 2);
    assert_eq!(waits(&mut pipeline)["/"], 3);
    make(&mut pipeline, 90, "/a/late", 2);
    let now = waits(&mut pipeline);
    assert_eq!((now["/a/late"], now["/a"], now["/"]), (2, 3, 3));
    // The table is full.
    make(&mut pipeline, 91, "/b", 3);
    run(&mut pipeline, 91, 4);
    assert_eq!(waits(&mut pipeline)["/"], 7);
    // What had a row gives it up and stays.
    remove(&mut pipeline, 90, 4);
    expire(&mut pipeline, 1_000);
    let now = waits(&mut pipeline);
    assert_eq!((now["/a"], now["/"]), (3, 7));
}
