//! A real OpenTelemetry collector, and what it writes out.
//!
//! The collector is `rotel`, which the set-up installs. It has no exporter into a file, so it passes on what
//! it took by OTLP to a recorder in the test: what is compared went through the collector's own decoder,
//! pipeline and encoder. Where there is no `rotel`, a recorder by itself can take what the daemon
//! sends. Never here: an assertion about what was sent.

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use flate2::read::GzDecoder;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::InstrumentationScope,
    metrics::v1::{Metric, ResourceMetrics},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, Span},
};
use prost::Message;

use crate::daemon::{end_of, free_address};

/// Where the set-up has put it.
const PROGRAM: &str = "CGSCOPE_TEST_ROTEL";

/// The most that a request to the recorder has.
const MAX_REQUEST: usize = 64 << 20;

/// A real collector; ended when this is dropped.
#[derive(Debug)]
pub struct OtelCollector {
    grpc: String,
    http: String,
    recorder: Recorder,
    process: Option<Process>,
}

/// What a collector wrote out, in the order in which it did.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// Spans by their resources.
    pub spans: Vec<ResourceSpans>,
    /// Data points by their resources.
    pub metrics: Vec<ResourceMetrics>,
}

/// Takes OTLP over HTTP, and keeps it.
#[derive(Debug)]
pub struct Recorder {
    address: String,
    recorded: Arc<Mutex<Recorded>>,
}

/// The collector's process, killed when this is dropped.
#[derive(Debug)]
struct Process {
    child: Child,
    _folder: tempfile::TempDir,
}

impl OtelCollector {
    /// Starts one on ports of its own, and waits until it listens.
    #[must_use]
    pub fn start() -> Self {
        let mut collector = Self {
            grpc: free_address(),
            http: free_address(),
            recorder: Recorder::start(),
            process: None,
        };
        collector.restart();
        collector
    }

    /// Where it takes OTLP over gRPC.
    #[must_use]
    pub fn grpc_endpoint(&self) -> String {
        format!("http://{}", self.grpc)
    }

    /// Where it takes OTLP over HTTP: the base, without the path of a signal.
    #[must_use]
    pub fn http_endpoint(&self) -> String {
        format!("http://{}", self.http)
    }

    /// Ends it as an init system would; what it took until then is written out first.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let pid = process.child.id().try_into().expect("a pid");
            kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it runs");
            end_of(&mut process.child).expect("it ends");
        }
    }

    /// Starts it on the same ports again, after ending it if it runs. What was recorded stays.
    pub fn restart(&mut self) {
        self.stop();
        self.process = Some(Process::start(&self.grpc, &self.http, &self.recorder));
    }

    /// All that it wrote out since it was started first.
    #[must_use]
    pub fn recorded(&self) -> Recorded {
        self.recorder.recorded().clone()
    }

    /// Every span that it wrote out, with its resource and scope.
    #[must_use]
    pub fn spans(&self) -> Vec<(Resource, InstrumentationScope, Span)> {
        self.recorded().spans()
    }

    /// Every metric that it wrote out, with its resource and scope.
    #[must_use]
    pub fn metrics(&self) -> Vec<(Resource, InstrumentationScope, Metric)> {
        self.recorded().metrics()
    }

    /// Waits until `found` has found something in what was written out; panics with `what` when it does not in time.
    pub fn wait_for<T>(
        &self,
        what: &str,
        most: Duration,
        found: impl Fn(&Recorded) -> Option<T>,
    ) -> T {
        self.recorder.wait_for(what, most, found)
    }
}

impl Recorded {
    /// Every span, with its resource and scope.
    #[must_use]
    pub fn spans(&self) -> Vec<(Resource, InstrumentationScope, Span)> {
        let mut spans = Vec::new();
        for of in &self.spans {
            for scoped in &of.scope_spans {
                let resource = of.resource.clone().unwrap_or_default();
                let scope = scoped.scope.clone().unwrap_or_default();
                let each = scoped.spans.iter();
                spans.extend(each.map(|span| (resource.clone(), scope.clone(), span.clone())));
            }
        }
        spans
    }

    /// Every metric, with its resource and scope.
    #[must_use]
    pub fn metrics(&self) -> Vec<(Resource, InstrumentationScope, Metric)> {
        let mut metrics = Vec::new();
        for of in &self.metrics {
            for scoped in &of.scope_metrics {
                let resource = of.resource.clone().unwrap_or_default();
                let scope = scoped.scope.clone().unwrap_or_default();
                let each = scoped.metrics.iter();
                metrics
                    .extend(each.map(|metric| (resource.clone(), scope.clone(), metric.clone())));
            }
        }
        metrics
    }
}

