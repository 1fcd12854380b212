//! What came of sending a request once, and what the specification of OTLP says to do then.

use std::time::Duration;

use prost::Message as _;
use tonic::{Code, Status};

use super::request::Taken;

/// What the collector said, or that it did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// It took it.
    Taken(Taken),
    /// It can take it another time.
    Again {
        /// Not before that.
        after: Option<Duration>,
        /// What went wrong.
        why: String,
    },
    /// It will not take it.
    Refused {
        /// What went wrong.
        why: String,
    },
}

/// Text of others that goes into a log: bounded, and on one line.
pub(super) fn quoted(text: &str) -> String {
    const MOST: usize = 200;
    let mut quoted: String = text
        .chars()
        .take(MOST)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(MOST).is_some() {
        quoted.push('…');
    }
    quoted
}

/// Details of an error, as gRPC and OTLP over HTTP have them: `google.rpc.Status`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct ErrorDetails {
    #[prost(string, tag = "2")]
    pub(super) message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Detail>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Detail {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct RetryInfo {
    #[prost(message, tag = "1")]
    delay: Option<RetryDelay>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct RetryDelay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

impl ErrorDetails {
    /// How long the collector wants to be left alone, if it says so.
    fn retry_delay(&self) -> Option<Duration> {
        let info = self
            .details
            .iter()
            .find(|detail| detail.kind.ends_with("/google.rpc.RetryInfo"))?;
        let delay = RetryInfo::decode(info.value.as_slice()).ok()?.delay;
        let RetryDelay { seconds, nanos } = delay.unwrap_or_default();
        let whole = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        Some(whole.saturating_add(Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))))
    }
}

impl Attempt {
    /// Of an answer over gRPC that is an error.
    pub(super) fn of_status(status: &Status) -> Self {
        // An error of the connection, and not of the collector.
        if let Some(cause) = std::error::Error::source(status) {
            return Self::Again {
                after: None,
                why: quoted(&innermost(cause)),
            };
        }
        let why = format!("{:?}: {}", status.code(), quoted(status.message()));
        let details = ErrorDetails::decode(status.details()).unwrap_or_default();
        let after = details.retry_delay();
        let is_retryable = match status.code() {
            Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss => true,
            Code::ResourceExhausted => after.is_some(),
            _ => false,
        };
        if is_retryable {
            Self::Again { after, why }
        } else {
            Self::Refused { why }
        }
    }

    /// Of an answer over HTTP that is an error; `after` is what its header `Retry-After` says.
    pub(super) fn of_http(status: u16, after: Option<Duration>, body: &[u8]) -> Self {
        let said = ErrorDetails::decode(body).unwrap_or_default().message;
        let why = if said.is_empty() {
            format!("HTTP status {status}")
        } else {
            format!("HTTP status {status}: {}", quoted(&said))
        };
        match status {
            429 | 502 | 503 | 504 => Self::Again { after, why },
            300..=399 => Self::Refused {
                why: format!(
                    "HTTP status {status}, which is a redirection, and those are not followed: \
                     configure where it leads"
                ),
            },
            _ => Self::Refused { why },
        }
    }
}

/// The last cause of an error, which says most about a connection.
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
