//! Both counters of a quantity, and what explains that they differ: nothing more than can be shown to be
//! this container's, or its share of what is known of the whole host.

use std::{cmp::Reverse, sync::Arc, time::Duration};

use crate::host::{
    clock::Ktime,
    host_counters::{CpuTimes, HostCounters},
};

/// Both counters at one moment, and what explains that they differ since another.
#[derive(Clone, Debug, Default)]
pub(super) struct Sides {
    pub(super) events: u64,
    pub(super) kernel: u64,
    /// The host's counters, if time that was taken from tasks is in events and not in the kernel's counter.
    pub(super) taken: Option<Arc<HostCounters>>,
    /// In the kernel's counter and not in events, of the whole host: a container has its share.
    pub(super) fewer: OfHost,
    /// In the kernel's counter and not in events, measured of this container.
    pub(super) fewer_here: u64,
    /// When the kernel's counter was read.
    pub(super) at: Ktime,
    /// How much later that was than what events tell of.
    pub(super) late: Duration,
    /// How many disks it is of: with another number it is another quantity. `None` is of any: nothing was
    /// counted on them yet.
    pub(super) disks: Option<usize>,
}

/// A part of what the whole host counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OfHost {
    pub(super) part: u64,
    pub(super) whole: u64,
}

/// What came between two moments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Growth {
    pub(super) events: u64,
    pub(super) kernel: u64,
    /// So many more can be in events.
    pub(super) more: u64,
    /// So many fewer.
    pub(super) fewer: u64,
}

impl Sides {
    /// What came since `base`; `None` if one of the counters began anew.
    pub(super) fn since(&self, base: &Self) -> Option<Growth> {
        if base.disks.is_some() && base.disks != self.disks {
            return None;
        }
        let events = self.events.checked_sub(base.events)?;
        let kernel = self.kernel.checked_sub(base.kernel)?;
        let taken = match (&base.taken, &self.taken) {
            (Some(base), Some(now)) => most_taken(events, &base.cpus, &now.cpus),
            _ => 0,
        };
        // As much as comes in that time, if it came evenly.
        let time = self.at.0.saturating_sub(base.at.0);
        let within = |late: Duration| {
            let evenly = OfHost {
                part: kernel,
                whole: nanoseconds(time),
            };
            evenly.share_of(nanoseconds(late))
        };
        Some(Growth {
            events,
            kernel,
            more: taken + within(base.late.saturating_sub(self.late)),
            fewer: self.fewer.since(base.fewer).share_of(kernel)
                + self.fewer_here.saturating_sub(base.fewer_here)
                + within(self.late.saturating_sub(base.late)),
        })
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The most that can have been taken from one who had `time` of CPUs: nobody tells which, but of each it had
/// its share and no more, of those where most was taken as of the others.
fn most_taken(time: u64, base: &[CpuTimes], now: &[CpuTimes]) -> u64 {
    let mut cpus: Vec<_> = base
        .iter()
        .zip(now)
        .map(|(base, now)| OfHost {
            part: now.taken_ns.saturating_sub(base.taken_ns),
            whole: now.busy_ns.saturating_sub(base.busy_ns),
        })
        .filter(|cpu| cpu.whole > 0)
        .collect();
    cpus.sort_by_key(|cpu| Reverse(u128::from(cpu.part) * 1_000_000 / u128::from(cpu.whole)));
    let (mut left, mut most) = (time, 0);
    for cpu in cpus {
        let here = left.min(cpu.whole);
        most += cpu.share_of(here);
        left -= here;
    }
    most
}

impl OfHost {
    const fn since(self, base: Self) -> Self {
        Self {
            part: self.part.saturating_sub(base.part),
            whole: self.whole.saturating_sub(base.whole),
        }
    }

    /// What one has of the part who has `of_whole` of the whole: all of it at most.
    fn share_of(self, of_whole: u64) -> u64 {
        let share = u128::from(self.part) * u128::from(of_whole) / u128::from(self.whole.max(1));
        u64::try_from(share).unwrap_or(u64::MAX).min(self.part)
    }
}

impl Growth {
    pub(super) const fn size(&self) -> u64 {
        if self.events > self.kernel {
            self.events
        } else {
            self.kernel
        }
    }

    /// What is not explained; above zero where events have more.
    pub(super) fn unexplained(&self) -> i128 {
        let difference = i128::from(self.events) - i128::from(self.kernel);
        if difference > 0 {
            (difference - i128::from(self.more)).max(0)
        } else {
            (difference + i128::from(self.fewer)).min(0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_has_its_share_of_what_the_host_has_and_no_more() {
        let of = |part, whole| OfHost { part, whole };
        for (host, of_whole, expected) in [
            (of(100, 1_000), 500, 50),
            (of(100, 1_000), 1_000, 100),
            (of(100, 1_000), 5_000, 100),
            (of(100, 0), 7, 100),
            (of(0, 0), 7, 0),
            (of(u64::MAX, u64::MAX), u64::MAX, u64::MAX),
        ] {
            assert_eq!(host.share_of(of_whole), expected, "{host:?}, {of_whole}");
        }
    }

    #[test]
    fn what_came_while_the_other_side_was_read_is_told_from_how_late_that_was() {
        let sides = |kernel, at_ms, late_ms| Sides {
            kernel,
            at: Ktime(Duration::from_millis(at_ms)),
            late: Duration::from_millis(late_ms),
            ..Sides::default()
        };
        for (late_before, late, more, fewer) in [(0, 0, 0, 0), (0, 10, 0, 5), (30, 10, 10, 0)] {
            let base = sides(100, 1_000, late_before);
            let growth = sides(600, 2_000, late).since(&base).unwrap();
            assert_eq!((growth.more, growth.fewer), (more, fewer));
        }
        // No time has passed.
        let base = sides(0, 1_000, 0);
        let growth = sides(7, 1_000, 5).since(&base).unwrap();
        assert_eq!(growth.fewer, 7);
    }

    #[test]
    fn no_more_was_taken_from_one_than_from_the_cpus_that_it_can_have_had() {
        let cpu = |taken_ns, busy_ns| CpuTimes { taken_ns, busy_ns };
        let base = [cpu(70, 700), cpu(1, 10), cpu(0, 0)];
        let now = [cpu(80, 1_700), cpu(301, 1_010), cpu(0, 0)];
        for (time, expected) in [(100, 30), (1_000, 300), (1_500, 305), (9_000, 310), (0, 0)] {
            assert_eq!(most_taken(time, &base, &now), expected, "{time}");
        }
    }

    #[test]
    fn the_shares_of_all_are_no_more_than_the_whole() {
        let host = OfHost {
            part: 700,
            whole: 10_000,
        };
        let shares: u64 = [5_000, 3_000, 1_500, 500]
            .into_iter()
            .map(|of| host.share_of(of))
            .sum();
        assert_eq!(shares, 700);
    }

    #[test]
    fn an_explanation_is_of_one_direction_and_does_not_turn_a_difference_round() {
        let growth = |events, kernel| Growth {
            events,
            kernel,
            more: 10,
            fewer: 5,
        };
        for (events, kernel, expected) in [
            (100, 100, 0),
            (105, 100, 0),
            (115, 100, 5),
            (97, 100, 0),
            (90, 100, -5),
        ] {
            assert_eq!(growth(events, kernel).unexplained(), expected);
        }
    }
}
