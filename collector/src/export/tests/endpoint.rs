//! The endpoint over real sockets.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::oneshot;

use super::{
    super::{
        DetailsFuture, Format, NameSets, Source,
        connection::Limits,
        http::{LIMITS, ServeError, serve_within},
        listing::{CatalogDocument, tests::listing},
    },
    encoded, full_snapshot, unknown_cgroup,
};
use crate::{
    catalog::{
        ContainerRef, Identity, Runtime, RuntimeMetadata,
        details::{Details, Known, Which},
        provider::{
            capability::{self, CollectError},
            figures::Figures,
            statistics::{ContainerStats, Pids},
        },
    },
    reconcile::{Listing, Snapshot},
    window::Device,
};

/// Longer than anything here should take, so that a test fails and does not hang.
const PATIENCE: Duration = Duration::from_secs(10);

/// Gives the same numbers each time, when its gate is open.
struct Numbers {
    snapshot: Snapshot,
    readiness: Result<Vec<String>, String>,
    gate: Mutex<Gate>,
    moved: Condvar,
}

struct Gate {
    open: bool,
    waiting: usize,
}

impl Numbers {
    fn of(snapshot: Snapshot) -> Self {
        Self {
            snapshot,
            readiness: Ok(Vec::new()),
            gate: Mutex::new(Gate {
                open: true,
                waiting: 0,
            }),
            moved: Condvar::new(),
        }
    }

    fn with_closed_gate() -> Self {
        let numbers = Self::of(full_snapshot());
        numbers.change_gate(|gate| gate.open = false);
        numbers
    }

    fn change_gate(&self, change: impl FnOnce(&mut Gate)) {
        change(&mut self.gate.lock().unwrap_or_else(PoisonError::into_inner));
        self.moved.notify_all();
    }

    fn wait_until(&self, reached: impl Fn(&Gate) -> bool) {
        let gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let (_gate, waited) = self
            .moved
            .wait_timeout_while(gate, PATIENCE, |gate| !reached(gate))
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "the gate did not get there");
    }
}

impl Source for Numbers {
    fn snapshot(&self) -> Snapshot {
        self.change_gate(|gate| gate.waiting += 1);
        self.wait_until(|gate| gate.open);
        self.change_gate(|gate| gate.waiting -= 1);
        self.snapshot.clone()
    }

    fn listing(&self) -> Listing {
        self.change_gate(|gate| gate.waiting += 1);
        self.wait_until(|gate| gate.open);
        self.change_gate(|gate| gate.waiting -= 1);
        listing()
    }

    fn details(&self, which: Which) -> DetailsFuture {
        Box::pin(async move { details(&which) })
    }

    fn readiness(&self) -> Result<Vec<String>, String> {
        self.readiness.clone()
    }
}

/// Of a container called `web`, some of which cannot be told; `busy` has too many questions, and one of a
/// process cannot be looked for.
fn details(which: &Which) -> Option<capability::Answer<Details>> {
    match which {
        Which::Called(name) if name == "busy" => return None,
        Which::Called(name) if name == "web" => {}
        Which::OfPid(_) => return Some(Err(CollectError::new("no /proc"))),
        _ => return Some(Ok(None)),
    }
    let stats = ContainerStats {
        at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        figures: Figures {
            cpu_ns: Some(1_500_000_000),
            ..Figures::default()
        },
        devices: Vec::new(),
    };
    Some(Ok(Some(Details {
        of: Known {
            key: ContainerRef {
                id_namespace: String::new(),
                id: "c0ffee".to_owned(),
            },
            runtime: RuntimeMetadata::of(Runtime::Docker),
            told: None,
        },
        stats: Ok(Some(Arc::new(stats))),
        network: Err(CollectError::new("no namespace")),
        open_files: Ok(None),
        pids: Ok(Some(Arc::new(Pids {
            at: SystemTime::UNIX_EPOCH,
            pids: vec![42, 43],
            is_complete: true,
        }))),
    })))
}

/// A running endpoint.
struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<(), ServeError>>,
}

impl Running {
    fn start(source: Arc<Numbers>) -> Self {
        Self::start_within(LIMITS, source)
    }

