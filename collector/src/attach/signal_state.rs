//! What became of a signal on this host, in words for people.

/// What became of a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignalState {
    /// Its programs run.
    On {
        /// What it does without on some hosts and has on this one, and where it is from.
        with: Vec<String>,
        /// What this host does not give, though the signal works without it.
        without: Vec<String>,
    },
    /// It is off.
    Off {
        /// Why.
        reason: String,
        /// What would change that; empty when nothing would.
        remedy: String,
    },
}

impl SignalState {
    /// Whether the signal is on.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        matches!(self, Self::On { .. })
    }
}
