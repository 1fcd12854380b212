//! What became of what Kata's agents sent.

/// Why a connection of an agent was not taken, or was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AgentError {
    /// There were too many, of all or of this guest.
    TooManyConnections = 0,
    /// A header announced what is not taken.
    BadLength = 1,
    /// A frame was not a span.
    Malformed = 2,
    /// A span had more of something than is taken.
    OverLimit = 3,
    /// The rest of a frame did not come in time.
    Timeout = 4,
    /// It ended in the middle of a frame.
    Truncated = 5,
    /// It could not be accepted or read.
    Connection = 6,
}

impl AgentError {
    /// Every one, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::TooManyConnections,
        Self::BadLength,
        Self::Malformed,
        Self::OverLimit,
        Self::Timeout,
        Self::Truncated,
        Self::Connection,
    ];

    /// The name in the label `error`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooManyConnections => "too_many_connections",
            Self::BadLength => "bad_length",
            Self::Malformed => "malformed",
            Self::OverLimit => "over_limit",
            Self::Timeout => "timeout",
            Self::Truncated => "truncated",
            Self::Connection => "connection",
        }
    }
}

/// What came of Kata's agents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForwarderFigures {
    /// Spans that were understood.
    pub spans: u64,
    /// Connections that were accepted since the start.
    pub accepted: u64,
    /// Connections that are open.
    pub open: u64,
    /// Sockets that are listened on.
    pub sockets: u64,
    /// What went wrong, in the order of [`AgentError::ALL`].
    pub errors: [u64; AgentError::ALL.len()],
}
