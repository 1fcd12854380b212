//! Containers that are there.

use super::*;

#[test]
fn sides_of_one_mind_have_no_drift() {
    let mut comparer = Comparer::new(2);
    let ratios = comparer.pass(&[(all(1), all(1)), (all(3), all(3))]);
    for quantity in DriftQuantity::ALL {
        near(ratio(&ratios, quantity), (0.0, 0.0));
    }
}

#[test]
fn a_side_that_is_broken_shows_in_its_quantity_and_in_no_other() {
    for broken in DriftQuantity::ALL {
        let mut comparer = Comparer::new(2);
        let mut events = all(4);
        match broken {
            DriftQuantity::CpuTime => events.cpu_ns /= 2,
            DriftQuantity::Bytes => events.bytes /= 2,
            // Fewer could have been merged.
            DriftQuantity::Operations => events.operations *= 2,
            DriftQuantity::OomKills => events.kills /= 2,
        }
        let ratios = comparer.pass(&[(events, all(4)), (all(4), all(4))]);
        for quantity in DriftQuantity::ALL {
            let total = match quantity {
                DriftQuantity::Operations => 1.0 / 3.0,
                _ => 0.25,
            };
            let expected = if quantity == broken {
                (0.5, total)
            } else {
                (0.0, 0.0)
            };
            near(ratio(&ratios, quantity), expected);
        }
    }
}

#[test]
fn what_explains_a_difference_is_taken_off_and_no_more() {
    let mut comparer = Comparer::new(1);
    comparer.pass(&[(all(1), all(1))]);
    // A tenth of the time was taken, an eighth of the requests were merged.
    (comparer.taken_ns, comparer.busy_ns) = (1_000 * MS, 10_000 * MS);
    (comparer.merged, comparer.completed) = (2_000, 14_000);
    let mut events = all(2);
    events.cpu_ns += 1_000 * MS;
    events.operations -= 1_500;
    let ratios = comparer.pass(&[(events, all(2))]);
    // 1 s more of 5 s, of which a tenth is explained; 1,500 fewer of 4,000, of which an eighth is.
    near(ratio(&ratios, DriftQuantity::CpuTime), (0.1, 0.1));
    near(ratio(&ratios, DriftQuantity::Operations), (0.25, 0.25));
    // In the other direction neither explains anything.
    (comparer.taken_ns, comparer.busy_ns) = (9_000 * MS, 18_000 * MS);
    (comparer.merged, comparer.completed) = (12_000, 24_000);
    let mut kernel = all(3);
    kernel.cpu_ns += 4_000 * MS;
    let mut events_now = events;
    events_now.cpu_ns += 4_000 * MS;
    events_now.operations += 8_000;
    let ratios = comparer.pass(&[(events_now, kernel)]);
    near(ratio(&ratios, DriftQuantity::CpuTime), (0.5, 0.5));
    near(ratio(&ratios, DriftQuantity::Operations), (0.5, 0.5));
}

#[test]
fn what_was_taken_from_the_host_explains_no_more_than_its_share_of_several_containers() {
    let mut comparer = Comparer::new(4);
    comparer.pass(&[(all(1), all(1)); 4]);
    // A quarter of the host's time: of each container's 4 s, 1 s.
    (comparer.taken_ns, comparer.busy_ns) = (25_000 * MS, 100_000 * MS);
    let mut kernel = all(2);
    kernel.cpu_ns -= 1_400 * MS;
    let ratios = comparer.pass(&[(all(2), kernel); 4]);
    near(ratio(&ratios, DriftQuantity::CpuTime), (0.1, 0.1));
}

