//! Any span that an agent can have, and what it is in OTLP.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use opentelemetry_of_kata::{
    Array, KeyValue as AgentKeyValue, Value as AgentValue,
    sdk::{
        InstrumentationLibrary, Resource as AgentResource,
        export::trace::SpanData,
        trace::{EvictedHashMap, EvictedQueue},
    },
    trace::{
        Event as AgentEvent, Link as AgentLink, SpanContext, SpanId, SpanKind, StatusCode,
        TraceFlags, TraceId, TraceState,
    },
};
use opentelemetry_proto::tonic::{
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, Status, span},
};
use proptest::{collection, prelude::*};

use super::{array, key_value};
use crate::trace::forwarder::conversion::ForwardedSpan;

/// A value of the agent's, and the same of OTLP's.
fn any_value() -> impl Strategy<Value = (AgentValue, Value)> {
    let float = || any::<f64>().prop_map(|float| (float, Value::DoubleValue(of_json(float))));
    let text = || ".{0,12}".prop_map(|text: String| (text.clone(), Value::StringValue(text)));
    let list = 0..5_usize;
    prop_oneof![
        any::<bool>().prop_map(|of| (of.into(), Value::BoolValue(of))),
        any::<i64>().prop_map(|of| (of.into(), Value::IntValue(of))),
        float().prop_map(|(of, expected)| (of.into(), expected)),
        text().prop_map(|(of, expected)| (of.into(), expected)),
        collection::vec(any::<bool>(), list.clone()).prop_map(|of| {
            let expected = of.iter().map(|item| Value::BoolValue(*item)).collect();
            (AgentValue::Array(Array::Bool(of)), array(expected))
        }),
        collection::vec(any::<i64>(), list.clone()).prop_map(|of| {
            let expected = of.iter().map(|item| Value::IntValue(*item)).collect();
            (AgentValue::Array(Array::I64(of)), array(expected))
        }),
        collection::vec(float(), list.clone()).prop_map(|of| {
            let (of, expected) = of.into_iter().unzip();
            (AgentValue::Array(Array::F64(of)), array(expected))
        }),
        collection::vec(text(), list).prop_map(|of| {
            let (of, expected): (Vec<_>, _) = of.into_iter().unzip();
            let of = of.into_iter().map(Into::into).collect();
            (AgentValue::Array(Array::String(of)), array(expected))
        }),
    ]
}

/// JSON has no infinity.
fn of_json(float: f64) -> f64 {
    if float.is_finite() { float } else { f64::NAN }
}

type Pairs = (Vec<AgentKeyValue>, Vec<KeyValue>);

/// In the order of their keys, as no other is kept.
fn any_attributes() -> impl Strategy<Value = Pairs> {
    collection::btree_map("[ -~é\n]{1,8}", any_value(), 0..6).prop_map(
        |map: BTreeMap<String, _>| {
            map.into_iter()
                .map(|(key, (value, expected))| {
                    let expected = key_value(&key, expected);
                    (AgentKeyValue::new(key, value), expected)
                })
                .unzip()
        },
    )
}

fn any_time() -> impl Strategy<Value = (SystemTime, u64)> {
    any::<u64>()
        .prop_map(|of| (SystemTime::UNIX_EPOCH + Duration::from_nanos(of), of))
        .boxed()
}

fn any_context() -> impl Strategy<Value = (SpanContext, u128, u64, u8, String)> {
    let state = prop_oneof![
        Just(Vec::new()),
        Just(vec![("rojo", "00f067"), ("congo", "t61")])
    ];
    (
        1..=u128::MAX,
        1..=u64::MAX,
        any::<u8>(),
        any::<bool>(),
        state,
    )
        .prop_map(|(trace, id, flags, is_remote, state)| {
            let said: Vec<_> = state
                .iter()
                .map(|(key, of)| format!("{key}={of}"))
                .collect();
            let context = SpanContext::new(
                TraceId::from_bytes(trace.to_be_bytes()),
                SpanId::from_bytes(id.to_be_bytes()),
                TraceFlags::new(flags),
                is_remote,
                TraceState::from_key_value(state).unwrap(),
            );
            (context, trace, id, flags, said.join(","))
        })
}

