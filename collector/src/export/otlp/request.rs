//! What answers are made of, signal by signal, and where requests go over gRPC.

use hyper::http::uri::PathAndQuery;
use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceResponse, trace::v1::ExportTraceServiceResponse},
    metrics::v1::ResourceMetrics,
    trace::v1::ResourceSpans,
};

use super::Parcel;

/// The most bytes of an answer that are looked at.
pub(super) const MAX_ANSWER: usize = 64 << 10;

/// The collector took a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// Items in it that it did not take.
    pub(super) rejected: u64,
    /// Why, or what it says besides; theirs, and so not to be trusted.
    pub(super) message: String,
}

/// A parcel for which OTLP has requests.
pub trait Sendable: Parcel {
    /// What is answered.
    #[doc(hidden)]
    type Answer: prost::Message + Default + 'static;

    /// The procedure of gRPC that takes requests.
    #[doc(hidden)]
    fn procedure() -> PathAndQuery;

    /// How many the answer says were rejected, and what else it says.
    #[doc(hidden)]
    fn partial_success(answer: Self::Answer) -> (i64, String);
}

impl Taken {
    pub(super) fn of<P: Sendable>(answer: P::Answer) -> Self {
        let (rejected, message) = P::partial_success(answer);
        Self {
            rejected: u64::try_from(rejected).unwrap_or(0),
            message,
        }
    }
}

impl Sendable for ResourceSpans {
    type Answer = ExportTraceServiceResponse;

    fn procedure() -> PathAndQuery {
        PathAndQuery::from_static("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
    }

    fn partial_success(answer: Self::Answer) -> (i64, String) {
        let partial = answer.partial_success.unwrap_or_default();
        (partial.rejected_spans, partial.error_message)
    }
}

impl Sendable for ResourceMetrics {
    type Answer = ExportMetricsServiceResponse;

    fn procedure() -> PathAndQuery {
        PathAndQuery::from_static("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export")
    }

    fn partial_success(answer: Self::Answer) -> (i64, String) {
        let partial = answer.partial_success.unwrap_or_default();
        (partial.rejected_data_points, partial.error_message)
    }
}
