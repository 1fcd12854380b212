//! The pipeline, from batches and events to rows.

mod drift;
mod life;
mod lives;
mod own;
mod roll_up;
mod slow;

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use collector_common::{
    event::OomEvent,
    sample::{BatchHeader, BlockSample, SchedSample},
};

use super::{Pipeline, PipelineSettings, Scrape, snapshot::CgroupStats};
use crate::{
    catalog::{Onlooker, Recognizer},
    drain::{Batch, CgroupChange, Event, Samples, Sink as _},
    host::{
        CgroupId, CgroupKey, HierarchyId,
        cgroup_mounts::{CgroupMounts, Hierarchy},
        cgroup_walk::Walk,
        clock::Ktime,
    },
    window::{BatchOutcome, OomTotals, Operation},
};

const CPU: HierarchyId = HierarchyId(3);
const BLOCK: HierarchyId = HierarchyId(4);
const MEMORY: HierarchyId = HierarchyId(5);
const FREEZER: HierarchyId = HierarchyId(6);
const CONTAINER: &str = "/docker/4f1e7e2c6a9b3d5f8c0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60";
const OTHER: &str = "~other";

fn hierarchy(id: HierarchyId, controllers: &[&str]) -> Hierarchy {
    Hierarchy {
        id,
        controllers: controllers.iter().map(|&name| name.to_owned()).collect(),
        mount_point: "/nonexistent".into(),
        root: "/".into(),
    }
}

fn pipeline_of(hierarchies: Vec<Hierarchy>, max_cgroups: usize) -> Pipeline {
    let settings = PipelineSettings {
        mounts: &CgroupMounts { hierarchies },
        recognizer: Recognizer::new(Path::new("/nonexistent")),
        operations: vec![(0, Operation::Read)],
        max_cgroups,
        retention: Duration::from_mins(5),
    };
    Pipeline::new(settings, SystemTime::UNIX_EPOCH)
}

fn pipeline() -> Pipeline {
    pipeline_of(vec![hierarchy(HierarchyId::V2, &[])], 100)
}

fn hybrid() -> Pipeline {
    let hierarchies = vec![
        hierarchy(CPU, &["cpu", "cpuacct"]),
        hierarchy(BLOCK, &["blkio"]),
        hierarchy(MEMORY, &["memory"]),
        hierarchy(FREEZER, &["freezer"]),
        hierarchy(HierarchyId::V2, &[]),
    ];
    pipeline_of(hierarchies, 100)
}

/// The tasks of a cgroup ran so often, 10 ns each after a wait of 20.
fn run(pipeline: &mut Pipeline, cgroup: u64, times: u64) {
    let sample = SchedSample {
        next_cgroup: cgroup,
        prev_cgroup: cgroup,
        wait_and_flags: 20,
        slice_and_share: 10,
    };
    for _ in 0..times {
        let batch = Batch {
            header: &BatchHeader::default(),
            samples: Samples::Sched(&[sample]),
        };
        assert_eq!(pipeline.batch(&batch), BatchOutcome::all_recorded(1));
    }
}

/// A cgroup read 4 KiB.
fn read(pipeline: &mut Pipeline, cgroup: u64) {
    let sample = BlockSample {
        cgroup,
        queue_ns: 1_000,
        device_ns: 2_000,
        bytes: 4_096,
        device: 8 << 20,
        ..BlockSample::default()
    };
    let batch = Batch {
        header: &BatchHeader::default(),
        samples: Samples::BlockIo(&[sample]),
    };
    assert_eq!(pipeline.batch(&batch), BatchOutcome::all_recorded(1));
}

fn tell(pipeline: &mut Pipeline, change: CgroupChange, cgroup: CgroupKey, path: &str, second: u64) {
    pipeline.event(&Event::Cgroup {
        change,
        cgroup,
        path: path.as_bytes(),
        cut: false,
        ktime_ns: second * 1_000_000_000,
    });
}

