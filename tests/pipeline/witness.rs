//! Our run-queue latencies beside those of an independent witness, `runqlat` of libbpf-tools.
//!
//! It measures by other means: its own time stamps at wakeups and switches, in a hash map by thread.
//! Both watch the whole host over the same load; what one of them sees before the other is attached is
//! little beside it.

use std::{
    fs,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use collector_common::sample::SchedSample;
use collector_tests::{
    cgroup::TestCgroup,
    note,
    observe::{Observation, Settings},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Waits by the power of two that their microseconds reach; the first one also has those below 1.
type Slots = [u64; 40];

/// How far the two may be apart in the share of waits below a bound, besides what only one of them
/// saw.
const TOLERANCE: f64 = 0.01;

/// What it attaches: to a wakeup, to the first one, and to a switch.
const PROGRAMS: usize = 3;

fn start_runqlat() -> Child {
    let path = collector_tests::runqlat().expect("Debian's libbpf-tools is installed");
    let child = Command::new(path)
        .arg("1000")
        .stdout(Stdio::piped())
        .spawn()
        .expect("runqlat of Debian's libbpf-tools starts");
    let start = Instant::now();
    while attached_programs(child.id()) < PROGRAMS {
        assert!(
            start.elapsed() < Duration::from_mins(1),
            "runqlat is not attached"
        );
        thread::sleep(Duration::from_millis(50));
    }
    // And to come to its first wait.
    thread::sleep(Duration::from_millis(500));
    child
}

/// Programs that a process has attached: each is a descriptor of its.
fn attached_programs(pid: u32) -> usize {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs");
    descriptors
        .filter_map(|of| fs::read_link(of.ok()?.path()).ok())
        .filter(|of| of.as_os_str() == "anon_inode:bpf_link")
        .count()
}

fn stop_runqlat(child: Child) -> Slots {
    let pid = Pid::from_raw(child.id().try_into().expect("a pid"));
    kill(pid, Signal::SIGINT).expect("it runs");
    let Output { stdout, .. } = child.wait_with_output().expect("it ends");
    let printed = String::from_utf8_lossy(&stdout);
    let mut slots = [0; 40];
    // `     2 -> 3          : 293      |***   |`
    for line in printed.lines() {
        let Some((range, rest)) = line.split_once(':') else {
            continue;
        };
        let Some((low, _)) = range.split_once("->") else {
            continue;
        };
        let low: u64 = low.trim().parse().expect("microseconds");
        let count = rest.split_whitespace().next().expect("a count");
        slots[slot(low)] += count.parse::<u64>().expect("a count");
    }
    slots
}

fn slot(microseconds: u64) -> usize {
    microseconds.max(1).ilog2() as usize
}

/// Watches one load with both.
fn watch(name: &str, work: &[&str]) -> (Slots, Slots) {
    let cgroup = TestCgroup::new(name);
    let observation = Observation::start(Settings::default());
    let runqlat = start_runqlat();
    let _counts = cgroup.run(work);
    let theirs = stop_runqlat(runqlat);
    let (seen, _) = observation.finish();
    let mut ours = [0; 40];
    let without = SchedSample::FLAG_NEXT_IDLE | SchedSample::FLAG_NO_WAIT;
    for sample in &seen.sched {
        if sample.wait_and_flags & without == 0 {
            ours[slot(sample.wait_ns() / 1000)] += 1;
        }
    }
    (ours, theirs)
}

/// The share of the waits up to each slot.
#[expect(clippy::cast_precision_loss, reason = "a comparison to a percent")]
fn shares(slots: &Slots) -> Vec<f64> {
    let all: u64 = slots.iter().sum();
    slots
        .iter()
        .scan(0, |sum, slot| {
            *sum += slot;
            Some(*sum as f64 / all as f64)
        })
        .collect()
}

fn assert_within_a_bucket(ours: &Slots, theirs: &Slots) {
    let (all_ours, all_theirs): (u64, u64) = (ours.iter().sum(), theirs.iter().sum());
    note(&format!(
        "of {all_ours} waits {ours:?}, of runqlat's {all_theirs} {theirs:?}"
    ));
    assert!(
        all_theirs > 1000,
        "only {all_theirs}: nothing was put to the test"
    );
    assert!(
        all_ours.abs_diff(all_theirs) < all_theirs / 10,
        "{all_ours} and {all_theirs} waits"
    );
    #[expect(clippy::cast_precision_loss, reason = "a comparison to a percent")]
    let seen_by_one = all_ours.abs_diff(all_theirs) as f64 / all_theirs as f64;
    let tolerance = TOLERANCE + seen_by_one;
    let (ours, theirs) = (shares(ours), shares(theirs));
    for (slot, theirs) in theirs.iter().enumerate() {
        let a_bucket_less = slot.checked_sub(1).map_or(0.0, |below| ours[below]);
        let a_bucket_more = ours.get(slot + 1).copied().unwrap_or(1.0);
        let range = a_bucket_less - tolerance..=a_bucket_more + tolerance;
        assert!(
            range.contains(theirs),
            "below {} us: {theirs} of theirs, {range:?} of ours",
            2_u64 << slot
        );
    }
}

#[test]
fn busy_loops_that_share_a_cpu_wait_as_runqlat_says() {
    let (ours, theirs) = watch("cgscope-witness-busy", &["busy", "1", "3", "5000"]);
    assert_within_a_bucket(&ours, &theirs);
}

#[test]
fn threads_that_wake_an_idle_cpu_wait_as_runqlat_says() {
    let (ours, theirs) = watch("cgscope-witness-doze", &["doze", "1", "4", "5000"]);
    assert_within_a_bucket(&ours, &theirs);
}

#[test]
fn threads_that_wake_each_other_wait_as_runqlat_says() {
    let (ours, theirs) = watch("cgscope-witness-wake", &["ping-pong", "1", "3000"]);
    assert_within_a_bucket(&ours, &theirs);
}
