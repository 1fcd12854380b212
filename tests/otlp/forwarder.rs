//! Spans of Kata's agents, through hybrid VSOCK's UNIX socket and a real collector.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use collector_tests::{
    daemon::{Daemon, free_address},
    exposition::Exposition,
    kata_agent::{BEGIN_NS, TraceForwarder, frame, framed, is_closed, span, trace_id},
    otel_collector::OtelCollector,
};
use opentelemetry_proto::tonic::{
    common::v1::any_value::Value,
    resource::v1::Resource,
    trace::v1::{Span, span::SpanKind},
};

const SOON: Duration = Duration::from_secs(20);

/// A sandbox's directory as Kata makes it for Cloud Hypervisor.
struct Sandbox {
    folder: tempfile::TempDir,
}

impl Sandbox {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(folder.path().join("run/vc/vm/abc")).expect("a folder");
        Self { folder }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("run/vc/vm/abc/clh.sock")
    }

    /// As the monitor does when its guest connects to the port.
    fn connect(&self) -> UnixStream {
        let mut path = self.socket().into_os_string();
        path.push("_10240");
        UnixStream::connect(path).expect("somebody listens")
    }
}

fn text(resource: &Resource, key: &str) -> Option<String> {
    let found = resource.attributes.iter().find(|of| of.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        other => panic!("{other:?}"),
    }
}

fn start(sandbox: &Sandbox, endpoint: &str) -> Result<TraceForwarder, (Option<i32>, String)> {
    let socket = sandbox.socket();
    let socket = socket.to_str().expect("text");
    TraceForwarder::start(&["--socket-path", socket, "--otlp-endpoint", endpoint])
}

/// Every field that can differ on the way.
fn assert_is(of: &Span, guest: u64, number: u64) {
    assert_eq!(of.trace_id, trace_id(guest).to_be_bytes());
    assert_eq!(of.span_id, number.to_be_bytes());
    assert_eq!(of.parent_span_id, (number - 1).to_be_bytes());
    assert_eq!(of.name, format!("rpc {number}"));
    assert_eq!(of.kind, SpanKind::Server as i32);
    assert_eq!(of.start_time_unix_nano, BEGIN_NS);
    assert_eq!(of.end_time_unix_nano, BEGIN_NS + number);
    let keys: BTreeSet<_> = of.attributes.iter().map(|of| of.key.as_str()).collect();
    assert_eq!(keys, ["guest", "list", "text"].into());
    let value = |key: &str| {
        let found = of.attributes.iter().find(|of| of.key == key);
        found.and_then(|of| of.value.clone()?.value)
    };
    assert_eq!(value("guest"), Some(Value::IntValue(guest.cast_signed())));
    assert_eq!(
        value("text"),
        Some(Value::StringValue("a\u{1}b\u{9b}c".to_owned()))
    );
    let Some(Value::ArrayValue(list)) = value("list") else {
        panic!("no list");
    };
    let list: Vec<_> = list.values.into_iter().map(|of| of.value).collect();
    assert_eq!(list, [1, -2].map(|of| Some(Value::IntValue(of))));
    let [event] = &of.events[..] else {
        panic!("{:?}", of.events);
    };
    assert_eq!(
        (event.name.as_str(), event.time_unix_nano),
        ("ev", BEGIN_NS + 1)
    );
    assert_eq!(event.dropped_attributes_count, 2);
    let value = event.attributes[0].value.clone().and_then(|of| of.value);
    assert_eq!(value, Some(Value::DoubleValue(1.5)));
    let [link] = &of.links[..] else {
        panic!("{:?}", of.links);
    };
    assert_eq!(link.trace_id, 7_u128.to_be_bytes());
    assert_eq!(link.span_id, 9_u64.to_be_bytes());
    let status = of.status.clone().unwrap_or_default();
    assert_eq!((status.code, status.message.as_str()), (2, "boom"));
}

#[test]
fn spans_of_agents_that_speak_at_once_reach_a_real_collector_field_by_field_and_survive_its_restart()
 {
    let collector = OtelCollector::start();
    let sandbox = Sandbox::new();
    let forwarder = start(&sandbox, &collector.grpc_endpoint()).expect("it runs");
    assert_forwards(collector, &sandbox, forwarder);
}

