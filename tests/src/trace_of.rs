//! The trace of a container's life among what a collector was sent.
//!
//! In: what was recorded. Out: one container's spans, as a tree of a root and what is below. Never here: what a
//! span should say.

use opentelemetry_proto::tonic::{
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};

use crate::otel_collector::Recorded;

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
