//! Asking about containers that nobody has told of.
//!
//! In: containers that have cgroups and no names. Out: which of them to ask about now, a few times each,
//! less and less often. Pure: who asks, and what the time is, is told.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::catalog::{ContainerRef, Runtime, runtimes::Protocol};

/// A container of which nobody has told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unnamed {
    /// Which.
    pub of: ContainerRef,
    /// Whose it is, as far as its cgroup's path tells.
    pub runtime: Runtime,
}

/// Which containers are asked about, and when again.
#[derive(Debug, Default)]
pub struct Asking {
    waiting: HashMap<ContainerRef, Attempt>,
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    next: Instant,
    made: usize,
}

/// How long after a container was first missed it is asked about, and how long after each time again. Most
/// are told of by an event before the first.
const DELAYS: [Duration; 5] = [
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(4),
    Duration::from_secs(16),
    Duration::from_secs(64),
];

/// The most containers of which this is remembered; anyone who may make cgroups can make some that look
/// like a container's.
pub(super) const MAX_WAITING: usize = 4_096;

/// The most questions at a time.
const MAX_AT_ONCE: usize = 8;

impl Asking {
    /// Those to ask about now. `unnamed` are all that have no names now; others are forgotten.
    pub fn due(&mut self, unnamed: Vec<Unnamed>, now: Instant) -> Vec<Unnamed> {
        let before = std::mem::take(&mut self.waiting);
        let mut due = Vec::new();
        for container in unnamed.into_iter().take(MAX_WAITING) {
            let mut attempt = before.get(&container.of).copied().unwrap_or(Attempt {
                next: now + DELAYS[0],
                made: 0,
            });
            let of = container.of.clone();
            if attempt.next <= now && attempt.made < DELAYS.len() && due.len() < MAX_AT_ONCE {
                attempt.made += 1;
                let delay = DELAYS.get(attempt.made).copied().unwrap_or_default();
                attempt.next = now + delay;
                due.push(container);
            }
            self.waiting.insert(of, attempt);
        }
        due
    }

    /// Whether there is anything that will be asked again.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.waiting
            .values()
            .all(|attempt| attempt.made >= DELAYS.len())
    }
}

impl Unnamed {
    /// Whether a runtime that is spoken to like that can know it.
    #[must_use]
    pub const fn may_be_known_to(&self, protocol: Protocol) -> bool {
        match self.runtime {
            Runtime::Docker => matches!(protocol, Protocol::Docker),
            Runtime::Podman => matches!(protocol, Protocol::Podman),
            Runtime::Garden => matches!(protocol, Protocol::Garden),
            Runtime::EcsFargate => matches!(protocol, Protocol::Ecs),
            Runtime::CriO => matches!(protocol, Protocol::Cri),
            Runtime::Containerd => matches!(protocol, Protocol::Containerd | Protocol::Cri),
            Runtime::Unknown => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unnamed(id: &str) -> Unnamed {
        Unnamed {
            of: ContainerRef {
                id_namespace: String::new(),
                id: id.to_owned(),
            },
            runtime: Runtime::Docker,
        }
    }

    #[test]
    fn a_container_is_asked_about_less_and_less_often_and_then_no_more() {
        let start = Instant::now();
        let mut asking = Asking::default();
        let mut asked = Vec::new();
        for step in 0..4_000 {
            let after = Duration::from_millis(50) * step;
            if !asking.due(vec![unnamed("a")], start + after).is_empty() {
                asked.push(after.as_millis());
            }
        }
        assert_eq!(asked, [250, 1_250, 5_250, 21_250, 85_250]);
        assert!(asking.is_done());
    }

    #[test]
    fn one_that_got_its_names_is_forgotten_and_no_more_are_kept_than_may_be() {
        let start = Instant::now();
        let mut asking = Asking::default();
        let many = (0..MAX_WAITING * 2).map(|number| unnamed(&number.to_string()));
        assert_eq!(asking.due(many.clone().collect(), start), []);
        assert_eq!(asking.waiting.len(), MAX_WAITING);
        let later = start + Duration::from_secs(1);
        assert_eq!(asking.due(many.collect(), later).len(), MAX_AT_ONCE);
        assert_eq!(asking.due(Vec::new(), later), []);
        assert!(asking.waiting.is_empty());
    }
}
