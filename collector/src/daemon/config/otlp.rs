//! What is configured of the way to an OpenTelemetry collector.

use serde::Deserialize;

use super::ConfigError;
use crate::daemon::cli::RunArgs;

/// As in the file, `[export.otlp]`.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OtlpFileConfig {
    enabled: Option<bool>,
}

/// Decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpConfig {
    /// Whether metrics are sent.
    pub metrics: bool,
}

impl OtlpConfig {
    pub(super) fn decide(args: &RunArgs, file: OtlpFileConfig) -> Self {
        Self {
            metrics: args.export_otlp.or(file.enabled).unwrap_or(false),
        }
    }

    /// Refuses what cannot be.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        Ok(())
    }
}
