//! `cgscope run`: builds the pipeline, runs it, takes it down.

use std::{
    net::SocketAddr,
    sync::Arc,
    thread::{self, ScopedJoinHandle},
    time::{Duration, SystemTime},
};

use collector_common::signal::Signal;
use tokio::net::TcpListener;

use super::{
    cgroup_files::{CgroupFiles, FileSources, ReadPlan},
    comparison::Comparison,
    config::Config,
    container_query::inquiry,
    drain_thread::DrainThread,
    exit::Failure,
    host_view::{Host, require_open_files, require_privileges},
    last_reader::LastReader,
    lives_thread::LivesThread,
    lock::{InstanceLock, LockError},
    otlp_thread::{LastCall, OtlpThread, outboxes},
    reader_thread::ReaderThread,
    resync_thread::ResyncThread,
    rotation::Rotation,
    runtime_thread::RuntimeThread,
    source::DaemonSource,
    state::State,
    stop_signals::StopSignals,
    trace_forwarder::thread::ForwarderThread,
};
use crate::{
    attach::{Attached, ProgramState, SignalState},
    catalog::{MAX_CROWD, Recognizer},
    drain::{DrainError, Drainer},
    error_chain,
    export::{self, otlp::OwnResource},
    host::{
        cgroup_mounts::{CgroupMounts, Hierarchy},
        cgroupfs::{CgroupVersion, DescriptorBudget, HierarchyRoots},
        process::own_cgroup,
        process_files::ProcessFiles,
        support::Privileges,
    },
    reconcile::{
        Pipeline, PipelineSettings,
        readings::{ReadingSettings, Readings, StandInVersions},
    },
    window::{Backend, BackendSettings},
};

/// How long the HTTP server may take to finish what it is sending.
const HTTP_GRACE: Duration = Duration::from_millis(500);

/// Runs until SIGTERM, SIGINT or SIGHUP.
pub fn run(config: &Config) -> Result<(), Failure> {
    require_privileges(Privileges::of_this_process())?;
    require_open_files(DescriptorBudget::limit_of_this_process())?;
    let _lock = take_lock(config)?;
    let runtime = start_runtime()?;
    // From here on a signal means a clean stop, even while the programs are being attached.
    let stop_signals = {
        let _entered = runtime.enter();
        StopSignals::new().map_err(|error| Failure::internal(&error))?
    };
    // The port before the programs: a port in use is the likeliest mistake, and quickly told.
    let listener = runtime.block_on(listen(config.listen))?;

    let host = Host::probe(config);
    if let Some(failure) = host.obstacle() {
        return Err(failure);
    }
    let unavailable = |error: &dyn std::error::Error| Failure::Unavailable(error_chain(error));
    let mounts = host.mounts.as_ref().map_err(|error| unavailable(error))?;
    let attached = host.attach(config).map_err(|error| unavailable(&error))?;
    let signals = signals_of(&host, attached.as_ref());
    let state = Arc::new(prepare(config, &host, mounts, attached.as_ref()));
    let sources = open_sources(mounts);
    let (inquiry, questions) = inquiry();
    let source = Arc::new(DaemonSource {
        state: Arc::clone(&state),
        signals,
        throttling_known: host.plan.throttling_known(),
        hierarchies: listed_hierarchies(mounts, &sources.roots),
        names: config.names,
        inquiry,
    });
    let drainer = attached
        .map(Drainer::new)
        .transpose()
        .map_err(|error| Failure::internal(&error))?;
    let plan = ReadPlan::for_names(config.names);
    let reader = ReaderThread {
        files: CgroupFiles::new(sources.clone(), &state)
            .with_processes(open_processes(config), plan.network_always),
        plan,
        comparison: Comparison::new(config.interval, source.is_on(Signal::Sched), &state),
        state: &state,
    };
    let drain = DrainThread {
        drainer,
        state: &state,
        ring_bytes: config.samples_ring.bytes() as usize,
        rotation: config.interval,
        last_reader: LastReader::new(CgroupFiles::new(sources, &state)),
    };
    let resync = ResyncThread {
        mounts,
        state: &state,
        interval: config.interval,
        life_is_told: source.is_on(Signal::CgroupLife),
    };

    let runtimes = RuntimeThread::new(config, Arc::clone(&state), questions);
    let lives = LivesThread::new(&config.trace.containers, &state);
    let forwarder = ForwarderThread::new(config, &state);
    let metrics = Arc::<DaemonSource>::clone(&source);
    let (otlp, last_call) = OtlpThread::new(&config.otlp, &state.otlp, metrics)?.unzip();

    thread::scope(|threads| {
        // Dropped at the end of this, however that comes about.
        let last_call = last_call;
        let otlp = otlp
            .map(|otlp| spawn(threads, "otlp", &state, || otlp.run(&state.otlp)))
            .transpose()?;
        let drain = spawn(threads, "drain", &state, || drain.run())?;
        let forwarder = forwarder
            .map(|forwarder| spawn(threads, "forwarder", &state, || forwarder.run()))
            .transpose()?;
        let others = [
            spawn(threads, "reader", &state, || reader.run())?,
            spawn(threads, "resync", &state, || {
                resync.walk_all();
                resync.run();
            })?,
            spawn(threads, "runtimes", &state, || runtimes.run())?,
        ];
        let lives = lives
            .map(|lives| spawn(threads, "lives", &state, || lives.run()))
            .transpose()?;
        tracing::info!("serving on http://{}/metrics", config.listen);
        let served = runtime.block_on(async {
            let rotation = Rotation::start(state.own.clone(), config.interval);
            let served = serve(listener, source, &state, stop_signals).await;
            rotation.stop().await;
            served
        });
        state.stop();
        runtime.shutdown_timeout(HTTP_GRACE);
        let running = Running {
            drain,
            lives,
            others: others.into_iter().chain(forwarder).collect(),
            otlp,
        };
        let ended = running.end(last_call);
        served.and(ended)
    })?;
    tracing::info!("stopped");
    Ok(())
}

