//! Empties the rings in time, rotates the windows, reads the kernel's counters.

use std::time::{Duration, Instant};

use collector_common::signal::Signal;

use super::{
    last_reader::LastReader,
    state::{State, Teller},
    urgency::OwnUrgency,
};
use crate::{
    drain::{DrainError, Drainer},
    host::clock::Ktime,
    reconcile::drift::CheckpointWish,
};

/// How often the rings are emptied.
const INTERVAL: Duration = Duration::from_millis(100);

/// How often after a pass that found much: the samples ring must not fill up before the next.
const BUSY_INTERVAL: Duration = Duration::from_millis(20);

/// A pass found much when it took more than this share of the ring.
const BUSY_SHARE: usize = 8;

/// What the thread is given.
#[expect(
    missing_debug_implementations,
    reason = "the drainer holds aya's maps, which have none"
)]
pub struct DrainThread<'a> {
    /// The rings; `None` when nothing is attached.
    pub drainer: Option<Drainer>,
    /// What it shares.
    pub state: &'a State,
    /// Size of the samples ring.
    pub ring_bytes: usize,
    /// How often windows rotate.
    pub rotation: Duration,
    /// What reads cgroups at their end.
    pub last_reader: LastReader,
}

impl DrainThread<'_> {
    /// Works until the daemon stops, then empties the rings once more.
    pub fn run(self) -> Result<(), DrainError> {
        let Some(drainer) = self.drainer else {
            without_programs(self.state, self.rotation, self.last_reader);
            return Ok(());
        };
        let draining = Draining {
            drainer,
            state: self.state,
            ring_bytes: self.ring_bytes,
            last_reader: self.last_reader,
        };
        draining.run(self.rotation)
    }
}

/// Without anything attached cgroups come and go all the same.
fn without_programs(state: &State, rotation: Duration, mut last_reader: LastReader) {
    let mut rotated = Instant::now();
    while !state.is_stopping() {
        state.sleep(INTERVAL);
        follow_life(state, &mut last_reader);
        if rotated.elapsed() >= rotation {
            rotated = Instant::now();
            state.pipeline().rotate();
        }
    }
}

/// Hands over what happened to cgroups. This thread alone does, so that it is in its order.
fn follow_life(state: &State, last_reader: &mut LastReader) {
    let is_walked = state.is_walked();
    let (notes, misses_names) = {
        let mut pipeline = state.pipeline();
        (pipeline.take_life(), pipeline.misses_names())
    };
    if misses_names {
        state.miss_names();
    }
    last_reader.follow(notes, state);
    if is_walked {
        state.set_told_of_all();
    }
}

struct Draining<'a> {
    drainer: Drainer,
    state: &'a State,
    ring_bytes: usize,
    last_reader: LastReader,
}

impl Draining<'_> {
    fn run(mut self, rotation: Duration) -> Result<(), DrainError> {
        let timer = self.state.own.factory().timer("drain", &[]);
        let (mut refreshed, mut rotated) = (Instant::now(), Instant::now());
        let mut pause = INTERVAL;
        let urgency = OwnUrgency::raise();
        while !self.state.is_stopping() {
            self.drainer.wait_for_event(pause);
            let start = Instant::now();
            // A cgroup that was emptied cannot wait for the samples.
            self.drainer.drain_events(&mut *self.state.pipeline());
            follow_life(self.state, &mut self.last_reader);
            // What is left can wait for those whose CPU this is.
            let bytes = urgency.without(|| {
                let mut pipeline = self.state.pipeline();
                let bytes = self.drainer.drain_samples(&mut *pipeline, self.ring_bytes);
                if rotated.elapsed() >= rotation {
                    rotated = Instant::now();
                    pipeline.rotate();
                }
                if pipeline.wants_resync() {
                    self.state.want_resync();
                }
                bytes
            });
            timer.record(start.elapsed());
            pause = if bytes > self.ring_bytes / BUSY_SHARE {
                BUSY_INTERVAL
            } else {
                INTERVAL
            };
            if let Some(sooner) = self.last_reader.pause() {
                pause = pause.min(sooner);
            }
            if let Some(wish) = self.state.take_checkpoint_wish() {
                urgency.without(|| self.give_checkpoint(&wish))?;
            }
            if refreshed.elapsed() >= Drainer::REFRESH {
                refreshed = Instant::now();
                self.refresh()?;
            }
        }
        self.drainer.flush_all()?;
        self.drainer
            .drain(&mut *self.state.pipeline(), self.ring_bytes);
        self.refresh()
    }

    /// What the events add up to at this moment, those included that were not drained yet.
    fn give_checkpoint(&mut self, wish: &CheckpointWish) -> Result<(), DrainError> {
        let cpus = self.drainer.copy_cpus()?;
        let mut pipeline = self.state.pipeline();
        let in_flight = self
            .drainer
            .drain_to_the_last(&cpus, &mut *pipeline, self.ring_bytes);
        // A host that makes samples as fast as they are drained has no such moment; these owners' next
        // try is an interval away.
        if let Some(in_flight) = in_flight {
            let checkpoint = pipeline.checkpoint(wish, &in_flight, Ktime::now());
            drop(pipeline);
            self.state.give_checkpoint(checkpoint);
        }
        Ok(())
    }

    fn refresh(&mut self) -> Result<(), DrainError> {
        let lost = |drainer: &Drainer| -> u64 {
            let account = drainer.accounts().of(Signal::CgroupLife);
            account.lost.iter().map(|(_, events)| events).sum()
        };
        let before = lost(&self.drainer);
        self.drainer.refresh()?;
        if lost(&self.drainer) > before {
            // What those events told is to be seen in the trees.
            self.state.want_resync();
        }
        self.state.accounts().clone_from(self.drainer.accounts());
        self.state
            .tell_errors(Teller::Drain, self.last_reader.errors());
        Ok(())
    }
}
