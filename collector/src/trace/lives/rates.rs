//! How often something may be: a bucket of tokens.

use super::Rate;
use crate::host::clock::Ktime;

#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    tokens: f64,
    filled: Ktime,
}

impl Bucket {
    /// A full one.
    pub(super) const fn new(rate: Rate, now: Ktime) -> Self {
        Self {
            tokens: rate.burst,
            filled: now,
        }
    }

    /// Whether there is a token, which may then be [taken](Self::take).
    pub(super) fn has(&mut self, rate: Rate, now: Ktime) -> bool {
        let passed = now.0.saturating_sub(self.filled.0).as_secs_f64();
        self.filled = self.filled.max(now);
        self.tokens = (self.tokens + passed * rate.per_second).min(rate.burst);
        self.tokens >= 1.0
    }

    pub(super) fn take(&mut self) {
        self.tokens -= 1.0;
    }
}
