//! What is configured of traces of our own work.

use serde::Deserialize;

use crate::daemon::{cli::RunArgs, config::ConfigError};

/// As in the file.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileConfig {
    enable_tracing: Option<bool>,
}

/// Decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnTraceConfig {
    /// Whether there are any.
    pub enabled: bool,
}

impl OwnTraceConfig {
    pub(super) fn decide(args: &RunArgs, file: FileConfig) -> Self {
        Self {
            enabled: args.trace_own.or(file.enable_tracing).unwrap_or(false),
        }
    }

    /// Refuses what cannot be.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        Ok(())
    }
}
