//! The real programs in the real kernel, and everything they say, for a test to look at.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, MutexGuard, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use collector::{
    attach::{AttachPlan, Attached, LoadSettings, TaskHierarchy},
    drain::{Batch, Drainer, Event, Samples, Sink, decode::CgroupChange},
    host::{CgroupKey, support::KernelSupport},
    reconcile::snapshot::SignalAccount,
    window::BatchOutcome,
};
use collector_common::{
    event::OomEvent,
    sample::{BlockSample, SchedSample},
    signal::Signal,
};

/// How the programs are to be loaded.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Where tasks are attributed.
    pub tasks: TaskHierarchy,
    /// Size of the samples ring.
    pub samples_ring_bytes: u32,
    /// How long the rings are left alone between two drains.
    pub drain_interval: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tasks: task_hierarchy(),
            samples_ring_bytes: 4 << 20,
            drain_interval: Duration::from_millis(100),
        }
    }
}

/// Where this host's daemon attributes tasks.
#[must_use]
pub fn task_hierarchy() -> TaskHierarchy {
    if crate::cgroup::mounts().v1_with("cpu").is_some() {
        TaskHierarchy::V1Cpu
    } else {
        TaskHierarchy::V2
    }
}

/// What this kernel gives. Asked for once: an emulated machine takes a second to go through its types.
pub fn kernel_support() -> &'static KernelSupport {
    static SUPPORT: OnceLock<KernelSupport> = OnceLock::new();
    SUPPORT.get_or_init(|| KernelSupport::probe(None))
}

/// A cgroup event, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupEvent {
    /// What happened.
    pub change: CgroupChange,
    /// To which cgroup.
    pub cgroup: CgroupKey,
    /// Its path.
    pub path: Vec<u8>,
}

/// Everything that the programs said.
#[derive(Debug, Default)]
pub struct Seen {
    /// Context switches.
    pub sched: Vec<SchedSample>,
    /// Block-I/O completions.
    pub block: Vec<BlockSample>,
    /// OOM kills.
    pub oom: Vec<OomEvent>,
    /// The life of cgroups.
    pub cgroups: Vec<CgroupEvent>,
    /// The longest that a sample lay in a batch before it was drained.
    pub longest_delay: Duration,
    /// The longest from one drain to the next.
    pub longest_pause: Duration,
}

impl Sink for Seen {
    fn batch(&mut self, batch: &Batch<'_>) -> BatchOutcome {
        let recorded = match batch.samples {
            Samples::Sched(samples) => {
                self.sched.extend_from_slice(samples);
                samples.len()
            }
            Samples::BlockIo(samples) => {
                self.block.extend_from_slice(samples);
                let opened = Duration::from_nanos(batch.header.opened_ns);
                let now = collector::host::clock::Ktime::now().0;
                self.longest_delay = self.longest_delay.max(now.saturating_sub(opened));
                samples.len()
            }
        };
        BatchOutcome::all_recorded(recorded as u64)
    }

    fn event(&mut self, event: &Event<'_>) -> BatchOutcome {
        match *event {
            Event::Oom(event) => self.oom.push(*event),
            Event::Cgroup {
                change,
                cgroup,
                path,
                ..
            } => {
                self.cgroups.push(CgroupEvent {
                    change,
                    cgroup,
                    path: path.to_vec(),
                });
            }
        }
        BatchOutcome::all_recorded(1)
    }
}

/// Programs that are attached and drained in the background, until [`finish`](Self::finish).
#[derive(Debug)]
pub struct Observation<S = Seen> {
    _alone: MutexGuard<'static, ()>,
    stop: Arc<AtomicBool>,
    drainer: JoinHandle<Drained<S>>,
}

#[derive(Debug)]
struct Drained<S> {
    sink: S,
    accounts: Vec<SignalAccount>,
    longest_pause: Duration,
}

impl Observation {
    /// Attaches every signal; panics when one that this kernel should have is off.
    #[must_use]
    pub fn start(settings: Settings) -> Self {
        Self::of(settings, Seen::default(), |_| ())
    }

    /// Detaches, and hands over what was seen and each signal's account.
    #[must_use]
    pub fn finish(self) -> (Seen, Vec<SignalAccount>) {
        let Drained {
            mut sink,
            accounts,
            longest_pause,
        } = self.end();
        sink.longest_pause = longest_pause;
        (sink, accounts)
    }
}

impl<S: Sink + Send + 'static> Observation<S> {
    /// The same, of what goes to another sink, which `behind` is given after each pass.
    #[must_use]
    pub fn of(settings: Settings, mut sink: S, behind: impl Fn(&mut S) + Send + 'static) -> Self {
        let alone = crate::alone();
        let wanted: BTreeSet<Signal> = Signal::ALL.into_iter().collect();
        let plan = AttachPlan::from_support(kernel_support(), Some(settings.tasks), &wanted);
        let load = LoadSettings {
            samples_ring_bytes: settings.samples_ring_bytes,
            events_ring_bytes: 1 << 20,
            log: false,
            own_cgroup: None,
        };
        let attached = Attached::new(&plan, load).expect("the kernel programs load");
        for (signal, state) in &attached.signals {
            assert!(state.is_on(), "{} is off: {state:?}", signal.name());
        }
        let mut drainer = Drainer::new(attached).expect("the rings can be read");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut longest_pause = Duration::ZERO;
            let mut refreshed = Instant::now();
            let mut last_drain = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(settings.drain_interval);
                drainer.drain(&mut sink, usize::MAX);
                longest_pause = longest_pause.max(last_drain.elapsed());
                last_drain = Instant::now();
                behind(&mut sink);
                if refreshed.elapsed() >= Drainer::REFRESH {
                    drainer.refresh().expect("the counters can be read");
                    refreshed = Instant::now();
                }
            }
            drainer.flush_all().expect("the CPUs can be flushed");
            drainer.drain(&mut sink, usize::MAX);
            behind(&mut sink);
            drainer.refresh().expect("the counters can be read");
            let accounts = Signal::ALL
                .into_iter()
                .map(|signal| drainer.accounts().of(signal))
                .collect();
            Drained {
                sink,
                accounts,
                longest_pause,
            }
        });
        Self {
            _alone: alone,
            stop,
            drainer: thread,
        }
    }

    /// Detaches, and hands over the sink.
    #[must_use]
    pub fn finish_sink(self) -> S {
        self.end().sink
    }

    fn end(self) -> Drained<S> {
        self.stop.store(true, Ordering::Relaxed);
        self.drainer.join().expect("the drain thread ends")
    }
}