    fn start_within(limits: Limits, source: Arc<Numbers>) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            runtime.block_on(serve_within(limits, listener, source, async {
                stopped.await.expect("told to stop");
            }))
        });
        Self {
            address,
            stop,
            thread,
        }
    }

    fn connect(&self) -> TcpStream {
        let connection = TcpStream::connect(self.address).expect("the endpoint listens");
        connection
            .set_read_timeout(Some(PATIENCE))
            .expect("a timeout");
        connection
    }

    /// Sends a request on a connection of its own.
    fn ask(&self, request: &str) -> Answer {
        let mut connection = self.connect();
        write!(
            connection,
            "{request}\r\nHost: test\r\nConnection: close\r\n\r\n"
        )
        .expect("the endpoint reads");
        Answer::read(&mut connection)
    }

    fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1"))
    }

    /// Stops the endpoint and says how long that took.
    fn stop(self) -> Duration {
        let start = Instant::now();
        self.stop.send(()).expect("the endpoint is running");
        self.thread.join().expect("no panic").expect("a clean end");
        start.elapsed()
    }
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    /// Reads to the end of the connection.
    fn read(connection: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        connection
            .read_to_end(&mut bytes)
            .expect("the endpoint answers");
        Self::parse(&bytes)
    }

    fn parse(bytes: &[u8]) -> Self {
        let end = bytes
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .unwrap_or_else(|| panic!("no head: {}", String::from_utf8_lossy(bytes)));
        let head = String::from_utf8(bytes[..end].to_vec()).expect("an ASCII head");
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .expect("a status");
        let mut answer = Self {
            status,
            head,
            body: bytes[end + 4..].to_vec(),
        };
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.body = joined_chunks(&answer.body);
        }
        answer
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (header, value) = line.split_once(": ")?;
            header.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

fn joined_chunks(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest
            .windows(2)
            .position(|window| window == b"\r\n")
            .expect("a chunk's size");
        let size = std::str::from_utf8(&rest[..end]).expect("hex");
        let size = usize::from_str_radix(size, 16).expect("hex");
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
}

#[test]
fn each_path_answers() {
    let endpoint = Running::start(Arc::new(Numbers::of(full_snapshot())));
    let health = endpoint.get("/healthz");
    assert_eq!((health.status, health.text()), (200, "ok"));
    let readiness = endpoint.get("/readyz");
    assert_eq!((readiness.status, readiness.text()), (200, "ready"));
    let index = endpoint.get("/");
    assert_eq!(index.status, 200);
    assert_eq!(
        index.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    for linked in [
        "\"/metrics\"",
        "\"/catalog.json\"",
        "\"/healthz\"",
        "\"/readyz\"",
        env!("CARGO_PKG_VERSION"),
    ] {
        assert!(index.text().contains(linked), "{linked}");
    }
    assert!(!index.text().contains("http"), "no resource from elsewhere");
    for unknown in ["/metrics/", "/favicon.ico", "/../etc/passwd", "/%00"] {
        assert_eq!(endpoint.get(unknown).status, 404, "{unknown}");
    }
    endpoint.stop();
}

#[test]
fn nothing_but_reading_is_allowed() {
    let endpoint = Running::start(Arc::new(Numbers::of(full_snapshot())));
    for path in ["/", "/metrics", "/catalog.json", "/healthz", "/readyz"] {
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let answer = endpoint.ask(&format!("{method} {path} HTTP/1.1\r\nContent-Length: 0"));
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), Some("GET,HEAD"), "{method} {path}");
        }
        let head = endpoint.ask(&format!("HEAD {path} HTTP/1.1"));
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
    }
    endpoint.stop();
}

#[test]
fn ready_without_a_signal_says_which_and_why() {
    let mut numbers = Numbers::of(full_snapshot());
    numbers.readiness = Ok(vec!["oom: off, because not asked for".to_owned()]);
    let endpoint = Running::start(Arc::new(numbers));
    let readiness = endpoint.get("/readyz");
    assert_eq!(
        (readiness.status, readiness.text()),
        (200, "ready\noom: off, because not asked for")
    );
    endpoint.stop();
}

#[test]
fn not_ready_says_why_and_still_serves_metrics() {
    let reason = "block_io: waiting for the first snapshot";
    let mut numbers = Numbers::of(full_snapshot());
    numbers.readiness = Err(reason.to_owned());
    let endpoint = Running::start(Arc::new(numbers));
    let readiness = endpoint.get("/readyz");
    assert_eq!((readiness.status, readiness.text()), (503, reason));
    assert_eq!(endpoint.get("/healthz").status, 200);
    assert_eq!(endpoint.get("/metrics").status, 200);
    endpoint.stop();
}

