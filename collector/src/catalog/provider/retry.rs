//! When something that failed is tried again: later and later, or never.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

use super::Unavailable;

/// How long to wait between tries: at first, and at most. It doubles from try to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delays {
    /// After the first failure.
    pub first: Duration,
    /// After many.
    pub longest: Duration,
}

/// What is known of something that may fail.
#[derive(Debug)]
pub struct Retries {
    delays: Delays,
    backoff: ExponentialBackoff,
    outlook: Outlook,
}

/// Whether to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// Now.
    Due,
    /// It failed, and is tried again.
    NotYet {
        /// When.
        next: Instant,
        /// Why it failed.
        reason: String,
    },
    /// It failed for good.
    Never {
        /// Why.
        reason: String,
    },
}

impl Default for Delays {
    /// Nothing is gained by asking more often than discovery does, and half a minute without the names of
    /// a runtime that is back is long.
    fn default() -> Self {
        Self {
            first: super::discovery::INTERVAL,
            longest: Duration::from_secs(30),
        }
    }
}

impl Delays {
    /// How long to wait after so many failures, one after the other.
    #[must_use]
    pub fn after(self, failures: u32) -> Duration {
        let nth = failures.saturating_sub(1) as usize;
        self.backoff().nth(nth).unwrap_or(self.longest)
    }

    fn backoff(self) -> ExponentialBackoff {
        ExponentialBuilder::new()
            .with_min_delay(self.first)
            .with_max_delay(self.longest)
            .without_max_times()
            .build()
    }
}

impl Retries {
    /// Nothing was tried yet.
    #[must_use]
    pub fn new(delays: Delays) -> Self {
        Self {
            delays,
            backoff: delays.backoff(),
            outlook: Outlook::Due,
        }
    }

    /// Whether to try at this time.
    #[must_use]
    pub fn outlook(&self, now: Instant) -> Outlook {
        match &self.outlook {
            Outlook::NotYet { next, .. } if *next <= now => Outlook::Due,
            outlook => outlook.clone(),
        }
    }

    /// It was tried, and failed.
    pub fn failed(&mut self, now: Instant, why: &Unavailable) {
        self.outlook = match why {
            Unavailable::NotYet { reason } => Outlook::NotYet {
                // There is always a next one.
                next: now + self.backoff.next().unwrap_or(self.delays.longest),
                reason: reason.clone(),
            },
            Unavailable::Never { reason } => Outlook::Never {
                reason: reason.clone(),
            },
        };
    }

    /// It was tried, and worked: should it fail later, the delays begin with the first.
    pub fn succeeded(&mut self) {
        *self = Self::new(self.delays);
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    const DELAYS: Delays = Delays {
        first: Duration::from_secs(2),
        longest: Duration::from_secs(10),
    };

    #[test]
    fn tries_come_later_and_later_up_to_a_bound_and_begin_anew_after_a_success() {
        let mut retries = Retries::new(DELAYS);
        let now = Instant::now();
        let delay = |retries: &mut Retries| {
            retries.failed(now, &Unavailable::not_yet("no socket"));
            match retries.outlook(now) {
                Outlook::NotYet { next, reason } if reason == "no socket" => (next - now).as_secs(),
                other => panic!("{other:?}"),
            }
        };
        let delays: Vec<_> = (0..6).map(|_| delay(&mut retries)).collect();
        assert_eq!(delays, [2, 4, 8, 10, 10, 10]);
        retries.succeeded();
        assert_eq!(retries.outlook(now), Outlook::Due);
        assert_eq!(delay(&mut retries), 2);
        let soon = now + Duration::from_secs(2);
        assert_eq!(retries.outlook(soon), Outlook::Due);
    }

    #[test]
    fn what_failed_for_good_is_never_due_again() {
        let mut retries = Retries::new(DELAYS);
        let now = Instant::now();
        retries.failed(now, &Unavailable::never("forbidden"));
        let reason = "forbidden".to_owned();
        let later = now + Duration::from_secs(1 << 20);
        assert_eq!(retries.outlook(later), Outlook::Never { reason });
    }
}
