//! What happened to a container and was not told yet: the events of its next span.

use std::time::SystemTime;

use opentelemetry_proto::tonic::{common::v1::KeyValue, trace::v1::span};

use super::{
    attributes::{flag, int, text, unix_nanos},
    settings::MAX_EVENTS,
};
use crate::{
    catalog::Identity,
    host::clock::Ktime,
    reconcile::moments::{OomKill, OomLimit},
};

/// Something that happened.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) name: &'static str,
    pub(super) at: SystemTime,
    pub(super) attributes: Vec<KeyValue>,
}

/// Those that were not told yet.
#[derive(Debug, Default)]
pub(super) struct Events {
    of: Vec<Event>,
    dropped: u32,
    /// When the first of them was heard of.
    since: Option<Ktime>,
    pub(super) oom_kills: u32,
}

impl Events {
    /// Takes one that was heard of at `now`. Whether there was room.
    pub(super) fn push(&mut self, event: Event, now: Ktime) -> bool {
        self.since.get_or_insert(now);
        let has_room = self.of.len() < MAX_EVENTS;
        if has_room {
            self.of.push(event);
        } else {
            self.dropped += 1;
        }
        has_room
    }

    /// Takes what must be there whatever else happened: the latest of the others make room. How many of them.
    pub(super) fn push_all(&mut self, events: Vec<Event>) -> u32 {
        let kept = MAX_EVENTS.saturating_sub(events.len());
        let displaced = self.of.len().saturating_sub(kept);
        self.of.truncate(kept);
        self.of.extend(events);
        let displaced = u32::try_from(displaced).unwrap_or(u32::MAX);
        self.dropped += displaced;
        displaced
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.of.len()
    }

    /// When the first of them was heard of.
    pub(super) const fn since(&self) -> Option<Ktime> {
        self.since
    }

    /// All of them in the order of time, and how many there was no room for.
    pub(super) fn take(&mut self) -> (Vec<span::Event>, u32) {
        let Self {
            mut of, dropped, ..
        } = std::mem::take(self);
        of.sort_by_key(|event| event.at);
        let events = of.into_iter().map(|event| span::Event {
            time_unix_nano: unix_nanos(event.at),
            name: event.name.to_owned(),
            attributes: event.attributes,
            dropped_attributes_count: 0,
        });
        (events.collect(), dropped)
    }
}

impl Event {
    /// An OOM kill at that time.
    pub(super) fn oom_kill(kill: &OomKill, at: SystemTime) -> Self {
        let mut attributes = vec![int("process.pid", kill.pid)];
        if !kill.comm.is_empty() {
            attributes.push(text("process.executable.name", kill.comm.as_str()));
        }
        if let Some((_, victim)) = &kill.victim {
            attributes.push(text("cgscope.cgroup.path", victim.path.as_str()));
        }
        match &kill.limit {
            OomLimit::Host => attributes.push(flag("cgscope.oom.host", true)),
            OomLimit::Cgroup(owner) => {
                attributes.push(flag("cgscope.oom.host", false));
                attributes.extend(who("cgscope.oom.limit", owner));
            }
            OomLimit::Unknown => {}
        }
        Self {
            name: "cgscope.oom_kill",
            at,
            attributes,
        }
    }
}

/// Who somebody is, as far as that is known: its cgroup's path, and its container's id and names.
pub(super) fn who(prefix: &str, identity: &Identity) -> Vec<KeyValue> {
    let names = &identity.names;
    let container = identity.container.as_ref();
    let id = container.map_or("", |container| container.id.as_str());
    let known = [
        ("cgroup.path", identity.path.as_str()),
        ("container.id", id),
        ("container.name", names.name.as_str()),
        ("k8s.namespace.name", namespace(identity)),
        ("k8s.pod.name", names.pod.as_str()),
        ("k8s.container.name", names.container.as_str()),
    ];
    let known = known.into_iter().filter(|(_, value)| !value.is_empty());
    known
        .map(|(key, value)| text(format!("{prefix}.{key}"), value))
        .collect()
}

/// The namespace of Kubernetes: that of a runtime is another.
fn namespace(identity: &Identity) -> &str {
    if identity.names.pod.is_empty() {
        ""
    } else {
        &identity.names.namespace
    }
}
