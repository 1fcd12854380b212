//! When something that failed is tried again: later and later, or never.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

use super::{Unavailable, collectors::Offer, discovery::Factory};

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

    /// Why the last try failed, once that is known. It does not put off the next.
    fn explain(&mut self, why: &Unavailable) {
        match (&mut self.outlook, why) {
            (Outlook::NotYet { reason, .. }, Unavailable::NotYet { reason: known }) => {
                reason.clone_from(known);
            }
            (outlook, Unavailable::Never { reason }) => {
                *outlook = Outlook::Never {
                    reason: reason.clone(),
                };
            }
            (Outlook::Due | Outlook::Never { .. }, Unavailable::NotYet { .. }) => {}
        }
    }

    /// It was tried, and worked: should it fail later, the delays begin with the first.
    pub fn succeeded(&mut self) {
        *self = Self::new(self.delays);
    }
}

/// A factory that is asked only when its next try is due, and in between gives its last reason: for one
/// that is costly to ask.
pub struct Spaced<F> {
    factory: F,
    retries: Mutex<Retries>,
}

impl<F: Factory> Spaced<F> {
    /// With these delays.
    pub fn new(factory: F, delays: Delays) -> Self {
        Self {
            factory,
            retries: Mutex::new(Retries::new(delays)),
        }
    }

    fn with_retries<T>(&self, look: impl FnOnce(&mut Retries) -> T) -> T {
        look(&mut self.retries.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<F: fmt::Debug> fmt::Debug for Spaced<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spaced")
            .field("factory", &self.factory)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl<F: Factory> Factory for Spaced<F> {
    fn id(&self) -> &str {
        self.factory.id()
    }

    async fn build(&self) -> Result<Vec<Offer>, Unavailable> {
        match self.with_retries(|retries| retries.outlook(Instant::now())) {
            Outlook::Due => {}
            Outlook::NotYet { reason, .. } => return Err(Unavailable::NotYet { reason }),
            Outlook::Never { reason } => return Err(Unavailable::Never { reason }),
        }
        // Should this be given up because it takes too long, that is a failure too.
        let began = Unavailable::not_yet("it did not answer in time");
        self.with_retries(|retries| retries.failed(Instant::now(), &began));
        let built = self.factory.build().await;
        self.with_retries(|retries| match &built {
            Ok(_) => retries.succeeded(),
            Err(why) => retries.explain(why),
        });
        built
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::catalog::provider::tests::Scripted;

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

    #[tokio::test(start_paused = true)]
    async fn a_spaced_factory_is_asked_when_it_is_due_and_otherwise_gives_its_last_reason() {
        let inner = Scripted::new("slow", || Err(Unavailable::not_yet("no socket")));
        let spaced = Spaced::new(Arc::clone(&inner), DELAYS);
        let mut asked = Vec::new();
        for _ in 0..8 {
            let why = spaced.build().await.expect_err("it is not there");
            assert_eq!(why, Unavailable::not_yet("no socket"));
            asked.push(inner.builds());
            tokio::time::advance(Duration::from_secs(2)).await;
        }
        // After 0, 2, 2 + 4 and 2 + 4 + 8 seconds.
        assert_eq!(asked, [1, 2, 2, 3, 3, 3, 3, 4]);
        inner.now(|| Err(Unavailable::never("gone")));
        tokio::time::advance(Duration::from_secs(10)).await;
        for _ in 0..2 {
            let why = spaced.build().await.expect_err("it is not there");
            assert_eq!(why, Unavailable::never("gone"));
        }
        assert_eq!(inner.builds(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_spaced_factory_that_is_given_up_while_it_hangs_has_failed() {
        let inner = Scripted::hanging("hangs");
        let spaced = Spaced::new(Arc::clone(&inner), DELAYS);
        let given_up = tokio::time::timeout(Duration::from_secs(1), spaced.build()).await;
        given_up.expect_err("it hangs");
        let why = spaced.build().await.expect_err("it is not due");
        assert!(matches!(why, Unavailable::NotYet { .. }), "{why}");
        assert_eq!(inner.builds(), 1);
    }
}
