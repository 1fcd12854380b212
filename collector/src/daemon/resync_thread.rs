//! Looks at the cgroup trees themselves, in case an event was lost, and lets go of what is old.

use std::time::{Duration, Instant, SystemTime};

use super::state::State;
use crate::host::{cgroup_mounts::CgroupMounts, cgroup_walk::walk, clock::Ktime};

/// How often the trees are walked when nothing calls for it: events tell everything that changes, so
/// this is only the net below them.
const EVERY: Duration = Duration::from_mins(1);

/// Walks that are called for are at least this far apart, whatever calls.
const AT_LEAST: Duration = Duration::from_secs(1);

/// What the thread is given.
#[derive(Debug)]
pub struct ResyncThread<'a> {
    /// Which trees.
    pub mounts: &'a CgroupMounts,
    /// What it shares.
    pub state: &'a State,
    /// How often old tombstones are looked for.
    pub interval: Duration,
    /// Whether the programs tell which cgroups come and go; else the trees are all there is.
    pub life_is_told: bool,
}

impl ResyncThread<'_> {
    /// Works until the daemon stops.
    pub fn run(self) {
        let every = if self.life_is_told {
            EVERY
        } else {
            self.interval
        };
        let mut walked = Instant::now();
        while !self.state.is_stopping() {
            let wanted = self.state.wait_for_resync(self.interval);
            if self.state.is_stopping() {
                break;
            }
            self.expire();
            if wanted || walked.elapsed() >= every {
                self.walk_all();
                walked = Instant::now();
                self.state.sleep(AT_LEAST);
            }
        }
    }

    /// Reads every hierarchy, and puts right what the table has otherwise.
    pub fn walk_all(&self) {
        let timer = self.state.own.factory().timer("reconcile", &[]);
        for hierarchy in self.mounts.attributed() {
            let (began, start) = (Ktime::now(), Instant::now());
            let walked = walk(hierarchy);
            if walked.unreadable > 0 || walked.truncated {
                tracing::warn!(
                    hierarchy = %hierarchy.mount_point.display(),
                    unreadable = walked.unreadable,
                    truncated = walked.truncated,
                    "could not read all cgroups: those keep their ids as names"
                );
            }
            self.state.pipeline().sync(
                hierarchy.id,
                &walked,
                began,
                (Ktime::now(), SystemTime::now()),
            );
            timer.record(start.elapsed());
        }
        self.state.set_walked();
    }

    fn expire(&self) {
        let start = Instant::now();
        self.state.pipeline().expire(Ktime::now());
        self.state
            .own
            .factory()
            .timer("reconcile", &[])
            .record(start.elapsed());
    }
}
