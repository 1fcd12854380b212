//! All numbers at one moment: what every exporter is given.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::SystemTime,
};

use crate::{
    catalog::{
        Identity, Role, Roster, RuntimeContainer, following::RuntimeStatus,
        kata::reading::KataReadings,
    },
    host::{
        cgroupfs::{CgroupStatistics, ReadAccount, Reason},
        clock::Ktime,
        network::NetworkStatistics,
        process_files::ProcessTotals,
    },
    reconcile::{
        delivery::OtlpAccount,
        drift::DriftRatio,
        forwarding::ForwarderFigures,
        moments::LifeLosses,
        readings::{LastReadings, LeftOutCounts},
    },
    window::{
        BlockTotals, CgroupTotals, Cumulative, Device, OomTotals, Operation, Quantiles,
        SchedTotals, WindowSignal,
    },
};

pub use crate::{catalog::CgroupCounts, drain::SignalAccount, host::process::ProcessStats};

/// All numbers at one moment. A copy: it holds no lock, and encoding it stops nobody.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When they were taken.
    pub taken: SystemTime,
    /// One entry for each cgroup that has an identity of its own, tombstones included; no two have
    /// the same [`Identity::path`].
    pub cgroups: Vec<CgroupStats>,
    /// One entry for each signal that is on.
    pub accounts: Vec<SignalAccount>,
    /// One entry for each kernel program in the plan.
    pub programs: Vec<ProgramStats>,
    /// Whether the kernel says whose limit an OOM kill is for; without, no count of those means
    /// anything.
    pub oom_limits_known: bool,
    /// Whether a wait's own bandwidth limit is told apart from contention; without, no split of the
    /// waits means anything.
    pub throttling_known: bool,
    /// How often a limit that was biting was forgotten; its waits then count as contention.
    pub throttles_forgotten: u64,
    /// How many cgroups are known, by state.
    pub counts: CgroupCounts,
    /// How many events went to the overflow row because their cgroups had no place of their own.
    pub events_overflowed: u64,
    /// How the last readings ended of cgroups that are gone.
    pub last_readings: LastReadings,
    /// What reading cgroups left out for want of room, in the order of
    /// [`LeftOut::ALL`](crate::reconcile::readings::LeftOut::ALL).
    pub left_out: LeftOutCounts,
    /// How far events and the kernel's counters differ; a quantity that could not be compared is absent.
    pub drift: Vec<DriftRatio>,
    /// What went wrong in reading cgroups' files.
    pub read_errors: ReadErrors,
    /// The container runtimes that were found.
    pub runtimes: Vec<RuntimeStatus>,
    /// What the shims of Kata tell.
    pub kata: KataSnapshot,
    /// What became of all that was to be sent to an OpenTelemetry collector; none where nothing is.
    pub otlp: Vec<OtlpAccount>,
    /// What happened to containers and is in no span; absent where their lives are not traced.
    pub life_losses: Option<LifeLosses>,
    /// What came of Kata's agents; `None` where none are listened for.
    pub forwarder: Option<ForwarderFigures>,
    /// Our own timings.
    pub timings: Vec<(Timing, Cumulative)>,
    /// Our own process.
    pub process: ProcessStats,
}

/// What the shims of Kata tell, and of whom.
#[derive(Clone, Debug, Default)]
pub struct KataSnapshot {
    /// What they tell.
    pub readings: KataReadings,
    /// The pods of the sandboxes that are known, by the sandbox's id.
    pub pods: HashMap<String, SandboxPod>,
}

/// The pod of a sandbox; empty where it is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SandboxPod {
    /// Its UID.
    pub uid: String,
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
}

