//! An exposition in pieces: with a thousand busy containers it has 100 MB, and nobody needs it whole.
//!
//! In: text or bytes, little by little. Out: pieces of one size, for whoever sends them. Never here: more
//! than one piece at a time. Memory that is used again costs neither the system's time to hand it out nor
//! the daemon's resident memory.

use std::{fmt, mem};

/// Below the size from which on the allocator asks the system for memory each time.
const PIECE_BYTES: usize = 96 << 10;

/// Room for what is written in one go, at most a label's value, or one message of protobuf.
const SLACK_BYTES: usize = 4 << 10;

/// Cuts what is written into pieces, and gives each to `take`.
pub(super) struct Pieces<T> {
    piece: Vec<u8>,
    take: T,
}

/// Nobody takes the pieces any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unwanted;

impl<T: FnMut(Vec<u8>) -> bool> Pieces<T> {
    /// `take` says whether it wants more.
    pub(super) fn new(take: T) -> Self {
        Self {
            piece: Vec::with_capacity(PIECE_BYTES + SLACK_BYTES),
            take,
        }
    }

    /// Adds some bytes.
    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Unwanted> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() < PIECE_BYTES {
            return Ok(());
        }
        self.cut(PIECE_BYTES + SLACK_BYTES)
    }

    /// Gives the rest.
    pub(super) fn finish(mut self) -> Result<(), Unwanted> {
        if self.piece.is_empty() {
            return Ok(());
        }
        self.cut(0)
    }

    #[cold]
    fn cut(&mut self, next: usize) -> Result<(), Unwanted> {
        let piece = mem::replace(&mut self.piece, Vec::with_capacity(next));
        if (self.take)(piece) {
            Ok(())
        } else {
            Err(Unwanted)
        }
    }
}

impl<T: FnMut(Vec<u8>) -> bool> fmt::Write for Pieces<T> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // The encoder stops at an error, and all that it can tell is that there was one.
        self.push(text.as_bytes()).map_err(|Unwanted| fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn the_pieces_are_what_was_written_and_none_is_long() {
        let mut taken: Vec<Vec<u8>> = Vec::new();
        let mut pieces = Pieces::new(|piece| {
            taken.push(piece);
            true
        });
        let mut written = String::new();
        for number in 0..100_000 {
            let line = format!("line {number}\n");
            pieces.write_str(&line).unwrap();
            written.push_str(&line);
        }
        pieces.finish().unwrap();
        assert!(taken.len() > 5, "{}", taken.len());
        let longest = taken.iter().map(Vec::capacity).max();
        assert!(longest <= Some(PIECE_BYTES + SLACK_BYTES), "{longest:?}");
        assert_eq!(taken.concat(), written.as_bytes());
    }

    #[test]
    fn when_nobody_takes_them_writing_ends() {
        let mut pieces = Pieces::new(|_| false);
        let mut lines = 0;
        while pieces.write_str("a line\n").is_ok() {
            lines += 1;
            assert!(lines < PIECE_BYTES, "it goes on");
        }
        assert_eq!(pieces.push(&vec![0; PIECE_BYTES]), Err(Unwanted));
    }

    #[test]
    fn nothing_has_no_piece() {
        let pieces = Pieces::new(|_| panic!("a piece of nothing"));
        assert_eq!(pieces.finish(), Ok(()));
    }
}
