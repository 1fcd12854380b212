//! Requests over gRPC.

use std::{
    marker::PhantomData,
    sync::{Mutex, MutexGuard, PoisonError},
};

use hyper::body::Bytes;
use prost::{
    Message,
    bytes::{Buf as _, BufMut as _},
};
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::MetadataMap,
    transport::{Channel, Endpoint},
};

use super::{
    attempt::Attempt,
    error::SenderError,
    request::{MAX_ANSWER, Sendable, Taken},
    settings::OtlpSettings,
    tls,
};

/// The most bytes of headers that an answer may have.
const MAX_HEADERS: u32 = 16 << 10;

/// A connection to a collector, made when it is needed, and again when it is lost.
#[derive(Debug)]
pub(super) struct GrpcTransport {
    endpoint: Endpoint,
    channel: Mutex<Channel>,
    headers: MetadataMap,
    is_compressed: bool,
}

impl GrpcTransport {
    /// Connects to nobody yet. Within a tokio runtime.
    pub(super) fn new(settings: &OtlpSettings) -> Result<Self, SenderError> {
        let unusable = |source| SenderError::Endpoint {
            endpoint: settings.shown_endpoint(),
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
            channel: Mutex::new(endpoint.connect_lazy()),
            endpoint,
            headers: MetadataMap::from_headers(settings.headers.iter().cloned().collect()),
            is_compressed: settings.is_compressed,
        })
    }

    /// Connects anew for the next request. A connection whose other end has vanished without a word is as good as
    /// any to the kernel for a quarter of an hour.
    pub(super) fn reconnect(&self) {
        *self.channel() = self.endpoint.connect_lazy();
    }

    fn channel(&self) -> MutexGuard<'_, Channel> {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends it once.
    pub(super) async fn send<P: Sendable>(&self, body: Bytes) -> Attempt {
        match self.call::<P>(body).await {
            Ok(answer) => Attempt::Taken(Taken::of::<P>(answer)),
            // Whoever answers at length took it, as over HTTP.
            Err(status) if is_too_long(&status) => Attempt::Taken(Taken {
                rejected: 0,
                message: format!("(what it answers has more than {MAX_ANSWER} bytes)"),
            }),
            Err(status) => Attempt::of_status(&status),
        }
    }

    async fn call<P: Sendable>(&self, body: Bytes) -> Result<P::Answer, Status> {
        let mut request = Request::new(body);
        *request.metadata_mut() = self.headers.clone();
        let mut client = Grpc::new(self.channel().clone())
            .max_decoding_message_size(MAX_ANSWER)
            .max_encoding_message_size(usize::MAX);
        if self.is_compressed {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        let not_ready = |error: tonic::transport::Error| Status::from_error(Box::new(error));
        client.ready().await.map_err(not_ready)?;
        let answer = client
            .unary(request, P::procedure(), Encoded(PhantomData))
            .await;
        answer.map(tonic::Response::into_inner)
    }
}

/// Whether an answer has more bytes than are taken. It is told apart from a collector's own refusal of what has too many
/// by the limit, which is not one that collectors have.
fn is_too_long(status: &Status) -> bool {
    let limit = format!("the limit is: {MAX_ANSWER} bytes");
    status.code() == Code::OutOfRange && status.message().ends_with(&limit)
}

/// The codec of requests that are encoded already, and of answers that are messages.
#[derive(Debug)]
struct Encoded<A>(PhantomData<A>);

impl<A: Message + Default + 'static> Codec for Encoded<A> {
    type Encode = Bytes;
    type Decode = A;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self(PhantomData)
    }

    fn decoder(&mut self) -> Self {
        Self(PhantomData)
    }
}

impl<A> Encoder for Encoded<A> {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}

impl<A: Message + Default> Decoder for Encoded<A> {
    type Item = A;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<A>, Status> {
        // It took it, whatever it says besides.
        let answer = A::decode(&mut *from).unwrap_or_else(|error| {
            tracing::debug!("what a collector answers is not understood: {error}");
            from.advance(from.remaining());
            A::default()
        });
        Ok(Some(answer))
    }
}
