//! What can be typed: commands and flags.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{ArgAction, Args, Parser, Subcommand};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    config::{
        endpoint::EndpointValue,
        value::{ByteSize, SignalSet, parse_duration},
    },
    trace_forwarder::options::ForwarderArgs,
};

/// Latency, block I/O and OOM of every container, from the kernel.
#[derive(Debug, Parser)]
#[command(name = "cgscope", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure, and serve metrics, until told to stop.
    Run(RunArgs),
    /// Tell what works on this host, signal by signal, why not, and what to do about it.
    ///
    /// Loads and attaches the kernel programs for a moment. Exit code 0: all signals are on;
    /// 1: some are off, or all, and `run` starts all the same; 2: `run` cannot start.
    /// The container runtimes are listed too, and do not change the exit code.
    Doctor(DoctorArgs),
    /// List every cgroup and container that is known: its ids, state, and last reading.
    ///
    /// Asks the daemon; where none answers, says so, and reads the cgroups that are there.
    Catalog(CatalogArgs),
    /// Take spans from the agents of Kata Containers, and send them to an OpenTelemetry collector.
    ///
    /// A drop-in for Kata's own forwarder: the options have the same names and defaults. It has to run before
    /// the containers are started whose agents are to be traced, and needs a collector that is there.
    TraceForwarder(ForwarderArgs),
    /// Print a shell's completions for cgscope.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Flags of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// What `run` would be given.
    #[command(flatten)]
    pub run: RunArgs,
}

/// Flags of `catalog`: its own, and those of `run` that say where the daemon is, and where the cgroups
/// are when none answers.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub struct CatalogArgs {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Show the daemon's catalog again and again, every 2 s; into a pipe or file, when something changed.
    /// With --json a line for each cgroup, container or runtime that came, changed or went:
    /// the keys are `event` (added, changed, removed), `time_seconds`, and one of `cgroup`,
    /// `container_elsewhere` and `runtime`. What is there at first is added; a new reading is no change.
    #[arg(long, conflicts_with = "OneContainer")]
    pub watch: bool,
    /// Which container alone is to be shown, as it is now.
    #[command(flatten)]
    pub one: OneContainer,
    /// Configuration file (TOML) of the daemon.
    #[arg(long, env = "CGSCOPE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address that the daemon serves on [default: 127.0.0.1:9464].
    #[arg(long, env = "CGSCOPE_LISTEN", value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Where the cgroup file systems are mounted [default: /sys/fs/cgroup].
    #[arg(long, env = "CGSCOPE_CGROUP_ROOT", value_name = "DIR")]
    pub cgroup_root: Option<PathBuf>,
    /// Where the host's / is mounted, when this runs in a container [default: /].
    #[arg(long, env = "CGSCOPE_HOST_ROOT", value_name = "DIR")]
    pub host_root: Option<PathBuf>,
}

/// Flags of `catalog` that mean one container, one of them at most.
#[derive(Clone, Debug, Default, Args)]
#[group(multiple = false)]
pub struct OneContainer {
    /// Show one container alone, with all figures as they are now: by its name, its id, or how that begins.
    /// Asks the daemon.
    #[arg(long, value_name = "NAME")]
    pub container: Option<String>,
    /// The same for the container that a process is in.
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,
    /// The same for the container that a cgroup is of, by its inode number in the hierarchy in which tasks are
    /// attributed.
    #[arg(long, value_name = "INODE")]
    pub cgroup: Option<u64>,
    /// The same for a container of a Kubernetes pod, by the pod's UID and the container's name there.
    #[arg(long, value_name = "UID/NAME", value_parser = parse_pod_container)]
    pub pod: Option<(String, String)>,
}

/// A pod's UID and a container's name, as they are written.
fn parse_pod_container(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((uid, name)) if !uid.is_empty() && !name.is_empty() => {
            Ok((uid.to_owned(), name.to_owned()))
        }
        _ => Err("write it as UID/NAME".to_owned()),
    }
}

