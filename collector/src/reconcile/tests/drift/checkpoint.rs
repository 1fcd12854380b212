//! What events add up to at one moment, and whose.

use super::*;

fn sums(pipeline: &Pipeline, in_flight: &InFlight, path: &str) -> OwnerSums {
    let checkpoint = pipeline.checkpoint(&CheckpointWish::ALL, in_flight, at(10));
    let found = checkpoint.owners.iter();
    let mut found = found.filter(|of| of.identity.path == path);
    found.next().expect("an owner").clone()
}

#[test]
fn a_checkpoint_has_what_was_drained_what_is_on_its_way_and_what_is_running() {
    let mut pipeline = pipeline();
    make(&mut pipeline, 7, "/a", 1);
    run(&mut pipeline, 7, 3);
    read(&mut pipeline, 7);
    let in_flight = InFlight {
        sched: vec![SchedSample {
            prev_cgroup: 7,
            slice_and_share: 500,
            ..SchedSample::default()
        }],
        block: Vec::new(),
        running: vec![
            Running {
                cgroup: 7,
                since: at(9),
            },
            Running {
                cgroup: 99,
                since: at(1),
            },
        ],
    };
    let sums = sums(&pipeline, &in_flight, "/a");
    assert_eq!(sums.sums.cpu_ns, 3 * 10 + 500 + 1_000_000_000);
    assert_eq!((sums.sums.block[0].bytes, sums.running), (4_096, 1));
    assert_eq!(
        sums.at(at(10), at(12)).cpu_ns - sums.sums.cpu_ns,
        2_000_000_000
    );
}

#[test]
fn a_new_life_has_none_of_the_sums_of_the_one_before() {
    let mut pipeline = pipeline();
    make(&mut pipeline, 7, "/a", 1);
    run(&mut pipeline, 7, 3);
    remove(&mut pipeline, 7, "/a", 2);
    make(&mut pipeline, 8, "/a", 3);
    run(&mut pipeline, 8, 2);
    let sums = sums(&pipeline, &InFlight::default(), "/a");
    assert_eq!((sums.sums.cpu_ns, sums.identity.generation), (20, 2));
}

#[test]
fn only_cgroups_without_others_below_are_compared_gone_or_not() {
    let mut pipeline = hybrid();
    for (id, path) in (1..).zip(["/", "/pod", "/pod/a", "/pod-2", "/gone", "/gone/b"]) {
        let cgroup = CgroupKey::new(CPU, id);
        tell(&mut pipeline, CgroupChange::Made, cgroup, path, 1);
    }
    for id in [6, 5] {
        let cgroup = CgroupKey::new(CPU, id);
        tell(&mut pipeline, CgroupChange::Removed, cgroup, "/x", 2);
    }
    run(&mut pipeline, 77, 1);
    let checkpoint = pipeline.checkpoint(&CheckpointWish::ALL, &InFlight::default(), at(3));
    let mut leaves: Vec<_> = checkpoint
        .leaves()
        .map(|of| of.identity.path.as_str())
        .collect();
    leaves.sort_unstable();
    assert_eq!(leaves, ["/gone/b", "/pod-2", "/pod/a"]);
}

#[test]
fn each_owner_is_in_one_slice_and_each_that_ended_in_one_checkpoint() {
    let mut pipeline = pipeline();
    for id in 1..=20 {
        make(&mut pipeline, id, &format!("/{id}"), 1);
    }
    remove(&mut pipeline, 20, "/20", 9);
    let mut slice = Slice { number: 0, of: 3 };
    let mut ended_after = [Ktime::default(); 3];
    let mut found: Vec<(u64, String, bool)> = Vec::new();
    // The end at 9 s is told of a second later at the earliest, when its events are complete.
    for second in 7..20 {
        let place = usize::try_from(slice.number).unwrap();
        let wish = CheckpointWish {
            slice,
            ended_after: ended_after[place],
        };
        let checkpoint = pipeline.checkpoint(&wish, &InFlight::default(), at(second));
        ended_after[place] = checkpoint.ended_until;
        assert_eq!(checkpoint.identities.len(), 20);
        found.extend(
            checkpoint
                .owners
                .iter()
                .map(|of| (second, of.identity.path.clone(), of.exited)),
        );
        slice = slice.next();
    }
    let ended: Vec<_> = found.iter().filter(|(.., exited)| *exited).collect();
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert!(ended[0].0 >= 10 && ended[0].1 == "/20", "{ended:?}");
    for id in 1..20 {
        let path = format!("/{id}");
        let of_round = |(second, of, _): &&(u64, String, bool)| *second < 10 && *of == path;
        assert_eq!(found.iter().filter(of_round).count(), 1, "{path}");
    }
}
