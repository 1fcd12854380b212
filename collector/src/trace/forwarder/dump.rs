//! Spans as lines for people and programs: OTLP's own JSON, one request a line.
//!
//! In: spans. Out: text in which every control character is spelled out.

use std::fmt::Write as _;

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, ArrayValue, KeyValue, any_value},
    trace::v1::{ResourceSpans, Span, span},
};
use serde_json::{Value, json};

/// One line, with its end.
pub(super) fn line_of(spans: &ResourceSpans) -> String {
    let resource = spans.resource.as_ref();
    let attributes = resource.map_or(&[][..], |of| &of.attributes);
    let all = spans.scope_spans.iter().flat_map(|of| &of.spans);
    let line = json!({
        "resourceSpans": [{
            "resource": { "attributes": key_values(attributes) },
            "scopeSpans": [{ "spans": all.map(span_of).collect::<Vec<_>>() }],
        }],
    });
    let mut text = String::new();
    // JSON leaves some of them as they are.
    for character in line.to_string().chars() {
        if character.is_control() {
            // All that are left have four digits at most.
            let written = write!(text, "\\u{:04x}", u32::from(character));
            debug_assert!(written.is_ok());
        } else {
            text.push(character);
        }
    }
    text.push('\n');
    text
}

fn span_of(span: &Span) -> Value {
    let status = span.status.clone().unwrap_or_default();
    json!({
        "traceId": hexadecimal(&span.trace_id),
        "spanId": hexadecimal(&span.span_id),
        "traceState": span.trace_state,
        "parentSpanId": hexadecimal(&span.parent_span_id),
        "flags": span.flags,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": span.start_time_unix_nano.to_string(),
        "endTimeUnixNano": span.end_time_unix_nano.to_string(),
        "attributes": key_values(&span.attributes),
        "droppedAttributesCount": span.dropped_attributes_count,
        "events": span.events.iter().map(event_of).collect::<Vec<_>>(),
        "droppedEventsCount": span.dropped_events_count,
        "links": span.links.iter().map(link_of).collect::<Vec<_>>(),
        "droppedLinksCount": span.dropped_links_count,
        "status": { "code": status.code, "message": status.message },
    })
}

fn event_of(event: &span::Event) -> Value {
    json!({
        "timeUnixNano": event.time_unix_nano.to_string(),
        "name": event.name,
        "attributes": key_values(&event.attributes),
        "droppedAttributesCount": event.dropped_attributes_count,
    })
}

fn link_of(link: &span::Link) -> Value {
    json!({
        "traceId": hexadecimal(&link.trace_id),
        "spanId": hexadecimal(&link.span_id),
        "traceState": link.trace_state,
        "attributes": key_values(&link.attributes),
        "droppedAttributesCount": link.dropped_attributes_count,
        "flags": link.flags,
    })
}

fn key_values(attributes: &[KeyValue]) -> Vec<Value> {
    attributes
        .iter()
        .map(|of| json!({ "key": of.key, "value": of.value.as_ref().map_or_else(|| json!({}), value_of) }))
        .collect()
}

fn value_of(value: &AnyValue) -> Value {
    use any_value::Value as Of;
    match &value.value {
        // An agent's spans have neither bytes nor maps, and no table of strings.
        None | Some(Of::StringValueStrindex(_) | Of::BytesValue(_) | Of::KvlistValue(_)) => {
            json!({})
        }
        Some(Of::StringValue(value)) => json!({ "stringValue": value }),
        Some(Of::BoolValue(value)) => json!({ "boolValue": value }),
        // As protobuf's JSON has them: not every reader's numbers have 64 bits.
        Some(Of::IntValue(value)) => json!({ "intValue": value.to_string() }),
        Some(Of::DoubleValue(value)) if value.is_finite() => json!({ "doubleValue": value }),
        Some(Of::DoubleValue(value)) => json!({ "doubleValue": not_finite(*value) }),
        Some(Of::ArrayValue(ArrayValue { values })) => {
            json!({ "arrayValue": { "values": values.iter().map(value_of).collect::<Vec<_>>() } })
        }
    }
}

fn not_finite(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let written = write!(text, "{byte:02x}");
        debug_assert!(written.is_ok());
        text
    })
}
