//! Spans from a tracer's beginning to the outbox.

use std::sync::Arc;

use opentelemetry::{baggage::BaggageExt as _, trace::TraceContextExt as _};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};

use super::{
    Action, LoopTracer, Object, ObjectName, Origin, WorkTracer,
    names::{key, span},
};
use crate::export::otlp::{Bounds, Outbox, WhenFull};

fn traced(ratio: f64) -> (LoopTracer, Arc<Outbox<ResourceSpans>>) {
    let outbox = Arc::new(Outbox::new(Bounds {
        items: 100_000,
        bytes: 1 << 28,
        when_full: WhenFull::DropNew,
    }));
    let tracer = WorkTracer::new(ratio, Arc::default(), Arc::clone(&outbox));
    (tracer.of_loop(|| "test".to_owned(), Vec::new), outbox)
}

fn object() -> Object {
    Object {
        id: "4f1e".to_owned(),
        name: ObjectName {
            namespace: "shop".to_owned(),
            name: "app".to_owned(),
        },
    }
}

fn spans(outbox: &Outbox<ResourceSpans>) -> Vec<Vec<Span>> {
    let parcels = outbox.take(u64::MAX, u64::MAX).parcels();
    let scopes = parcels.into_iter().map(|mut of| of.scope_spans.remove(0));
    scopes.map(|of| of.spans).collect()
}

#[test]
fn the_key_is_baggage_in_every_context_and_an_attribute_of_every_span_below() {
    let (tracer, outbox) = traced(1.0);
    let processing = tracer.begin(Origin::Event.now(), object);
    let step = processing.step(Action::AddUpdate);
    let child = step.child(span::FIND_CGROUP);
    for context in [processing.context(), step.context(), child.context()] {
        let baggage = context.unwrap().baggage();
        assert_eq!(baggage.len(), 1);
        assert_eq!(baggage.get(key::OBJECT_KEY).unwrap().as_str(), "shop/app");
    }
    let trace = |context: &opentelemetry::Context| context.span().span_context().trace_id();
    let ids = [processing.context(), step.context(), child.context()].map(|of| trace(of.unwrap()));
    assert_eq!(ids, [ids[0]; 3]);
    drop((child, step));
    assert_eq!(outbox.account().put, 0, "they wait for their root");
    processing.succeed();
    let parcels = spans(&outbox);
    assert_eq!(parcels.len(), 1, "a trace is one parcel");
    for span in &parcels[0] {
        let keys = span
            .attributes
            .iter()
            .filter(|of| of.key == key::OBJECT_KEY);
        assert_eq!(keys.count(), 1, "{span:?}");
    }
}

#[test]
fn a_handler_that_keeps_a_context_prolongs_no_span() {
    let (tracer, outbox) = traced(1.0);
    let processing = tracer.begin(Origin::Event.now(), object);
    let kept = processing.step(Action::Delete).context().cloned();
    processing.succeed();
    assert_eq!(outbox.account().put, 2);
    drop(kept);
    assert_eq!(outbox.account().put, 2);
}

#[test]
fn a_part_of_the_objects_is_traced_and_of_the_others_nothing_is_asked() {
    let (tracer, outbox) = traced(0.1);
    let mut asked = 0;
    for _ in 0..10_000 {
        let processing = tracer.begin(Origin::List.now(), || {
            asked += 1;
            object()
        });
        drop(processing.step(Action::AddUpdate));
        processing.succeed();
    }
    // Six standard deviations to either side.
    assert!((820..1_180).contains(&asked), "{asked} of 10000");
    assert_eq!(outbox.account().put, 2 * asked);
}

#[test]
fn what_waits_for_a_root_is_bounded_and_nothing_is_lost_when_the_tracer_goes() {
    let (tracer, outbox) = traced(1.0);
    let processing = tracer.begin(Origin::Event.now(), object);
    let step = processing.step(Action::AddUpdate);
    for _ in 0..100 {
        drop(step.child(span::INSPECT));
    }
    assert_eq!(outbox.account().put, 64);
    drop((step, processing));
    assert_eq!(outbox.account().put, 102);
    drop(tracer);
    assert_eq!(outbox.account().put, 102);
}
