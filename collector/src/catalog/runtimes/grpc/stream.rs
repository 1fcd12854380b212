//! A stream of events over gRPC.
//!
//! In: a call that a server answers with messages for as long as it runs. Out: the messages. Never here: what
//! they mean.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use tokio::time::{Instant, timeout, timeout_at};
use tonic::{Response, Status, Streaming};

use crate::catalog::runtimes::{
    ANSWER_TIME, CallError,
    grpc::{GrpcServer, is_unimplemented},
};

/// A stream that tells nothing for so long is asked whether its server still answers.
const QUIET_TIME: Duration = Duration::from_mins(1);

/// How long a server may take to say that it has no such stream. One that has it says nothing until there
/// is something to tell.
const REFUSAL_TIME: Duration = Duration::from_millis(50);

type Opening<T> = Pin<Box<dyn Future<Output = Result<Response<Streaming<T>>, Status>> + Send>>;

/// Asks whether the server still answers.
pub(in crate::catalog::runtimes) type StillThere =
    Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), CallError>> + Send>> + Send + Sync>;

/// A stream of a server, from the moment that it was asked for.
///
/// A server in Go answers with its headers together with the first message. So the answer is not waited
/// for: events could be far away, and a list must be asked for only after the stream.
pub(in crate::catalog::runtimes) struct Subscription<T> {
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
    pub(in crate::catalog::runtimes) async fn open(
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
    pub(in crate::catalog::runtimes) async fn next(&mut self) -> Result<T, CallError> {
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
