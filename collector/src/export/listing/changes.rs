//! What changed between two documents of the catalog, for those who watch it.
//!
//! In: one document after the other. Out: what came, changed and went since the one before. A reading is no
//! change, and neither is a time: who wants figures asks for metrics.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{CatalogDocument, CgroupEntry, ElsewhereEntry, RuntimeEntry};

/// Remembers the last document.
#[derive(Debug, Default)]
pub struct Changes {
    known: BTreeMap<Key, Entry>,
}

/// A line of `cgscope catalog --watch --json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// What happened.
    pub event: ChangeEvent,
    /// When the document was taken in which it is seen first.
    pub time_seconds: f64,
    /// To what; of one that is gone, what was last known.
    #[serde(flatten)]
    pub entry: Entry,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeEvent {
    /// It is known now, and was not.
    Added,
    /// Its state, ids, generation, names, or what is told of its container are others.
    Changed,
    /// It is known no more.
    Removed,
}

/// To what.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// A cgroup, without its last reading.
    Cgroup(Box<CgroupEntry>),
    /// A container that has no cgroup here.
    ContainerElsewhere(Box<ElsewhereEntry>),
    /// A runtime.
    Runtime(RuntimeEntry),
}

/// What stays the same as long as it is the same thing. In the order in which changes are told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Runtime(String, String),
    Cgroup(String),
    Elsewhere(Option<String>, Option<String>, String),
}

impl Changes {
    /// What changed since the last document; of the first, that all of it is there.
    pub fn take(&mut self, document: &CatalogDocument) -> Vec<Change> {
        let time_seconds = document.taken_seconds;
        let change = |event, entry: &Entry| Change {
            event,
            time_seconds,
            entry: entry.clone(),
        };
        let mut now = BTreeMap::new();
        let mut changes = Vec::new();
        for (key, entry) in entries(document) {
            match self.known.remove(&key) {
                None if now.contains_key(&key) => continue,
                None => changes.push(change(ChangeEvent::Added, &entry)),
                Some(before) if !before.is_same(&entry) => {
                    changes.push(change(ChangeEvent::Changed, &entry));
                }
                Some(_) => {}
            }
            now.insert(key, entry);
        }
        let gone = std::mem::replace(&mut self.known, now);
        // What went makes way for what comes.
        let mut all: Vec<_> = gone
            .values()
            .map(|entry| change(ChangeEvent::Removed, entry))
            .collect();
        all.append(&mut changes);
        all
    }
}

fn entries(document: &CatalogDocument) -> impl Iterator<Item = (Key, Entry)> {
    let runtimes = document.runtimes.iter().cloned().map(|of| {
        let key = Key::Runtime(of.protocol.clone(), of.address.clone());
        (key, Entry::Runtime(of))
    });
    let cgroups = document.cgroups.iter().map(|of| {
        let cgroup = CgroupEntry {
            last_reading: None,
            ..of.clone()
        };
        (
            Key::Cgroup(of.path.clone()),
            Entry::Cgroup(Box::new(cgroup)),
        )
    });
    let elsewhere = document.containers_elsewhere.iter().cloned().map(|of| {
        let namespace = of.told.runtime_namespace.clone();
        let key = Key::Elsewhere(of.runtime.clone(), namespace, of.id.clone());
        (key, Entry::ContainerElsewhere(Box::new(of)))
    });
    runtimes.chain(cgroups).chain(elsewhere)
}

impl Entry {
    /// Whether nothing changed but times: those of cgroups come from a clock that is set, and those of
    /// trouble count up while it lasts.
    fn is_same(&self, other: &Self) -> bool {
        self.without_times() == other.without_times()
    }

    fn without_times(&self) -> Self {
        match self {
            Self::Cgroup(of) => Self::Cgroup(Box::new(CgroupEntry {
                start_time_seconds: None,
                exit_time_seconds: None,
                ..(**of).clone()
            })),
            Self::ContainerElsewhere(_) => self.clone(),
            Self::Runtime(of) => Self::Runtime(RuntimeEntry {
                last_error_time_seconds: None,
                ..of.clone()
            }),
        }
    }
}
