//! A gRPC server that says what a test has it say, broken messages too.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Bytes, body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::{net::UnixListener, time::sleep};

/// A call, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// Service and method: `containerd.services.version.v1.Version/Version`.
    pub(super) path: String,
    /// containerd's namespace.
    pub(super) namespace: String,
    /// The message.
    pub(super) message: Vec<u8>,
}

/// What is said to a call.
pub(super) enum Answer {
    /// Messages, and the end.
    Messages(Vec<Vec<u8>>),
    /// After a while without a word, as a server in Go has nothing to say before its first message.
    After(Duration, Vec<Vec<u8>>),
    /// An error, by its number.
    Error(u8),
    /// The beginning of a message of so many bytes.
    Endless(u32),
    /// Nothing.
    Silence,
}

impl Answer {
    pub(super) const UNIMPLEMENTED: Self = Self::Error(12);
    pub(super) const NOT_FOUND: Self = Self::Error(5);

    pub(super) fn one(message: &impl Message) -> Self {
        Self::Messages(vec![message.encode_to_vec()])
    }

    pub(super) fn all<T: Message>(messages: &[T]) -> Self {
        Self::Messages(messages.iter().map(Message::encode_to_vec).collect())
    }
}

/// The server; who is connected stays so when it is dropped.
pub(super) struct Server {
    calls: Arc<Mutex<Vec<Call>>>,
    address: String,
    _folder: tempfile::TempDir,
}

impl Server {
    /// Starts one at a socket of its own.
    pub(super) fn start(answer: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let server = Self {
            calls: Arc::clone(&calls),
            address: path.to_str().unwrap().to_owned(),
            _folder: folder,
        };
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (calls, answer) = (Arc::clone(&calls), Arc::clone(&answer));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (calls, answer) = (Arc::clone(&calls), Arc::clone(&answer));
                    async move {
                        let call = call(request).await;
                        let answer = answer(&call);
                        calls.lock().unwrap().push(call);
                        Ok::<_, Infallible>(respond(answer).await)
                    }
                });
                let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
            }
        });
        server
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The calls since the last time.
    pub(super) fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

async fn call(request: Request<Incoming>) -> Call {
    let namespace = request
        .headers()
        .get("containerd-namespace")
        .map(|namespace| namespace.to_str().unwrap().to_owned());
    let path = request.uri().path().trim_start_matches('/').to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    Call {
        path,
        namespace: namespace.unwrap_or_default(),
        message: body[5..].to_vec(),
    }
}

async fn respond(
    answer: Answer,
) -> Response<impl hyper::body::Body<Data = Bytes, Error = Infallible>> {
    let (body, code) = match answer {
        Answer::Messages(messages) => (framed(&messages), 0),
        Answer::After(time, messages) => {
            sleep(time).await;
            (framed(&messages), 0)
        }
        Answer::Error(code) => (Vec::new(), code),
        Answer::Endless(length) => {
            let mut body = vec![0];
            body.extend(length.to_be_bytes());
            body.resize(1 << 20, 0);
            (body, 0)
        }
        Answer::Silence => std::future::pending().await,
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(u16::from(code)));
    let body = Full::new(Bytes::from(body)).with_trailers(async { Some(Ok(trailers)) });
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", kind);
    response
}

fn framed(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut body = Vec::new();
    for message in messages {
        body.push(0);
        body.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        body.extend(message);
    }
    body
}
