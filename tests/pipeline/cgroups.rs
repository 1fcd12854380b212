//! What a scrape says of cgroups: hostile names, tombstones, conservation.

use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt as _,
    thread,
    time::{Duration, Instant},
};

use collector_tests::{
    cgroup::{TestCgroup, mounts},
    daemon::Daemon,
    exposition::Exposition,
    stolen, stolen_since,
};

const CPU_SECONDS: &str = "cgscope_container_cpu_seconds_total";

#[test]
fn a_cgroups_numbers_are_its_own_and_outlive_it() {
    let daemon = Daemon::start(&[]);
    let cgroup = TestCgroup::new("cgscope-life");
    let path = cgroup.path.clone();
    let id = [("id", path.as_str())];
    let before = stolen();
    let counts = cgroup.run(&["busy", "1", "2", "1500"]);
    let stolen = stolen_since(before).as_secs_f64();
    let cpu_time = cgroup.cpu_time().as_secs_f64();
    drop(cgroup);
    let _tombstone = daemon.scrape_until("its tombstone", Duration::from_secs(20), |exposition| {
        exposition.sum("cgscope_container_exited", &id) == Some(1.0)
    });
    // Its end comes with a wakeup, its last samples in their own time: within a second.
    let involuntary = [id[0], ("type", "involuntary")];
    let waited = Duration::from_nanos(counts.wait_ns).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let switched = counts.involuntary as f64;
    let expected = [
        // What is stolen is in the slices.
        (CPU_SECONDS, &id[..], cpu_time, stolen),
        (
            "cgscope_container_runqueue_latency_seconds_sum",
            &id,
            waited,
            0.0,
        ),
        (
            "cgscope_container_context_switches_total",
            &involuntary,
            switched,
            0.0,
        ),
    ];
    let off = |exposition: &Exposition| {
        expected.iter().find_map(|(name, labels, expected, more)| {
            let value = exposition.sum(name, labels);
            let range = expected * 0.95..=expected * 1.05 + more;
            let is_near = value.is_some_and(|value| range.contains(&value));
            (!is_near).then(|| format!("{name}: {value:?}, not {range:?}"))
        })
    };
    let start = Instant::now();
    let exposition = loop {
        let exposition = daemon.scrape();
        // With its last samples a tombstone does not change any more.
        thread::sleep(Duration::from_millis(1200));
        let later = daemon.scrape();
        let off = off(&exposition);
        let cpu = [&exposition, &later].map(|of| of.sum(CPU_SECONDS, &id));
        if off.is_none() && cpu[0] == cpu[1] {
            break exposition;
        }
        let elapsed = start.elapsed();
        assert!(elapsed < Duration::from_secs(20), "{off:?}, {cpu:?}");
    };
    let quantiles = exposition
        .find("cgscope_container_window_quantile_seconds", &id)
        .count();
    assert!(quantiles >= 12, "{quantiles}");
    // It stays as it is.
    let later = daemon.scrape();
    assert_eq!(
        later.sum(CPU_SECONDS, &id),
        exposition.sum(CPU_SECONDS, &id)
    );
}

#[test]
fn a_cgroup_out_of_quota_waits_for_itself_and_not_for_others() {
    let daemon = Daemon::start(&[]);
    let cgroup = TestCgroup::new("cgscope-throttled");
    cgroup.limit_cpu(20_000, 100_000);
    let _counts = cgroup.run(&["busy", "1", "1", "1500"]);
    // Longer than a sample may lie in a silent CPU's batch.
    thread::sleep(Duration::from_millis(1200));
    let exposition = daemon.scrape();
    let waited = |cause| {
        let labels = [("id", cgroup.path.as_str()), ("cause", cause)];
        let name = "cgscope_container_runqueue_wait_seconds_total";
        exposition.sum(name, &labels).expect(cause)
    };
    let kernel = cgroup.throttled_time().as_secs_f64();
    assert!(kernel > 0.5, "only {kernel} s: nothing was put to the test");
    assert!(
        (waited("throttled") - kernel).abs() < kernel * 0.1,
        "{}, not {kernel}",
        waited("throttled")
    );
    let all = exposition.sum(
        "cgscope_container_runqueue_latency_seconds_sum",
        &[("id", cgroup.path.as_str())],
    );
    let sum = waited("throttled") + waited("contention");
    assert!(
        (sum - all.expect("waits")).abs() < 1e-6,
        "{sum}, not {all:?}"
    );
    assert_eq!(
        exposition.sum("cgscope_throttles_forgotten_total", &[]),
        Some(0.0)
    );
}

