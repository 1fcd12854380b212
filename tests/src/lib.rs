//! The workbench of the tests: the real kernel, real cgroups, the real daemon.
//!
//! In: what this host offers. Out: programs that are attached, cgroups with known work in them, a
//! daemon that serves. Never here: an assertion about what is measured.
#![expect(
    clippy::missing_panics_doc,
    reason = "what a test needs and does not have fails the test, wherever it is found out"
)]

pub mod altered_btf;

pub mod cgroup;

pub mod daemon;

pub mod delayed_disk;

pub mod exposition;

pub mod kata_agent;

pub mod null_disk;

pub mod observe;

pub mod otel_collector;

pub mod switching;

pub mod thread_counts;

pub mod trace_of;

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Keeps the tests of a binary from measuring each other: held by whoever measures.
///
/// The kernel's events are the whole host's, and there may be no more than two CPUs to share.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // A test that failed while it held the lock is no reason for others to.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says why a test ends without having compared anything: what a host like this one cannot have. What is
/// not installed, loaded or permitted fails the test instead.
#[expect(clippy::print_stdout, reason = "a test's output")]
pub fn skipped(why: &str) {
    println!("skipped: {why}");
    // What a test prints that passes is not shown: who counts them has it in a file.
    if let Some(path) = std::env::var_os("CGSCOPE_TEST_SKIPPED") {
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        let mut file = File::options().append(true).open(path).expect("a file");
        writeln!(file, "{test}: {why}").expect("it takes a line");
    }
}

/// Says what a test could not look at here.
#[expect(clippy::print_stdout, reason = "a test's output")]
pub fn note(what: &str) {
    println!("note: {what}");
}

/// Whether this machine's CPUs are emulated: they stand still for milliseconds while their emulator does
/// something else, and no one counts that as stolen.
#[must_use]
pub fn is_emulated() -> bool {
    std::env::var_os("CGSCOPE_TEST_EMULATED").is_some()
}

/// Time that a hypervisor kept this host's CPUs to itself so far, summed over them, in steps of a tick. The kernel
/// takes it off what a task ran; a slice has it, since the task held the CPU all the same.
#[must_use]
pub fn stolen() -> Duration {
    use procfs::CurrentSI as _;
    let total = procfs::KernelStats::current().expect("/proc/stat").total;
    Duration::from_millis(total.steal.unwrap_or(0) * 1_000 / procfs::ticks_per_second())
}

/// The same, since `before`.
#[must_use]
pub fn stolen_since(before: Duration) -> Duration {
    stolen().saturating_sub(before)
}

/// How many of something a test makes: some, or as many as an environment variable says.
#[must_use]
pub fn count(variable: &str, some: usize) -> usize {
    std::env::var(variable).map_or(some, |count| count.parse().expect(variable))
}

/// So many cgroups that live shortly are made, where this variable is set.
pub const SHORT_LIVED: &str = "CGSCOPE_TEST_SHORT_LIVED";

/// A binary that was built beside the running test.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    // target/<profile>/deps/<test>: binaries are one folder up.
    let path = test
        .parent()
        .and_then(|deps| deps.parent())
        .expect("a target folder")
        .join(name);
    assert!(
        path.exists(),
        "{} is missing: run `cargo build` first",
        path.display()
    );
    path
}

/// The run-queue latencies of Debian's libbpf-tools, if it is installed.
#[must_use]
pub fn runqlat() -> Option<PathBuf> {
    // Not in an ordinary user's `PATH`.
    let folders = ["/usr/sbin", "/usr/bin"].map(Path::new);
    folders
        .map(|folder| folder.join("runqlat"))
        .into_iter()
        .find(|path| path.exists())
}

/// The workload's binary.
#[must_use]
pub fn workload_binary() -> PathBuf {
    binary("workload")
}
