//! How it goes with the runtimes that are asked for containers, and with the agents in sandboxes.

use super::families;
use crate::export::{
    family::{Family, Kind, Otlp, Scope, V0_1},
    labels,
};

families! {
    RUNTIMES;

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
}