impl KataSnapshot {
    /// What shims tell, with the pods that runtimes tell of.
    #[must_use]
    pub fn of(readings: KataReadings, roster: &Roster) -> Self {
        let wanted: HashSet<&str> = readings
            .metrics
            .sandboxes
            .iter()
            .map(String::as_str)
            .collect();
        let mut pods = HashMap::new();
        if !wanted.is_empty() {
            let told = roster.containers();
            for of in told.filter(|of| wanted.contains(of.id.as_str())) {
                // Of two with one id, in namespaces of their own, the one that is a sandbox.
                if of.role == Role::Sandbox || !pods.contains_key(&of.id) {
                    pods.insert(of.id.clone(), SandboxPod::of(of));
                }
            }
        }
        Self { readings, pods }
    }
}

impl SandboxPod {
    fn of(told: &RuntimeContainer) -> Self {
        Self {
            uid: told.pod_uid.clone(),
            name: told.names.pod.clone(),
            namespace: told.names.namespace.clone(),
        }
    }
}

/// The numbers of one cgroup.
#[derive(Clone, Debug)]
pub struct CgroupStats {
    /// Who it is.
    pub identity: Arc<Identity>,
    /// When the cgroup was removed, if it was: then this is a tombstone.
    pub exited: Option<SystemTime>,
    /// Absent when no task of it has switched.
    pub sched: Option<SchedTotals>,
    /// One entry per device and operation that it has used.
    pub block: Vec<BlockTotals>,
    /// OOM kills.
    pub oom: OomTotals,
    /// What the events of the path's latest life add up to.
    pub life: LifeEvents,
    /// Quantiles of the merged windows; a signal without a sample in them is absent.
    pub quantiles: Vec<(WindowSignal, Quantiles)>,
    /// What the kernel's own accounting says of it.
    pub kernel: KernelReading,
    /// Samples of it that have spans.
    pub exemplars: Vec<Exemplar>,
}

/// A sample that has a span.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exemplar {
    /// In which histogram it is.
    pub of: ExemplarOf,
    /// Its value.
    pub value_ns: u64,
    /// When it was taken.
    pub at: SystemTime,
    /// Its span.
    pub span: SpanRef,
}

/// A histogram of a cgroup whose samples can have spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExemplarOf {
    /// Run-queue latency.
    RunqueueLatency,
    /// Block I/O, from the request's start to its issue.
    BlockIoQueue {
        /// The disk.
        device: Device,
        /// What was done.
        operation: Operation,
    },
    /// Block I/O, from issue to completion.
    BlockIoDevice {
        /// The disk.
        device: Device,
        /// What was done.
        operation: Operation,
    },
}

/// A span, by its ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanRef {
    /// Of the trace.
    pub trace_id: [u8; 16],
    /// Of the span in it.
    pub span_id: [u8; 8],
}

/// What the events of a path's latest life add up to, as the kernel's own figures are: those of a life
/// before are not in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LifeEvents {
    /// What its tasks waited and ran, and those of all cgroups below it, also of those that are gone.
    /// A sum over rows counts them once for each cgroup that they are in. Absent when no task has
    /// switched.
    pub sched: Option<SchedSums>,
    /// OOM kills because of its own limit.
    pub limit_oom_kills: u64,
}

/// What tasks waited and ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchedSums {
    /// Time slices that have ended.
    pub ran_ns: u64,
    /// Run-queue latencies.
    pub waited_ns: u64,
    /// How many there were.
    pub waits: u64,
    /// The part of them that was a CPU bandwidth limit.
    pub throttled_ns: u64,
}

impl SchedSums {
    /// Of the totals of a cgroup.
    #[must_use]
    pub fn of(totals: &CgroupTotals) -> Self {
        totals
            .sched
            .as_ref()
            .map_or_else(Self::default, |sched| Self {
                ran_ns: sched.slice.sum_ns(),
                waited_ns: sched.wait.sum_ns(),
                waits: sched.wait.count(),
                throttled_ns: sched.throttled_ns,
            })
    }

    /// Adds all of another.
    pub const fn add(&mut self, other: Self) {
        let Self {
            ran_ns,
            waited_ns,
            waits,
            throttled_ns,
        } = other;
        self.ran_ns += ran_ns;
        self.waited_ns += waited_ns;
        self.waits += waits;
        self.throttled_ns += throttled_ns;
    }

