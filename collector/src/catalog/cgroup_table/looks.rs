//! Who has seen what is gone: it is kept until all have who look.

use std::time::Duration;

use crate::host::clock::Ktime;

/// Who looks at all cgroups, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Onlooker {
    /// Whoever scrapes.
    Scraper,
    /// What sends metrics to a collector.
    Exporter,
}

const KINDS: usize = 2;

/// How often each has to see it. A scrape can fail on its way; an export waits until it is taken.
const ENOUGH: [u32; KINDS] = [2, 1];

/// Who has not looked for so long is not waited for: more than the longest interval of exports.
const ABSENT_AFTER: Duration = Duration::from_hours(2);

/// How often each has seen something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looks([u32; KINDS]);

impl Looks {
    pub(super) const fn note(&mut self, by: Onlooker) {
        self.0[by as usize] = self.0[by as usize].saturating_add(1);
    }
}

/// When each looked last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LastLooks([Option<Ktime>; KINDS]);

impl LastLooks {
    pub(super) const fn note(&mut self, by: Onlooker, now: Ktime) {
        self.0[by as usize] = Some(now);
    }

    /// Whether something has been seen enough: by all who look, and by one at least.
    pub(super) fn are_enough(&self, looks: Looks, now: Ktime) -> bool {
        let is_enough = |kind: usize| looks.0[kind] >= ENOUGH[kind];
        let is_absent = |kind: usize| {
            self.0[kind].is_none_or(|last| now.0.saturating_sub(last.0) > ABSENT_AFTER)
        };
        (0..KINDS).any(is_enough) && (0..KINDS).all(|kind| is_enough(kind) || is_absent(kind))
    }
}
