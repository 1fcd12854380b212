//! The lives of real containers as traces, as a real collector got them.

use std::{fs, thread, time::Duration};

use collector_tests::{
    daemon::Daemon,
    delayed_disk::DelayedDisk,
    note,
    otel_collector::{OtelCollector, Recorded},
    trace_of::{
        Told, disk_waits, event, is_whole, ms, note_times, of_container, one_trace, only, text,
        value,
    },
};
use opentelemetry_proto::tonic::{
    common::v1::any_value::Value, metrics::v1::metric::Data, trace::v1::Span,
};

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
            "[export.otlp]\nenabled = true\nendpoint = {:?}\nprotocol = \"grpc\"\n\
             [export.otlp.traces]\nbatch_delay = \"100ms\"\n\
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

    /// What the collector has of a container, once it has all of its life.
    fn life_of(&self, id: &str) -> Vec<Told> {
        self.once(id, is_whole)
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
    let set = Duration::from_millis(20);
    let disk = DelayedDisk::new(set);
    let traced = Traced::start(
        "runqueue_latency = \"20ms\"\nblock_io = \"10ms\"\ncontainer_per_second = 50\n",
    );
    let device = format!("--device={}:/dev/disk", disk.path());
    let limits = ["--cpus=0.2", "--memory=24m", "--memory-swap=24m", &device];
    // It works for some of its CPU time, waits for its disk, and takes more memory than it may.
    let (id, [started, finished]) = traced.run(
        "sufferer",
        &limits,
        "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; \
         /bin/busybox dd if=/dev/zero of=/dev/disk bs=64k count=10 oflag=direct; \
         /bin/busybox dd if=/dev/disk of=/dev/null bs=64k count=10 skip=64 iflag=direct; \
         exec /bin/busybox dd if=/dev/zero of=/dev/null bs=100M count=1",
    );
    let told = traced.life_of(&id);
    let (root, others) = one_trace(&told);
    note_times(root, &others);
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
    // Each request took what the disk is set to, and what the way through its server adds.
    let set = set.as_secs_f64() * 1e3;
    let [writes, reads] =
        ["write", "read"].map(|operation| disk_waits(&others, disk.name(), operation));
    for waits in [&writes, &reads] {
        let took: Vec<f64> = waits.iter().map(|(_, took)| *took).collect();
        note(&format!("set {set} ms, told {took:?}"));
        assert_eq!(took.len(), 10, "one for each 64 KiB");
        let least = took.iter().copied().fold(f64::INFINITY, f64::min);
        assert!((set..set * 1.5).contains(&least), "{took:?}");
    }
    clocks_agree(&writes, &disk.requests("Write"));
    clocks_agree(&reads, &disk.requests("Read"));
    // All three, in the order of time.
    let first = |waits: &[(&Span, f64)]| waits[0].0.start_time_unix_nano;
    let throttled = event(&others, "cgscope.throttled");
    let killed = event(&others, "cgscope.oom_kill");
    let (began, ended) = (life.start_time_unix_nano, life.end_time_unix_nano);
    let order = [
        began,
        throttled,
        first(&writes),
        first(&reads),
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
    assert!((0.0..60_000.0).contains(&ms(began, started)));
    assert!((-1.0..500.0).contains(&ms(ended, finished)));
    assert!((0.0..1_000.0).contains(&ms(killed, ended)));
    let scraped = traced.daemon.scrape();
    let dropped = scraped.sum("cgscope_trace_dropped_total", &[]);
    let reasons: Vec<_> = scraped.find("cgscope_trace_dropped_total", &[]).collect();
    assert_eq!(dropped, Some(0.0), "{reasons:?}");
}

/// Each wait for the disk is around the time in which its server had the request, by the clock of that, and once no
/// millisecond longer at either end. What the way to the server adds depends on who else wants the CPUs: less than
/// what would be another request's.
fn clocks_agree(waits: &[(&Span, f64)], requests: &[[u64; 2]]) {
    const DAY: u64 = 86_400_000_000_000;
    let off = |from: u64, to: u64| {
        (ms(from % DAY, to) + 43_200_000.0).rem_euclid(86_400_000.0) - 43_200_000.0
    };
    let mut ends = [Vec::new(), Vec::new()];
    for (span, _) in waits {
        let offs = requests.iter().map(|[came, answered]| {
            [
                off(span.start_time_unix_nano, *came),
                -off(span.end_time_unix_nano, *answered),
            ]
        });
        // Both ends tell which it was: one that waited on its way to the disk's server began with another.
        let apart = |[came, answered]: &[f64; 2]| came.abs() + answered.abs();
        let nearest = offs.min_by(|one, other| apart(one).total_cmp(&apart(other)));
        for (end, off) in ends.iter_mut().zip(nearest.expect("a request")) {
            end.push(off);
        }
    }
    for (end, what) in ends
        .iter_mut()
        .zip(["before it came", "after it was answered"])
    {
        end.sort_by(f64::total_cmp);
        let (least, middle, most) = (end[0], end[end.len() / 2], end[end.len() - 1]);
        note(&format!(
            "the wait's end is {middle:.3} ms {what} ({least:.3} to {most:.3})"
        ));
        assert!(least.abs() < 1.0 && middle < 5.0, "{end:?}");
    }
}

#[test]
fn one_that_lives_for_a_tenth_of_a_second_is_a_whole_trace() {
    // A wait that is really slow would be one more span.
    let traced = Traced::start("runqueue_latency = \"off\"\nblock_io = \"off\"\n");
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
    assert!((0.0..60_000.0).contains(&ms(began, started)));
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
    let are_spans = |recorded: &Recorded, exemplars: &[(String, String)]| {
        let spans = recorded.spans();
        let is_there = |(trace, span): &(String, String)| {
            spans.iter().any(|(_, _, of)| {
                hexadecimal(&of.trace_id) == *trace && hexadecimal(&of.span_id) == *span
            })
        };
        exemplars.iter().all(is_there)
    };
    let collector = &traced.collector;
    collector.wait_for("the exemplars' spans", IN_TIME, |recorded| {
        are_spans(recorded, &exemplars).then_some(())
    });
    let sent = collector.wait_for("exemplars on data points", IN_TIME, |recorded| {
        let sent = exemplars_of_points(recorded);
        (!sent.is_empty() && are_spans(recorded, &sent)).then_some(sent)
    });
    note(&format!(
        "{} exemplars of a scrape and {} of data points, all of spans that the collector has",
        exemplars.len(),
        sent.len()
    ));
}

#[test]
fn of_two_that_share_a_disk_the_wait_of_one_request_names_who_has_many_in_it() {
    let disk = DelayedDisk::new(Duration::from_millis(20));
    let more = "runqueue_latency = \"off\"\nblock_io = \"10ms\"\ncontainer_per_second = 20\n";
    let traced = Traced::start(more);
    let device = format!("--device={}:/dev/disk", disk.path());
    let device = [device.as_str()];
    // One request after the other, from as many programs at once.
    let read = "while true; do /bin/busybox dd if=/dev/disk of=/dev/null bs=64k iflag=direct 2>/dev/null; done";
    let many = format!("for i in 1 2 3 4 5; do {read} & done; wait");
    let [one, _] =
        [("one", read), ("many", &many)].map(|(name, script)| traced.begin(name, &device, script));
    let is_wait = |told: &&Told| told.span.name == "block i/o in device";
    let of =
        |told: &Told, key: &str| text(&told.span.attributes, &format!("cgscope.meanwhile.{key}"));
    let had = |told: &Told| match value(&told.span.attributes, "cgscope.meanwhile.time") {
        Some(Value::DoubleValue(seconds)) => seconds * 1e3,
        other => panic!("{other:?}"),
    };
    let named = |told: &Told| of(told, "container.name").as_deref() == Some("many");
    let told = traced.once(&one, |told| {
        told.iter()
            .filter(is_wait)
            .filter(|told| named(told))
            .count()
            >= 20
    });
    let first = told.iter().position(named).unwrap();
    let waits: Vec<&Told> = told[first..].iter().filter(is_wait).collect();
    let other = waits.iter().filter(|told| named(told)).count();
    note(&format!("{other} of {} waits name the other", waits.len()));
    assert!(other * 10 > waits.len() * 9, "{waits:#?}");
    // At any time it had five requests where the other had one.
    let mut shares: Vec<f64> = waits
        .iter()
        .filter(|told| named(told))
        .map(|told| had(told) / ms(told.span.start_time_unix_nano, told.span.end_time_unix_nano))
        .collect();
    shares.sort_by(f64::total_cmp);
    let middle = shares[shares.len() / 2];
    note(&format!(
        "which had {middle:.1} requests in the disk meanwhile"
    ));
    assert!((2.5..=5.5).contains(&middle), "{shares:?}");
}

/// The traces and spans of the exemplars that the latest data points of run-queue latencies have.
fn exemplars_of_points(recorded: &Recorded) -> Vec<(String, String)> {
    let metrics = recorded.metrics().into_iter().rev();
    let mut latencies = metrics.filter_map(|(_, _, metric)| match metric.data {
        Some(Data::ExponentialHistogram(of))
            if metric.name == "cgscope.container.runqueue.latency" =>
        {
            Some(of)
        }
        _ => None,
    });
    let with = latencies.find_map(|of| {
        let points = of.data_points.into_iter();
        points
            .map(|point| point.exemplars)
            .find(|of| !of.is_empty())
    });
    let exemplars = with.into_iter().flatten();
    exemplars
        .map(|of| (hexadecimal(&of.trace_id), hexadecimal(&of.span_id)))
        .collect()
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
