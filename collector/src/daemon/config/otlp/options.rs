//! What can be said of the way to a collector: for all signals, and for each.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::Deserialize;

use crate::daemon::config::value::duration;

/// Keys that are below `[export.otlp]` for all signals, and below `[export.otlp.metrics]` and
/// `[export.otlp.traces]` for one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OtlpOptions {
    /// Where the collector is. For all signals it is a base; for one it is used as it is.
    pub endpoint: Option<String>,
    /// `grpc` or `http/protobuf`.
    pub protocol: Option<String>,
    /// Sent with each request.
    pub headers: Option<BTreeMap<String, Secret>>,
    /// `gzip` or `none`.
    pub compression: Option<String>,
    /// For each request.
    #[serde(deserialize_with = "duration")]
    pub timeout: Option<Duration>,
    /// Whom to trust.
    pub certificate: Option<PathBuf>,
    /// Who we are.
    pub client_certificate: Option<PathBuf>,
    /// Its key.
    pub client_key: Option<PathBuf>,
    /// Of a gRPC endpoint that has no scheme: whether it is spoken to without TLS.
    pub insecure: Option<bool>,
    /// Items that may wait.
    pub queue_items: Option<u64>,
    /// Bytes that may wait.
    pub queue_bytes: Option<u64>,
    /// Items in one request.
    pub batch_items: Option<u64>,
    /// Bytes in one request, before they are compressed.
    pub batch_bytes: Option<u64>,
    /// How long the first item waits for others.
    #[serde(deserialize_with = "duration")]
    pub batch_delay: Option<Duration>,
    /// How long a request is tried again.
    #[serde(deserialize_with = "duration")]
    pub retry_for: Option<Duration>,
}

/// Text that is not shown.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}
