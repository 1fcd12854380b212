//! How much of the queue to the collector each guest may fill.
//!
//! In: spans of a guest, and how the queue stands. Out: whether they may wait too. Never here: a span that is kept.
//!
//! While a collector is away, spans wait. So that one guest cannot take all places, none may have more waiting than there
//! is room left: one alone gets half of the queue, two a third each, and for one more there is always as much as each
//! has. What waits is packed, as it will be sent: its bytes are what it takes.

use std::collections::{HashMap, VecDeque};

use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use prost::Message as _;

use super::peers::Peer;
use crate::{
    export::otlp::{Bounds, Parcel as _},
    reconcile::delivery::{OtlpAccount, OtlpLoss},
};

/// What waits, by guest.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// In the order in which it was put into the queue, which is the order in which it leaves.
    waiting: VecDeque<Waiting>,
    guests: HashMap<Peer, Load>,
    bytes: u64,
}

#[derive(Debug)]
struct Waiting {
    /// How many had been taken into the queue when this was.
    position: u64,
    peer: Peer,
    load: Load,
}

/// Spans, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    items: u64,
    bytes: u64,
}

impl Load {
    /// Of spans.
    pub(super) fn of(spans: &ResourceSpans) -> Self {
        Self {
            items: spans.items(),
            bytes: spans.encoded_len() as u64,
        }
    }
}

impl Room {
    /// Whether a guest may have this waiting too, in a queue that stands like this.
    pub(super) fn has(
        &mut self,
        peer: &Peer,
        load: Load,
        bounds: &Bounds,
        account: &OtlpAccount,
    ) -> bool {
        self.settle(settled(account));
        let of_guest = self.guests.get(peer).copied().unwrap_or_default();
        let items_left = bounds.items.saturating_sub(account.waiting);
        let bytes_left = bounds.bytes.saturating_sub(self.bytes);
        of_guest.items + load.items <= items_left && of_guest.bytes + load.bytes <= bytes_left
    }

    /// It was put into the queue, which now stands like this.
    pub(super) fn put(&mut self, peer: &Peer, load: Load, account: &OtlpAccount) {
        self.waiting.push_back(Waiting {
            // Others may have put something in behind it: then it is thought to wait a little longer.
            position: settled(account) + account.waiting,
            peer: peer.clone(),
            load,
        });
        let of_guest = self.guests.entry(peer.clone()).or_default();
        of_guest.items += load.items;
        of_guest.bytes += load.bytes;
        self.bytes += load.bytes;
    }

    /// Forgets what has left the queue.
    fn settle(&mut self, settled: u64) {
        while let Some(first) = self.waiting.pop_front_if(|first| first.position <= settled) {
            self.bytes -= first.load.bytes;
            if let Some(of_guest) = self.guests.get_mut(&first.peer) {
                of_guest.items -= first.load.items;
                of_guest.bytes -= first.load.bytes;
                if of_guest.items == 0 {
                    self.guests.remove(&first.peer);
                }
            }
        }
    }
}

/// How many of those that were taken into the queue have left it.
fn settled(account: &OtlpAccount) -> u64 {
    let lost = [OtlpLoss::Refused, OtlpLoss::Rejected, OtlpLoss::GaveUp];
    account.sent
        + lost
            .iter()
            .map(|of| account.lost[*of as usize])
            .sum::<u64>()
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::{
        common::v1::{AnyValue, KeyValue, any_value::Value},
        resource::v1::Resource,
        trace::v1::{ScopeSpans, Span},
    };

    use super::*;
    use crate::export::otlp::{Outbox, WhenFull};

    const BOUNDS: Bounds = Bounds {
        items: 1200,
        bytes: 1 << 20,
        when_full: WhenFull::DropNew,
    };

    fn spans(attributes: Vec<KeyValue>) -> ResourceSpans {
        let span = Span {
            attributes,
            ..Span::default()
        };
        ResourceSpans {
            resource: Some(Resource::default()),
            scope_spans: vec![ScopeSpans {
                spans: vec![span],
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }
    }

    /// Puts in what it may, and says how much that was.
    fn fill(room: &mut Room, outbox: &Outbox<ResourceSpans>, cid: u32, of: &ResourceSpans) -> u64 {
        let (peer, load) = (Peer::Cid(cid), Load::of(of));
        (0..5_000)
            .take_while(|_| {
                let has_room = room.has(&peer, load, &outbox.bounds(), &outbox.account());
                if has_room {
                    assert!(outbox.put(of.clone()));
                    room.put(&peer, load, &outbox.account());
                }
                has_room
            })
            .count() as u64
    }

    #[test]
    fn no_guest_has_more_waiting_than_there_is_room_for_others() {
        let (mut room, outbox) = (Room::default(), Outbox::new(BOUNDS));
        let small = spans(Vec::new());
        assert_eq!(fill(&mut room, &outbox, 3, &small), 600, "half");
        assert_eq!(fill(&mut room, &outbox, 4, &small), 300, "half of the rest");
        assert_eq!(fill(&mut room, &outbox, 3, &small), 0);
        // What the collector takes, refuses or rejects makes room again, for whoever had it.
        outbox.take(500, u64::MAX).sent(200);
        outbox.take(100, u64::MAX).lost(OtlpLoss::Refused);
        assert_eq!(outbox.account().waiting, 300);
        assert_eq!(fill(&mut room, &outbox, 3, &small), 450);
        assert_eq!(room.guests[&Peer::Cid(4)].items, 300);
        outbox.take(u64::MAX, u64::MAX).sent(0);
        // What others put in is no guest's.
        for _ in 0..200 {
            outbox.put(small.clone());
        }
        assert_eq!(fill(&mut room, &outbox, 5, &small), 500);
        outbox.take(u64::MAX, u64::MAX).lost(OtlpLoss::GaveUp);
        room.settle(settled(&outbox.account()));
        assert!(room.waiting.is_empty() && room.guests.is_empty());
        assert_eq!(room.bytes, 0);
    }

    #[test]
    fn few_long_texts_leave_room_for_others_too() {
        let text = KeyValue {
            key: "text".to_owned(),
            value: Some(AnyValue {
                value: Some(Value::StringValue("x".repeat(64 << 10))),
            }),
            ..KeyValue::default()
        };
        let of = spans(vec![text; 2]);
        let (mut room, outbox) = (Room::default(), Outbox::new(BOUNDS));
        assert_eq!(fill(&mut room, &outbox, 3, &of), 4, "of 7 that have room");
        assert!(outbox.put(of.clone()), "what is no guest's has room yet");
        assert_eq!(fill(&mut room, &outbox, 4, &of), 2);
    }
}
