//! The trace of a container's life among what a collector was sent.
//!
//! In: what was recorded. Out: one container's spans, as a tree of a root and what is below. Never here: what a
//! span should say.

use opentelemetry_proto::tonic::{
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};

use crate::{note, otel_collector::Recorded};

/// A span, and the attributes of whose it is.
#[derive(Clone, Debug)]
pub struct Told {
    /// Of its resource.
    pub resource: Vec<KeyValue>,
    /// It.
    pub span: Span,
}

/// All that is told of the container with this id.
#[must_use]
pub fn of_container(recorded: &Recorded, id: &str) -> Vec<Told> {
    let told = recorded
        .spans()
        .into_iter()
        .map(|(resource, _, span)| Told {
            resource: resource.attributes,
            span,
        });
    told.filter(|told| text(&told.resource, "container.id").as_deref() == Some(id))
        .collect()
}

/// An attribute.
#[must_use]
pub fn value(attributes: &[KeyValue], key: &str) -> Option<Value> {
    let found = attributes.iter().find(|of| of.key == key)?;
    found.value.as_ref()?.value.clone()
}

/// An attribute that is a text.
#[must_use]
pub fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    match value(attributes, key)? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

/// Whether a life has ended and all is there that it says is: its span, and one for each slow sample.
#[must_use]
pub fn is_whole(told: &[Told]) -> bool {
    let life = told.iter().find(|told| told.span.name == "container");
    let Some(Told { span: life, .. }) = life else {
        return false;
    };
    let is_wait = |span: &Span| {
        span.trace_id == life.trace_id
            && (span.name == "runqueue wait" || span.name.starts_with("block i/o"))
    };
    let waits = told.iter().filter(|told| is_wait(&told.span)).count();
    let said = value(&life.attributes, "cgscope.slow_samples");
    said == Some(Value::IntValue(waits.try_into().unwrap_or(i64::MAX)))
}

/// The spans of one trace: its root, and the others, all of which are below it.
#[must_use]
pub fn one_trace(told: &[Told]) -> (&Span, Vec<&Span>) {
    let (roots, others): (Vec<_>, Vec<_>) = told
        .iter()
        .map(|told| &told.span)
        .partition(|span| span.parent_span_id.is_empty());
    let [root] = roots[..] else {
        panic!("not one root: {roots:#?}");
    };
    for span in &others {
        assert_eq!(span.trace_id, root.trace_id, "{span:?}");
        assert_eq!(span.parent_span_id, root.span_id, "{span:?}");
    }
    (root, others)
}

/// Says when the spans of a trace were, from its root's start on.
pub fn note_times(root: &Span, others: &[&Span]) {
    for span in others.iter().chain([&root]) {
        note(&format!(
            "{} {:.3} ms to {:.3} ms after its start: {:?}",
            span.name,
            ms(root.start_time_unix_nano, span.start_time_unix_nano),
            ms(root.start_time_unix_nano, span.end_time_unix_nano),
            span.events.iter().map(|of| &of.name).collect::<Vec<_>>()
        ));
    }
}

/// The only span of that name.
#[must_use]
pub fn only<'a>(spans: &[&'a Span], name: &str) -> &'a Span {
    let mut of_name = spans.iter().filter(|span| span.name == name);
    match (of_name.next(), of_name.next()) {
        (Some(span), None) => span,
        _ => panic!("not one {name}: {spans:#?}"),
    }
}

/// Milliseconds from one time to the other.
#[expect(clippy::cast_precision_loss, reason = "shown with a few digits")]
#[must_use]
pub fn ms(from: u64, to: u64) -> f64 {
    (i128::from(to) - i128::from(from)) as f64 / 1e6
}

/// When the first event of that name was.
#[must_use]
pub fn event(spans: &[&Span], name: &str) -> u64 {
    let events = spans.iter().flat_map(|span| &span.events);
    let times: Vec<_> = events
        .filter(|event| event.name == name)
        .map(|event| event.time_unix_nano)
        .collect();
    *times
        .first()
        .unwrap_or_else(|| panic!("no {name}: {spans:#?}"))
}

/// The waits for this disk that are of this operation, in the order of time, and how long they took, in
/// milliseconds.
#[must_use]
pub fn disk_waits<'a>(spans: &[&'a Span], disk: &str, operation: &str) -> Vec<(&'a Span, f64)> {
    let is_it = |span: &&&Span| {
        let of_span = |key| text(&span.attributes, key);
        span.name == "block i/o in device"
            && of_span("cgscope.operation").as_deref() == Some(operation)
            && of_span("system.device").as_deref() == Some(disk)
    };
    let took = |span: &Span| ms(span.start_time_unix_nano, span.end_time_unix_nano);
    let mut waits: Vec<_> = spans
        .iter()
        .filter(is_it)
        .map(|span| (*span, took(span)))
        .collect();
    waits.sort_by_key(|(span, _)| span.start_time_unix_nano);
    waits
}
