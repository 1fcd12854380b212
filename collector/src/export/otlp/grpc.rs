//! Requests over gRPC.

use tonic::{
    Request,
    metadata::MetadataMap,
    transport::{Channel, Endpoint},
};

use super::{
    attempt::Attempt,
    request::{Sendable, Taken},
    sender::SenderError,
    settings::OtlpSettings,
    tls,
};

/// The most bytes of headers that an answer may have.
const MAX_HEADERS: u32 = 16 << 10;

/// A connection to a collector, made when it is needed, and again when it is lost.
#[derive(Clone, Debug)]
pub(super) struct GrpcTransport {
    channel: Channel,
    headers: MetadataMap,
    is_compressed: bool,
}

impl GrpcTransport {
    /// Connects to nobody yet. Within a tokio runtime.
    pub(super) fn new(settings: &OtlpSettings) -> Result<Self, SenderError> {
        let unusable = |source| SenderError::Endpoint {
            endpoint: settings.endpoint.to_string(),
            source,
        };
        let mut endpoint = Endpoint::from(settings.endpoint.clone())
            .user_agent(super::USER_AGENT)
            .map_err(unusable)?
            .connect_timeout(settings.timeout)
            .http2_max_header_list_size(MAX_HEADERS);
        if settings.endpoint.scheme_str() == Some("https") {
            let config = tls::Loaded::read(&settings.tls)?.for_grpc()?;
            endpoint = endpoint.tls_config(config).map_err(unusable)?;
        }
        Ok(Self {
            channel: endpoint.connect_lazy(),
            headers: MetadataMap::from_headers(settings.headers.iter().cloned().collect()),
            is_compressed: settings.is_compressed,
        })
    }

    /// Sends it once.
    pub(super) async fn send<P: Sendable>(&self, request: P::Request) -> Attempt {
        let mut request = Request::new(request);
        *request.metadata_mut() = self.headers.clone();
        match P::call(self.channel.clone(), self.is_compressed, request).await {
            Ok(answer) => Attempt::Taken(Taken::of::<P>(answer)),
            Err(status) => Attempt::of_status(&status),
        }
    }
}
