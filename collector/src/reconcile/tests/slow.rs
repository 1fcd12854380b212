//! Slow samples: who, when, and who had the CPU meanwhile.

use super::*;
use crate::{
    reconcile::{
        Scrape,
        slow::{SlowAbove, SlowDropped, SlowSample, SlowThresholds},
        snapshot::ExemplarOf,
    },
    window::Device,
};

const MS: u64 = 1_000_000;

/// How far ktime is ahead of the run queue's clock.
const AHEAD: u64 = 77_000 * MS;

const OVER_10_MS: SlowThresholds = SlowThresholds {
    runqueue: SlowAbove::Time(Duration::from_millis(10)),
    block_io: SlowAbove::Time(Duration::from_millis(10)),
};

/// Where Docker puts a container.
fn container(id: u64) -> String {
    format!("/docker/{id:064x}")
}

fn watching() -> Pipeline {
    let mut pipeline = pipeline();
    for id in 1..=3 {
        make(&mut pipeline, id, &container(id), 1);
    }
    pipeline.watch_slow(OVER_10_MS);
    pipeline
}

/// `next` gets the CPU after so long a wait, from `prev`, who held it so long.
fn switch(prev: u64, held_ns: u64, next: u64, waited_ns: u64) -> SchedSample {
    let flags = [
        (prev, SchedSample::FLAG_PREV_IDLE),
        (next, SchedSample::FLAG_NEXT_IDLE),
    ];
    let flags = flags.into_iter().filter(|(id, _)| *id == 0);
    SchedSample {
        next_cgroup: next,
        prev_cgroup: prev,
        wait_and_flags: waited_ns | flags.fold(0, |flags, (_, flag)| flags | flag),
        slice_and_share: held_ns,
    }
}

/// A batch that was opened at this moment of the run queue's clock, and submitted at that one.
fn submit(pipeline: &mut Pipeline, samples: &[SchedSample], opened_ns: u64, submitted_ns: u64) {
    submit_as(pipeline, 0, samples, opened_ns, submitted_ns);
}

/// The same, as the batch of its CPU that has this number.
fn submit_as(
    pipeline: &mut Pipeline,
    sequence: u64,
    samples: &[SchedSample],
    opened_ns: u64,
    submitted_ns: u64,
) {
    let header = BatchHeader {
        opened_ns,
        submitted_ktime_ns: submitted_ns + AHEAD,
        sequence,
        ..BatchHeader::default()
    };
    let batch = Batch {
        header: &header,
        samples: Samples::Sched(samples),
    };
    assert_eq!(pipeline.batch(&batch).total(), samples.len() as u64);
}

fn taken(pipeline: &mut Pipeline) -> Vec<SlowSample> {
    let slow = pipeline.take_slow();
    assert_eq!(slow.dropped, SlowDropped::default());
    slow.samples
}

/// Those that are requests come later.
fn taken_at_last(pipeline: &mut Pipeline) -> Vec<SlowSample> {
    let calls = 0..Pipeline::SLOW_ROUNDS;
    calls.flat_map(|_| taken(pipeline)).collect()
}

fn path(sample: &SlowSample) -> Option<String> {
    Some(sample.meanwhile.as_ref()?.who.path.clone())
}

fn at(ns: u64) -> Ktime {
    Ktime::from_ns(ns + AHEAD)
}

#[test]
fn a_wait_above_the_threshold_has_its_owner_its_time_and_who_had_the_cpu() {
    let mut pipeline = watching();
    // It goes out with the last of them, 105 ms after it was opened.
    let samples = [
        switch(1, 5 * MS, 2, 9 * MS),
        switch(2, 4 * MS, 1, 10 * MS),
        switch(1, 30 * MS, 3, 30 * MS),
        switch(3, MS, 0, 0),
        switch(0, 20 * MS, 2, 11 * MS),
        switch(2, 50 * MS, 0, 0),
    ];
    submit(&mut pipeline, &samples, 500 * MS, 605 * MS);
    let slow = taken(&mut pipeline);
    let told: Vec<_> = slow
        .iter()
        .map(|it| (it.took, it.of, path(it), it.ended, it.throttled))
        .collect();
    let wait = ExemplarOf::RunqueueLatency;
    let none = Duration::ZERO;
    assert_eq!(
        told,
        [
            (
                Duration::from_millis(30),
                wait,
                Some(container(1)),
                at(534 * MS),
                none
            ),
            (Duration::from_millis(11), wait, None, at(555 * MS), none),
        ]
    );
    let mut owner_of = |path: String| {
        let Scrape { cgroups, lives, .. } = pipeline.scrape();
        let mut rows = cgroups.iter().zip(&lives);
        let (_, life) = rows.find(|(row, _)| row.identity.path == path).unwrap();
        life.as_ref().unwrap().owner
    };
    assert_eq!(slow[0].owner, owner_of(container(3)));
    assert_eq!(slow[1].owner, owner_of(container(2)));
    assert_eq!((slow[0].generation, slow[1].generation), (1, 1));
    assert!(taken(&mut pipeline).is_empty(), "told once");
}

