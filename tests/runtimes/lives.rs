//! The lives of real containers as traces, as a real collector got them.

use std::{fs, thread, time::Duration};

use collector_tests::{
    daemon::Daemon,
    note,
    otel_collector::OtelCollector,
    trace_of::{Told, event, ms, of_container, one_trace, only, text, value},
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;

use crate::{
    commands::{docker, docker_run},
    image::Image,
    parents::Parents,
    run,
    server::Server,
};

/// So long a span can take from what it tells of to what the collector writes out.
const IN_TIME: Duration = Duration::from_secs(20);

/// Docker, a collector, and the daemon that tells it of Docker's containers.
struct Traced {
    daemon: Daemon,
    collector: OtelCollector,
    docker: Server,
    _folder: tempfile::TempDir,
    _image: Image,
    _parents: Parents,
}

impl Traced {
    fn start(more: &str) -> Self {
        let parents = Parents::of(&["docker"]);
        let image = Image::new();
        let server = Server::dockerd();
        run(docker(&server)
            .arg("import")
            .arg(image.tar())
            .arg("busybox"));
        let collector = OtelCollector::start();
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("cgscope.toml");
        let text = format!(
            "[export.otlp.traces]\nendpoint = {:?}\nprotocol = \"grpc\"\nbatch_delay = \"100ms\"\n\
             [trace.containers]\nenable_tracing = true\n{more}",
            collector.grpc_endpoint()
        );
        fs::write(&config, text).unwrap();
        let endpoint = format!("--runtime-endpoint=docker={}", server.socket().display());
        let config = config.display().to_string();
        let only = "--runtime-discovery=false";
        let daemon = Daemon::start(&["--config", &config, &endpoint, only]);
        Self {
            daemon,
            collector,
            docker: server,
            _folder: folder,
            _image: image,
            _parents: parents,
        }
    }

    /// Runs a container to its end; its id, and when it was started and finished as Docker tells.
    fn run(&self, name: &str, arguments: &[&str], script: &str) -> (String, [u64; 2]) {
        let id = self.begin(name, arguments, script);
        run(docker(&self.docker).args(["wait", &id]));
        let times = self.times(&id);
        (id, times)
    }

    fn begin(&self, name: &str, arguments: &[&str], script: &str) -> String {
        let mut begin = docker_run(&self.docker, name);
        begin.args(arguments);
        run(begin.args(["busybox", "/bin/busybox", "sh", "-c", script]))
    }

    fn times(&self, id: &str) -> [u64; 2] {
        let format = "{{.State.StartedAt}} {{.State.FinishedAt}}";
        let times = run(docker(&self.docker).args(["inspect", "--format", format, id]));
        let (started, finished) = times.split_once(' ').unwrap();
        [started, finished].map(|time| {
            let time = run(std::process::Command::new("date").args(["+%s%N", "--date", time]));
            time.parse().unwrap()
        })
    }

    /// What the collector has of a container, once its life is among it.
    fn life_of(&self, id: &str) -> Vec<Told> {
        self.once(id, |told| told.iter().any(|of| of.span.name == "container"))
    }

    /// What the collector has of a container, once it is enough.
    fn once(&self, id: &str, is_enough: impl Fn(&[Told]) -> bool) -> Vec<Told> {
        self.collector.wait_for("the spans", IN_TIME, |recorded| {
            let told = of_container(recorded, id);
            is_enough(&told).then_some(told)
        })
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        // Their processes are no children of the server, and would outlive it.
        let all = docker(&self.docker)
            .args(["ps", "--all", "--quiet"])
            .output();
        let all = all.map_or_else(
            |_| String::new(),
            |all| String::from_utf8_lossy(&all.stdout).into_owned(),
        );
        for id in all.lines() {
            drop(docker(&self.docker).args(["rm", "--force", id]).output());
        }
    }
}

#[test]
fn one_that_is_throttled_waits_for_its_disk_and_dies_of_oom_is_one_trace_of_all_that() {
    let traced = Traced::start(
        "runqueue_latency = \"20ms\"\nblock_io = \"1us\"\ncontainer_per_second = 20\n",
    );
    let files = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let volume = format!("{}:/data", files.path().display());
    let limits = [
        "--cpus=0.2",
        "--memory=24m",
        "--memory-swap=24m",
        "--volume",
        &volume,
    ];
    // It works for some of its CPU time, writes what it waits for, and takes more memory than it may.
    let (id, [started, finished]) = traced.run(
        "sufferer",
        &limits,
        "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; \
         /bin/busybox dd if=/dev/zero of=/data/file bs=64k count=20 oflag=direct; \
         exec /bin/busybox dd if=/dev/zero of=/dev/null bs=100M count=1",
    );
    let told = traced.life_of(&id);
    let (root, others) = one_trace(&told);
    for span in others.iter().chain([&root]) {
        note(&format!(
            "{} {:.3} ms to {:.3} ms after its start: {:?}",
            span.name,
            ms(root.start_time_unix_nano, span.start_time_unix_nano),
            ms(root.start_time_unix_nano, span.end_time_unix_nano),
            span.events.iter().map(|of| &of.name).collect::<Vec<_>>()
        ));
    }
    assert_eq!(root.name, "container started");
    assert_eq!(
        text(&told[0].resource, "container.name").as_deref(),
        Some("sufferer")
    );
    let life = only(&others, "container");
    // An OOM kill is an error, and so is the exit code that it makes.
    let status = life.status.clone().unwrap_or_default();
    assert_eq!(status.code, 2, "{status:?}");
    assert!(status.message.contains("OOM killer"), "{status:?}");
    assert!(status.message.contains("exit code 137"), "{status:?}");
    assert_eq!(
        value(&life.attributes, "process.exit.code"),
        Some(Value::IntValue(137))
    );
    assert_eq!(
        text(&life.attributes, "cgscope.last_reading").as_deref(),
        Some("final")
    );
    // All three, in the order of time.
    let waits = others
        .iter()
        .filter(|span| span.name.starts_with("block i/o"));
    let writes: Vec<_> = waits
        .filter(|span| text(&span.attributes, "cgscope.operation").as_deref() == Some("write"))
        .collect();
    let first_write = writes.iter().map(|span| span.start_time_unix_nano).min();
    let throttled = event(&others, "cgscope.throttled");
    let killed = event(&others, "cgscope.oom_kill");
    let (began, ended) = (life.start_time_unix_nano, life.end_time_unix_nano);
    let order = [
        began,
        throttled,
        first_write.expect("a slow write"),
        killed,
        ended,
    ];
    assert!(order.is_sorted(), "{order:?}");
    for span in &others {
        let times = span.events.iter().map(|event| event.time_unix_nano);
        assert!(times.is_sorted(), "{span:?}");
    }
    // Docker's own times, exactly, and the kernel's around them.
    let off = |event: u64, docker: u64| ms(docker, event).abs();
    assert!(off(event(&others, "cgscope.runtime.started"), started) < 1.0);
    assert!(off(event(&others, "cgscope.runtime.finished"), finished) < 1.0);
    note(&format!(
        "its cgroup was made {:.3} ms before Docker says that it started; it was killed {:.3} ms, and its last \
         process had left {:.3} ms, before Docker says that it finished",
        ms(began, started),
        ms(killed, finished),
        ms(ended, finished)
    ));
    assert!((0.0..2_000.0).contains(&ms(began, started)));
    assert!((-1.0..500.0).contains(&ms(ended, finished)));
    assert!((0.0..200.0).contains(&ms(killed, ended)));
    let lost = traced.daemon.scrape();
    assert_eq!(
        lost.sum("cgscope_trace_dropped_total", &[("reason", "queue_full")]),
        Some(0.0)
    );
}

#[test]
fn one_that_lives_for_a_tenth_of_a_second_is_a_whole_trace() {
    let traced = Traced::start("");
    let (id, [started, finished]) = traced.run("brief", &[], "exec /bin/busybox sleep 0.1");
    let told = traced.life_of(&id);
    let (root, others) = one_trace(&told);
    assert_eq!(root.name, "container started");
    let life = only(&others, "container");
    assert_eq!(others.len(), 1, "{others:?}");
    assert_eq!(
        value(&life.attributes, "process.exit.code"),
        Some(Value::IntValue(0))
    );
    assert_eq!(life.status.clone().unwrap_or_default().code, 0);
    assert_eq!(root.start_time_unix_nano, life.start_time_unix_nano);
    let (began, ended) = (life.start_time_unix_nano, life.end_time_unix_nano);
    note(&format!(
        "it began {:.3} ms before Docker says that it started, and ended {:.3} ms before it finished",
        ms(began, started),
        ms(ended, finished)
    ));
    assert!(ms(began, ended) >= 100.0, "it slept that long");
    assert!((0.0..2_000.0).contains(&ms(began, started)));
    assert!((-1.0..500.0).contains(&ms(ended, finished)));
    assert!((ms(event(&others, "cgscope.runtime.finished"), finished)).abs() < 1.0);
}

#[test]
fn each_time_that_one_is_started_is_a_trace_with_its_own_exit_code() {
    let traced = Traced::start("");
    let script =
        "exit $(( $(/bin/busybox cat /proc/sys/kernel/random/boot_id | /bin/busybox wc -c) - 30 ))";
    let (id, _) = traced.run("again", &[], script);
    traced.life_of(&id);
    run(docker(&traced.docker).args(["start", &id]));
    run(docker(&traced.docker).args(["wait", &id]));
    let is_life = |told: &&Told| told.span.name == "container";
    let told = traced.once(&id, |told| told.iter().filter(is_life).count() == 2);
    let lives: Vec<_> = told.iter().filter(is_life).collect();
    assert_ne!(lives[0].span.trace_id, lives[1].span.trace_id);
    for life in &lives {
        let code = value(&life.span.attributes, "process.exit.code");
        assert_eq!(code, Some(Value::IntValue(7)));
        let of_trace: Vec<_> = told
            .iter()
            .filter(|of| of.span.trace_id == life.span.trace_id)
            .cloned()
            .collect();
        let (root, _) = one_trace(&of_trace);
        assert_eq!(root.name, "container started");
    }
    assert!(lives[0].span.end_time_unix_nano < lives[1].span.start_time_unix_nano);
}

#[test]
fn of_two_that_fight_for_a_cpu_each_wait_names_the_other_and_leads_from_its_histogram() {
    let traced = Traced::start("runqueue_latency = \"2ms\"\ncontainer_per_second = 5\n");
    let busy = "while true; do :; done";
    let pinned = ["--cpuset-cpus=0"];
    let ids = ["left", "right"].map(|name| traced.begin(name, &pinned, busy));
    for (id, other) in ids.iter().zip(["right", "left"]) {
        let named_other = |told: &Told| {
            told.span.name == "runqueue wait"
                && text(&told.span.attributes, "cgscope.meanwhile.container.name").as_deref()
                    == Some(other)
        };
        // The container still runs: its waits are below a root that was sent before.
        let told = traced.once(id, |told| told.iter().any(named_other));
        let (root, _) = one_trace(&told);
        assert_eq!(root.name, "container started");
    }
    // The latest waits of a scrape are those of spans.
    thread::sleep(Duration::from_secs(1));
    let scraped = scrape_open_metrics(&traced.daemon);
    let exemplars: Vec<(String, String)> = scraped
        .lines()
        .filter_map(|line| exemplar(line, &ids))
        .collect();
    assert!(!exemplars.is_empty(), "no exemplar in:\n{scraped}");
    traced
        .collector
        .wait_for("the exemplars' spans", IN_TIME, |recorded| {
            let spans = recorded.spans();
            let is_there = |(trace, span): &(String, String)| {
                spans.iter().any(|(_, _, of)| {
                    hexadecimal(&of.trace_id) == *trace && hexadecimal(&of.span_id) == *span
                })
            };
            exemplars.iter().all(is_there).then_some(())
        });
    note(&format!(
        "{} exemplars, all of spans that the collector has",
        exemplars.len()
    ));
}

/// The trace and span of an exemplar of one of these containers' run-queue latencies.
fn exemplar(line: &str, ids: &[String]) -> Option<(String, String)> {
    let (series, exemplar) = line.split_once(" # {")?;
    let is_theirs = series.starts_with("cgscope_container_runqueue_latency_seconds_bucket")
        && ids.iter().any(|id| series.contains(id.as_str()));
    let label = |name: &str| {
        let (_, value) = exemplar.split_once(&format!("{name}=\""))?;
        value.split_once('"').map(|(value, _)| value.to_owned())
    };
    is_theirs
        .then(|| Some((label("trace_id")?, label("span_id")?)))
        .flatten()
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    digits.collect::<Vec<_>>().concat()
}

fn scrape_open_metrics(daemon: &Daemon) -> String {
    let agent = ureq::Agent::new_with_defaults();
    let accept = "application/openmetrics-text; version=1.0.0";
    let url = format!("http://{}/metrics", daemon.address);
    let mut answer = agent.get(url).header("Accept", accept).call().unwrap();
    answer
        .body_mut()
        .with_config()
        .limit(1 << 30)
        .read_to_string()
        .unwrap()
}
