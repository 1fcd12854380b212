//! What goes out: the spans of lives, when they are due.

use std::{sync::Arc, time::Duration};

use opentelemetry_proto::tonic::trace::v1::Span;

use super::{LifeKey, Lives};
use crate::{
    catalog::Identity,
    host::clock::Ktime,
    reconcile::moments::LifeLoss,
    trace::lives::{
        Now,
        life::{Life, ToldLife},
        slow::Slow,
        spans,
    },
};

impl Lives {
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
        let refused = life.tell_episodes(false, now) + life.tell_runtime();
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
            exemplars.push((slow, exemplar));
            life.slow_samples += 1;
        }
        let ended = life.end.map_or(now.wall, |end| end.at);
        let id = trace.next();
        told.push(spans::whole(&mut life, id, &trace, ending.as_ref(), ended));
        if self.send(&life.identity, told) {
            for (slow, exemplar) in exemplars {
                self.view
                    .put(slow.sample.owner, slow.sample.ended, exemplar);
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
                let lost = 1 + life.early.len() + life.events.len();
                self.view.lose(LifeLoss::QueueFull, lost as u64);
            }
        }
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
        let root = spans::of_container(&identity, &self.own, vec![root]);
        let is_sent = self.outbox.try_put(root);
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

    pub(super) fn tell_slow(&mut self, key: LifeKey, slow: &Slow, now: &Now) {
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
            self.view
                .put(slow.sample.owner, slow.sample.ended, exemplar);
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
        // What is told on a span is lost with it.
        let events = spans.iter().map(|span| span.events.len());
        let count = (spans.len() + events.sum::<usize>()) as u64;
        let spans = spans::of_container(identity, &self.own, spans);
        let is_sent = self.outbox.put(spans);
        if !is_sent {
            self.view.lose(LifeLoss::QueueFull, count);
        }
        is_sent
    }
}