/// Who had the CPU or the disk in the one slow wait, and for how many ms.
fn meanwhile(pipeline: &mut Pipeline) -> Option<(String, u128)> {
    let slow = taken_at_last(pipeline);
    let [slow] = &slow[..] else {
        panic!("{slow:?}")
    };
    let meanwhile = slow.meanwhile.as_ref()?;
    Some((meanwhile.who.path.clone(), meanwhile.had.as_millis()))
}

#[test]
fn a_wait_is_laid_to_who_had_the_cpu_longest_and_not_to_who_had_it_last() {
    let mut pipeline = watching();
    let samples = [
        // What was before the wait began is nothing to it.
        switch(3, 500 * MS, 1, MS),
        switch(1, 9 * MS, 3, MS),
        switch(3, 8 * MS, 1, 9 * MS),
        switch(1, 5 * MS, 3, MS),
        switch(3, MS, 2, 20 * MS),
    ];
    submit(&mut pipeline, &samples, 0, 24 * MS);
    assert_eq!(meanwhile(&mut pipeline), Some((container(1), 11)));
    // A CPU that mostly idles, as while its limit keeps a task from running, was nobody's.
    let samples = [
        switch(1, 4 * MS, 0, 0),
        switch(0, 30 * MS, 3, 0),
        switch(3, 6 * MS, 2, 40 * MS),
    ];
    submit(&mut pipeline, &samples, 0, 37 * MS);
    assert_eq!(meanwhile(&mut pipeline), None);
}

#[test]
fn a_wait_that_began_batches_ago_is_followed_back_as_far_as_none_is_lost() {
    let mut pipeline = watching();
    let earlier = [switch(3, MS, 1, MS), switch(1, 25 * MS, 3, 0)];
    let later = [switch(3, 3 * MS, 2, 28 * MS)];
    let between = [switch(3, 4 * MS, 3, 0)];
    submit_as(&mut pipeline, 6, &earlier, 0, 100 * MS);
    submit_as(&mut pipeline, 7, &between, 104 * MS, 204 * MS);
    submit_as(&mut pipeline, 8, &later, 203 * MS, 303 * MS);
    assert_eq!(meanwhile(&mut pipeline), Some((container(1), 21)));
    submit_as(&mut pipeline, 9, &earlier, 400 * MS, 500 * MS);
    submit_as(&mut pipeline, 11, &later, 603 * MS, 703 * MS);
    assert_eq!(meanwhile(&mut pipeline), Some((container(3), 3)));
    // No more than 64 switches are kept; these are of 1 ms each.
    submit_as(&mut pipeline, 12, &[switch(1, 900 * MS, 3, 0)], 0, MS);
    let crowd: Vec<_> = (0..32)
        .flat_map(|_| [switch(3, MS, 1, 0), switch(1, MS, 3, 0)])
        .collect();
    submit_as(&mut pipeline, 13, &crowd, 0, 64 * MS);
    submit_as(&mut pipeline, 14, &[switch(3, MS, 2, 990 * MS)], 0, MS);
    assert_eq!(meanwhile(&mut pipeline), Some((container(3), 33)));
}

#[test]
fn nobody_is_named_for_what_was_before_a_time_of_unknown_length() {
    let mut pipeline = watching();
    let mut unknown = switch(1, 0, 3, MS);
    unknown.wait_and_flags |= SchedSample::FLAG_NO_SLICE;
    let samples = [
        switch(1, 50 * MS, 1, 0),
        unknown,
        switch(3, 2 * MS, 2, 60 * MS),
    ];
    submit(&mut pipeline, &samples, 0, 10 * MS);
    assert_eq!(meanwhile(&mut pipeline), Some((container(3), 2)));
    submit(&mut pipeline, &[unknown, switch(3, 0, 2, 60 * MS)], 0, 0);
    assert_eq!(meanwhile(&mut pipeline), None);
}

