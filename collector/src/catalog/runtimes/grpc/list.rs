//! Lists over gRPC, with a bound on their elements.
//!
//! In: a message as it came. Out: the message, decoded. Never here: one that would be much larger decoded: an
//! empty element of a list has two bytes, and some hundred in memory.

use std::marker::PhantomData;

use prost::{
    Message,
    bytes::{Buf as _, Bytes},
    encoding::{DecodeContext, decode_key, skip_field},
};
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use crate::catalog::runtimes::MAX_CONTAINERS;

/// Encodes questions and decodes lists.
pub(in crate::catalog::runtimes) struct ListCodec<Q, A>(PhantomData<(Q, A)>);

impl<Q, A> ListCodec<Q, A> {
    pub(in crate::catalog::runtimes) const fn new() -> Self {
        Self(PhantomData)
    }
}

/// Encodes questions.
pub(in crate::catalog::runtimes) struct Question<Q>(PhantomData<Q>);

/// Decodes lists.
pub(in crate::catalog::runtimes) struct List<A>(PhantomData<A>);

impl<Q: Message + 'static, A: Message + Default + 'static> Codec for ListCodec<Q, A> {
    type Encode = Q;
    type Decode = A;
    type Encoder = Question<Q>;
    type Decoder = List<A>;

    fn encoder(&mut self) -> Self::Encoder {
        Question(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        List(PhantomData)
    }
}

impl<Q: Message> Encoder for Question<Q> {
    type Item = Q;
    type Error = Status;

    fn encode(&mut self, question: Q, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        question
            .encode(buffer)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

impl<A: Message + Default> Decoder for List<A> {
    type Item = A;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<A>, Status> {
        let message = buffer.copy_to_bytes(buffer.remaining());
        if !has_few_elements(message.clone()) {
            return Err(Status::out_of_range("too many elements"));
        }
        let list = A::decode(message).map_err(|error| Status::internal(error.to_string()))?;
        Ok(Some(list))
    }
}

/// Whether a message has no more fields than a list may have elements. What is not well-formed is told by
/// who decodes it.
fn has_few_elements(mut message: Bytes) -> bool {
    for _ in 0..MAX_CONTAINERS {
        if !message.has_remaining() {
            return true;
        }
        let skipped = decode_key(&mut message).and_then(|(tag, wire_type)| {
            skip_field(wire_type, tag, &mut message, DecodeContext::default())
        });
        if skipped.is_err() {
            return true;
        }
    }
    !message.has_remaining()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_counted_before_they_are_decoded() {
        let empty = |elements: usize| Bytes::from([0x0a, 0].repeat(elements));
        assert!(has_few_elements(empty(0)));
        assert!(has_few_elements(empty(MAX_CONTAINERS)));
        assert!(!has_few_elements(empty(MAX_CONTAINERS + 1)));
        // Whatever is behind what is broken is never decoded.
        assert!(has_few_elements(Bytes::from_static(&[0x0a, 0xff])));
    }
}
