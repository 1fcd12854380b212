//! From spans that have ended to who takes them.

use std::{
    fmt, mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use opentelemetry::{Context, KeyValue, baggage::BaggageExt as _, trace::Span as _, trace::SpanId};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{self, SpanData, SpanProcessor},
};

use super::names::key;

/// Takes spans that have ended; it should not take long.
pub type SpanTaker = Box<dyn Fn(Vec<Span>) + Send + Sync>;

/// Hands spans over, those of an object together: so it is said once whose they are.
pub(super) struct SpansOut {
    take: SpanTaker,
    /// Those that have ended before their root.
    ended: Mutex<Vec<Span>>,
}

/// The most spans that wait for a root's end; more go without it.
const MAX_ENDED: usize = 64;

impl fmt::Debug for SpansOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpansOut").finish_non_exhaustive()
    }
}

impl SpansOut {
    pub(super) const fn new(take: SpanTaker) -> Self {
        Self {
            take,
            ended: Mutex::new(Vec::new()),
        }
    }

    fn ended(&self) -> MutexGuard<'_, Vec<Span>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, spans: Vec<Span>) {
        if !spans.is_empty() {
            (self.take)(spans);
        }
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