#[test]
fn nothing_is_slow_unless_it_is_watched_for() {
    let mut pipeline = pipeline();
    make(&mut pipeline, 1, &container(1), 1);
    submit(&mut pipeline, &[switch(1, MS, 1, 1 << 38)], 0, MS);
    assert!(taken(&mut pipeline).is_empty());
    pipeline.watch_slow(OVER_10_MS);
    submit(&mut pipeline, &[switch(1, MS, 1, 1 << 38)], 0, MS);
    assert_eq!(taken(&mut pipeline).len(), 1);
    pipeline.watch_slow(SlowThresholds::OFF);
    submit(&mut pipeline, &[switch(1, MS, 1, 1 << 38)], 0, MS);
    assert!(taken(&mut pipeline).is_empty());
}

#[test]
fn the_throttled_part_of_a_slow_wait_is_told() {
    let mut pipeline = watching();
    let mut sample = switch(1, MS, 2, 40 * MS);
    sample.wait_and_flags |= SchedSample::FLAG_THROTTLED;
    sample.slice_and_share |=
        SchedSample::throttled_share(30 * MS, 40 * MS) << SchedSample::SLICE_BITS;
    submit(&mut pipeline, &[sample], 0, MS);
    let [slow] = &taken(&mut pipeline)[..] else {
        panic!("one")
    };
    assert!(slow.throttled.abs_diff(Duration::from_millis(30)) < Duration::from_micros(1));
}

#[test]
fn either_stage_of_a_request_can_be_slow() {
    let mut pipeline = watching();
    let sample = |queue_ns, device_ns, flags, since_opened_us| BlockSample {
        cgroup: 1,
        queue_ns,
        device_ns,
        bytes: 4_096,
        device: 8 << 20,
        flags,
        since_opened_us,
        ..BlockSample::default()
    };
    let samples = [
        sample(MS, 2 * MS, 0, 0),
        sample(MS, 20 * MS, 0, 70),
        sample(21 * MS, 22 * MS, 0, 90),
        sample(23 * MS, 24 * MS, BlockSample::FLAG_PARTIAL, 95),
    ];
    let header = BatchHeader {
        opened_ns: 100 * MS,
        submitted_ktime_ns: 200 * MS,
        ..BatchHeader::default()
    };
    pipeline.batch(&Batch {
        header: &header,
        samples: Samples::BlockIo(&samples),
    });
    let slow = taken_at_last(&mut pipeline);
    let told: Vec<_> = slow
        .iter()
        .map(|it| (it.of, it.took.as_millis(), it.ended, it.within))
        .collect();
    let device = Device { major: 8, minor: 0 };
    let operation = Operation::Read;
    let in_device = ExemplarOf::BlockIoDevice { device, operation };
    let in_queue = ExemplarOf::BlockIoQueue { device, operation };
    let end = |us: u64| Ktime::from_ns(100 * MS + us * 1_000 + 1_000);
    let within = Duration::from_micros(1);
    assert_eq!(
        told,
        [
            (in_device, 20, end(70), within),
            // It was issued then.
            (in_queue, 21, Ktime::from_ns(78 * MS + 91_000), within),
            (in_device, 22, end(90), within),
        ]
    );
}

/// A request of a cgroup to a disk, which was complete so many ms after its batch was opened.
fn request(cgroup: u64, disk: u32, queue_ms: u64, device_ms: u64, complete_ms: u32) -> BlockSample {
    BlockSample {
        cgroup,
        queue_ns: queue_ms * MS,
        device_ns: device_ms * MS,
        bytes: 4_096,
        device: disk << 20,
        since_opened_us: complete_ms * 1_000,
        ..BlockSample::default()
    }
}

/// What a CPU's batch has that was opened at 1 s.
fn complete(pipeline: &mut Pipeline, cpu: u32, samples: &[BlockSample]) {
    let header = BatchHeader {
        opened_ns: 1_000 * MS,
        submitted_ktime_ns: 2_000 * MS,
        cpu,
        ..BatchHeader::default()
    };
    pipeline.batch(&Batch {
        header: &header,
        samples: Samples::BlockIo(samples),
    });
}