#[test]
fn any_name_a_cgroup_can_have_is_an_escaped_label() {
    let daemon = Daemon::start(&[]);
    let parent = TestCgroup::new("cgscope-names");
    let mounts = mounts();
    let hierarchy = mounts.task_hierarchy().unwrap();
    let mut made = Vec::new();
    // Deeper than the kernel's buffer for a traced path.
    let level = "l".repeat(200);
    let mut deep = parent.directory(hierarchy);
    for name in [
        &b"quote\"back\\slash"[..],
        b"bad\xff\xfeutf8",
        b"sp ace {}=,",
    ] {
        made.push(parent.directory(hierarchy).join(OsStr::from_bytes(name)));
    }
    for _ in 0..7 {
        deep = deep.join(&level);
        made.push(deep.clone());
    }
    for directory in &made {
        fs::create_dir(directory).unwrap();
    }
    let longest = format!("{}{}", parent.path, format!("/{level}").repeat(7));
    let prefix = longest[..900].to_owned();
    let has = |exposition: &Exposition, path: &str| {
        exposition
            .find("cgscope_container_info", &[("id", path)])
            .count()
    };
    let expected: Vec<String> = ["quote\"back\\slash", "sp ace {}=,"]
        .iter()
        .map(|name| format!("{}/{name}", parent.path))
        .collect();
    let exposition = daemon.scrape_until("all names", Duration::from_secs(8), |exposition| {
        expected.iter().all(|path| has(exposition, path) == 1)
            && exposition
                .find("cgscope_container_info", &[])
                .filter(|info| info.labels["id"].starts_with(&prefix))
                .count()
                >= 3
    });
    // Bounded, and two long ones stay two: no two series have the same labels.
    let mut ids: Vec<_> = exposition
        .find("cgscope_container_info", &[])
        .map(|info| &info.labels["id"])
        .collect();
    assert!(ids.iter().all(|id| id.len() <= 1024));
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all);
    for directory in made.iter().rev() {
        fs::remove_dir(directory).unwrap();
    }
    let (status, _, said) = daemon.stop();
    assert!(status.success(), "{said}");
}

#[test]
fn conservation_holds_in_a_scrape_under_overload() {
    let daemon = Daemon::start(&["--samples-ring", "4KiB"]);
    let cgroup = TestCgroup::new("cgscope-overload");
    let _counts = cgroup.run(&["ping-pong", "1", "2000"]);
    let has_memory_limits = cgroup.mounts.memory_hierarchy().is_some();
    if has_memory_limits {
        cgroup.limit_memory(16 << 20);
        let mut victim = cgroup.workload(&["allocate", "100"]).spawn().unwrap();
        assert!(!victim.wait().unwrap().success());
    }
    thread::sleep(Duration::from_millis(1500));
    let exposition = daemon.scrape();
    let id = [("id", cgroup.path.as_str()), ("role", "victim")];
    assert_eq!(
        exposition.sum("cgscope_container_oom_kills_total", &id),
        Some(f64::from(u8::from(has_memory_limits)))
    );
    for signal in ["sched", "block_io", "oom", "cgroup_life"] {
        let labels = [("signal", signal)];
        let sum = |name: &str| {
            exposition
                .sum(name, &labels)
                .unwrap_or_else(|| panic!("{name}"))
        };
        let observed = sum("cgscope_events_observed_total");
        let settled = sum("cgscope_events_recorded_total")
            + sum("cgscope_events_filtered_total")
            + sum("cgscope_events_lost_total");
        assert!(observed >= settled, "{signal}: {observed} {settled}");
        // What is in a batch still: of two CPUs, 64 switches and 16 completions at most, and what came between the
        // kernel's counts and the batches.
        assert!(
            observed - settled <= 3.0 * 64.0,
            "{signal}: {observed} {settled}"
        );
    }
    let lost = exposition.sum(
        "cgscope_events_lost_total",
        &[("signal", "sched"), ("reason", "ring_full")],
    );
    assert!(lost > Some(1000.0), "the ring was not too small: {lost:?}");
    let complete = exposition
        .sum("cgscope_completeness_ratio", &[("signal", "sched")])
        .unwrap();
    assert!(complete > 0.0 && complete < 1.0, "{complete}");
}
