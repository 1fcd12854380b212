//! `cgscope catalog`, with a daemon and without.

use std::{
    thread,
    time::{Duration, Instant},
};

use collector_tests::{
    cgroup::TestCgroup,
    daemon::{Daemon, cgscope, free_address},
    note,
    thread_counts::cpu_time_to_the_end,
};
use serde_json::Value;

/// What the command prints, and what it says besides.
fn catalog(address: &str, more: &[&str]) -> (String, String) {
    let output = cgscope()
        .args(["catalog", "--listen", address])
        .args(more)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    (String::from_utf8(output.stdout).unwrap(), said)
}

fn json(address: &str) -> Value {
    let (printed, _) = catalog(address, &["--json"]);
    let document: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(document["schema"], 1);
    document
}

fn entry<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    let cgroups = document["cgroups"].as_array().unwrap();
    cgroups.iter().find(|cgroup| cgroup["path"] == path)
}

/// The catalog, once the cgroup in it is as wanted.
fn until(address: &str, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let start = Instant::now();
    loop {
        let document = json(address);
        match entry(&document, path) {
            Some(found) if wanted(found) => return document,
            found => assert!(
                start.elapsed() < Duration::from_secs(10),
                "not seen in time: {found:?}"
            ),
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// Its ids, as the document should have them.
fn ids(cgroup: &TestCgroup) -> Value {
    let mut keys: Vec<_> = cgroup
        .mounts
        .attributed()
        .into_iter()
        .map(|hierarchy| cgroup.key(hierarchy))
        .collect();
    keys.sort_unstable();
    keys.into_iter()
        .map(|key| serde_json::json!({"hierarchy": key.hierarchy.0, "id": key.id.0}))
        .collect()
}

#[test]
fn a_cgroup_is_running_with_its_ids_and_then_exited_with_its_cpu_time() {
    let daemon = Daemon::start(&[]);
    let cgroup = TestCgroup::new("cgscope-catalog");
    let (path, ids) = (cgroup.path.clone(), ids(&cgroup));
    assert!(!ids.as_array().unwrap().is_empty());
    let document = until(&daemon.address, &path, |cgroup| {
        cgroup["last_reading"].is_object()
    });
    assert_eq!(document["source"], "daemon");
    let running = entry(&document, &path).unwrap();
    assert_eq!(running["state"], "running", "{running}");
    assert_eq!(running["ids"], ids, "{running}");
    assert_eq!(running["generation"], 1, "{running}");
    assert_eq!(running["last_reading"]["how"], "running", "{running}");

    let mut work = cgroup
        .workload_to_its_end(&["brief", "400", "--mebibytes", "8"])
        .spawn()
        .unwrap();
    let worked = cpu_time_to_the_end(&work).as_secs_f64();
    let status = work.wait().unwrap();
    assert!(status.success(), "{status}");
    // Time for a last reading, however busy the host is: its figures are looked at, and not how soon it came.
    thread::sleep(Duration::from_millis(300));
    let counted = cgroup.cpu_time().as_secs_f64();
    cgroup.remove();

    let document = until(&daemon.address, &path, |cgroup| cgroup["state"] == "exited");
    let exited = entry(&document, &path).unwrap();
    assert_eq!(exited["ids"], ids, "{exited}");
    let time = |of: &str| exited[of].as_f64().unwrap();
    assert!(
        time("exit_time_seconds") >= time("start_time_seconds") + 0.4,
        "{exited}"
    );
    let reading = &exited["last_reading"];
    assert_eq!(reading["how"], "final", "{exited}");
    let cpu = reading["cpu_seconds"].as_f64().unwrap();
    note(&format!(
        "CPU: {cpu} s in the catalog, {counted} by the cgroup's file, {worked} by the process"
    ));
    assert!((cpu / counted - 1.0).abs() < 0.05, "{cpu}, not {counted}");
    assert!((cpu / worked - 1.0).abs() < 0.05, "{cpu}, not {worked}");
    if let Some(peak) = reading["memory_peak_bytes"].as_u64() {
        assert!(peak >= 8 << 20, "{exited}");
    } else {
        note("this kernel keeps no peak of memory");
    }

    let (table, said) = catalog(&daemon.address, &[]);
    assert_eq!(said, "");
    assert!(table.starts_with("STATE  "), "{table}");
    let line = table.lines().find(|line| line.contains(&path)).unwrap();
    assert!(line.starts_with("exited "), "{line}");
    assert!(line.contains(&format!("{cpu:.3}s")), "{line}");
    assert!(table.ends_with("source: daemon\n"), "{table}");
}

#[test]
fn without_a_daemon_the_catalog_says_so_and_reads_the_cgroups_itself() {
    let cgroup = TestCgroup::new("cgscope-catalog");
    let work = cgroup.workload_to_its_end(&["brief", "200"]).output();
    assert!(work.unwrap().status.success());
    let address = free_address();
    let (printed, said) = catalog(&address, &["--json"]);
    assert!(
        said.contains("no daemon answers") && said.contains(&address),
        "{said}"
    );
    let document: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(document["source"], "walk");
    let found = entry(&document, &cgroup.path).unwrap();
    assert_eq!(found["state"], "running", "{found}");
    assert_eq!(found["ids"], ids(&cgroup), "{found}");
    // Since when it is there, and what was there before, a walk cannot know.
    assert!(found.get("start_time_seconds").is_none(), "{found}");
    let all = document["cgroups"].as_array().unwrap();
    assert!(all.iter().all(|cgroup| cgroup["state"] == "running"));
    let cpu = found["last_reading"]["cpu_seconds"].as_f64().unwrap();
    let counted = cgroup.cpu_time().as_secs_f64();
    assert!(
        counted > 0.2 && (cpu / counted - 1.0).abs() < 0.01,
        "{cpu}, not {counted}"
    );
    let (table, _) = catalog(&address, &[]);
    let line = table
        .lines()
        .find(|line| line.contains(&cgroup.path))
        .unwrap();
    assert!(line.starts_with("running "), "{line}");
    assert!(table.ends_with("source: walk\n"), "{table}");
}

#[test]
fn where_no_cgroups_are_the_catalog_ends_with_what_is_missing() {
    let empty = tempfile::tempdir().unwrap();
    let output = cgscope()
        .args(["catalog", "--listen", &free_address(), "--cgroup-root"])
        .arg(empty.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(69), "{said}");
    assert!(said.contains("--cgroup-root"), "{said}");
    let output = cgscope()
        .args(["catalog", "--listen", "nowhere"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
}
