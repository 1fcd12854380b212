//! What is known of one life of a container, and was not told yet.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    Figures, LifeKey, LivesSettings, Now,
    episodes::Episodes,
    events::{Event, Events},
    ids::{LifeId, span_id},
    rates::Bucket,
    settings::{ARRIVAL, EVENT_WAIT, EXIT_WAIT, LOOK, MAX_SPANS, NAME_WAIT, SETTLE},
    slow::Slow,
};
use crate::{
    catalog::{ContainerRef, Identity, RuntimeContainer, RuntimeState},
    host::clock::Ktime,
    reconcile::{
        moments::{OomKill, Standing},
        snapshot::{LastReading, SchedSums, SpanRef},
    },
};

/// One life of a container.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) key: LifeKey,
    pub(super) identity: Arc<Identity>,
    pub(super) container: ContainerRef,
    /// When its cgroup was made, or found, as the calendar was then.
    pub(super) began: SystemTime,
    /// The same on the clock that nobody sets.
    pub(super) began_at: Ktime,
    /// Whether it was made while we looked on.
    pub(super) is_whole: bool,
    /// When we heard of it.
    pub(super) heard: Ktime,
    /// Whether it had a process while we looked on.
    pub(super) was_filled: bool,
    /// When its first process was started, as its runtime tells.
    pub(super) started: Option<SystemTime>,
    pub(super) end: Option<End>,
    pub(super) exit: Option<Exit>,
    /// How it ended, as it was known before the last samples came: another may begin at its place until then.
    pub(super) ending: Option<Ending>,
    pub(super) trace: Option<Trace>,
    /// Up to then a checkpoint told of it.
    pub(super) told_until: (Ktime, SystemTime),
    pub(super) events: Events,
    pub(super) episodes: Episodes,
    pub(super) figures: Option<Figures>,
    pub(super) early: Vec<Slow>,
    pub(super) bucket: Bucket,
    pub(super) oom_kills: u32,
    pub(super) last_victim: Option<String>,
    pub(super) slow_samples: u64,
    looked: Ktime,
}

/// Its last process left.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) at: SystemTime,
    /// When we heard of it.
    heard: Ktime,
}

/// What the runtime tells of its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exit {
    pub(super) code: Option<i32>,
    pub(super) finished: Option<SystemTime>,
    /// When we heard of it first.
    heard: Ktime,
}

/// The trace that it is told in now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trace {
    pub(super) life: LifeId,
    pub(super) root: SpanRef,
    /// Traces of this life before.
    pub(super) part: u32,
    /// The one before.
    pub(super) previous: Option<SpanRef>,
    pub(super) began: (Ktime, SystemTime),
    /// Its spans so far.
    pub(super) spans: u32,
    pub(super) is_sent: bool,
    /// The first span is tried again then, if it found no room.
    pub(super) again: Ktime,
}

/// One that was told to its end: processes may come into its cgroup again.
#[derive(Debug)]
pub(super) struct ToldLife {
    pub(super) key: LifeKey,
    pub(super) identity: Arc<Identity>,
    pub(super) container: ContainerRef,
    pub(super) is_whole: bool,
    pub(super) trace: Trace,
}

/// How a life ended, as far as that is to be looked up.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// The last reading.
    pub figures: Option<Figures>,
    /// How it was had.
    pub how: LastReading,
    /// What its tasks ran and waited, those in cgroups below its own included.
    pub sched: SchedSums,
    /// The 99th percentile of the latest waits.
    pub wait_p99: Option<Duration>,
}

impl Life {
    pub(super) fn new(
        key: LifeKey,
        identity: Arc<Identity>,
        container: ContainerRef,
        is_whole: bool,
        settings: &LivesSettings,
        now: &Now,
    ) -> Self {
        let began = identity.started;
        let began_at = now.ktime_of(began);
        let episodes = if is_whole {
            Episodes::since(began_at)
        } else {
            Episodes::default()
        };
        Self {
            key,
            identity,
            container,
            began,
            began_at,
            is_whole,
            heard: now.ktime,
            was_filled: false,
            started: None,
            end: None,
            exit: None,
            ending: None,
            trace: None,
            told_until: (now.ktime, began),
            events: Events::default(),
            episodes,
            figures: None,
            early: Vec::new(),
            bucket: Bucket::new(settings.container, now.ktime),
            oom_kills: 0,
            last_victim: None,
            slow_samples: 0,
            looked: now.ktime,
        }
    }

    /// A process has come into one that was told to its end: it goes on in another trace.
    pub(super) fn again(told: &ToldLife, settings: &LivesSettings, now: &Now) -> Self {
        let ToldLife {
            key,
            identity,
            container,
            is_whole,
            trace,
        } = told;
        let identity = Arc::clone(identity);
        let mut life = Self::new(*key, identity, container.clone(), *is_whole, settings, now);
        (life.began, life.began_at) = (now.wall, now.ktime);
        life.told_until = (now.ktime, now.wall);
        life.episodes = Episodes::default();
        life.trace = Some(trace.next_part(now));
        life
    }

