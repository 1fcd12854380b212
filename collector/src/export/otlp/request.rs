//! What requests and answers are made of, signal by signal.

use opentelemetry_proto::tonic::{
    collector::{
        metrics::v1::{
            ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_client::MetricsServiceClient,
        },
        trace::v1::{
            ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_client::TraceServiceClient,
        },
    },
    metrics::v1::ResourceMetrics,
    trace::v1::ResourceSpans,
};
use tonic::{Request, Status, codec::CompressionEncoding, transport::Channel};

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
    /// What they are.
    #[doc(hidden)]
    type Request: prost::Message + Clone + Send + Sync;

    /// What is answered.
    #[doc(hidden)]
    type Answer: prost::Message + Default;

    /// One request of all these.
    #[doc(hidden)]
    fn request(parcels: Vec<Self>) -> Self::Request
    where
        Self: Sized;

    /// How many the answer says were rejected, and what else it says.
    #[doc(hidden)]
    fn partial_success(answer: Self::Answer) -> (i64, String);

    /// Sends one over gRPC.
    #[doc(hidden)]
    fn call(
        channel: Channel,
        is_compressed: bool,
        request: Request<Self::Request>,
    ) -> impl Future<Output = Result<Self::Answer, Status>> + Send;
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

macro_rules! sendable {
    ($parcel:ty, $request:ident, $parcels:ident, $answer:ident, $rejected:ident, $client:ident) => {
        impl Sendable for $parcel {
            type Request = $request;
            type Answer = $answer;

            fn request($parcels: Vec<Self>) -> $request {
                $request { $parcels }
            }

            fn partial_success(answer: $answer) -> (i64, String) {
                let partial = answer.partial_success.unwrap_or_default();
                (partial.$rejected, partial.error_message)
            }

            async fn call(
                channel: Channel,
                is_compressed: bool,
                request: Request<$request>,
            ) -> Result<$answer, Status> {
                let mut client = $client::new(channel)
                    .max_decoding_message_size(MAX_ANSWER)
                    .max_encoding_message_size(usize::MAX);
                if is_compressed {
                    client = client.send_compressed(CompressionEncoding::Gzip);
                }
                client
                    .export(request)
                    .await
                    .map(tonic::Response::into_inner)
            }
        }
    };
}

sendable!(
    ResourceSpans,
    ExportTraceServiceRequest,
    resource_spans,
    ExportTraceServiceResponse,
    rejected_spans,
    TraceServiceClient
);

sendable!(
    ResourceMetrics,
    ExportMetricsServiceRequest,
    resource_metrics,
    ExportMetricsServiceResponse,
    rejected_data_points,
    MetricsServiceClient
);
