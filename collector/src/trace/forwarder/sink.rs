//! Where forwarded spans go.
//!
//! In: spans of one resource. Out: the queue to the collector, or lines for people. Never here: who is waited for; a
//! full queue counts what it does not take.

use std::{
    fmt,
    io::Write,
    sync::{Arc, Mutex, PoisonError},
};

use opentelemetry_proto::tonic::trace::v1::ResourceSpans;

use super::dump::line_of;
use crate::export::otlp::Outbox;

/// Where forwarded spans go.
pub enum SpanSink {
    /// To the collector.
    Outbox(Arc<Outbox<ResourceSpans>>),
    /// A line of JSON each time.
    Dump(Mutex<Box<dyn Write + Send>>),
}

impl fmt::Debug for SpanSink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SpanSink").finish_non_exhaustive()
    }
}

impl SpanSink {
    /// Lines on standard output.
    #[must_use]
    pub fn standard_output() -> Self {
        Self::Dump(Mutex::new(Box::new(std::io::stdout())))
    }

    pub(super) fn give(&self, spans: ResourceSpans) {
        match self {
            Self::Outbox(outbox) => {
                // What finds no room is counted there.
                outbox.put(spans);
            }
            Self::Dump(writer) => {
                let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
                let line = line_of(&spans);
                let written = writer.write_all(line.as_bytes());
                if let Err(error) = written.and_then(|()| writer.flush()) {
                    tracing::warn!("cannot print spans: {error}");
                }
            }
        }
    }
}
