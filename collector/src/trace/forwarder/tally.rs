//! Counts of the forwarder, read while it works.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::reconcile::forwarding::{AgentError, ForwarderFigures};

/// Counts of the forwarder.
#[derive(Debug, Default)]
pub struct Tally {
    spans: AtomicU64,
    accepted: AtomicU64,
    open: AtomicU64,
    sockets: AtomicU64,
    errors: [AtomicU64; AgentError::ALL.len()],
}

impl Tally {
    /// As of now.
    #[must_use]
    pub fn figures(&self) -> ForwarderFigures {
        let read = |of: &AtomicU64| of.load(Ordering::Relaxed);
        ForwarderFigures {
            spans: read(&self.spans),
            accepted: read(&self.accepted),
            open: read(&self.open),
            sockets: read(&self.sockets),
            errors: self.errors.each_ref().map(read),
        }
    }

    pub(super) fn spans(&self, count: usize) {
        self.spans.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn error(&self, error: AgentError) {
        self.errors[error as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn opened(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn listening(&self) {
        self.sockets.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn no_longer_listening(&self) {
        self.sockets.fetch_sub(1, Ordering::Relaxed);
    }
}
