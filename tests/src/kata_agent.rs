//! Kata's agent, as far as its spans go: made by its own library, framed as its exporter frames them.
//!
//! In: names and numbers. Out: spans, the bytes of frames, and a forwarder that takes them. Never here: an assertion.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use opentelemetry_of_kata::{
    Array, KeyValue, Value,
    sdk::{
        InstrumentationLibrary,
        export::trace::SpanData,
        trace::{EvictedHashMap, EvictedQueue},
    },
    trace::{
        Event, Link, SpanContext, SpanId, SpanKind, StatusCode, TraceFlags, TraceId, TraceState,
    },
};

use crate::daemon::{cgscope, end_of};

/// Lines of a program that wait to be looked at: more than a test makes.
const MAX_LINES: usize = 1 << 16;

/// When spans begin: nanoseconds since 1970.
pub const BEGIN_NS: u64 = 1_795_241_757_327_462_440;

/// What a span of [`span`] has for a trace id.
#[must_use]
pub const fn trace_id(guest: u64) -> u128 {
    0x5ca1_ab1e_0000_0000_0000_0000_0000_0000 | guest as u128
}

/// A span of a guest, with everything that one can have; the number is its id and in its name.
#[must_use]
pub fn span(guest: u64, number: u64) -> SpanData {
    let at = |nanoseconds| SystemTime::UNIX_EPOCH + Duration::from_nanos(nanoseconds);
    let context = |trace: u128, id: u64| {
        SpanContext::new(
            TraceId::from_bytes(trace.to_be_bytes()),
            SpanId::from_bytes(id.to_be_bytes()),
            TraceFlags::SAMPLED,
            false,
            TraceState::default(),
        )
    };
    let mut attributes = EvictedHashMap::new(128, 0);
    for attribute in [
        KeyValue::new("guest", i64::try_from(guest).unwrap_or(i64::MAX)),
        KeyValue::new("text", "a\u{1}b\u{9b}c"),
        KeyValue::new("list", Value::Array(Array::I64(vec![1, -2]))),
    ] {
        attributes.insert(attribute);
    }
    let mut events = EvictedQueue::new(128);
    let event = Event::new("ev", at(BEGIN_NS + 1), vec![KeyValue::new("k", 1.5)], 2);
    events.append_vec(&mut vec![event]);
    let mut links = EvictedQueue::new(128);
    let link = Link::new(context(7, 9), vec![KeyValue::new("l", true)]);
    links.append_vec(&mut vec![link]);
    SpanData {
        span_context: context(trace_id(guest), number),
        parent_span_id: SpanId::from_bytes((number - 1).to_be_bytes()),
        span_kind: SpanKind::Server,
        name: format!("rpc {number}").into(),
        start_time: at(BEGIN_NS),
        end_time: at(BEGIN_NS + number),
        attributes,
        events,
        links,
        status_code: StatusCode::Error,
        status_message: "boom".into(),
        resource: None,
        instrumentation_lib: InstrumentationLibrary::default(),
    }
}

/// As the agent's exporter writes it: how long it is in 8 bytes, big-endian, and JSON.
#[must_use]
pub fn frame(span: &SpanData) -> Vec<u8> {
    let payload = serde_json::to_vec(span).expect("a span is JSON");
    framed(&payload)
}

/// The same of any bytes.
#[must_use]
pub fn framed(payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u64).to_be_bytes().to_vec();
    frame.extend_from_slice(payload);
    frame
}

/// `cgscope trace-forwarder`; killed when this is dropped.
#[derive(Debug)]
pub struct TraceForwarder {
    child: Child,
    lines: mpsc::Receiver<String>,
    log: mpsc::Receiver<String>,
}

impl TraceForwarder {
    /// Starts it and waits until it listens; how it ended if it ends before.
    pub fn start(arguments: &[&str]) -> Result<Self, (Option<i32>, String)> {
        Self::launch(cgscope(), arguments)
    }

    /// The same by another command.
    pub fn launch(command: Command, arguments: &[&str]) -> Result<Self, (Option<i32>, String)> {
        Self::launch_into(command, arguments, Stdio::piped())
    }

    /// The same, whose lines go there.
    #[expect(clippy::print_stderr, reason = "a test's output")]
    pub fn launch_into(
        mut command: Command,
        arguments: &[&str],
        output: Stdio,
    ) -> Result<Self, (Option<i32>, String)> {
        let mut child = command
            .arg("trace-forwarder")
            .args(arguments)
            .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
            .stdout(output)
            .stderr(Stdio::piped())
            .spawn()
            .expect("cgscope starts");
        // The other end of what it was given stays open in it.
        drop(command);
        let log = BufReader::new(child.stderr.take().expect("its log"));
        let (printed, lines) = mpsc::sync_channel(MAX_LINES);
        if let Some(output) = child.stdout.take() {
            thread::spawn(move || {
                BufReader::new(output)
                    .lines()
                    .map_while(Result::ok)
                    .try_for_each(|line| printed.send(line))
            });
        }
        let (told, log_of_it) = mpsc::sync_channel(MAX_LINES);
        thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                eprintln!("{line}");
                // Nobody may ask any more.
                drop(told.try_send(line));
            }
        });
        let mut said = String::new();
        loop {
            match log_of_it.recv_timeout(Duration::from_mins(1)) {
                Ok(line) if line.contains("takes spans") => {
                    return Ok(Self {
                        child,
                        lines,
                        log: log_of_it,
                    });
                }
                Ok(line) => said.push_str(&line),
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let status = child.wait().expect("it ended");
                    return Err((status.code(), said));
                }
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not listen: {said}"),
            }
        }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What `/proc/<pid>/status` says of it after `key:`.
    #[must_use]
    pub fn status(&self, key: &str) -> String {
        let text =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.expect("a line").trim().to_owned()
    }

    /// The next line that it prints.
    #[must_use]
    pub fn line(&self) -> serde_json::Value {
        let line = self
            .lines
            .recv_timeout(Duration::from_mins(1))
            .expect("a line");
        serde_json::from_str(&line).expect("JSON")
    }

    /// Waits until it ends by itself: how, and what it said.
    #[must_use]
    pub fn ended(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        loop {
            match self.log.recv_timeout(Duration::from_mins(1)) {
                Ok(line) => said.push_str(&line),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not end: {said}"),
            }
        }
        (self.child.wait().expect("it ended").code(), said)
    }

    /// Ends it as an init system would.
    #[must_use]
    pub fn stop(mut self) -> (ExitStatus, Duration) {
        let start = Instant::now();
        let pid = self.pid().try_into().expect("a pid");
        kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it runs");
        let status = end_of(&mut self.child).expect("it ends");
        (status, start.elapsed())
    }
}

impl Drop for TraceForwarder {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Reads until the other end is closed; whether it was, in time.
pub fn is_closed(stream: &mut std::os::unix::net::UnixStream, most: Duration) -> bool {
    stream.set_read_timeout(Some(most)).expect("a timeout");
    let mut byte = [0];
    match stream.read(&mut byte) {
        Ok(count) => count == 0,
        // What it sent was not read to the end.
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}
