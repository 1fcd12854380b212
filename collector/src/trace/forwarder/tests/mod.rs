//! Bytes of agents in, spans out: against what the agent's own library writes, and against what no agent would.

use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value::Value};

use super::{
    conversion::{ForwardedSpan, SpanError},
    guest::NoSandboxes,
    server::{Forwarder, ForwarderSettings},
    sink::SpanSink,
    tally::Tally,
};
use crate::export::otlp::{Bounds, Outbox, WhenFull};

mod agent_spans;

mod connections;

mod conversion;

mod dump;

const FIXTURES: &str = include_str!("../fixtures/kata-agent-spans.jsonl");

/// One that sends to nobody, and what it counts.
pub(super) fn forwarder() -> (Forwarder, Arc<Tally>) {
    let tally = Arc::new(Tally::default());
    let outbox = Outbox::new(Bounds {
        items: 1000,
        bytes: 1 << 20,
        when_full: WhenFull::DropNew,
    });
    let forwarder = Forwarder::new(ForwarderSettings {
        trace_name: "kata-agent".to_owned(),
        own: Arc::default(),
        sandboxes: Arc::new(NoSandboxes),
        proc: "/proc".into(),
        sink: SpanSink::to_collector(Arc::new(outbox)),
        tally: Arc::clone(&tally),
    });
    (forwarder, tally)
}

/// The second real span, with something replaced.
fn altered(what: &str, by: &str) -> Result<ForwardedSpan, SpanError> {
    let line = FIXTURES.lines().nth(1).unwrap();
    assert!(line.contains(what), "{what}");
    ForwardedSpan::read(line.replacen(what, by, 1).as_bytes())
}

fn key_value(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn string(value: &str) -> Value {
    Value::StringValue(value.to_owned())
}

fn array(values: Vec<Value>) -> Value {
    let values = values.into_iter();
    Value::ArrayValue(ArrayValue {
        values: values
            .map(|value| AnyValue { value: Some(value) })
            .collect(),
    })
}
