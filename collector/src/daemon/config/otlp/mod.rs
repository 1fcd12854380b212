//! What is configured of the way to an OpenTelemetry collector.

mod decide;
mod environment;
mod options;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, ops::RangeInclusive, path::PathBuf, time::Duration};

use serde::Deserialize;

use self::decide::{Said, leave_out, milliseconds, wanted_milliseconds};
pub use self::{
    environment::OtelEnvironment,
    options::{OtlpOptions, Secret},
};
use super::{ConfigError, value::duration};
use crate::{
    export::otlp::{OtlpSettings, TemporalityPreference},
    reconcile::delivery::OtlpSignal,
};

/// As in the file, `[export.otlp]`: what is said for all signals, and for each below its name.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct OtlpFileConfig {
    enabled: Option<bool>,
    #[serde(deserialize_with = "duration")]
    interval: Option<Duration>,
    temporality: Option<String>,
    metrics: OtlpOptions,
    traces: OtlpOptions,
    // As in `OtlpOptions`.
    endpoint: Option<String>,
    protocol: Option<String>,
    headers: Option<BTreeMap<String, Secret>>,
    compression: Option<String>,
    #[serde(deserialize_with = "duration")]
    timeout: Option<Duration>,
    certificate: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_key: Option<PathBuf>,
    insecure: Option<bool>,
    queue_items: Option<u64>,
    queue_bytes: Option<u64>,
    batch_items: Option<u64>,
    batch_bytes: Option<u64>,
    #[serde(deserialize_with = "duration")]
    batch_delay: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    retry_for: Option<Duration>,
}

/// Decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpConfig {
    /// How metrics are sent; `None` when they are not.
    pub metrics: Option<OtlpSettings>,
    /// How spans are sent; `None` when there are none, or they are not.
    pub traces: Option<OtlpSettings>,
    /// How often metrics are sent.
    pub interval: Duration,
    /// From when on sums and histograms count.
    pub temporality: TemporalityPreference,
    /// Attributes of our own resource that the environment has.
    pub resource: Vec<(String, String)>,
    /// What the environment says that is left out, and what it turns off.
    pub warnings: Vec<String>,
}

/// What else decides about it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around<'a> {
    /// What a flag says of metrics.
    pub(super) metrics: Option<bool>,
    /// Whether anything is traced.
    pub(super) is_traced: bool,
    /// Of the daemon.
    pub(super) interval: Duration,
    pub(super) environment: &'a OtelEnvironment,
}

const INTERVALS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(1);

impl OtlpConfig {
    pub(super) fn decide(file: OtlpFileConfig, around: Around<'_>) -> Result<Self, ConfigError> {
        let Around { environment, .. } = around;
        let wants_metrics = around.metrics.or(file.enabled).unwrap_or(false);
        let wanted = [
            (OtlpSignal::Metrics, wants_metrics),
            (OtlpSignal::Traces, around.is_traced),
        ];
        let mut warnings = Vec::new();
        let (interval, temporality) = (file.interval, file.temporality.clone());
        let (all, metrics, traces) = file.options();
        let [metrics, traces] = wanted.map(|(signal, is_wanted)| {
            if !is_wanted {
                return Ok(None);
            }
            if let Some(why) = environment.off(signal) {
                warnings.push(format!("no {} are sent: {why}", signal.name()));
                return Ok(None);
            }
            let own = match signal {
                OtlpSignal::Metrics => &metrics,
                OtlpSignal::Traces => &traces,
            };
            settings_of(signal, [own, &all], environment, &mut warnings).map(Some)
        });
        let (metrics, traces) = (metrics?, traces?);
        let mut decided = Self {
            interval: around.interval,
            temporality: TemporalityPreference::Cumulative,
            resource: Vec::new(),
            metrics,
            traces,
            warnings,
        };
        decided.decide_interval(interval, environment)?;
        decided.decide_temporality(temporality.as_deref(), environment)?;
        if decided.metrics.is_some() || decided.traces.is_some() {
            decided.resource = environment.resource(&mut decided.warnings);
        } else {
            // Nobody has asked for any of it.
            decided
                .warnings
                .retain(|warning| warning.starts_with("no "));
        }
        Ok(decided)
    }

    fn decide_interval(
        &mut self,
        file: Option<Duration>,
        environment: &OtelEnvironment,
    ) -> Result<(), ConfigError> {
        const VARIABLE: &str = "OTEL_METRIC_EXPORT_INTERVAL";
        if let Some(interval) = file {
            if !INTERVALS.contains(&interval) {
                return Err(ConfigError::OutOfRange {
                    name: "export.otlp.interval",
                    value: humantime::format_duration(interval).to_string(),
                    range: "1s to 1h",
                });
            }
            self.interval = interval;
        } else if let Some(text) = environment.get(VARIABLE) {
            if let Some(interval) = milliseconds(text, &INTERVALS) {
                self.interval = interval;
            } else {
                let wanted = wanted_milliseconds(&INTERVALS);
                leave_out(&mut self.warnings, VARIABLE, text, &wanted);
            }
        }
        Ok(())
    }

    fn decide_temporality(
        &mut self,
        file: Option<&str>,
        environment: &OtelEnvironment,
    ) -> Result<(), ConfigError> {
        const VARIABLE: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
        const WANTED: &str = "write cumulative, delta or lowmemory";
        if let Some(text) = file {
            self.temporality =
                TemporalityPreference::of_name(text).ok_or_else(|| ConfigError::OutOfRange {
                    name: "export.otlp.temporality",
                    value: format!("{text:?}"),
                    range: "cumulative, delta or lowmemory",
                })?;
        } else if let Some(text) = environment.get(VARIABLE) {
            match TemporalityPreference::of_name(&text.to_lowercase()) {
                Some(temporality) => self.temporality = temporality,
                None => leave_out(&mut self.warnings, VARIABLE, text, WANTED),
            }
        }
        Ok(())
    }
}

/// How a signal is sent, by the options for it alone and for all, and by the environment. What of the latter is
/// left out goes into `warnings`.
pub fn settings_of(
    signal: OtlpSignal,
    options: [&OtlpOptions; 2],
    environment: &OtelEnvironment,
    warnings: &mut Vec<String>,
) -> Result<OtlpSettings, ConfigError> {
    let said = Said {
        signal,
        options,
        environment,
        warnings,
    };
    said.settings()
}

impl OtlpFileConfig {
    /// For all signals, for metrics, for spans.
    fn options(self) -> (OtlpOptions, OtlpOptions, OtlpOptions) {
        let all = OtlpOptions {
            endpoint: self.endpoint,
            protocol: self.protocol,
            headers: self.headers,
            compression: self.compression,
            timeout: self.timeout,
            certificate: self.certificate,
            client_certificate: self.client_certificate,
            client_key: self.client_key,
            insecure: self.insecure,
            queue_items: self.queue_items,
            queue_bytes: self.queue_bytes,
            batch_items: self.batch_items,
            batch_bytes: self.batch_bytes,
            batch_delay: self.batch_delay,
            retry_for: self.retry_for,
        };
        (all, self.metrics, self.traces)
    }
}
