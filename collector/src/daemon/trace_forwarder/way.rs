//! The way of `trace-forwarder` to its collector.
//!
//! In: the flag, and OpenTelemetry's environment variables. Out: a queue, and who empties it. Never here: a connection.

use std::sync::Arc;

use opentelemetry_proto::tonic::trace::v1::ResourceSpans;

use crate::{
    daemon::{
        config::{
            ConfigError,
            otlp::{OtelEnvironment, OtlpOptions, settings_of},
        },
        exit::Failure,
    },
    error_chain,
    export::otlp::{OtlpProtocol, OtlpSettings, Outbox, Sender},
    reconcile::delivery::OtlpSignal,
};

/// The way to the collector.
pub(super) struct Way {
    pub(super) outbox: Arc<Outbox<ResourceSpans>>,
    pub(super) sender: Sender<ResourceSpans>,
}

impl Way {
    pub(super) fn new(
        endpoint: Option<&str>,
        environment: &OtelEnvironment,
        warnings: &mut Vec<String>,
    ) -> Result<Self, Failure> {
        if let Some(why) = environment.off(OtlpSignal::Traces) {
            return Err(Failure::Usage(format!(
                "nothing would be sent: {why}; unset it, or print spans with --dump-only"
            )));
        }
        let settings = settings(endpoint, environment, warnings)
            .map_err(|error| Failure::Usage(error_chain(&error)))?;
        let outbox = Arc::new(Outbox::new(settings.queue));
        let sender = Sender::new(&settings, Arc::clone(&outbox))
            .map_err(|error| Failure::Usage(error_chain(&error)))?;
        Ok(Self { outbox, sender })
    }
}

/// As OpenTelemetry has them, but for the protocol: Kata's own forwarder speaks gRPC, and nothing else.
fn settings(
    endpoint: Option<&str>,
    environment: &OtelEnvironment,
    warnings: &mut Vec<String>,
) -> Result<OtlpSettings, ConfigError> {
    let is_told = ["", "TRACES_"].iter().any(|of| {
        let name = format!("OTEL_EXPORTER_OTLP_{of}PROTOCOL");
        environment.get(&name).is_some()
    });
    let options = OtlpOptions {
        protocol: (!is_told).then(|| OtlpProtocol::Grpc.name().to_owned()),
        endpoint: endpoint.map(str::to_owned),
        ..OtlpOptions::default()
    };
    settings_of(
        OtlpSignal::Traces,
        [&OtlpOptions::default(), &options],
        environment,
        warnings,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_no_endpoint_is_told_it_is_the_port_of_the_protocol() {
        const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
        const OF_TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL";
        for (variables, flag, expected, is_warned) in [
            (&[][..], None, "http://localhost:4317/", false),
            (&[(PROTOCOL, "grpc")], None, "http://localhost:4317/", false),
            (
                &[(PROTOCOL, "http/protobuf")],
                None,
                "http://localhost:4318/v1/traces",
                false,
            ),
            (
                &[(PROTOCOL, "grpc"), (OF_TRACES, "http/protobuf")],
                None,
                "http://localhost:4318/v1/traces",
                false,
            ),
            // It is not spoken, and HTTP is OpenTelemetry's default.
            (
                &[(PROTOCOL, "http/json")],
                None,
                "http://localhost:4318/v1/traces",
                true,
            ),
            (
                &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://there:1")],
                None,
                "http://there:1/",
                false,
            ),
            (
                &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://there:1")],
                Some("http://here:2"),
                "http://here:2/",
                false,
            ),
        ] {
            let pairs = variables.iter();
            let environment = OtelEnvironment::of(
                pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
            );
            let mut warnings = Vec::new();
            let settings = settings(flag, &environment, &mut warnings).unwrap();
            assert_eq!(settings.endpoint.to_string(), expected, "{variables:?}");
            assert_eq!(!warnings.is_empty(), is_warned, "{warnings:?}");
        }
    }
}
