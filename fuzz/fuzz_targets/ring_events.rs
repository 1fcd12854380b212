//! The events ring, among samples, scrapes and walks of the cgroup trees: whatever cgroups are said to
//! come, go, move and be used again, no number is lost or counted twice, no row is there twice, and
//! their number has its bound.
#![no_main]

use std::{
    collections::HashSet,
    path::Path,
    time::{Duration, SystemTime},
};

use collector::{
    catalog::{Identity, Recognizer},
    drain::{
        Event, Sink as _,
        decode::{decode_batch, decode_event},
    },
    host::{
        CgroupId, HierarchyId,
        cgroup_mounts::{CgroupMounts, Hierarchy},
        cgroup_walk::Walk,
        clock::{Ktime, TimeAnchor},
    },
    reconcile::{Pipeline, PipelineSettings, Scrape},
    window::OomTotals,
};
use collector_common::event::OomEvent;
use collector_fuzz::{OPERATIONS, Record, Ring, Sums};
use libfuzzer_sys::fuzz_target;

/// Few enough to run out of.
const MAX_CGROUPS: usize = 6;

/// What came in, and must be in the rows.
#[derive(Debug, Default, PartialEq, Eq)]
struct Numbers {
    sums: Sums,
    oom: OomTotals,
}

fuzz_target!(|input: &[u8]| {
    let mut pipeline = pipeline();
    let mut expected = Numbers::default();
    for record in Ring::new(input).records() {
        match record.word & 3 {
            0 => event(&mut pipeline, record, &mut expected),
            1 => samples(&mut pipeline, record, &mut expected),
            2 => walk(&mut pipeline, record),
            _ => check(&mut pipeline, &expected),
        }
    }
    check(&mut pipeline, &expected);
});

/// That of a hybrid host, so that one path can have several cgroups.
fn pipeline() -> Pipeline {
    let hierarchy = |id, controllers: &[&str]| Hierarchy {
        id: HierarchyId(id),
        controllers: controllers.iter().map(|&name| name.to_owned()).collect(),
        mount_point: "/nonexistent".into(),
        root: "/".into(),
    };
    let settings = PipelineSettings {
        mounts: &CgroupMounts {
            hierarchies: vec![
                hierarchy(1, &["cpu", "cpuacct"]),
                hierarchy(2, &["blkio"]),
                hierarchy(3, &["memory"]),
                hierarchy(0, &[]),
            ],
        },
        recognizer: Recognizer::new(Path::new("/nonexistent")),
        operations: OPERATIONS.to_vec(),
        max_cgroups: MAX_CGROUPS,
        // Tombstones go for want of room alone: then their numbers are still in the last row.
        retention: Duration::MAX,
    };
    Pipeline::new(settings, SystemTime::UNIX_EPOCH)
}

fn event(pipeline: &mut Pipeline, record: Record<'_>, expected: &mut Numbers) {
    let Ok(mut event) = decode_event(record.bytes) else {
        return;
    };
    let mut oom;
    if let Event::Oom(victim) = event {
        let has = |flag| victim.flags & flag != 0;
        expected.oom.victim += 1;
        let by_limit = has(OomEvent::FLAG_LIMIT_OWNER) && !has(OomEvent::FLAG_GLOBAL);
        expected.oom.limit_owner += u64::from(by_limit);
        oom = *victim;
        if has(OomEvent::FLAG_PID_ONLY) {
            // It is looked up, and the processes of this host are no part of the input.
            oom.victim_pid = u32::MAX;
        }
        event = Event::Oom(&oom);
    }
    assert_eq!(pipeline.event(&event).total(), 1);
}

fn samples(pipeline: &mut Pipeline, record: Record<'_>, expected: &mut Numbers) {
    let Ok(batch) = decode_batch(record.bytes) else {
        return;
    };
    let outcome = pipeline.batch(&batch);
    assert_eq!(outcome.total(), u64::from(batch.header.count));
    expected.sums += Sums::of_samples(batch.samples);
    if record.word & 4 != 0 {
        pipeline.rotate();
    }
}

/// A walk that finds a cgroup per line: its id in the first byte, its path in the others.
fn walk(pipeline: &mut Pipeline, record: Record<'_>) {
    let cgroups = record.bytes.split(|byte| *byte == b'\n');
    let walk = Walk {
        cgroups: cgroups
            .filter_map(|line| line.split_first())
            .map(|(id, path)| (CgroupId(u64::from(*id)), path.to_vec()))
            .collect(),
        unreadable: u64::from(record.word & 4 != 0),
        truncated: false,
    };
    let hierarchy = HierarchyId(record.word >> 3 & 3);
    let began = Ktime::from_ns(u64::from(record.word >> 5) << 20);
    let now = Ktime::now();
    pipeline.sync(hierarchy, &walk, began, (now, TimeAnchor::now().wall(now)));
}

fn check(pipeline: &mut Pipeline, expected: &Numbers) {
    pipeline.expire(Ktime::now());
    let Scrape {
        cgroups: rows,
        counts,
        ..
    } = pipeline.scrape();
    let mut found = Numbers::default();
    let mut paths = HashSet::new();
    for row in &rows {
        found.sums += Sums::of_totals(row.sched.as_ref(), &row.block);
        found.oom.merge(&row.oom);
        let path = &row.identity.path;
        assert!(path.len() <= Identity::MAX_PATH, "{path}");
        assert!(!path.chars().any(char::is_control), "{path:?}");
        assert!(paths.insert(path), "two rows of {path}");
    }
    assert_eq!(&found, expected);
    // As many that are there, as many tombstones, and the one for all others.
    assert!(rows.len() <= 2 * MAX_CGROUPS + 1, "{counts:?}");
}
