//! Run-queue latency, slices and switches against `/proc/<tid>/schedstat` and `status`.

use std::time::Duration;

use collector::window::{CgroupWindows, SchedTotals, WindowSettings, WindowSignal};
use collector_common::{sample::SchedSample, signal::Signal};
use collector_tests::{
    cgroup::TestCgroup,
    observe::{Observation, Seen, Settings},
    stolen, stolen_since,
    thread_counts::ThreadCounts,
};

use crate::{assert_ran, within};

/// How near slices are to what the kernel says was run.
const OF_RUN: f64 = 0.02;

/// Room for a second in which nothing is drained: a test without losses is not one of how soon that is.
const RING_BYTES: u32 = 32 << 20;

/// Runs a workload in a cgroup of its own under observation.
fn observe(
    name: &str,
    limit: Option<(u32, u32)>,
    work: &[&str],
) -> (TestCgroup, Seen, ThreadCounts, Duration) {
    let cgroup = TestCgroup::new(name);
    cgroup.favor();
    if let Some((quota, period)) = limit {
        cgroup.limit_cpu(quota, period);
    }
    let observation = Observation::start(Settings {
        samples_ring_bytes: RING_BYTES,
        ..Settings::default()
    });
    let stolen_before = stolen();
    let counts = cgroup.run(work);
    let stolen = stolen_since(stolen_before);
    let (seen, accounts) = observation.finish();
    let account = &accounts[Signal::Sched as usize];
    assert_eq!(
        account.observed,
        account.recorded + account.in_flight,
        "{account:?}"
    );
    (cgroup, seen, counts, stolen)
}

/// What the window stage makes of the samples, for one cgroup.
fn totals(cgroup: &TestCgroup, seen: &Seen) -> (SchedTotals, CgroupWindows) {
    let key = cgroup.task_key();
    let mut windows = CgroupWindows::new(WindowSettings::default());
    let outcome = windows.record_sched(key.hierarchy, &seen.sched);
    assert_eq!(outcome.total(), seen.sched.len() as u64);
    let totals = windows
        .get(key)
        .expect("the cgroup was seen")
        .sched()
        .expect("it switched");
    (totals, windows)
}

#[test]
fn waits_slices_and_switches_agree_with_the_kernels_own() {
    let (cgroup, seen, counts, stolen) =
        observe("cgscope-pingpong", None, &["ping-pong", "1", "3000"]);
    let (totals, _) = totals(&cgroup, &seen);
    assert!(
        counts.arrivals > 10_000,
        "only {counts:?}: nothing was put to the test"
    );

    // The kernel's run delay leaves out what its skipped clock updates hide; we count it apart, so
    // that the rest can be compared.
    let wait = totals.wait.sum_ns() - totals.clock_skip_ns;
    assert!(within(wait, counts.wait_ns, 0.02), "{wait} and {counts:?}");
    assert!(
        within(totals.wait.count(), counts.arrivals, 0.02),
        "{} and {counts:?}",
        totals.wait.count()
    );
    assert_ran(totals.slice.sum_ns(), counts.run_ns, OF_RUN, stolen);
    let cpu_time = u64::try_from(cgroup.cpu_time().as_nanos()).unwrap();
    assert_ran(totals.slice.sum_ns(), cpu_time, OF_RUN, stolen);
    assert!(
        within(totals.voluntary, counts.voluntary, 0.02),
        "{} and {counts:?}",
        totals.voluntary
    );
    assert!(
        totals.involuntary.abs_diff(counts.involuntary) <= counts.arrivals / 50,
        "{} and {counts:?}",
        totals.involuntary
    );
    println!(
        "of {} switches, waits: kernel {} ns, ours {wait} ns + {} ns of skipped clock",
        counts.arrivals, counts.wait_ns, totals.clock_skip_ns
    );
}

