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

/// Both read cgroups once in this time; after two of them both have seen whatever was before.
const INTERVAL: Duration = Duration::from_secs(1);

/// Where the set-up has put it.
const PROGRAM: &str = "CGSCOPE_TEST_CADVISOR";

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
            assert!(start.elapsed() < Duration::from_secs(30), "no answer");
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
    let start = Instant::now();
    // It works for 4 s, and then keeps its memory and does nothing.
    let mut load = cgroup
        .workload_to_its_end(&["brief", "1600", "--mebibytes", "48", "--alive", "14000"])
        .spawn()
        .unwrap();

    // While it works: what one has read, the other has in its next interval but one.
    let growing = |exposition: &Exposition| figures(exposition, &cgroup.path, GROWING);
    let mut compared = 0;
    let mut earlier = BTreeMap::new();
    for turn in 0.. {
        if start.elapsed() > Duration::from_secs(9) {
            break;
        }
        let later = if turn % 2 == 0 {
            growing(&daemon.scrape())
        } else {
            growing(&cadvisor.page().unwrap())
        };
        for (name, later) in &later {
            if let Some(earlier) = earlier.get(name) {
                assert!(
                    later + ROUNDING >= *earlier,
                    "{name}: {later} after {earlier}"
                );
                compared += usize::from(*later > earlier + ROUNDING);
            }
        }
        earlier = later;
        thread::sleep(INTERVAL * 2 + INTERVAL / 10);
    }
    assert!(compared > GROWING.len(), "{compared}: nothing was compared");

    let theirs = figures(&cadvisor.page().unwrap(), &cgroup.path, AT_REST);
    let ours = figures(&daemon.scrape(), &cgroup.path, AT_REST);
    let status = load.wait().unwrap();
    assert!(status.success(), "{status}");
    assert!(
        theirs["container_cpu_usage_seconds_total"] > 1.5,
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
