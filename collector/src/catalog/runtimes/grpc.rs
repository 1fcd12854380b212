//! gRPC over a UNIX socket, bounded.
//!
//! In: a socket's path and calls. Out: their answers, or one [`CallError`]. Never here: what an answer means.
//!
//! No pings are sent: a server in Go takes more than one in five minutes for an attack, and hangs up. That
//! a server hangs is noticed by a call that is not answered, which [`Subscription`] makes while nothing
//! happens.

use std::{
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use hyper_util::rt::TokioIo;
use tokio::{
    net::UnixStream,
    time::{Instant, timeout, timeout_at},
};
use tonic::{Code, Request, Response, Status, Streaming, TimeoutExpired, transport::Channel};

use super::{ANSWER_TIME, CONNECT_TIME, CallError, Endpoint, MAX_ANSWER, MAX_CONTAINERS};
use crate::catalog::{provider::Unavailable, runtime_container::told_text};

/// The most bytes of one message. It is there twice for a moment: as it came, and decoded.
pub(super) const MAX_MESSAGE: usize = MAX_ANSWER / 2;

/// A stream of events that tells nothing for so long is asked whether its server still answers.
const QUIET_TIME: Duration = Duration::from_mins(1);

/// How long a server may take to say that it has no such stream. One that has it says nothing until there
/// is something to tell.
const REFUSAL_TIME: Duration = Duration::from_millis(50);

/// A server at a UNIX socket.
#[derive(Clone, Debug)]
pub(super) struct GrpcServer {
    /// To be cloned for a client.
    pub(super) channel: Channel,
    address: Arc<str>,
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
pub(super) fn unavailable(error: &CallError) -> Unavailable {
    let mut reason = error.to_string();
    if let Some(source) = error.source() {
        reason = format!("{reason}: {source}");
    }
    match error {
        // It answers, and has no such call: another program's socket.
        CallError::Refused { answer, .. }
            if answer.starts_with(Code::Unimplemented.description()) =>
        {
            Unavailable::never(reason)
        }
        _ => Unavailable::not_yet(reason),
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

type Opening<T> = Pin<Box<dyn Future<Output = Result<Response<Streaming<T>>, Status>> + Send>>;

/// Asks whether the server still answers.
pub(super) type StillThere =
    Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), CallError>> + Send>> + Send + Sync>;

/// A stream of a server, from the moment that it was asked for.
///
/// A server in Go answers with its headers together with the first message. So the answer is not waited
/// for: events could be far away, and a list must be asked for only after the stream.
pub(super) struct Subscription<T> {
    server: GrpcServer,
    call: &'static str,
    /// What came while it was opened.
    first: Option<T>,
    state: State<T>,
    still_there: StillThere,
    quiet_until: Instant,
}

enum State<T> {
    Opening(Opening<T>),
    Open(Box<Streaming<T>>),
}

impl<T> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("server", &self.server)
            .field("call", &self.call)
            .finish_non_exhaustive()
    }
}

impl<T> Subscription<T> {
    /// Asks for it; `None` when the server has none: it says so, or ends it at once.
    pub(super) async fn open(
        server: GrpcServer,
        call: &'static str,
        opening: Opening<T>,
        still_there: StillThere,
    ) -> Result<Option<Self>, CallError> {
        let mut state = State::Opening(opening);
        let begun = async {
            // The call and its answer behind the request make it likely that the server has taken it.
            tokio::select! {
                biased;
                told = state.next() => return Some(told),
                // What is wrong shows with the stream too.
                _alive = still_there() => {}
            }
            timeout(REFUSAL_TIME, state.next()).await.ok()
        };
        let first = match begun.await {
            None => None,
            Some(Ok(Some(message))) => Some(message),
            Some(Ok(None)) => return Ok(None),
            Some(Err(status)) => {
                let error = server.error(call, ANSWER_TIME, &status);
                return if is_unimplemented(&error) {
                    Ok(None)
                } else {
                    Err(error)
                };
            }
        };
        Ok(Some(Self {
            server,
            call,
            first,
            state,
            still_there,
            quiet_until: Instant::now() + QUIET_TIME,
        }))
    }

    /// The next message. May be dropped while it waits, without a loss.
    pub(super) async fn next(&mut self) -> Result<T, CallError> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        loop {
            let Ok(told) = timeout_at(self.quiet_until, self.state.next()).await else {
                (self.still_there)().await?;
                self.quiet_until = Instant::now() + QUIET_TIME;
                continue;
            };
            self.quiet_until = Instant::now() + QUIET_TIME;
            return match told {
                Ok(Some(message)) => Ok(message),
                Ok(None) => Err(CallError::Ended {
                    address: self.server.address.to_string(),
                }),
                Err(status) => Err(self.server.error(self.call, ANSWER_TIME, &status)),
            };
        }
    }
}

impl<T> State<T> {
    async fn next(&mut self) -> Result<Option<T>, Status> {
        loop {
            match self {
                Self::Open(stream) => return stream.message().await,
                Self::Opening(opening) => {
                    let stream = opening.as_mut().await?.into_inner();
                    *self = Self::Open(Box::new(stream));
                }
            }
        }
    }
}