fn any_event() -> impl Strategy<Value = (AgentEvent, span::Event)> {
    (".{0,12}", any_time(), any_attributes(), any::<u32>()).prop_map(
        |(name, (at, nanoseconds), (of, attributes), dropped)| {
            let expected = span::Event {
                time_unix_nano: nanoseconds,
                name: name.clone(),
                attributes,
                dropped_attributes_count: dropped,
            };
            (AgentEvent::new(name, at, of, dropped), expected)
        },
    )
}

fn any_link() -> impl Strategy<Value = (AgentLink, span::Link)> {
    (any_context(), any_attributes()).prop_map(
        |((context, trace, id, flags, trace_state), (of, attributes))| {
            let remote = if context.is_remote() { 0x200 } else { 0 };
            let expected = span::Link {
                trace_id: trace.to_be_bytes().to_vec(),
                span_id: id.to_be_bytes().to_vec(),
                trace_state,
                attributes,
                dropped_attributes_count: 0,
                flags: u32::from(flags) | 0x100 | remote,
            };
            (AgentLink::new(context, of), expected)
        },
    )
}

prop_compose! {
    /// A span of the agent's, and the same of OTLP's with its resource.
    pub(super) fn any_span()(
        context in any_context(),
        parent in any::<u64>(),
        kind in 0..5_usize,
        status in 0..3_usize,
        (name, message) in (".{0,20}", ".{0,20}"),
        (start, end) in (any_time(), any_time()),
        attributes in any_attributes(),
        events in collection::vec(any_event(), 0..4),
        links in collection::vec(any_link(), 0..4),
        resource in any_attributes(),
    ) -> (SpanData, ForwardedSpan) {
        let (agent_kind, expected_kind) = [
            (SpanKind::Client, span::SpanKind::Client),
            (SpanKind::Server, span::SpanKind::Server),
            (SpanKind::Producer, span::SpanKind::Producer),
            (SpanKind::Consumer, span::SpanKind::Consumer),
            (SpanKind::Internal, span::SpanKind::Internal),
        ][kind].clone();
        let (context, trace, id, flags, trace_state) = context;
        let mut map = EvictedHashMap::new(128, 0);
        attributes.0.into_iter().for_each(|of| map.insert(of));
        let (mut agent_events, expected_events): (Vec<_>, _) = events.into_iter().unzip();
        let (mut agent_links, expected_links): (Vec<_>, _) = links.into_iter().unzip();
        let (mut events, mut links) = (EvictedQueue::new(128), EvictedQueue::new(128));
        // With nothing in them they stay `null`, as in the agent.
        if !agent_events.is_empty() {
            events.append_vec(&mut agent_events);
        }
        if !agent_links.is_empty() {
            links.append_vec(&mut agent_links);
        }
        let agent = SpanData {
            span_context: context,
            parent_span_id: SpanId::from_bytes(parent.to_be_bytes()),
            span_kind: agent_kind,
            name: name.clone().into(),
            start_time: start.0,
            end_time: end.0,
            attributes: map,
            events,
            links,
            status_code: [StatusCode::Unset, StatusCode::Ok, StatusCode::Error][status],
            status_message: message.clone().into(),
            resource: Some(Arc::new(AgentResource::new(resource.0))),
            instrumentation_lib: InstrumentationLibrary::default(),
        };
        let expected = Span {
            trace_id: trace.to_be_bytes().to_vec(),
            span_id: id.to_be_bytes().to_vec(),
            trace_state,
            parent_span_id: if parent == 0 { Vec::new() } else { parent.to_be_bytes().to_vec() },
            flags: flags.into(),
            name,
            kind: expected_kind.into(),
            start_time_unix_nano: start.1,
            end_time_unix_nano: end.1,
            attributes: attributes.1,
            events: expected_events,
            links: expected_links,
            status: Some(Status { message, code: i32::try_from(status).unwrap() }),
            ..Span::default()
        };
        (agent, ForwardedSpan { resource: resource.1, span: expected })
    }
}
