//! The endpoint over real sockets.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::oneshot;

use super::{
    super::{
        DetailsFuture, Source,
        connection::Limits,
        http::{LIMITS, ServeError, serve_within},
        listing::tests::listing,
    },
    full_snapshot,
};
use crate::{
    catalog::{
        ContainerRef, Onlooker, Runtime, RuntimeMetadata,
        details::{Details, Known, Which},
        provider::{
            capability::{self, CollectError},
            figures::Figures,
            statistics::{ContainerStats, Pids},
        },
    },
    reconcile::{Listing, Snapshot},
};

mod answers;

mod room;

mod stop;

/// Longer than anything here should take, so that a test fails and does not hang.
const PATIENCE: Duration = Duration::from_secs(30);

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
    fn snapshot(&self, _: Onlooker) -> Snapshot {
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

fn wait_for(reached: impl Fn() -> bool) {
    let start = Instant::now();
    while !reached() {
        assert!(start.elapsed() < PATIENCE, "it did not get there");
        thread::sleep(Duration::from_millis(20));
    }
}
