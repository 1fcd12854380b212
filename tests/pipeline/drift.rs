//! Events against the kernel's own counters, in a scrape.

use std::{env, thread, time::Duration};

use collector_tests::{cgroup::TestCgroup, daemon::Daemon, exposition::Exposition, note};

/// How long the load lasts, in seconds.
const SECONDS: &str = "CGSCOPE_TEST_DRIFT_SECONDS";

fn drift(exposition: &Exposition, quantity: &str, of: &str) -> Option<f64> {
    let labels = [("quantity", quantity), ("of", of)];
    exposition.sum("cgscope_drift_ratio", &labels)
}

/// The largest that a drift was told to be in that time, looked at in every interval.
fn worst_drift(daemon: &Daemon, quantity: &str, of: &str, time: Duration) -> Option<f64> {
    let looks = u32::try_from(time.as_millis() / 900).expect("some looks");
    (0..looks)
        .filter_map(|_| {
            thread::sleep(Duration::from_millis(900));
            drift(&daemon.scrape(), quantity, of)
        })
        .reduce(f64::max)
}

#[test]
fn a_mixed_load_has_next_to_no_drift() {
    let seconds: u64 = env::var(SECONDS).map_or(12, |seconds| seconds.parse().expect(SECONDS));
    // The kernel's figure is up to a tick of 4 to 10 ms old, and a hypervisor's part is told in steps of
    // 10 ms: beside what is used in 4 s that is little.
    let log = "info,collector::reconcile::drift=debug";
    let daemon = Daemon::start(&["--interval", "4s", "--log", log]);
    let milliseconds = (seconds * 1_000).to_string();
    let file = tempfile::NamedTempFile::new_in("/var/tmp").unwrap();
    let path = file.path().to_str().unwrap();
    let bytes = (64 << 20).to_string();
    let write = ["write", path, &bytes, "--direct"];
    let loads: Vec<_> = [
        // One that is hardly ever disturbed, two that share a CPU, switches, wakeups, I/O.
        &["busy", "0", "1", &milliseconds][..],
        &["busy", "1", "2", &milliseconds],
        &["ping-pong", "1", &milliseconds],
        &["doze", "0", "2", &milliseconds],
        &write,
    ]
    .into_iter()
    .map(|arguments| {
        let cgroup = TestCgroup::new("cgscope-drift");
        let load = cgroup.workload(arguments).spawn().unwrap();
        (cgroup, load)
    })
    .collect();
    let killed = TestCgroup::new("cgscope-drift-oom");
    let has_memory_limits = killed.mounts.memory_hierarchy().is_some();
    killed.limit_memory(16 << 20);
    let mut victim = killed.workload(&["allocate", "100"]).spawn().unwrap();
    assert!(!victim.wait().unwrap().success());

    let time = Duration::from_secs(seconds);
    let worst = worst_drift(&daemon, "cpu_time", "worst", time).expect("CPU time was compared");
    note(&format!("CPU time: {worst}"));
    let exposition = daemon.scrape();
    if has_memory_limits {
        assert_eq!(drift(&exposition, "kills", "worst"), Some(0.0));
    }
    // v1 counts block I/O only on disks with a rule.
    if loads[0].0.mounts.v1_with("blkio").is_none() {
        let bytes = drift(&exposition, "bytes", "worst").expect("bytes were compared");
        note(&format!("bytes: {bytes}"));
        assert!(bytes < 0.01, "{bytes}");
    }
    let (_, _, log) = daemon.stop();
    assert!(worst < 0.02, "{worst}: {log}");
    for (_cgroup, mut load) in loads {
        assert!(load.wait().unwrap().success());
    }
}

#[test]
fn samples_that_are_lost_show_as_drift() {
    // A ring that is too small: of the events a large part is missing.
    let daemon = Daemon::start(&["--samples-ring", "4KiB"]);
    let cgroup = TestCgroup::new("cgscope-drift-lost");
    let mut load = cgroup
        .workload(&["ping-pong", "1", "6000"])
        .spawn()
        .unwrap();
    let worst = worst_drift(&daemon, "cpu_time", "worst", Duration::from_secs(5));
    assert!(load.wait().unwrap().success());
    let lost = [("signal", "sched"), ("reason", "ring_full")];
    let lost = daemon.scrape().sum("cgscope_events_lost_total", &lost);
    assert!(lost > Some(1_000.0), "{lost:?}: nothing was broken");
    note(&format!("{lost:?} lost, drift {worst:?}"));
    assert!(worst > Some(0.1), "{worst:?}");
}
