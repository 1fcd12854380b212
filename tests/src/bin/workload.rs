//! Work of a known kind in a known cgroup, for the tests to measure.
//!
//! Joins the cgroups whose `cgroup.procs` files it is given, does its work, leaves for others, and prints
//! what the kernel counted of its own threads meanwhile as one line of JSON. What it does before and
//! after, its counting and its end among that, is not work of those cgroups.

use std::{
    ffi::OsString,
    fs,
    io::Write as _,
    os::unix::{fs::OpenOptionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Barrier},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use collector_tests::{
    switching::{pin, ping_pong_until},
    thread_counts::{ThreadCounts, read_own_thread},
};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    time::{ClockId, clock_gettime},
};

#[derive(Parser)]
struct Arguments {
    /// A `cgroup.procs` file to join.
    #[arg(long)]
    join: Vec<PathBuf>,
    /// A `cgroup.procs` file to join when the work is done.
    #[arg(long)]
    leave: Vec<PathBuf>,
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
    /// Some threads on one CPU sleep most of the time, so that they wake it from idling.
    Doze {
        cpu: usize,
        threads: usize,
        milliseconds: u64,
    },
    /// A thread on one CPU reads the clock all the time, or sleeps in between. Prints between which two readings
    /// a millisecond and more passed: `CLOCK_MONOTONIC`, ns.
    Gaps {
        cpu: usize,
        milliseconds: u64,
        /// How long it sleeps.
        #[arg(long, default_value_t = 0)]
        sleep: u64,
    },
    /// A thread that waits on one CPU is moved to another, again and again.
    Migrate { milliseconds: u64 },
    /// Becomes another program, on what looks to it like a kernel without type information.
    HideKernelTypes {
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        program: Vec<OsString>,
    },
    /// Lives shortly, of known work, and ends where it worked. Prints its CPU time before it joined, and
    /// after.
    Brief {
        milliseconds: u64,
        /// Memory to touch.
        #[arg(long, default_value_t = 0)]
        mebibytes: usize,
        /// A file to write past the page cache.
        #[arg(long)]
        path: Option<PathBuf>,
        #[arg(long, default_value_t = 0)]
        bytes: usize,
        /// Then sleeps, until it has lived for so many milliseconds.
        #[arg(long, default_value_t = 0)]
        alive: u64,
    },
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
        /// Again and again, until so much time has passed.
        #[arg(long, default_value_t = 0)]
        milliseconds: u64,
    },
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let before_join = own_cpu_time()?;
    join_cgroups(&arguments.join)?;
    let leave = arguments.leave;
    let before = read_own_thread();
    let mut counts = match arguments.work {
        Work::PingPong { cpu, milliseconds } => {
            ping_pong_until(cpu, Duration::from_millis(milliseconds), move || {
                leave_cgroups(&leave);
            })
            .join()
            .expect("the two threads")
        }
        Work::Busy {
            cpu,
            threads,
            milliseconds,
        } => {
            let time = Duration::from_millis(milliseconds);
            let end = End::new(threads, leave);
            let threads: Vec<_> = (0..threads).map(|_| busy(cpu, time, &end)).collect();
            join_all(threads)
        }
        Work::Doze {
            cpu,
            threads,
            milliseconds,
        } => {
            let time = Duration::from_millis(milliseconds);
            let end = End::new(threads, leave);
            let threads: Vec<_> = (0..threads).map(|_| doze(cpu, time, &end)).collect();
            join_all(threads)
        }
        Work::Migrate { milliseconds } => migrate(Duration::from_millis(milliseconds), leave),
        Work::Brief {
            milliseconds,
            mebibytes,
            path,
            bytes,
            alive,
        } => {
            let (joined, start) = (own_cpu_time()?, Instant::now());
            let _memory = allocate(mebibytes);
            if let Some(path) = path {
                write(&path, bytes, true, false)?;
            }
            let least = joined + Duration::from_millis(milliseconds);
            while own_cpu_time()? < least {
                std::hint::spin_loop();
            }
            std::thread::sleep(Duration::from_millis(alive).saturating_sub(start.elapsed()));
            let [before, after] = [before_join, joined].map(|time| time.as_nanos());
            writeln!(std::io::stdout(), "{before} {after}")?;
            return Ok(());
        }
        Work::Gaps {
            cpu,
            milliseconds,
            sleep,
        } => {
            let [time, sleep] = [milliseconds, sleep].map(Duration::from_millis);
            return print_gaps(cpu, time, sleep);
        }
        Work::HideKernelTypes { program } => return hide_kernel_types(&program),
        Work::Allocate { mebibytes } => {
            let _memory = allocate(mebibytes);
            leave_cgroups(&leave);
            ThreadCounts::default()
        }
        Work::Write {
            path,
            bytes,
            direct,
            sync,
            milliseconds,
        } => {
            let (start, time) = (Instant::now(), Duration::from_millis(milliseconds));
            write(&path, bytes, direct, sync)?;
            while start.elapsed() < time {
                write(&path, bytes, direct, sync)?;
            }
            leave_cgroups(&leave);
            ThreadCounts::default()
        }
    };
    counts.add(&read_own_thread().since(&before));
    let mut out = std::io::stdout();
    writeln!(out, "{}", counts.to_json())?;
    Ok(())
}

