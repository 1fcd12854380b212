//! A real database that is not ours takes the data points, and answers with the numbers that a scrape has.
//!
//! It is `VictoriaMetrics`: it speaks Prometheus' query language, and is told here to name metrics as Prometheus
//! does and to keep of a resource what Prometheus keeps. Debian's Prometheus is built without OTLP.

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
    daemon::{Daemon, cgscope, free_address},
    exposition::Exposition,
};
use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::Histogram;

use crate::scrape::{families, of_cgroup};

/// Where the set-up has put it.
const PROGRAM: &str = "CGSCOPE_TEST_VICTORIA_METRICS";

/// How much wider than its lower edge a bucket is.
const BUCKET: f64 = 1.090_507_732_665_257_7;

/// After this the database has what a scrape has.
const MOST: Duration = Duration::from_secs(30);

/// What the database has otherwise than a scrape: it may come yet.
type Mismatch = String;

/// What the daemon calls its host here.
const HOST: &str = "otlp-test-host";

const LATENCY: &str = "cgscope_container_runqueue_latency_seconds";
const SLICES: &str = "cgscope_container_oncpu_slice_seconds";

/// A database; ended when this is dropped.
struct Database {
    child: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Database {
    fn start() -> Self {
        let program = env::var_os(PROGRAM).map(PathBuf::from);
        let program = program.unwrap_or_else(|| {
            panic!("{PROGRAM} does not name its binary, as `cargo xtask test` does")
        });
        let folder = tempfile::tempdir().unwrap();
        let address = free_address();
        let data = folder.path().join("data");
        let child = Command::new(program)
            .arg(format!("-storageDataPath={}", data.display()))
            .arg(format!("-httpListenAddr={address}"))
            .arg("-opentelemetry.usePrometheusNaming")
            .arg("-opentelemetry.promoteAllResourceAttributes=false")
            .arg("-opentelemetry.promoteResourceAttributes=service.name,service.instance.id")
            .arg("-opentelemetry.promoteScopeMetadata=false")
            // What has just arrived can be asked for.
            .arg("-search.latencyOffset=0s")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let database = Self {
            child,
            address,
            _folder: folder,
        };
        let start = Instant::now();
        while ureq::get(format!("http://{}/health", database.address))
            .call()
            .is_err()
        {
            assert!(start.elapsed() < Duration::from_mins(1), "not ready");
            thread::sleep(Duration::from_millis(200));
        }
        database
    }

    /// What a query gives now: the labels of each series, and its value.
    fn query(&self, query: &str) -> Vec<(BTreeMap<String, String>, f64)> {
        let mut answer = ureq::get(format!("http://{}/api/v1/query", self.address))
            .query("query", query)
            .call()
            .unwrap_or_else(|error| panic!("{query}: {error}"));
        let text = answer.body_mut().read_to_string().unwrap();
        let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
        let series = answer["data"]["result"].as_array().unwrap().iter();
        series
            .map(|series| {
                let labels = series["metric"].as_object().unwrap().iter();
                let labels = labels.map(|(name, value)| {
                    (name.clone(), value.as_str().unwrap_or_default().to_owned())
                });
                let value = series["value"][1].as_str().unwrap().parse().unwrap();
                (labels.collect(), value)
            })
            .collect()
    }

    /// The value of a query that gives one.
    fn value(&self, query: &str) -> Option<f64> {
        let series = self.query(query);
        assert!(series.len() <= 1, "{query}: {series:?}");
        series.first().map(|(_, value)| *value)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A daemon that sends to it once a second.
fn daemon(database: &Database) -> Daemon {
    let mut command = cgscope();
    command
        .env(
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            format!("http://{}/opentelemetry/v1/metrics", database.address),
        )
        .env("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf")
        .env("OTEL_METRIC_EXPORT_INTERVAL", "1000")
        .env("OTEL_RESOURCE_ATTRIBUTES", format!("host.name={HOST}"));
    Daemon::launch(command, &["--export-otlp"], "/readyz")
}

/// The instance that it knows a cgroup by.
fn instance(path: &str) -> String {
    format!("{HOST}:{path}")
}

/// A histogram of a cgroup, from a scrape with native buckets.
fn scraped(daemon: &Daemon, name: &str, path: &str) -> Histogram {
    let families = families(daemon);
    let mut of_name = families.iter().filter(|family| family.name == name);
    let family = of_name.next().unwrap_or_else(|| panic!("no {name}"));
    let series = of_cgroup(family, path).into_iter().next();
    let histogram = series.and_then(|series| series.histogram);
    histogram.expect("the cgroup's histogram")
}

/// The bucket that a quantile is in: its edges.
#[expect(clippy::cast_precision_loss, reason = "some thousand")]
fn bucket_of_quantile(histogram: &Histogram, quantile: f64) -> (f64, f64) {
    let rank = quantile * histogram.sample_count as f64;
    let mut below = histogram.zero_count as f64;
    let (mut index, mut count) = (0, 0_i64);
    let mut deltas = histogram.positive_delta.iter();
    for span in &histogram.positive_span {
        index += span.offset;
        for delta in deltas.by_ref().take(span.length as usize) {
            count += delta;
            below += count as f64;
            if below >= rank {
                let edge = |index: i32| (f64::from(index) / 8.0).exp2();
                return (edge(index - 1), edge(index));
            }
            index += 1;
        }
    }
    panic!("no rank {rank}: {histogram:?}");
}

#[test]
fn a_database_answers_with_the_quantiles_and_counters_of_a_scrape_and_keeps_containers_apart() {
    let database = Database::start();
    let daemon = daemon(&database);
    let busy = TestCgroup::new("cgscope-otlp-busy");
    let other = TestCgroup::new("cgscope-otlp-other");
    let of_busy = busy.run(&["busy", "1", "3", "1500"]);
    let of_other = other.run(&["doze", "1", "2", "700"]);
    assert!(of_busy.arrivals > 100 && of_other.arrivals > 10);

    // Both are idle: once the database has what a scrape has, nothing changes any more.
    for cgroup in [&busy, &other] {
        let start = Instant::now();
        loop {
            let compared = [LATENCY, SLICES]
                .into_iter()
                .try_for_each(|name| {
                    is_histogram_of_a_scrape(&database, &daemon, name, &cgroup.path)
                })
                .and_then(|()| {
                    series_are_those_of_a_scrape(&database, &daemon.scrape(), &cgroup.path)
                });
            let Err(mismatch) = compared else {
                break;
            };
            assert!(start.elapsed() < MOST, "{}: {mismatch}", cgroup.path);
            thread::sleep(Duration::from_millis(500));
        }
    }

    // cgscope's own are there too.
    let own = database.query("cgscope_build_info");
    assert_eq!(own.len(), 1, "{own:?}");
    let programs = database.query("cgscope_ebpf_program_attached == 1");
    assert!(!programs.is_empty());
}

/// The database keeps as many digits as a decimal number of 64 bits has.
fn is_same(stored: f64, told: f64) -> bool {
    (stored - told).abs() <= told.abs() * 1e-12
}

/// A histogram of a cgroup is there with the count, the sum and the quantiles that a scrape has.
#[expect(clippy::cast_precision_loss, reason = "some thousand")]
fn is_histogram_of_a_scrape(
    database: &Database,
    daemon: &Daemon,
    name: &str,
    path: &str,
) -> Result<(), Mismatch> {
    let histogram = scraped(daemon, name, path);
    let of = format!("{{service_instance_id='{}'}}", instance(path));
    let told = [
        ("count", histogram.sample_count as f64),
        ("sum", histogram.sample_sum),
    ];
    for (part, told) in told {
        let stored = database.value(&format!("{name}_{part}{of}"));
        if stored.is_none_or(|stored| !is_same(stored, told)) {
            return Err(format!("{name}_{part}: {stored:?}, not {told}"));
        }
    }
    for quantile in [0.5, 0.9, 0.99] {
        let (lower, upper) = bucket_of_quantile(&histogram, quantile);
        let query = format!("histogram_quantile({quantile}, {name}_bucket{of})");
        let answer = database.value(&query);
        if answer.is_none_or(|answer| !(lower / BUCKET..=upper * BUCKET).contains(&answer)) {
            return Err(format!(
                "{quantile} of {name}: {answer:?}, not in {lower} to {upper}"
            ));
        }
    }
    Ok(())
}

/// Every series of a cgroup that a scrape has is there under the same name, with the same labels and value,
/// except those that move on by themselves.
fn series_are_those_of_a_scrape(
    database: &Database,
    scrape: &Exposition,
    path: &str,
) -> Result<(), Mismatch> {
    let of_cgroup = ["id", "name", "image", "namespace", "pod", "container"];
    let mut compared = 0;
    for sample in &scrape.samples {
        let is_its = sample.labels.get("id").is_some_and(|id| id == path);
        let is_histogram = [LATENCY, SLICES]
            .iter()
            .any(|name| sample.name.starts_with(name));
        let moves_on = sample.name == "cgscope_container_window_quantile_seconds";
        if !is_its || is_histogram || moves_on {
            continue;
        }
        let mut selectors = format!("service_instance_id='{}'", instance(path));
        for (name, value) in &sample.labels {
            if !of_cgroup.contains(&name.as_str()) {
                selectors.extend([",", name, "='", value, "'"]);
            }
        }
        let stored = database.query(&format!("{}{{{selectors}}}", sample.name));
        let [(labels, value)] = &stored[..] else {
            return Err(format!("{} {selectors}: {stored:?}", sample.name));
        };
        if !is_same(*value, sample.value) {
            return Err(format!(
                "{} {selectors}: {value}, not {}",
                sample.name, sample.value
            ));
        }
        let more: Vec<_> = labels
            .keys()
            .filter(|name| {
                let ours = sample.labels.contains_key(*name);
                !ours
                    && !["__name__", "service_instance_id", "service_name"].contains(&name.as_str())
            })
            .collect();
        assert!(more.is_empty(), "{}: {more:?}", sample.name);
        compared += 1;
    }
    if compared < 10 {
        return Err(format!("{compared} series"));
    }
    Ok(())
}
