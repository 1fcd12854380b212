//! The looks at single containers: which are due, and which failed and are tried again.
//!
//! In: that something happened to a container, that a look at it failed. Out: whom to look at now. Pure: what
//! the time is, is told.
//!
//! A container waits once, whatever happens to it. How often looks at it have failed, one after the other, is
//! remembered while it waits; when it was too often, it is forgotten, and the next event begins anew.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use crate::catalog::{ContainerRef, provider::retry::Delays};

/// How often a look that failed is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// So often; then the container is forgotten.
    pub most: u32,
    /// And after how long.
    pub delays: Delays,
}

impl Default for RetryPolicy {
    /// Half a minute in all: a runtime that refuses for longer is asked by the next list.
    fn default() -> Self {
        Self {
            most: 5,
            delays: Delays {
                first: Duration::from_secs(1),
                longest: Duration::from_secs(30),
            },
        }
    }
}

/// Why a container is processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Its runtime told that something happened.
    Event,
    /// It is in a list of all, or is in it no more.
    List,
    /// It has cgroups, and nobody had told of it.
    Question,
}

/// Whom to look at, and when.
#[derive(Debug)]
pub(super) struct Looks {
    policy: RetryPolicy,
    /// The earliest first.
    waiting: VecDeque<Waiting>,
    /// Of those who wait, whether it is for another try.
    is_retry: HashMap<ContainerRef, bool>,
    /// Of those who wait or are looked at.
    failures: HashMap<ContainerRef, u32>,
}

#[derive(Debug)]
struct Waiting {
    at: Instant,
    of: ContainerRef,
    origin: Origin,
}

/// Somebody to look at now.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) of: ContainerRef,
    pub(super) origin: Origin,
    /// How often it has failed, one time after the other.
    pub(super) failures: u32,
}

/// Containers that wait to be looked at. When there are more, everything is asked for instead.
pub(super) const MAX_QUEUE: usize = 4_096;

/// Why a container is not tried again.
pub(super) mod forgotten {
    /// It was tried as often as it may be.
    pub(in crate::catalog::following) const TOO_OFTEN: &str = "max number of retries reached";
    /// It would be the same.
    pub(in crate::catalog::following) const IN_VAIN: &str = "the same answer would come again";
    /// It was removed while it was looked at.
    pub(in crate::catalog::following) const GONE: &str = "it is gone";
    /// There is no room to wait.
    pub(super) const NO_ROOM: &str = "too many containers wait";
}

impl Origin {
    /// As spans say it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::List => "list",
            Self::Question => "question",
        }
    }
}

impl Looks {
    pub(super) fn new(policy: RetryPolicy) -> Self {
        Self {
            policy,
            waiting: VecDeque::new(),
            is_retry: HashMap::new(),
            failures: HashMap::new(),
        }
    }

    /// Somebody is to be looked at. Whether there was room.
    pub(super) fn add(&mut self, of: ContainerRef, origin: Origin, at: Instant) -> bool {
        match self.is_retry.get(&of) {
            // What happened may have put right what went wrong. That it is asked about did not.
            Some(true) if origin == Origin::Event => {
                self.take_back(&of);
                self.insert(Waiting { at, of, origin }, false);
                true
            }
            Some(_) => true,
            None if self.waiting.len() >= MAX_QUEUE => false,
            None => {
                self.insert(Waiting { at, of, origin }, false);
                true
            }
        }
    }

