//! Tells of the lives of containers, span by span.
//!
//! It takes what the pipeline has noted, looks at what was read, and puts spans into the outbox. The pipeline is
//! locked for look-ups alone: what is long is done outside.

use std::{sync::Arc, time::Duration};

use super::{config::ContainerTraceConfig, state::State};
use crate::{
    catalog::{Identity, OwnerId},
    export::otlp::Outboxes,
    host::{
        block_devices,
        clock::{Ktime, TimeAnchor},
    },
    reconcile::{
        LifeTotals, Pipeline,
        moments::LifeLoss,
        slow::SlowSample,
        snapshot::{ExemplarOf, LastReading},
    },
    trace::lives::{Ending, Figures, LifeKey, Lives, LivesView, Now},
};

/// How often it looks: as often as the rings are emptied, at least.
const PAUSE: Duration = Duration::from_millis(100);

/// What tells this boot from all others.
const BOOT_ID: &str = "proc/sys/kernel/random/boot_id";

/// What the thread is given.
#[derive(Debug)]
pub struct LivesThread<'a> {
    state: &'a State,
    view: Arc<LivesView>,
    lives: Lives,
}

/// A slow sample, the container that it is of, and whose cgroup inside of that.
type OfContainer = (SlowSample, OwnerId, Option<Arc<Identity>>);

impl<'a> LivesThread<'a> {
    /// None where nothing is to be told, or nobody is told.
    #[must_use]
    pub fn new(config: &ContainerTraceConfig, state: &'a State) -> Option<Self> {
        let view = Arc::clone(state.lives.as_ref()?);
        let Outboxes { own, traces, .. } = &state.otlp;
        let traces = Arc::clone(traces.as_ref()?);
        let boot = std::fs::read_to_string(state.host_root.join(BOOT_ID))
            .inspect_err(|error| {
                tracing::warn!(
                    "cannot read /{BOOT_ID}: {error}; ids of traces are of cgroups alone"
                );
            })
            .unwrap_or_default();
        let lives = Lives::new(
            config.settings(),
            Arc::clone(own),
            boot.trim().to_owned(),
            Arc::clone(&view),
            Box::new(traces),
            Ktime::now(),
        );
        Some(Self { state, view, lives })
    }

    /// Works until the daemon stops; then there is more to tell ([`finish`](Self::finish)).
    #[must_use]
    pub fn run(mut self) -> Self {
        while !self.state.is_stopping() {
            self.look();
            self.state.sleep(PAUSE);
        }
        self
    }

    /// Tells what was not told yet, once the rings were emptied for the last time.
    pub fn finish(mut self) {
        // Those that have just begun are looked at the second time, and the latest slow requests come the last time.
        for _ in 0..Pipeline::SLOW_ROUNDS.max(2) {
            self.look();
        }
        // Nobody waits for their exit codes any more.
        let now = now();
        let ended = self.lives.ended();
        self.keep_endings(&ended);
        for key in ended {
            self.lives.close(key, &now);
        }
        self.lives.stop(&now);
    }

    fn look(&mut self) {
        let state = self.state;
        let awaited = self.lives.awaited(&now());
        let (moments, slow, standings) = {
            let mut pipeline = state.pipeline();
            let slow = pipeline.take_slow();
            let around = |sample: SlowSample| {
                let container = pipeline.container_around(sample.owner)?;
                let inside = (container != sample.owner)
                    .then(|| pipeline.identity(sample.owner))
                    .flatten();
                Some((sample, container, inside))
            };
            let all = slow.samples.len();
            let samples: Vec<OfContainer> = slow.samples.into_iter().filter_map(around).collect();
            // Of a container whose own cgroup is not known, or no longer.
            self.view
                .lose(LifeLoss::Containers, (all - samples.len()) as u64);
            let standings = pipeline.standings(&awaited);
            (pipeline.take_moments(), (samples, slow.dropped), standings)
        };
        // After the lock: nothing that was noted is later than this.
        let now = now();
        self.lives.take(moments, &now);
        for (key, standing) in awaited.iter().zip(standings) {
            self.lives.stand(*key, standing.as_ref(), &now);
            self.read(*key, &now);
        }
        let (samples, dropped) = slow;
        self.view.lose(LifeLoss::ContainerRate, dropped.of_cgroup);
        self.view.lose(LifeLoss::TotalRate, dropped.of_all);
        self.view.lose(LifeLoss::Containers, dropped.ownerless);
        for (sample, container, inside) in samples {
            self.lives.slow(sample, container, inside, disk_of, &now);
        }
        self.keep_endings(&self.lives.ending(&now));
        for key in self.lives.over(&now) {
            self.lives.close(key, &now);
        }
        self.lives.tell_due(&now);
    }

    /// Looks at what was read last.
    fn read(&mut self, (owner, generation): LifeKey, now: &Now) {
        let entry = self.state.readings.entry(owner);
        if let Some(latest) = entry.and_then(|entry| entry.latest(generation)) {
            let figures = Figures::of(latest.at, &latest.statistics);
            self.lives.read((owner, generation), &figures, now);
        }
    }

    /// Looks up how these lives ended, but for those at whose place another has begun.
    fn keep_endings(&mut self, keys: &[LifeKey]) {
        if keys.is_empty() {
            return;
        }
        let totals = self.state.pipeline().life_totals(keys);
        for (key, totals) in keys.iter().zip(totals) {
            if let Some(totals) = totals {
                let ending = self.ending(*key, &totals);
                self.lives.keep(*key, ending);
            }
        }
    }

    fn ending(&self, (owner, generation): LifeKey, totals: &LifeTotals) -> Ending {
        let LifeTotals {
            life,
            sched,
            wait_p99_ns,
        } = totals;
        let readings = &self.state.readings;
        let reading = readings.of(life);
        let (figures, how) = match &reading.statistics {
            Some(of) => (
                Some(Figures::of(reading.at.unwrap_or_default(), of)),
                reading.last,
            ),
            None => (None, reading.last),
        };
        // Its last process has left, and the cgroup may be there yet.
        let entry = readings.entry(owner);
        let last = entry.and_then(|entry| entry.last_figures(generation));
        let is_final = how == LastReading::Running && last.is_some();
        Ending {
            figures,
            how: if is_final { LastReading::Final } else { how },
            sched: *sched,
            wait_p99: wait_p99_ns.map(Duration::from_nanos),
        }
    }
}

/// The kernel's name of the disk of a slow sample.
fn disk_of(sample: &SlowSample) -> Option<String> {
    match sample.of {
        ExemplarOf::RunqueueLatency => None,
        ExemplarOf::BlockIoQueue { device, .. } | ExemplarOf::BlockIoDevice { device, .. } => {
            Some(block_devices::name(device.major, device.minor))
        }
    }
}

fn now() -> Now {
    Now::new(TimeAnchor::now(), Ktime::now())
}
