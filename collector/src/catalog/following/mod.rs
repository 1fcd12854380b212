//! Following the runtimes: what they have, and what happens to it.
//!
//! In: clients of runtimes, as they are found. Out: [`News`] for an [`Audience`], from each runtime as if it
//! were the only one: one that hangs or fails costs its own names and nothing else. Never here: how a
//! runtime is spoken to, or where it is.
//!
//! Events come first, and a list is the net below them: it is asked for after events are subscribed to, and
//! again every minute. A container that has cgroups, and of which nobody has told, is asked about by its
//! id: so it has its names within an interval though an event, or a whole list, was lost.

mod asking;

mod endpoint;

mod lookups;

mod session;

mod tally;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;

pub use self::{
    asking::{Asking, Unnamed},
    endpoint::EndpointFactory,
    lookups::{RosterLookups, Told},
    session::{Session, SessionTimes},
    tally::{RuntimeStatus, Tally},
};
use super::{
    ContainerRef, Informant, News,
    runtimes::{Endpoint, Protocol},
};

/// Who is told. Called from the thread that follows; it should not take long.
pub trait Audience: Send + Sync {
    /// A runtime tells something.
    fn tell(&self, informant: Informant, news: News);

    /// The containers that have cgroups, and of which no runtime has told. At most so many.
    fn unnamed(&self, most: usize) -> Vec<Unnamed>;
}

/// One place where a runtime may be, and what is known of it.
#[derive(Debug)]
pub struct Followed {
    /// Where.
    pub endpoint: Endpoint,
    /// As whom it tells.
    pub informant: Informant,
    /// What became of the calls to it.
    pub tally: Arc<Tally>,
    /// For questions about single containers.
    pub asks: mpsc::Sender<ContainerRef>,
}

impl Followed {
    /// What is known of it.
    #[must_use]
    pub fn status(&self) -> RuntimeStatus {
        self.tally.status(&self.endpoint)
    }
}

/// Questions that wait for a runtime's answer; further ones are asked again later.
pub const MAX_ASKS: usize = 256;

/// How often everything is asked for.
pub const RELIST: Duration = Duration::from_mins(1);

/// The one who tells from an endpoint.
#[must_use]
pub fn informant(endpoint: &Endpoint, number: usize, user: Option<u32>) -> Informant {
    let rank = Protocol::ALL
        .iter()
        .position(|protocol| *protocol == endpoint.protocol);
    Informant {
        rank: rank
            .and_then(|rank| u8::try_from(rank).ok())
            .unwrap_or(u8::MAX),
        number: u32::try_from(number).unwrap_or(u32::MAX),
        user,
    }
}
