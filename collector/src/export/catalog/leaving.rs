//! What is forwarded, traced and sent to a collector, and what of it is lost.

use super::families;
use crate::export::{
    family::{Family, Kind, Otlp, Scope, V0_1},
    labels,
};

families! {
    LEAVING;

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
}
