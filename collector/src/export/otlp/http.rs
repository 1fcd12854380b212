//! Requests in protocol buffers over HTTP/1.1.

use std::{
    io::Write as _,
    time::{Duration, SystemTime},
};

use flate2::{Compression, write::GzEncoder};
use http_body_util::{BodyExt as _, Collected, Full, Limited};
use hyper::{
    HeaderMap, Method, Request, Response,
    body::{Bytes, Incoming},
    header::{self, HeaderValue},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use prost::Message as _;

use super::{
    attempt::{Attempt, innermost, quoted},
    error::SenderError,
    request::{MAX_ANSWER, Sendable, Taken},
    settings::OtlpSettings,
    tls,
};

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

/// The most bytes of headers that an answer may have.
const MAX_HEADERS: usize = 16 << 10;

/// A connection to a collector, made when it is needed, and again when it is lost.
#[derive(Clone, Debug)]
pub(super) struct HttpTransport {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    settings: OtlpSettings,
    headers: HeaderMap,
}

impl HttpTransport {
    /// Connects to nobody yet.
    pub(super) fn new(settings: &OtlpSettings) -> Result<Self, SenderError> {
        let tls = match settings.endpoint.scheme_str() {
            Some("https") => tls::Loaded::read(&settings.tls)?.for_http()?,
            // Whose roots are not needed, and may not be there.
            _ => tls::none()?,
        };
        let mut plain = HttpConnector::new();
        plain.enforce_http(false);
        plain.set_connect_timeout(Some(settings.timeout));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(plain);
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(1)
            .http1_max_buf_size(MAX_HEADERS)
            .build(connector);
        let mut headers: HeaderMap = settings.headers.iter().cloned().collect();
        let agent = HeaderValue::from_static(super::USER_AGENT);
        headers.entry(header::USER_AGENT).or_insert(agent);
        headers.insert(header::CONTENT_TYPE, PROTOBUF);
        if settings.is_compressed {
            let gzip = HeaderValue::from_static("gzip");
            headers.insert(header::CONTENT_ENCODING, gzip);
        }
        Ok(Self {
            client,
            settings: settings.clone(),
            headers,
        })
    }

    /// The body of a request, compressed if it is to be.
    pub(super) fn body(&self, plain: Bytes) -> Bytes {
        if !self.settings.is_compressed {
            return plain;
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        // Nothing can go wrong in memory.
        let written = encoder.write_all(&plain);
        debug_assert!(written.is_ok(), "{written:?}");
        encoder.finish().unwrap_or_default().into()
    }

    /// Sends it once.
    pub(super) async fn send<P: Sendable>(&self, body: Bytes) -> Attempt {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.settings.endpoint.clone();
        *request.headers_mut() = self.headers.clone();
        match self.client.request(request).await {
            Ok(answer) => attempt_of::<P>(answer).await,
            Err(error) => Attempt::Again {
                after: None,
                why: quoted(&innermost(&error)),
            },
        }
    }
}

async fn attempt_of<P: Sendable>(answer: Response<Incoming>) -> Attempt {
    let status = answer.status();
    let after = answer.headers().get(header::RETRY_AFTER);
    let after = after.and_then(|value| retry_after(value, SystemTime::now()));
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
    if !status.is_success() {
        let body = body.map_or_else(|_| Bytes::new(), Collected::to_bytes);
        return Attempt::of_http(status.as_u16(), after, &body);
    }
    // It took it, whatever it says besides.
    let answer = body
        .map_err(|error| quoted(&innermost(&*error)))
        .and_then(|body| P::Answer::decode(body.to_bytes()).map_err(|error| error.to_string()));
    Attempt::Taken(match answer {
        Ok(answer) => Taken::of::<P>(answer),
        Err(error) => Taken {
            rejected: 0,
            message: format!("what it answers is not understood: {error}; is it a collector?"),
        },
    })
}

/// How long it wants to be left alone: as seconds, or as the date until when.
fn retry_after(value: &HeaderValue, now: SystemTime) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}
