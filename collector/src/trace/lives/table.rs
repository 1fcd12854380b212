//! Every life that is followed.

use std::{
    collections::HashMap,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};

use super::{
    Ending, Figures, LivesSettings, LivesView,
    life::{Life, ToldLife},
    rates::Bucket,
    settings::{MAX_EARLY, MAX_LIVES},
    slow::Slow,
    spans,
};
use crate::{
    catalog::{Container, ContainerRef, Identity, OwnerId},
    export::otlp::OwnResource,
    host::clock::{Ktime, TimeAnchor},
    reconcile::{
        moments::{LifeLoss, Moment, Moments, OomKill, Standing},
        slow::SlowSample,
    },
};

/// Names a life: an owner, and which of its lives.
pub type LifeKey = (OwnerId, u32);

/// This moment, on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// From one to the other.
    pub clocks: TimeAnchor,
    /// As the kernel has it.
    pub ktime: Ktime,
    /// As the calendar has it.
    pub wall: SystemTime,
}

impl Now {
    /// That moment.
    #[must_use]
    pub fn new(clocks: TimeAnchor, ktime: Ktime) -> Self {
        Self {
            clocks,
            ktime,
            wall: clocks.wall(ktime),
        }
    }

    pub(super) const fn since(&self, then: Ktime) -> Duration {
        self.ktime.0.saturating_sub(then.0)
    }
}

/// Takes spans that are to be sent. Whether there was room.
pub type ParcelTaker = Box<dyn Fn(ResourceSpans) -> bool + Send>;

