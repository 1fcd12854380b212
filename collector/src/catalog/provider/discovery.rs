//! Finds out which collectors can be had on this host: at the start, and again until all are there.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use tokio::{
    sync::Notify,
    task::{Id, JoinError, JoinSet},
    time::{MissedTickBehavior, interval, timeout},
};

use super::{Unavailable, collectors::Offer, registry::Registry};

/// Makes a collector, where there is what it needs.
#[async_trait]
pub trait Factory: fmt::Debug + Send + Sync + 'static {
    /// The collector's id, which no other has.
    fn id(&self) -> &str;

    /// Makes it. No offers at all mean that there may be some later. May be dropped halfway.
    async fn build(&self) -> Result<Vec<Offer>, Unavailable>;
}

#[async_trait]
impl<F: Factory> Factory for Arc<F> {
    fn id(&self) -> &str {
        (**self).id()
    }

    async fn build(&self) -> Result<Vec<Offer>, Unavailable> {
        (**self).build().await
    }
}

/// Between two tries of a candidate.
pub const INTERVAL: Duration = Duration::from_secs(2);

/// What a factory may take.
pub const BUILD_TIME: Duration = Duration::from_secs(10);

/// Tries factories until each has made its collector, or never will.
#[derive(Debug)]
pub struct Discovery {
    registry: Arc<Registry>,
    known: Mutex<Vec<Known>>,
    /// There are candidates again.
    again: Notify,
}

/// A factory, and what became of it.
#[derive(Debug)]
struct Known {
    factory: Arc<dyn Factory>,
    standing: Standing,
    since: SystemTime,
    /// It is being built.
    building: bool,
    /// What is being built has vanished already.
    is_stale: bool,
}

/// What became of a factory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is tried again and again.
    Candidate {
        /// Why the last try failed; empty before there was one.
        reason: String,
    },
    /// Its collector is there.
    Present,
    /// It is not tried any more.
    Dropped {
        /// Why.
        reason: String,
    },
}

/// A collector, as [`Discovery::standings`] tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownCollector {
    /// Its id.
    pub id: String,
    /// What became of it.
    pub standing: Standing,
    /// Since when it is a candidate, present or dropped.
    pub since: SystemTime,
}

/// A factory of that id is there already.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a collector {id:?} is registered already; each needs an id of its own")]
pub struct AlreadyRegistered {
    /// The id.
    pub id: String,
}

impl Discovery {
    /// Collectors go to `registry`.
    #[must_use]
    pub fn new(registry: Arc<Registry>) -> Self {
        Self {
            registry,
            known: Mutex::default(),
            again: Notify::new(),
        }
    }

    /// Makes a factory a candidate.
    pub fn register(&self, factory: Arc<dyn Factory>) -> Result<(), AlreadyRegistered> {
        let mut known = self.known();
        if known.iter().any(|of| of.factory.id() == factory.id()) {
            return Err(AlreadyRegistered {
                id: factory.id().to_owned(),
            });
        }
        known.push(Known {
            factory,
            standing: Standing::untried(),
            since: SystemTime::now(),
            building: false,
            is_stale: false,
        });
        drop(known);
        self.again.notify_one();
        Ok(())
    }

    /// A collector is not there any more: it is withdrawn, and is a candidate again. Whether it was there.
    pub fn vanished(&self, id: &str, reason: &str) -> bool {
        let mut known = self.known();
        let Some(of) = known.iter_mut().find(|of| of.factory.id() == id) else {
            return false;
        };
        // It may have gone before its factory has said that it is there.
        of.is_stale |= of.building;
        let was_there = of.standing == Standing::Present;
        if was_there {
            of.stand(Standing::Candidate {
                reason: reason.to_owned(),
            });
            self.registry.withdraw(id);
        }
        drop(known);
        if was_there {
            self.again.notify_one();
        }
        was_there
    }

    /// What became of each factory, in the order in which they were registered.
    #[must_use]
    pub fn standings(&self) -> Vec<KnownCollector> {
        self.known()
            .iter()
            .map(|of| KnownCollector {
                id: of.factory.id().to_owned(),
                standing: of.standing.clone(),
                since: of.since,
            })
            .collect()
    }

    /// Tries all candidates at once, and every 2 s those that still are; sleeps while there is none. One
    /// that takes long keeps no other waiting. Never returns; ends when it is dropped, which gives up what
    /// is being built.
    pub async fn run(&self) {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut builds = JoinSet::new();
        let mut ids = HashMap::new();
        for of in self.known().iter_mut() {
            of.building = false;
        }
        loop {
            tokio::select! {
                () = self.again.notified() => {}
                _ = ticks.tick(), if self.has_work() => self.start(&mut builds, &mut ids),
                Some(built) = builds.join_next_with_id() => self.take(built, &mut ids),
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Vec<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_work(&self) -> bool {
        self.known().iter().any(Known::is_due)
    }

    fn start(&self, builds: &mut JoinSet<Built>, ids: &mut HashMap<Id, String>) {
        for of in self.known().iter_mut().filter(|of| of.is_due()) {
            of.building = true;
            of.is_stale = false;
            let factory = Arc::clone(&of.factory);
            let task = builds.spawn(async move {
                timeout(BUILD_TIME, factory.build())
                    .await
                    .unwrap_or_else(|_elapsed| {
                        let reason = format!("it was not there within {BUILD_TIME:?}");
                        Err(Unavailable::NotYet { reason })
                    })
            });
            ids.insert(task.id(), of.factory.id().to_owned());
        }
    }

    fn take(&self, built: Result<(Id, Built), JoinError>, ids: &mut HashMap<Id, String>) {
        let (task, built) = built.unwrap_or_else(|error| {
            // What panics once would again.
            (error.id(), Err(Unavailable::never(error.to_string())))
        });
        let id = ids.remove(&task).unwrap_or_default();
        let mut known = self.known();
        let Some(of) = known.iter_mut().find(|of| of.factory.id() == id) else {
            return;
        };
        of.building = false;
        let standing = match built {
            Ok(_) if of.is_stale => Standing::Candidate {
                reason: "it went when it had just come".to_owned(),
            },
            Ok(offers) if offers.iter().all(|offer| offer.collectors.is_empty()) => {
                Standing::Candidate {
                    reason: "it has nothing to offer yet".to_owned(),
                }
            }
            Ok(offers) => {
                self.registry.add(&id, offers);
                Standing::Present
            }
            Err(Unavailable::NotYet { reason }) => Standing::Candidate { reason },
            Err(Unavailable::Never { reason }) => Standing::Dropped { reason },
        };
        of.stand(standing);
    }
}

type Built = Result<Vec<Offer>, Unavailable>;

impl Known {
    const fn is_due(&self) -> bool {
        matches!(self.standing, Standing::Candidate { .. }) && !self.building
    }

    fn stand(&mut self, standing: Standing) {
        let is_kind =
            |a: &Standing, b: &Standing| std::mem::discriminant(a) == std::mem::discriminant(b);
        if !is_kind(&self.standing, &standing) {
            self.since = SystemTime::now();
        }
        self.standing = standing;
    }
}

impl Standing {
    const fn untried() -> Self {
        Self::Candidate {
            reason: String::new(),
        }
    }
}
