//! An exposition on its way to a client, while the rest of it is still being encoded.
//!
//! In: pieces from the thread that encodes. Out: the body of an answer. An exposition that ends before its
//! end breaks the connection, so that nobody takes a part for the whole.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::body::{Bytes, HttpBody};
use http_body::Frame;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::encode_error::EncodeError;

/// Pieces that are encoded and not yet sent: enough that encoding does not wait for each.
const PIECES: usize = 4;

/// What the thread that encodes says: a piece, the end, or why there is none.
type Message = Result<Option<Bytes>, EncodeError>;

/// The side of the thread that encodes.
#[derive(Debug)]
pub(super) struct PieceSender {
    pieces: mpsc::Sender<Message>,
    /// The scrape goes on when the client goes away, so both sides have its place.
    _place: Arc<OwnedSemaphorePermit>,
}

/// The body of an answer.
#[derive(Debug)]
pub(super) struct PieceStream {
    first: Option<Bytes>,
    rest: mpsc::Receiver<Message>,
    /// Whether the end was told. Who compresses asks once more after it.
    is_over: bool,
    _place: Arc<OwnedSemaphorePermit>,
}

/// An exposition could not be sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    /// It could not be encoded.
    #[error("the metrics could not be encoded")]
    Encode(#[source] EncodeError),
    /// The thread that encodes did not come to an end.
    #[error("the thread that encodes the metrics died")]
    Died,
}

/// Both sides.
pub(super) fn piece_stream(place: OwnedSemaphorePermit) -> (PieceSender, PieceStream) {
    let place = Arc::new(place);
    let (pieces, rest) = mpsc::channel(PIECES);
    let sender = PieceSender {
        pieces,
        _place: Arc::clone(&place),
    };
    let stream = PieceStream {
        first: None,
        rest,
        is_over: false,
        _place: place,
    };
    (sender, stream)
}

impl PieceSender {
    /// Sends a piece, on a thread that may block. Whether anybody takes it.
    pub(super) fn send(&self, piece: Vec<u8>) -> bool {
        self.pieces.blocking_send(Ok(Some(piece.into()))).is_ok()
    }

    /// Says how it ended.
    pub(super) fn end(self, result: Result<(), EncodeError>) {
        // When nobody is there any more, nobody wants to know.
        drop(self.pieces.blocking_send(result.map(|()| None)));
    }
}

impl PieceStream {
    /// Waits until there is something to send: an error before that can still be told as one.
    pub(super) async fn begun(mut self) -> Result<Self, StreamError> {
        self.first = match self.rest.recv().await {
            Some(Ok(Some(first))) => Some(first),
            Some(Ok(None)) => {
                self.is_over = true;
                None
            }
            Some(Err(error)) => return Err(StreamError::Encode(error)),
            None => return Err(StreamError::Died),
        };
        Ok(self)
    }
}

impl HttpBody for PieceStream {
    type Data = Bytes;
    type Error = StreamError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if self.is_over {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.rest.poll_recv(context)) {
            Some(Ok(Some(piece))) => Some(Ok(Frame::data(piece))),
            Some(Ok(None)) => {
                self.is_over = true;
                None
            }
            Some(Err(error)) => Some(Err(StreamError::Encode(error))),
            None => Some(Err(StreamError::Died)),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt, thread};

    use axum::body::{Body, to_bytes};
    use tokio::sync::Semaphore;

    use super::*;

    fn both() -> (PieceSender, PieceStream, Arc<Semaphore>) {
        let places = Arc::new(Semaphore::new(1));
        let place = Arc::clone(&places).try_acquire_owned().unwrap();
        let (sender, stream) = piece_stream(place);
        (sender, stream, places)
    }

    async fn body(stream: PieceStream) -> Result<Bytes, axum::Error> {
        to_bytes(Body::new(stream.begun().await.unwrap()), usize::MAX).await
    }

    #[tokio::test]
    async fn the_body_is_all_pieces_and_its_place_is_free_after_it() {
        let (sender, stream, places) = both();
        let thread = thread::spawn(move || {
            for number in 0..100_u8 {
                assert!(sender.send(vec![number; 10]));
            }
            sender.end(Ok(()));
        });
        assert_eq!(places.available_permits(), 0);
        let expected: Vec<u8> = (0..100).flat_map(|number| [number; 10]).collect();
        assert_eq!(body(stream).await.unwrap(), expected);
        thread.join().unwrap();
        assert_eq!(places.available_permits(), 1);
    }

    #[tokio::test]
    async fn what_breaks_off_is_an_error_and_no_shorter_body() {
        for end in [Some(Err(EncodeError::Text(fmt::Error))), None] {
            let (sender, stream, _places) = both();
            let thread = thread::spawn(move || {
                assert!(sender.send(vec![7; 10]));
                if let Some(end) = end {
                    sender.end(end);
                }
            });
            assert!(body(stream).await.is_err());
            thread.join().unwrap();
        }
    }

    #[tokio::test]
    async fn what_fails_before_the_first_piece_is_told_at_once() {
        let (sender, stream, _places) = both();
        drop(sender);
        assert!(matches!(stream.begun().await, Err(StreamError::Died)));
    }

    #[tokio::test]
    async fn encoding_ends_when_the_client_has_gone() {
        let (sender, stream, places) = both();
        drop(stream);
        let thread = thread::spawn(move || assert!(!sender.send(vec![7; 10])));
        thread.join().unwrap();
        assert_eq!(places.available_permits(), 1);
    }
}