#[test]
fn over_http_as_the_environment_says_they_reach_it_too() {
    let collector = OtelCollector::start();
    let sandbox = Sandbox::new();
    let mut command = collector_tests::daemon::cgscope();
    command
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        .env(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            format!("{}/v1/traces", collector.http_endpoint()),
        );
    let socket = sandbox.socket();
    let arguments = ["--socket-path", socket.to_str().expect("text")];
    let forwarder = TraceForwarder::launch(command, &arguments).expect("it runs");
    assert_forwards(collector, &sandbox, forwarder);
}

fn assert_forwards(mut collector: OtelCollector, sandbox: &Sandbox, forwarder: TraceForwarder) {
    // Its socket is open, and it is nobody.
    for key in ["Uid", "Gid"] {
        let ids = forwarder.status(key);
        assert!(!ids.split_whitespace().any(|id| id == "0"), "{key}: {ids}");
    }
    assert_eq!(forwarder.status("CapEff"), "0000000000000000");
    let directory = fs::read_link(format!("/proc/{}/cwd", forwarder.pid())).expect("its directory");
    assert_eq!(directory, Path::new("/"));

    let mut agents: Vec<_> = (1..=4).map(|guest| (guest, sandbox.connect())).collect();
    let send = |agents: &mut Vec<(u64, UnixStream)>, numbers: std::ops::Range<u64>| {
        for number in numbers {
            let frames: Vec<_> = (1..=4).map(|guest| frame(&span(guest, number))).collect();
            for part in 0..2 {
                for ((_, stream), frame) in agents.iter_mut().zip(&frames) {
                    let (front, rest) = frame.split_at(5);
                    let piece = if part == 0 { front } else { rest };
                    stream.write_all(piece).expect("it is read");
                }
            }
        }
    };
    send(&mut agents, 2..52);
    collector_wait(&collector, 200);
    collector.stop();
    send(&mut agents, 52..152);
    // It is tried in vain meanwhile.
    thread::sleep(Duration::from_secs(3));
    collector.restart();
    send(&mut agents, 152..202);
    drop(agents);
    collector_wait(&collector, 800);
    let mut seen = BTreeSet::new();
    for (resource, _, of) in collector.spans() {
        let guest = u64::from(of.trace_id[15]);
        let number = u64::from_be_bytes(of.span_id.as_slice().try_into().expect("8 bytes"));
        assert_is(&of, guest, number);
        assert_eq!(
            text(&resource, "service.name").as_deref(),
            Some("kata-agent")
        );
        assert_eq!(
            text(&resource, "cgscope.kata.sandbox.id").as_deref(),
            Some("abc")
        );
        assert!(text(&resource, "host.name").is_some());
        assert_eq!(
            text(&resource, "k8s.pod.name"),
            None,
            "it is not known here"
        );
        seen.insert((guest, number));
    }
    let all: BTreeSet<_> = (1..=4)
        .flat_map(|guest| (2..202).map(move |of| (guest, of)))
        .collect();
    assert_eq!(seen, all);
    let (status, took) = forwarder.stop();
    assert!(
        status.success() && took < Duration::from_secs(6),
        "{status}, {took:?}"
    );
}

fn collector_wait(collector: &OtelCollector, expected: usize) {
    collector.wait_for(&format!("{expected} spans"), SOON, |recorded| {
        // What was sent twice, as an answer was lost with the collector, is there once.
        let ids = recorded
            .spans()
            .into_iter()
            .map(|(_, _, of)| (of.trace_id, of.span_id));
        (ids.collect::<BTreeSet<_>>().len() >= expected).then_some(())
    });
}