fn key(id: u64) -> CgroupKey {
    CgroupKey::new(HierarchyId::V2, id)
}

fn make(pipeline: &mut Pipeline, id: u64, path: &str, second: u64) {
    tell(pipeline, CgroupChange::Made, key(id), path, second);
}

fn remove(pipeline: &mut Pipeline, id: u64, path: &str, second: u64) {
    tell(pipeline, CgroupChange::Removed, key(id), path, second);
}

/// What a scrape has, and that there was one.
fn scraped(pipeline: &mut Pipeline) -> Scrape {
    pipeline.note_look(Onlooker::Scraper, Ktime::from_ns(0));
    pipeline.scrape()
}

/// Lets go of what has been gone for long enough by then, after it was scraped often enough.
fn expire(pipeline: &mut Pipeline, second: u64) {
    let _scrapes = [scraped(pipeline), scraped(pipeline)];
    pipeline.expire(Ktime(Duration::from_secs(second)));
}

fn rows(pipeline: &mut Pipeline) -> Vec<CgroupStats> {
    let mut rows = scraped(pipeline).cgroups;
    rows.sort_by(|a, b| a.identity.path.cmp(&b.identity.path));
    rows
}

/// A row without numbers.
pub(super) fn empty_row() -> CgroupStats {
    let mut pipeline = pipeline();
    make(&mut pipeline, 1, "/empty", 1);
    row(&mut pipeline, "/empty")
}

fn row(pipeline: &mut Pipeline, path: &str) -> CgroupStats {
    let mut found = rows(pipeline);
    found.retain(|row| row.identity.path == path);
    assert_eq!(found.len(), 1, "{path}");
    found.remove(0)
}

/// Each row's path and time slices.
fn slices(pipeline: &mut Pipeline) -> Vec<(String, u64)> {
    rows(pipeline)
        .iter()
        .map(|row| (row.identity.path.clone(), slices_of(row)))
        .collect()
}

fn slices_of(row: &CgroupStats) -> u64 {
    row.sched.as_ref().map_or(0, |sched| sched.slice.count())
}

fn expect_slices(pipeline: &mut Pipeline, expected: &[(&str, u64)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(path, count)| ((*path).to_owned(), *count))
        .collect();
    assert_eq!(slices(pipeline), expected);
}

#[test]
fn what_ran_before_its_path_was_known_is_counted_to_it_afterwards() {
    let mut pipeline = pipeline();
    run(&mut pipeline, 7, 3);
    assert!(pipeline.wants_resync());
    assert!(!pipeline.wants_resync(), "said once");
    expect_slices(&mut pipeline, &[("~unresolved/0/7", 3)]);
    make(&mut pipeline, 7, CONTAINER, 1);
    run(&mut pipeline, 7, 2);
    expect_slices(&mut pipeline, &[(CONTAINER, 5)]);
    assert!(!pipeline.wants_resync());
    let row = row(&mut pipeline, CONTAINER);
    assert_eq!(row.quantiles.len(), 2, "waits and slices");
    assert_eq!(row.identity.cgroup_version, 2);
}

#[test]
fn a_walk_names_what_no_event_told_of() {
    let mut pipeline = pipeline();
    run(&mut pipeline, 7, 3);
    make(&mut pipeline, 8, "/vanished", 1);
    let walk = Walk {
        cgroups: vec![(CgroupId(7), b"/a".to_vec())],
        ..Walk::default()
    };
    let began = Ktime(Duration::from_hours(24 * 365 * 100));
    pipeline.sync(
        HierarchyId::V2,
        &walk,
        began,
        (began, SystemTime::UNIX_EPOCH),
    );
    expect_slices(&mut pipeline, &[("/a", 3), ("/vanished", 0)]);
    assert!(row(&mut pipeline, "/a").exited.is_none());
    assert!(row(&mut pipeline, "/vanished").exited.is_some());
}

