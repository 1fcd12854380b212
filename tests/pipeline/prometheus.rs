//! A real Prometheus scrapes the daemon, as text and as protobuf with native histograms.

use std::{
    fs,
    io::Write as _,
    ops::RangeInclusive,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use collector_tests::{
    cgroup::TestCgroup,
    daemon::{Daemon, free_address},
    stolen, stolen_since,
};

/// A Prometheus; killed when this is dropped.
pub(crate) struct Prometheus {
    child: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    pub(crate) fn start(target: &str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("prometheus.yml");
        fs::write(
            &config,
            format!(
                "global:\n  scrape_interval: 1s\nscrape_configs:\n- job_name: cgscope\n  \
                 static_configs:\n  - targets: ['{target}']\n"
            ),
        )
        .unwrap();
        let address = free_address();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Debian's package prometheus is installed by `cargo xtask setup --tests`");
        Self {
            child,
            address,
            _folder: folder,
        }
    }

    /// What a page of its API answers, if it does.
    pub(crate) fn get(&self, page: &str, query: &[(&str, String)]) -> Option<serde_json::Value> {
        let url = format!("http://{}/api/v1/{page}", self.address);
        let query = query.iter().map(|(name, value)| (*name, value.as_str()));
        let mut answer = ureq::get(&url).query_pairs(query).call().ok()?;
        let text = answer.body_mut().read_to_string().ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Waits until a query gives one value, which is in this range.
    fn wait_for(&self, query: &str, range: &RangeInclusive<f64>) {
        let start = Instant::now();
        loop {
            let answer = self.get("query", &[("query", query.to_owned())]);
            let value = answer.as_ref().and_then(|answer| {
                answer["data"]["result"][0]["value"][1]
                    .as_str()?
                    .parse::<f64>()
                    .ok()
            });
            if value.is_some_and(|value| range.contains(&value)) {
                return;
            }
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "{query}: not in {range:?}: {answer:?}"
            );
            thread::sleep(Duration::from_millis(300));
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn queries_return_the_numbers(arguments: &[&str], count: impl Fn(&str) -> String) {
    let daemon = Daemon::start(&[]);
    let cgroup = TestCgroup::new("cgscope-prometheus");
    let before = stolen();
    let counts = cgroup.run(&["busy", "1", "2", "1000"]);
    let stolen = stolen_since(before).as_secs_f64();
    let path = cgroup.path.clone();
    drop(cgroup);
    let prometheus = Prometheus::start(&daemon.address, arguments);
    prometheus.wait_for("up{job='cgscope'}", &(1.0..=1.0));
    let cpu = format!("cgscope_container_cpu_seconds_total{{id='{path}'}}");
    let ran = Duration::from_nanos(counts.run_ns).as_secs_f64();
    // What a hypervisor steals is in the slices and not in the kernel's count.
    prometheus.wait_for(&cpu, &(ran * 0.95..=ran * 1.05 + stolen));
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let arrivals = counts.arrivals as f64;
    let off = 10.0 + arrivals * 0.05;
    prometheus.wait_for(&count(&path), &(arrivals - off..=arrivals + off));
}

#[test]
fn as_text() {
    queries_return_the_numbers(&[], |path| {
        format!("cgscope_container_runqueue_latency_seconds_count{{id='{path}'}}")
    });
}

#[test]
fn as_protobuf_with_native_histograms() {
    queries_return_the_numbers(&["--enable-feature=native-histograms"], |path| {
        format!("histogram_count(cgscope_container_runqueue_latency_seconds{{id='{path}'}})")
    });
}

#[test]
fn promtool_finds_nothing_to_say() {
    let daemon = Daemon::start(&[]);
    let cgroup = TestCgroup::new("cgscope-promtool");
    let _counts = cgroup.run(&["busy", "1", "2", "300"]);
    thread::sleep(Duration::from_millis(1200));
    let (_, text) = daemon.get("/metrics").unwrap();
    assert!(text.contains(&cgroup.path));
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool comes with Debian's package prometheus");
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}
