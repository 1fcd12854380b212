//! How the process ends, and what its exit code says.

use std::process::ExitCode;

use crate::error_chain;

/// Why a command could not do its work. Each variant is an exit code, as `sysexits.h` numbers them.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// 64: the flags, the environment or the configuration file.
    #[error("{0}")]
    Usage(String),
    /// 69: something is missing that the command needs: a mount, a port, the kernel's types.
    #[error("{0}")]
    Unavailable(String),
    /// 70: an error of ours.
    #[error("{0}")]
    Internal(String),
    /// 77: the process may not do what it must.
    #[error("{0}")]
    NotPermitted(String),
}

impl Failure {
    /// The exit code.
    #[must_use]
    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) => 64,
            Self::Unavailable(_) => 69,
            Self::Internal(_) => 70,
            Self::NotPermitted(_) => 77,
        })
    }

    /// An error of ours, with its causes.
    #[must_use]
    pub fn internal(error: &dyn std::error::Error) -> Self {
        Self::Internal(error_chain(error))
    }
}