#[test]
fn what_finds_no_place_is_in_the_overflow_row() {
    let mut pipeline = pipeline_of(vec![hierarchy(HierarchyId::V2, &[])], 2);
    make(&mut pipeline, 1, "/a", 1);
    make(&mut pipeline, 2, "/b", 1);
    run(&mut pipeline, 1, 1);
    run(&mut pipeline, 2, 2);
    expect_slices(&mut pipeline, &[("/a", 1), ("/b", 2)]);
    make(&mut pipeline, 3, "/c", 1);
    for id in 3..=9 {
        run(&mut pipeline, id, 1);
        read(&mut pipeline, id);
    }
    expect_slices(&mut pipeline, &[("/a", 1), ("/b", 2), (OTHER, 7)]);
    let block = row(&mut pipeline, OTHER).block;
    assert_eq!((block.len(), block[0].bytes), (1, 7 * 4_096));
    let counts = pipeline.scrape().counts;
    assert_eq!((counts.live, counts.overflowed), (2, 7));
}

#[test]
fn a_tombstone_keeps_its_numbers_and_takes_late_ones_until_its_time_is_over() {
    let mut pipeline = pipeline();
    make(&mut pipeline, 7, "/a", 1);
    run(&mut pipeline, 7, 3);
    remove(&mut pipeline, 7, "/a", 2);
    run(&mut pipeline, 7, 1);
    expect_slices(&mut pipeline, &[("/a", 4)]);
    assert!(row(&mut pipeline, "/a").exited.is_some());
    pipeline.expire(Ktime(Duration::from_secs(301)));
    expect_slices(&mut pipeline, &[("/a", 4)]);
    pipeline.expire(Ktime(Duration::from_secs(302)));
    expect_slices(&mut pipeline, &[]);
}

#[test]
fn tombstones_that_are_too_many_go_to_the_overflow_row() {
    let mut pipeline = pipeline_of(vec![hierarchy(HierarchyId::V2, &[])], 2);
    for id in 1..=3 {
        let path = format!("/{id}");
        make(&mut pipeline, id, &path, id);
        run(&mut pipeline, id, id);
        remove(&mut pipeline, id, &path, id);
    }
    pipeline.expire(Ktime(Duration::from_secs(4)));
    expect_slices(&mut pipeline, &[("/2", 2), ("/3", 3), (OTHER, 1)]);
}

#[test]
fn cgroups_that_come_and_go_faster_than_tombstones_are_looked_at_have_a_bound() {
    let mut pipeline = pipeline_of(vec![hierarchy(HierarchyId::V2, &[])], 4);
    // Not one of them is due.
    let now = Ktime::now().0.as_secs();
    for id in 1..=1_000 {
        let path = format!("/{id}");
        make(&mut pipeline, id, &path, now);
        run(&mut pipeline, id, 1);
        remove(&mut pipeline, id, &path, now);
        let rows = scraped(&mut pipeline).cgroups;
        assert!(rows.len() <= 3 * 4 + 1, "{} rows", rows.len());
        assert_eq!(rows.iter().map(slices_of).sum::<u64>(), id);
    }
}

#[test]
fn an_id_that_is_used_again_leaves_the_old_numbers_with_the_old_path() {
    let mut pipeline = pipeline();
    make(&mut pipeline, 7, "/old", 1);
    run(&mut pipeline, 7, 3);
    make(&mut pipeline, 7, "/new", 2);
    run(&mut pipeline, 7, 2);
    expect_slices(&mut pipeline, &[("/new", 2), ("/old", 3)]);
    assert!(row(&mut pipeline, "/old").exited.is_some());
}

#[test]
fn a_path_that_comes_back_counts_on_and_its_quantiles_begin_anew() {
    let mut pipeline = pipeline();
    make(&mut pipeline, 7, "/a", 1);
    run(&mut pipeline, 7, 3);
    remove(&mut pipeline, 7, "/a", 2);
    make(&mut pipeline, 8, "/a", 3);
    let again = row(&mut pipeline, "/a");
    assert_eq!((slices_of(&again), again.quantiles.len()), (3, 0));
    assert_eq!((again.identity.generation, again.exited), (2, None));
    run(&mut pipeline, 8, 2);
    expect_slices(&mut pipeline, &[("/a", 5)]);
}

