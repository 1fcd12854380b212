//! What is done about an object: the spans below its root.

use std::{collections::HashMap, error::Error, hash::Hash, time::SystemTime};

use opentelemetry::{
    Context, KeyValue,
    trace::{SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _},
};
use opentelemetry_sdk::trace::SdkTracer;

use super::names::{key, span};
use crate::{error_chain, text_within};

/// What is done about an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is there, or has changed.
    AddUpdate,
    /// It is gone.
    Delete,
}

/// A step of the work for an object, until it is dropped; recorded or not.
#[derive(Debug, Default)]
pub struct Step(Option<Box<RecordedStep>>);

#[derive(Debug)]
struct RecordedStep {
    tracer: SdkTracer,
    context: Context,
}

/// What a handler is given: where its own spans belong, for each object that is recorded.
#[derive(Debug)]
pub enum Steps<'a, K> {
    /// Nothing is recorded.
    None,
    /// What is handled is of one object.
    One(&'a Step),
    /// It is of many, by their keys.
    Many(&'a HashMap<K, Step>),
}

/// The most bytes of an error in words: a runtime says what it likes.
const MAX_ERROR: usize = 512;

impl Action {
    const fn span_name(self) -> &'static str {
        match self {
            Self::AddUpdate => span::ADD_UPDATE,
            Self::Delete => span::DELETE,
        }
    }
}

impl Step {
    pub(super) fn below(
        root: Option<(&SdkTracer, &Context, Option<SystemTime>)>,
        action: Action,
    ) -> Self {
        let begin = |(tracer, context, at): (&SdkTracer, &Context, Option<SystemTime>)| {
            let mut builder = SpanBuilder::from_name(action.span_name());
            builder.start_time = at;
            RecordedStep::begin(tracer, context, builder)
        };
        Self(root.map(begin).map(Box::new))
    }

    /// A part of it, below it.
    #[inline]
    #[must_use]
    pub fn child(&self, name: &'static str) -> Self {
        self.child_of_kind(name, SpanKind::Internal)
    }

    /// A part of it that asks somebody else.
    #[inline]
    #[must_use]
    pub fn call(&self, name: &'static str) -> Self {
        self.child_of_kind(name, SpanKind::Client)
    }

    fn child_of_kind(&self, name: &'static str, kind: SpanKind) -> Self {
        let begin = |of: &RecordedStep| {
            let builder = SpanBuilder::from_name(name).with_kind(kind);
            RecordedStep::begin(&of.tracer, &of.context, builder)
        };
        Self(self.0.as_deref().map(begin).map(Box::new))
    }

    /// Where its span is, and the object's key as baggage: for whoever makes spans of their own.
    #[must_use]
    pub fn context(&self) -> Option<&Context> {
        self.0.as_ref().map(|of| &of.context)
    }

    /// Says something of it, if it is recorded.
    pub fn say(&self, attribute: impl FnOnce() -> KeyValue) {
        if let Some(of) = &self.0 {
            of.context.span().set_attribute(attribute());
        }
    }

    /// It failed.
    pub fn fail(&self, kind: &'static str, error: &dyn Error) {
        if let Some(of) = &self.0 {
            let span = of.context.span();
            span.set_attribute(KeyValue::new(key::ERROR_TYPE, kind));
            span.set_status(Status::error(error_text(error)));
        }
    }
}

impl RecordedStep {
    fn begin(tracer: &SdkTracer, above: &Context, builder: SpanBuilder) -> Self {
        let span = tracer.build_with_context(builder, above);
        Self {
            tracer: tracer.clone(),
            context: above.with_span(span),
        }
    }
}

impl Drop for RecordedStep {
    fn drop(&mut self) {
        // Whoever else has the context may not prolong it.
        self.context.span().end();
    }
}

impl<K> Clone for Steps<'_, K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Steps<'_, K> {}

impl<'a, K: Eq + Hash> Steps<'a, K> {
    /// What belongs to one object.
    #[must_use]
    pub fn one(step: &'a Step) -> Self {
        match step.0 {
            None => Self::None,
            Some(_) => Self::One(step),
        }
    }

    /// Where spans about an object belong.
    #[must_use]
    pub fn of(self, key: &K) -> Option<&'a Step> {
        match self {
            Self::None => None,
            Self::One(step) => Some(step),
            Self::Many(steps) => steps.get(key),
        }
    }

    /// A part of the work that is done for all at once.
    #[must_use]
    pub fn children(self, name: &'static str) -> Vec<Step> {
        match self {
            Self::None => Vec::new(),
            Self::One(step) => vec![step.child(name)],
            Self::Many(steps) => steps.values().map(|step| step.child(name)).collect(),
        }
    }
}

/// An error and its causes, for an attribute.
pub(super) fn error_text(error: &dyn Error) -> String {
    text_within(error_chain(error).as_bytes(), MAX_ERROR)
}
