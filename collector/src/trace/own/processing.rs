//! One object, from the beginning of its processing to its end: the root span.

use std::{error::Error, time::SystemTime};

use opentelemetry::{
    Context, KeyValue,
    baggage::BaggageExt as _,
    trace::{Span as _, Status, TraceContextExt as _},
};
use opentelemetry_sdk::trace::{SdkTracer, Span};

use super::{
    names::{event, key},
    object::ObjectName,
    step::{Action, Step, error_text},
};

/// One object that is processed; recorded or not. One that is dropped before its end has failed.
#[derive(Debug)]
#[must_use = "what is not finished has failed"]
pub struct Processing(Option<Box<Recorded>>);

#[derive(Debug)]
pub(super) struct Recorded {
    tracer: SdkTracer,
    /// With the span, and the object's key as baggage.
    context: Context,
    name: ObjectName,
    began: Option<SystemTime>,
    is_finished: bool,
}

/// The loop ended before the object was processed.
#[derive(Debug, thiserror::Error)]
#[error("given up with the session: the runtime is lost, or cgscope stops")]
struct Interrupted;

impl Processing {
    #[inline]
    pub(super) const fn unrecorded() -> Self {
        Self(None)
    }

    pub(super) fn recorded(recorded: Recorded) -> Self {
        Self(Some(Box::new(recorded)))
    }

    /// Whether there is a span.
    #[must_use]
    pub const fn is_recorded(&self) -> bool {
        self.0.is_some()
    }

    /// Where the span is, for spans below it.
    #[must_use]
    pub fn context(&self) -> Option<&Context> {
        self.0.as_ref().map(|of| &of.context)
    }

    /// What is done about the object begins.
    #[must_use]
    pub fn step(&self, action: Action) -> Step {
        Step::below(
            self.0
                .as_ref()
                .map(|of| (&of.tracer, &of.context, of.began)),
            action,
        )
    }

    /// It became known what the object is called.
    pub fn known_as(&mut self, name: impl FnOnce() -> Option<ObjectName>) {
        if let Some(of) = &mut self.0
            && let Some(name) = name()
        {
            of.name = name;
        }
    }

    /// Something happened to the object meanwhile: it is processed once more.
    pub fn outdated(&self) {
        if let Some(of) = &self.0 {
            let outdated = KeyValue::new(key::OBJECT_OUTDATED, true);
            of.context.span().set_attribute(outdated);
        }
    }

    /// All went well.
    #[inline]
    pub fn succeed(mut self) {
        if let Some(of) = &mut self.0 {
            of.finish(true);
        }
    }

    /// It failed; `forgotten` is why it is not tried again, if it is not.
    pub fn fail(mut self, kind: &'static str, error: &dyn Error, forgotten: Option<&'static str>) {
        if let Some(of) = &mut self.0 {
            of.fail(kind, error, forgotten);
        }
    }
}

impl Recorded {
    pub(super) fn new(
        tracer: SdkTracer,
        mut span: Span,
        name: ObjectName,
        began: Option<SystemTime>,
    ) -> Self {
        let key = name.key();
        let of_key = || vec![KeyValue::new(key::OBJECT_KEY, key.clone())];
        span.add_event(event::BAGGAGE, of_key());
        span.add_event(event::PROCESS_OBJECT, of_key());
        let context = Context::new().with_baggage(of_key()).with_span(span);
        Self {
            tracer,
            context,
            name,
            began,
            is_finished: false,
        }
    }

    fn fail(&mut self, kind: &'static str, error: &dyn Error, forgotten: Option<&'static str>) {
        let span = self.context.span();
        let message = error_text(error);
        span.set_attribute(KeyValue::new(key::ERROR_TYPE, kind));
        span.add_event(
            event::ERROR,
            vec![
                KeyValue::new(key::EXCEPTION_TYPE, kind),
                KeyValue::new(key::EXCEPTION_MESSAGE, message.clone()),
            ],
        );
        if let Some(reason) = forgotten {
            let reason = KeyValue::new(key::FORGET_REASON, reason);
            span.add_event(event::FORGET, vec![reason]);
        }
        span.set_status(Status::error(message));
        self.finish(false);
    }

    fn finish(&mut self, is_good: bool) {
        self.is_finished = true;
        let span = self.context.span();
        let ObjectName { namespace, name } = &self.name;
        span.set_attributes([
            KeyValue::new(key::OBJECT_NAMESPACE, namespace.clone()),
            KeyValue::new(key::OBJECT_NAME, name.clone()),
        ]);
        let success = KeyValue::new(key::SUCCESS, is_good);
        span.add_event(event::SUCCESS, vec![success]);
        span.end();
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        if !self.is_finished {
            self.fail("interrupted", &Interrupted, None);
        }
    }
}
