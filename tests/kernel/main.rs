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

/// Whether `measured` is within `share` of `expected`.
fn within(measured: u64, expected: u64, share: f64) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "a comparison to a few percent")]
    let (measured, expected) = (measured as f64, expected as f64);
    (measured - expected).abs() <= expected * share
}
