//! The daemon's log, on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use super::exit::Failure;

/// Starts logging what `filter` lets through.
pub fn start(filter: &str) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        Failure::Usage(format!(
            "the log filter {filter:?} is not understood ({error}); write info, debug, or \
             collector::drain=debug,info"
        ))
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init()
        .map_err(|error| Failure::Internal(format!("cannot start the log: {error}")))
}