#[test]
fn hostile_guests_cost_neither_memory_nor_the_others() {
    let collector = OtelCollector::start();
    let sandbox = Sandbox::new();
    let other = Sandbox::new();
    let sockets = [sandbox.socket(), other.socket()].map(|of| of.display().to_string());
    let forwarder = TraceForwarder::start(&[
        "--socket-path",
        &sockets[0],
        "--socket-path",
        &sockets[1],
        "--otlp-endpoint",
        &collector.grpc_endpoint(),
    ])
    .expect("it runs");
    let resident = || -> u64 {
        let text = forwarder.status("VmHWM");
        let kibibytes = text
            .split_whitespace()
            .next()
            .and_then(|of| of.parse().ok());
        kibibytes.expect("a number")
    };
    let before = resident();
    let mut good = other.connect();
    good.write_all(&frame(&span(1, 2))).expect("it is read");
    let attributes = (0..1_000_000).map(|at| format!(r#""a{at}":{{"Bool":true}},"#));
    let attributes = attributes.collect::<Vec<_>>().concat();
    let million = format!(r#"{{"attributes":{{"map":{{{attributes}"z":{{"Bool":true}}}}}}}}"#);
    let half_a_million = &million.as_bytes()[..1 << 20];
    let start = Instant::now();
    for hostile in [
        (1_u64 << 63).to_be_bytes().to_vec(),
        u64::MAX.to_be_bytes().to_vec(),
        framed(million.as_bytes()),
        framed(half_a_million),
        framed("[".repeat(1 << 20).as_bytes()),
        framed("{\"a\":".repeat(200_000).as_bytes()),
        framed(&vec![0xff; 1 << 20]),
        vec![0xff; 1 << 20],
        framed(b"{}"),
    ] {
        let mut guest = sandbox.connect();
        // It may be ended before it is done.
        drop(guest.write_all(&hostile));
        assert!(is_closed(&mut guest, SOON), "{:?}", &hostile[..20]);
    }
    // A flood of connections, all of which begin something.
    let flood: Vec<_> = (0..500)
        .map(|_| {
            let mut guest = sandbox.connect();
            let begun = (1_u64 << 20).to_be_bytes();
            drop(guest.write_all(&begun));
            drop(guest.write_all(&vec![b'['; 100_000]));
            guest
        })
        .collect();
    // Nor does one that sends without end take the other's turn.
    let mut endless = sandbox.connect();
    let spans: Vec<u8> = (2..2_000)
        .flat_map(|number| frame(&span(2, number)))
        .collect();
    endless
        .set_write_timeout(Some(Duration::from_secs(1)))
        .expect("a timeout");
    drop(endless.write_all(&spans));
    good.write_all(&frame(&span(1, 3))).expect("it is read");
    collector.wait_for("both spans of the good guest", SOON, |recorded| {
        let good = recorded
            .spans()
            .into_iter()
            .filter(|(_, _, of)| of.trace_id[15] == 1);
        (good.count() == 2).then_some(())
    });
    let took = start.elapsed();
    assert!(took < Duration::from_mins(1), "{took:?}");
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 10, "{grown} KiB more at most");
    collector_tests::note(&format!(
        "{before} KiB resident at first, {grown} KiB more at most, in {took:?}"
    ));
    drop((flood, endless, good));
    assert!(forwarder.stop().0.success());
}

#[test]
fn without_a_collector_it_ends_with_an_error_and_what_is_in_the_way_is_said() {
    let sandbox = Sandbox::new();
    let nobody = format!("http://{}", free_address());
    let (code, said) = start(&sandbox, &nobody).expect_err("nobody listens");
    assert_eq!(code, Some(69), "{said}");
    assert!(
        said.contains("--dump-only") && said.contains(&nobody),
        "{said}"
    );
    let dump = |sandbox: &Sandbox| {
        let socket = sandbox.socket();
        TraceForwarder::start(&[
            "--dump-only",
            "--socket-path",
            socket.to_str().expect("text"),
        ])
    };
    // A socket that was left behind goes.
    let listening = sandbox.folder.path().join("run/vc/vm/abc/clh.sock_10240");
    drop(std::os::unix::net::UnixListener::bind(&listening).expect("a socket"));
    let forwarder = dump(&sandbox).expect("it runs");
    let mut guest = sandbox.connect();
    guest.write_all(&frame(&span(1, 2))).expect("it is read");
    let line = forwarder.line();
    assert_eq!(
        line["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"],
        "rpc 2"
    );
    // One on which somebody listens does not, and a file of somebody's neither.
    let (code, said) = dump(&sandbox).expect_err("it is taken");
    assert!(
        code == Some(69) && said.contains("another program"),
        "{code:?} {said}"
    );
    drop(forwarder);
    fs::remove_file(&listening).expect("it is left behind");
    fs::write(&listening, "precious").expect("a file");
    let (code, said) = dump(&sandbox).expect_err("it is a file");
    assert!(
        code == Some(69) && said.contains("not a socket"),
        "{code:?} {said}"
    );
    assert_eq!(
        fs::read_to_string(&listening).expect("it is there"),
        "precious"
    );
}

/// With standard output there, and an agent.
fn dump_into(sandbox: &Sandbox, output: std::io::PipeWriter) -> (TraceForwarder, UnixStream) {
    let socket = sandbox.socket();
    let arguments = [
        "--dump-only",
        "--socket-path",
        socket.to_str().expect("text"),
    ];
    let command = collector_tests::daemon::cgscope();
    let forwarder = TraceForwarder::launch_into(command, &arguments, output.into());
    (forwarder.expect("it runs"), sandbox.connect())
}

#[test]
fn an_agent_waits_for_who_reads_the_dump_and_sigterm_does_not() {
    let sandbox = Sandbox::new();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let (forwarder, mut agent) = dump_into(&sandbox, writer);
    let timeout = Some(Duration::from_secs(1));
    agent.set_write_timeout(timeout).expect("a timeout");
    // Until nothing has room any more; what is cut is ended below.
    let mut written = 0;
    let mut frames = (2..).map(|number| frame(&span(1, number)));
    let rest = loop {
        let next = frames.next().expect("endless");
        let mut rest = next.as_slice();
        while let Ok(count) = agent.write(rest)
            && count > 0
        {
            rest = &rest[count..];
        }
        if !rest.is_empty() {
            break rest.to_vec();
        }
        written += 1;
        assert!(written < 100_000, "nobody reads, and nobody waits");
    };
    // Others are heard while it waits: one whose bytes make no sense is ended.
    let mut hostile = sandbox.connect();
    hostile.write_all(&framed(b"{}")).expect("it is read");
    assert!(is_closed(&mut hostile, SOON));
    // Who reads late reads all.
    let mut lines = std::io::BufReader::new(reader).lines();
    let mut next = || -> serde_json::Value {
        let line = lines.next().expect("a line").expect("text");
        serde_json::from_str(&line).expect("JSON")
    };
    let mut names = Vec::new();
    while names.len() < written {
        let line = next();
        let spans = line["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array();
        let spans = spans.expect("a list").iter();
        names.extend(spans.map(|of| of["name"].as_str().expect("text").to_owned()));
    }
    let expected: Vec<_> = (2..).take(written).map(|of| format!("rpc {of}")).collect();
    assert_eq!(names, expected);
    agent.write_all(&rest).expect("it is read again");
    let line = next();
    let name = &line["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"];
    assert_eq!(name, &format!("rpc {}", written + 2));
    // Full again: then it ends all the same.
    agent.set_write_timeout(timeout).expect("a timeout");
    while agent.write_all(&frame(&span(1, 2))).is_ok() {}
    let (status, took) = forwarder.stop();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn where_the_dump_goes_to_nobody_it_ends_with_an_error() {
    let sandbox = Sandbox::new();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let (forwarder, mut agent) = dump_into(&sandbox, writer);
    drop(reader);
    agent.write_all(&frame(&span(1, 2))).expect("it is read");
    let (code, said) = forwarder.ended();
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("cannot print spans"), "{said}");
}

#[test]
fn who_is_not_root_may_not_listen_in_the_directory_of_a_sandbox() {
    let sandbox = Sandbox::new();
    let mut command = std::process::Command::new("setpriv");
    command
        .args(["--reuid", "65534", "--clear-groups"])
        .arg(collector_tests::daemon::cgscope_binary());
    let socket = sandbox.socket();
    let arguments = [
        "--dump-only",
        "--socket-path",
        socket.to_str().expect("text"),
    ];
    let (code, said) = TraceForwarder::launch(command, &arguments).expect_err("it may not");
    assert_eq!(code, Some(77), "{said}");
    assert!(said.contains("needs root"), "{said}");
}

/// A sandbox at the place where Kata puts it on this host, gone with the directories that were not there before.
struct HostSandbox {
    made: Vec<PathBuf>,
}

impl HostSandbox {
    fn new(id: &str) -> Self {
        let folder = Path::new("/run/vc/vm").join(id);
        let missing = folder.ancestors().take_while(|of| !of.exists());
        let made = missing.map(PathBuf::from).collect();
        fs::create_dir_all(&folder).expect("a folder");
        drop(std::os::unix::net::UnixListener::bind(folder.join("clh.sock")).expect("a socket"));
        Self { made }
    }

    fn folder(&self) -> &Path {
        &self.made[0]
    }
}

impl Drop for HostSandbox {
    fn drop(&mut self) {
        drop(fs::remove_file(self.folder().join("clh.sock")));
        drop(fs::remove_file(self.folder().join("clh.sock_10240")));
        for folder in &self.made {
            // One that another uses now stays.
            drop(fs::remove_dir(folder));
        }
    }
}

/// Connects once somebody listens.
fn connect_soon(path: &Path) -> UnixStream {
    let start = Instant::now();
    loop {
        match UnixStream::connect(path) {
            Ok(stream) => return stream,
            Err(error) => assert!(start.elapsed() < SOON, "{}: {error}", path.display()),
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_daemon_takes_spans_of_sandboxes_that_it_is_told_of_and_of_those_that_come() {
    let collector = OtelCollector::start();
    let told = Sandbox::new();
    let config = told.folder.path().join("cgscope.toml");
    let lines = format!(
        "[export.otlp.traces]\nendpoint = {:?}\nprotocol = \"grpc\"\nbatch_delay = \"100ms\"\n\
         [trace.forwarder]\nenable_tracing = true\nvsock = false\ndiscover_sockets = true\n\
         socket_paths = [{:?}]\n",
        collector.grpc_endpoint(),
        told.socket(),
    );
    fs::write(&config, lines).expect("a file");
    let config = config.display().to_string();
    let daemon = Daemon::start(&["--config", &config, "--runtime-discovery=false"]);
    let id = format!("cgscope-test-{}", std::process::id());
    // It comes while the daemon runs.
    let found = HostSandbox::new(&id);
    let mut agents = [
        connect_soon(&told.socket().with_file_name("clh.sock_10240")),
        connect_soon(&found.folder().join("clh.sock_10240")),
    ];
    for (guest, agent) in (1..).zip(&mut agents) {
        agent
            .write_all(&frame(&span(guest, 2)))
            .expect("it is read");
    }
    // And one that makes no sense.
    let mut hostile = connect_soon(&told.socket().with_file_name("clh.sock_10240"));
    hostile.write_all(&framed(b"{}")).expect("it is read");
    assert!(is_closed(&mut hostile, SOON));
    collector_wait(&collector, 2);
    for (resource, _, of) in collector.spans() {
        let guest = u64::from(of.trace_id[15]);
        assert_is(&of, guest, 2);
        let of_which = if guest == 1 { "abc" } else { id.as_str() };
        let sandbox = text(&resource, "cgscope.kata.sandbox.id");
        assert_eq!(sandbox.as_deref(), Some(of_which));
    }
    let value = |of: &Exposition, name: &str, labels: &[(&str, &str)]| {
        of.sum(&format!("cgscope_trace_forwarder_{name}"), labels)
    };
    let _figures = daemon.scrape_until("what came of it", SOON, |of| {
        let malformed = [("error", "malformed")];
        value(of, "spans_total", &[]) == Some(2.0)
            && value(of, "connections_total", &[]) == Some(3.0)
            && value(of, "open_connections", &[]) == Some(2.0)
            && value(of, "sockets", &[]) == Some(2.0)
            && value(of, "errors_total", &malformed) == Some(1.0)
            && value(of, "errors_total", &[]) == Some(1.0)
    });
    // A sandbox that goes is no longer listened for.
    drop(found);
    let _gone = daemon.scrape_until("one socket", SOON, |of| {
        value(of, "sockets", &[]) == Some(1.0)
    });
    let (status, took, log) = daemon.stop();
    assert!(status.success(), "{status}: {log}");
    assert!(took < Duration::from_secs(2), "{took:?}");
}
