//! Every metric of cgscope's own, in one table.
//!
//! In: nothing. Out: the name, kind, unit, labels and meaning of each family, for the encoders and
//! for `docs/metrics.md`. A metric's name is a literal here and nowhere else. A retired family stays,
//! and says so. The names that others gave are in `peers`.

use super::{
    family::{Family, Kind, Otlp, Scope, Unit, V0_1},
    labels,
};

macro_rules! families {
    ($($id:ident: $family:expr,)*) => {
        $(#[doc = concat!("See [`Family::help`] of `", stringify!($id), "`.")]
        pub const $id: Family = $family;)*

        /// Every family, in the order in which they are exported.
        pub const ALL: &[Family] = &[$($id),*];
    };
}

families! {
    RUNQUEUE_LATENCY: Family {
        name: "cgscope_container_runqueue_latency_seconds",
        otlp: Some(Otlp::named("cgscope.container.runqueue.latency", "s")),
        kind: Kind::Histogram,
        unit: Some(Unit::Seconds),
        scope: Scope::Cgroup,
        labels: &[],
        help: "How long tasks of the cgroup waited on a run queue before they got a CPU, after a \
               wakeup or a preemption, in seconds of the scheduler's clock. One value per switch to \
               a task. Of a wait during which the task was moved to another CPU, only the part on \
               the last CPU counts.",
        source: "`sched_switch`: run-queue clock less `sched_info.last_queued` of the next task",
        since: V0_1,
    },
    RUNQUEUE_WAIT: Family {
        name: "cgscope_container_runqueue_wait_seconds_total",
        otlp: Some(Otlp::named("cgscope.container.runqueue.wait", "s")),
        kind: Kind::Counter,
        unit: Some(Unit::Seconds),
        scope: Scope::Cgroup,
        labels: &[labels::CAUSE],
        help: "The sum of the run-queue latencies by what made the tasks wait: throttled is a CPU \
               bandwidth limit of the cgroup itself or of one above it, contention all other tasks \
               that had the CPU. Each waiting task counts, so that throttled can be more than the \
               throttled time of cpu.stat, which counts a CPU once. Before Linux 6.6 the wait for the \
               CPU right after a limit was lifted counts as throttled. Absent when the kernel does \
               not let the two be told apart.",
        source: "`sched_switch`: `cfs_rq.throttled_clock_self` and `throttled_clock_self_time`; before \
                 6.6 `throttle_count`",
        since: V0_1,
    },
    ONCPU_SLICE: Family {
        name: "cgscope_container_oncpu_slice_seconds",
        otlp: Some(Otlp::named("cgscope.container.oncpu.slice", "s")),
        kind: Kind::Histogram,
        unit: Some(Unit::Seconds),
        scope: Scope::Cgroup,
        labels: &[],
        help: "How long tasks of the cgroup held a CPU at a time, in seconds of the scheduler's \
               clock. One value per switch away from a task: the slice that is still running is \
               not in it.",
        source: "`sched_switch`: time since the last switch on the CPU, charged to the task that \
                 leaves",
        since: V0_1,
    },
    CPU_SECONDS: Family {
        name: "cgscope_container_cpu_seconds_total",
        otlp: Some(Otlp::named("cgscope.container.cpu", "s")),
        kind: Kind::Counter,
        unit: Some(Unit::Seconds),
        scope: Scope::Cgroup,
        labels: &[],
        help: "CPU time of the cgroup's tasks, in seconds: the sum of their finished time slices. It \
               lacks the slices that are still running, so a task that never leaves its CPU shows \
               late.",
        source: "`sched_switch`, as `cgscope_container_oncpu_slice_seconds`",
        since: V0_1,
    },
    CONTEXT_SWITCHES: Family {
        name: "cgscope_container_context_switches_total",
        otlp: Some(Otlp::named("cgscope.container.context_switches", "{switch}")),
        kind: Kind::Counter,
        unit: None,
        scope: Scope::Cgroup,
        labels: &[labels::TYPE],
        help: "Switches away from a task of the cgroup: voluntary when it went to sleep, involuntary \
               when it was still runnable (preempted, throttled or yielding).",
        source: "`sched_switch`: the preempt flag and the state of the task that leaves",
        since: V0_1,
    },
    PREEMPTIONS: Family {
        name: "cgscope_container_preemptions_total",
        otlp: Some(Otlp::named("cgscope.container.preemptions", "{preemption}")),
        kind: Kind::Counter,
        unit: None,
        scope: Scope::Cgroup,
        labels: &[labels::BY],
        help: "Involuntary switches away from a task of the cgroup, by who got the CPU. Switches to \
               the idle task (a throttled cgroup) are in none of them, nor are those to cgscope itself \
               where it is left out (`--count-own-preemptions=false`).",
        source: "`sched_switch`: the cgroups of both tasks",
        since: V0_1,
    },
    BLOCK_IO_LATENCY: Family {
        name: "cgscope_container_block_io_latency_seconds",
        otlp: Some(Otlp::named("cgscope.container.block_io.latency", "s")),
        kind: Kind::Histogram,
        unit: Some(Unit::Seconds),
        scope: Scope::Cgroup,
        labels: &[labels::DEVICE, labels::OPERATION, labels::STAGE],
        help: "Time of the cgroup's block requests, in seconds of the monotonic clock: in the queue \
               (start to issue) and in the device (issue to completion). One value each per finished \
               request. The cgroup is the owner of the I/O; on cgroup v1 the kernel charges buffered \
               writes to the root.",
        source: "`block_rq_complete`: `start_time_ns` and `io_start_time_ns` of the request, owner \
                 from its blkcg",
        since: V0_1,
    },
    BLOCK_IO_BYTES: Family {
        name: "cgscope_container_block_io_bytes_total",
        otlp: Some(Otlp::named("cgscope.container.block_io", "By")),
        kind: Kind::Counter,
        unit: Some(Unit::Bytes),
        scope: Scope::Cgroup,
        labels: &[labels::DEVICE, labels::OPERATION],
        help: "Bytes of the cgroup's block requests that completed, those in error and those of \
               partial completions included. On cgroup v1 the kernel charges buffered writes to the \
               root.",
        source: "`block_rq_complete`: bytes of the completion, owner from the request's blkcg",
        since: V0_1,
    },
    BLOCK_IO_ERRORS: Family {
        name: "cgscope_container_block_io_errors_total",
        otlp: Some(Otlp::named("cgscope.container.block_io.errors", "{error}")),
        kind: Kind::Counter,
        unit: None,
        scope: Scope::Cgroup,
        labels: &[labels::DEVICE, labels::OPERATION],
        help: "Completions of the cgroup's block requests for which the device reported an error.",
        source: "`block_rq_complete`: the completion's status",
        since: V0_1,
    },
    OOM_KILLS: Family {
        name: "cgscope_container_oom_kills_total",
        otlp: Some(Otlp::named("cgscope.container.oom_kills", "{kill}")),
        kind: Kind::Counter,
        unit: None,
        scope: Scope::Cgroup,
        labels: &[labels::ROLE],
        help: "Victims chosen by the OOM killer: as victim when the task was of this cgroup, as \
               limit_owner when this cgroup's memory limit was hit. Where the kernel does not say \
               whose limit it was, there is no limit_owner.",
        source: "`mark_victim`",
        since: V0_1,
    },
    WINDOW_QUANTILE: Family {
        name: "cgscope_container_window_quantile_seconds",
        otlp: Some(Otlp::named("cgscope.container.window.quantile", "s")),
        kind: Kind::Gauge,
        unit: Some(Unit::Seconds),
        scope: Scope::Cgroup,
        labels: &[labels::WINDOW_SIGNAL, labels::QUANTILE],
        help: "Quantiles of the last few intervals, in seconds, at most 6.25 percent too high. \
               Absent while there was nothing to measure in them. Not to be averaged or summed: use \
               the histograms for that. Block I/O is of all devices and operations.",
        source: "the windowed histograms behind the other latency metrics",
        since: V0_1,
    },
    CONTAINER_INFO: Family {
        name: "cgscope_container_info",
        otlp: Some(Otlp::named("cgscope.container.info", "{container}")),
        kind: Kind::Info,
        unit: None,
        scope: Scope::Cgroup,
        labels: &[
            labels::CONTAINER_ID,
            labels::RUNTIME,
            labels::RUNTIME_FLAVOR,
            labels::POD_UID,
            labels::QOS,
            labels::CGROUP_VERSION,
            labels::LAST_READING,
        ],
        help: "Always 1: what is known of the cgroup and its container. A label that is not known, \
               or that does not apply, is empty. Labels of containers and pods that were chosen \
               (`--container-labels`, `--pod-labels`) are there as container_label_… and pod_label_…, \
               all but letters and digits of their keys as underscores. Of a cgroup that is gone, last_reading says how the \
               figures of its files were had: after its last process had left (final); some after \
               and some before (partial); all before (earlier); not at all (events_only). Where they \
               are not final, CPU time, block I/O and OOM kills are those of the events if these have \
               more.",
        source: "the cgroup's path, and the container runtime where it is known",
        since: V0_1,
    },
    CONTAINER_START_TIME: Family {
        name: "cgscope_container_start_time_seconds",
        otlp: Some(Otlp::named("cgscope.container.start_time", "s")),
        kind: Kind::Gauge,
        unit: Some(Unit::Seconds),
        scope: Scope::Cgroup,
        labels: &[],
        help: "When the cgroup was made or, where that is not known, first seen, in seconds since the \
               Unix epoch.",
        source: "`cgroup_mkdir`, and walks of the cgroup file systems",
        since: V0_1,
    },
    CONTAINER_EXITED: Family {
        name: "cgscope_container_exited",
        otlp: Some(Otlp::named("cgscope.container.exited", "{container}")),
        kind: Kind::Gauge,
        unit: None,
        scope: Scope::Cgroup,
        labels: &[],
        help: "1 when the cgroup has been removed and its last numbers are kept for a while, else 0.",
        source: "`cgroup_rmdir`, and walks of the cgroup file systems",
        since: V0_1,
    },
    CONTAINER_EXIT_TIME: Family {
        name: "cgscope_container_exit_time_seconds",
        otlp: Some(Otlp::named("cgscope.container.exit_time", "s")),
        kind: Kind::Gauge,
        unit: Some(Unit::Seconds),
        scope: Scope::Cgroup,
        labels: &[],
        help: "When the cgroup was removed, in seconds since the Unix epoch; absent while it is there.",
        source: "`cgroup_rmdir`, and walks of the cgroup file systems",
        since: V0_1,
    },
    CONTAINER_EXIT_CODE: Family {
        name: "cgscope_container_exit_code",
        otlp: Some(Otlp::named("cgscope.container.exit_code", "{code}")),
        kind: Kind::Gauge,
        unit: None,
        scope: Scope::Cgroup,
        labels: &[],
        help: "The exit code of the container's first process, the last time it ended, as the runtime \
               tells it: 137 after SIGKILL. Absent before, and when it is not told.",
        source: "the container runtime",
        since: V0_1,
    },
    CONTAINER_RESTARTS: Family {
        name: "cgscope_container_restarts_total",
        otlp: Some(Otlp::named("cgscope.container.restarts", "{restart}")),
        kind: Kind::Counter,
        unit: None,
        scope: Scope::Cgroup,
        labels: &[],
        help: "How often the container has been started again because it ended: Docker's and Podman's \
               restart count, or the attempt that Kubernetes counts. Absent when it is not told.",
        source: "the container runtime",
        since: V0_1,
    },
    EVENTS_OBSERVED: Family {
        name: "cgscope_events_observed_total",
        otlp: Some(Otlp::named("cgscope.events.observed", "{event}")),
        kind: Kind::Counter,
        unit: None,
        scope: Scope::Collector,
        labels: &[labels::SIGNAL],
        help: "Events that the kernel programs saw. Observed is recorded plus filtered plus lost, \
               plus what is in the ring buffers at this moment.",
        source: "counted in the kernel, per CPU",
        since: V0_1,
    },
    EVENTS_RECORDED: Family {
        name: "cgscope_events_recorded_total",
        otlp: Some(Otlp::named("cgscope.events.recorded", "{event}")),
        kind: Kind::Counter,
        unit: None,
        scope: Scope::Collector,
        labels: &[labels::SIGNAL],
        help: "Events whose every measurement is in the metrics.",
        source: "counted by the daemon",
        since: V0_1,
    },
    EVENTS_FILTERED: Family {
        name: "cgscope_events_filtered_total",
        otlp: Some(Otlp::named("cgscope.events.filtered", "{event}")),
        kind: Kind::Counter,
        unit: None,
        scope: Scope::Collector,
        labels: &[labels::SIGNAL],
        help: "Events left out by rule: they belong to nobody.",
        source: "counted in the kernel and by the daemon",
        since: V0_1,
    },
    EVENTS_LOST: Family {
        name: "cgscope_events_lost_total",
        otlp: Some(Otlp::named("cgscope.events.lost", "{event}")),
        kind: Kind::Counter,
        unit: None,
        scope: Scope::Collector,
        labels: &[labels::SIGNAL, labels::REASON],
        help: "Events that are missing in the metrics, in whole or in part, by reason.",
        source: "counted in the kernel and by the daemon",
        since: V0_1,
    },
    COMPLETENESS: Family {
        name: "cgscope_completeness_ratio",
        otlp: Some(Otlp::named("cgscope.completeness", "1")),
        kind: Kind::Gauge,
        unit: Some(Unit::Ratio),
        scope: Scope::Collector,
        labels: &[labels::SIGNAL],
        help: "Recorded events as a share, from 0 to 1, of recorded and lost ones since the start. \
               Absent while there were none.",
        source: "`cgscope_events_recorded_total` and `cgscope_events_lost_total`",
        since: V0_1,
    },
    THROTTLES_FORGOTTEN: Family {
        name: "cgscope_throttles_forgotten_total",
        otlp: Some(Otlp::named("cgscope.throttles.forgotten", "{throttle}")),
        kind: Kind::Counter,
        unit: None,
        scope: Scope::Collector,
        labels: &[],
        help: "How often a CPU bandwidth limit was forgotten while it kept a cgroup from running, \
               because too many limits did so on the CPU at once. Its waits count as contention.",
        source: "the kernel programs",
        since: V0_1,
    },
    PROGRAM_ATTACHED: Family {
        name: "cgscope_ebpf_program_attached",
        otlp: Some(Otlp::named("cgscope.ebpf.program.attached", "{program}")),
        kind: Kind::Gauge,
        unit: None,
        scope: Scope::Collector,
        labels: &[labels::PROGRAM],
        help: "1 when the kernel program is attached, 0 when it is planned and is not.",
        source: "the daemon",
        since: V0_1,
    },
    PROGRAM_RUN_TIME: Family {
        name: "cgscope_ebpf_program_run_time_seconds_total",
        otlp: Some(Otlp::named("cgscope.ebpf.program.run_time", "s")),
        kind: Kind::Counter,
        unit: Some(Unit::Seconds),
        scope: Scope::Collector,
        labels: &[labels::PROGRAM],
        help: "Time spent in the kernel program on all CPUs, in seconds. Absent unless the kernel \
               measures its programs (sysctl kernel.bpf_stats_enabled), which itself costs time.",
        source: "`bpf_prog_info.run_time_ns`",
        since: V0_1,
    },
    PROGRAM_RUNS: Family {
        name: "cgscope_ebpf_program_runs_total",
        otlp: Some(Otlp::named("cgscope.ebpf.program.runs", "{run}")),
        kind: Kind::Counter,
        unit: None,
        scope: Scope::Collector,
        labels: &[labels::PROGRAM],
        help: "Runs of the kernel program. Absent unless the kernel measures its programs (sysctl \
               kernel.bpf_stats_enabled).",
        source: "`bpf_prog_info.run_cnt`",
        since: V0_1,
    },
    CGROUPS: Family {
        name: "cgscope_cgroups",
        otlp: Some(Otlp::named("cgscope.cgroups", "{cgroup}")),
        kind: Kind::Gauge,
        unit: None,
        scope: Scope::Collector,
        labels: &[labels::STATE],
        help: "Known cgroups: live, exited with their numbers kept, and overflowed, which share the \
               row with the id ~other because there are too many.",
        source: "the daemon's table of cgroups",
        since: V0_1,
    },
    CGROUPS_UNRESOLVED: Family {
        name: "cgscope_cgroups_unresolved",
        otlp: Some(Otlp::named("cgscope.cgroups.unresolved", "{cgroup}")),
        kind: Kind::Gauge,
        unit: None,
        scope: Scope::Collector,
        labels: &[],
        help: "Cgroups that were seen in events but whose path is not known.",
        source: "the daemon's table of cgroups",
        since: V0_1,
    },
    CGROUPS_OVERFLOWED: Family {
        name: "cgscope_cgroups_overflowed_total",
        otlp: Some(Otlp::named("cgscope.cgroups.overflowed", "{cgroup}")),
        kind: Kind::Counter,
        unit: None,
        scope: Scope::Collector,
        labels: &[],
        help: "Cgroups that found no place of their own among the most that are kept, and tombstones \
               that went before their time: their events are in the row with the id ~other, and what the \
               kernel counted of them is only in the cgroups above them.",
        source: "the daemon's table of cgroups",
        since: V0_1,
    },
    EVENTS_OVERFLOWED: Family {
        name: "cgscope_events_overflowed_total",
        otlp: Some(Otlp::named("cgscope.events.overflowed", "{event}")),
        kind: Kind::Counter,
        unit: None,
        scope: Scope::Collector,
        labels: &[],
        help: "Scheduler and block I/O samples and OOM kills that went, in whole or in part, to the row \
               with the id ~other because their cgroups found no place among those with windows.",
        source: "counted by the daemon",
        since: V0_1,
    },
    PLACES_OVERFLOWED: Family {
        name: "cgscope_places_overflowed",
        otlp: Some(Otlp::named("cgscope.places.overflowed", "{place}")),
        kind: Kind::Gauge,
        unit: None,
        scope: Scope::Collector,
        labels: &[labels::PLACE],
        help: "CPUs above 512, disks above 64 and network interfaces above 64 of a cgroup, of all cgroups \
               added up. Under the names of cAdvisor and containerd they are not told apart, but added up \
               in one series of each metric, ~other.",
        source: "the cgroup file systems",
        since: V0_1,
    },
    RECONCILE_DURATION: Family {
        name: "cgscope_reconcile_duration_seconds",
        otlp: Some(Otlp::named("cgscope.reconcile.duration", "s")),
        kind: Kind::Histogram,
        unit: Some(Unit::Seconds),
        scope: Scope::Collector,
        labels: &[],
        help: "Time of one pass over all cgroups, in seconds of the monotonic clock: a walk of a \
               cgroup tree, a look for old tombstones, a comparison of events and kernel counters.",
        source: "measured by the daemon",
        since: V0_1,
    },
    CGROUPFS_READ: Family {
        name: "cgscope_cgroupfs_read_seconds",
        otlp: Some(Otlp::named("cgscope.cgroupfs.read", "s")),
        kind: Kind::Histogram,
        unit: Some(Unit::Seconds),
        scope: Scope::Collector,
        labels: &[],
        help: "Time of one reading of the files of one cgroup, in all hierarchies, in seconds of the \
               monotonic clock.",
        source: "measured by the daemon",
        since: V0_1,
    },
    DRIFT: Family {
        name: "cgscope_drift_ratio",
        otlp: Some(Otlp::named("cgscope.drift", "1")),
        kind: Kind::Gauge,
        unit: Some(Unit::Ratio),
        scope: Scope::Collector,
        labels: &[labels::COMPARED_SIGNAL, labels::QUANTITY, labels::DRIFT_OF],
        help: "How far what was seen in events and what the kernel itself counted differ, as a share, \
               from 0 to 1, of the larger one: of the container where they differ most (worst), and of \
               all (total). Each is compared once in an interval, over at least 2 s of CPU time, 32 MiB, \
               1,000 operations; OOM kills since the beginning. One that is gone is compared with its \
               last reading, those with less than that together. What explains a difference is taken \
               off: slices still running; where events have more, time taken by hypervisors and \
               interrupts, up to the share of the CPUs where most was taken, and after a last reading \
               10 ms of CPU time and what was written back later; where they have fewer, wakeups without \
               an update of the scheduler's clock, as measured, requests that come back while the files \
               are read, and merged requests, up to the container's share of the disks' requests. Left out are the root, cgroups with others \
               below, disks without requests of their own, what the kernel does not count, and lives \
               whose last reading was lost or whose path came back at once. Absent while nothing was \
               compared in the last six intervals; OOM kills are told as long as their container is \
               there, and six intervals longer.",
        source: "events; `cpu.stat`, `io.stat`, `memory.events`, or v1's `cpuacct.usage`, \
                 `blkio.throttle`, `memory.oom_control`",
        since: V0_1,
    },
    LAST_READINGS: Family {
        name: "cgscope_last_readings_total",
        otlp: Some(Otlp::named("cgscope.last_readings", "{cgroup}")),
        kind: Kind::Counter,
        unit: None,
        scope: Scope::Collector,
        labels: &[labels::RESULT],
        help: "Cgroups that had processes and are gone, by how the race for their last reading ended: \
               won when all files were read after the last process had left, late when some were \
               gone by then, lost when all were.",
        source: "`cgroup_notify_populated`, `cgroup_rmdir`, and the cgroup file systems",
        since: V0_1,
    },
    CGROUPFS_ERRORS: Family {
        name: "cgscope_cgroupfs_errors_total",
        otlp: Some(Otlp::named("cgscope.cgroupfs.errors", "{error}")),
        kind: Kind::Counter,
        unit: None,
        scope: Scope::Collector,
        labels: &[labels::ERROR],
        help: "Pieces of cgroup files that could not be understood, by reason; and files that could \
               not be read (unreadable), that were too long (cut), or that had more devices and keys \
               than are kept (over_bound). The figures concerned are absent.",
        source: "the cgroup file systems",
        since: V0_1,
    },
    READINGS_LEFT_OUT: Family {
        name: "cgscope_readings_left_out_total",
        otlp: Some(Otlp::named("cgscope.readings.left_out", "{reading}")),
        kind: Kind::Counter,
        unit: None,
        scope: Scope::Collector,
        labels: &[labels::LEFT_OUT],
        help: "What reading cgroups' files left out because a bound was reached: a cgroup that is not \
               read at all (cgroup), an id by which another cgroup at the same path would be known (id), \
               a last reading for which too many were waiting (last_reading), the threads and open files \
               of a container with too many processes (processes); or how often more happened to cgroups \
               at once than could be noted (notes).",
        source: "counted by the daemon",
        since: V0_1,
    },
    RUNTIME_CONNECTED: Family {
        name: "cgscope_runtime_connected",
        otlp: Some(Otlp::named("cgscope.runtime.connected", "{runtime}")),
        kind: Kind::Gauge,
        unit: None,
        scope: Scope::Collector,
        labels: &[labels::PROTOCOL, labels::ENDPOINT],
        help: "1 while a container runtime answers at a place where one was found or configured, else 0. \
               Containers keep the names that it has told.",
        source: "the container runtimes",
        since: V0_1,
    },
    CATALOG_CALLS: Family {
        name: "cgscope_catalog_calls_total",
        otlp: Some(Otlp::named("cgscope.catalog.calls", "{call}")),
        kind: Kind::Counter,
        unit: None,
        scope: Scope::Collector,
        labels: &[labels::PROTOCOL, labels::CALL],
        help: "Calls to container runtimes. `cri` is spoken by containerd and CRI-O. A list can take several \
               requests: Docker's and Podman's ask besides about each container that is new to them.",
        source: "counted by the daemon",
        since: V0_1,
    },
    CATALOG_ERRORS: Family {
        name: "cgscope_catalog_errors_total",
        otlp: Some(Otlp::named("cgscope.catalog.errors", "{error}")),
        kind: Kind::Counter,
        unit: None,
        scope: Scope::Collector,
        labels: &[labels::PROTOCOL, labels::CALL_ERROR],
        help: "Calls to container runtimes that failed: nobody answers (unreachable), or not in time \
               (timeout); the answer is an error (refused), too long (too_large) or not understood \
               (malformed); or it tells no more events (ended), as when it is stopped.",
        source: "counted by the daemon",
        since: V0_1,
    },
    CATALOG_LEFT_OUT: Family {
        name: "cgscope_catalog_left_out_total",
        otlp: Some(Otlp::named("cgscope.catalog.left_out", "{container}")),
        kind: Kind::Counter,
        unit: None,
        scope: Scope::Collector,
        labels: &[labels::PROTOCOL],
        help: "Containers in runtimes' lists that could not be understood, were there twice, or were too \
               many; each time that they are listed.",
        source: "counted by the daemon",
        since: V0_1,
    },
    KATA_SHIMS: Family {
        name: "cgscope_kata_shims",
        otlp: Some(Otlp::named("cgscope.kata.shims", "{shim}")),
        kind: Kind::Gauge,
        unit: None,
        scope: Scope::Collector,
        labels: &[],
        help: "Shims of Kata Containers that told their metrics when they were last asked.",
        source: "the shims' sockets",
        since: V0_1,
    },
    KATA_SHIM_ERRORS: Family {
        name: "cgscope_kata_shim_errors_total",
        otlp: Some(Otlp::named("cgscope.kata.shim.errors", "{error}")),
        kind: Kind::Counter,
        unit: None,
        scope: Scope::Collector,
        labels: &[labels::CALL_ERROR],
        help: "Calls to shims of Kata Containers that failed, with the errors of \
               cgscope_catalog_errors_total. What a shim told before is kept for three intervals.",
        source: "counted by the daemon",
        since: V0_1,
    },
    KATA_LEFT_OUT: Family {
        name: "cgscope_kata_samples_left_out",
        otlp: Some(Otlp::named("cgscope.kata.samples.left_out", "{sample}")),
        kind: Kind::Gauge,
        unit: None,
        scope: Scope::Collector,
        labels: &[],
        help: "Samples that shims of Kata Containers last told and that are not exported: not understood, \
               there twice, contradicting themselves, of another kind than the same metric of other shims, \
               or too many.",
        source: "the shims' sockets",
        since: V0_1,
    },
    FORWARDER_SPANS: Family {
        name: "cgscope_trace_forwarder_spans_total",
        otlp: Some(Otlp::named("cgscope.trace_forwarder.spans", "{span}")),
        kind: Kind::Counter,
        unit: None,
        scope: Scope::Collector,
        labels: &[],
        help: "Spans of Kata's agents that were taken and understood. Absent where none are listened for, as all of \
               cgscope_trace_forwarder.",
        source: "counted by the daemon",
        since: V0_1,
    },
    FORWARDER_ERRORS: Family {
        name: "cgscope_trace_forwarder_errors_total",
        otlp: Some(Otlp::named("cgscope.trace_forwarder.errors", "{error}")),
        kind: Kind::Counter,
        unit: None,
        scope: Scope::Collector,
        labels: &[labels::AGENT_ERROR],
        help: "Connections of Kata's agents that were refused (too_many_connections) or ended by cgscope: a frame's \
               length cannot be (bad_length), a frame is no span (malformed) or one with more than is taken \
               (over_limit), the rest of a frame did not come in time (timeout); and those that ended in the middle \
               of a frame (truncated) or could not be read (connection).",
        source: "counted by the daemon",
        since: V0_1,
    },
    FORWARDER_CONNECTIONS: Family {
        name: "cgscope_trace_forwarder_connections_total",
        otlp: Some(Otlp::named("cgscope.trace_forwarder.connections", "{connection}")),
        kind: Kind::Counter,
        unit: None,
        scope: Scope::Collector,
        labels: &[],
        help: "Connections of Kata's agents that were taken.",
        source: "counted by the daemon",
        since: V0_1,
    },
    FORWARDER_OPEN: Family {
        name: "cgscope_trace_forwarder_open_connections",
        otlp: Some(Otlp::named("cgscope.trace_forwarder.open_connections", "{connection}")),
        kind: Kind::Gauge,
        unit: None,
        scope: Scope::Collector,
        labels: &[],
        help: "Connections of Kata's agents that are open.",
        source: "counted by the daemon",
        since: V0_1,
    },
    FORWARDER_SOCKETS: Family {
        name: "cgscope_trace_forwarder_sockets",
        otlp: Some(Otlp::named("cgscope.trace_forwarder.sockets", "{socket}")),
        kind: Kind::Gauge,
        unit: None,
        scope: Scope::Collector,
        labels: &[],
        help: "Sockets on which Kata's agents are listened for.",
        source: "counted by the daemon",
        since: V0_1,
    },
    CONTAINERS_UNNAMED: Family {
        name: "cgscope_containers_unnamed",
        otlp: Some(Otlp::named("cgscope.containers.unnamed", "{container}")),
        kind: Kind::Gauge,
        unit: None,
        scope: Scope::Collector,
        labels: &[],
        help: "Containers that are there and of which no runtime has told: their series have their cgroup's \
               path and no names.",
        source: "the catalog",
        since: V0_1,
    },
    CONTAINERS_LEFT_OUT: Family {
        name: "cgscope_containers_left_out_total",
        otlp: Some(Otlp::named("cgscope.containers.left_out", "{container}")),
        kind: Kind::Counter,
        unit: None,
        scope: Scope::Collector,
        labels: &[],
        help: "Containers and pods of which runtimes have told, and that are more than are kept.",
        source: "the catalog",
        since: V0_1,
    },
    TRACE_DROPPED: Family {
        name: "cgscope_trace_dropped_total",
        otlp: Some(Otlp::named("cgscope.trace.dropped", "{event}")),
        kind: Kind::Counter,
        unit: None,
        scope: Scope::Collector,
        labels: &[labels::LIFE_LOSS],
        help: "Slow samples, events and spans of containers' lives that are in no trace: above the rate of one \
               container (container_rate) or of all (total_rate), more events than one span may have \
               (span_full), of more containers than are followed (containers), more happened at once than \
               could be noted (missed), too much waited for the collector (queue_full), or its life was told \
               to its end already (late). Absent unless the lives of containers are traced.",
        source: "counted by the daemon",
        since: V0_1,
    },
    OTLP_ITEMS: Family {
        name: "cgscope_otlp_items_total",
        otlp: Some(Otlp::named("cgscope.otlp.items", "{item}")),
        kind: Kind::Counter,
        unit: None,
        scope: Scope::Collector,
        labels: &[labels::OTLP_SIGNAL],
        help: "Data points and spans that were to be sent to an OpenTelemetry collector: those that it \
               took, that are lost and that wait are all of them.",
        source: "counted by the daemon",
        since: V0_1,
    },
    OTLP_ITEMS_SENT: Family {
        name: "cgscope_otlp_items_sent_total",
        otlp: Some(Otlp::named("cgscope.otlp.items.sent", "{item}")),
        kind: Kind::Counter,
        unit: None,
        scope: Scope::Collector,
        labels: &[labels::OTLP_SIGNAL],
        help: "Those of cgscope_otlp_items_total that the collector has taken.",
        source: "the collector's answers",
        since: V0_1,
    },
    OTLP_ITEMS_LOST: Family {
        name: "cgscope_otlp_items_lost_total",
        otlp: Some(Otlp::named("cgscope.otlp.items.lost", "{item}")),
        kind: Kind::Counter,
        unit: None,
        scope: Scope::Collector,
        labels: &[labels::OTLP_SIGNAL, labels::OTLP_LOSS],
        help: "Those of cgscope_otlp_items_total that will not arrive: too many waited (queue_full), the \
               collector refused the request (refused) or took it without them (rejected), it was tried \
               for as long as it may be (gave_up), or cgscope was ending (shutdown).",
        source: "counted by the daemon, and the collector's answers",
        since: V0_1,
    },
    OTLP_ITEMS_WAITING: Family {
        name: "cgscope_otlp_items_waiting",
        otlp: Some(Otlp::named("cgscope.otlp.items.waiting", "{item}")),
        kind: Kind::Gauge,
        unit: None,
        scope: Scope::Collector,
        labels: &[labels::OTLP_SIGNAL],
        help: "Those of cgscope_otlp_items_total that wait or are being sent.",
        source: "counted by the daemon",
        since: V0_1,
    },
    DRAIN_DURATION: Family {
        name: "cgscope_drain_duration_seconds",
        otlp: Some(Otlp::named("cgscope.drain.duration", "s")),
        kind: Kind::Histogram,
        unit: Some(Unit::Seconds),
        scope: Scope::Collector,
        labels: &[],
        help: "Time of one emptying of the ring buffers, in seconds of the monotonic clock.",
        source: "measured by the daemon",
        since: V0_1,
    },
    BUILD_INFO: Family {
        name: "cgscope_build_info",
        otlp: Some(Otlp::named("cgscope.build.info", "{build}")),
        kind: Kind::Info,
        unit: None,
        scope: Scope::Collector,
        labels: &[labels::VERSION, labels::ARCH],
        help: "Always 1: the version of cgscope that is running.",
        source: "the build",
        since: V0_1,
    },
    PROCESS_CPU_SECONDS: Family {
        name: "process_cpu_seconds_total",
        otlp: Some(Otlp::named("cgscope.process.cpu", "s")),
        kind: Kind::Counter,
        unit: Some(Unit::Seconds),
        scope: Scope::Process,
        labels: &[],
        help: "User and system CPU time of cgscope, in seconds. The kernel programs' time is not in \
               it: it is spent by whoever switches or completes.",
        source: "`/proc/self/stat`",
        since: V0_1,
    },
    PROCESS_RESIDENT_MEMORY: Family {
        name: "process_resident_memory_bytes",
        otlp: Some(Otlp::named("cgscope.process.resident_memory", "By")),
        kind: Kind::Gauge,
        unit: Some(Unit::Bytes),
        scope: Scope::Process,
        labels: &[],
        help: "Resident memory of cgscope, in bytes.",
        source: "`/proc/self/stat`",
        since: V0_1,
    },
    PROCESS_VIRTUAL_MEMORY: Family {
        name: "process_virtual_memory_bytes",
        otlp: Some(Otlp::named("cgscope.process.virtual_memory", "By")),
        kind: Kind::Gauge,
        unit: Some(Unit::Bytes),
        scope: Scope::Process,
        labels: &[],
        help: "Virtual memory of cgscope, in bytes.",
        source: "`/proc/self/stat`",
        since: V0_1,
    },
    PROCESS_OPEN_FDS: Family {
        name: "process_open_fds",
        otlp: Some(Otlp::named("cgscope.process.open_fds", "{file_descriptor}")),
        kind: Kind::Gauge,
        unit: None,
        scope: Scope::Process,
        labels: &[],
        help: "Open file descriptors of cgscope.",
        source: "`/proc/self/fd`",
        since: V0_1,
    },
    PROCESS_MAX_FDS: Family {
        name: "process_max_fds",
        otlp: Some(Otlp::named("cgscope.process.max_fds", "{file_descriptor}")),
        kind: Kind::Gauge,
        unit: None,
        scope: Scope::Process,
        labels: &[],
        help: "How many file descriptors cgscope may have open.",
        source: "`/proc/self/limits`",
        since: V0_1,
    },
    PROCESS_START_TIME: Family {
        name: "process_start_time_seconds",
        otlp: Some(Otlp::named("cgscope.process.start_time", "s")),
        kind: Kind::Gauge,
        unit: Some(Unit::Seconds),
        scope: Scope::Process,
        labels: &[],
        help: "When cgscope started, in seconds since the Unix epoch.",
        source: "`/proc/self/stat` and the boot time in `/proc/stat`",
        since: V0_1,
    },
}

/// The family that has `name` in the exposition.
pub(super) fn named(name: &str) -> Option<&'static Family> {
    ALL.iter().find(|family| family.name == name)
}