#[test]
fn a_scraper_gets_the_format_that_it_asks_for() {
    let mut snapshot = full_snapshot();
    snapshot
        .cgroups
        .iter_mut()
        .for_each(|cgroup| cgroup.block.clear());
    let endpoint = Running::start(Arc::new(Numbers::of(snapshot.clone())));
    for format in Format::ALL {
        let accept = format.content_type();
        let answer = endpoint.ask(&format!("GET /metrics HTTP/1.1\r\nAccept: {accept}"));
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some(accept));
        assert_eq!(answer.header("content-encoding"), None);
        assert_eq!(answer.body, encoded(snapshot.clone(), format));
    }
    let unasked = endpoint.get("/metrics");
    assert_eq!(
        unasked.header("content-type"),
        Some(Format::PrometheusText.content_type())
    );
    endpoint.stop();
}

#[test]
fn disks_without_a_name_are_told_apart_from_too_many_disks() {
    let mut snapshot = full_snapshot();
    let rows = &mut snapshot.cgroups[0].block;
    rows[0].device.major = 4_000;
    let mut overflow = rows[0].clone();
    overflow.device = Device { major: 0, minor: 0 };
    rows.push(overflow);
    let endpoint = Running::start(Arc::new(Numbers::of(snapshot)));
    let answer = endpoint.get("/metrics");
    for labels in [
        "device=\"4000:0\",operation=\"write\"",
        "device=\"~other\",operation=\"write\"",
    ] {
        assert!(answer.text().contains(labels), "{labels}");
    }
    endpoint.stop();
}

#[test]
fn gzip_is_used_when_it_is_accepted() {
    let endpoint = Running::start(Arc::new(Numbers::of(full_snapshot())));
    let plain = endpoint.ask("GET /metrics HTTP/1.1\r\nAccept-Encoding: gzip;q=0");
    let packed = endpoint.ask("GET /metrics HTTP/1.1\r\nAccept-Encoding: br, gzip;q=0.5");
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(
        packed.body.len() * 4 < plain.body.len(),
        "{} bytes",
        packed.body.len()
    );
    assert_eq!(
        String::from_utf8(gunzip(packed.body)).expect("text"),
        plain.text()
    );
    endpoint.stop();
}

#[test]
fn the_catalog_is_served_as_json_plain_and_packed() {
    let endpoint = Running::start(Arc::new(Numbers::of(full_snapshot())));
    let plain = endpoint.get("/catalog.json");
    assert_eq!(plain.status, 200);
    assert_eq!(plain.header("content-type"), Some("application/json"));
    assert_eq!(plain.header("content-encoding"), None);
    let expected = CatalogDocument::of(listing()).encode().expect("JSON");
    assert_eq!(plain.body, expected);
    let packed = endpoint.ask("GET /catalog.json HTTP/1.1\r\nAccept-Encoding: gzip");
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(gunzip(packed.body), expected);
    endpoint.stop();
}

#[test]
fn a_container_is_told_with_what_is_known_and_what_is_not() {
    let endpoint = Running::start(Arc::new(Numbers::of(full_snapshot())));
    let answer = endpoint.get("/container.json?name=web");
    assert_eq!(answer.status, 200);
    let text = answer.text();
    for part in [
        r#""container":{"id":"c0ffee","runtime":"docker"}"#,
        r#""reading":{"how":"running","time_seconds":1700000000.0,"cpu_seconds":1.5}"#,
        r#""pids":[42,43]"#,
        r#""errors":{"network stats":"no namespace"}"#,
    ] {
        assert!(text.contains(part), "{part} not in {text}");
    }
    assert!(!text.contains("open_files"), "{text}");
    for (query, status) in [
        ("", 400),
        ("?name=other", 404),
        ("?name=busy", 503),
        ("?pid=1", 502),
    ] {
        let answer = endpoint.get(&format!("/container.json{query}"));
        assert_eq!(answer.status, status, "{query}: {}", answer.text());
    }
    endpoint.stop();
}

