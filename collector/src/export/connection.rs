//! Connections that cannot stay for ever: how many there are, and how long one may take.
//!
//! In: a listening socket. Out: streams for the HTTP server. The server itself would wait without end
//! for a client that sends half a request or reads half an answer.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::serve::Listener;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep},
};
use tracing::{debug, warn};

/// How long to wait when a connection cannot be accepted: the reason (too many open files) seldom
/// goes at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// What a client may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Open connections; more wait in the kernel's backlog.
    pub(super) connections: usize,
    /// From a request's first byte, or from the connection, to the first byte of the answer.
    pub(super) request: Duration,
    /// From the first byte of an answer to its end, and on to the next request.
    pub(super) response: Duration,
}

/// A listener that keeps to [`Limits`].
#[derive(Debug)]
pub(super) struct BoundedListener {
    listener: TcpListener,
    slots: Arc<Semaphore>,
    limits: Limits,
}

impl BoundedListener {
    pub(super) fn new(listener: TcpListener, limits: Limits) -> Self {
        Self {
            listener,
            slots: Arc::new(Semaphore::new(limits.connections)),
            limits,
        }
    }

    async fn try_accept(&self) -> io::Result<(Connection, SocketAddr)> {
        let slot = Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .map_err(io::Error::other)?;
        let (stream, peer) = self.listener.accept().await?;
        // Without it, the end of a long answer can wait for the client's delayed acknowledgment.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%peer, %error, "cannot set TCP_NODELAY");
        }
        Ok((Connection::new(stream, self.limits, slot), peer))
    }
}

impl Listener for BoundedListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            match self.try_accept().await {
                Ok(accepted) => return accepted,
                // The client went before we came: no trouble of ours.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
                    ) => {}
                Err(error) => {
                    warn!(%error, "cannot accept a connection for /metrics");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Which of the limits a connection is under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Request,
    Response,
}

/// A stream that fails when its client has had its time. Bytes that trickle do not prolong it: only a
/// whole turn, from request to answer, does.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    limits: Limits,
    phase: Phase,
    deadline: Pin<Box<Sleep>>,
    _slot: OwnedSemaphorePermit,
}

impl Connection {
    fn new(stream: TcpStream, limits: Limits, slot: OwnedSemaphorePermit) -> Self {
        let deadline = Box::pin(tokio::time::sleep(limits.request));
        Self {
            stream,
            limits,
            phase: Phase::Request,
            deadline,
            _slot: slot,
        }
    }

    fn enter(&mut self, phase: Phase) {
        if self.phase != phase {
            self.phase = phase;
            let limit = match phase {
                Phase::Request => self.limits.request,
                Phase::Response => self.limits.response,
            };
            self.deadline.as_mut().reset(Instant::now() + limit);
        }
    }

    /// Fails when the time is over; else sees to it that the task wakes up when it is.
    fn check_deadline(&mut self, ctx: &mut Context<'_>) -> io::Result<()> {
        match self.deadline.as_mut().poll(ctx) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check_deadline(ctx)?;
        let filled = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(ctx, buffer))?;
        if buffer.filled().len() > filled {
            this.enter(Phase::Request);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check_deadline(ctx)?;
        let written = ready!(Pin::new(&mut this.stream).poll_write(ctx, bytes))?;
        this.enter(Phase::Response);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check_deadline(ctx)?;
        let written = ready!(Pin::new(&mut this.stream).poll_write_vectored(ctx, slices))?;
        this.enter(Phase::Response);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(ctx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(ctx)
    }
}
