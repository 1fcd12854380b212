//! Nothing is lost silently: what the programs observed is what arrived, plus what is counted as lost.

use std::time::Duration;

use collector::{reconcile::snapshot::SignalAccount, window::LossReason};
use collector_common::signal::{KernelLoss, Signal};
use collector_tests::{
    is_emulated,
    observe::{Observation, Settings},
    switching::ping_pong,
};

fn lost(account: &SignalAccount, reason: LossReason) -> u64 {
    account
        .lost
        .iter()
        .find(|(of, _)| *of == reason)
        .expect("every reason is listed")
        .1
}

fn all_lost(account: &SignalAccount) -> u64 {
    account.lost.iter().map(|(_, events)| events).sum()
}

/// Switches on all CPUs of the host, as the kernel counts them.
fn kernel_switches() -> u64 {
    use procfs::CurrentSI as _;
    procfs::KernelStats::current().expect("/proc/stat").ctxt
}

/// What the samples ring holds by default, in switches.
const RING_SAMPLES: u32 = (4 << 20) / 32;

#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn as_float(count: u64) -> f64 {
    count as f64
}

#[test]
fn two_cores_switching_as_fast_as_they_can_lose_nothing() {
    let observation = Observation::start(Settings::default());
    let before = kernel_switches();
    let time = Duration::from_secs(if is_emulated() { 3 } else { 10 });
    let threads: Vec<_> = (0..2).map(|cpu| ping_pong(cpu, time)).collect();
    let handed: u64 = threads
        .into_iter()
        .map(|thread| thread.join().unwrap().arrivals)
        .sum();
    let switches = kernel_switches() - before;
    let (seen, accounts) = observation.finish();
    let sched = &accounts[Signal::Sched as usize];

    assert!(
        handed > 100_000,
        "only {handed} switches: nothing was put to the test"
    );
    // An emulated machine can keep the drain itself from running until the ring is full.
    let ring_time = time.mul_f64(f64::from(RING_SAMPLES) / as_float(sched.observed));
    if seen.longest_pause < ring_time / 2 {
        assert_eq!(all_lost(sched), 0, "{sched:?}");
    } else {
        println!(
            "note: {} lost, as nothing was drained for {:?}, and the ring holds {ring_time:?}",
            all_lost(sched),
            seen.longest_pause
        );
    }
    assert_eq!(
        sched.observed,
        sched.recorded + all_lost(sched) + sched.in_flight,
        "{sched:?}"
    );
    assert_eq!(sched.recorded, seen.sched.len() as u64);
    // The two readings of /proc/stat are not the moments of attaching and detaching, and under this
    // load the kernel's sum over the CPUs is off by some 10 in 7 million itself.
    let (observed, counted) = (sched.observed, switches);
    assert!(
        observed.abs_diff(counted) < counted / 10_000 + 500,
        "{observed} and {counted}"
    );
}

#[test]
fn a_ring_too_small_loses_exactly_what_it_says() {
    let observation = Observation::start(Settings {
        samples_ring_bytes: 16 << 10,
        drain_interval: Duration::from_millis(200),
        ..Settings::default()
    });
    let handed = ping_pong(1, Duration::from_secs(3))
        .join()
        .unwrap()
        .arrivals;
    let (seen, accounts) = observation.finish();
    let sched = &accounts[Signal::Sched as usize];
    let ring_full = lost(sched, LossReason::Kernel(KernelLoss::RingFull));

    assert!(
        handed > 10_000,
        "only {handed} switches: the ring was not put to the test"
    );
    assert!(ring_full > handed / 4, "{sched:?}");
    assert_eq!(ring_full, all_lost(sched), "{sched:?}");
    assert_eq!(sched.recorded, seen.sched.len() as u64);
    assert_eq!(sched.observed, sched.recorded + ring_full + sched.in_flight);
    // What is on its way is at most what the batches hold.
    assert!(sched.in_flight <= 2 * 64, "{sched:?}");
}
