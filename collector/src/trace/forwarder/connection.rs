//! One agent's connection, from its first byte to its last.
//!
//! In: bytes of a guest. Out: spans, into the sink, and how it ended. Never here: who may connect.
//!
//! An agent may be silent for as long as it likes: between frames nothing is waited for. A frame that has begun has to
//! end.

use std::{mem, sync::Arc, time::Duration};

use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use super::{
    conversion::{ForwardedSpan, SpanError},
    frame::{FrameDecoder, FrameError},
    guest::{Known, Said, Sandboxes},
    peers::Admitted,
    sink::SpanSink,
};
use crate::reconcile::forwarding::AgentError;

/// The most bytes of a frame. Spans of agents have some kilobytes.
pub const MAX_FRAME: usize = 1 << 20;

/// What a frame may have without asking.
const SMALL_FRAME: usize = 32 << 10;

/// Bytes of larger frames that may be on their way at once, in permits of [`PERMIT`] bytes.
pub(super) const LARGE_FRAMES: usize = 32 << 20;

/// Bytes of a permit.
pub(super) const PERMIT: usize = 1 << 10;

/// From a frame's first byte to its last.
const FRAME_TIME: Duration = Duration::from_secs(30);

/// Bytes of one read.
const READ: usize = 16 << 10;

