//! Every life that is followed.

use std::{collections::HashMap, fmt, sync::Arc};

use opentelemetry_proto::tonic::trace::v1::ResourceSpans;

use super::{
    Ending, LivesSettings, LivesView, Now,
    life::{Life, ToldLife},
    rates::Bucket,
};
use crate::{
    catalog::{ContainerRef, OwnerId},
    export::otlp::{Outbox, OwnResource},
    host::clock::Ktime,
};

mod intake;

mod telling;

/// Names a life: an owner, and which of its lives.
pub type LifeKey = (OwnerId, u32);

/// Takes spans that are to be sent.
pub trait ParcelTaker: Send {
    /// Whether there was room. If not, they are lost, and counted.
    fn put(&self, spans: ResourceSpans) -> bool;

    /// Whether there was room. If not, they are tried again, and not lost.
    fn try_put(&self, spans: ResourceSpans) -> bool;
}

impl ParcelTaker for Arc<Outbox<ResourceSpans>> {
    fn put(&self, spans: ResourceSpans) -> bool {
        Outbox::put(self, spans)
    }

    fn try_put(&self, spans: ResourceSpans) -> bool {
        Outbox::try_put(self, spans)
    }
}

/// Every life that is followed.
pub struct Lives {
    settings: LivesSettings,
    own: Arc<OwnResource>,
    /// Tells this boot of the host from all others.
    boot: String,
    view: Arc<LivesView>,
    outbox: Box<dyn ParcelTaker>,
    by_key: HashMap<LifeKey, Life>,
    /// The lives of a container, one after the other: the one before may not be told when the next begins.
    of_container: HashMap<ContainerRef, Vec<LifeKey>>,
    /// The latest life of an owner, also when it was told to its end or found no room. Bounded as the owners are: one
    /// that is forgotten has none.
    latest: HashMap<OwnerId, u32>,
    /// The latest life of an owner, once it was told to its end.
    told: HashMap<OwnerId, ToldLife>,
    bucket: Bucket,
    /// For checkpoints: those who are slow all the time leave none of the other.
    checkpoints: Bucket,
}

impl fmt::Debug for Lives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lives")
            .field("settings", &self.settings)
            .field("lives", &self.by_key.len())
            .finish_non_exhaustive()
    }
}

impl Lives {
    /// None yet.
    #[must_use]
    pub fn new(
        settings: LivesSettings,
        own: Arc<OwnResource>,
        boot: String,
        view: Arc<LivesView>,
        outbox: Box<dyn ParcelTaker>,
        now: Ktime,
    ) -> Self {
        Self {
            settings,
            own,
            boot,
            view,
            outbox,
            by_key: HashMap::new(),
            of_container: HashMap::new(),
            latest: HashMap::new(),
            told: HashMap::new(),
            bucket: Bucket::new(settings.total, now),
            checkpoints: Bucket::new(settings.total, now),
        }
    }

    /// The lives of which it matters now where they stand.
    #[must_use]
    pub fn awaited(&self, now: &Now) -> Vec<LifeKey> {
        let awaited = self.by_key.values().filter(|life| life.is_awaited(now));
        awaited.map(|life| life.key).collect()
    }

    /// The lives that have ended, of which the end is to be looked up and [kept](Self::keep): another may begin at
    /// their place before they are told.
    #[must_use]
    pub fn ending(&self, now: &Now) -> Vec<LifeKey> {
        let ending = self.by_key.values().filter(|life| life.is_ending_due(now));
        ending.map(|life| life.key).collect()
    }

    /// Keeps how a life ended, so far.
    pub fn keep(&mut self, key: LifeKey, ending: Ending) {
        if let Some(life) = self.by_key.get_mut(&key) {
            life.ending = Some(ending);
        }
    }

    /// The lives that are over, of which the end was kept, if it could be.
    #[must_use]
    pub fn over(&self, now: &Now) -> Vec<LifeKey> {
        let over = self.by_key.values().filter(|life| life.is_over(now));
        over.map(|life| life.key).collect()
    }

    /// All that have ended, those included of which more might be told.
    #[must_use]
    pub fn ended(&self) -> Vec<LifeKey> {
        let ended = self.by_key.values().filter(|life| life.end.is_some());
        ended.map(|life| life.key).collect()
    }

    fn forget(&mut self, key: LifeKey) -> Option<Life> {
        let life = self.by_key.remove(&key)?;
        if let Some(of) = self.of_container.get_mut(&life.container) {
            of.retain(|known| *known != key);
            if of.is_empty() {
                self.of_container.remove(&life.container);
            }
        }
        Some(life)
    }

    fn latest_of(&mut self, owner: OwnerId) -> Option<&mut Life> {
        let generation = *self.latest.get(&owner)?;
        self.by_key.get_mut(&(owner, generation))
    }
}