    /// Whether there was nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The kernel's own accounting of a cgroup, as its files last told it: of the path's latest life,
/// while the other numbers of a row go on through all of them.
#[derive(Clone, Debug, Default)]
pub struct KernelReading {
    /// The figures; absent when the files were never read.
    pub statistics: Option<Arc<CgroupStatistics>>,
    /// What went over its network; absent when it was not looked at.
    pub network: Option<Arc<NetworkStatistics>>,
    /// Its processes' threads and open files; absent when they were not looked at.
    pub processes: Option<ProcessTotals>,
    /// When the last reading of the files began; absent when there was none.
    pub at: Option<Ktime>,
    /// How the figures of a cgroup that is gone were had.
    pub last: LastReading,
}

/// How the figures of a cgroup were had, the last time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LastReading {
    /// The cgroup is there: they are of the last interval.
    #[default]
    Running,
    /// After its last process had left: CPU time, memory and block I/O are final. If it was removed within
    /// 0.2 ms, the last slice of its CPU time is that of the events.
    Final,
    /// After its last process had left, while the cgroup was being removed: some figures are final,
    /// the others of an earlier reading. Of these, CPU time and block I/O are those of the events where these
    /// have more.
    Partial,
    /// Before its last process left: they are of an earlier reading, CPU time and block I/O those of
    /// the events where these have more.
    Earlier,
    /// Its files were never read: there are CPU time, block I/O and OOM kills, of the events.
    EventsOnly,
}

impl LastReading {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::Running,
        Self::Final,
        Self::Partial,
        Self::Earlier,
        Self::EventsOnly,
    ];

    /// The name in the label `last_reading`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "",
            Self::Final => "final",
            Self::Partial => "partial",
            Self::Earlier => "earlier",
            Self::EventsOnly => "events_only",
        }
    }
}

/// One kernel program.
#[derive(Clone, Debug)]
pub struct ProgramStats {
    /// Its name, as the kernel shows it.
    pub name: &'static str,
    /// Whether it is attached.
    pub attached: bool,
    /// Runs and time spent in it, ns; absent unless the kernel measures its programs
    /// (`kernel.bpf_stats_enabled`).
    pub cost: Option<ProgramCost>,
}

/// What the kernel measured of a program.
#[derive(Clone, Copy, Debug)]
pub struct ProgramCost {
    /// How often it ran.
    pub runs: u64,
    /// Time spent in it, ns.
    pub run_time_ns: u64,
}

/// What went wrong in reading cgroups' files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadErrors {
    /// Pieces of files that could not be understood, in the order of [`Reason::ALL`].
    pub unparsed: [u64; Reason::COUNT],
    /// Files that could not be opened or read.
    pub unreadable: u64,
    /// Files that were too long to be read to the end.
    pub cut: u64,
    /// Devices and keys that were too many to keep.
    pub over_bound: u64,
}

impl ReadErrors {
    /// Those of one reader thread.
    #[must_use]
    pub fn of(account: &ReadAccount) -> Self {
        let mut unparsed = [0; Reason::COUNT];
        for (_, reason, count) in account.parse_errors.iter() {
            unparsed[reason as usize] += count;
        }
        Self {
            unparsed,
            unreadable: account.failed,
            cut: account.cut,
            over_bound: account.over_bound,
        }
    }

    /// These and those.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        let Self {
            unparsed,
            unreadable,
            cut,
            over_bound,
        } = other;
        for (sum, count) in self.unparsed.iter_mut().zip(unparsed) {
            *sum += count;
        }
        self.unreadable += unreadable;
        self.cut += cut;
        self.over_bound += over_bound;
        self
    }
}

/// Our own timings that are exported as histograms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timing {
    /// One pass over all cgroups.
    Reconcile,
    /// One reading of a cgroup's files.
    CgroupfsRead,
    /// One emptying of the rings.
    Drain,
}
