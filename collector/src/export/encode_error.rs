//! Why a scrape could not be encoded.

use std::fmt;

/// A snapshot could not be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// As text.
    #[error("cannot write the metrics as text")]
    Text(#[source] fmt::Error),
    /// As protobuf.
    #[error("cannot write the metrics as protobuf")]
    Protobuf(#[source] fmt::Error),
    /// Nobody takes it any more.
    #[error("nobody takes the metrics any more")]
    Unwanted,
}
