//! Frames on a connection: 8 bytes that say how long, big-endian, and so many bytes.
//!
//! In: bytes as they come, in any pieces. Out: whole frames. Never here: a read, a clock, or more memory than has come.

/// Bytes of a header.
pub const HEADER_BYTES: usize = 8;

/// By how much what is kept grows at once: never by what a guest claims.
const STEP_BYTES: usize = 64 << 10;

/// Puts frames together.
#[derive(Debug)]
pub struct FrameDecoder {
    most: usize,
    header: [u8; HEADER_BYTES],
    header_filled: usize,
    /// Length of the frame whose header is complete.
    expected: Option<usize>,
    body: Vec<u8>,
}

/// A header that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A frame with more than it may have.
    #[error("a frame of {claimed} bytes is announced, and at most {most} are taken")]
    TooLong {
        /// By the header.
        claimed: u64,
        /// What is taken.
        most: usize,
    },
    /// A frame with nothing in it.
    #[error("a frame of no bytes is announced")]
    Empty,
}

impl FrameDecoder {
    /// For frames of at most so many bytes.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self {
            most,
            header: [0; HEADER_BYTES],
            header_filled: 0,
            expected: None,
            body: Vec::new(),
        }
    }

    /// Takes bytes from the front of `bytes`, up to the end of a header or of a frame, and the frame if it is whole.
    /// To be called until nothing is left of `bytes`. After an error the connection has no meaning.
    pub fn take(&mut self, bytes: &mut &[u8]) -> Result<Option<Vec<u8>>, FrameError> {
        let Some(expected) = self.expected else {
            let count = bytes.len().min(HEADER_BYTES - self.header_filled);
            let (now, later) = bytes.split_at(count);
            self.header[self.header_filled..][..count].copy_from_slice(now);
            self.header_filled += count;
            *bytes = later;
            if self.header_filled == HEADER_BYTES {
                self.expected = Some(self.length()?);
            }
            return Ok(None);
        };
        let count = bytes.len().min(expected - self.body.len());
        let (now, later) = bytes.split_at(count);
        for piece in now.chunks(STEP_BYTES) {
            if self.body.capacity() - self.body.len() < piece.len() {
                let left = expected - self.body.len();
                self.body.reserve_exact(left.min(STEP_BYTES));
            }
            self.body.extend_from_slice(piece);
        }
        *bytes = later;
        if self.body.len() < expected {
            return Ok(None);
        }
        self.expected = None;
        self.header_filled = 0;
        Ok(Some(std::mem::take(&mut self.body)))
    }

    /// Whether the connection may end here.
    #[must_use]
    pub const fn is_between_frames(&self) -> bool {
        self.header_filled == 0
    }

    /// Length of the frame that is being read, once its header is.
    #[must_use]
    pub const fn announced(&self) -> Option<usize> {
        self.expected
    }

    fn length(&self) -> Result<usize, FrameError> {
        let claimed = u64::from_be_bytes(self.header);
        match usize::try_from(claimed) {
            Ok(0) => Err(FrameError::Empty),
            Ok(length) if length <= self.most => Ok(length),
            _ => Err(FrameError::TooLong {
                claimed,
                most: self.most,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(payloads: &[&[u8]]) -> Vec<u8> {
        let framed = payloads.iter().flat_map(|payload| {
            let header = (payload.len() as u64).to_be_bytes();
            header.into_iter().chain(payload.iter().copied())
        });
        framed.collect()
    }

    fn decode(decoder: &mut FrameDecoder, mut bytes: &[u8]) -> Result<Vec<Vec<u8>>, FrameError> {
        let mut frames = Vec::new();
        while !bytes.is_empty() {
            frames.extend(decoder.take(&mut bytes)?);
        }
        Ok(frames)
    }

    #[test]
    fn frames_are_the_same_however_they_come() {
        let long = vec![b'x'; 3 * STEP_BYTES + 7];
        let payloads: [&[u8]; 4] = [b"one", b"2", &long, b"\0\0\0\0\0\0\0\x05four"];
        let stream = framed(&payloads);
        for size in [1, 2, 7, 8, 9, 4096, STEP_BYTES + 1, stream.len()] {
            let mut decoder = FrameDecoder::new(1 << 20);
            let mut frames = Vec::new();
            for piece in stream.chunks(size) {
                frames.extend(decode(&mut decoder, piece).unwrap());
            }
            assert_eq!(frames, payloads, "in pieces of {size}");
            assert!(decoder.is_between_frames());
        }
        // Cut once at every place: nothing is told twice, nothing is forgotten.
        let stream = framed(&payloads[..2]);
        for cut in 0..stream.len() {
            let mut decoder = FrameDecoder::new(16);
            let (front, rest) = stream.split_at(cut);
            let mut frames = decode(&mut decoder, front).unwrap();
            let is_boundary = [0, 11].contains(&cut);
            assert_eq!(decoder.is_between_frames(), is_boundary, "at {cut}");
            frames.extend(decode(&mut decoder, rest).unwrap());
            assert_eq!(frames, payloads[..2]);
        }
    }

    #[test]
    fn what_a_header_claims_is_not_believed() {
        for claimed in [17, 1 << 31, 1 << 63, u64::MAX] {
            let mut decoder = FrameDecoder::new(16);
            let refused = decode(&mut decoder, &claimed.to_be_bytes()).unwrap_err();
            assert_eq!(refused, FrameError::TooLong { claimed, most: 16 });
        }
        let mut decoder = FrameDecoder::new(16);
        assert_eq!(
            decode(&mut decoder, &[0; 8]).unwrap_err(),
            FrameError::Empty
        );
        // Memory follows what has come.
        let mut decoder = FrameDecoder::new(1 << 30);
        let mut bytes = (1_u64 << 30).to_be_bytes().to_vec();
        bytes.extend([1; 100]);
        assert!(decode(&mut decoder, &bytes).unwrap().is_empty());
        assert_eq!(decoder.announced(), Some(1 << 30));
        assert!(decoder.body.capacity() <= STEP_BYTES);
    }
}
