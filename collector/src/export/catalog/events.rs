//! What became of the events of the kernel, and how many cgroups are kept.

use super::families;
use crate::export::{
    family::{Family, Kind, Otlp, Scope, Unit, V0_1},
    labels,
};

families! {
    EVENTS;

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
}
