//! From spans that have ended to the outbox.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use opentelemetry::{Context, KeyValue, baggage::BaggageExt as _, trace::Span as _, trace::SpanId};
use opentelemetry_proto::tonic::{
    common::v1::InstrumentationScope,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{self, SpanData, SpanProcessor},
};

use super::names::{COMPONENT_NAME, key};
use crate::export::otlp::{Outbox, OwnResource};

/// Puts spans into the outbox, those of an object together: each parcel says once whose they are.
#[derive(Debug)]
pub(super) struct SpansOut {
    own: Arc<OwnResource>,
    outbox: Arc<Outbox<ResourceSpans>>,
    /// Those that have ended before their root.
    ended: Mutex<Vec<Span>>,
}

/// The most spans that wait for a root's end; more go without it.
const MAX_ENDED: usize = 64;

impl SpansOut {
    pub(super) const fn new(own: Arc<OwnResource>, outbox: Arc<Outbox<ResourceSpans>>) -> Self {
        Self {
            own,
            outbox,
            ended: Mutex::new(Vec::new()),
        }
    }

    fn ended(&self) -> MutexGuard<'_, Vec<Span>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, spans: Vec<Span>) {
        if spans.is_empty() {
            return;
        }
        self.outbox.put(ResourceSpans {
            resource: Some(self.own.resource()),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: COMPONENT_NAME.to_owned(),
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    ..InstrumentationScope::default()
                }),
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        });
    }

    fn flush(&self) {
        let spans = mem::take(&mut *self.ended());
        self.put(spans);
    }
}

impl SpanProcessor for SpansOut {
    /// Every span below a root says by the baggage which object began it.
    fn on_start(&self, span: &mut trace::Span, above: &Context) {
        if let Some(object) = above.baggage().get(key::OBJECT_KEY) {
            span.set_attribute(KeyValue::new(key::OBJECT_KEY, object.clone()));
        }
    }

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        let is_root = span.parent_span_id == SpanId::INVALID;
        let mut ended = self.ended();
        ended.push(span.into());
        if is_root || ended.len() >= MAX_ENDED {
            let spans = mem::take(&mut *ended);
            drop(ended);
            self.put(spans);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.flush();
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        self.flush();
        Ok(())
    }
}
