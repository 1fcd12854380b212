//! Collectors of the tests.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use hyper::{HeaderMap, Request, body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tonic::codec::CompressionEncoding;
use tower::Service as _;

/// What a collector says to the request of that number.
type Says = dyn Fn(usize) -> Result<ExportTraceServiceResponse, tonic::Status> + Send + Sync;

/// A collector over gRPC.
#[derive(Clone)]
pub(super) struct Collector {
    says: Arc<Says>,
    requests: Arc<Mutex<Vec<(HeaderMap, ExportTraceServiceRequest)>>>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let (metadata, _, message) = request.into_parts();
        let number = {
            let mut requests = self.requests.lock().unwrap();
            requests.push((metadata.into_headers(), message));
            requests.len()
        };
        (self.says)(number).map(tonic::Response::new)
    }
}

impl Collector {
    pub(super) fn new(
        says: impl Fn(usize) -> Result<ExportTraceServiceResponse, tonic::Status>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self {
            says: Arc::new(says),
            requests: Arc::default(),
        }
    }

    /// What it was asked, so far.
    pub(super) fn requests(&self) -> Vec<(HeaderMap, ExportTraceServiceRequest)> {
        self.requests.lock().unwrap().clone()
    }

    /// Serves in the background; where.
    pub(super) async fn start(&self) -> String {
        let collector = self.clone();
        on_each(move |stream| {
            let collector = collector.clone();
            async move { collector.serve(stream).await }
        })
        .await
    }

    /// Serves one connection.
    pub(super) async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let service = TraceServiceServer::new(self).accept_compressed(CompressionEncoding::Gzip);
        let answer = service_fn(move |request: Request<Incoming>| {
            let mut service = service.clone();
            async move { Ok::<_, Infallible>(service.call(request).await.unwrap()) }
        });
        // It ends when the client does.
        drop(
            hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), answer)
                .await,
        );
    }
}

/// Listens in the background, and does this with each connection; where.
pub(super) async fn on_each<F: Future<Output = ()> + Send + 'static>(
    work: impl Fn(TcpStream) -> F + Send + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(work(stream));
        }
    });
    address
}

/// Reads one request of HTTP/1.1: its head and its body; `None` when there is none any more.
pub(super) async fn read_request(
    stream: &mut (impl AsyncRead + Unpin),
) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.split("content-length: ").nth(1).unwrap();
    let length = length.split("\r\n").next().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((head, body))
}

/// An answer of HTTP/1.1.
pub(super) fn answer(head: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut answer = format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n").into_bytes();
    answer.extend(body);
    answer
}
