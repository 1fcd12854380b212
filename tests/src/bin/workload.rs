//! Work of a known kind in a known cgroup, for the tests to measure.
//!
//! Joins the cgroups whose `cgroup.procs` files it is given, does its work, and prints what the kernel
//! counted of its own threads meanwhile as one line of JSON.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use collector_tests::{
    switching::{pin, ping_pong},
    thread_counts::{ThreadCounts, read_own_thread},
};

#[derive(Parser)]
struct Arguments {
    /// A `cgroup.procs` file to join.
    #[arg(long)]
    join: Vec<PathBuf>,
    #[command(subcommand)]
    work: Work,
}

#[derive(Subcommand)]
enum Work {
    /// Two threads on one CPU hand a byte back and forth.
    PingPong { cpu: usize, milliseconds: u64 },
    /// Some threads on one CPU do nothing but run.
    Busy {
        cpu: usize,
        threads: usize,
        milliseconds: u64,
    },
    /// A thread that waits on one CPU is moved to another, again and again.
    Migrate { milliseconds: u64 },
    /// Touches memory until it is stopped.
    Allocate { mebibytes: usize },
    /// Writes a file.
    Write {
        path: PathBuf,
        bytes: usize,
        /// Past the page cache.
        #[arg(long)]
        direct: bool,
        /// And waits until it is on the disk.
        #[arg(long)]
        sync: bool,
    },
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    // A slice belongs to the cgroup that its task is in when it ends: what the start of this program took,
    // which is long in an emulated machine, ends before it joins.
    std::thread::sleep(Duration::from_millis(5));
    for procs in &arguments.join {
        fs::write(procs, "0").with_context(|| format!("cannot join {}", procs.display()))?;
    }
    let before = read_own_thread();
    let mut counts = match arguments.work {
        Work::PingPong { cpu, milliseconds } => ping_pong(cpu, Duration::from_millis(milliseconds))
            .join()
            .expect("the two threads"),
        Work::Busy {
            cpu,
            threads,
            milliseconds,
        } => {
            let time = Duration::from_millis(milliseconds);
            let threads: Vec<_> = (0..threads).map(|_| busy(cpu, time)).collect();
            join_all(threads)
        }
        Work::Migrate { milliseconds } => migrate(Duration::from_millis(milliseconds)),
        Work::Allocate { mebibytes } => {
            allocate(mebibytes);
            ThreadCounts::default()
        }
        Work::Write {
            path,
            bytes,
            direct,
            sync,
        } => {
            write(&path, bytes, direct, sync)?;
            ThreadCounts::default()
        }
    };
    counts.add(&read_own_thread().since(&before));
    // What its end takes is not in the counts, so it is not the cgroup's either.
    for procs in &arguments.join {
        leave(procs);
    }
    let mut out = std::io::stdout();
    writeln!(out, "{}", counts.to_json())?;
    Ok(())
}

/// Joins the parent of a cgroup; one that hands out controllers takes no process, and then it stays.
fn leave(procs: &Path) {
    let parent = procs.parent().and_then(Path::parent);
    if let Some(parent) = parent {
        drop(fs::write(parent.join("cgroup.procs"), "0"));
    }
}

fn join_all(threads: Vec<JoinHandle<ThreadCounts>>) -> ThreadCounts {
    let mut sum = ThreadCounts::default();
    for thread in threads {
        sum.add(&thread.join().expect("a thread of this workload"));
    }
    sum
}

fn busy(cpu: usize, time: Duration) -> JoinHandle<ThreadCounts> {
    std::thread::spawn(move || {
        pin(cpu);
        let start = Instant::now();
        while start.elapsed() < time {
            std::hint::spin_loop();
        }
        read_own_thread()
    })
}

/// Two busy threads share a CPU; a third thread moves one of them to the other CPU and back, so that
/// it is often waiting when it is moved.
fn migrate(time: Duration) -> ThreadCounts {
    use nix::{sched::CpuSet, sched::sched_setaffinity, unistd::Pid};

    let (send, receive) = std::sync::mpsc::sync_channel(1);
    let wanderer = std::thread::spawn(move || {
        pin(0);
        send.send(nix::unistd::gettid()).expect("the mover listens");
        let start = Instant::now();
        while start.elapsed() < time {
            std::hint::spin_loop();
        }
        read_own_thread()
    });
    let residents: Vec<_> = (0..2).map(|cpu| busy(cpu, time)).collect();
    let tid: Pid = receive.recv().expect("the wanderer told its id");
    let start = Instant::now();
    let mut cpu = 0;
    while start.elapsed() + Duration::from_millis(50) < time {
        std::thread::sleep(Duration::from_millis(7));
        cpu = 1 - cpu;
        let mut cpus = CpuSet::new();
        cpus.set(cpu).expect("a CPU number");
        // Fails when the thread has just ended.
        if sched_setaffinity(tid, &cpus).is_err() {
            break;
        }
    }
    let mut sum = join_all(residents);
    sum.add(&wanderer.join().expect("the wanderer ends"));
    sum
}

fn allocate(mebibytes: usize) {
    let mut kept = Vec::new();
    for _ in 0..mebibytes {
        let mut block = vec![0_u8; 1 << 20];
        for page in block.chunks_mut(4096) {
            page[0] = 1;
        }
        kept.push(std::hint::black_box(block));
    }
}

fn write(path: &Path, bytes: usize, direct: bool, sync: bool) -> Result<()> {
    /// What direct I/O must be aligned to, on any disk.
    const ALIGNMENT: usize = 4096;
    const CHUNK: usize = 64 << 10;
    let mut options = fs::OpenOptions::new();
    // Not truncated: some file systems then flush at the close, in the name of the writer.
    options.write(true);
    if direct {
        options.custom_flags(nix::fcntl::OFlag::O_DIRECT.bits());
    }
    let mut file = options.open(path)?;
    let buffer = vec![7_u8; CHUNK + ALIGNMENT];
    let aligned = buffer.as_ptr().align_offset(ALIGNMENT);
    let chunk = &buffer[aligned..aligned + CHUNK];
    let mut left = bytes;
    while left > 0 {
        let part = left.min(CHUNK);
        file.write_all(&chunk[..part])?;
        left -= part;
    }
    if sync {
        file.sync_all()?;
    }
    Ok(())
}
