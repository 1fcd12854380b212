//! The daemon's log, on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use super::exit::Failure;

/// Parses a log filter.
pub fn filter(text: &str) -> Result<EnvFilter, Failure> {
    EnvFilter::try_new(text).map_err(|error| {
        Failure::Usage(format!(
            "the log filter {text:?} is not understood ({error}); write info, debug, or \
             collector::drain=debug,info"
        ))
    })
}

/// Starts logging what the filter lets through.
pub fn start(text: &str) -> Result<(), Failure> {
    tracing_subscriber::fmt()
        .with_env_filter(filter(text)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init()
        .map_err(|error| Failure::Internal(format!("cannot start the log: {error}")))
}
