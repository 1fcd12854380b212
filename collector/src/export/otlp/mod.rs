//! OTLP: what leaves for an OpenTelemetry collector.
//!
//! In: spans and data points, as messages of OTLP, from whoever has them. Out: requests to a collector.
//! Who puts something into an [`Outbox`] waits for nobody: a collector that is slow or absent costs what
//! was meant for it, bounded and counted, and nothing else.

pub mod attributes;

mod metrics;

mod outbox;

mod own_resource;

mod resource;

mod scope;

mod settings;

mod attempt;
mod error;
mod grpc;
mod http;
mod request;
mod sender;
mod tls;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use opentelemetry_proto::tonic::{metrics::v1::ResourceMetrics, trace::v1::ResourceSpans};

pub use error::{NoAnswer, SenderError};
pub use metrics::MetricsEncoder;
pub use outbox::{Bounds, Outbox, Parcel, Sending, WhenFull};
pub use request::Sendable;
pub use resource::{OwnResource, resource_of};
pub use scope::spans_of;
pub use sender::Sender;
pub use settings::{BatchBounds, OtlpProtocol, OtlpSettings, TemporalityPreference, TlsFiles};
pub use tls::TlsError;

use crate::reconcile::delivery::OtlpAccount;

/// What requests say who sends them.
const USER_AGENT: &str = concat!("cgscope/", env!("CARGO_PKG_VERSION"));

/// Where what is to be sent is put.
#[derive(Clone, Debug, Default)]
pub struct Outboxes {
    /// What cgscope says of itself and its host.
    pub own: Arc<OwnResource>,
    /// Data points; `None` when none are sent.
    pub metrics: Option<Arc<Outbox<ResourceMetrics>>>,
    /// Spans; `None` when nothing is traced.
    pub traces: Option<Arc<Outbox<ResourceSpans>>>,
}

impl Outboxes {
    /// What became of all that was put in.
    #[must_use]
    pub fn accounts(&self) -> Vec<OtlpAccount> {
        let metrics = self.metrics.as_ref().map(|of| of.account());
        let traces = self.traces.as_ref().map(|of| of.account());
        metrics.into_iter().chain(traces).collect()
    }
}