fn join_cgroups(files: &[PathBuf]) -> Result<()> {
    // A slice belongs to the cgroup in which it ends: the one before ends here.
    std::thread::sleep(Duration::from_millis(1));
    for procs in files {
        fs::write(procs, "0").with_context(|| format!("cannot join {}", procs.display()))?;
    }
    Ok(())
}

fn leave_cgroups(files: &[PathBuf]) {
    join_cgroups(files).expect("the cgroups to leave for");
}

/// Where threads wait for each other before they are counted, outside of the cgroups that they worked
/// in.
struct End {
    all_done: Barrier,
    leave: Vec<PathBuf>,
}

impl End {
    fn new(threads: usize, leave: Vec<PathBuf>) -> Arc<Self> {
        let all_done = Barrier::new(threads);
        Arc::new(Self { all_done, leave })
    }

    /// What the kernel counted of the calling thread, when all are done.
    fn count(&self) -> ThreadCounts {
        if self.all_done.wait().is_leader() {
            leave_cgroups(&self.leave);
        }
        self.all_done.wait();
        read_own_thread()
    }
}

fn join_all(threads: Vec<JoinHandle<ThreadCounts>>) -> ThreadCounts {
    let mut sum = ThreadCounts::default();
    for thread in threads {
        sum.add(&thread.join().expect("a thread of this workload"));
    }
    sum
}

fn busy(cpu: usize, time: Duration, end: &Arc<End>) -> JoinHandle<ThreadCounts> {
    let end = Arc::clone(end);
    std::thread::spawn(move || {
        pin(cpu);
        let start = Instant::now();
        while start.elapsed() < time {
            std::hint::spin_loop();
        }
        end.count()
    })
}

fn doze(cpu: usize, time: Duration, end: &Arc<End>) -> JoinHandle<ThreadCounts> {
    let end = Arc::clone(end);
    std::thread::spawn(move || {
        pin(cpu);
        let start = Instant::now();
        while start.elapsed() < time {
            std::thread::sleep(Duration::from_millis(1));
            let awake = Instant::now();
            while awake.elapsed() < Duration::from_micros(20) {
                std::hint::spin_loop();
            }
        }
        end.count()
    })
}

fn print_gaps(cpu: usize, time: Duration, sleep: Duration) -> Result<()> {
    pin(cpu);
    let now = || clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from);
    let start = now()?;
    let mut gaps = Vec::new();
    let mut last = start;
    while last.saturating_sub(start) < time {
        if !sleep.is_zero() {
            std::thread::sleep(sleep);
        }
        let next = now()?;
        if next.saturating_sub(last) >= Duration::from_millis(1) {
            gaps.push((last, next));
        }
        last = next;
    }
    let mut out = std::io::stdout();
    for (from, to) in gaps {
        writeln!(out, "{} {}", from.as_nanos(), to.as_nanos())?;
    }
    Ok(())
}

/// Two busy threads share a CPU; a third thread moves one of them to the other CPU and back, so that
/// it is often waiting when it is moved.
fn migrate(time: Duration, leave: Vec<PathBuf>) -> ThreadCounts {
    use nix::{sched::CpuSet, sched::sched_setaffinity, unistd::Pid};

    let (send, receive) = std::sync::mpsc::sync_channel(1);
    let end = End::new(3, leave);
    let wanderer_end = Arc::clone(&end);
    let wanderer = std::thread::spawn(move || {
        pin(0);
        send.send(nix::unistd::gettid()).expect("the mover listens");
        let start = Instant::now();
        while start.elapsed() < time {
            std::hint::spin_loop();
        }
        wanderer_end.count()
    });
    let residents: Vec<_> = (0..2).map(|cpu| busy(cpu, time, &end)).collect();
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

/// In a mount namespace of its own, so that nobody else misses the types.
fn hide_kernel_types(program: &[OsString]) -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let nothing = None::<&Path>;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(nothing, "/", nothing, private, nothing)?;
    let types = Path::new("/sys/kernel/btf");
    mount(nothing, types, Some("tmpfs"), MsFlags::empty(), nothing)
        .with_context(|| format!("cannot hide {}", types.display()))?;
    let error = Command::new(&program[0]).args(&program[1..]).exec();
    Err(error).with_context(|| format!("cannot become {}", Path::new(&program[0]).display()))
}

/// CPU time of this process so far.
fn own_cpu_time() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?.into())
}

/// Memory that was touched, and is kept until this is dropped.
fn allocate(mebibytes: usize) -> Vec<Vec<u8>> {
    let touched = |_| {
        let mut block = vec![0_u8; 1 << 20];
        for page in block.chunks_mut(4096) {
            page[0] = 1;
        }
        std::hint::black_box(block)
    };
    (0..mebibytes).map(touched).collect()
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
