//! How much of a wait was the cgroup's own CPU bandwidth limit?
//!
//! A task that waits because its cgroup, or one above it, has used up its quota is nobody's victim.
//! The kernel notes this for each cgroup on each CPU and not for the task, and no tracepoint tells when
//! a limit begins or ends to bite. But it always begins before a switch away from a task of the
//! cgroup, and it has ended when a task of the cgroup gets the CPU again. So the switch notes the
//! beginning, the next arrival adds the end, and a wait is compared with the last intervals of its
//! cgroup on this CPU.
//!
//! * **The end** is exact where the kernel adds up the time itself (`throttled_clock_self_time`, since
//!   6.6, commit 677ea015f231). Before, the interval of a task that was queued all along is held to last
//!   until its arrival, so that what it waits for the CPU just after its quota is renewed counts as the
//!   limit's too; for others the kernel's sum is taken, whose clock is near to ours. On kernels that
//!   throttle each task by itself (since 6.18) one can get the CPU while the limit still bites, to work
//!   in the kernel: its wait until then is contention.
//! * **A cgroup that queued but did not run** when a limit above it began to bite has no switch of its
//!   own: its interval is told, at its next arrival, from how much the kernel's sum has grown since the
//!   last one. Since 6.6 that is the time in which tasks of it waited. Before, it can lie before the
//!   wait: if it is more than the wait, the time from the last look to the wait is taken off.
//! * **Whose interval it is**: that of the cgroup which the kernel schedules. Cgroups of v2 without a
//!   `cpu` controller of their own are scheduled as the one above them, and share its intervals.
//! * **Bounds**: each CPU remembers [`SLOTS`] cgroups with [`INTERVALS`] intervals each. What is
//!   forgotten too early counts as contention, and forgetting an interval under way is counted.
//!
//! This memory is the one exception to the rule that programs keep no state. A cgroup that never met a
//! limit costs a load and a comparison a switch, and is not in it.

use aya_ebpf::{macros::map, maps::PerCpuArray};
use collector_common::cpu::CpuState;

use crate::kernel_types::{Task, knows_throttling, throttled_time_is_exact};

/// How many cgroups a CPU remembers. More cost 296 bytes each on every CPU; fewer forget sooner when
/// many limits bite at once.
const SLOTS: u32 = 1 << SLOT_BITS;
const SLOT_BITS: u32 = 7;

/// In how many of them a cgroup can be. More find room for longer; fewer are quicker to look through.
const WAYS: u32 = 4;

/// How many intervals of a cgroup: a wait over more periods of its quota than this counts the older
/// ones as contention.
const INTERVALS: usize = 16;

/// No limit bites for longer: a quota is renewed every second at least, and what a cgroup ran over it is
/// paid back in a few.
const LONGEST_NS: u64 = 1 << 33;

/// The cgroups whose limit has bitten on this CPU. Written and read here.
#[map]
static THROTTLES: PerCpuArray<Throttle> = PerCpuArray::with_max_entries(SLOTS, 0);