/// How often a pod that is not known is looked for.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Why a connection was ended by us, or by the guest at the wrong place.
#[derive(Debug, thiserror::Error)]
pub(super) enum GuestFailure {
    #[error("its connection cannot be read")]
    Read(#[from] std::io::Error),
    #[error("its header is wrong")]
    Frame(#[from] FrameError),
    #[error("a frame of it is not understood")]
    Span(#[from] SpanError),
    #[error("the rest of a frame did not come within {} s", FRAME_TIME.as_secs())]
    Timeout,
    #[error("it ended in the middle of a frame")]
    Truncated,
}

impl GuestFailure {
    pub(super) const fn kind(&self) -> AgentError {
        match self {
            Self::Read(_) => AgentError::Connection,
            Self::Frame(_) => AgentError::BadLength,
            Self::Span(SpanError::OverLimit { .. }) => AgentError::OverLimit,
            Self::Span(_) => AgentError::Malformed,
            Self::Timeout => AgentError::Timeout,
            Self::Truncated => AgentError::Truncated,
        }
    }
}

/// What all connections share.
pub(super) struct Shared {
    pub(super) said: Said,
    pub(super) sandboxes: Arc<dyn Sandboxes>,
    pub(super) sink: SpanSink,
    pub(super) large_frames: Arc<Semaphore>,
}

/// A large frame may be read, until this is dropped.
struct Turn {
    _memory: Option<OwnedSemaphorePermit>,
    _of_guest: Option<OwnedSemaphorePermit>,
}

/// One connection.
pub(super) struct Connection<'a> {
    pub(super) shared: &'a Shared,
    pub(super) admitted: &'a Admitted,
    pub(super) known: Known,
    pub(super) looked: Option<Instant>,
}

/// The span whose frame ends next in these bytes, and the bytes of that; `None` where none does yet.
fn next_span(
    decoder: &mut FrameDecoder,
    bytes: &mut &[u8],
) -> Result<Option<(ForwardedSpan, usize)>, GuestFailure> {
    let Some(frame) = decoder.take(bytes)? else {
        return Ok(None);
    };
    Ok(Some((ForwardedSpan::read(&frame)?, frame.len())))
}

impl Connection<'_> {
    /// Reads until the agent ends it, or it has to be ended. What was whole before that has gone to the sink.
    pub(super) async fn read(
        mut self,
        mut from: impl AsyncRead + Unpin,
    ) -> Result<(), GuestFailure> {
        let mut buffer = vec![0; READ];
        let mut decoder = FrameDecoder::new(MAX_FRAME);
        let mut deadline: Option<Instant> = None;
        let mut turn = None;
        loop {
            let read = from.read(&mut buffer);
            let count = match deadline {
                Some(deadline) => timeout_at(deadline, read)
                    .await
                    .map_err(|_elapsed| GuestFailure::Timeout)??,
                None => read.await?,
            };
            if count == 0 {
                return if decoder.is_between_frames() {
                    Ok(())
                } else {
                    Err(GuestFailure::Truncated)
                };
            }
            let had_turn = turn.is_some();
            let had_frames = self.take(&mut decoder, &buffer[..count], &mut turn).await?;
            if decoder.is_between_frames() {
                deadline = None;
            } else if had_frames || deadline.is_none() || !had_turn && turn.is_some() {
                // That it had to wait for others is not its fault.
                deadline = Some(Instant::now() + FRAME_TIME);
            }
        }
    }

    /// Takes the frames that end in these bytes, and says whether there were any. What is read is given on before
    /// anything is waited for.
    async fn take(
        &mut self,
        decoder: &mut FrameDecoder,
        mut bytes: &[u8],
        turn: &mut Option<Turn>,
    ) -> Result<bool, GuestFailure> {
        let mut batch = Vec::new();
        let mut had_frames = false;
        let mut owed = Duration::ZERO;
        while !bytes.is_empty() {
            match next_span(decoder, &mut bytes) {
                Ok(Some((span, length))) => {
                    batch.push(span);
                    had_frames = true;
                    owed = self.admitted.pay(length);
                    if turn.is_some() {
                        // Memory that was asked for is had until the span is gone, too.
                        self.give(mem::take(&mut batch)).await;
                        *turn = None;
                    }
                }
                Ok(None) => {
                    if let Some(length) = decoder.announced()
                        && length > SMALL_FRAME
                        && turn.is_none()
                    {
                        self.give(mem::take(&mut batch)).await;
                        self.wait(mem::take(&mut owed)).await;
                        *turn = Some(self.turn(length).await);
                    }
                }
                Err(failure) => {
                    self.give(batch).await;
                    return Err(failure);
                }
            }
        }
        self.give(batch).await;
        self.wait(owed).await;
        Ok(had_frames)
    }

    /// Waits until a large frame may be read: until the guest has no other, and there is memory for one more.
    async fn turn(&self, length: usize) -> Turn {
        let of_guest = self.admitted.turn().await;
        let permits = u32::try_from(length.div_ceil(PERMIT)).unwrap_or(u32::MAX);
        // It is never closed; without one a frame is read all the same.
        let large = Arc::clone(&self.shared.large_frames);
        Turn {
            _memory: large.acquire_many_owned(permits).await.ok(),
            _of_guest: of_guest,
        }
    }

    async fn wait(&self, time: Duration) {
        if time > Duration::ZERO {
            tokio::time::sleep(time).await;
        }
    }

    /// Gives spans to the sink, those together that one resource has.
    async fn give(&mut self, batch: Vec<ForwardedSpan>) {
        if batch.is_empty() {
            return;
        }
        self.look();
        self.admitted.tally().spans(batch.len());
        let mut batch = batch.into_iter().peekable();
        while let Some(first) = batch.next() {
            let mut spans = vec![first.span];
            while let Some(next) = batch.next_if(|next| next.resource == first.resource) {
                spans.push(next.span);
            }
            let spans = ResourceSpans {
                resource: Some(self.shared.said.resource(first.resource, &self.known)),
                scope_spans: vec![ScopeSpans {
                    spans,
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            };
            self.shared.sink.give(spans, self.admitted.peer()).await;
        }
    }

    /// Looks for the pod until it is known: a runtime may tell of it after its agent began.
    fn look(&mut self) {
        let is_due = self.looked.is_none_or(|at| at.elapsed() >= LOOK_AGAIN);
        if let Some(sandbox) = &self.known.sandbox
            && self.known.found.is_none()
            && is_due
        {
            self.known.found = self.shared.sandboxes.find(sandbox);
            self.looked = Some(Instant::now());
        }
    }
}
