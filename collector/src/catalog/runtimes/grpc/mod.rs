//! gRPC over a UNIX socket, bounded.
//!
//! In: a socket's path and calls. Out: their answers, or one [`CallError`]. Never here: what an answer means.
//!
//! No pings are sent: a server in Go takes more than one in five minutes for an attack, and hangs up. That
//! a server hangs is noticed by a call that is not answered, which [`super::grpc_stream`] makes
//! while nothing happens.

pub(super) mod list;

pub(super) mod stream;

use std::{
    error::Error,
    future::Future,
    sync::Arc,
    time::{Duration, SystemTime},
};

use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::{net::UnixStream, time::timeout};
use tonic::{
    Code, Request, Response, Status, Streaming, TimeoutExpired, client::Grpc,
    codegen::http::uri::PathAndQuery, transport::Channel,
};

use super::{
    ANSWER_TIME, CONNECT_TIME, CallError, Endpoint, MAX_ANSWER, MAX_CONTAINERS, NotConnected,
    grpc::list::ListCodec,
};
use crate::catalog::{provider::Unavailable, runtime_container::told_text};

/// The most bytes of one message. It is there twice for a moment: as it came, and decoded.
pub(super) const MAX_MESSAGE: usize = MAX_ANSWER / 2;

/// The most bytes of a message about one container. It is bounded well below a list's: an empty element of a
/// nested list has two bytes, and some hundred in memory.
pub(super) const MAX_ONE: usize = 1 << 20;

/// The most bytes of an event, which can have the statuses of a whole pod.
pub(super) const MAX_EVENT: usize = 512 << 10;

/// A server at a UNIX socket.
#[derive(Clone, Debug)]
pub(super) struct GrpcServer {
    /// To be cloned for a client.
    pub(super) channel: Channel,
    pub(super) address: Arc<str>,
}

impl GrpcServer {
    /// Connects. That somebody listens does not tell that somebody answers: the first call does.
    pub(super) async fn connect(endpoint: &Endpoint) -> Result<Self, CallError> {
        let address = endpoint.address.as_str();
        let path: Arc<str> = address.strip_prefix("unix://").unwrap_or(address).into();
        let open = move |_| {
            let path = Arc::clone(&path);
            async move { UnixStream::connect(&*path).await.map(TokioIo::new) }
        };
        // The name goes into each request's header, and no further.
        let bounded = tonic::transport::Endpoint::from_static("http://localhost")
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(2 << 20)
            .http2_max_header_list_size(16 << 10);
        let connecting = bounded.connect_with_connector(tower::service_fn(open));
        let channel = timeout(CONNECT_TIME, connecting)
            .await
            .map_err(|_elapsed| CallError::Timeout {
                address: address.to_owned(),
                call: "connect".to_owned(),
                limit: CONNECT_TIME,
            })?
            .map_err(|error| CallError::Unreachable {
                address: address.to_owned(),
                source: reason(&error),
            })?;
        Ok(Self {
            channel,
            address: address.into(),
        })
    }

    /// Waits for an answer.
    pub(super) async fn answer<T>(
        &self,
        call: &str,
        limit: Duration,
        answer: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, CallError> {
        match timeout(limit, answer).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(self.error(call, limit, &status)),
            Err(_elapsed) => Err(self.timeout(call, limit)),
        }
    }

