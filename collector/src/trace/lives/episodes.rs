//! Times in which a container was held back, put together from readings one after the other.

use std::time::{Duration, SystemTime};

use super::{
    Figures, LivesSettings,
    attributes::{flag, int, seconds, text},
    events::Event,
};
use crate::host::clock::{Ktime, TimeAnchor};

/// What held it back. Episodes of different kinds can be at the same time.
const KINDS: usize = 4;

/// Its limit of CPU bandwidth; stalls are the others.
const THROTTLED: usize = 0;

/// What it was stalled for, in the order of [`Figures::stalled_ns`].
const RESOURCES: [&str; 3] = ["cpu", "memory", "io"];

/// Less lies between two readings at the beginning and the end of a life: too little to be a share of.
const LEAST: Duration = Duration::from_millis(100);

/// The reading that the next one is compared with, and the episodes that are not over.
#[derive(Debug, Default)]
pub(super) struct Episodes {
    before: Option<Figures>,
    open: [Option<Episode>; KINDS],
}

#[derive(Clone, Copy, Debug)]
struct Episode {
    began: Ktime,
    until: Ktime,
    /// How long it was held back, ns.
    ns: u64,
    /// Stalls: how long all of it was. Throttling: in how many periods.
    of_it: u64,
}

impl Episodes {
    /// Of a container that began at that time: all that is counted has been since then.
    pub(super) fn since(began: Ktime) -> Self {
        let before = Figures {
            at: began,
            periods: Some(0),
            throttled_periods: Some(0),
            throttled_ns: Some(0),
            stalled_ns: [(Some(0), Some(0)); 3],
            ..Figures::default()
        };
        Self {
            before: Some(before),
            open: [None; KINDS],
        }
    }

    /// Compares a reading with the one before. The episodes that are over.
    pub(super) fn read(
        &mut self,
        figures: &Figures,
        is_last: bool,
        settings: &LivesSettings,
        clocks: &TimeAnchor,
    ) -> Vec<Event> {
        let Some(before) = self.before else {
            self.before = Some(*figures);
            return Vec::new();
        };
        let time = figures.at.0.saturating_sub(before.at.0);
        if time < LEAST && !is_last || time.is_zero() {
            return Vec::new();
        }
        self.before = Some(*figures);
        let mut over = Vec::new();
        for kind in 0..KINDS {
            let grown = match kind {
                THROTTLED => throttled(&before, figures, settings.throttled),
                _ => stalled(&before, figures, kind - 1, time, settings.stall),
            };
            let Some((ns, of_it)) = grown else {
                over.extend(self.close(kind, false, clocks));
                continue;
            };
            let open = self.open[kind].get_or_insert(Episode {
                began: before.at,
                until: figures.at,
                ns: 0,
                of_it: 0,
            });
            open.until = figures.at;
            open.ns += ns;
            open.of_it += of_it;
        }
        over
    }

    /// Those that are not over, as far as they were; they go on as others if the container does.
    pub(super) fn so_far(&mut self, goes_on: bool, clocks: &TimeAnchor) -> Vec<Event> {
        (0..KINDS)
            .filter_map(|kind| self.close(kind, goes_on, clocks))
            .collect()
    }

    fn close(&mut self, kind: usize, goes_on: bool, clocks: &TimeAnchor) -> Option<Event> {
        let episode = self.open[kind].take()?;
        let until: SystemTime = clocks.wall(episode.until);
        let began = clocks.wall(episode.began);
        let lasted = until.duration_since(began).unwrap_or_default();
        let held_back = Duration::from_nanos(episode.ns);
        let mut attributes = vec![
            seconds("cgscope.duration", lasted),
            flag("cgscope.goes_on", goes_on),
        ];
        let name = if kind == THROTTLED {
            attributes.push(seconds("cgscope.cpu.throttled_time", held_back));
            attributes.push(int("cgscope.cpu.throttled_periods", episode.of_it));
            "cgscope.throttled"
        } else {
            let full = Duration::from_nanos(episode.of_it);
            attributes.push(text("cgscope.resource", RESOURCES[kind - 1]));
            attributes.push(seconds("cgscope.stalled.some", held_back));
            attributes.push(seconds("cgscope.stalled.full", full));
            "cgscope.stalled"
        };
        Some(Event {
            name,
            at: began,
            attributes,
        })
    }
}

/// How long it was throttled and in how many periods, if that were enough of all.
fn throttled(before: &Figures, now: &Figures, share: f64) -> Option<(u64, u64)> {
    let periods = grown(before.periods, now.periods)?;
    let throttled = grown(before.throttled_periods, now.throttled_periods)?;
    let ns = grown(before.throttled_ns, now.throttled_ns).unwrap_or_default();
    (throttled > 0 && ratio(throttled, periods) >= share).then_some((ns, throttled))
}

/// How long some and all of its tasks were stalled, if that was enough of the time.
fn stalled(
    before: &Figures,
    now: &Figures,
    resource: usize,
    time: Duration,
    share: f64,
) -> Option<(u64, u64)> {
    let (some_before, full_before) = before.stalled_ns[resource];
    let (some_now, full_now) = now.stalled_ns[resource];
    let some = grown(some_before, some_now)?;
    let full = grown(full_before, full_now).unwrap_or_default();
    let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    (some > 0 && ratio(some, time) >= share).then_some((some, full))
}

fn grown(before: Option<u64>, now: Option<u64>) -> Option<u64> {
    now?.checked_sub(before?)
}

#[expect(clippy::cast_precision_loss, reason = "a share of a few digits")]
fn ratio(part: u64, of: u64) -> f64 {
    if of == 0 {
        0.0
    } else {
        part as f64 / of as f64
    }
}
