//! cgscope among those who preempt others, and left out of them.

use std::{process::Command, thread};

use collector_tests::{
    cgroup::TestCgroup,
    daemon::{Daemon, cgscope_binary},
    note,
};

/// The daemon, which puts itself into a cgroup before it starts.
fn in_cgroup(cgroup: &TestCgroup) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args([
        "-c",
        "while [ \"$1\" != -- ]; do echo $$ > \"$1\" || exit 1; shift; done; shift; exec \"$@\"",
        "sh",
    ]);
    for hierarchy in cgroup.mounts.attributed() {
        command.arg(cgroup.directory(hierarchy).join("cgroup.procs"));
    }
    command.arg("--").arg(cgscope_binary());
    command
}

/// The involuntary switches of threads that keep every CPU busy, and those of them that are a preemption by
/// anybody.
fn switches_and_preemptions(count_own: bool) -> (f64, f64) {
    let own = TestCgroup::new("cgscope-own");
    let count_own = format!("--count-own-preemptions={count_own}");
    let daemon = Daemon::launch(in_cgroup(&own), &[&count_own], "/readyz");
    let busy = TestCgroup::new("cgscope-busy");
    let cpus = thread::available_parallelism().unwrap().get();
    let workloads: Vec<_> = (0..cpus)
        .map(|cpu| {
            busy.workload_to_its_end(&["busy", &cpu.to_string(), "1", "3000"])
                .spawn()
                .unwrap()
        })
        .collect();
    for mut workload in workloads {
        assert!(workload.wait().unwrap().success());
    }
    let of_busy = ("id", busy.path.as_str());
    let scrape = daemon.scrape();
    let sum = |name, labels: &[(&str, &str)]| scrape.sum(name, labels).unwrap_or_default();
    (
        sum(
            "cgscope_container_context_switches_total",
            &[of_busy, ("type", "involuntary")],
        ),
        sum("cgscope_container_preemptions_total", &[of_busy]),
    )
}

#[test]
fn preemptions_by_cgscope_itself_are_counted_unless_they_are_not_to_be() {
    let (switches, preemptions) = switches_and_preemptions(true);
    note(&format!("{preemptions} preemptions of {switches}"));
    // Nothing throttles them, so that nobody makes room for the idle task.
    assert!((switches - preemptions).abs() < 0.5);
    let (switches, preemptions) = switches_and_preemptions(false);
    note(&format!(
        "{preemptions} preemptions of {switches}, without cgscope's own"
    ));
    assert!(preemptions > 0.5, "others preempt them too");
    assert!(
        switches - preemptions > 9.5,
        "cgscope wakes ten times a second"
    );
}
