//! What a CPU bandwidth limit makes a cgroup wait, told apart from what its neighbors do.

use std::{
    fs,
    process::{Child, Output},
    thread,
    time::{Duration, Instant},
};

use collector::{
    host::HierarchyId,
    window::{CgroupWindows, WindowSettings},
};
use collector_common::signal::Signal;
use collector_tests::{
    cgroup::TestCgroup,
    note,
    observe::{Observation, Seen, Settings, kernel_support},
};

use crate::within;

/// How long the workloads run: twenty periods of every limit here.
const TIME: Duration = Duration::from_secs(2);

/// What a cgroup waited, and for what.
#[derive(Clone, Copy, Debug)]
struct Waited {
    all_ns: u64,
    throttled_ns: u64,
}

fn waited(cgroup: &TestCgroup, seen: &Seen) -> Waited {
    let key = cgroup.task_key();
    let mut windows = CgroupWindows::new(WindowSettings::default());
    let outcome = windows.record_sched(key.hierarchy, &seen.sched);
    assert_eq!(outcome.total(), seen.sched.len() as u64);
    let view = windows.get(key).expect("the cgroup was seen");
    let totals = view.sched().expect("it switched");
    Waited {
        all_ns: totals.wait.sum_ns(),
        throttled_ns: totals.throttled_ns,
    }
}

/// This many percent of the workloads' time, ns.
fn percent(share: u32) -> u64 {
    u64::try_from((TIME * share / 100).as_nanos()).expect("seconds")
}

/// The kernel's own figure, ns.
fn kernel_throttled_ns(cgroup: &TestCgroup) -> u64 {
    u64::try_from(cgroup.throttled_time().as_nanos()).expect("less than centuries")
}

/// Asserts that by the kernel's own figure there is something to compare.
fn assert_limited(kernel: u64) {
    assert!(
        kernel > percent(30),
        "only {kernel}: nothing was put to the test"
    );
}

/// How near to the kernel's own figure where others want the CPU: before 6.6, what is waited right after
/// a limit counts with it.
fn tolerance() -> f64 {
    let support = kernel_support();
    let types = support.types.as_ref().expect("this kernel's types");
    let is_exact = types.layout.offset("OFF_CFS_RQ_THROTTLED_SINCE").is_ok();
    if is_exact { 0.05 } else { 0.20 }
}

/// Starts so many threads of this kind on one CPU.
fn start(cgroup: &TestCgroup, kind: &str, threads: u32) -> Child {
    start_for(TIME, cgroup, kind, threads)
}

fn start_for(time: Duration, cgroup: &TestCgroup, kind: &str, threads: u32) -> Child {
    let milliseconds = time.as_millis().to_string();
    cgroup
        .workload(&[kind, "0", &threads.to_string(), &milliseconds])
        .spawn()
        .expect("the workload starts")
}