/// Every life that is followed.
pub struct Lives {
    settings: LivesSettings,
    own: Arc<OwnResource>,
    /// Tells this boot of the host from all others.
    boot: String,
    view: Arc<LivesView>,
    send: ParcelTaker,
    by_key: HashMap<LifeKey, Life>,
    /// The lives of a container, one after the other: the one before may not be told when the next begins.
    of_container: HashMap<ContainerRef, Vec<LifeKey>>,
    /// The latest life of an owner, also when it was told to its end.
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
        send: ParcelTaker,
        now: Ktime,
    ) -> Self {
        Self {
            settings,
            own,
            boot,
            view,
            send,
            by_key: HashMap::new(),
            of_container: HashMap::new(),
            latest: HashMap::new(),
            told: HashMap::new(),
            bucket: Bucket::new(settings.total, now),
            checkpoints: Bucket::new(settings.total, now),
        }
    }

    /// Takes what happened.
    pub fn take(&mut self, moments: Moments, now: &Now) {
        if moments.missed > 0 {
            self.view.lose(LifeLoss::Missed, moments.missed);
            // Some of these may have been forgotten unheard.
            let lives = &self.by_key;
            self.latest
                .retain(|owner, life| lives.contains_key(&(*owner, *life)));
            self.told.clear();
        }
        for moment in moments.of {
            match moment {
                Moment::There {
                    owner,
                    identity,
                    is_new,
                } => self.there(owner, identity, is_new, now),
                Moment::Filled { owner } => {
                    self.begin_again(owner, now);
                    if let Some(life) = self.latest_of(owner) {
                        life.fill();
                    }
                }
                Moment::Emptied { owner, at } => {
                    if let Some(life) = self.latest_of(owner) {
                        life.empty(now.clocks.wall(at), now);
                    }
                }
                Moment::Removed { owner, at } => {
                    if let Some(life) = self.latest_of(owner) {
                        life.remove(at, now);
                    }
                }
                Moment::Forgotten { owner } => {
                    self.latest.remove(&owner);
                    self.told.remove(&owner);
                    self.view.forget(owner);
                }
                Moment::ToldExit {
                    container,
                    code,
                    finished,
                } => self.told_exit(&container, code, finished, now),
                Moment::OomKill(kill) => self.oom_kill(&kill, now),
            }
        }
    }

    /// The lives of which it matters now where they stand.
    #[must_use]
    pub fn awaited(&self, now: &Now) -> Vec<LifeKey> {
        let awaited = self.by_key.values().filter(|life| life.is_awaited(now));
        awaited.map(|life| life.key).collect()
    }

    /// Takes where a life stands; `None` if another has begun at its place.
    pub fn stand(&mut self, key: LifeKey, standing: Option<&Standing>, now: &Now) {
        let Some(life) = self.by_key.get_mut(&key) else {
            return;
        };
        match standing {
            Some(standing) => life.stand(standing, &self.boot, now),
            None => life.remove(now.wall, now),
        }
    }

    /// Takes a reading of a life.
    pub fn read(&mut self, key: LifeKey, figures: &Figures, now: &Now) {
        if let Some(life) = self.by_key.get_mut(&key) {
            let refused = life.read(figures, false, &self.settings, now);
            self.view.lose(LifeLoss::SpanFull, refused);
        }
    }

    /// Takes a slow sample. `container` is the owner whose container it is of, and `inside` whose cgroup it was if
    /// that is another's; `disk` tells the kernel's name of its disk.
    pub fn slow(
        &mut self,
        sample: SlowSample,
        container: OwnerId,
        inside: Option<Arc<Identity>>,
        disk: impl FnOnce(&SlowSample) -> Option<String>,
        now: &Now,
    ) {
        let key = if container == sample.owner {
            (container, sample.generation)
        } else {
            let latest = self.latest.get(&container).copied();
            (container, latest.unwrap_or_default())
        };
        if !self.by_key.contains_key(&key) {
            let told = self.told.get(&key.0);
            self.lose_of(told.is_some_and(|told| told.key == key));
            return;
        }
        if !self.is_within_rate(key, now) {
            return;
        }
        let Some(life) = self.by_key.get_mut(&key) else {
            return;
        };
        let slow = Slow {
            disk: disk(&sample),
            sample,
            inside,
        };
        if life.trace.is_some_and(|trace| trace.is_sent) {
            self.tell_slow(key, &slow, now);
        } else if life.early.len() < MAX_EARLY {
            life.early.push(slow);
        } else {
            self.view.lose(LifeLoss::ContainerRate, 1);
        }
    }

    /// Tells what is due of those that run.
    pub fn tell_due(&mut self, now: &Now) {
        let keys: Vec<_> = self.by_key.keys().copied().collect();
        for key in keys {
            let is_due = |life: &Life| life.is_root_due(now) && !life.is_over(now);
            if self.by_key.get(&key).is_some_and(is_due) {
                self.tell_root(key, now);
            }
            let Some(life) = self.by_key.get(&key) else {
                continue;
            };
            if life.is_checkpoint_due(&self.settings, now) {
                self.tell_checkpoint(key, now);
            } else if life.are_events_due(&self.settings, now)
                && self.checkpoints.has(self.settings.total, now.ktime)
            {
                // What finds no token waits, with what happens meanwhile.
                self.checkpoints.take();
                self.tell_checkpoint(key, now);
            }
        }
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

    /// Tells a whole life, and forgets it.
    pub fn close(&mut self, key: LifeKey, now: &Now) {
        let Some(mut life) = self.forget(key) else {
            return;
        };
        if !life.is_real() {
            return;
        }
        let Some(mut trace) = life.trace else {
            // Another came to its place before it was looked at once.
            self.view
                .lose(LifeLoss::Missed, 1 + life.early.len() as u64);
            return;
        };
        let ending = life.ending;
        if let Some(figures) = ending.and_then(|ending| ending.figures) {
            let refused = life.read(&figures, true, &self.settings, now);
            self.view.lose(LifeLoss::SpanFull, refused);
        }
        let refused = life.tell_episodes(false, now);
        self.view.lose(LifeLoss::SpanFull, refused);
        let mut told = Vec::new();
        if !trace.is_sent {
            trace.spans += 1;
            told.push(spans::root(&life, &trace));
        }
        let mut exemplars = Vec::new();
        for slow in std::mem::take(&mut life.early) {
            let (span, exemplar) = slow.span(trace.next(), trace.root, now);
            told.push(span);
            exemplars.push((slow.sample.owner, exemplar));
            life.slow_samples += 1;
        }
        let ended = life.end.map_or(now.wall, |end| end.at);
        let id = trace.next();
        told.push(spans::whole(
            &mut life,
            id,
            &trace,
            ending.as_ref(),
            ended,
            now,
        ));
        if self.send(&life.identity, told) {
            for (owner, exemplar) in exemplars {
                self.view.put(owner, exemplar);
            }
        }
        if self.latest.get(&key.0) == Some(&key.1) {
            let told = ToldLife {
                key,
                identity: life.identity,
                container: life.container,
                is_whole: life.is_whole,
                trace,
            };
            self.told.insert(key.0, told);
        }
    }

    /// Tells what happened to those that run: nobody will, from now on.
    pub fn stop(&mut self, now: &Now) {
        let keys: Vec<_> = self.by_key.keys().copied().collect();
        for key in keys {
            self.tell_root(key, now);
            let Some(life) = self.by_key.get(&key) else {
                continue;
            };
            if life.trace.is_some_and(|trace| trace.is_sent) {
                self.tell_checkpoint(key, now);
            } else if life.is_real() {
                let lost = 1 + life.early.len() as u64;
                self.view.lose(LifeLoss::QueueFull, lost);
            }
        }
    }

    fn there(&mut self, owner: OwnerId, identity: Arc<Identity>, is_new: bool, now: &Now) {
        let key = (owner, identity.generation);
        let Some(container) = identity.own_container().and_then(Container::key) else {
            return;
        };
        if let Some(life) = self.by_key.get_mut(&key) {
            // One more hierarchy.
            life.is_whole |= is_new;
            return;
        }
        if self.latest.get(&owner) == Some(&identity.generation) {
            // It was told to its end already.
            return;
        }
        if self.by_key.len() >= MAX_LIVES {
            self.view.lose(LifeLoss::Containers, 1);
            return;
        }
        // Another life begins only after the one before.
        if let Some(before) = self.latest_of(owner) {
            before.remove(identity.started, now);
        }
        let of = self.of_container.entry(container.clone()).or_default();
        of.push(key);
        self.latest.insert(owner, key.1);
        self.told.remove(&owner);
        let life = Life::new(key, identity, container, is_new, &self.settings, now);
        self.by_key.insert(key, life);
    }

    /// A process came in where the life may have been told to its end.
    fn begin_again(&mut self, owner: OwnerId, now: &Now) {
        let Some(told) = self.told.get(&owner) else {
            return;
        };
        if self.by_key.len() >= MAX_LIVES {
            self.view.lose(LifeLoss::Containers, 1);
            return;
        }
        let life = Life::again(told, &self.settings, now);
        self.told.remove(&owner);
        let of = self.of_container.entry(life.container.clone()).or_default();
        of.push(life.key);
        self.by_key.insert(life.key, life);
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

    fn told_exit(
        &mut self,
        container: &ContainerRef,
        code: Option<i32>,
        finished: Option<SystemTime>,
        now: &Now,
    ) {
        let keys = self.of_container.get(container).into_iter().flatten();
        let lives = keys.filter_map(|key| self.by_key.get(key));
        let can = lives.filter(|life| life.can_have_ended(finished));
        let Some(key) = can.max_by_key(|life| life.began).map(|life| life.key) else {
            return;
        };
        if let Some(life) = self.by_key.get_mut(&key) {
            life.hear_exit(code, finished, now);
        }
    }

    fn oom_kill(&mut self, kill: &OomKill, now: &Now) {
        let Some((owner, identity)) = &kill.victim else {
            return;
        };
        let key = (*owner, identity.generation);
        let key = if self.by_key.contains_key(&key) {
            key
        } else {
            // What is no container's has no trace.
            let Some(of) = identity.container.as_ref().and_then(Container::key) else {
                return;
            };
            let lives = self.of_container.get(&of);
            let Some(key) = lives.and_then(|lives| lives.last().copied()) else {
                let was_told = self.told.values().any(|told| told.container == of);
                self.lose_of(was_told);
                return;
            };
            key
        };
        if let Some(life) = self.by_key.get_mut(&key)
            && !life.oom_kill(kill, now)
        {
            self.view.lose(LifeLoss::SpanFull, 1);
        }
    }

    /// Something is of a life that is not followed, or no longer.
    fn lose_of(&self, was_told: bool) {
        let loss = if was_told {
            LifeLoss::Late
        } else {
            LifeLoss::Containers
        };
        self.view.lose(loss, 1);
    }

    fn is_within_rate(&mut self, key: LifeKey, now: &Now) -> bool {
        let Some(life) = self.by_key.get_mut(&key) else {
            return false;
        };
        let LivesSettings {
            container, total, ..
        } = self.settings;
        let loss = if !life.bucket.has(container, now.ktime) {
            LifeLoss::ContainerRate
        } else if !self.bucket.has(total, now.ktime) {
            LifeLoss::TotalRate
        } else {
            life.bucket.take();
            self.bucket.take();
            return true;
        };
        self.view.lose(loss, 1);
        false
    }

    /// Sends the first span of a trace, and what waited for it.
    fn tell_root(&mut self, key: LifeKey, now: &Now) {
        let Some(life) = self.by_key.get_mut(&key) else {
            return;
        };
        let Some(trace) = life.trace.filter(|trace| !trace.is_sent) else {
            return;
        };
        let root = spans::root(life, &trace);
        let identity = Arc::clone(&life.identity);
        // It is tried again: nothing is lost of it yet.
        let is_sent = (self.send)(spans::of_container(&identity, &self.own, vec![root]));
        let Some(life) = self.by_key.get_mut(&key) else {
            return;
        };
        if let Some(trace) = &mut life.trace {
            trace.is_sent = is_sent;
            trace.spans += u32::from(is_sent);
            trace.again = Ktime(now.ktime.0 + Duration::from_secs(1));
        }
        if is_sent {
            for slow in std::mem::take(&mut life.early) {
                self.tell_slow(key, &slow, now);
            }
        }
    }

    fn tell_slow(&mut self, key: LifeKey, slow: &Slow, now: &Now) {
        self.begin_trace_if_full(key, now);
        let Some(life) = self.by_key.get_mut(&key) else {
            return;
        };
        let Some(trace) = life.trace.as_mut().filter(|trace| trace.is_sent) else {
            self.view.lose(LifeLoss::QueueFull, 1);
            return;
        };
        let (id, parent) = (trace.next(), trace.root);
        let (span, exemplar) = slow.span(id, parent, now);
        let identity = Arc::clone(&life.identity);
        if self.send(&identity, vec![span]) {
            self.view.put(slow.sample.owner, exemplar);
            if let Some(life) = self.by_key.get_mut(&key) {
                life.slow_samples += 1;
            }
        }
    }

    fn tell_checkpoint(&mut self, key: LifeKey, now: &Now) {
        self.begin_trace_if_full(key, now);
        let Some(life) = self.by_key.get_mut(&key) else {
            return;
        };
        let refused = life.tell_episodes(true, now);
        self.view.lose(LifeLoss::SpanFull, refused);
        let Some(mut trace) = life.trace.filter(|trace| trace.is_sent) else {
            return;
        };
        let id = trace.next();
        let span = spans::checkpoint(life, id, &trace, now);
        life.trace = Some(trace);
        let identity = Arc::clone(&life.identity);
        self.send(&identity, vec![span]);
    }

    /// A long life is several traces.
    fn begin_trace_if_full(&mut self, key: LifeKey, now: &Now) {
        let Some(life) = self.by_key.get_mut(&key) else {
            return;
        };
        if life.is_trace_full(&self.settings, now) {
            life.begin_next_trace(now);
            self.tell_root(key, now);
        }
    }

    fn send(&self, identity: &Identity, spans: Vec<Span>) -> bool {
        let count = spans.len() as u64;
        let is_sent = (self.send)(spans::of_container(identity, &self.own, spans));
        if !is_sent {
            self.view.lose(LifeLoss::QueueFull, count);
        }
        is_sent
    }
}