#[test]
fn a_slow_request_is_laid_to_who_had_its_disk_longest() {
    let mut pipeline = watching();
    // It came at 110 ms, was issued at 130 ms, and complete at 135 ms.
    complete(&mut pipeline, 0, &[request(1, 8, 20, 5, 135)]);
    let others = [
        // Before it came, and with it for 3 ms only.
        request(3, 8, 0, 9, 113),
        request(2, 8, 0, 4, 118),
        request(2, 8, 0, 6, 126),
        // In another disk.
        request(3, 9, 0, 9, 120),
        request(3, 9, 0, 9, 129),
        // While it was in the disk itself.
        request(3, 8, 0, 9, 139),
    ];
    complete(&mut pipeline, 1, &others);
    assert_eq!(meanwhile(&mut pipeline), Some((container(2), 10)));
}

#[test]
fn a_request_that_is_slow_in_its_disk_is_laid_to_those_of_the_same_time_and_not_to_itself() {
    let mut pipeline = watching();
    complete(&mut pipeline, 0, &[request(1, 8, 0, 40, 200)]);
    assert_eq!(meanwhile(&mut pipeline), None);
    // Two at one time are twice the time, whenever they end; what is its cgroup's is another request's too.
    let others = [request(1, 8, 0, 5, 305), request(2, 8, 0, 6, 306)];
    complete(&mut pipeline, 1, &[others, others].concat());
    complete(&mut pipeline, 0, &[request(2, 8, 0, 12, 310)]);
    let late = [request(2, 8, 0, 4, 313)];
    complete(&mut pipeline, 1, &late);
    assert_eq!(meanwhile(&mut pipeline), Some((container(2), 13)));
}

#[test]
fn a_slow_request_waits_for_what_other_cpus_have_yet_to_tell() {
    let mut pipeline = watching();
    complete(&mut pipeline, 0, &[request(1, 8, 0, 40, 200)]);
    complete(&mut pipeline, 1, &[request(2, 8, 0, 9, 180)]);
    assert!(taken(&mut pipeline).is_empty());
    complete(&mut pipeline, 1, &[request(3, 8, 0, 10, 195)]);
    let slow = taken(&mut pipeline);
    assert_eq!(slow.len(), 1);
    assert_eq!(path(&slow[0]), Some(container(3)));
}

#[test]
fn of_the_time_before_a_disks_latest_requests_are_known_and_afterwards_all() {
    let mut pipeline = watching();
    complete(&mut pipeline, 1, &[request(3, 8, 0, 9, 50)]);
    complete(&mut pipeline, 1, &vec![request(2, 8, 0, 1, 51); 1_023]);
    complete(&mut pipeline, 1, &vec![request(2, 9, 0, 1, 51); 1_023]);
    complete(&mut pipeline, 0, &[request(1, 8, 0, 60, 60)]);
    // The first of all has fallen out, and its 9 ms with it.
    complete(&mut pipeline, 1, &vec![request(3, 8, 0, 1, 52); 2_000]);
    assert_eq!(meanwhile(&mut pipeline), Some((container(3), 2_000)));
}

#[test]
fn what_is_slow_beyond_those_that_can_wait_is_told_at_once_and_names_nobody() {
    let mut pipeline = watching();
    complete(&mut pipeline, 1, &[request(3, 8, 0, 5, 100)]);
    // 16 of a cgroup can wait, whoever else there is.
    for id in 10..16 {
        make(&mut pipeline, id, &container(id), 1);
        complete(&mut pipeline, 0, &vec![request(id, 8, 0, 50, 100); 20]);
    }
    let at_once = taken(&mut pipeline);
    assert_eq!(at_once.len(), 6 * 20 - 64);
    assert!(at_once.iter().all(|sample| sample.meanwhile.is_none()));
    let later = taken(&mut pipeline);
    assert_eq!(later.len(), 64);
    assert!(later.iter().all(|sample| sample.meanwhile.is_some()));
}

#[test]
fn of_many_who_use_a_disk_the_one_with_most_is_found() {
    let mut pipeline = watching();
    for id in 100..140 {
        make(&mut pipeline, id, &container(id), 1);
        complete(&mut pipeline, 0, &[request(id, 8, 0, 1, 90)]);
    }
    // It comes after more than are told apart.
    complete(&mut pipeline, 0, &[request(2, 8, 0, 2, 91); 4]);
    complete(&mut pipeline, 0, &[request(1, 8, 0, 50, 100)]);
    assert_eq!(meanwhile(&mut pipeline), Some((container(2), 8)));
}