    /// It was there at that time already.
    pub(super) fn began_by(&mut self, at: SystemTime, now: &Now) {
        if at < self.began {
            self.began = at;
            self.began_at = self.began_at.min(now.ktime_of(at));
        }
    }

    /// A process is in it: it goes on.
    pub(super) const fn fill(&mut self) {
        self.was_filled = true;
        if self.end.take().is_some() {
            // These were of what has ended.
            (self.ending, self.exit) = (None, None);
        }
    }

    /// Its last process left, perhaps in one more hierarchy.
    pub(super) fn empty(&mut self, at: SystemTime, now: &Now) {
        let end = self.end.get_or_insert(End {
            at,
            heard: now.ktime,
        });
        end.at = end.at.max(at);
        self.was_filled = true;
    }

    /// Its cgroup is gone. It had been left before, if that was seen.
    pub(super) fn remove(&mut self, at: SystemTime, now: &Now) {
        self.end.get_or_insert(End {
            at,
            heard: now.ktime,
        });
    }

    /// Whether what a runtime tells of an exit at that time can be of this life.
    pub(super) fn can_have_ended(&self, finished: Option<SystemTime>, now: &Now) -> bool {
        match finished {
            // The runtime's clock is the same; it reads it later than the kernel.
            Some(finished) => self.had_begun(finished, now),
            None => self.end.is_some(),
        }
    }

    /// Whether it had begun at a time that a runtime tells. The calendar can have been set since the beginning: that time
    /// is of the calendar before or of the one after.
    fn had_begun(&self, at: SystemTime, now: &Now) -> bool {
        at >= self.began.min(now.clocks.wall(self.began_at))
    }

    /// A runtime tells that it ended. What is told later is more exact.
    pub(super) fn hear_exit(&mut self, code: Option<i32>, finished: Option<SystemTime>, now: &Now) {
        let exit = self.exit.get_or_insert(Exit {
            code,
            finished,
            heard: now.ktime,
        });
        exit.code = code.or(exit.code);
        exit.finished = finished.or(exit.finished);
    }

    /// Where it stands by now.
    pub(super) fn stand(&mut self, standing: &Standing, boot: &str, now: &Now) {
        self.looked = now.ktime;
        self.identity = Arc::clone(&standing.identity);
        if let Some(told) = standing.identity.told.clone() {
            self.hear(&told, now);
        }
        if let Some(removed) = standing.removed {
            self.remove(removed, now);
        }
        if self.trace.is_none() {
            self.trace = Some(self.first_trace(standing, boot, now));
        }
    }

    fn hear(&mut self, told: &RuntimeContainer, now: &Now) {
        let ended = self.end.map(|end| end.at);
        let is_of_it =
            |at: &SystemTime| self.had_begun(*at, now) && ended.is_none_or(|end| *at <= end);
        // Of one that was found the start may be long ago.
        let started = told.started;
        let started = started.filter(|at| is_of_it(at) || !self.is_whole && self.started.is_none());
        self.started = started.or(self.started);
        let has_ended = told.state == RuntimeState::Exited;
        if has_ended && told.finished.is_some() && self.can_have_ended(told.finished, now) {
            self.hear_exit(told.exit_code, told.finished, now);
        }
    }

    fn first_trace(&self, standing: &Standing, boot: &str, now: &Now) -> Trace {
        let began_ns = super::attributes::unix_nanos(self.began);
        let life = match standing.key {
            Some(key) => LifeId::of(boot, &self.container, key),
            None => LifeId::of_time(boot, &self.container, began_ns),
        };
        let root = if self.is_whole {
            life.first_root()
        } else {
            life.later_root(began_ns)
        };
        Trace {
            life,
            root,
            part: 0,
            previous: None,
            began: (now.ktime, self.began),
            spans: 0,
            is_sent: false,
            again: Ktime::default(),
        }
    }

    /// Whether the first span is due: it has its name, or has waited for it long enough.
    pub(super) fn is_root_due(&self, now: &Now) -> bool {
        let Some(trace) = self.trace.filter(|trace| !trace.is_sent) else {
            return false;
        };
        let waited = now.since(self.heard);
        let is_named = self.identity.told.is_some();
        // When it was started is told a little later than how it is called.
        let is_told =
            is_named && waited >= SETTLE && (self.started.is_some() || waited >= 2 * SETTLE);
        now.ktime >= trace.again && (is_told || waited >= NAME_WAIT || trace.part > 0)
    }

    /// Whether anything new that can be asked of it matters now.
    pub(super) fn is_awaited(&self, now: &Now) -> bool {
        let is_new = self.trace.is_none_or(|trace| !trace.is_sent);
        is_new || self.end.is_some() || now.since(self.looked) >= LOOK
    }

    /// Whether how it ended can be looked up: anew at each look, as it becomes more exact.
    pub(super) fn is_ending_due(&self, now: &Now) -> bool {
        self.end.is_some_and(|end| now.since(end.heard) >= SETTLE)
    }

