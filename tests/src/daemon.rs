//! The real daemon, started as a user would start it.

use std::{
    io::Read as _,
    net::TcpListener,
    path::PathBuf,
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    sync::MutexGuard,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::exposition::Exposition;

/// What is told to end, or should end at once, has ended after a fraction of this.
const END_TIME: Duration = Duration::from_mins(1);

/// How often is looked whether it has: what it took is measured.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A daemon that serves; killed when this is dropped.
#[derive(Debug)]
pub struct Daemon {
    _alone: MutexGuard<'static, ()>,
    child: Child,
    /// Reads its log from the start: a full pipe would block it.
    log: Option<JoinHandle<String>>,
    /// Where it serves: `127.0.0.1:<port>`.
    pub address: String,
    _folder: tempfile::TempDir,
}

/// A port that nobody listens on.
#[must_use]
pub fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").to_string()
}

/// The daemon's binary: the one that `CGSCOPE_BIN` names, as `cargo xtask test` does with the release
/// build, or the one beside the test.
#[must_use]
pub fn cgscope_binary() -> PathBuf {
    std::env::var_os("CGSCOPE_BIN").map_or_else(|| crate::binary("cgscope"), PathBuf::from)
}

/// The daemon's command.
#[must_use]
pub fn cgscope() -> Command {
    Command::new(cgscope_binary())
}

/// The daemon's command, on what looks to it like a kernel without type information.
#[must_use]
pub fn cgscope_without_kernel_types() -> Command {
    let mut command = Command::new(crate::workload_binary());
    command.arg("hide-kernel-types").arg(cgscope_binary());
    command
}

/// Status and body of a page; `None` when nobody answers.
#[must_use]
pub fn get(address: &str, path: &str) -> Option<(u16, String)> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(10)))
        .build()
        .into();
    let mut answer = agent.get(format!("http://{address}{path}")).call().ok()?;
    let body = answer
        .body_mut()
        .with_config()
        .limit(1 << 30)
        .read_to_string()
        .ok()?;
    Some((answer.status().as_u16(), body))
}

impl Daemon {
    /// Starts it with further arguments, and waits until it is ready.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Self {
        Self::launch(cgscope(), arguments, "/readyz")
    }

    /// Starts it by `command` with further arguments, and waits until `page` is there.
    #[must_use]
    pub fn launch(mut command: Command, arguments: &[&str], page: &str) -> Self {
        let alone = crate::alone();
        let folder = tempfile::tempdir().expect("a folder");
        let address = free_address();
        let mut child = command
            .args([
                "run",
                "--interval",
                "1s",
                "--listen",
                &address,
                "--lock-file",
            ])
            .arg(folder.path().join("lock"))
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("cgscope starts");
        let log = read_log(child.stderr.take());
        let mut daemon = Self {
            _alone: alone,
            child,
            log: Some(log),
            address,
            _folder: folder,
        };
        let start = Instant::now();
        while daemon.get(page).is_none_or(|(status, _)| status != 200) {
            if let Some(status) = daemon.child.try_wait().expect("its status") {
                panic!("cgscope ended with {status}: {}", daemon.log());
            }
            if start.elapsed() > Duration::from_secs(20) {
                let page = daemon.get(page);
                let (status, log) = (daemon.child.kill(), daemon.log());
                panic!("not ready; its answer: {page:?}; its log ({status:?}): {log}");
            }
            thread::sleep(Duration::from_millis(50));
        }
        daemon
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Status and body of a page; `None` when nobody answers.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        get(&self.address, path)
    }

    /// All metrics.
    #[must_use]
    pub fn scrape(&self) -> Exposition {
        let (status, body) = self.get("/metrics").expect("an answer");
        assert_eq!(status, 200, "{body}");
        Exposition::parse(&body)
    }

    /// Scrapes until `found`; panics with `what` when it does not come about in time.
    #[must_use]
    pub fn scrape_until(
        &self,
        what: &str,
        most: Duration,
        found: impl Fn(&Exposition) -> bool,
    ) -> Exposition {
        let start = Instant::now();
        loop {
            let exposition = self.scrape();
            if found(&exposition) {
                return exposition;
            }
            assert!(start.elapsed() < most, "{what} not seen in {most:?}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Stops it as an init system would; how it ended, how long that took, and its log. Panics when it goes on.
    #[must_use]
    pub fn stop(self) -> (ExitStatus, Duration, String) {
        let start = Instant::now();
        self.signal(Signal::SIGTERM);
        let (status, log) = self.end();
        (status, start.elapsed(), log)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = self.child.id().try_into().expect("a pid");
        kill(Pid::from_raw(pid), signal).expect("it runs");
    }

    /// Waits for its end; how it ended, and its log. Panics when it goes on.
    #[must_use]
    pub fn end(mut self) -> (ExitStatus, String) {
        let status = end_of(&mut self.child);
        let log = self.log();
        let status = status.unwrap_or_else(|| panic!("cgscope does not end; its log: {log}"));
        (status, log)
    }

    /// All of it, once the daemon has ended.
    fn log(&mut self) -> String {
        let log = self.log.take();
        log.map_or_else(String::new, |log| log.join().expect("its log"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs `cgscope` with arguments that should make it end at once. Panics when it goes on.
#[must_use]
pub fn run_to_end(arguments: &[&str]) -> (i32, String) {
    let mut child = cgscope()
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("cgscope starts");
    let log = read_log(child.stderr.take());
    let status = end_of(&mut child);
    let log = log.join().expect("its log");
    let status = status.unwrap_or_else(|| panic!("cgscope {arguments:?} goes on; its log: {log}"));
    (status.code().unwrap_or(-1), log)
}

/// Waits until a program ends. One that does not is killed, and has no status.
pub(crate) fn end_of(child: &mut Child) -> Option<ExitStatus> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("its status") {
            return Some(status);
        }
        if start.elapsed() > END_TIME {
            child.kill().expect("it runs");
            child.wait().expect("it is killed");
            return None;
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// Reads a log while it is written, to its end.
fn read_log(stderr: Option<ChildStderr>) -> JoinHandle<String> {
    let mut stderr = stderr.expect("is piped");
    thread::spawn(move || {
        let mut log = Vec::new();
        stderr.read_to_end(&mut log).expect("its log");
        String::from_utf8_lossy(&log).into_owned()
    })
}
