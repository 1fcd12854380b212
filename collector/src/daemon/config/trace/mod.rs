//! What is configured of traces: each component for itself, all off by default.

mod containers;

mod forwarder;

mod own;

use serde::Deserialize;

pub use self::{
    containers::ContainerTraceConfig,
    forwarder::ForwarderConfig,
    own::{OwnTraceConfig, Ratio},
};
use super::{ConfigError, OtelEnvironment};
use crate::daemon::cli::RunArgs;

/// The part of the file that is about traces, `[trace.…]`.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TraceFileConfig {
    #[serde(default)]
    own: own::FileConfig,
    #[serde(default)]
    containers: containers::FileConfig,
    #[serde(default)]
    forwarder: forwarder::FileConfig,
}

/// Traces, decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceConfig {
    /// Of our own work.
    pub own: OwnTraceConfig,
    /// Of the lives of containers.
    pub containers: ContainerTraceConfig,
    /// Of Kata's agents, passed on.
    pub forwarder: ForwarderConfig,
}

impl TraceConfig {
    /// A flag or variable goes before the file, and that before the default. What of the environment is left out
    /// goes into `warnings`.
    pub(super) fn decide(
        args: &RunArgs,
        file: TraceFileConfig,
        environment: &OtelEnvironment,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            own: OwnTraceConfig::decide(args, &file.own, environment, warnings)?,
            containers: ContainerTraceConfig::decide(args, &file.containers),
            forwarder: ForwarderConfig::decide(args, file.forwarder),
        })
    }

    /// Whether anything is traced.
    #[must_use]
    pub const fn is_any(&self) -> bool {
        self.own.enabled || self.containers.enabled || self.forwarder.enabled
    }

    /// Refuses what cannot be.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.containers.check()?;
        self.forwarder.check()
    }
}