impl OneContainer {
    /// As the query of a URL; `None` when none is meant.
    #[must_use]
    pub fn query(&self) -> Option<String> {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let Self {
            container,
            pid,
            cgroup,
            pod,
        } = self;
        let container = container
            .as_ref()
            .map(|name| format!("name={}", encoded(name)));
        let pid = pid.map(|pid| format!("pid={pid}"));
        let cgroup = cgroup.map(|inode| format!("cgroup={inode}"));
        let pod = pod.as_ref().map(|(uid, name)| {
            let (uid, name) = (encoded(uid), encoded(name));
            format!("pod_uid={uid}&container={name}")
        });
        container.or(pid).or(cgroup).or(pod)
    }
}

impl CatalogArgs {
    /// As the flags of `run` that they are.
    #[must_use]
    pub fn as_run_args(&self) -> RunArgs {
        RunArgs {
            config: self.config.clone(),
            listen: self.listen,
            cgroup_root: self.cgroup_root.clone(),
            host_root: self.host_root.clone(),
            ..RunArgs::default()
        }
    }
}

/// Flags of `run`. Each is also a key of the configuration file and an environment variable; a flag
/// goes before the environment, that before the file, and that before the default. Of a flag given
/// twice the last counts.
#[derive(Clone, Debug, Default, Args)]
#[command(args_override_self = true)]
pub struct RunArgs {
    /// Configuration file (TOML).
    #[arg(long, env = "CGSCOPE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address to serve on [default: 127.0.0.1:9464].
    #[arg(long, env = "CGSCOPE_LISTEN", value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Where the cgroup file systems are mounted [default: /sys/fs/cgroup].
    #[arg(long, env = "CGSCOPE_CGROUP_ROOT", value_name = "DIR")]
    pub cgroup_root: Option<PathBuf>,
    /// Where the host's / is mounted, when this runs in a container [default: /].
    #[arg(long, env = "CGSCOPE_HOST_ROOT", value_name = "DIR")]
    pub host_root: Option<PathBuf>,
    /// How often windows rotate and numbers are reconciled [default: 10s].
    #[arg(long, env = "CGSCOPE_INTERVAL", value_name = "TIME", value_parser = parse_duration)]
    pub interval: Option<Duration>,
    /// Signals to measure, of `sched,block_io,oom,cgroup_life` [default: all].
    #[arg(long, env = "CGSCOPE_SIGNALS", value_name = "LIST")]
    pub signals: Option<SignalSet>,
    /// What to log, as error, warn, info, debug, trace, or per module [default: info].
    #[arg(long, env = "CGSCOPE_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// Type information (BTF) of the running kernel, for one that has none of its own; it is checked
    /// before it is used [default: /sys/kernel/btf/vmlinux].
    #[arg(long, env = "CGSCOPE_BTF", value_name = "FILE")]
    pub btf: Option<PathBuf>,
    /// Size of the ring that samples come through, a power of two; a larger one costs memory, a
    /// smaller one loses samples in bursts [default: 4MiB].
    #[arg(long, env = "CGSCOPE_SAMPLES_RING", value_name = "SIZE")]
    pub samples_ring: Option<ByteSize>,
    /// How long the numbers of a cgroup are kept when it is gone [default: 5m].
    #[arg(long, env = "CGSCOPE_RETENTION", value_name = "TIME", value_parser = parse_duration)]
    pub retention: Option<Duration>,
    /// How many cgroups get numbers of their own; the rest share one row [default: 16384].
    #[arg(long, env = "CGSCOPE_MAX_CGROUPS", value_name = "N")]
    pub max_cgroups: Option<usize>,
    /// Held while cgscope runs, so that a second one on this host is told
    /// [default: /run/cgscope.lock].
    #[arg(long, env = "CGSCOPE_LOCK_FILE", value_name = "FILE")]
    pub lock_file: Option<PathBuf>,
    /// Export containerd's metrics too, under its names; in the file, `enabled` below
    /// `[export.containerd]` [default: false].
    #[arg(long, env = "CGSCOPE_EXPORT_CONTAINERD", value_name = "BOOL", num_args = 0..=1,
        require_equals = true, default_missing_value = "true")]
    pub export_containerd: Option<bool>,
    /// Export the metrics of cAdvisor and the kubelet too, under their names; in the file, `enabled`
    /// below `[export.cadvisor]`. Not where a kubelet is scraped under the same job: everything would
    /// count twice [default: false].
    #[arg(long, env = "CGSCOPE_EXPORT_CADVISOR", value_name = "BOOL", num_args = 0..=1,
        require_equals = true, default_missing_value = "true")]
    pub export_cadvisor: Option<bool>,
    /// Where a container runtime is, besides the known places: PROTOCOL=ADDRESS, of docker, podman,
    /// containerd, cri, garden and ecs, like `docker=/run/docker.sock`; can be given more than once. In the
    /// file this and the following are below `[catalog]`.
    #[arg(long = "runtime-endpoint", env = "CGSCOPE_RUNTIME_ENDPOINTS", value_name = "ENDPOINT",
        value_delimiter = ',', action = ArgAction::Append)]
    pub runtime_endpoints: Option<Vec<EndpointValue>>,
    /// Look for container runtimes' sockets at the known places below --host-root [default: true].
    #[arg(long, env = "CGSCOPE_RUNTIME_DISCOVERY", value_name = "BOOL", num_args = 0..=1,
        require_equals = true, default_missing_value = "true")]
    pub runtime_discovery: Option<bool>,
    /// Labels of containers to have on `cgscope_container_info`, by their keys, at most 32
    /// [default: none].
    #[arg(
        long,
        env = "CGSCOPE_CONTAINER_LABELS",
        value_name = "LIST",
        value_delimiter = ','
    )]
    pub container_labels: Option<Vec<String>>,
    /// Labels of pods to have on `cgscope_container_info`, by their keys, at most 32 [default: none].
    #[arg(
        long,
        env = "CGSCOPE_POD_LABELS",
        value_name = "LIST",
        value_delimiter = ','
    )]
    pub pod_labels: Option<Vec<String>>,
    /// Count it as a preemption when cgscope itself takes the CPU from a container; else what is in its
    /// cgroup, or its container, is left out of who preempted whom [default: true].
    #[arg(long, env = "CGSCOPE_COUNT_OWN_PREEMPTIONS", value_name = "BOOL", num_args = 0..=1,
        require_equals = true, default_missing_value = "true")]
    pub count_own_preemptions: Option<bool>,
    /// Send metrics to an OpenTelemetry collector; in the file, `enabled` below `[export.otlp]`, where
    /// it also says where that is [default: false].
    #[arg(long, env = "CGSCOPE_EXPORT_OTLP", value_name = "BOOL", num_args = 0..=1,
        require_equals = true, default_missing_value = "true")]
    pub export_otlp: Option<bool>,
    /// Trace our own work: a span for each container that is processed; in the file, `enable_tracing`
    /// below `[trace.own]` [default: false].
    #[arg(long, env = "CGSCOPE_TRACE_OWN", value_name = "BOOL", num_args = 0..=1,
        require_equals = true, default_missing_value = "true")]
    pub trace_own: Option<bool>,
    /// Trace the lives of containers; in the file, `enable_tracing` below `[trace.containers]` [default: false].
    #[arg(long, env = "CGSCOPE_TRACE_CONTAINERS", value_name = "BOOL", num_args = 0..=1,
        require_equals = true, default_missing_value = "true")]
    pub trace_containers: Option<bool>,
    /// Take spans from Kata's agents and pass them on, as the command `trace-forwarder` does; in the file,
    /// `enable_tracing` below `[trace.forwarder]` [default: false].
    #[arg(long, env = "CGSCOPE_TRACE_FORWARDER", value_name = "BOOL", num_args = 0..=1,
        require_equals = true, default_missing_value = "true")]
    pub trace_forwarder: Option<bool>,
}