#[test]
fn two_busy_loops_on_one_cpu_wait_for_each_others_slices() {
    let (cgroup, seen, counts, stolen) = observe("cgscope-busy", None, &["busy", "1", "2", "3000"]);
    let (totals, windows) = totals(&cgroup, &seen);
    // Each waits while the other runs: as much in all as one of them runs.
    assert!(
        within(totals.wait.sum_ns(), counts.wait_ns, 0.02),
        "{counts:?}"
    );
    let [wait, slice] = [&totals.wait, &totals.slice].map(|of| Duration::from_nanos(of.sum_ns()));
    assert!(wait.abs_diff(slice) < slice / 20 + 2 * stolen, "{counts:?}");
    // So a typical wait is a typical slice, which the tick makes.
    let quantile = |signal| {
        windows
            .get(cgroup.task_key())
            .unwrap()
            .quantiles(signal)
            .unwrap()
            .values_ns[0]
    };
    let (wait, slice) = (
        quantile(WindowSignal::RunqueueLatency),
        quantile(WindowSignal::OncpuSlice),
    );
    assert!(
        within(wait, slice, 0.0625 * 4.0),
        "median wait {wait}, median slice {slice}"
    );
    assert!(totals.involuntary > 100, "{totals:?}");
    // Nearly all of the switches are from one of them to the other.
    assert!(
        totals.preempted_by[0] * 10 > totals.involuntary * 7,
        "{:?}",
        totals.preempted_by
    );
}

#[test]
fn a_bandwidth_limit_shows_as_waits_of_the_rest_of_its_period() {
    // 20 ms of every 100 ms, on a CPU of its own.
    let (cgroup, seen, counts, stolen) = observe(
        "cgscope-quota",
        Some((20_000, 100_000)),
        &["busy", "0", "1", "3000"],
    );
    let (totals, windows) = totals(&cgroup, &seen);
    // One throttle can fall on the moment when the workload leaves the cgroup.
    let (wait, kernel) = (totals.wait.sum_ns(), counts.wait_ns);
    assert!(
        wait.abs_diff(kernel) < kernel / 50 + 100_000_000,
        "{wait} and {counts:?}"
    );
    // Of 3 s it runs a fifth, and waits for the rest.
    assert_ran(totals.slice.sum_ns(), counts.run_ns, OF_RUN, stolen);
    assert!(counts.wait_ns > 1_000_000_000, "{counts:?}");
    let quantiles = windows
        .get(cgroup.task_key())
        .unwrap()
        .quantiles(WindowSignal::RunqueueLatency)
        .unwrap();
    // The upper quartile: others on this host add short waits, and where the machine is emulated one
    // now and then is longer by a period.
    let expected = 80_000_000;
    assert!(
        within(quantiles.values_ns[1], expected, 0.0625 + 0.05),
        "{quantiles:?}"
    );
}

#[test]
fn a_wait_that_is_moved_counts_as_its_last_leg() {
    let (cgroup, seen, counts, stolen) = observe("cgscope-migrate", None, &["migrate", "3000"]);
    let (totals, _) = totals(&cgroup, &seen);
    // As many waits as the kernel counts arrivals …
    assert!(
        within(totals.wait.count(), counts.arrivals, 0.02),
        "{} and {counts:?}",
        totals.wait.count()
    );
    // … and less time: what was waited before a move is in the kernel's run delay alone.
    let wait = totals.wait.sum_ns() - totals.clock_skip_ns;
    assert!(wait < counts.wait_ns, "{wait} and {counts:?}");
    assert!(wait > counts.wait_ns / 4, "{wait} and {counts:?}");
    // What is run is not lost with it.
    assert_ran(totals.slice.sum_ns(), counts.run_ns, OF_RUN, stolen);
}

#[test]
fn the_idle_task_is_nobodys_and_kernel_threads_are_told() {
    let observation = Observation::start(Settings::default());
    std::thread::sleep(Duration::from_secs(2));
    let (seen, _) = observation.finish();
    let idle = |flag: u64, id: fn(&SchedSample) -> u64| {
        let idle: Vec<_> = seen
            .sched
            .iter()
            .filter(|sample| sample.has(flag))
            .collect();
        assert!(!idle.is_empty(), "no CPU was ever idle");
        assert!(idle.iter().all(|sample| id(sample) == 0));
    };
    idle(SchedSample::FLAG_NEXT_IDLE, |sample| sample.next_cgroup);
    idle(SchedSample::FLAG_PREV_IDLE, |sample| sample.prev_cgroup);
    assert!(
        seen.sched
            .iter()
            .any(|sample| sample.has(SchedSample::FLAG_NEXT_KTHREAD))
    );
}
