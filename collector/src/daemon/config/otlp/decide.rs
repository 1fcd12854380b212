//! How one signal is sent, from what is said to cgscope itself and what is said to all programs.
//!
//! Value by value: the signal's table of the file goes before `[export.otlp]`, that before the signal's
//! variable `OTEL_EXPORTER_OTLP_…`, that before the one for all signals, and that before the default. In the
//! file everything must be right. Of variables, as OpenTelemetry has it, a number or a choice that is not
//! understood is said and left out; what data would go astray by is refused.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use hyper::{
    Uri,
    header::{HeaderName, HeaderValue},
};

use super::{OtelEnvironment, OtlpOptions, environment::pairs, options::Secret};
use crate::{
    daemon::config::ConfigError,
    export::otlp::{BatchBounds, Bounds, OtlpProtocol, OtlpSettings, TlsFiles},
    reconcile::delivery::OtlpSignal,
};

const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_mins(10);
const DELAYS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_mins(1);
const RETRIES: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(1);
const QUEUE_ITEMS: RangeInclusive<u64> = 1..=100_000_000;
const QUEUE_BYTES: RangeInclusive<u64> = 64 << 10..=4 << 30;
const BATCH_ITEMS: RangeInclusive<u64> = 1..=1_000_000;
const BATCH_BYTES: RangeInclusive<u64> = 1 << 10..=64 << 20;

/// What is said of one signal.
#[derive(Debug)]
pub(super) struct Said<'a> {
    pub(super) signal: OtlpSignal,
    /// Of the signal alone, and of all.
    pub(super) options: [&'a OtlpOptions; 2],
    pub(super) environment: &'a OtelEnvironment,
    /// What is left out, and why.
    pub(super) warnings: &'a mut Vec<String>,
}

