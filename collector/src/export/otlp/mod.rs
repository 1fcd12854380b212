//! OTLP: what leaves for an OpenTelemetry collector.
//!
//! In: spans and data points, as messages of OTLP, from whoever has them. Out: requests to a collector.
//! Who puts something into an [`Outbox`] waits for nobody: a collector that is slow or absent costs what
//! was meant for it, bounded and counted, and nothing else.

mod metrics;

mod outbox;

mod resource;

use std::sync::Arc;

use opentelemetry_proto::tonic::{metrics::v1::ResourceMetrics, trace::v1::ResourceSpans};

pub use metrics::{MetricsEncoder, Temporality};
pub use outbox::{Bounds, Outbox, Parcel, Sending, WhenFull};
pub use resource::{OwnResource, resource_of};

use crate::reconcile::delivery::OtlpAccount;

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