    /// Asks for a list, with an answer of bounded length and number of elements.
    pub(super) async fn list<Q, A>(
        &self,
        call: &str,
        path: &'static str,
        request: Request<Q>,
    ) -> Result<A, CallError>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let channel = self.channel.clone();
        let mut client = Grpc::new(channel).max_decoding_message_size(MAX_MESSAGE);
        let answer = async {
            let ready = client.ready().await;
            ready.map_err(|error| Status::from_error(error.into()))?;
            let path = PathAndQuery::from_static(path);
            client.unary(request, path, ListCodec::new()).await
        };
        self.answer(call, ANSWER_TIME, answer).await
    }

    /// Waits for the answer about one thing; `None` when the server has no such thing.
    pub(super) async fn answer_about<T>(
        &self,
        call: &str,
        answer: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<Option<T>, CallError> {
        match timeout(ANSWER_TIME, answer).await {
            Ok(Ok(answer)) => Ok(Some(answer.into_inner())),
            Ok(Err(status)) if status.code() == Code::NotFound => Ok(None),
            Ok(Err(status)) => Err(self.error(call, ANSWER_TIME, &status)),
            Err(_elapsed) => Err(self.timeout(call, ANSWER_TIME)),
        }
    }

    /// Waits for the next message of a list.
    pub(super) async fn next<T>(
        &self,
        call: &str,
        stream: &mut Streaming<T>,
    ) -> Result<Option<T>, CallError> {
        match timeout(ANSWER_TIME, stream.message()).await {
            Ok(Ok(message)) => Ok(message),
            Ok(Err(status)) => Err(self.error(call, ANSWER_TIME, &status)),
            Err(_elapsed) => Err(self.timeout(call, ANSWER_TIME)),
        }
    }

    pub(super) fn timeout(&self, call: &str, limit: Duration) -> CallError {
        CallError::Timeout {
            address: self.address.to_string(),
            call: call.to_owned(),
            limit,
        }
    }

    /// What went wrong.
    pub(super) fn error(&self, call: &str, limit: Duration, status: &Status) -> CallError {
        let (address, call) = (self.address.to_string(), call.to_owned());
        match status.code() {
            Code::DeadlineExceeded => self.timeout(&call, limit),
            // The deadline that a request tells the server is kept on this side too.
            _ if is_deadline(status) => self.timeout(&call, limit),
            // Ours says that an answer is too long before it is read, a server before it is sent.
            Code::OutOfRange | Code::ResourceExhausted => CallError::TooLarge {
                address,
                call,
                limit: MAX_MESSAGE,
            },
            // What prost says of what it cannot decode; a server's own trouble has the same code.
            Code::Internal if status.message().starts_with("failed to decode") => {
                CallError::Malformed {
                    address,
                    call,
                    reason: told_text(status.message()),
                }
            }
            Code::Unavailable => CallError::Unreachable {
                address,
                source: reason(status),
            },
            // Only what happens to the connection has a cause; what a server says has none.
            _ if status.source().is_some() => CallError::Unreachable {
                address,
                source: reason(status),
            },
            code => CallError::Refused {
                address,
                call,
                answer: told_text(&format!("{}: {}", code.description(), status.message())),
            },
        }
    }
}

/// Why: the innermost cause, since those around it say that something is wrong with the transport.
fn reason(error: &dyn Error) -> Box<dyn Error + Send + Sync> {
    let innermost = causes(error).last().unwrap_or(error);
    told_text(&innermost.to_string()).into()
}

/// Whether it is this side that kept the deadline.
fn is_deadline(status: &Status) -> bool {
    let mut causes = causes(status);
    causes.any(|cause| cause.downcast_ref::<TimeoutExpired>().is_some())
}

/// The causes of an error, from the outermost.
fn causes<'a>(error: &'a dyn Error) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |&error| error.source())
}

/// Whether a runtime that cannot be connected to may still come.
pub(super) fn unavailable(error: &CallError) -> NotConnected {
    let mut reason = error.to_string();
    if let Some(source) = error.source() {
        reason = format!("{reason}: {source}");
    }
    match error {
        // It answers, and has no such call: another program's socket.
        CallError::Refused { answer, .. }
            if answer.starts_with(Code::Unimplemented.description()) =>
        {
            Unavailable::never(reason).into()
        }
        _ => NotConnected {
            why: Unavailable::not_yet(reason),
            error: Some(error.name()),
        },
    }
}

/// Whether a server has no such call.
pub(super) fn is_unimplemented(error: &CallError) -> bool {
    matches!(error, CallError::Refused { answer, .. }
        if answer.starts_with(Code::Unimplemented.description()))
}

/// A request that the server knows the deadline of: what it does in vain, it may stop.
pub(super) fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(ANSWER_TIME);
    request
}

/// A time as Protocol Buffers have it; `None` for what no container can have, like the year 1 that stands
/// for "never" in Go.
pub(super) fn told_time(seconds: i64, nanoseconds: i64) -> Option<SystemTime> {
    let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0)?;
    let nanoseconds = u32::try_from(nanoseconds)
        .ok()
        .filter(|nanoseconds| *nanoseconds < 1_000_000_000)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds))
}

/// Whether a list may have one more.
pub(super) fn has_room(containers: usize) -> bool {
    containers < MAX_CONTAINERS
}
