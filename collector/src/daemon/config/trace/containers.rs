//! What is configured of traces of the lives of containers.

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
pub struct ContainerTraceConfig {
    /// Whether there are any.
    pub enabled: bool,
}

impl ContainerTraceConfig {
    pub(super) fn decide(args: &RunArgs, file: FileConfig) -> Self {
        Self {
            enabled: args
                .trace_containers
                .or(file.enable_tracing)
                .unwrap_or(false),
        }
    }

    /// Refuses what cannot be.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        Ok(())
    }
}
