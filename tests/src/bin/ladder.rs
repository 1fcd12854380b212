//! What a context switch costs with nothing, an empty program, ours, the whole daemon, and `runqlat`.
//!
//! Two threads on one CPU hand a byte back and forth through pipes, so that every hand-over is a
//! switch. The rungs take turns, round after round, so that a machine whose speed drifts slows all of
//! them alike; medians and ratios are printed.
#![expect(clippy::print_stdout, reason = "its output")]

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use collector::{
    attach::{AttachPlan, Attached, Entry, Hook, LoadSettings, Program, SignalPlan},
    drain::Drainer,
    host::support::KernelSupport,
};
use collector_common::signal::Signal;
use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::signal::{Signal as UnixSignal, kill},
    unistd::Pid,
};

/// The CPU that the switches happen on.
const CPU: usize = 1;

/// Hand-overs per measurement: some 0.2 s.
const HAND_OVERS: u32 = 50_000;

/// How often each rung is measured.
const ROUNDS: usize = 9;

/// A rung of the ladder: what runs while the switches are measured.
enum Rung {
    Nothing,
    Floor,
    Sched,
    RawSched,
    Daemon(PathBuf),
    Runqlat(PathBuf),
}

/// Keeps what a rung started.
enum Running {
    Nothing,
    Programs(#[expect(dead_code, reason = "held, not read")] Box<Drainer>),
    Process(Child),
}

fn main() -> Result<()> {
    let mut rungs = vec![Rung::Nothing, Rung::Floor, Rung::Sched, Rung::RawSched];
    match std::env::args().nth(1) {
        Some(daemon) => rungs.push(Rung::Daemon(daemon.into())),
        None => println!("(give the path of cgscope to measure the whole daemon too)"),
    }
    match collector_tests::runqlat() {
        Some(path) => rungs.push(Rung::Runqlat(path)),
        None => println!("(Debian's libbpf-tools is not installed: no runqlat to compare with)"),
    }
    let mut measured = vec![Vec::new(); rungs.len()];
    for _ in 0..ROUNDS {
        for (rung, times) in rungs.iter().zip(&mut measured) {
            let running = rung.start()?;
            times.push(measure_switch()?);
            running.stop()?;
        }
    }
    print(&rungs, measured);
    Ok(())
}

fn print(rungs: &[Rung], measured: Vec<Vec<f64>>) {
    let medians: Vec<f64> = measured.into_iter().map(median).collect();
    let nothing = medians[0];
    let peer = rungs
        .iter()
        .position(|rung| matches!(rung, Rung::Runqlat(_)));
    let peer_added = peer.map(|index| medians[index] - nothing);
    println!(
        "{:<28} {:>10} {:>10} {:>12}",
        "rung", "ns/switch", "added ns", "of runqlat's"
    );
    for (rung, ns) in rungs.iter().zip(&medians) {
        let added = ns - nothing;
        let ratio = match peer_added {
            Some(peer) if peer > 0.0 => format!("{:.2}", added / peer),
            _ => "-".to_owned(),
        };
        println!("{:<28} {ns:>10.0} {added:>10.0} {ratio:>12}", rung.name());
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

impl Rung {
    fn name(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Floor => "empty program",
            Self::Sched => "sched program",
            Self::RawSched => "its raw entry (no kernel BTF)",
            Self::Daemon(_) => "whole daemon",
            Self::Runqlat(_) => "runqlat (libbpf-tools)",
        }
    }

    fn start(&self) -> Result<Running> {
        let running = match self {
            Self::Nothing => Running::Nothing,
            Self::Floor => attach(|plan| {
                plan.signals = vec![(
                    Signal::Sched,
                    SignalPlan::On {
                        programs: vec![Program {
                            name: "sched_floor",
                            hook: Hook::Tracepoint("sched_switch"),
                            optional: None,
                        }],
                        with: Vec::new(),
                        without: Vec::new(),
                    },
                )];
            })?,
            Self::Sched => attach(|_| {})?,
            Self::RawSched => attach(|plan| plan.entry = Entry::Raw)?,
            Self::Daemon(path) => {
                let folder = std::env::temp_dir();
                let mut daemon = Command::new(path);
                daemon.args(["run", "--listen", "127.0.0.1:19464", "--log", "error"]);
                daemon
                    .arg("--lock-file")
                    .arg(folder.join("cgscope-ladder.lock"));
                Running::Process(daemon.spawn().context("cannot start the daemon")?)
            }
            Self::Runqlat(path) => {
                let mut runqlat = Command::new(path);
                runqlat
                    .args(["1000", "1"])
                    .stdout(Stdio::null())
                    .stderr(Stdio::null());
                Running::Process(runqlat.spawn().context("cannot start runqlat")?)
            }
        };
        // Time to load and attach.
        std::thread::sleep(Duration::from_millis(1200));
        Ok(running)
    }
}

impl Running {
    fn stop(self) -> Result<()> {
        if let Self::Process(mut child) = self {
            kill(Pid::from_raw(child.id().try_into()?), UnixSignal::SIGINT)?;
            child.wait()?;
        }
        Ok(())
    }
}

/// The sched program alone, its batches going into a ring that nobody empties.
fn attach(change: impl FnOnce(&mut AttachPlan)) -> Result<Running> {
    let support = KernelSupport::probe(None);
    let mut plan = AttachPlan::from_support(
        &support,
        Some(collector_tests::observe::task_hierarchy()),
        &BTreeSet::from([Signal::Sched]),
    );
    change(&mut plan);
    let settings = LoadSettings {
        samples_ring_bytes: 16 << 20,
        events_ring_bytes: 1 << 20,
        log: false,
        own_cgroup: None,
    };
    let attached = Attached::new(&plan, settings)?;
    for (signal, state) in &attached.signals {
        anyhow::ensure!(*signal != Signal::Sched || state.is_on(), "{state:?}");
    }
    Ok(Running::Programs(Box::new(Drainer::new(attached)?)))
}

/// Nanoseconds per switch.
fn measure_switch() -> Result<f64> {
    let (mut to_other, mut from_here) = {
        let (reader, writer) = std::io::pipe()?;
        (writer, reader)
    };
    let (mut from_other, mut to_here) = std::io::pipe()?;
    let other = std::thread::spawn(move || -> Result<()> {
        pin()?;
        let mut byte = [0];
        for _ in 0..HAND_OVERS {
            from_here.read_exact(&mut byte)?;
            to_here.write_all(&byte)?;
        }
        Ok(())
    });
    pin()?;
    let mut byte = [0];
    let start = Instant::now();
    for _ in 0..HAND_OVERS {
        to_other.write_all(&byte)?;
        from_other.read_exact(&mut byte)?;
    }
    let elapsed = start.elapsed();
    other.join().ok().context("the other thread failed")??;
    Ok(elapsed.as_secs_f64() * 1e9 / f64::from(2 * HAND_OVERS))
}

fn pin() -> Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(CPU)?;
    sched_setaffinity(Pid::from_raw(0), &cpus)?;
    Ok(())
}