/// The threads that have been started.
struct Running<'scope> {
    drain: ScopedJoinHandle<'scope, Result<(), DrainError>>,
    lives: Option<ScopedJoinHandle<'scope, LivesThread<'scope>>>,
    others: Vec<ScopedJoinHandle<'scope, ()>>,
    otlp: Option<ScopedJoinHandle<'scope, ()>>,
}

impl Running<'_> {
    /// Waits for all, first for those who have something for others.
    fn end(self, last_call: Option<LastCall>) -> Result<(), Failure> {
        let Self {
            drain,
            lives,
            others,
            otlp,
        } = self;
        let drain =
            join(drain).and_then(|drained| drained.map_err(|error| Failure::internal(&error)));
        let lives = lives.map(|lives| join(lives).map(LivesThread::finish));
        let others: Vec<_> = lives
            .into_iter()
            .chain(others.into_iter().map(join))
            .collect();
        // Nobody has anything more to send.
        drop(last_call);
        let otlp = otlp.map(join);
        [drain].into_iter().chain(others).chain(otlp).collect()
    }
}

/// Waits for a thread's end. One that panicked has ended the daemon, which is told by its exit status.
fn join<T>(thread: ScopedJoinHandle<'_, T>) -> Result<T, Failure> {
    let name = thread.thread().name().unwrap_or_default().to_owned();
    let panicked = || Failure::Internal(format!("the {name} thread panicked; see the log"));
    thread.join().map_err(|_panic| panicked())
}

/// What became of each signal; tells it, too.
fn signals_of(host: &Host, attached: Option<&Attached>) -> Vec<(Signal, SignalState)> {
    let signals = match attached {
        Some(attached) => attached.signals.clone(),
        None => host.plan.states_when_nothing_is_on(),
    };
    tell(host, &signals);
    signals
}

/// For the HTTP endpoint.
fn start_runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()
        .map_err(|error| Failure::internal(&error))
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::Unavailable(format!(
            "cannot listen on {address}: {error}; is another program using it? choose another with --listen"
        ))
    })
}

/// One cgscope per host.
fn take_lock(config: &Config) -> Result<InstanceLock, Failure> {
    InstanceLock::take(&config.lock_file, &config.listen.to_string()).map_err(|error| match error {
        LockError::Held { .. } => Failure::Unavailable(error.to_string()),
        LockError::Unusable { ref source, .. }
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            Failure::NotPermitted(error_chain(&error))
        }
        LockError::Unusable { .. } => Failure::Unavailable(error_chain(&error)),
    })
}

/// Where cgroups' files are.
fn open_sources(mounts: &CgroupMounts) -> FileSources {
    let sources = FileSources {
        roots: Arc::new(HierarchyRoots::open(mounts)),
        budget: DescriptorBudget::of_this_process(),
    };
    for error in &sources.roots.unreadable {
        tracing::warn!("{}: its figures are missing", error_chain(error));
    }
    sources
}

/// The hierarchies in which cgroups can have ids that are known.
pub(super) fn listed_hierarchies(mounts: &CgroupMounts, roots: &HierarchyRoots) -> Vec<Hierarchy> {
    let attributed = mounts.attributed();
    let is_listed = |hierarchy: &&Hierarchy| {
        attributed.contains(hierarchy) || roots.has_hierarchy(hierarchy.id)
    };
    mounts
        .hierarchies
        .iter()
        .filter(is_listed)
        .cloned()
        .collect()
}

/// Where processes are looked at.
fn open_processes(config: &Config) -> Option<ProcessFiles> {
    ProcessFiles::open(&config.host_root)
        .inspect_err(|error| {
            tracing::warn!(
                "{}: without it the network and the open files of containers are missing",
                error_chain(error)
            );
        })
        .ok()
}