/// What a CPU remembers of a cgroup.
#[repr(C)]
struct Throttle {
    /// The id of the cgroup that is scheduled, in the task hierarchy; 0 in a free place.
    cgroup: u64,
    /// The kernel's sum of its throttled time, when it was last looked at.
    total_ns: u64,
    /// When that was, rq clock.
    looked_ns: u64,
    /// When the interval under way began, rq clock; 0 when none is.
    since_ns: u64,
    /// The index of the newest interval.
    newest: u64,
    intervals: [Interval; INTERVALS],
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Interval {
    start_ns: u64,
    end_ns: u64,
}

/// Looks whether the limit bites as `prev` leaves the CPU.
#[inline(always)]
pub fn note_departure(cpu: *mut CpuState, prev: Task, now: u64) {
    if !knows_throttling() {
        return;
    }
    let queue = prev.cfs_run_queue();
    let since_ns = queue.throttled_since(now);
    if since_ns != 0 {
        note_start(
            cpu,
            queue.cgroup_id(),
            queue.throttled_time(),
            since_ns,
            now,
        );
    }
}

#[inline(always)]
fn note_start(cpu: *mut CpuState, cgroup: u64, total_ns: u64, since_ns: u64, now: u64) {
    if let Some(throttle) = find(cgroup) {
        // Several tasks can leave the CPU in the same interval.
        if throttle.since_ns == 0 || throttle.total_ns != total_ns {
            throttle.total_ns = total_ns;
            throttle.looked_ns = now;
            throttle.since_ns = since_ns;
        }
    } else if let Some(throttle) = room(cgroup, now) {
        settle(throttle, cgroup, total_ns, now);
        throttle.since_ns = since_ns;
    } else {
        // Others are still throttled: the wait that begins here will count as contention.
        // SAFETY: the state is this CPU's own.
        unsafe { (*cpu).throttles_forgotten += 1 };
    }
}

/// How much of the wait of `next`, queued at `queued` and on the CPU at `now`, was its limit, ns.
#[inline(always)]
pub fn throttled_part(next: Task, queued: u64, now: u64) -> u64 {
    if !knows_throttling() {
        return 0;
    }
    let queue = next.cfs_run_queue();
    let total_ns = queue.throttled_time();
    if total_ns == 0 {
        return 0;
    }
    let cgroup = queue.cgroup_id();
    let Some(throttle) = find(cgroup) else {
        // So that its next interval is told even if it begins without a switch.
        if let Some(throttle) = room(cgroup, now) {
            settle(throttle, cgroup, total_ns, now);
        }
        return 0;
    };
    note_end(throttle, total_ns, queued, now);
    let throttled = overlap(throttle, queued, now);
    // The limit is for the fair class: a real-time task of the cgroup waits for other reasons.
    if throttled == 0 || next.is_real_time() {
        return 0;
    }
    throttled.min(now.wrapping_sub(queued))
}

/// Adds the interval that has ended since the cgroup was last looked at, if one has.
#[inline(always)]
fn note_end(throttle: &mut Throttle, total_ns: u64, queued: u64, now: u64) {
    let looked_ns = throttle.looked_ns;
    throttle.looked_ns = now;
    let length = total_ns.wrapping_sub(throttle.total_ns);
    if length == 0 {
        return;
    }
    let since_ns = throttle.since_ns;
    throttle.total_ns = total_ns;
    throttle.since_ns = 0;
    let (start_ns, end_ns) = if since_ns == 0 {
        let wait = now.wrapping_sub(queued);
        let in_wait = if throttled_time_is_exact() || length <= wait {
            length
        } else {
            // At most all of the time from the last look to the wait was throttled too.
            let before = queued.saturating_sub(looked_ns);
            length.saturating_sub(before).min(wait)
        };
        (now.wrapping_sub(in_wait), now)
    } else if throttled_time_is_exact() || queued > since_ns {
        (since_ns, now.min(since_ns.wrapping_add(length)))
    } else {
        // Queued before, and the first to get the CPU again: all of that was the limit, or just after.
        (since_ns, now)
    };
    let newest = throttle.newest.wrapping_add(1) & (INTERVALS as u64 - 1);
    throttle.newest = newest;
    throttle.intervals[newest as usize] = Interval { start_ns, end_ns };
}

/// How much of the time from `queued` to `now` lies in the cgroup's intervals.
#[inline(always)]
fn overlap(throttle: &Throttle, queued: u64, now: u64) -> u64 {
    let mut sum = 0_u64;
    for back in 0..INTERVALS as u64 {
        let index = throttle.newest.wrapping_sub(back) & (INTERVALS as u64 - 1);
        let interval = throttle.intervals[index as usize];
        // They follow each other, so all that are older have ended before this one.
        if interval.end_ns <= queued {
            break;
        }
        let start = interval.start_ns.max(queued);
        let end = interval.end_ns.min(now);
        sum = sum.wrapping_add(end.saturating_sub(start));
    }
    sum
}

/// Whether a limit is biting. One that began long ago is that of a cgroup whose last task has ended.
#[inline(always)]
fn is_under_way(throttle: &Throttle, now: u64) -> bool {
    throttle.since_ns != 0 && now.wrapping_sub(throttle.since_ns) < LONGEST_NS
}

/// The places where a cgroup can be.
#[inline(always)]
fn places(cgroup: u64) -> impl Iterator<Item = u32> {
    // Ids are small and dense: a multiplication by 2^64 over the golden ratio spreads them.
    let first = (cgroup.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - SLOT_BITS)) as u32;
    (0..WAYS).map(move |way| first ^ way)
}

#[inline(always)]
fn at(place: u32) -> Option<&'static mut Throttle> {
    // SAFETY: the entry is this CPU's own, and `sched_switch` runs with interrupts off.
    THROTTLES
        .get_ptr_mut(place)
        .map(|entry| unsafe { &mut *entry })
}

#[inline(always)]
fn find(cgroup: u64) -> Option<&'static mut Throttle> {
    places(cgroup).find_map(|place| at(place).filter(|throttle| throttle.cgroup == cgroup))
}

/// A place where no limit is biting: a free one, or that of whom was not looked at for the longest time.
#[inline(always)]
fn room(cgroup: u64, now: u64) -> Option<&'static mut Throttle> {
    let mut found: Option<&'static mut Throttle> = None;
    for place in places(cgroup) {
        let throttle = at(place)?;
        if throttle.cgroup == 0 {
            return Some(throttle);
        }
        let is_older = match &found {
            Some(found) => throttle.looked_ns < found.looked_ns,
            None => true,
        };
        if is_older && !is_under_way(throttle, now) {
            found = Some(throttle);
        }
    }
    found
}

/// Makes a place one of `cgroup`.
#[inline(always)]
fn settle(throttle: &mut Throttle, cgroup: u64, total_ns: u64, now: u64) {
    *throttle = Throttle {
        cgroup,
        total_ns,
        looked_ns: now,
        since_ns: 0,
        newest: 0,
        intervals: [Interval {
            start_ns: 0,
            end_ns: 0,
        }; INTERVALS],
    };
}