#[test]
fn a_slow_flush_is_laid_to_who_had_its_disk_and_is_nobodys_use_of_it() {
    let mut pipeline = watching();
    let flush = |cgroup, complete_ms| BlockSample {
        flags: BlockSample::FLAG_EMPTY_FLUSH,
        bytes: 0,
        ..request(cgroup, 8, 0, 30, complete_ms)
    };
    complete(&mut pipeline, 0, &[flush(1, 100), request(2, 8, 0, 8, 99)]);
    assert_eq!(meanwhile(&mut pipeline), Some((container(2), 8)));
    complete(
        &mut pipeline,
        0,
        &[flush(2, 205), request(1, 8, 0, 20, 200)],
    );
    let slow = taken_at_last(&mut pipeline);
    let named: Vec<_> = slow.iter().map(path).collect();
    assert_eq!(named, [Some(container(1)), None]);
}

#[test]
fn disks_that_rest_make_room_for_others() {
    let mut pipeline = watching();
    for disk in 1..=100 {
        complete(&mut pipeline, 0, &[request(2, disk, 0, 5, disk)]);
    }
    complete(&mut pipeline, 0, &[request(1, 100, 0, 50, 120)]);
    assert_eq!(meanwhile(&mut pipeline), Some((container(2), 5)));
    complete(&mut pipeline, 0, &[request(1, 1, 0, 50, 40)]);
    assert_eq!(meanwhile(&mut pipeline), None);
}

#[test]
fn what_is_not_watched_for_is_not_kept() {
    let mut pipeline = watching();
    pipeline.watch_slow(SlowThresholds {
        runqueue: SlowAbove::Off,
        ..OVER_10_MS
    });
    submit(&mut pipeline, &[switch(1, MS, 2, 40 * MS)], 0, MS);
    complete(&mut pipeline, 0, &[request(1, 8, 0, 50, 100)]);
    assert_eq!(taken_at_last(&mut pipeline).len(), 1);
    pipeline.watch_slow(SlowThresholds {
        block_io: SlowAbove::Off,
        ..OVER_10_MS
    });
    submit(&mut pipeline, &[switch(1, MS, 2, 40 * MS)], 0, MS);
    complete(&mut pipeline, 0, &[request(1, 8, 0, 50, 100)]);
    assert_eq!(taken_at_last(&mut pipeline).len(), 1);
}

#[test]
fn what_one_cgroup_may_have_leaves_room_for_the_others() {
    let mut pipeline = watching();
    let crowd = vec![switch(2, MS, 1, 20 * MS); 64];
    for _ in 0..3 {
        submit(&mut pipeline, &crowd, 0, 64 * MS);
    }
    submit(&mut pipeline, &[switch(1, MS, 2, 20 * MS)], 0, MS);
    let slow = pipeline.take_slow();
    assert_eq!(slow.samples.len(), 65);
    let dropped = SlowDropped {
        of_cgroup: 128,
        ..SlowDropped::default()
    };
    assert_eq!(slow.dropped, dropped);
    submit(&mut pipeline, &crowd, 0, 64 * MS);
    assert_eq!(taken(&mut pipeline).len(), 64, "anew in the next pass");
}

#[test]
fn what_is_no_containers_takes_no_room_and_is_not_told() {
    let mut pipeline = watching();
    make(&mut pipeline, 9, "/system.slice/backup.service", 1);
    for _ in 0..100 {
        submit(&mut pipeline, &[switch(1, MS, 9, 20 * MS); 64], 0, 64 * MS);
    }
    submit(&mut pipeline, &[switch(9, MS, 1, 20 * MS)], 0, MS);
    assert_eq!(taken(&mut pipeline).len(), 1);
}

#[test]
fn no_more_are_kept_in_a_pass_than_there_is_room_for() {
    let mut pipeline = watching();
    for id in 10..50 {
        make(&mut pipeline, id, &container(id), 1);
        submit(&mut pipeline, &[switch(2, MS, id, 20 * MS); 50], 0, 50 * MS);
    }
    let slow = pipeline.take_slow();
    assert_eq!(slow.samples.len(), 1_024);
    assert_eq!(slow.dropped.of_all, 40 * 50 - 1_024);
    assert_eq!(slow.dropped.total(), slow.dropped.of_all);
}
