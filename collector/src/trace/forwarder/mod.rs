//! The spans of Kata's agents, which reach their host over VSOCK only, passed on to the collector.
//!
//! In: connections of guests, each of them hostile for all we know. Out: spans of OTLP with the same ids, times and
//! attributes, whose resource says whose they are as far as the host knows. Never here: a guest that costs another one
//! something, or memory that a guest decides about.
//!
//! A guest whose bytes make no sense is disconnected, and counted: after a frame that is not understood, what follows is
//! not either.

mod attempt;
mod connection;
mod conversion;
mod discovery;
mod dump;
mod frame;
mod guest;
mod kata_span;
mod listen;
mod monitor;
mod peers;
mod printer;
mod room;
mod server;
mod sink;
mod tally;

#[cfg(test)]
mod tests;

pub use self::{
    attempt::{Place, listen_on},
    connection::MAX_FRAME,
    conversion::{ForwardedSpan, MAX_TEXT, MAX_VALUES, SpanError},
    discovery::Discovery,
    frame::{FrameDecoder, FrameError, HEADER_BYTES},
    guest::{KnownSandbox, NoSandboxes, Sandboxes},
    listen::{ListenError, Listener, hybrid_path},
    peers::Peer,
    printer::{Printer, Printing},
    server::{Accepting, Forwarder, ForwarderSettings},
    sink::{FairOutbox, SpanSink},
    tally::Tally,
};