#[test]
fn merges_of_others_do_not_explain_the_requests_that_one_container_lacks() {
    let mut comparer = Comparer::new(2);
    comparer.pass(&[(all(1), all(1)); 2]);
    // One of them made nine tenths of the requests, and more merges than the other has requests.
    (comparer.merged, comparer.completed) = (5_000, 35_000);
    let (mut many, mut few) = (all(10), all(2));
    many.operations -= 4_500;
    few.operations -= 2_000;
    let ratios = comparer.pass(&[(many, all(10)), (few, all(2))]);
    // 36,000 of 40,000, and 4,000 of them: 500 merges are a tenth's.
    let expected = 1_500.0 / 4_000.0;
    near(
        ratio(&ratios, DriftQuantity::Operations),
        (expected, 1_500.0 / 40_000.0),
    );
}

#[test]
fn waits_that_the_kernel_takes_for_cpu_time_explain_that_it_has_more() {
    let mut comparer = Comparer::new(1);
    comparer.drift.begin(&comparer.checkpoint);
    comparer
        .drift
        .take_host(&comparer.checkpoint, HostCounters::default());
    let mut owner = comparer.checkpoint.owners[0].clone();
    owner.sums = EventSums {
        cpu_ns: 9_000 * MS,
        skipped_ns: 800 * MS,
        ..EventSums::default()
    };
    let latest = latest(Some(MADE), cpu(10_000), &comparer.checkpoint);
    comparer
        .drift
        .compare(&comparer.checkpoint, &owner, &latest);
    let ratios = comparer.drift.finish();
    near(ratio(&ratios, DriftQuantity::CpuTime), (0.02, 0.02));
}

#[test]
fn little_is_added_up_until_it_is_enough() {
    let mut comparer = Comparer::new(1);
    for ms in [100, 200, 300, 400, 1_999] {
        // A difference of a tick would be 10 % of 100 ms.
        let ratios = comparer.pass(&[(cpu(ms), cpu(ms - 10))]);
        assert_eq!(ratio(&ratios, DriftQuantity::CpuTime), None);
    }
    let ratios = comparer.pass(&[(cpu(2_000), cpu(1_990))]);
    near(ratio(&ratios, DriftQuantity::CpuTime), (0.005, 0.005));
}

#[test]
fn a_cgroup_that_had_others_below_is_compared_from_when_it_has_none() {
    let mut pipeline = pipeline();
    make(&mut pipeline, 1, "/pod", 1);
    make(&mut pipeline, 2, "/pod/a", 1);
    let mut drift = Drift::new(MADE, HostCounters::default());
    let both = pipeline.checkpoint(&CheckpointWish::ALL, &InFlight::default(), at(2));
    drift.begin(&both);
    drift.take_host(&both, HostCounters::default());
    assert_eq!(drift.finish(), []);
    // The other goes, and its tombstone too: what is left has all of its time in its kernel counters.
    let mut one = both;
    one.owners.retain(|of| of.identity.path == "/pod");
    one.identities
        .retain(|(_, identity)| identity.path == "/pod");
    let mut pass = |of_events, of_kernel| {
        drift.begin(&one);
        drift.take_host(&one, HostCounters::default());
        let mut owner = one.owners[0].clone();
        owner.sums = events(of_events);
        drift.compare(&one, &owner, &latest(Some(MADE), of_kernel, &one));
        drift.finish()
    };
    assert_eq!(pass(all(1), all(5)), []);
    let ratios = pass(all(2), all(6));
    near(ratio(&ratios, DriftQuantity::CpuTime), (0.0, 0.0));
}

#[test]
fn a_disk_that_shows_later_brings_none_of_what_the_kernel_counted_before() {
    let mut comparer = Comparer::new(1);
    let started = Ktime(Duration::from_millis(10));
    let mut compare = |sums: EventSums, of_kernel| {
        comparer.checkpoint.owners[0].sums = sums;
        comparer.drift.begin(&comparer.checkpoint);
        let host = comparer.host();
        comparer.drift.take_host(&comparer.checkpoint, host);
        let owner = &comparer.checkpoint.owners[0];
        let latest = latest(Some(started), of_kernel, &comparer.checkpoint);
        comparer.drift.compare(&comparer.checkpoint, owner, &latest);
        comparer.drift.finish()
    };
    // It was there before us, and has written a lot.
    assert_eq!(compare(EventSums::default(), all(9)), []);
    let ratios = compare(events(all(1)), all(10));
    assert_eq!(ratio(&ratios, DriftQuantity::Bytes), None);
    let ratios = compare(events(all(2)), all(11));
    near(ratio(&ratios, DriftQuantity::Bytes), (0.0, 0.0));
}

