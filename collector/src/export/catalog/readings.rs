//! What is read of cgroup files beside the events, and how far the two are apart.

use super::families;
use crate::export::{
    family::{Family, Kind, Otlp, Scope, Unit, V0_1},
    labels,
};

families! {
    READINGS;

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
}
