//! Two threads that make a CPU switch as fast as it can.

use std::{
    io::{Read as _, Write as _},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

use crate::thread_counts::{ThreadCounts, read_own_thread};

/// Pins the calling thread.
pub fn pin(cpu: usize) {
    let mut cpus = CpuSet::new();
    cpus.set(cpu).expect("a CPU number");
    sched_setaffinity(Pid::from_raw(0), &cpus).expect("the CPU is there");
}

/// Hands a byte back and forth between two new threads of `cpu` for `time`: every hand-over is a
/// switch. What the kernel counted of the two, all their lives.
#[must_use]
pub fn ping_pong(cpu: usize, time: Duration) -> JoinHandle<ThreadCounts> {
    ping_pong_until(cpu, time, || ())
}

/// The same; `at_end` is called when the last byte is back, before the threads are counted.
#[must_use]
pub fn ping_pong_until(
    cpu: usize,
    time: Duration,
    at_end: impl FnOnce() + Send + 'static,
) -> JoinHandle<ThreadCounts> {
    let (mut from_here, mut to_other) = std::io::pipe().expect("a pipe");
    let (mut from_other, mut to_here) = std::io::pipe().expect("a pipe");
    let other = std::thread::spawn(move || {
        pin(cpu);
        let mut byte = [0];
        // Ends when the first thread drops its end.
        while from_here.read_exact(&mut byte).is_ok() {
            if to_here.write_all(&byte).is_err() {
                break;
            }
        }
        read_own_thread()
    });
    std::thread::spawn(move || {
        pin(cpu);
        let mut byte = [0];
        let start = Instant::now();
        while start.elapsed() < time {
            for _ in 0..100 {
                to_other.write_all(&byte).expect("the other thread reads");
                from_other
                    .read_exact(&mut byte)
                    .expect("the other thread answers");
            }
        }
        at_end();
        drop(to_other);
        let mut counts = other.join().expect("the other thread ends");
        counts.add(&read_own_thread());
        counts
    })
}
