//! Kernels whose type information is changed, from elsewhere, or not there.

use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use collector_tests::{
    altered_btf::{AlteredBtf, KERNEL_BTF},
    cgroup::TestCgroup,
    daemon::{Daemon, cgscope, cgscope_without_kernel_types},
    exposition::Exposition,
    note,
    thread_counts::ThreadCounts,
};
use serde_json::Value;

const SIGNALS: [&str; 4] = ["sched", "block_io", "oom", "cgroup_life"];

/// What is written to a disk.
const BYTES: u64 = 4 << 20;

/// The exit code of `doctor` with these arguments, and what it prints.
fn doctor(mut command: Command, arguments: &[&str]) -> (i32, String) {
    let output = command.arg("doctor").args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code().unwrap_or(-1), said)
}

/// The signals that a report of `doctor --json` has on, and the reasons of those that are off.
fn on_and_off(report: &str) -> (Vec<String>, Vec<(String, String)>) {
    let report: Value = serde_json::from_str(report).unwrap();
    let (mut on, mut off) = (Vec::new(), Vec::new());
    for signal in report["signals"].as_array().unwrap() {
        let name = signal["name"].as_str().unwrap().to_owned();
        if signal["on"] == true {
            on.push(name);
        } else {
            off.push((name, signal["reason"].as_str().unwrap().to_owned()));
        }
    }
    (on, off)
}

/// Known work for every signal in a cgroup of its own.
struct Work {
    cgroup: TestCgroup,
    counts: ThreadCounts,
    /// Whether this host can be made to kill for a limit.
    kills: bool,
}

impl Work {
    fn done() -> Self {
        let cgroup = TestCgroup::new("cgscope-types");
        let counts = cgroup.run(&["ping-pong", "1", "800"]);
        let file = tempfile::NamedTempFile::new_in("/var/tmp").unwrap();
        let path = file.path().to_str().unwrap();
        let _written = cgroup.run(&["write", path, &BYTES.to_string(), "--direct"]);
        let kills = cgroup.mounts.memory_hierarchy().is_some();
        if kills {
            cgroup.limit_memory(16 << 20);
            let mut victim = cgroup.workload(&["allocate", "100"]).spawn().unwrap();
            assert!(!victim.wait().unwrap().success());
        } else {
            note("no OOM kill, as this host has no hierarchy of memory limits");
        }
        // Longer than a sample may lie in a silent CPU's batch.
        thread::sleep(Duration::from_millis(1200));
        Self {
            cgroup,
            counts,
            kills,
        }
    }

    /// Asserts that a scrape has this of the work, as the kernel itself counted it.
    #[expect(clippy::cast_precision_loss, reason = "a comparison to a few percent")]
    fn assert_seen(&self, exposition: &Exposition, signal: &str) {
        let id = [("id", self.cgroup.path.as_str())];
        let sum = |name: &str| {
            exposition
                .sum(name, &id)
                .unwrap_or_else(|| panic!("no {name}"))
        };
        match signal {
            "sched" => {
                let waits = sum("cgscope_container_runqueue_latency_seconds_count");
                let arrivals = self.counts.arrivals as f64;
                assert!(arrivals > 1000.0, "nothing was put to the test");
                // Besides the two threads, the workload's own and the later commands switch a little.
                assert!(
                    (waits - arrivals).abs() < arrivals * 0.05,
                    "{waits} {arrivals}"
                );
                let waited = sum("cgscope_container_runqueue_latency_seconds_sum");
                let wait = self.counts.wait_ns as f64 / 1e9;
                // Above the kernel's own by the skipped updates of its clock.
                assert!(waited > wait * 0.90 - 0.02, "{waited} {wait}");
                assert!(waited < wait * 1.5 + 0.1, "{waited} {wait}");
                let ran = sum("cgscope_container_cpu_seconds_total");
                let run = self.cgroup.cpu_time().as_secs_f64();
                // Above the controller's own by what a hypervisor takes of the slices.
                assert!(ran > run * 0.90 && ran < run * 1.5, "{ran} {run}");
            }
            "block_io" => {
                let bytes = sum("cgscope_container_block_io_bytes_total");
                assert!(bytes >= BYTES as f64, "{bytes}");
                assert!(bytes < BYTES as f64 * 1.5, "{bytes}");
            }
            "oom" if self.kills => {
                let victims = [id[0], ("role", "victim")];
                let killed = exposition.sum("cgscope_container_oom_kills_total", &victims);
                assert_eq!(killed, Some(1.0));
            }
            "oom" => {}
            signal => {
                let recorded = [("signal", signal)];
                let recorded = exposition.sum("cgscope_events_recorded_total", &recorded);
                assert!(recorded > Some(0.0), "{signal}: {recorded:?}");
            }
        }
    }
}

