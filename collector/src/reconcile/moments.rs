//! What happens in the lives of containers, for those who tell of them span by span.
//!
//! In: what the pipeline learns of cgroups, of OOM kills and of exit codes, in its order. Out: [`Moments`], taken
//! in one go. Never here: a span, or a sample.

use std::{mem, sync::Arc, time::SystemTime};

use crate::{
    catalog::{ContainerRef, Identity, LifeNote, News, Owner, OwnerId, RuntimeState},
    host::{CgroupKey, clock::Ktime},
};

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Moment {
    /// A cgroup is there.
    There {
        /// Whose.
        owner: OwnerId,
        /// Who that is, and in which life.
        identity: Arc<Identity>,
        /// Whether it was made while we looked on.
        is_new: bool,
    },
    /// A process entered it that had none.
    Filled {
        /// Whose.
        owner: OwnerId,
    },
    /// The last process left it.
    Emptied {
        /// Whose.
        owner: OwnerId,
        /// When.
        at: Ktime,
    },
    /// The last of its cgroups is gone.
    Removed {
        /// Whose.
        owner: OwnerId,
        /// When.
        at: SystemTime,
    },
    /// Nothing of it is kept any more.
    Forgotten {
        /// Whose.
        owner: OwnerId,
    },
    /// A runtime tells that a container has ended.
    ToldExit {
        /// Which.
        container: ContainerRef,
        /// The exit code of its first process.
        code: Option<i32>,
        /// When, as the runtime tells.
        finished: Option<SystemTime>,
    },
    /// The OOM killer chose a victim.
    OomKill(Box<OomKill>),
}

/// A victim of the OOM killer.
#[derive(Clone, Debug)]
pub struct OomKill {
    /// Whose it was; `None` where the kernel gives only a process that was gone already.
    pub victim: Option<(OwnerId, Arc<Identity>)>,
    /// Its process.
    pub pid: u32,
    /// The process's name; empty where the kernel does not give it.
    pub comm: String,
    /// Whose limit was hit, as far as that is known.
    pub limit: OomLimit,
    /// When.
    pub at: Ktime,
}

/// Whose limit was hit.
#[derive(Clone, Debug)]
pub enum OomLimit {
    /// The host ran out of memory.
    Host,
    /// This cgroup's.
    Cgroup(Arc<Identity>),
    /// The kernel does not say, or the cgroup is not known.
    Unknown,
}

/// What happened, in its order.
#[derive(Debug, Default)]
pub struct Moments {
    /// It.
    pub of: Vec<Moment>,
    /// So much more happened than could be kept. Who was there then is to be looked at.
    pub missed: u64,
}

/// More than happens in one look at them; each is some ten bytes.
const MAX_MOMENTS: usize = 1 << 14;

impl Moments {
    /// Takes one.
    pub(super) fn push(&mut self, moment: Moment) {
        if self.of.len() < MAX_MOMENTS {
            self.of.push(moment);
        } else {
            self.missed += 1;
        }
    }

    /// Takes what a note means; `owner` is whose it is, if that is known.
    pub(super) fn note(&mut self, note: &LifeNote, owner: Option<&Owner>) {
        let moment = match note {
            LifeNote::There {
                owner: of, made, ..
            } => {
                let Some(identity) = owner.map(|owner| &owner.identity) else {
                    return;
                };
                Moment::There {
                    owner: *of,
                    identity: Arc::clone(identity),
                    is_new: made.is_some(),
                }
            }
            LifeNote::Filled { owner } => Moment::Filled { owner: *owner },
            LifeNote::Emptied { owner, at } => Moment::Emptied {
                owner: *owner,
                at: *at,
            },
            LifeNote::Exited { owner: of } => Moment::Removed {
                owner: *of,
                at: owner
                    .and_then(Owner::exited)
                    .unwrap_or_else(SystemTime::now),
            },
            LifeNote::Forgotten { owner } => Moment::Forgotten { owner: *owner },
            LifeNote::Only { .. } => return,
        };
        // Of others than containers only that they go is of interest: they may have exemplars.
        let is_containers = owner.is_none_or(|owner| owner.identity.own_container().is_some());
        if is_containers || matches!(moment, Moment::Forgotten { .. }) {
            self.push(moment);
        }
    }

    /// Takes what a runtime tells, as far as it is the end of a container.
    pub(super) fn hear(&mut self, news: &News) {
        let (container, code, finished) = match news {
            News::Exited { of, code, at } => (of.clone().key(), *code, *at),
            News::Told { of, .. } if of.state == RuntimeState::Exited => {
                (of.key(), of.exit_code, of.finished)
            }
            _ => return,
        };
        self.push(Moment::ToldExit {
            container,
            code,
            finished,
        });
    }

    /// All of it; nothing is left.
    pub(super) fn take(&mut self) -> Self {
        mem::take(self)
    }
}

/// Where a life stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Who it is by now.
    pub identity: Arc<Identity>,
    /// Its cgroup where tasks are attributed, if it has one there.
    pub key: Option<CgroupKey>,
    /// When the last of its cgroups went, if it did.
    pub removed: Option<SystemTime>,
}

/// Why something of a container's life is in no span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LifeLoss {
    /// Its container had as many as it may have in that time.
    ContainerRate = 0,
    /// All together had.
    TotalRate = 1,
    /// The span that it would be on had as many events as it may.
    SpanFull = 2,
    /// As many containers as may be were followed already.
    Containers = 3,
    /// More happened at once than could be noted.
    Missed = 4,
    /// What waits for the collector is full.
    QueueFull = 5,
    /// Its container's life was told to its end already.
    Late = 6,
}

impl LifeLoss {
    /// Every one, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::ContainerRate,
        Self::TotalRate,
        Self::SpanFull,
        Self::Containers,
        Self::Missed,
        Self::QueueFull,
        Self::Late,
    ];

    /// The name in the label `reason`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ContainerRate => "container_rate",
            Self::TotalRate => "total_rate",
            Self::SpanFull => "span_full",
            Self::Containers => "containers",
            Self::Missed => "missed",
            Self::QueueFull => "queue_full",
            Self::Late => "late",
        }
    }
}

/// How often each, in the order of [`LifeLoss::ALL`].
pub type LifeLosses = [u64; LifeLoss::ALL.len()];
