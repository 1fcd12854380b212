//! The names of other collectors, from the kernel's files to a scrape.

use std::{thread, time::Duration};

use collector_tests::{cgroup::TestCgroup, daemon::Daemon};

/// Two intervals of the daemon, and what it takes to read.
const SETTLED: Duration = Duration::from_millis(2_500);

#[test]
fn the_names_of_others_are_served_when_they_are_wanted_and_say_what_the_kernel_says() {
    let id = "e7".repeat(32);
    let around = TestCgroup::new("cgscope-peers");
    let container = around.child(&id);
    container.limit_cpu(20_000, 100_000);
    let daemon = Daemon::start(&["--export-cadvisor", "--export-containerd=true"]);
    let _counts = container.run(&["busy", "1", "2", "600"]);
    thread::sleep(SETTLED);
    let shown = daemon.scrape();

    // Nothing runs in it any more: these are the kernel's numbers of now.
    let cpu = container.cpu_time().as_secs_f64();
    assert!(cpu > 0.05, "{cpu} s");
    let by_path = [("id", container.path.as_str())];
    let usage = shown.sum("container_cpu_usage_seconds_total", &by_path);
    assert!((usage.unwrap() - cpu).abs() < 1e-3, "{usage:?} and {cpu}");
    let throttled = container.throttled_time().as_secs_f64();
    assert!(throttled > 0.1, "{throttled} s");
    let ours = shown.sum("container_cpu_cfs_throttled_seconds_total", &by_path);
    assert!(
        (ours.unwrap() - throttled).abs() < 1e-3,
        "{ours:?} and {throttled}"
    );
    let quota = shown.sum("container_spec_cpu_quota", &by_path);
    assert_eq!(quota, Some(20_000.0));

    let by_id = [("container_id", id.as_str())];
    let usage_ns = shown
        .sum("container_cpu_total_nanoseconds", &by_id)
        .or_else(|| Some(shown.sum("container_cpu_usage_usec_microseconds", &by_id)? * 1e3));
    assert!(
        (usage_ns.unwrap() / 1e9 - cpu).abs() < 1e-3,
        "{usage_ns:?} and {cpu}"
    );

    // The cgroup around it is none of containerd's, and one of cAdvisor's.
    let above = [("id", around.path.as_str())];
    let usage = shown.sum("container_cpu_usage_seconds_total", &above);
    assert!(usage.unwrap() >= cpu, "{usage:?} and {cpu}");
    let containers: Vec<_> = shown
        .samples
        .iter()
        .filter_map(|sample| sample.labels.get("container_id"))
        .filter(|known| known.contains("cgscope-peers"))
        .collect();
    assert!(containers.is_empty(), "{containers:?}");

    // No series twice: a scraper takes only one of them.
    let mut series: Vec<_> = shown
        .samples
        .iter()
        .map(|sample| (&sample.name, &sample.labels))
        .collect();
    let all = series.len();
    series.sort();
    series.dedup();
    assert_eq!(series.len(), all);

    // What is gone keeps what it used, and uses nothing.
    let path = container.path.clone();
    drop(container);
    let by_path = [("id", path.as_str())];
    let gone = daemon.scrape_until("its end", Duration::from_secs(10), |shown| {
        shown.sum("cgscope_container_exited", &by_path) == Some(1.0)
    });
    let usage = gone.sum("container_cpu_usage_seconds_total", &by_path);
    assert!((usage.unwrap() - cpu).abs() < 1e-3, "{usage:?} and {cpu}");
    let lasts = gone.sum("container_last_seen", &by_path);
    assert!(lasts.is_some());
    let quota = gone.sum("container_spec_cpu_quota", &by_path);
    assert_eq!(quota, None);
}

#[test]
fn the_names_of_others_are_not_served_unasked() {
    let cgroup = TestCgroup::new("cgscope-peers-off");
    let daemon = Daemon::start(&[]);
    let _counts = cgroup.run(&["busy", "1", "1", "100"]);
    thread::sleep(SETTLED);
    let shown = daemon.scrape();
    assert!(
        shown
            .find("cgscope_container_info", &[("id", &cgroup.path)])
            .next()
            .is_some()
    );
    let foreign: Vec<_> = shown
        .samples
        .iter()
        .map(|sample| &sample.name)
        .filter(|name| !name.starts_with("cgscope_") && !name.starts_with("process_"))
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}
