//! Who waits for a CPU, for how long, and who holds it?
//!
//! One program on `sched_switch`, no map of start times: the kernel has noted when `next` was queued
//! (`sched_info.last_queued`), and this CPU's previous switch is when `prev` began to run.
//!
//! * **A wait** is from the moment a task is put on the run queue, by a wakeup or because it lost
//!   the CPU, to the moment it gets that CPU. It is what the kernel adds to `run_delay` of
//!   `/proc/<tid>/schedstat`, plus the clock skip below. A task that is moved to another run queue
//!   while it waits is queued anew there: its sample is the last leg, and the legs before are in
//!   `run_delay` alone.
//! * **A slice** is from this CPU's previous switch to this one. `sched_info.last_arrival` would be
//!   the kernel's own note of its start, but it is left untouched when a task is resumed that was
//!   preempted just before it went to sleep (its state no longer running, so never queued): the
//!   slice would then hold the time that it was off the CPU.
//! * **Clock skip**: when a wakeup asks for a switch, the scheduler skips the update of the run
//!   queue's clock, so the wait reads 0 however late the switch comes. The flag that asked for it
//!   (`RQCF_ACT_SKIP`) is cleared before the tracepoint on newer kernels, so a skip is told by that 0,
//!   or by the idle task being the one that leaves: only a wakeup makes it. Then the time is taken
//!   from ktime ([`clock`]). When a busy CPU's skip was for another task than the one picked, the gap is
//!   not seen: it goes to the slice of `next` instead of its wait.

use collector_common::{sample::SchedSample, signal::Signal};

use crate::{
    batch::{self, SchedBatch},
    clock,
    entry::{Arguments, on_tracepoint},
    kernel_types::{Task, has_prev_state_arg},
    throttle,
};

on_tracepoint!("sched_switch", sched_switch, sched_switch_raw, switch);

#[inline(always)]
fn switch(arguments: &Arguments) -> i32 {
    let Some(cpu) = batch::cpu_state() else {
        return 0;
    };
    batch::count_observed(cpu, Signal::Sched);

    let preempted = arguments.number(0);
    let prev = Task(arguments.pointer(1));
    let next = Task(arguments.pointer(2));

    // SAFETY: the state is this CPU's own, and `sched_switch` runs with interrupts off.
    let clock_state = unsafe { &mut (*cpu).clock };
    let run_queue_now = next.cfs_run_queue().run_queue().clock();
    let (prev_is_idle, next_is_idle) = (prev.is_idle(), next.is_idle());
    let queued = if next_is_idle { 0 } else { next.last_queued() };
    let skip = if queued == run_queue_now || (prev_is_idle && !next_is_idle) {
        clock::skipped(clock_state, run_queue_now)
    } else {
        clock::calibrate(clock_state, run_queue_now);
        0
    };
    let now = run_queue_now.wrapping_add(skip);
    let slice_start = clock_state.last_switch_ns;
    clock_state.last_switch_ns = now;

    let mut flags = 0;
    let (mut next_cgroup, mut wait) = (0, 0);
    // The skip, or which share of the wait was throttled: beside a throttle, a skip is nothing.
    let mut skip_or_share = skip;
    if next_is_idle {
        flags |= SchedSample::FLAG_NEXT_IDLE;
    } else {
        next_cgroup = next.cgroup_id();
        if next.is_kernel_thread() {
            flags |= SchedSample::FLAG_NEXT_KTHREAD;
        }
        if queued == 0 {
            flags |= SchedSample::FLAG_NO_WAIT;
        } else {
            wait = now.wrapping_sub(queued);
            if wait >> SchedSample::WAIT_BITS != 0 {
                flags |= SchedSample::FLAG_NO_WAIT | SchedSample::FLAG_NEGATIVE;
                wait = 0;
            } else {
                let throttled = throttle::throttled_part(next, queued, now);
                if throttled != 0 {
                    flags |= SchedSample::FLAG_THROTTLED;
                    skip_or_share = SchedSample::throttled_share(throttled, wait);
                }
            }
        }
    }

    // Before this CPU's first switch there is only the kernel's note.
    let start = if slice_start == 0 && !prev_is_idle {
        prev.last_arrival()
    } else {
        slice_start
    };
    let mut slice = now.wrapping_sub(start);
    let is_overlong = slice >> SchedSample::SLICE_BITS != 0;
    if start == 0 || is_overlong {
        flags |= SchedSample::FLAG_NO_SLICE;
        slice = 0;
    }
    let mut prev_cgroup = 0;
    if prev_is_idle {
        // The time tells when the sample was taken, and nothing else.
        flags |= SchedSample::FLAG_PREV_IDLE;
    } else {
        prev_cgroup = prev.cgroup_id();
        throttle::note_departure(cpu, prev, now);
        // `preempted` alone is not enough: a task that yields is still runnable.
        let blocked = if has_prev_state_arg() {
            arguments.number(3)
        } else {
            prev.state()
        };
        if preempted as u8 != 0 || blocked == 0 {
            flags |= SchedSample::FLAG_INVOLUNTARY;
        }
        if start != 0 && is_overlong {
            flags |= SchedSample::FLAG_NEGATIVE;
        }
    }

    let place = batch::next_place::<SchedBatch>(cpu);
    // SAFETY: the place is in the batch, in this CPU's own state.
    unsafe {
        *place = SchedSample {
            next_cgroup,
            prev_cgroup,
            wait_and_flags: wait | flags,
            slice_and_share: slice | skip_or_share << SchedSample::SLICE_BITS,
        }
    };
    batch::commit::<SchedBatch>(cpu, now);
    0
}
