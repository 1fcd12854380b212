//! OOM kills against a process that allocates past its cgroup's limit.

use collector_common::signal::Signal;
use collector_tests::{
    cgroup::TestCgroup,
    observe::{Observation, Settings},
};

#[test]
fn one_process_past_its_limit_is_one_kill_with_its_pid_and_cgroup() {
    let cgroup = TestCgroup::new("cgscope-oom");
    cgroup.limit_memory(24 << 20);
    let observation = Observation::start(Settings::default());
    let mut child = cgroup.workload(&["allocate", "200"]).spawn().unwrap();
    let pid = child.id();
    let status = child.wait().unwrap();
    let (seen, accounts) = observation.finish();

    assert!(
        !status.success(),
        "it was not killed: nothing was put to the test"
    );
    let kills: Vec<_> = seen
        .oom
        .iter()
        .filter(|event| event.victim_pid == pid)
        .collect();
    assert_eq!(kills.len(), 1, "{:?}", seen.oom);
    assert_eq!(kills[0].victim_cgroup, cgroup.task_key().id.0);
    assert_eq!(&kills[0].comm[..9], b"workload\0");
    let account = &accounts[Signal::Oom as usize];
    assert_eq!(
        (account.observed, account.in_flight),
        (account.recorded, 0),
        "{account:?}"
    );
}

#[test]
fn an_oom_kill_arrives_though_the_samples_ring_is_full() {
    let cgroup = TestCgroup::new("cgscope-oom-full");
    cgroup.limit_memory(24 << 20);
    // A ring of four pages that is never emptied.
    let observation = Observation::start(Settings {
        samples_ring_bytes: 16 << 10,
        drain_interval: std::time::Duration::from_secs(3),
        ..Settings::default()
    });
    let _counts = TestCgroup::new("cgscope-oom-noise").run(&["ping-pong", "1", "500"]);
    let mut child = cgroup.workload(&["allocate", "200"]).spawn().unwrap();
    let pid = child.id();
    assert!(!child.wait().unwrap().success());
    let (seen, accounts) = observation.finish();

    let lost: u64 = accounts[Signal::Sched as usize]
        .lost
        .iter()
        .map(|(_, lost)| lost)
        .sum();
    assert!(lost > 1000, "the ring was not full");
    assert_eq!(
        seen.oom
            .iter()
            .filter(|event| event.victim_pid == pid)
            .count(),
        1
    );
}