#[test]
fn those_who_look_at_the_catalog_do_not_keep_a_scrape_from_its_place() {
    let numbers = Arc::new(Numbers::with_closed_gate());
    let endpoint = Arc::new(Running::start(Arc::clone(&numbers)));
    let ask = |path: &'static str| {
        let endpoint = Arc::clone(&endpoint);
        thread::spawn(move || endpoint.get(path))
    };
    let mut first = vec![ask("/catalog.json"), ask("/catalog.json")];
    numbers.wait_until(|gate| gate.waiting == 2);
    let third = endpoint.get("/catalog.json");
    assert_eq!(
        (third.status, third.header("retry-after")),
        (503, Some("1"))
    );
    first.extend([ask("/metrics"), ask("/metrics")]);
    numbers.wait_until(|gate| gate.waiting == 4);
    numbers.change_gate(|gate| gate.open = true);
    for answer in first {
        assert_eq!(answer.join().expect("an answer").status, 200);
    }
}

fn gunzip(packed: Vec<u8>) -> Vec<u8> {
    let mut gzip = Command::new("gzip")
        .args(["--decompress", "--stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("gzip runs");
    let mut input = gzip.stdin.take().expect("its input");
    let writer = thread::spawn(move || input.write_all(&packed));
    let output = gzip.wait_with_output().expect("gzip ends");
    writer.join().expect("no panic").expect("gzip reads");
    assert!(output.status.success());
    output.stdout
}

#[test]
fn two_scrapes_run_at_once_and_a_third_is_told_to_come_back() {
    let numbers = Arc::new(Numbers::with_closed_gate());
    let endpoint = Arc::new(Running::start(Arc::clone(&numbers)));
    let scrapes = [(); 2].map(|()| {
        let endpoint = Arc::clone(&endpoint);
        thread::spawn(move || endpoint.get("/metrics"))
    });
    numbers.wait_until(|gate| gate.waiting == 2);
    let third = endpoint.get("/metrics");
    assert_eq!(
        (third.status, third.header("retry-after")),
        (503, Some("1"))
    );
    assert_eq!(
        endpoint.get("/healthz").status,
        200,
        "the endpoint stays responsive"
    );
    numbers.change_gate(|gate| gate.open = true);
    for scrape in scrapes {
        let answer = scrape.join().expect("no panic");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body.len(), encoded_length());
    }
    assert_eq!(endpoint.get("/metrics").status, 200, "there is room again");
    Arc::into_inner(endpoint).expect("the last one").stop();
}

fn encoded_length() -> usize {
    let named = super::super::encode(
        full_snapshot(),
        Format::PrometheusText,
        NameSets::default(),
        |device| crate::host::block_devices::name(device.major, device.minor),
    );
    named.expect("the snapshot can be encoded").len()
}

#[test]
fn a_client_that_leaves_while_its_scrape_runs_keeps_the_room_until_the_work_is_done() {
    let numbers = Arc::new(Numbers::with_closed_gate());
    let endpoint = Running::start(Arc::clone(&numbers));
    for scrapes in 1..=2 {
        let mut connection = endpoint.connect();
        write!(connection, "GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n").expect("sent");
        numbers.wait_until(|gate| gate.waiting == scrapes);
    }
    // Both connections are closed by now. Had they given their room back, work would pile up.
    thread::sleep(Duration::from_millis(100));
    assert_eq!(endpoint.get("/metrics").status, 503);
    numbers.change_gate(|gate| gate.open = true);
    numbers.wait_until(|gate| gate.waiting == 0);
    wait_for(|| endpoint.get("/metrics").status == 200);
    endpoint.stop();
}

fn wait_for(reached: impl Fn() -> bool) {
    let start = Instant::now();
    while !reached() {
        assert!(start.elapsed() < PATIENCE, "it did not get there");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn half_a_request_is_not_waited_for() {
    let limits = Limits {
        request: Duration::from_millis(300),
        ..LIMITS
    };
    let endpoint = Running::start_within(limits, Arc::new(Numbers::of(full_snapshot())));
    let mut connection = endpoint.connect();
    let start = Instant::now();
    let mut cut = false;
    // A byte now and then does not help.
    for byte in b"GET /metrics HTTP/1.1\r\nX-Slow: "
        .iter()
        .chain(std::iter::repeat(&b'a'))
    {
        if connection.write_all(&[*byte]).is_err() {
            cut = true;
            break;
        }
        if start.elapsed() > PATIENCE {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    assert!(cut, "the connection is still open");
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(endpoint.get("/healthz").status, 200);
    endpoint.stop();
}

#[test]
fn an_answer_that_is_not_read_gives_its_room_back() {
    let limits = Limits {
        response: Duration::from_secs(1),
        ..LIMITS
    };
    // Too much for the buffers of a socket.
    let mut snapshot = full_snapshot();
    snapshot.cgroups = (0..5_000).map(with_long_path).collect();
    let endpoint = Running::start_within(limits, Arc::new(Numbers::of(snapshot)));
    let mut lazy = [endpoint.connect(), endpoint.connect()];
    for connection in &mut lazy {
        write!(connection, "GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n").expect("sent");
    }
    for connection in &mut lazy {
        connection
            .read_exact(&mut [0; 1])
            .expect("the answer begins");
    }
    assert_eq!(endpoint.get("/metrics").status, 503);
    wait_for(|| endpoint.ask("HEAD /metrics HTTP/1.1").status == 200);
    drop(lazy);
    endpoint.stop();
}

fn with_long_path(number: usize) -> crate::reconcile::snapshot::CgroupStats {
    let mut cgroup = unknown_cgroup();
    let path = format!("/{number}/{}", "long".repeat(250));
    cgroup.identity = Identity {
        path,
        ..(*cgroup.identity).clone()
    }
    .into();
    cgroup
}

#[test]
fn connections_beyond_the_bound_wait_for_a_place() {
    let limits = Limits {
        connections: 2,
        ..LIMITS
    };
    let endpoint = Running::start_within(limits, Arc::new(Numbers::of(full_snapshot())));
    let held = [endpoint.connect(), endpoint.connect()];
    let mut third = endpoint.connect();
    write!(
        third,
        "GET /healthz HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
    )
    .expect("sent");
    third
        .set_read_timeout(Some(Duration::from_millis(200)))
        .expect("a timeout");
    assert!(
        third.read(&mut [0; 1]).is_err(),
        "answered beyond the bound"
    );
    drop(held);
    third.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    assert_eq!(Answer::read(&mut third).status, 200);
    endpoint.stop();
}

#[test]
fn a_stop_does_not_wait_for_idle_connections() {
    let endpoint = Running::start(Arc::new(Numbers::of(full_snapshot())));
    let unused = endpoint.connect();
    let mut half = endpoint.connect();
    write!(half, "GET /hea").expect("sent");
    let mut idle = endpoint.connect();
    write!(idle, "GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n").expect("sent");
    let mut answer = [0; 512];
    let length = idle.read(&mut answer).expect("an answer");
    assert_eq!(Answer::parse(&answer[..length]).text(), "ok");
    let address = endpoint.address;
    let took = endpoint.stop();
    assert!(took < Duration::from_millis(700), "{took:?}");
    for mut connection in [unused, half, idle] {
        let rest = connection.read(&mut answer);
        assert!(matches!(rest, Ok(0) | Err(_)), "still open: {rest:?}");
    }
    TcpStream::connect(address).expect_err("nobody listens any more");
}

#[test]
fn a_stop_lets_a_scrape_in_flight_finish() {
    let numbers = Arc::new(Numbers::with_closed_gate());
    let endpoint = Running::start(Arc::clone(&numbers));
    let mut connection = endpoint.connect();
    write!(connection, "GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n").expect("sent");
    numbers.wait_until(|gate| gate.waiting == 1);
    let opener = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        numbers.change_gate(|gate| gate.open = true);
    });
    let took = endpoint.stop();
    opener.join().expect("no panic");
    assert!(took < Duration::from_millis(700), "{took:?}");
    assert_eq!(Answer::read(&mut connection).status, 200);
}

#[test]
fn a_stop_does_not_wait_for_a_scrape_that_hangs() {
    let numbers = Arc::new(Numbers::with_closed_gate());
    let endpoint = Running::start(Arc::clone(&numbers));
    let mut connection = endpoint.connect();
    write!(connection, "GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n").expect("sent");
    numbers.wait_until(|gate| gate.waiting == 1);
    let took = endpoint.stop();
    numbers.change_gate(|gate| gate.open = true);
    assert!(took < Duration::from_millis(900), "{took:?}");
}

#[tokio::test]
async fn dropping_the_future_stops_the_endpoint() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let address = listener.local_addr().expect("an address");
    let numbers = Arc::new(Numbers::of(full_snapshot()));
    let serving = serve_within(LIMITS, listener, numbers, std::future::pending());
    tokio::time::timeout(Duration::from_millis(100), serving)
        .await
        .expect_err("it serves on");
    wait_for(|| TcpStream::connect(address).is_err());
}