    /// Whether all is known that will be, after its end.
    pub(super) fn is_over(&self, now: &Now) -> bool {
        let Some(end) = self.end else { return false };
        let has_arrived = now.since(end.heard) >= ARRIVAL;
        let is_exit_settled = |exit: Exit| now.since(exit.heard) >= SETTLE;
        let is_named = self.identity.told.is_some();
        has_arrived
            && (now.since(end.heard) >= EXIT_WAIT
                || is_named && self.exit.is_some_and(is_exit_settled))
    }

    /// Whether it was one at all: a process ran in it, or a runtime knows it.
    pub(super) fn is_real(&self) -> bool {
        self.was_filled || !self.is_whole || self.identity.told.is_some()
    }

    /// Whether a checkpoint is due.
    pub(super) fn is_checkpoint_due(&self, settings: &LivesSettings, now: &Now) -> bool {
        self.is_told() && now.since(self.told_until.0) >= settings.checkpoint
    }

    /// Whether one is due because of what happened.
    pub(super) fn are_events_due(&self, settings: &LivesSettings, now: &Now) -> bool {
        let wait = EVENT_WAIT.min(settings.checkpoint);
        let has_waited = |since: Ktime| now.since(since) >= wait;
        self.is_told() && self.events.since().is_some_and(has_waited)
    }

    /// Whether it is told of while it goes on.
    fn is_told(&self) -> bool {
        self.end.is_none() && self.trace.is_some_and(|trace| trace.is_sent)
    }

    /// Whether its next span is of another trace.
    pub(super) fn is_trace_full(&self, settings: &LivesSettings, now: &Now) -> bool {
        // The last one is kept for the end.
        self.trace.is_some_and(|trace| {
            trace.spans + 1 >= MAX_SPANS || now.since(trace.began.0) >= settings.trace
        })
    }

    /// Begins the next trace.
    pub(super) fn begin_next_trace(&mut self, now: &Now) {
        if let Some(trace) = &mut self.trace {
            *trace = trace.next_part(now);
        }
    }

    /// The OOM killer chose a task of it. Whether there was room for the event.
    pub(super) fn oom_kill(&mut self, kill: &OomKill, now: &Now) -> bool {
        self.oom_kills = self.oom_kills.saturating_add(1);
        self.events.oom_kills = self.events.oom_kills.saturating_add(1);
        self.last_victim = Some(format!("process {} ({})", kill.pid, kill.comm));
        let at = now.clocks.wall(kill.at);
        self.events.push(Event::oom_kill(kill, at), now.ktime)
    }

    /// Compares a reading with the one before. How many events found no room.
    pub(super) fn read(
        &mut self,
        figures: &Figures,
        is_last: bool,
        settings: &LivesSettings,
        now: &Now,
    ) -> u64 {
        if self.figures.is_some_and(|before| before.at >= figures.at) && !is_last {
            return 0;
        }
        self.figures = Some(*figures);
        let over = self.episodes.read(figures, is_last, settings, &now.clocks);
        self.push_episodes(over, now)
    }

    /// Takes the episodes that are not over, as far as they were. How many found no room.
    pub(super) fn tell_episodes(&mut self, goes_on: bool, now: &Now) -> u64 {
        let open = self.episodes.so_far(goes_on, &now.clocks);
        self.push_episodes(open, now)
    }

    fn push_episodes(&mut self, mut episodes: Vec<Event>, now: &Now) -> u64 {
        for episode in &mut episodes {
            // The clocks are compared at each look, and one that began with the life may seem some ns earlier.
            episode.at = episode.at.max(self.began);
        }
        self.push(episodes, now)
    }

    /// Takes what its runtime told of its first process. How many other events made room for it.
    pub(super) fn tell_runtime(&mut self) -> u64 {
        let finished = self.exit.and_then(|exit| exit.finished);
        let events = [
            ("cgscope.runtime.started", self.started),
            ("cgscope.runtime.finished", finished),
        ];
        let events = events.into_iter().filter_map(|(name, at)| {
            Some(Event {
                name,
                at: at?,
                attributes: Vec::new(),
            })
        });
        self.events.push_all(events.collect()).into()
    }

    /// Takes events. How many found no room.
    fn push(&mut self, events: Vec<Event>, now: &Now) -> u64 {
        let refused = events
            .into_iter()
            .filter_map(|event| (!self.events.push(event, now.ktime)).then_some(()));
        refused.count() as u64
    }
}

impl Trace {
    /// The trace of the same life that follows.
    fn next_part(&self, now: &Now) -> Self {
        let at_ns = super::attributes::unix_nanos(now.wall);
        Self {
            life: self.life,
            root: self.life.later_root(at_ns),
            part: self.part + 1,
            previous: Some(self.root),
            began: (now.ktime, now.wall),
            spans: 0,
            is_sent: false,
            again: Ktime::default(),
        }
    }

    /// A new span's id.
    pub(super) fn next(&mut self) -> SpanRef {
        self.spans += 1;
        SpanRef {
            trace_id: self.root.trace_id,
            span_id: span_id(self.root.trace_id, self.spans),
        }
    }
}
