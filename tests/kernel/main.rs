//! The kernel programs on the running kernel, against what the kernel itself counts.

mod block_io;
mod cgroup_life;
mod cgroupfs;
mod identity;
mod loss;
mod oom;
mod sched;
mod slow;
mod throttle;
mod vsock;

use std::time::Duration;

/// Whether `measured` is within `share` of `expected`.
fn within(measured: u64, expected: u64, share: f64) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "a comparison to a few percent")]
    let (measured, expected) = (measured as f64, expected as f64);
    (measured - expected).abs() <= expected * share
}

/// Asserts that slices add up to what the kernel says was run, within `share`. What was stolen meanwhile can be in
/// the slices.
fn assert_ran(slices_ns: u64, run_ns: u64, share: f64, stolen: Duration) {
    let (slices, run) = (
        Duration::from_nanos(slices_ns),
        Duration::from_nanos(run_ns),
    );
    let range = run.mul_f64(1.0 - share)..=run.mul_f64(1.0 + share) + stolen;
    assert!(
        range.contains(&slices),
        "{slices:?}, not {run:?} ({stolen:?} stolen)"
    );
}