impl Said<'_> {
    /// Decides.
    pub(super) fn settings(mut self) -> Result<OtlpSettings, ConfigError> {
        let protocol = self.protocol()?;
        let mut batch = BatchBounds::of(self.signal);
        let mut queue = Bounds::of(self.signal);
        self.number(
            "batch_items",
            BATCH_ITEMS,
            |of| of.batch_items,
            &mut batch.items,
        )?;
        self.number(
            "batch_bytes",
            BATCH_BYTES,
            |of| of.batch_bytes,
            &mut batch.bytes,
        )?;
        self.number(
            "queue_items",
            QUEUE_ITEMS,
            |of| of.queue_items,
            &mut queue.items,
        )?;
        self.number(
            "queue_bytes",
            QUEUE_BYTES,
            |of| of.queue_bytes,
            &mut queue.bytes,
        )?;
        let (mut timeout, mut retry_for) = (Duration::from_secs(10), Duration::from_mins(5));
        self.time("timeout", TIMEOUTS, |of| of.timeout, &mut timeout)?;
        self.time("batch_delay", DELAYS, |of| of.batch_delay, &mut batch.delay)?;
        self.time("retry_for", RETRIES, |of| of.retry_for, &mut retry_for)?;
        // A request that may never wait would never be sent.
        batch.items = batch.items.min(queue.items);
        batch.bytes = batch.bytes.min(queue.bytes);
        Ok(OtlpSettings {
            protocol,
            endpoint: self.endpoint(protocol)?,
            headers: self.headers()?,
            is_compressed: self.is_compressed()?,
            timeout,
            retry_for,
            tls: self.tls()?,
            batch,
            queue,
        })
    }

    /// What the file says, by its key.
    fn file<T>(
        &self,
        key: &str,
        of: impl Fn(&OtlpOptions) -> Option<T>,
    ) -> Option<(String, T, bool)> {
        let [own, all] = self.options;
        let signal = self.signal.name();
        let own = of(own).map(|value| (format!("export.otlp.{signal}.{key}"), value, true));
        own.or_else(|| of(all).map(|value| (format!("export.otlp.{key}"), value, false)))
    }

    /// What a variable says, by its name; whether it is the signal's own.
    fn variable(&self, suffix: &str) -> Option<(String, String, bool)> {
        self.names(suffix).into_iter().find_map(|(name, is_own)| {
            let value = self.environment.get(&name)?.to_owned();
            Some((name, value, is_own))
        })
    }

    /// What is chosen by the first variable that is understood; small letters are as good as capitals.
    fn choice<T>(
        &mut self,
        suffix: &str,
        wanted: &str,
        of: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let mut names = self.names(suffix).into_iter();
        names.find_map(|(name, _)| self.understood(&name, wanted, &of))
    }

    /// What a variable says; one that is not understood is left out.
    fn understood<T>(
        &mut self,
        name: &str,
        wanted: &str,
        of: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let value = self.environment.get(name)?;
        let understood = of(&value.to_ascii_lowercase());
        if understood.is_none() {
            self.leave_out(name, value, wanted);
        }
        understood
    }

    /// The signal's own variable, and that of all.
    fn names(&self, suffix: &str) -> [(String, bool); 2] {
        let signal = self.signal.name().to_uppercase();
        [
            (format!("OTEL_EXPORTER_OTLP_{signal}_{suffix}"), true),
            (format!("OTEL_EXPORTER_OTLP_{suffix}"), false),
        ]
    }

    fn protocol(&mut self) -> Result<OtlpProtocol, ConfigError> {
        const WANTED: &str = "write grpc or http/protobuf";
        if let Some((name, value, _)) = self.file("protocol", |of| of.protocol.clone()) {
            return OtlpProtocol::of_name(&value)
                .ok_or_else(|| refused(name, shown(&value), "is no protocol of OTLP", WANTED));
        }
        let chosen = self.choice("PROTOCOL", WANTED, OtlpProtocol::of_name);
        // As OpenTelemetry has it.
        Ok(chosen.unwrap_or(OtlpProtocol::HttpProtobuf))
    }

    fn is_compressed(&mut self) -> Result<bool, ConfigError> {
        const WANTED: &str = "write gzip or none";
        let parsed = |value: &str| match value {
            "gzip" => Some(true),
            "none" => Some(false),
            _ => None,
        };
        if let Some((name, value, _)) = self.file("compression", |of| of.compression.clone()) {
            return parsed(&value)
                .ok_or_else(|| refused(name, shown(&value), "is not known", WANTED));
        }
        let chosen = self.choice("COMPRESSION", WANTED, parsed);
        Ok(chosen.unwrap_or(false))
    }

    /// A number: the file's, or of spans one that is said to every batch processor.
    fn number(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
        of: impl Fn(&OtlpOptions) -> Option<u64>,
        value: &mut u64,
    ) -> Result<(), ConfigError> {
        let wanted = format!("write a number from {} to {}", range.start(), range.end());
        if let Some((name, number, _)) = self.file(key, of) {
            if !range.contains(&number) {
                return Err(refused(
                    name,
                    number.to_string(),
                    "is out of range",
                    &wanted,
                ));
            }
            *value = number;
            return Ok(());
        }
        let variable = match key {
            "queue_items" => "OTEL_BSP_MAX_QUEUE_SIZE",
            "batch_items" => "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
            _ => return Ok(()),
        };
        if self.signal == OtlpSignal::Traces {
            let of = |text: &str| text.parse().ok().filter(|number| range.contains(number));
            *value = self.understood(variable, &wanted, of).unwrap_or(*value);
        }
        Ok(())
    }

    fn time(
        &mut self,
        key: &'static str,
        range: RangeInclusive<Duration>,
        of: impl Fn(&OtlpOptions) -> Option<Duration>,
        value: &mut Duration,
    ) -> Result<(), ConfigError> {
        if let Some((name, time, _)) = self.file(key, of) {
            if !range.contains(&time) {
                let wanted = format!(
                    "write a time from {} to {}",
                    humantime::format_duration(*range.start()),
                    humantime::format_duration(*range.end())
                );
                let time = humantime::format_duration(time).to_string();
                return Err(refused(name, time, "is out of range", &wanted));
            }
            *value = time;
            return Ok(());
        }
        let wanted = wanted_milliseconds(&range);
        let of = |text: &str| milliseconds(text, &range);
        let said = match (key, self.signal) {
            ("timeout", _) => self.choice("TIMEOUT", &wanted, of),
            ("batch_delay", OtlpSignal::Traces) => {
                self.understood("OTEL_BSP_SCHEDULE_DELAY", &wanted, of)
            }
            _ => None,
        };
        *value = said.unwrap_or(*value);
        Ok(())
    }

    fn endpoint(&mut self, protocol: OtlpProtocol) -> Result<Uri, ConfigError> {
        let is_insecure = self.file("insecure", |of| of.insecure);
        let is_insecure = match is_insecure {
            Some((_, value, _)) => Some(value),
            None => self.choice("INSECURE", "write true or false", |text| text.parse().ok()),
        };
        let said = self.file("endpoint", |of| of.endpoint.clone());
        let said = said.or_else(|| self.variable("ENDPOINT"));
        let (name, text, is_own) = said.unwrap_or_else(|| {
            let text = match protocol {
                OtlpProtocol::Grpc => "http://localhost:4317",
                OtlpProtocol::HttpProtobuf => "http://localhost:4318",
            };
            (String::new(), text.to_owned(), false)
        });
        endpoint(
            &text,
            protocol,
            self.signal,
            is_own,
            is_insecure.unwrap_or(false),
        )
        .map_err(|reason| {
            let remedy = match protocol {
                OtlpProtocol::Grpc => "write it like http://localhost:4317 or https://host:4317",
                OtlpProtocol::HttpProtobuf => {
                    "write it like http://localhost:4318 or https://host:4318"
                }
            };
            // It could have a password in it, or a key.
            let value = if text.contains(['@', '?']) {
                "…".to_owned()
            } else {
                shown(&text)
            };
            refused(name, value, reason, remedy)
        })
    }

    fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, ConfigError> {
        let (name, pairs) =
            if let Some((name, headers, _)) = self.file("headers", |of| of.headers.clone()) {
                let pairs: Vec<_> = headers
                    .into_iter()
                    .map(|(key, Secret(value))| (key, value))
                    .collect();
                (name, pairs)
            } else if let Some((name, text, _)) = self.variable("HEADERS") {
                let pairs = pairs(&text).map_err(|reason| {
                    let remedy = "write key=value,key=value, with percent-encoded values";
                    refused(name.clone(), "…".to_owned(), &reason, remedy)
                })?;
                (name, pairs)
            } else {
                return Ok(Vec::new());
            };
        let header = |(key, value): (String, String)| {
            let wrong = |reason| {
                let remedy = "write names and values that HTTP can have as headers";
                refused(
                    format!("{name}, {}", shown(&key)),
                    "…".to_owned(),
                    reason,
                    remedy,
                )
            };
            let parsed = HeaderName::from_bytes(key.as_bytes());
            let header = parsed.ok().ok_or_else(|| wrong("is no name of a header"))?;
            if OURS.contains(&header.as_str()) {
                return Err(wrong("is a header of which there is one already"));
            }
            let mut value = HeaderValue::from_str(&value)
                .ok()
                .ok_or_else(|| wrong("is nothing that a header can have"))?;
            value.set_sensitive(true);
            Ok((header, value))
        };
        pairs.into_iter().map(header).collect()
    }

    fn tls(&self) -> Result<TlsFiles, ConfigError> {
        let certificate = self.path("certificate", |of| of.certificate.clone());
        let client = self.path("client_certificate", |of| of.client_certificate.clone());
        let key = self.path("client_key", |of| of.client_key.clone());
        let client = match (client, key) {
            (Some((_, client)), Some((_, key))) => Some((client, key)),
            (None, None) => None,
            (Some((name, path)), None) | (None, Some((name, path))) => {
                return Err(refused(
                    name,
                    path.display().to_string(),
                    "is half of a pair",
                    "name the client's certificate and its key, or neither",
                ));
            }
        };
        Ok(TlsFiles {
            certificate: certificate.map(|(_, path)| path),
            client,
        })
    }

    fn path(
        &self,
        key: &str,
        of: impl Fn(&OtlpOptions) -> Option<PathBuf>,
    ) -> Option<(String, PathBuf)> {
        let said = self.file(key, of).map(|(name, path, _)| (name, path));
        said.or_else(|| {
            let (name, path, _) = self.variable(&key.to_uppercase())?;
            Some((name, PathBuf::from(path)))
        })
    }

    fn leave_out(&mut self, name: &str, value: &str, wanted: &str) {
        leave_out(self.warnings, name, value, wanted);
    }
}

