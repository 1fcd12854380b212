//! Where a signal is sent and how, decided.

use std::{path::PathBuf, time::Duration};

use hyper::{
    Uri,
    header::{HeaderName, HeaderValue},
};

use super::{Bounds, WhenFull};
use crate::reconcile::delivery::OtlpSignal;

/// The way of one signal to its collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpSettings {
    /// How it is spoken to.
    pub protocol: OtlpProtocol,
    /// Where it is: with a scheme, and over HTTP with the signal's path. `https` is TLS.
    pub endpoint: Uri,
    /// Sent with every request. Their values are marked as secrets, and so are never shown.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether requests are compressed, by gzip.
    pub is_compressed: bool,
    /// How long one request may take, its answer included.
    pub timeout: Duration,
    /// How long the same is tried again before it is given up.
    pub retry_for: Duration,
    /// What TLS is told.
    pub tls: TlsFiles,
    /// The most that one request has.
    pub batch: BatchBounds,
    /// The most that waits.
    pub queue: Bounds,
}

/// OTLP's encodings of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// gRPC.
    Grpc,
    /// Protocol buffers in HTTP/1.1.
    HttpProtobuf,
}

/// Files in PEM, read when the sender is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Whom to trust; else whom the system trusts.
    pub certificate: Option<PathBuf>,
    /// Who we are, and its key: both or none.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// The most that one request has, and how long it is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchBounds {
    /// Spans or data points.
    pub items: u64,
    /// Bytes, before they are compressed.
    pub bytes: u64,
    /// How long the first waits for others to go with it.
    pub delay: Duration,
}

/// From when on sums and histograms count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemporalityPreference {
    /// From when the thing that is counted began.
    Cumulative,
    /// From the export before.
    Delta,
}

impl OtlpSettings {
    /// The endpoint as it can be shown: what is behind a `?` can be a secret.
    #[must_use]
    pub fn shown_endpoint(&self) -> String {
        let endpoint = self.endpoint.to_string();
        match endpoint.split_once('?') {
            Some((shown, _)) => format!("{shown}?…"),
            None => endpoint,
        }
    }
}

impl OtlpProtocol {
    /// As it is written in configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::HttpProtobuf => "http/protobuf",
        }
    }

    /// Of a name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let all = [Self::Grpc, Self::HttpProtobuf];
        all.into_iter().find(|of| of.name() == name)
    }
}

impl TemporalityPreference {
    /// As it is written in configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cumulative => "cumulative",
            Self::Delta => "delta",
        }
    }

    /// Of a name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        match name {
            // What takes less memory: an export before need not be remembered.
            "cumulative" | "lowmemory" => Some(Self::Cumulative),
            "delta" => Some(Self::Delta),
            _ => None,
        }
    }
}

impl BatchBounds {
    /// What collectors take: 4 MiB is the most that most of them accept over gRPC.
    #[must_use]
    pub const fn of(signal: OtlpSignal) -> Self {
        match signal {
            // A pass comes at once: there is nothing to wait for.
            OtlpSignal::Metrics => Self {
                items: 8_192,
                bytes: 2 << 20,
                delay: Duration::ZERO,
            },
            OtlpSignal::Traces => Self {
                items: 512,
                bytes: 2 << 20,
                delay: Duration::from_secs(1),
            },
        }
    }
}

impl Bounds {
    /// What a host of some hundred containers has in some passes, or in an outage of some minutes.
    #[must_use]
    pub const fn of(signal: OtlpSignal) -> Self {
        match signal {
            OtlpSignal::Metrics => Self {
                items: 500_000,
                bytes: 32 << 20,
                when_full: WhenFull::DropOldest,
            },
            OtlpSignal::Traces => Self {
                items: 8_192,
                bytes: 16 << 20,
                when_full: WhenFull::DropNew,
            },
        }
    }
}
