//! Spans from a tracer's beginning to who takes them.

use std::sync::{Arc, Mutex};

use opentelemetry::{baggage::BaggageExt as _, trace::TraceContextExt as _};
use opentelemetry_proto::tonic::trace::v1::Span;

use super::{
    Action, Beginning, LoopTracer, Object, ObjectName, WorkTracer,
    names::{key, span},
};

/// What was handed over, and together with what.
#[derive(Default)]
struct Taken(Mutex<Vec<Vec<Span>>>);

impl Taken {
    fn parcels(&self) -> Vec<Vec<Span>> {
        self.0.lock().unwrap().clone()
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().iter().map(Vec::len).sum()
    }
}

fn traced(ratio: f64) -> (LoopTracer, Arc<Taken>) {
    let taken = Arc::new(Taken::default());
    let tracer = WorkTracer::new(ratio, {
        let taken = Arc::clone(&taken);
        Box::new(move |spans| taken.0.lock().unwrap().push(spans))
    });
    (tracer.of_loop(|| "test".to_owned(), Vec::new), taken)
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

#[test]
fn the_key_is_baggage_in_every_context_and_an_attribute_of_every_span_below() {
    let (tracer, taken) = traced(1.0);
    let processing = tracer.begin(Beginning::now("event"), object);
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
    assert_eq!(taken.count(), 0, "they wait for their root");
    processing.succeed();
    let parcels = taken.parcels();
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
    let (tracer, taken) = traced(1.0);
    let processing = tracer.begin(Beginning::now("event"), object);
    let kept = processing.step(Action::Delete).context().cloned();
    processing.succeed();
    assert_eq!(taken.count(), 2);
    drop(kept);
    assert_eq!(taken.count(), 2);
}

#[test]
fn a_part_of_the_objects_is_traced_and_of_the_others_nothing_is_asked() {
    let (tracer, taken) = traced(0.1);
    let mut asked = 0;
    for _ in 0..10_000 {
        let processing = tracer.begin(Beginning::now("list"), || {
            asked += 1;
            object()
        });
        drop(processing.step(Action::AddUpdate));
        processing.succeed();
    }
    // Six standard deviations to either side.
    assert!((820..1_180).contains(&asked), "{asked} of 10000");
    assert_eq!(taken.count(), 2 * asked);
}

#[test]
fn what_waits_for_a_root_is_bounded_and_nothing_is_lost_when_the_tracer_goes() {
    let (tracer, taken) = traced(1.0);
    let processing = tracer.begin(Beginning::now("event"), object);
    let step = processing.step(Action::AddUpdate);
    for _ in 0..100 {
        drop(step.child(span::INSPECT));
    }
    assert_eq!(taken.count(), 64);
    drop((step, processing));
    assert_eq!(taken.count(), 102);
    drop(tracer);
    assert_eq!(taken.count(), 102);
}
