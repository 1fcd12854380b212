//! The real `cAdvisor` beside cgscope: the same names say the same.

use std::{
    collections::BTreeMap,
    env,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use collector_tests::{
    cgroup::TestCgroup,
    daemon::{Daemon, free_address, get},
    exposition::Exposition,
    note,
};

/// cgscope reads cgroups once in this time, and cAdvisor once in one to two of them.
const INTERVAL: Duration = Duration::from_secs(1);

/// After this, both have seen whatever was before.
const BOTH_READ: Duration = Duration::from_secs(3);

/// Where the set-up has put it.
const PROGRAM: &str = "CGSCOPE_TEST_CADVISOR";

/// For how long either is waited for.
const PATIENCE: Duration = Duration::from_mins(1);

/// What adding up the figures of some CPUs can get wrong, in seconds.
const ROUNDING: f64 = 1e-6;

/// Figures that do not move while nothing happens.
const AT_REST: [&str; 11] = [
    "container_cpu_usage_seconds_total",
    "container_cpu_cfs_periods_total",
    "container_cpu_cfs_throttled_periods_total",
    "container_cpu_cfs_throttled_seconds_total",
    "container_memory_usage_bytes",
    "container_memory_max_usage_bytes",
    "container_memory_rss",
    "container_memory_cache",
    "container_spec_cpu_period",
    "container_spec_cpu_quota",
    "container_spec_memory_limit_bytes",
];

/// Figures that only grow.
const GROWING: [&str; 3] = [
    "container_cpu_usage_seconds_total",
    "container_cpu_cfs_periods_total",
    "container_cpu_cfs_throttled_seconds_total",
];

/// `cAdvisor`; ended when this is dropped.
struct Cadvisor {
    child: Child,
    address: String,
}

impl Cadvisor {
    fn start() -> Self {
        let program = env::var_os(PROGRAM).map(PathBuf::from);
        let program = program.unwrap_or_else(|| {
            panic!("{PROGRAM} does not name cAdvisor's binary, as `cargo xtask test` does")
        });
        let address = free_address();
        let (_, port) = address.rsplit_once(':').unwrap();
        let child = Command::new(&program)
            .args(["--port", port, "--listen_ip=127.0.0.1"])
            .arg(format!("--housekeeping_interval={}s", INTERVAL.as_secs()))
            .arg("--allow_dynamic_housekeeping=false")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let cadvisor = Self { child, address };
        let start = Instant::now();
        while cadvisor.page().is_none() {
            assert!(start.elapsed() < PATIENCE, "no answer");
            thread::sleep(Duration::from_millis(100));
        }
        cadvisor
    }

    fn page(&self) -> Option<Exposition> {
        let (status, body) = get(&self.address, "/metrics")?;
        (status == 200).then(|| Exposition::parse(&body))
    }
}

impl Drop for Cadvisor {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A cgroup's figures by their names; those of each CPU added up.
fn figures<'a>(
    exposition: &Exposition,
    path: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> BTreeMap<&'a str, f64> {
    let of = [("id", path)];
    names
        .into_iter()
        .filter_map(|name| Some((name, exposition.sum(name, &of)?)))
        .collect()
}

#[test]
fn what_both_have_read_is_the_same_under_the_same_name() {
    let cgroup = TestCgroup::new("cgscope-beside");
    cgroup.limit_cpu(40_000, 100_000);
    cgroup.limit_memory(256 << 20);
    let cadvisor = Cadvisor::start();
    let daemon = Daemon::start(&["--export-cadvisor"]);
    let growing = |exposition: &Exposition| figures(exposition, &cgroup.path, GROWING);
    let ours = || growing(&daemon.scrape());
    let theirs = || growing(&cadvisor.page().unwrap());
    // What one of them does not know yet when the work begins cannot be compared.
    let start = Instant::now();
    while [ours(), theirs()].iter().any(BTreeMap::is_empty) {
        assert!(start.elapsed() < PATIENCE, "one has no figures of it");
        thread::sleep(INTERVAL);
    }

    // It works for 8 s at least, and then keeps its memory and does nothing.
    let work = ["brief", "3200", "--mebibytes", "48", "--alive", "600000"];
    let mut load = cgroup.workload_to_its_end(&work).spawn().unwrap();
    let start = Instant::now();
    // What one has read, the other has a little later; until it rests, and they are the same for both.
    let mut compared = 0;
    let mut earlier = ours();
    for turn in 1.. {
        assert!(start.elapsed() < PATIENCE, "never at rest: {earlier:?}");
        thread::sleep(BOTH_READ);
        let later = if turn % 2 == 0 { ours() } else { theirs() };
        let mut grown = 0;
        for (name, later) in &later {
            let Some(earlier) = earlier.get(name) else {
                continue;
            };
            assert!(
                later + ROUNDING >= *earlier,
                "{name}: {later} after {earlier}"
            );
            grown += usize::from(*later > earlier + ROUNDING);
        }
        compared += grown;
        earlier = later;
        if grown == 0 && compared > 0 {
            break;
        }
    }
    assert!(compared > GROWING.len(), "{compared}: nothing was compared");

    let theirs = figures(&cadvisor.page().unwrap(), &cgroup.path, AT_REST);
    let ours = figures(&daemon.scrape(), &cgroup.path, AT_REST);
    load.kill().unwrap();
    load.wait().unwrap();
    assert!(
        theirs["container_cpu_usage_seconds_total"] > 3.1,
        "{theirs:?}"
    );
    assert!(
        theirs["container_memory_rss"] >= f64::from(48 << 20),
        "{theirs:?}"
    );
    note(&format!("cAdvisor: {theirs:?}"));
    note(&format!("cgscope: {ours:?}"));
    for name in AT_REST {
        let Some(theirs) = theirs.get(name) else {
            note(&format!("cAdvisor has no {name} here"));
            continue;
        };
        let ours = ours.get(name).unwrap_or_else(|| panic!("no {name}"));
        assert!(
            (ours - theirs).abs() <= ROUNDING,
            "{name}: {ours}, {theirs}"
        );
    }
}