/// Headers that are made with each request.
const OURS: [&str; 10] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "grpc-encoding",
    "grpc-timeout",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
];

pub(super) fn leave_out(warnings: &mut Vec<String>, name: &str, value: &str, wanted: &str) {
    let warning = format!("{name} is {} and left out: {wanted}", shown(value));
    if !warnings.contains(&warning) {
        warnings.push(warning);
    }
}

/// A time in a variable.
pub(super) fn milliseconds(text: &str, range: &RangeInclusive<Duration>) -> Option<Duration> {
    let time = Duration::from_millis(text.parse().ok()?);
    Some(time).filter(|time| range.contains(time))
}

pub(super) fn wanted_milliseconds(range: &RangeInclusive<Duration>) -> String {
    let (start, end) = (range.start().as_millis(), range.end().as_millis());
    format!("write milliseconds, from {start} to {end}")
}

fn shown(value: &str) -> String {
    format!("{:?}", value.chars().take(200).collect::<String>())
}

fn refused(name: String, value: String, reason: &str, remedy: &str) -> ConfigError {
    ConfigError::Otlp {
        name,
        value,
        reason: reason.to_owned(),
        remedy: remedy.to_owned(),
    }
}

/// Where requests go: with a scheme, and over HTTP with a path.
fn endpoint(
    text: &str,
    protocol: OtlpProtocol,
    signal: OtlpSignal,
    is_own: bool,
    is_insecure: bool,
) -> Result<Uri, &'static str> {
    let text = match (text.contains("://"), protocol) {
        (true, _) => text.to_owned(),
        (false, OtlpProtocol::Grpc) if is_insecure => format!("http://{text}"),
        (false, OtlpProtocol::Grpc) => format!("https://{text}"),
        (false, OtlpProtocol::HttpProtobuf) => return Err("has no scheme"),
    };
    let uri: Uri = text.parse().ok().ok_or("is no URL")?;
    let scheme = uri.scheme_str().unwrap_or_default();
    if !["http", "https"].contains(&scheme) {
        return Err("has another scheme than http and https");
    }
    let authority = uri.authority().filter(|of| !of.host().is_empty());
    let authority = authority.ok_or("names no host")?;
    if authority.as_str().contains('@') {
        return Err("has a user in it, whom OTLP has in a header");
    }
    // What is no port would be left out, and the data would go to the scheme's own.
    let has_port = authority.as_str() != authority.host();
    if has_port && authority.port_u16().is_none_or(|port| port == 0) {
        return Err("has a port that is none: from 1 to 65535");
    }
    let path = match protocol {
        // Each method has its own.
        OtlpProtocol::Grpc => "/".to_owned(),
        OtlpProtocol::HttpProtobuf if is_own => uri
            .path_and_query()
            .map_or_else(|| "/".to_owned(), ToString::to_string),
        OtlpProtocol::HttpProtobuf => {
            let base = uri.path().trim_end_matches('/');
            let query = uri.query().map(|query| format!("?{query}"));
            let query = query.unwrap_or_default();
            format!("{base}/v1/{}{query}", signal.name())
        }
    };
    Uri::builder()
        .scheme(scheme)
        .authority(authority.as_str())
        .path_and_query(path)
        .build()
        .ok()
        .ok_or("is no URL")
}
