//! What time is it on a run queue whose clock has not been updated?
//!
//! The run queue's clock and ktime tell the same time but for a distance, which drifts as ktime is
//! steered to true time: by some millionths usually, by 500 at most in the kernel's own loop. So the
//! distance is read now and then when the run queue's clock is fresh, its drift is measured over a
//! second, and in between it is projected. Readings are late by what passes between the clock's update
//! and the program, and by much when a hypervisor takes the CPU just then: the smallest of the latest
//! ones is taken. The time told is rather early than late.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use collector_common::{
    cpu::{CLOCK_READINGS, ClockReading, ClockState},
    sample::SchedSample,
};

/// How often the distance is read. More often costs a clock read more; less often lets an error of
/// the drift grow longer.
const READ_NS: u64 = 100_000;

/// How old a reading may be to be compared: ktime may have been steered anew since.
const LATE_NS: u64 = 1 << 26;

/// Over what time the drift is measured: readings differ by some 100 ns, so to a millionth.
const DRIFT_NS: u64 = 1 << 30;

/// The unit of the drift.
const DRIFT_SHIFT: u32 = 20;

/// A drift of an eighth is none of a clock, but a jump.
const JUMP_SHIFT: u32 = 3;

/// How much more than projected the distance may be, as a share of the time passed: 1/1024 before the
/// drift is known, which is more than ktime is ever steered by, then 1/32768.
const UNKNOWN_DRIFT_SHIFT: u32 = 10;
const KNOWN_DRIFT_SHIFT: u32 = 15;

/// Reads the distance, unless it was read lately. `run_queue_now` is fresh.
#[inline(always)]
pub fn calibrate(clock: &mut ClockState, run_queue_now: u64) {
    if run_queue_now.wrapping_sub(clock.best.at_ns) <= READ_NS {
        return;
    }
    // SAFETY: a helper without preconditions.
    let distance_ns = unsafe { bpf_ktime_get_ns() }.wrapping_sub(run_queue_now);
    let newest = clock.newest.wrapping_add(1) & (CLOCK_READINGS as u64 - 1);
    clock.newest = newest;
    clock.readings[newest as usize] = ClockReading {
        at_ns: run_queue_now,
        distance_ns,
    };
    clock.best = ClockReading {
        at_ns: run_queue_now,
        distance_ns: smallest_distance(clock, run_queue_now, distance_ns),
    };
    if run_queue_now.wrapping_sub(clock.anchor.at_ns) > DRIFT_NS {
        measure_drift(clock);
    }
}

/// The smallest distance that the readings of late speak for.
#[inline(always)]
fn smallest_distance(clock: &ClockState, run_queue_now: u64, newest_ns: u64) -> u64 {
    let mut smallest = newest_ns;
    for reading in clock.readings {
        let projected = project(clock, reading, run_queue_now);
        let is_late = run_queue_now.wrapping_sub(reading.at_ns) < LATE_NS;
        if is_late && (projected.wrapping_sub(smallest) as i64) < 0 {
            smallest = projected;
        }
    }
    smallest
}

#[inline(always)]
fn measure_drift(clock: &mut ClockState) {
    let ClockReading { at_ns, distance_ns } = clock.best;
    let passed = at_ns.wrapping_sub(clock.anchor.at_ns);
    let grown = distance_ns.wrapping_sub(clock.anchor.distance_ns) as i64;
    let is_steady = clock.anchor.at_ns != 0 && grown.unsigned_abs() < passed >> JUMP_SHIFT;
    if is_steady {
        // The instruction set has no signed division before version 4; nothing has ever passed in no
        // time.
        let rate = (grown.unsigned_abs() << DRIFT_SHIFT)
            .checked_div(passed)
            .unwrap_or(0);
        clock.drift = if grown < 0 { rate.wrapping_neg() } else { rate };
    }
    clock.drift_known = u64::from(is_steady);
    clock.anchor = clock.best;
}

/// How far the run queue's clock is behind; 0 when it is not, or before the first reading.
#[inline(always)]
pub fn skipped(clock: &ClockState, run_queue_now: u64) -> u64 {
    if clock.best.at_ns == 0 {
        return 0;
    }
    // SAFETY: a helper without preconditions.
    let now = unsafe { bpf_ktime_get_ns() }.wrapping_sub(project(clock, clock.best, run_queue_now));
    let skip = now.wrapping_sub(run_queue_now);
    if (skip as i64) < 0 {
        0
    } else {
        skip.min(SchedSample::MAX_SKIP_NS)
    }
}

/// What the distance of a reading has become by `run_queue_now`.
#[inline(always)]
fn project(clock: &ClockState, reading: ClockReading, run_queue_now: u64) -> u64 {
    let age = run_queue_now.wrapping_sub(reading.at_ns);
    if clock.drift_known == 0 {
        return reading.distance_ns.wrapping_add(age >> UNKNOWN_DRIFT_SHIFT);
    }
    let drifted = (age.wrapping_mul(clock.drift) as i64) >> DRIFT_SHIFT;
    reading
        .distance_ns
        .wrapping_add(drifted as u64)
        .wrapping_add(age >> KNOWN_DRIFT_SHIFT)
}
