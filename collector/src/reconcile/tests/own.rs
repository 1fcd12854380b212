//! cgscope itself among the cgroups: whom it preempts.

use super::*;
use crate::catalog::ContainerRef;

const OWN: u64 = 1;
const INNER: u64 = 2;
const OTHER_CONTAINER: u64 = 3;
const SYSTEM: u64 = 4;

fn id(path: &str) -> ContainerRef {
    ContainerRef {
        id: path.rsplit('/').next().unwrap().to_owned(),
        ..ContainerRef::default()
    }
}

/// cgscope's container with a cgroup in it, another container, and a cgroup of none.
fn with_all() -> Pipeline {
    let mut pipeline = pipeline();
    make(&mut pipeline, OWN, CONTAINER, 1);
    make(&mut pipeline, INNER, &format!("{CONTAINER}/inner"), 1);
    make(
        &mut pipeline,
        OTHER_CONTAINER,
        &CONTAINER.replace("4f1e", "0000"),
        1,
    );
    make(&mut pipeline, SYSTEM, "/system.slice", 1);
    pipeline
}

/// By whom the system's cgroup was preempted, when each of the others has taken the CPU from it once.
fn preempted(pipeline: &mut Pipeline) -> [u64; 4] {
    let before = row(pipeline, "/system.slice").sched;
    for next_cgroup in [OWN, INNER, OTHER_CONTAINER] {
        let sample = SchedSample {
            next_cgroup,
            prev_cgroup: SYSTEM,
            wait_and_flags: 0x14 | SchedSample::FLAG_INVOLUNTARY,
            slice_and_share: 10,
        };
        pipeline.batch(&Batch {
            header: &BatchHeader::default(),
            samples: Samples::Sched(&[sample]),
        });
    }
    let after = row(pipeline, "/system.slice").sched.unwrap();
    let before = before.map_or([0; 4], |before| before.preempted_by);
    std::array::from_fn(|by| after.preempted_by[by] - before[by])
}

#[test]
fn cgscope_counts_as_any_other_until_it_is_to_be_left_out() {
    let mut pipeline = with_all();
    assert_eq!(preempted(&mut pipeline), [0, 3, 0, 0]);
    pipeline.know_own_cgroup(Some(key(OWN)), false);
    assert_eq!(preempted(&mut pipeline), [0, 3, 0, 0]);
    // That it is known is not for that alone.
    assert_eq!(pipeline.own_container(), Some(&id(CONTAINER)));
    pipeline.know_own_cgroup(Some(key(OWN)), true);
    assert_eq!(preempted(&mut pipeline), [0, 1, 0, 0]);
}

#[test]
fn all_cgroups_of_its_container_are_left_out_whichever_is_known_first() {
    let mut pipeline = pipeline();
    pipeline.know_own_cgroup(Some(key(OWN)), true);
    make(&mut pipeline, INNER, &format!("{CONTAINER}/inner"), 1);
    make(
        &mut pipeline,
        OTHER_CONTAINER,
        &CONTAINER.replace("4f1e", "0000"),
        1,
    );
    make(&mut pipeline, SYSTEM, "/system.slice", 1);
    assert_eq!(pipeline.own_container(), None);
    make(&mut pipeline, OWN, CONTAINER, 2);
    assert_eq!(pipeline.own_container(), Some(&id(CONTAINER)));
    assert_eq!(preempted(&mut pipeline), [0, 1, 0, 0]);
}

#[test]
fn where_its_cgroup_is_hidden_its_container_tells() {
    let mut pipeline = with_all();
    pipeline.know_own_cgroup(None, true);
    assert_eq!(preempted(&mut pipeline), [0, 3, 0, 0]);
    pipeline.know_own_container(id(CONTAINER));
    assert_eq!(preempted(&mut pipeline), [0, 1, 0, 0]);
}

#[test]
fn a_service_is_left_out_by_its_cgroup_and_the_root_is_nobodys_own() {
    let mut pipeline = pipeline();
    for (of, path) in [
        (OWN, "/cgscope.service"),
        (INNER, "/"),
        (SYSTEM, "/system.slice"),
    ] {
        make(&mut pipeline, of, path, 1);
    }
    make(&mut pipeline, OTHER_CONTAINER, CONTAINER, 1);
    pipeline.know_own_cgroup(Some(key(OWN)), true);
    assert_eq!(preempted(&mut pipeline), [0, 1, 1, 0]);
    pipeline.know_own_cgroup(Some(key(INNER)), true);
    assert_eq!(preempted(&mut pipeline), [0, 1, 2, 0]);
    assert_eq!(pipeline.own_container(), None);
}