impl Process {
    fn start(grpc: &str, http: &str, recorder: &Recorder) -> Self {
        let program = env::var_os(PROGRAM).map(PathBuf::from);
        let program = program.unwrap_or_else(|| {
            panic!("{PROGRAM} does not name rotel's binary, as `cargo xtask test` does")
        });
        let folder = tempfile::tempdir().expect("a folder");
        let child = Command::new(program)
            .arg("start")
            .args(["--otlp-grpc-endpoint", grpc])
            .args(["--otlp-http-endpoint", http])
            .args(["--otlp-grpc-max-recv-msg-size-mib", "64"])
            .args(["--exporter", "otlp"])
            .args(["--otlp-exporter-protocol", "http"])
            .arg("--otlp-exporter-endpoint")
            .arg(format!("http://{}", recorder.address))
            .arg("--disable-batching")
            .env_clear()
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("rotel starts");
        let mut process = Self {
            child,
            _folder: folder,
        };
        let start = Instant::now();
        while [grpc, http]
            .iter()
            .any(|at| TcpStream::connect(at).is_err())
        {
            if let Some(status) = process.child.try_wait().expect("its status") {
                panic!("rotel ended with {status}: is another program using {grpc} or {http}?");
            }
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "rotel does not listen"
            );
            thread::sleep(Duration::from_millis(20));
        }
        process
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Recorder {
    /// Starts one on a port of its own. Its threads end with the test's process.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address").to_string();
        let recorded = Arc::<Mutex<Recorded>>::default();
        let keep = Arc::clone(&recorded);
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let keep = Arc::clone(&keep);
                // A connection that breaks is the collector's end, which is not wrong.
                thread::spawn(move || drop(record(&connection, &keep)));
            }
        });
        Self { address, recorded }
    }

    /// Where it takes OTLP over HTTP: the base, without the path of a signal.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until `found` has found something in what came; panics with `what` when it does not in time.
    pub fn wait_for<T>(
        &self,
        what: &str,
        most: Duration,
        found: impl Fn(&Recorded) -> Option<T>,
    ) -> T {
        let start = Instant::now();
        loop {
            let seen = found(&self.recorded());
            if let Some(seen) = seen {
                return seen;
            }
            assert!(start.elapsed() < most, "{what} not written out in {most:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn recorded(&self) -> MutexGuard<'_, Recorded> {
        locked(&self.recorded)
    }
}

fn locked(recorded: &Mutex<Recorded>) -> MutexGuard<'_, Recorded> {
    recorded.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps what comes through a connection, until its end.
fn record(connection: &TcpStream, recorded: &Mutex<Recorded>) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection);
    while let Some((path, body)) = read_request(&mut reader)? {
        match path.as_str() {
            "/v1/traces" => {
                let request: ExportTraceServiceRequest = decoded(&body)?;
                locked(recorded).spans.extend(request.resource_spans);
            }
            "/v1/metrics" => {
                let request: ExportMetricsServiceRequest = decoded(&body)?;
                locked(recorded).metrics.extend(request.resource_metrics);
            }
            other => panic!("the collector writes to {other}"),
        }
        // An empty message is an answer: all of it was taken.
        let answer =
            "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
        (&mut &*connection).write_all(answer.as_bytes())?;
    }
    Ok(())
}

fn decoded<M: Message + Default>(body: &[u8]) -> std::io::Result<M> {
    M::decode(body).map_err(std::io::Error::other)
}

/// The path and the body of the next request; `None` at the connection's end.
fn read_request(reader: &mut BufReader<&TcpStream>) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line
        .split_whitespace()
        .nth(1)
        .unwrap_or_default()
        .to_owned();
    let (mut length, mut is_gzip) = (0, false);
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(std::io::Error::other)?;
        }
        if name.eq_ignore_ascii_case("content-encoding") {
            assert_eq!(value.trim(), "gzip");
            is_gzip = true;
        }
        assert!(
            !name.eq_ignore_ascii_case("transfer-encoding"),
            "a body whose length is not told"
        );
    }
    assert!(length <= MAX_REQUEST, "a request of {length} bytes");
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    if is_gzip {
        let mut plain = Vec::new();
        let decoder = GzDecoder::new(body.as_slice());
        decoder.take(MAX_REQUEST as u64).read_to_end(&mut plain)?;
        body = plain;
    }
    Ok(Some((path, body)))
}