#[test]
fn a_cut_path_is_no_path_and_asks_for_a_walk() {
    let mut pipeline = pipeline();
    pipeline.event(&Event::Cgroup {
        change: CgroupChange::Made,
        cgroup: key(7),
        path: b"/cut",
        cut: true,
        ktime_ns: 1,
    });
    assert!(pipeline.wants_resync());
    expect_slices(&mut pipeline, &[("~unresolved/0/7", 0)]);
    assert_eq!(pipeline.scrape().counts.unresolved, 1);
}

#[test]
fn the_hierarchies_of_a_hybrid_host_are_one_row() {
    let mut pipeline = hybrid();
    let hierarchies = [CPU, BLOCK, MEMORY, FREEZER, HierarchyId::V2];
    for (id, hierarchy) in (1..).zip(hierarchies) {
        let cgroup = CgroupKey::new(hierarchy, id);
        tell(&mut pipeline, CgroupChange::Made, cgroup, CONTAINER, 1);
    }
    // The freezer's has an id of its own, and no number is its.
    tell(
        &mut pipeline,
        CgroupChange::Made,
        CgroupKey::new(FREEZER, 9),
        "/frozen",
        1,
    );
    run(&mut pipeline, 1, 3);
    read(&mut pipeline, 2);
    pipeline.event(&Event::Oom(&OomEvent {
        victim_cgroup: 1,
        limit_owner_cgroup: 3,
        flags: OomEvent::FLAG_LIMIT_OWNER,
        ..OomEvent::default()
    }));
    expect_slices(&mut pipeline, &[(CONTAINER, 3)]);
    let all = row(&mut pipeline, CONTAINER);
    assert_eq!(all.block[0].bytes, 4_096);
    let both = OomTotals {
        victim: 1,
        limit_owner: 1,
    };
    assert_eq!((all.oom, all.identity.cgroup_version), (both, 1));
}

#[test]
fn a_rename_takes_all_numbers_along_each_to_its_own_path() {
    let mut pipeline = hybrid();
    let cgroup = |id| CgroupKey::new(CPU, id);
    for (id, path) in [(1, "/a"), (2, "/a/b")] {
        tell(&mut pipeline, CgroupChange::Made, cgroup(id), path, 1);
    }
    run(&mut pipeline, 1, 1);
    run(&mut pipeline, 2, 10);
    // The id comes back under the same path: what was counted before is put aside.
    tell(&mut pipeline, CgroupChange::Removed, cgroup(2), "/a/b", 2);
    tell(&mut pipeline, CgroupChange::Made, cgroup(2), "/a/b", 3);
    run(&mut pipeline, 2, 5);
    tell(&mut pipeline, CgroupChange::Renamed, cgroup(1), "/new", 4);
    expect_slices(&mut pipeline, &[("/new", 1), ("/new/b", 15)]);
}

#[test]
fn an_oom_kill_is_counted_to_the_victim_and_to_the_owner_of_the_limit() {
    let mut pipeline = pipeline();
    make(&mut pipeline, 1, "/limit", 1);
    make(&mut pipeline, 2, "/limit/victim", 1);
    let event = OomEvent {
        victim_cgroup: 2,
        limit_owner_cgroup: 1,
        victim_pid: 1234,
        ..OomEvent::default()
    };
    for flags in [
        0,
        OomEvent::FLAG_LIMIT_OWNER,
        OomEvent::FLAG_LIMIT_OWNER | OomEvent::FLAG_GLOBAL,
    ] {
        let event = OomEvent { flags, ..event };
        let outcome = pipeline.event(&Event::Oom(&event));
        assert_eq!(outcome, BatchOutcome::all_recorded(1));
    }
    let oom = |path, pipeline: &mut Pipeline| {
        let OomTotals {
            victim,
            limit_owner,
        } = row(pipeline, path).oom;
        (victim, limit_owner)
    };
    assert_eq!(oom("/limit/victim", &mut pipeline), (3, 0));
    assert_eq!(oom("/limit", &mut pipeline), (0, 1));
    assert!(!pipeline.wants_resync());
}

