//! The host's counters of the last looks.

use std::{collections::VecDeque, sync::Arc};

use super::Slice;
use crate::host::{clock::Ktime, host_counters::HostCounters};

/// The host's counters of the last looks.
#[derive(Debug)]
pub(super) struct HostLooks(VecDeque<(Ktime, Arc<HostCounters>)>);

/// So many rounds are kept, for containers that begin between two looks. One that began before is compared
/// from its first look on.
const ROUNDS: u64 = 2;

impl HostLooks {
    pub(super) fn new(at: Ktime, host: HostCounters) -> Self {
        Self(VecDeque::from([(at, Arc::new(host))]))
    }

    /// Adds a look, of which each slice has one in a round.
    pub(super) fn push(&mut self, at: Ktime, host: HostCounters, slice: Slice) {
        self.0.push_back((at, Arc::new(host)));
        let most = slice.of.saturating_mul(ROUNDS) + 1;
        while u64::try_from(self.0.len()).is_ok_and(|len| len > most) {
            self.0.pop_front();
        }
    }

    /// The last look.
    pub(super) fn latest(&self) -> Option<&Arc<HostCounters>> {
        self.0.back().map(|(_, host)| host)
    }

    /// The last look that was not after `moment`; `None` if it is too long ago.
    pub(super) fn before(&self, moment: Ktime) -> Option<&Arc<HostCounters>> {
        let found = self.0.iter().rev().find(|(at, _)| *at <= moment);
        found.map(|(_, host)| host)
    }
}
