//! Following the runtimes: what they have, and what happens to it.
//!
//! In: clients of runtimes, as they are found. Out: [`News`] for an [`Audience`], from each runtime as if it
//! were the only one: one that hangs or fails costs its own names and nothing else. Never here: how a
//! runtime is spoken to, or where it is.
//!
//! Events come first, and a list is the net below them: it is asked for after events are subscribed to, and
//! again every minute. A container that has cgroups, and of which nobody has told, is asked about by its
//! id: so it has its names within an interval though an event, or a whole list, was lost. A look that fails
//! is tried again, later and later, a few times.
//!
//! The session is the loop that `trace::own` traces: each container that it processes is a trace.

mod asking;

mod endpoint;

mod listed;

mod lookups;

mod looks;

mod objects;

mod session;

mod tally;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;

pub use self::{
    asking::{Asking, Unnamed},
    endpoint::EndpointFactory,
    looks::RetryPolicy,
    lookups::{RosterLookups, Told},
    session::{Session, SessionTimes},
    tally::{RuntimeStatus, Tally},
};
use super::{
    ContainerRef, Informant, Names, News, RuntimeContainer,
    runtimes::{Endpoint, Protocol},
};
use crate::trace::own::Steps;

/// Who is told. Called from the thread that follows; it should not take long.
pub trait Audience: Send + Sync {
    /// A runtime tells something. Spans about it belong below `steps`, which go by the containers' keys. The
    /// containers that a list has no more, as they were known.
    fn tell(
        &self,
        informant: Informant,
        news: News,
        steps: Steps<'_, ContainerRef>,
    ) -> Vec<Arc<RuntimeContainer>>;

    /// What is known of how a container is called.
    fn names_of(&self, key: &ContainerRef) -> Option<Names>;

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