/// Starts a thread of that name. When it ends, however it does, it takes the daemon with it: without it
/// numbers would silently stand still.
fn spawn<'scope, T: Send + 'scope>(
    threads: &'scope thread::Scope<'scope, '_>,
    name: &str,
    state: &'scope State,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, Failure> {
    let spawned = thread::Builder::new()
        .name(name.to_owned())
        .spawn_scoped(threads, move || {
            let _ended = StopOnDrop(state);
            work()
        });
    spawned.map_err(|error| {
        // Those that run already are waited for.
        state.stop();
        Failure::Unavailable(format!("cannot start the {name} thread: {error}"))
    })
}

/// Stops the daemon when a thread that it needs ends.
struct StopOnDrop<'a>(&'a State);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// The start-up summary.
fn tell(host: &Host, signals: &[(Signal, SignalState)]) {
    tracing::info!(
        "cgscope {} on Linux {}, cgroups {}, tasks attributed by {}",
        env!("CARGO_PKG_VERSION"),
        host.support.release,
        host.mode_in_words(),
        host.task_hierarchy_in_words()
            .unwrap_or_else(|| "nothing".to_owned()),
    );
    for (signal, state) in signals {
        let name = signal.name();
        match state {
            SignalState::On { without, .. } if without.is_empty() => tracing::info!("{name}: on"),
            SignalState::On { without, .. } => {
                tracing::info!("{name}: on, without {}", without.join(", without "));
            }
            SignalState::Off { reason, remedy } => {
                tracing::warn!("{name}: off, because {reason} ({remedy})");
            }
        }
    }
    if !signals.iter().any(|(_, state)| state.is_on()) {
        tracing::warn!("no signal is on: there is nothing to serve but which cgroups there are");
    }
}

fn prepare(
    config: &Config,
    host: &Host,
    mounts: &CgroupMounts,
    attached: Option<&Attached>,
) -> State {
    let own = Backend::new(BackendSettings::default());
    let programs = attached.map_or_else(Vec::new, |attached| {
        let with_fd = |program: &ProgramState| {
            let fd = program
                .attached
                .then(|| attached.program_fd(program.name))
                .flatten();
            (*program, fd)
        };
        attached.programs.iter().map(with_fd).collect()
    });
    let settings = PipelineSettings {
        mounts,
        recognizer: Recognizer::new(&config.host_root),
        operations: host.plan.operations.clone(),
        max_cgroups: config.max_cgroups,
        retention: config.retention,
    };
    let mut pipeline = Pipeline::new(settings, SystemTime::now());
    pipeline.know_own_cgroup(own_cgroup(mounts), !config.catalog.own_preemptions);
    let readings = Readings::new(ReadingSettings {
        interval: config.interval,
        // As many as the table of cgroups has owners at most, before it is crowded.
        max_entries: config.max_cgroups.saturating_mul(MAX_CROWD),
        last: ReadPlan::for_names(config.names).last(),
        versions: stand_in_versions(mounts),
    });
    let own_resource = OwnResource::detect(&config.host_root, &config.otlp.resource);
    let otlp = outboxes(&config.otlp, own_resource);
    let traces_lives = config.trace.containers.enabled && otlp.traces.is_some();
    if traces_lives {
        pipeline.watch_lives();
        pipeline.watch_slow(config.trace.containers.slow());
    }
    let mut state = State::new(
        pipeline,
        readings,
        own,
        programs,
        config.host_root.clone(),
        otlp,
    );
    state.lives = traces_lives.then(Arc::default);
    state
}

/// From which version the kernel's figures are that events stand in for.
fn stand_in_versions(mounts: &CgroupMounts) -> StandInVersions {
    let version = |hierarchy: Option<&Hierarchy>| match hierarchy {
        Some(hierarchy) if !hierarchy.is_v2() => CgroupVersion::V1,
        _ => CgroupVersion::V2,
    };
    StandInVersions {
        cpu: version(mounts.task_hierarchy()),
        memory: version(mounts.memory_hierarchy()),
        io: version(mounts.block_hierarchy()),
    }
}

/// Waits for a signal, or for a thread that ended for a reason of its own.
async fn wait_for_end(mut signals: StopSignals, state: &State) {
    tokio::select! {
        () = signals.received() => state.stop(),
        () = state.stopped() => {}
    }
    signals.end_at_once();
}

async fn serve(
    listener: TcpListener,
    source: Arc<DaemonSource>,
    state: &State,
    stop_signals: StopSignals,
) -> Result<(), Failure> {
    export::serve(listener, source, wait_for_end(stop_signals, state))
        .await
        .map_err(|error| Failure::Internal(error_chain(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_panics_is_a_failure_and_is_named() {
        let ended = thread::scope(|threads| {
            let spawned = thread::Builder::new()
                .name("reader".to_owned())
                .spawn_scoped(threads, || panic!("it is over"));
            join(spawned.expect("a thread"))
        });
        let failure = ended.expect_err("it panicked");
        assert!(matches!(&failure, Failure::Internal(why) if why.contains("the reader thread")));
    }
}
