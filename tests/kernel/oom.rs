//! OOM kills against a process that allocates past its cgroup's limit.

use collector_common::{event::OomEvent, signal::Signal};
use collector_tests::{
    cgroup::TestCgroup,
    note,
    observe::{Observation, Settings},
    skipped,
};

/// Whether there is a limit to run into. Kernels since 6.11 can be built without v1's (commit
/// e93d4166b40a), so that a host with v1 alone has none.
fn can_limit_memory(cgroup: &TestCgroup) -> bool {
    let can = cgroup.mounts.memory_hierarchy().is_some();
    if !can {
        skipped("this host has no hierarchy of memory limits");
    }
    can
}

/// Asserts that the kernel named the workload, if it names a victim at all.
fn assert_is_victim(kill: &OomEvent, cgroup: &TestCgroup) {
    if kill.flags & OomEvent::FLAG_PID_ONLY == 0 {
        assert_eq!(kill.victim_cgroup, cgroup.task_key().id.0);
        assert_eq!(&kill.comm[..9], b"workload\0");
    } else {
        note("this kernel tells no more of a victim than its pid");
    }
}

#[test]
#[ignore = "takes all memory of the machine: for one that can be lost, as `cargo xtask vm` makes"]
fn a_host_out_of_memory_is_a_kill_without_a_limit() {
    let cgroup = TestCgroup::new("cgscope-oom-global");
    let observation = Observation::start(Settings::default());
    let mut child = cgroup.workload(&["allocate", "1000000"]).spawn().unwrap();
    // So that nobody else is chosen.
    std::fs::write(format!("/proc/{}/oom_score_adj", child.id()), "1000").unwrap();
    let status = child.wait().unwrap();
    let (seen, accounts) = observation.finish();

    assert!(!status.success(), "it was not killed");
    assert_eq!(seen.oom.len(), 1, "{:?}", seen.oom);
    let kill = &seen.oom[0];
    assert_eq!(kill.victim_pid, child.id());
    assert_is_victim(kill, &cgroup);
    if kill.flags & OomEvent::FLAG_LIMIT_OWNER != 0 {
        assert_ne!(kill.flags & OomEvent::FLAG_GLOBAL, 0, "{kill:?}");
    }
    let account = &accounts[Signal::Oom as usize];
    assert_eq!(account.observed, account.recorded, "{account:?}");
}

#[test]
fn one_process_past_its_limit_is_one_kill_with_its_pid_and_cgroup() {
    let cgroup = TestCgroup::new("cgscope-oom");
    if !can_limit_memory(&cgroup) {
        return;
    }
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
    assert_is_victim(kills[0], &cgroup);
    if kills[0].flags & OomEvent::FLAG_LIMIT_OWNER == 0 {
        note("this kernel does not let the limit's owner be read");
    } else {
        let memory = cgroup.mounts.memory_hierarchy().expect("it limits");
        assert_eq!(kills[0].limit_owner_cgroup, cgroup.key(memory).id.0);
        assert_eq!(kills[0].flags & OomEvent::FLAG_GLOBAL, 0);
    }
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
    if !can_limit_memory(&cgroup) {
        return;
    }
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
