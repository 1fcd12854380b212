//! Who makes spans of our own work, and whether there are any.

use std::{sync::Arc, time::SystemTime};

use opentelemetry::{
    Context, InstrumentationScope, KeyValue,
    trace::{SpanBuilder, SpanKind, Tracer as _, TracerProvider as _},
};
use opentelemetry_sdk::{
    Resource,
    trace::{RandomIdGenerator, Sampler, SdkTracer, SdkTracerProvider},
};

use super::{
    gaps::Gaps,
    names::{COMPONENT_NAME, key, span},
    object::Object,
    processing::{Processing, Recorded},
    spans_out::{SpanTaker, SpansOut},
};

/// Makes the tracers of all loops. There is no global one.
#[derive(Clone, Debug, Default)]
pub struct WorkTracer(Option<Sampled>);

/// Makes the root spans of one loop.
#[derive(Clone, Debug, Default)]
pub struct LoopTracer(Option<Arc<Recorder>>);

/// Makes spans of a part of all objects.
#[derive(Clone, Debug)]
struct Sampled {
    gaps: Arc<Gaps>,
    tracer: SdkTracer,
}

#[derive(Debug)]
struct Recorder {
    of: Sampled,
    /// What is on every root span of the loop.
    attributes: Vec<KeyValue>,
}

/// Attributes of the root span of an object beyond those of its loop, at its end.
const OF_OBJECT: usize = 9;

/// How the processing of an object begins.
#[derive(Clone, Copy, Debug)]
pub struct Beginning {
    /// Why: what [`key::OBJECT_ORIGIN`] says.
    pub origin: &'static str,
    /// How often it has failed, one time after the other.
    pub failures: u32,
    /// When, if not now.
    pub at: Option<SystemTime>,
}

impl Beginning {
    /// For the first time, and now.
    #[must_use]
    pub const fn now(origin: &'static str) -> Self {
        Self {
            origin,
            failures: 0,
            at: None,
        }
    }
}

impl WorkTracer {
    /// Traces this part of all objects, from 0 to 1; `take` has their spans. The bounds of a span's attributes and
    /// events are the SDK's, and those of `OTEL_SPAN_…_LIMIT`.
    #[must_use]
    pub fn new(ratio: f64, take: SpanTaker) -> Self {
        let provider = SdkTracerProvider::builder()
            // Of what is sampled everything is recorded.
            .with_sampler(Sampler::AlwaysOn)
            .with_id_generator(RandomIdGenerator::default())
            // Whose spans these are, who takes them says.
            .with_resource(Resource::builder_empty().build())
            .with_span_processor(SpansOut::new(take))
            .build();
        let scope = InstrumentationScope::builder(COMPONENT_NAME)
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        Self(Some(Sampled {
            gaps: Arc::new(Gaps::new(ratio)),
            tracer: provider.tracer_with_scope(scope),
        }))
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
        let recorder = |of: &Sampled| {
            let mut attributes = configuration();
            attributes.push(KeyValue::new(key::COMPONENT, COMPONENT_NAME));
            attributes.push(KeyValue::new(key::CONTROLLER_NAME, name()));
            Arc::new(Recorder {
                of: of.clone(),
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
        // Asked before a span is begun: an object that is not traced costs none.
        if !self.of.gaps.is_over() {
            return Processing::unrecorded();
        }
        let Object { id, name } = object();
        let mut attributes = Vec::with_capacity(self.attributes.len() + OF_OBJECT);
        attributes.extend_from_slice(&self.attributes);
        attributes.extend([
            KeyValue::new(key::CONTAINER_ID, id),
            KeyValue::new(key::OBJECT_ORIGIN, origin),
            KeyValue::new(key::OBJECT_TIMES_PROCESSED, i64::from(failures) + 1),
            KeyValue::new(key::OBJECT_IS_RETRY, failures > 0),
            KeyValue::new(key::OBJECT_KEY, name.key()),
        ]);
        let mut builder = SpanBuilder::from_name(span::PROCESS_OBJECT)
            .with_kind(SpanKind::Consumer)
            .with_attributes(attributes);
        builder.start_time = at;
        let tracer = self.of.tracer.clone();
        let span = tracer.build_with_context(builder, &Context::new());
        Processing::recorded(Recorded::new(tracer, span, name, at))
    }
}
