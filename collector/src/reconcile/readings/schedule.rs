//! When a cgroup is read: soon after it was made, then ever less often, then once in an interval, at
//! its own place in it.

use std::time::Duration;

use crate::host::clock::Ktime;

/// A new cgroup is read first at this age: by then a runtime has put the process in, and one that
/// lives for 20 ms has its first reading.
pub(super) const FIRST_AGE: Duration = Duration::from_millis(10);

/// And again at this many times its age, until that is longer than the interval. So of a cgroup that
/// was removed before it could be read a last time, at least a quarter of its life was; and one start
/// takes five readings more. 50 starts in a second are 250 readings.
const GROWTH: u32 = 4;

/// An interval has this many places: readings in one of them are taken in a row, for one wakeup. Of 1,000
/// cgroups these are 50, which take some milliseconds.
const PLACES: u64 = 20;

/// Once the last process has left it is read at once, and again after these: when its last slice is in the
/// kernel's figures ([`LAST_SLICE`](super::at_end::LAST_SLICE)), before a runtime is done with it; and when
/// that holds on a host whose CPUs stand still now and then, if it is there for so long.
pub(super) const SETTLED_AFTER: [Duration; 2] =
    [Duration::from_micros(1_500), Duration::from_millis(12)];

/// Where in the interval the `n`th cgroup is read. However many there are, in whatever order they
/// come and go, they are spread evenly: the fractions of multiples of the golden ratio are.
pub(super) fn place(n: u64, interval: Duration) -> Duration {
    // The golden ratio's fraction, of 2^64.
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let fraction = u128::from(n.wrapping_mul(STEP));
    let place = (fraction * u128::from(PLACES)) >> 64;
    let nanoseconds = interval.as_nanos() * place / u128::from(PLACES);
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0))
}

/// When a cgroup is read for the first time.
pub(super) fn first(since: Ktime, is_new: bool) -> Ktime {
    if is_new {
        Ktime(since.0 + FIRST_AGE)
    } else {
        since
    }
}

/// When it is read next, after a reading at `now`.
pub(super) fn next(
    now: Ktime,
    since: Ktime,
    is_new: bool,
    place: Duration,
    interval: Duration,
) -> Ktime {
    let at_place = at_place(now, place, interval);
    let age = now.0.saturating_sub(since.0).max(FIRST_AGE);
    if is_new && age < interval {
        let grown = Ktime(since.0.saturating_add(age.saturating_mul(GROWTH)));
        return grown.min(at_place);
    }
    at_place
}

/// The next time that this place of the interval comes.
fn at_place(now: Ktime, place: Duration, interval: Duration) -> Ktime {
    let interval_ns = interval.as_nanos().max(1);
    // A place is less than an interval, so that this is not below zero.
    let since_place = now.0.as_nanos() + interval_ns - place.as_nanos().min(interval_ns);
    let passed = since_place % interval_ns;
    let left = u64::try_from(interval_ns - passed).unwrap_or(u64::MAX);
    Ktime(now.0.saturating_add(Duration::from_nanos(left)))
}