#[test]
fn a_renamed_field_turns_its_signal_off_by_name_and_the_rest_runs() {
    for (name, renamed, field, signal) in [
        (
            "last_queued",
            "last_queuex",
            "task_struct.sched_info.last_queued",
            "sched",
        ),
        (
            "io_start_time_ns",
            "io_start_time_nx",
            "request.io_start_time_ns",
            "block_io",
        ),
    ] {
        let altered = AlteredBtf::copy().rename(name, renamed).write();
        let path = altered.path().to_str().unwrap();
        let others: Vec<_> = SIGNALS
            .into_iter()
            .filter(|other| *other != signal)
            .collect();

        // For people it says the same: once is enough.
        if signal == "sched" {
            let (code, said) = doctor(cgscope(), &["--btf", path]);
            assert_eq!(code, 1, "{said}");
            assert!(said.contains(field), "{said}");
            for other in &others {
                assert!(said.contains(&format!("{other:<12} on\n")), "{said}");
            }
        }
        let (code, said) = doctor(cgscope(), &["--btf", path, "--json"]);
        assert_eq!(code, 1, "{said}");
        let (on, off) = on_and_off(&said);
        assert_eq!(on, others);
        assert!(off[0].0 == signal && off[0].1.contains(field), "{off:?}");

        let daemon = Daemon::start(&["--btf", path]);
        let (_, ready) = daemon.get("/readyz").unwrap();
        let line = format!("{signal}: off, because this kernel has no {field}, says {path}");
        assert_eq!(ready, format!("ready\n{line}"));
        let work = Work::done();
        let exposition = daemon.scrape();
        for other in others {
            work.assert_seen(&exposition, other);
        }
        let observed = "cgscope_events_observed_total";
        assert_eq!(exposition.sum(observed, &[("signal", signal)]), None);
        let (status, _, log) = daemon.stop();
        assert!(status.success(), "{log}");
        assert!(log.contains(&line), "{log}");
    }
}

#[test]
fn types_of_another_kernel_are_found_out_before_anything_is_measured() {
    for (structure, member, said) in [
        ("task_struct", "pid", Some("task_struct.pid reads ")),
        ("task_struct", "comm", Some("task_struct.comm reads ")),
        (
            "kernfs_node",
            "id",
            Some("kernfs_node.id of the task's cgroup reads "),
        ),
        // Where it is read then lies `last_queued`, which is 0 while a task runs.
        (
            "sched_info",
            "last_arrival",
            Some("sched_info.last_arrival reads 0"),
        ),
        // What lies beside these can read as they should.
        ("sched_info", "last_queued", None),
        ("request", "__data_len", None),
    ] {
        let altered = AlteredBtf::copy().shift(structure, member).write();
        let path = altered.path().to_str().unwrap();
        // A kernel with types of its own is asked for those; one without is looked at.
        let compared = (cgscope(), format!("{member} is at byte "));
        let looked_at = said.map(|said| (cgscope_without_kernel_types(), said.to_owned()));
        for (command, said) in [Some(compared), looked_at].into_iter().flatten() {
            let (code, report) = doctor(command, &["--btf", path, "--json"]);
            assert_eq!(code, 1, "{report}");
            let (on, off) = on_and_off(&report);
            assert_eq!(on, [""; 0], "{structure}.{member}");
            assert_eq!(off.len(), SIGNALS.len());
            let reason = format!("{path} does not describe the running kernel: ");
            for (_, why) in off {
                assert!(why.starts_with(&reason) && why.contains(&said), "{why}");
            }
        }
    }
}

