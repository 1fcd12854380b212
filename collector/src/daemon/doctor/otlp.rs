//! Whether an OpenTelemetry collector answers where one is configured.

use std::{sync::Arc, time::Duration};

use opentelemetry_proto::tonic::{metrics::v1::ResourceMetrics, trace::v1::ResourceSpans};
use serde::Serialize;
use tokio::time::timeout;

use crate::{
    daemon::config::OtlpConfig,
    error_chain,
    export::otlp::{OtlpSettings, Outbox, Sendable, Sender},
};

/// None is waited for longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A signal that is sent. The keys of `--json`.
#[derive(Debug, Serialize)]
pub(super) struct OtlpReport {
    signal: &'static str,
    endpoint: String,
    protocol: &'static str,
    answers: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Sends an empty request for each signal that is to be sent.
pub(super) fn probe(config: &OtlpConfig) -> std::io::Result<Vec<OtlpReport>> {
    if config.metrics.is_none() && config.traces.is_none() {
        return Ok(Vec::new());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let reports = runtime.block_on(async {
        tokio::join!(
            of::<ResourceMetrics>(config.metrics.as_ref()),
            of::<ResourceSpans>(config.traces.as_ref()),
        )
    });
    // A name that is being looked up is not waited for.
    runtime.shutdown_background();
    Ok(reports.0.into_iter().chain(reports.1).collect())
}

async fn of<P: Sendable>(settings: Option<&OtlpSettings>) -> Option<OtlpReport> {
    let settings = settings?;
    let outbox = Arc::new(Outbox::<P>::new(settings.queue));
    let reason = match Sender::new(settings, outbox) {
        Err(error) => Some(error_chain(&error)),
        Ok(sender) => match timeout(PATIENCE, sender.probe()).await {
            Err(_) => Some(format!("no answer in {PATIENCE:?}")),
            Ok(answer) => answer.err().map(|error| error.why),
        },
    };
    Some(OtlpReport {
        signal: P::SIGNAL.name(),
        endpoint: settings.shown_endpoint(),
        protocol: settings.protocol.name(),
        answers: reason.is_none(),
        reason,
    })
}

/// In words, a line for each.
pub(super) fn lines(reports: &[OtlpReport]) -> impl Iterator<Item = String> {
    reports.iter().map(|report| {
        let OtlpReport {
            signal,
            endpoint,
            protocol,
            ..
        } = report;
        let answer = match &report.reason {
            None => "a collector answers".to_owned(),
            Some(reason) => format!("no collector takes it: {reason}"),
        };
        format!("OTLP {signal} to {endpoint} by {protocol}: {answer}")
    })
}