#[test]
fn requests_that_come_back_while_the_files_are_read_are_no_drift_and_are_no_more_than_come_in_that_time()
 {
    let mut comparer = Comparer::new(1);
    comparer.checkpoint.owners[0].sums = events(all(10));
    comparer.drift.begin(&comparer.checkpoint);
    let host = comparer.host();
    comparer.drift.take_host(&comparer.checkpoint, host);
    let owner = &comparer.checkpoint.owners[0];
    // Read a tenth of the time later than the checkpoint, and two tenths more were counted.
    let at = Ktime(MADE.0 + (comparer.checkpoint.at.0.saturating_sub(MADE.0)) * 10 / 9);
    let latest = Latest {
        at,
        ..latest(Some(MADE), all(12), &comparer.checkpoint)
    };
    comparer.drift.compare(&comparer.checkpoint, owner, &latest);
    let ratios = comparer.drift.finish();
    let (bytes, _) = ratio(&ratios, DriftQuantity::Bytes).unwrap();
    assert!((bytes - 0.8 / 12.0).abs() < 1e-6, "{bytes}");
    // CPU time is known to the moment.
    let (cpu_time, _) = ratio(&ratios, DriftQuantity::CpuTime).unwrap();
    assert!((cpu_time - 2.0 / 12.0).abs() < 1e-6, "{cpu_time}");
}

#[test]
fn a_difference_of_long_ago_is_forgotten_but_not_one_of_oom_kills() {
    let mut comparer = Comparer::new(1);
    let mut events = all(2);
    events.cpu_ns /= 2;
    events.kills = 1;
    let ratios = comparer.pass(&[(events, all(2))]);
    near(ratio(&ratios, DriftQuantity::CpuTime), (0.5, 0.5));
    for _ in 0..5 {
        let ratios = comparer.pass(&[(events, all(2))]);
        near(ratio(&ratios, DriftQuantity::CpuTime), (0.5, 0.5));
    }
    let ratios = comparer.pass(&[(events, all(2))]);
    assert_eq!(ratio(&ratios, DriftQuantity::CpuTime), None);
    near(ratio(&ratios, DriftQuantity::OomKills), (0.5, 0.5));
}

#[test]
fn a_counter_that_begins_anew_is_not_compared_with_what_it_was() {
    let mut comparer = Comparer::new(1);
    comparer.pass(&[(all(5), all(5))]);
    let ratios = comparer.pass(&[(all(6), all(1))]);
    near(ratio(&ratios, DriftQuantity::CpuTime), (0.0, 0.0));
    let ratios = comparer.pass(&[(all(7), all(2))]);
    near(ratio(&ratios, DriftQuantity::CpuTime), (0.0, 0.0));
}

#[test]
fn a_quiet_container_is_not_read_for_a_comparison() {
    let mut comparer = Comparer::new(1);
    comparer.pass(&[(all(1), all(1))]);
    let owner = comparer.checkpoint.owners[0].clone();
    let is_quiet = |owner: &OwnerSums, earlier| comparer.drift.is_quiet(owner, &kernel(earlier));
    assert!(is_quiet(&owner, all(1)));
    assert!(!is_quiet(&owner, all(2)), "the kernel counted more");
    let mut busy = owner.clone();
    busy.sums.cpu_ns += 1;
    assert!(!is_quiet(&busy, all(1)), "there were events");
    let mut running = owner.clone();
    running.running = 1;
    assert!(!is_quiet(&running, all(1)), "one is running");
    let mut next_life = owner;
    Arc::make_mut(&mut next_life.identity).generation += 1;
    assert!(!is_quiet(&next_life, all(1)), "it is another");
}
