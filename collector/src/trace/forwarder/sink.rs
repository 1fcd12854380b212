//! Where forwarded spans go.
//!
//! In: spans of one resource. Out: the queue to the collector, or lines for people. Never here: a collector that is
//! waited for; a full queue counts what it does not take.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use opentelemetry_proto::tonic::trace::v1::ResourceSpans;

use super::{
    peers::Peer,
    printer::Printer,
    room::{Load, Room},
};
use crate::{export::otlp::Outbox, reconcile::delivery::OtlpLoss};

/// Where forwarded spans go.
pub enum SpanSink {
    /// To the collector.
    Outbox(FairOutbox),
    /// A line of JSON each time.
    Dump(Printer),
}

/// The queue to the collector, of which no guest gets all.
pub struct FairOutbox {
    outbox: Arc<Outbox<ResourceSpans>>,
    room: Mutex<Room>,
}

impl fmt::Debug for SpanSink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SpanSink").finish_non_exhaustive()
    }
}

impl fmt::Debug for FairOutbox {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FairOutbox").finish_non_exhaustive()
    }
}

impl FairOutbox {
    /// What finds no room is lost, and counted in the queue's account.
    fn put(&self, spans: ResourceSpans, peer: &Peer) {
        let load = Load::of(&spans);
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        if !room.has(peer, load, &self.outbox.bounds(), &self.outbox.account()) {
            self.outbox.refuse(&spans, OtlpLoss::QueueFull);
        } else if self.outbox.put(spans) {
            room.put(peer, load, &self.outbox.account());
        }
    }
}

impl SpanSink {
    /// To the collector.
    #[must_use]
    pub fn to_collector(outbox: Arc<Outbox<ResourceSpans>>) -> Self {
        Self::Outbox(FairOutbox {
            outbox,
            room: Mutex::default(),
        })
    }

    /// A queue takes or refuses them at once; lines may have to wait.
    pub(super) async fn give(&self, spans: ResourceSpans, of: &Peer) {
        match self {
            Self::Outbox(outbox) => outbox.put(spans, of),
            Self::Dump(printer) => printer.print(&spans).await,
        }
    }
}