fn wait_for_threads(child: &Child, threads: u32) {
    let tasks = format!("/proc/{}/task", child.id());
    let start = Instant::now();
    while fs::read_dir(&tasks).expect("its tasks").count() < threads as usize {
        assert!(start.elapsed() < Duration::from_secs(20), "{tasks}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Runs busy loops on one CPU, so many threads in each cgroup, under observation.
fn observe(cgroups: &[(&TestCgroup, u32)]) -> Seen {
    let busy = cgroups
        .iter()
        .map(|(cgroup, threads)| start(cgroup, "busy", *threads));
    observe_all(|| {
        let busy: Vec<_> = busy.collect();
        busy.into_iter().for_each(join);
    })
}

/// Waits for its end.
fn join(child: Child) {
    let Output { status, .. } = child.wait_with_output().expect("it ends");
    assert!(status.success(), "{status}");
}

/// Does that under observation.
fn observe_all(run: impl FnOnce()) -> Seen {
    let observation = Observation::start(Settings::default());
    run();
    let (seen, accounts) = observation.finish();
    let account = &accounts[Signal::Sched as usize];
    assert_eq!(
        account.observed,
        account.recorded + account.in_flight,
        "{account:?}"
    );
    seen
}

#[test]
fn a_quota_on_an_idle_cpu_is_all_throttling() {
    let cgroup = TestCgroup::new("cgscope-quota-alone");
    cgroup.favor();
    cgroup.limit_cpu(20_000, 100_000);
    let seen = observe(&[(&cgroup, 1)]);
    let waited = waited(&cgroup, &seen);
    let kernel = kernel_throttled_ns(&cgroup);
    println!("{waited:?}, kernel {kernel}");
    assert_limited(kernel);
    assert!(
        within(waited.throttled_ns, kernel, 0.05),
        "{waited:?}, kernel {kernel}"
    );
    assert!(waited.throttled_ns <= waited.all_ns);
    assert!(
        within(waited.throttled_ns, waited.all_ns, 0.05),
        "{waited:?}"
    );
}

#[test]
fn two_unlimited_cgroups_on_one_cpu_are_all_contention() {
    let cgroups = [(); 2].map(|()| TestCgroup::new("cgscope-neighbor"));
    let seen = observe(&[(&cgroups[0], 1), (&cgroups[1], 1)]);
    for cgroup in &cgroups {
        let waited = waited(cgroup, &seen);
        println!("{waited:?}");
        // Each waits while the other runs.
        assert!(waited.all_ns > percent(34), "{waited:?}");
        assert_eq!(waited.throttled_ns, 0, "{waited:?}");
    }
}

#[test]
fn a_quota_and_a_neighbor_are_told_apart() {
    let limited = TestCgroup::new("cgscope-quota-neighbor");
    limited.limit_cpu(30_000, 100_000);
    let neighbor = TestCgroup::new("cgscope-neighbor");
    let seen = observe(&[(&limited, 1), (&neighbor, 1)]);
    let kernel = kernel_throttled_ns(&limited);
    let (limited, neighbor) = (waited(&limited, &seen), waited(&neighbor, &seen));
    println!("limited {limited:?}, kernel {kernel}, neighbor {neighbor:?}");
    assert!(
        kernel > 100_000_000,
        "only {kernel}: nothing was put to the test"
    );
    assert!(
        within(limited.throttled_ns, kernel, tolerance()),
        "{limited:?}, kernel {kernel}"
    );
    // While it may run, it shares the CPU.
    let contention = limited.all_ns - limited.throttled_ns;
    assert!(contention > 100_000_000, "{limited:?}");
    assert_eq!(neighbor.throttled_ns, 0, "{neighbor:?}");
}

#[test]
fn each_task_of_a_throttled_cgroup_waits_for_the_limit() {
    let cgroup = TestCgroup::new("cgscope-quota-threads");
    cgroup.limit_cpu(30_000, 100_000);
    let seen = observe(&[(&cgroup, 3)]);
    let waited = waited(&cgroup, &seen);
    let kernel = kernel_throttled_ns(&cgroup);
    println!("{waited:?}, kernel {kernel}");
    // The kernel counts the CPU once, however many of its tasks wait.
    assert!(
        within(waited.throttled_ns, 3 * kernel, 0.10),
        "{waited:?}, kernel {kernel}"
    );
}

#[test]
fn a_limit_above_counts_for_every_cgroup_below() {
    let pod = TestCgroup::new("cgscope-quota-pod");
    pod.favor();
    pod.limit_cpu(40_000, 100_000);
    let containers = ["one", "two"].map(|name| pod.child(name));
    let seen = observe(&[(&containers[0], 1), (&containers[1], 1)]);
    let kernel = kernel_throttled_ns(&pod);
    assert_limited(kernel);
    for container in &containers {
        let waited = waited(container, &seen);
        println!("{waited:?}, kernel {kernel}");
        assert!(
            within(waited.throttled_ns, kernel, 0.10),
            "{waited:?}, kernel {kernel}"
        );
        assert!(waited.throttled_ns < waited.all_ns, "{waited:?}");
    }
}

/// Beside a busy neighbor in the limited cgroup, tasks that wake every millisecond and do little. As the
/// limit begins each is asleep or just awake, and from then on it waits for the limit's end.
fn assert_dozers_wait_for_the_limit(
    limited: &TestCgroup,
    dozers: (&TestCgroup, u32),
    busy: &TestCgroup,
) {
    limited.favor();
    limited.limit_cpu(20_000, 100_000);
    let (dozing, threads) = dozers;
    let seen = observe_all(|| {
        // All of them are there for as long as the neighbor is: to start takes its time below a limit.
        let mut dozers = start_for(2 * TIME, dozing, "doze", threads);
        wait_for_threads(&dozers, threads + 1);
        join(start(busy, "busy", 1));
        let ended = dozers.try_wait().expect("its status");
        assert_eq!(
            ended, None,
            "the neighbor was slower to start than it may be"
        );
        join(dozers);
    });
    let kernel = kernel_throttled_ns(limited);
    let waited = waited(dozing, &seen);
    note(&format!("{waited:?}, kernel {kernel}"));
    assert_limited(kernel);
    assert!(
        within(waited.throttled_ns, u64::from(threads) * kernel, 0.10),
        "{waited:?}, kernel {kernel}"
    );
    assert!(waited.throttled_ns <= waited.all_ns, "{waited:?}");
}

#[test]
fn each_sleeper_below_a_limit_waits_for_it_beside_a_busy_sibling() {
    for threads in [1, 3] {
        let pod = TestCgroup::new("cgscope-quota-sleeper");
        let [dozing, busy] = ["dozing", "busy"].map(|name| pod.child(name));
        assert_dozers_wait_for_the_limit(&pod, (&dozing, threads), &busy);
    }
}

#[test]
fn cgroups_without_a_cpu_controller_of_their_own_share_the_limit_above() {
    let pod = TestCgroup::new("cgscope-quota-shared");
    let [dozing, busy] = ["dozing", "busy"].map(|name| pod.child_without_controllers(name));
    if dozing.task_key().hierarchy != HierarchyId::V2 {
        note("in cgroup v1 they have one of their own");
    }
    assert_dozers_wait_for_the_limit(&pod, (&dozing, 1), &busy);
}
