//! What a guest sends to the trace forwarder: frames are the same however they come, none is longer than is allowed, and
//! what is taken for a span is one within its bounds.
//!
//! The first byte says whether a whole connection follows or one frame's payload.
#![no_main]

use collector::trace::forwarder::{ForwardedSpan, FrameDecoder, FrameError, MAX_TEXT, MAX_VALUES};
use libfuzzer_sys::fuzz_target;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};

/// Small, so that inputs come over it.
const MOST: usize = 2048;

fuzz_target!(|input: &[u8]| {
    match input.split_first() {
        Some((b'p', payload)) => span(payload),
        Some((_, stream)) => frames(stream),
        None => {}
    }
});

fn frames(stream: &[u8]) {
    let read = |pieces: usize| {
        let mut decoder = FrameDecoder::new(MOST);
        let mut frames = Vec::new();
        for mut bytes in stream.chunks(pieces) {
            while !bytes.is_empty() {
                let before = bytes.len();
                match decoder.take(&mut bytes) {
                    Ok(frame) => frames.extend(frame),
                    Err(error) => return (frames, Err(error)),
                }
                assert!(bytes.len() < before, "nothing was taken");
            }
        }
        (frames, Ok(decoder.is_between_frames()))
    };
    let (frames, end) = read(stream.len().max(1));
    assert_eq!((&frames, end), (&read(1).0, read(1).1));
    assert_eq!((&frames, end), (&read(7).0, read(7).1));
    for frame in &frames {
        assert!(!frame.is_empty() && frame.len() <= MOST);
        span(frame);
    }
    if let Err(FrameError::TooLong { claimed, most }) = end {
        assert!(claimed > most as u64);
    }
    // The stream is its frames, each behind its length.
    let whole: Vec<u8> = frames
        .iter()
        .flat_map(|frame| {
            let header = (frame.len() as u64).to_be_bytes();
            header.into_iter().chain(frame.iter().copied())
        })
        .collect();
    assert!(stream.starts_with(&whole));
    assert_eq!(end == Ok(true), stream.len() == whole.len());
}

fn span(payload: &[u8]) {
    let Ok(ForwardedSpan { resource, span }) = ForwardedSpan::read(payload) else {
        return;
    };
    assert!(span.trace_id.len() == 16 && span.trace_id.iter().any(|byte| *byte != 0));
    assert!(span.span_id.len() == 8 && span.span_id.iter().any(|byte| *byte != 0));
    assert!([0, 8].contains(&span.parent_span_id.len()));
    assert!(span.name.len() <= MAX_TEXT);
    let of_events = span.events.iter().flat_map(|of| &of.attributes);
    let of_links = span.links.iter().flat_map(|of| &of.attributes);
    let attributes = span.attributes.iter().chain(&resource);
    let all = attributes.chain(of_events).chain(of_links);
    assert!(all.map(values).sum::<usize>() <= MAX_VALUES);
}

fn values(of: &KeyValue) -> usize {
    match of.value.as_ref().and_then(|of| of.value.as_ref()) {
        Some(Value::ArrayValue(array)) => 1 + array.values.len(),
        Some(_) => 1,
        None => panic!("{} has no value", of.key),
    }
}