    /// When the next is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.waiting.front().map(|of| of.at)
    }

    /// The next, if it is due.
    pub(super) fn take(&mut self, now: Instant) -> Option<Due> {
        let Waiting { of, origin, .. } = self.waiting.pop_front_if(|of| of.at <= now)?;
        self.is_retry.remove(&of);
        let failures = self.failures.get(&of).copied().unwrap_or_default();
        Some(Due {
            of,
            origin,
            failures,
        })
    }

    /// A look was good.
    pub(super) fn succeeded(&mut self, of: &ContainerRef) {
        self.failures.remove(of);
    }

    /// A look failed: it is tried again. Why not, if it is not.
    pub(super) fn failed(&mut self, due: Due, now: Instant) -> Option<&'static str> {
        let Due { of, origin, .. } = due;
        let failures = self.failures.remove(&of).unwrap_or_default() + 1;
        if failures > self.policy.most {
            return Some(forgotten::TOO_OFTEN);
        }
        if !self.is_retry.contains_key(&of) {
            if self.waiting.len() >= MAX_QUEUE {
                return Some(forgotten::NO_ROOM);
            }
            let at = now + self.policy.delays.after(failures);
            let of = of.clone();
            self.insert(Waiting { at, of, origin }, true);
        }
        self.failures.insert(of, failures);
        None
    }

    /// A look failed, and would again.
    pub(super) fn failed_for_good(&mut self, of: &ContainerRef) -> &'static str {
        self.failures.remove(of);
        forgotten::IN_VAIN
    }

    /// Somebody is gone: it is not looked at any more.
    pub(super) fn gone(&mut self, of: &ContainerRef) {
        self.failures.remove(of);
        if self.is_retry.contains_key(of) {
            self.take_back(of);
        }
    }

    /// Whether anybody has failed.
    pub(super) fn has_failures(&self) -> bool {
        !self.failures.is_empty()
    }

    /// Those who failed, and of whom it is not said that they may be there, are gone.
    pub(super) fn keep(&mut self, may_be_there: impl Fn(&ContainerRef) -> bool) {
        let failed = self.failures.keys().filter(|of| !may_be_there(of));
        for of in failed.cloned().collect::<Vec<_>>() {
            self.gone(&of);
        }
    }

    fn insert(&mut self, new: Waiting, is_retry: bool) {
        let before = self.waiting.partition_point(|other| other.at <= new.at);
        self.is_retry.insert(new.of.clone(), is_retry);
        self.waiting.insert(before, new);
    }

    fn take_back(&mut self, of: &ContainerRef) {
        self.waiting.retain(|waiting| waiting.of != *of);
        self.is_retry.remove(of);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(id: &str) -> ContainerRef {
        ContainerRef {
            id_namespace: String::new(),
            id: id.to_owned(),
        }
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    /// Looks at `id` fail until it is forgotten: when they were, after the first, and why.
    fn fail_for_ever(looks: &mut Looks, id: &str, mut now: Instant) -> (Vec<u64>, &'static str) {
        let (start, mut at) = (now, Vec::new());
        assert!(looks.add(of(id), Origin::Event, now));
        loop {
            let due = looks.take(now).unwrap();
            assert_eq!(due.failures as usize, at.len());
            if let Some(why) = looks.failed(due, now) {
                return (at, why);
            }
            assert!(looks.take(now).is_none());
            now = looks.next().unwrap();
            at.push((now - start).as_secs());
        }
    }

    #[test]
    fn a_look_that_fails_is_tried_again_later_and_later_and_then_forgotten() {
        let now = Instant::now();
        let mut looks = Looks::new(RetryPolicy::default());
        let expected = (vec![1, 3, 7, 15, 31], "max number of retries reached");
        assert_eq!(fail_for_ever(&mut looks, "a", now), expected);
        assert!(!looks.has_failures() && looks.next().is_none());
        // What happens later begins anew.
        assert_eq!(fail_for_ever(&mut looks, "a", now), expected);
        let mut never = Looks::new(RetryPolicy {
            most: 0,
            ..RetryPolicy::default()
        });
        assert!(fail_for_ever(&mut never, "a", now).0.is_empty());
    }

    #[test]
    fn an_event_hastens_a_retry_and_a_question_does_not() {
        let now = Instant::now();
        let mut looks = Looks::new(RetryPolicy::default());
        assert!(looks.add(of("a"), Origin::Event, now));
        let due = looks.take(now).unwrap();
        assert_eq!(looks.failed(due, now), None);
        assert!(looks.add(of("a"), Origin::Question, now));
        assert_eq!(looks.next(), Some(now + seconds(1)));
        assert!(looks.add(of("a"), Origin::Event, now));
        let due = looks.take(now).unwrap();
        assert_eq!((due.failures, looks.next()), (1, None));
        looks.succeeded(&due.of);
        assert!(!looks.has_failures());
    }

    #[test]
    fn what_is_gone_is_not_looked_at_and_a_list_that_lacks_it_takes_back_what_failed_alone() {
        let now = Instant::now();
        let mut looks = Looks::new(RetryPolicy::default());
        for id in ["failed", "kept"] {
            assert!(looks.add(of(id), Origin::Event, now));
            let due = looks.take(now).unwrap();
            assert_eq!(looks.failed(due, now), None);
        }
        for id in ["new", "removed"] {
            assert!(looks.add(of(id), Origin::Event, now));
        }
        looks.gone(&of("removed"));
        looks.keep(|key| key.id == "kept");
        assert_eq!(looks.take(now).unwrap().of, of("new"));
        let later = now + seconds(1);
        assert_eq!(looks.take(later).unwrap().of, of("kept"));
        assert!(looks.take(later).is_none());
        // What happens to it later begins anew.
        assert!(looks.add(of("removed"), Origin::Event, later));
        assert_eq!(looks.take(later).unwrap().failures, 0);
    }

    #[test]
    fn no_more_wait_than_there_may_and_what_finds_no_room_is_forgotten() {
        let now = Instant::now();
        let mut looks = Looks::new(RetryPolicy::default());
        assert!(looks.add(of("first"), Origin::Event, now));
        let due = looks.take(now).unwrap();
        for number in 0..MAX_QUEUE {
            assert!(looks.add(of(&number.to_string()), Origin::Event, now));
        }
        assert!(!looks.add(of("last"), Origin::Event, now));
        assert_eq!(looks.failed(due, now), Some(forgotten::NO_ROOM));
        assert!(!looks.has_failures());
        assert!(looks.add(of("17"), Origin::Event, now), "it waits already");
        assert_eq!(looks.waiting.len(), MAX_QUEUE);
    }
}
