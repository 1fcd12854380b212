//! A server of bytes, for the runtimes that speak HTTP.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, SystemTime},
};

use super::{CallError, Endpoint, Protocol, http::CallLimits};

mod docker;

mod ecs;

mod garden;

mod hostile;

mod podman;

/// What is written in answer to a call, and then maybe not the end.
type Answer = Arc<dyn Fn(&mut UnixStream) -> std::io::Result<()> + Send + Sync>;

/// Answers on a socket, by the path that is asked for without its query.
struct Server {
    _folder: tempfile::TempDir,
    socket: PathBuf,
    answers: Arc<Mutex<BTreeMap<String, Answer>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("a.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let answers: Arc<Mutex<BTreeMap<String, Answer>>> = Arc::default();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let server = Self {
            _folder: folder,
            socket,
            answers: Arc::clone(&answers),
            asked: Arc::clone(&asked),
        };
        // The thread ends with the process of the tests: it holds only the socket.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (answers, asked) = (Arc::clone(&answers), Arc::clone(&asked));
                thread::spawn(move || {
                    // Who asked may be gone, as it should be when the answer is too long.
                    drop(serve(&mut stream.unwrap(), &answers, &asked));
                });
            }
        });
        server
    }

    /// Answers with JSON.
    fn json(&self, path: &str, body: &str) {
        self.bytes(path, &response("200 OK", body));
    }

    /// Answers with these bytes, and ends the connection.
    fn bytes(&self, path: &str, bytes: &[u8]) {
        let bytes = bytes.to_vec();
        self.with(path, move |stream| stream.write_all(&bytes));
    }

    /// Answers by a function; the connection ends with it.
    fn with(
        &self,
        path: &str,
        answer: impl Fn(&mut UnixStream) -> std::io::Result<()> + Send + Sync + 'static,
    ) {
        let mut answers = self.answers.lock().unwrap();
        answers.insert(path.to_owned(), Arc::new(answer));
    }

    /// What was asked since the last time: method, path and query.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn endpoint(&self, protocol: Protocol) -> Endpoint {
        Endpoint {
            protocol,
            address: self.socket.to_str().unwrap().to_owned(),
        }
    }
}

fn serve(
    stream: &mut UnixStream,
    answers: &Mutex<BTreeMap<String, Answer>>,
    asked: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let (call, _) = head.split_once(" HTTP/1.1\r\n").unwrap();
    asked.lock().unwrap().push(call.to_owned());
    let path = call.split_once(' ').unwrap().1;
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let answer = answers.lock().unwrap().get(path).map(Arc::clone);
    match answer {
        Some(answer) => answer(stream),
        None => stream.write_all(&response(
            "404 Not Found",
            "{\"message\":\"no such thing\"}",
        )),
    }
}

fn response(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

const STREAM_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

/// Limits that a test can wait for.
fn short() -> CallLimits {
    CallLimits {
        connect: Duration::from_millis(300),
        answer: Duration::from_millis(600),
        ..CallLimits::default()
    }
}

fn name<T: std::fmt::Debug>(result: Result<T, CallError>) -> &'static str {
    result.unwrap_err().name()
}

fn at(seconds: u64, nanoseconds: u32) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds)
}
