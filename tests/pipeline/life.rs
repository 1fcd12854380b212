//! The daemon's own life: ready soon, stopped soon, nothing left behind.

use std::{
    collections::BTreeSet,
    process::Command,
    time::{Duration, Instant},
};

use collector_tests::{
    daemon::{Daemon, cgscope, free_address, run_to_end},
    switching::ping_pong,
};

/// The kernel's numbers of the programs and maps that a process holds.
fn held_by(pid: u32) -> BTreeSet<(&'static str, u32)> {
    let mut held = BTreeSet::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fdinfo"))
        .unwrap()
        .flatten()
    {
        let Ok(info) = std::fs::read_to_string(entry.path()) else {
            continue;
        };
        for kind in ["prog_id", "map_id"] {
            let id = info
                .lines()
                .find_map(|line| line.strip_prefix(kind)?.strip_prefix(':'));
            held.extend(
                id.and_then(|id| id.trim().parse().ok())
                    .map(|id| (kind, id)),
            );
        }
    }
    held
}

/// Those of them that the kernel still has.
fn still_there(held: &BTreeSet<(&'static str, u32)>) -> BTreeSet<(&'static str, u32)> {
    let programs = aya::programs::loaded_programs()
        .flatten()
        .map(|of| ("prog_id", of.id()));
    let maps = aya::maps::loaded_maps()
        .flatten()
        .map(|of| ("map_id", of.id()));
    programs
        .chain(maps)
        .filter(|one| held.contains(one))
        .collect()
}

#[test]
fn it_stops_within_a_second_under_load_and_leaves_nothing_behind() {
    // An emulated machine is slower by much: a second, where a process starts in a few milliseconds.
    let start = Instant::now();
    let _said = run_to_end(&["--version"]);
    let most = Duration::from_secs(1) + 10 * start.elapsed();
    let start = Instant::now();
    let daemon = Daemon::start(&[]);
    let until_ready = start.elapsed();
    let held = held_by(daemon.pid());
    // sched, block I/O, OOM, four of cgroups, the flush; and their maps.
    assert!(
        held.iter().filter(|(kind, _)| *kind == "prog_id").count() >= 8,
        "{held:?}"
    );
    assert!(held.iter().any(|(kind, _)| *kind == "map_id"), "{held:?}");
    assert_eq!(still_there(&held), held);
    let load = ping_pong(0, Duration::from_secs(3));
    std::thread::sleep(Duration::from_secs(1));
    let (status, took, log) = daemon.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(took < most, "{took:?}, not in {most:?}");
    let _counts = load.join().unwrap();
    // The kernel frees a program after a grace period.
    let freed = Instant::now();
    while !still_there(&held).is_empty() {
        assert!(
            freed.elapsed() < Duration::from_secs(5),
            "{:?}",
            still_there(&held)
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(log.contains("serving on http://"), "{log}");
    println!("ready after {until_ready:?}, stopped after {took:?}");
}

#[test]
fn pages_say_what_they_should() {
    let daemon = Daemon::start(&[]);
    for (path, status, part) in [
        ("/healthz", 200, "ok"),
        ("/readyz", 200, "ready"),
        ("/", 200, "/metrics"),
        ("/catalog.json", 200, "\"source\":\"daemon\""),
        ("/nowhere", 404, ""),
    ] {
        let (found, body) = daemon.get(path).unwrap();
        assert_eq!(found, status, "{path}: {body}");
        assert!(body.contains(part), "{path}: {body}");
    }
}

#[test]
fn doctor_says_what_works_here() {
    let address = free_address();
    let output = cgscope()
        .args(["doctor", "--json", "--listen", &address])
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{report}");
    let signals = report["signals"].as_array().unwrap();
    assert_eq!(signals.len(), 4);
    for signal in signals {
        assert_eq!(signal["on"], true, "{report}");
    }
    assert!(report["runtimes"].is_array(), "{report}");
    assert_eq!(report["daemon"]["answers"], false, "{report}");
    let words = cgscope().arg("doctor").output().unwrap();
    let words = String::from_utf8(words.stdout).unwrap();
    assert!(words.contains("sched        on"), "{words}");
}

#[test]
fn version_help_and_completions_are_there() {
    for (arguments, part) in [
        (&["--version"][..], "cgscope 0.1.0"),
        (&["--help"], "doctor"),
        (&["run", "--help"], "CGSCOPE_INTERVAL"),
        (&["completions", "bash"], "_cgscope"),
    ] {
        let output = cgscope().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(part), "{arguments:?}: {text}");
    }
    let missing = Command::new(collector_tests::daemon::cgscope_binary())
        .output()
        .unwrap();
    assert_eq!(missing.status.code(), Some(64));
}
