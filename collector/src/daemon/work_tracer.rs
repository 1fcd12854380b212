//! Spans of our own work, on their way to the outbox of traces.

use std::sync::Arc;

use crate::{
    export::otlp::{Outboxes, spans_of},
    trace::own::WorkTracer,
};

/// Traces this part of all objects, from 0 to 1, as what cgscope itself does; nothing, where no spans are sent.
#[must_use]
pub fn work_tracer(ratio: f64, otlp: &Outboxes) -> WorkTracer {
    let Some(outbox) = &otlp.traces else {
        return WorkTracer::off();
    };
    let (own, outbox) = (Arc::clone(&otlp.own), Arc::clone(outbox));
    WorkTracer::new(
        ratio,
        // Where there is no room, the outbox counts them.
        Box::new(move |spans| {
            outbox.put(spans_of(own.resource(), spans));
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        export::otlp::{Bounds, Outbox, OwnResource, WhenFull, attributes::text},
        trace::own::{Action, Beginning, Object, ObjectName},
    };

    #[test]
    fn the_spans_of_an_object_are_one_parcel_that_says_whose_they_are() {
        let outbox = Arc::new(Outbox::new(Bounds {
            items: 100,
            bytes: 1 << 20,
            when_full: WhenFull::DropNew,
        }));
        let otlp = Outboxes {
            own: Arc::new(OwnResource {
                attributes: vec![("service.name".to_owned(), "mine".to_owned())],
            }),
            metrics: None,
            traces: Some(Arc::clone(&outbox)),
        };
        let tracer = work_tracer(1.0, &otlp).of_loop(|| "test".to_owned(), Vec::new);
        let object = || Object {
            id: "4f1e".to_owned(),
            name: ObjectName {
                namespace: String::new(),
                name: "web".to_owned(),
            },
        };
        let processing = tracer.begin(Beginning::now("event"), object);
        drop(processing.step(Action::Delete));
        processing.succeed();
        let parcels = outbox.take(u64::MAX, u64::MAX).parcels();
        let [parcel] = parcels.as_slice() else {
            panic!("{parcels:?}");
        };
        let resource = parcel.resource.as_ref().unwrap();
        assert_eq!(resource.attributes, [text("service.name", "mine")]);
        let [of_scope] = parcel.scope_spans.as_slice() else {
            panic!("{parcel:?}");
        };
        let scope = of_scope.scope.as_ref().unwrap();
        assert_eq!(scope.name, "cgscope");
        assert_eq!(scope.version, env!("CARGO_PKG_VERSION"));
        let names: Vec<_> = of_scope.spans.iter().map(|of| of.name.as_str()).collect();
        assert_eq!(names, ["cgscope.delete", "cgscope.process_object"]);
    }

    #[test]
    fn where_no_spans_are_sent_nothing_is_traced() {
        let tracer = work_tracer(1.0, &Outboxes::default());
        assert!(!tracer.of_loop(String::new, Vec::new).is_on());
    }
}