#[test]
fn an_oom_victim_that_nobody_knows_is_not_lost() {
    let mut pipeline = pipeline();
    pipeline.event(&Event::Oom(&OomEvent {
        victim_cgroup: 9,
        ..OomEvent::default()
    }));
    assert_eq!(row(&mut pipeline, "~unresolved/0/9").oom.victim, 1);
    assert!(pipeline.wants_resync());
    // No process has this number: the kernel's largest is 2^22.
    pipeline.event(&Event::Oom(&OomEvent {
        victim_pid: u32::MAX >> 1,
        flags: OomEvent::FLAG_PID_ONLY,
        ..OomEvent::default()
    }));
    assert_eq!(row(&mut pipeline, OTHER).oom.victim, 1);
}

#[test]
fn a_task_of_the_same_container_is_told_from_one_of_another() {
    let mut pipeline = pipeline();
    let other = CONTAINER.replace("4f1e", "0000");
    make(&mut pipeline, 1, CONTAINER, 1);
    make(&mut pipeline, 2, &format!("{CONTAINER}/inner"), 1);
    make(&mut pipeline, 3, &other, 1);
    make(&mut pipeline, 4, "/system.slice", 1);
    for next_cgroup in [2, 3, 3, 4] {
        let sample = SchedSample {
            next_cgroup,
            prev_cgroup: 1,
            wait_and_flags: 0x14 | SchedSample::FLAG_INVOLUNTARY,
            slice_and_share: 10,
        };
        pipeline.batch(&Batch {
            header: &BatchHeader::default(),
            samples: Samples::Sched(&[sample]),
        });
    }
    let sched = row(&mut pipeline, CONTAINER).sched.unwrap();
    assert_eq!(sched.preempted_by, [1, 2, 1, 0]);
}

#[test]
fn a_list_has_the_latest_ids_of_each_hierarchy_and_is_no_scrape() {
    let mut pipeline = hybrid();
    let v2 = |id| CgroupKey::new(HierarchyId::V2, id);
    let tasks = |id| CgroupKey::new(CPU, id);
    let tell_both = |pipeline: &mut Pipeline, change, of: [CgroupKey; 2], second| {
        for key in of {
            tell(pipeline, change, key, "/a", second);
        }
    };
    let listed = |pipeline: &Pipeline| {
        let (mut list, left_out) = pipeline.list();
        assert_eq!((list.len(), left_out), (1, 0));
        let (cgroup, _) = list.remove(0);
        let mut keys = cgroup.keys;
        keys.sort_unstable();
        let is_gone = cgroup.exited.is_some();
        (keys, cgroup.identity.generation, is_gone)
    };
    tell_both(&mut pipeline, CgroupChange::Made, [tasks(7), v2(7)], 1);
    assert_eq!(listed(&pipeline), (vec![v2(7), tasks(7)], 1, false));
    tell_both(&mut pipeline, CgroupChange::Removed, [tasks(7), v2(7)], 2);
    tell_both(&mut pipeline, CgroupChange::Made, [tasks(8), v2(9)], 3);
    assert_eq!(listed(&pipeline), (vec![v2(9), tasks(8)], 2, false));
    tell_both(&mut pipeline, CgroupChange::Removed, [tasks(8), v2(9)], 4);
    for _ in 0..3 {
        assert_eq!(listed(&pipeline), (vec![v2(9), tasks(8)], 2, true));
    }
    // Its time is over, but nobody has scraped it.
    pipeline.expire(Ktime(Duration::from_hours(1)));
    assert_eq!(listed(&pipeline), (vec![v2(9), tasks(8)], 2, true));
}
