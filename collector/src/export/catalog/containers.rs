//! What is known of each cgroup and each container.

use super::families;
use crate::export::{
    family::{Family, Kind, Otlp, Scope, Unit, V0_1},
    labels,
};

families! {
    CONTAINERS;

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
        otlp: Some(Otlp::named("cgscope.container.restarts", "{restart}").counted_elsewhere()),
        kind: Kind::Counter,
        unit: None,
        scope: Scope::Cgroup,
        labels: &[],
        help: "How often the container has been started again because it ended: Docker's and Podman's \
               restart count, or the attempt that Kubernetes counts. Absent when it is not told.",
        source: "the container runtime",
        since: V0_1,
    },
}
