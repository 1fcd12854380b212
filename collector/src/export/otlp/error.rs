//! Why nothing can be sent to a collector.

use super::tls::TlsError;

/// There can be no sender with such settings.
#[derive(Debug, thiserror::Error)]
pub enum SenderError {
    /// Files of TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The endpoint.
    #[error("cannot send to {endpoint}; name an endpoint like http://localhost:4317")]
    Endpoint {
        /// Which.
        endpoint: String,
        /// Why.
        #[source]
        source: tonic::transport::Error,
    },
}

/// No collector took an empty request.
#[derive(Debug, thiserror::Error)]
#[error("{endpoint} takes no {signal} over {protocol}: {why}")]
pub struct NoAnswer {
    pub(super) endpoint: String,
    pub(super) signal: &'static str,
    pub(super) protocol: &'static str,
    /// What went wrong.
    pub why: String,
}
