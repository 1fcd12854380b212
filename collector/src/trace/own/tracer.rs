//! Who makes spans of our own work, and whether there are any.

use std::{sync::Arc, time::SystemTime};

use opentelemetry::{
    Context, InstrumentationScope, KeyValue,
    trace::{Span as _, SpanBuilder, SpanKind, Tracer as _, TracerProvider as _},
};
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use opentelemetry_sdk::{
    Resource,
    trace::{RandomIdGenerator, Sampler, SdkTracer, SdkTracerProvider},
};

use super::{
    names::{COMPONENT_NAME, key, span},
    object::Object,
    processing::{Processing, Recorded},
    spans_out::SpansOut,
};
use crate::export::otlp::{Outbox, OwnResource};

/// Makes the tracers of all loops. There is no global one.
#[derive(Clone, Debug, Default)]
pub struct WorkTracer(Option<SdkTracer>);

/// Makes the root spans of one loop.
#[derive(Clone, Debug, Default)]
pub struct LoopTracer(Option<Arc<Recorder>>);

#[derive(Debug)]
struct Recorder {
    tracer: SdkTracer,
    /// What is on every root span of the loop.
    attributes: Vec<KeyValue>,
}

/// Why an object is processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Its runtime told that something happened.
    Event,
    /// It is in a list of all, or is in it no more.
    List,
    /// It has cgroups, and nobody had told of it.
    Question,
}

/// How the processing of an object begins.
#[derive(Clone, Copy, Debug)]
pub struct Beginning {
    /// Why.
    pub origin: Origin,
    /// How often it has failed, one time after the other.
    pub failures: u32,
    /// When, if not now.
    pub at: Option<SystemTime>,
}

impl Origin {
    /// The name in [`key::OBJECT_ORIGIN`].
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::List => "list",
            Self::Question => "question",
        }
    }

    /// For the first time, and now.
    #[must_use]
    pub const fn now(self) -> Beginning {
        Beginning {
            origin: self,
            failures: 0,
            at: None,
        }
    }
}

impl WorkTracer {
    /// Traces this part of all objects, from 0 to 1, into `outbox`. The bounds of a span's attributes and
    /// events are the SDK's, and those of `OTEL_SPAN_…_LIMIT`.
    #[must_use]
    pub fn new(ratio: f64, own: Arc<OwnResource>, outbox: Arc<Outbox<ResourceSpans>>) -> Self {
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
                ratio,
            ))))
            .with_id_generator(RandomIdGenerator::default())
            // Whose spans these are, the outbox's parcels say.
            .with_resource(Resource::builder_empty().build())
            .with_span_processor(SpansOut::new(own, outbox))
            .build();
        let scope = InstrumentationScope::builder(COMPONENT_NAME)
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        Self(Some(provider.tracer_with_scope(scope)))
    }

    /// Traces nothing.
    #[must_use]
    pub const fn off() -> Self {
        Self(None)
    }

    /// For a loop of this name, with its configuration as attributes.
    #[must_use]
    pub fn of_loop(
        &self,
        name: impl FnOnce() -> String,
        configuration: impl FnOnce() -> Vec<KeyValue>,
    ) -> LoopTracer {
        let recorder = |tracer: &SdkTracer| {
            let mut attributes = configuration();
            attributes.push(KeyValue::new(key::COMPONENT, COMPONENT_NAME));
            attributes.push(KeyValue::new(key::CONTROLLER_NAME, name()));
            Arc::new(Recorder {
                tracer: tracer.clone(),
                attributes,
            })
        };
        LoopTracer(self.0.as_ref().map(recorder))
    }
}

impl LoopTracer {
    /// Whether anything is traced.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The processing of an object begins. Which, is asked if it is recorded.
    #[inline]
    pub fn begin(&self, beginning: Beginning, object: impl FnOnce() -> Object) -> Processing {
        match &self.0 {
            None => Processing::unrecorded(),
            Some(recorder) => recorder.begin(beginning, object),
        }
    }
}

impl Recorder {
    fn begin(&self, beginning: Beginning, object: impl FnOnce() -> Object) -> Processing {
        let Beginning {
            origin,
            failures,
            at,
        } = beginning;
        let mut builder =
            SpanBuilder::from_name(span::PROCESS_OBJECT).with_kind(SpanKind::Consumer);
        builder.start_time = at;
        let mut span = self.tracer.build_with_context(builder, &Context::new());
        if !span.is_recording() {
            return Processing::unrecorded();
        }
        let object = object();
        span.set_attributes(self.attributes.iter().cloned());
        span.set_attributes([
            KeyValue::new(key::CONTAINER_ID, object.id),
            KeyValue::new(key::OBJECT_ORIGIN, origin.name()),
            KeyValue::new(key::OBJECT_TIMES_PROCESSED, i64::from(failures) + 1),
            KeyValue::new(key::OBJECT_IS_RETRY, failures > 0),
        ]);
        Processing::recorded(Recorded::new(
            self.tracer.clone(),
            span,
            object.name,
            beginning.at,
        ))
    }
}