#[test]
fn a_renamed_field_of_an_optional_part_costs_that_part_alone() {
    // Both ways to tell throttling apart ask for the task's priority.
    let altered = AlteredBtf::copy().rename("prio", "prix").write();
    let path = altered.path().to_str().unwrap();
    let (code, report) = doctor(cgscope(), &["--btf", path, "--json"]);
    assert_eq!(code, 0, "{report}");
    let (on, off) = on_and_off(&report);
    assert_eq!((on.len(), off.len()), (SIGNALS.len(), 0), "{report}");
    let lost = "throttling told apart from contention (";
    assert!(report.contains(lost), "{report}");

    let daemon = Daemon::start(&["--btf", path]);
    let work = Work::done();
    let exposition = daemon.scrape();
    work.assert_seen(&exposition, "sched");
    let causes = "cgscope_container_runqueue_wait_seconds_total";
    assert_eq!(exposition.find(causes, &[]).count(), 0);
}

#[test]
fn a_kernel_without_types_has_its_cgroups_served_and_the_rest_explained() {
    let (code, said) = doctor(cgscope_without_kernel_types(), &[]);
    assert_eq!(code, 1, "{said}");
    for part in [KERNEL_BTF, "CONFIG_DEBUG_INFO_BTF=y", "--btf", "pahole"] {
        assert!(said.contains(part), "{part} not in {said}");
    }
    for signal in SIGNALS {
        assert!(said.contains(&format!("{signal:<12} off\n")), "{said}");
    }

    let daemon = Daemon::launch(cgscope_without_kernel_types(), &[], "/healthz");
    let cgroup = TestCgroup::new("cgscope-untyped");
    let id = [("id", cgroup.path.as_str())];
    let exposition = daemon.scrape_until("a new cgroup", Duration::from_secs(5), |exposition| {
        exposition.find("cgscope_container_info", &id).count() > 0
    });
    assert!(exposition.sum("cgscope_cgroups", &[("state", "live")]) > Some(0.0));
    let observed = "cgscope_events_observed_total";
    assert_eq!(exposition.sum(observed, &[]), None);
    // Until all cgroups are read that is the reason.
    let start = Instant::now();
    let mut answer = daemon.get("/readyz").unwrap();
    while answer.1.contains("the first reading") && start.elapsed() < Duration::from_secs(5) {
        thread::sleep(Duration::from_millis(50));
        answer = daemon.get("/readyz").unwrap();
    }
    let (status, ready) = answer;
    assert_eq!(status, 503, "{ready}");
    for signal in SIGNALS {
        let line = format!("{signal}: off, because there is no kernel type information");
        assert!(ready.contains(&line), "{ready}");
    }
    let (status, _, log) = daemon.stop();
    assert!(status.success(), "{log}");
    assert!(log.contains("no signal is on"), "{log}");
}

#[test]
fn types_from_a_file_give_a_kernel_without_its_own_every_signal() {
    let copy = AlteredBtf::copy().write();
    let path = copy.path().to_str().unwrap();
    let (code, report) = doctor(cgscope_without_kernel_types(), &["--btf", path, "--json"]);
    assert_eq!(code, 0, "{report}");
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["raw_tracepoints"], true);
    assert_eq!(report["types"], path);

    // As an environment variable, which goes before a file's key and behind the flag.
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("cgscope.toml");
    fs::write(&config, "btf = '/nonexistent'").unwrap();
    let mut command = cgscope_without_kernel_types();
    command
        .env("CGSCOPE_BTF", path)
        .env("CGSCOPE_CONFIG", &config);
    let daemon = Daemon::launch(command, &[], "/readyz");
    assert_eq!(daemon.get("/readyz"), Some((200, "ready".to_owned())));
    let work = Work::done();
    let exposition = daemon.scrape();
    for signal in SIGNALS {
        work.assert_seen(&exposition, signal);
    }
    let (status, _, log) = daemon.stop();
    assert!(status.success(), "{log}");
    assert!(Path::new(KERNEL_BTF).exists(), "hidden from it alone");
}
