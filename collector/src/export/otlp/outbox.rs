//! What waits to be sent: bounded, and every item of it accounted for.

use std::{
    collections::VecDeque,
    marker::PhantomData,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hyper::body::Bytes;
use opentelemetry_proto::tonic::{metrics::v1::ResourceMetrics, trace::v1::ResourceSpans};
use prost::encoding::{WireType, encode_key, encode_varint};
use tokio::{sync::Notify, time::timeout};

use crate::reconcile::delivery::{OtlpAccount, OtlpLoss, OtlpSignal};

/// A part of a request that can be sent alone.
pub trait Parcel: prost::Message + Default + Send + 'static {
    /// What it is of.
    const SIGNAL: OtlpSignal;

    /// Spans or data points in it: what is counted.
    fn items(&self) -> u64;
}

impl Parcel for ResourceSpans {
    const SIGNAL: OtlpSignal = OtlpSignal::Traces;

    fn items(&self) -> u64 {
        self.scope_spans
            .iter()
            .map(|of| of.spans.len() as u64)
            .sum()
    }
}

impl Parcel for ResourceMetrics {
    const SIGNAL: OtlpSignal = OtlpSignal::Metrics;

    fn items(&self) -> u64 {
        use opentelemetry_proto::tonic::metrics::v1::metric::Data;
        let metrics = self.scope_metrics.iter().flat_map(|of| &of.metrics);
        let points = metrics.map(|metric| match &metric.data {
            None => 0,
            Some(Data::Gauge(of)) => of.data_points.len(),
            Some(Data::Sum(of)) => of.data_points.len(),
            Some(Data::Histogram(of)) => of.data_points.len(),
            Some(Data::ExponentialHistogram(of)) => of.data_points.len(),
            Some(Data::Summary(of)) => of.data_points.len(),
        });
        points.map(|points| points as u64).sum()
    }
}

/// How much may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Spans or data points, those included that are being sent.
    pub items: u64,
    /// Their bytes as they are sent, uncompressed.
    pub bytes: u64,
    /// What gives way.
    pub when_full: WhenFull,
}

/// What gives way when more is put in than may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// What comes: of a trace the beginning is worth most.
    DropNew,
    /// What has waited longest: later data points say more.
    DropOldest,
}

/// What waits to be sent. Putting something in takes a lock for a moment and never waits for a collector.
#[derive(Debug)]
pub struct Outbox<P> {
    bounds: Bounds,
    inner: Mutex<Inner<P>>,
    filled: Notify,
    closed: Notify,
}

#[derive(Debug)]
struct Inner<P> {
    waiting: VecDeque<Packed<P>>,
    account: OtlpAccount,
    /// Of what waits and what is being sent.
    bytes: u64,
    is_closed: bool,
}

/// A parcel as it is sent: in memory a message takes several times the bytes.
#[derive(Debug)]
struct Packed<P> {
    bytes: Box<[u8]>,
    items: u64,
    of: PhantomData<P>,
}

impl<P: Parcel> Packed<P> {
    fn new(parcel: &P) -> Self {
        Self {
            bytes: parcel.encode_to_vec().into(),
            items: parcel.items(),
            of: PhantomData,
        }
    }

    const fn len(&self) -> u64 {
        self.bytes.len() as u64
    }
}

impl<P: Parcel> Outbox<P> {
    /// Empty.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            inner: Mutex::new(Inner {
                waiting: VecDeque::new(),
                account: OtlpAccount {
                    signal: P::SIGNAL,
                    put: 0,
                    sent: 0,
                    waiting: 0,
                    lost: [0; OtlpLoss::ALL.len()],
                },
                bytes: 0,
                is_closed: false,
            }),
            filled: Notify::new(),
            closed: Notify::new(),
        }
    }

    /// What became of all that was put in.
    #[must_use]
    pub fn account(&self) -> OtlpAccount {
        self.inner().account
    }

    /// How much may wait.
    #[must_use]
    pub const fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Counts something as put in and lost, that was not to wait.
    pub fn refuse(&self, parcel: &P, reason: OtlpLoss) {
        let items = parcel.items();
        let mut inner = self.inner();
        inner.account.put += items;
        inner.account.lost[reason as usize] += items;
    }

    /// Puts something in. What there is no room for is lost, and counted. Whether there was room.
    pub fn put(&self, parcel: P) -> bool {
        self.take_in(parcel, true)
    }

    /// Puts something in if there is room, and counts it only then: it will be tried again.
    pub fn try_put(&self, parcel: P) -> bool {
        self.take_in(parcel, false)
    }

    fn take_in(&self, parcel: P, is_last_try: bool) -> bool {
        let packed = Packed::new(&parcel);
        // As a message it takes most room.
        drop(parcel);
        let (items, bytes) = (packed.items, packed.len());
        if items == 0 {
            return true;
        }
        let mut inner = self.inner();
        let fits = |inner: &Inner<P>| {
            inner.account.waiting + items <= self.bounds.items
                && inner.bytes + bytes <= self.bounds.bytes
        };
        if !is_last_try && (inner.is_closed || !fits(&inner)) {
            return false;
        }
        inner.account.put += items;
        if inner.is_closed {
            inner.account.lost[OtlpLoss::Shutdown as usize] += items;
            return false;
        }
        // Nothing gives way to what would not fit all the same.
        let can_fit = items <= self.bounds.items && bytes <= self.bounds.bytes;
        if can_fit && self.bounds.when_full == WhenFull::DropOldest {
            while !fits(&inner)
                && let Some(oldest) = inner.waiting.pop_front()
            {
                let outcome = Outcome::Lost(OtlpLoss::QueueFull);
                inner.settle(oldest.items, oldest.len(), outcome);
            }
        }
        if fits(&inner) {
            inner.account.waiting += items;
            inner.bytes += bytes;
            inner.waiting.push_back(packed);
            drop(inner);
            self.filled.notify_one();
            true
        } else {
            inner.account.lost[OtlpLoss::QueueFull as usize] += items;
            false
        }
    }

    /// Waits until there is something, or nothing more will come.
    pub async fn wait(&self) {
        loop {
            {
                let inner = self.inner();
                if !inner.waiting.is_empty() || inner.is_closed {
                    return;
                }
            }
            self.filled.notified().await;
        }
    }

    /// Waits until there are so many items, no longer than so long, and not if nothing more will come.
    pub async fn wait_for_more(&self, items: u64, most: Duration) {
        let full = async {
            while self.account().waiting < items && !self.is_closed() {
                self.filled.notified().await;
            }
        };
        // Either is a reason to go on.
        drop(timeout(most, full).await);
    }

    /// Waits until nothing more will come. For one that waits.
    pub async fn wait_for_close(&self) {
        while !self.is_closed() {
            self.closed.notified().await;
        }
    }

    /// Takes what has waited longest, up to so many items and bytes, and one parcel at least if there is one. It still
    /// counts as waiting, until its [`Sending`] says what became of it.
    pub fn take(&self, most_items: u64, most_bytes: u64) -> Sending<'_, P> {
        let mut inner = self.inner();
        let (mut parcels, mut items, mut bytes) = (Vec::new(), 0, 0);
        while let Some(next) = inner.waiting.front() {
            let (more, larger) = (next.items, next.len());
            if !parcels.is_empty() && (items + more > most_items || bytes + larger > most_bytes) {
                break;
            }
            items += more;
            bytes += larger;
            parcels.extend(inner.waiting.pop_front());
        }
        Sending {
            outbox: self,
            parcels,
            items,
            bytes,
        }
    }

    /// Takes nothing more in.
    pub fn close(&self) {
        self.inner().is_closed = true;
        self.filled.notify_one();
        self.closed.notify_one();
    }

    /// Whether it takes nothing more in.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inner().is_closed
    }

    fn inner(&self) -> MutexGuard<'_, Inner<P>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Copy)]
enum Outcome {
    Sent,
    Lost(OtlpLoss),
}

impl<P> Inner<P> {
    fn settle(&mut self, items: u64, bytes: u64, outcome: Outcome) {
        self.account.waiting -= items;
        self.bytes -= bytes;
        match outcome {
            Outcome::Sent => self.account.sent += items,
            Outcome::Lost(reason) => self.account.lost[reason as usize] += items,
        }
    }
}

/// What is being sent. Dropped before anybody said what became of it, it is lost to the daemon's end.
#[derive(Debug)]
pub struct Sending<'a, P: Parcel> {
    outbox: &'a Outbox<P>,
    parcels: Vec<Packed<P>>,
    items: u64,
    bytes: u64,
}

impl<P: Parcel> Sending<'_, P> {
    /// Items in it that are not settled.
    #[must_use]
    pub const fn items(&self) -> u64 {
        self.items
    }

    /// One request of all of it; nothing from then on.
    pub fn request(&mut self) -> Bytes {
        let parcels = mem::take(&mut self.parcels);
        request_of(&parcels)
    }

    /// What is to be sent.
    #[cfg(test)]
    #[must_use]
    pub fn parcels(&self) -> Vec<P> {
        let decoded = |of: &Packed<P>| P::decode(&*of.bytes).unwrap_or_default();
        self.parcels.iter().map(decoded).collect()
    }

    /// The collector took all but `rejected` of it.
    pub fn sent(mut self, rejected: u64) {
        let rejected = rejected.min(self.items);
        let mut inner = self.outbox.inner();
        inner.settle(rejected, 0, Outcome::Lost(OtlpLoss::Rejected));
        inner.settle(self.items - rejected, self.bytes, Outcome::Sent);
        drop(inner);
        self.items = 0;
        self.bytes = 0;
    }

    /// It is lost.
    pub fn lost(mut self, reason: OtlpLoss) {
        self.lose(reason);
    }

    fn lose(&mut self, reason: OtlpLoss) {
        let (items, bytes) = (mem::take(&mut self.items), mem::take(&mut self.bytes));
        let mut inner = self.outbox.inner();
        inner.settle(items, bytes, Outcome::Lost(reason));
    }
}

impl<P: Parcel> Drop for Sending<'_, P> {
    fn drop(&mut self) {
        self.lose(OtlpLoss::Shutdown);
    }
}

/// The field that a request's parcels are in, whatever they are of.
const PARCELS: u32 = 1;

/// The message that has these messages in it: so a request needs not be decoded to be made.
fn request_of<P>(parcels: &[Packed<P>]) -> Bytes {
    let mut request = Vec::new();
    for parcel in parcels {
        encode_key(PARCELS, WireType::LengthDelimited, &mut request);
        encode_varint(parcel.bytes.len() as u64, &mut request);
        request.extend_from_slice(&parcel.bytes);
    }
    request.into()
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::{
        collector::trace::v1::ExportTraceServiceRequest,
        trace::v1::{ScopeSpans, Span},
    };
    use prost::Message as _;

    use super::*;

    fn spans(count: usize) -> ResourceSpans {
        ResourceSpans {
            scope_spans: vec![ScopeSpans {
                spans: vec![Span::default(); count],
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }
    }

    fn outbox(items: u64, when_full: WhenFull) -> Outbox<ResourceSpans> {
        Outbox::new(Bounds {
            items,
            bytes: 1 << 20,
            when_full,
        })
    }

    fn is_settled(account: &OtlpAccount) -> bool {
        account.put == account.sent + account.waiting + account.lost.iter().sum::<u64>()
    }

    #[test]
    fn what_finds_no_room_is_counted_and_what_waits_stays() {
        let outbox = outbox(5, WhenFull::DropNew);
        for count in [3, 4, 2] {
            outbox.put(spans(count));
        }
        let account = outbox.account();
        assert_eq!((account.waiting, account.lost[0], account.put), (5, 4, 9));
        let sending = outbox.take(10, 1 << 20);
        assert_eq!(sending.parcels().len(), 2);
        outbox.put(spans(1));
        assert_eq!(
            outbox.account().lost[0],
            5,
            "what is being sent still waits"
        );
        sending.sent(2);
        let account = outbox.account();
        assert_eq!((account.sent, account.lost[2], account.waiting), (3, 2, 0));
        assert!(is_settled(&account));
    }

    #[test]
    fn what_is_tried_again_is_counted_when_it_has_found_room() {
        let outbox = outbox(2, WhenFull::DropNew);
        assert!(outbox.put(spans(2)));
        for _ in 0..3 {
            assert!(!outbox.try_put(spans(1)));
        }
        assert_eq!(outbox.account().put, 2);
        outbox.take(u64::MAX, u64::MAX).sent(0);
        assert!(outbox.try_put(spans(1)));
        let account = outbox.account();
        assert_eq!((account.put, account.waiting), (3, 1));
        outbox.close();
        assert!(!outbox.try_put(spans(1)));
        assert!(is_settled(&outbox.account()));
    }

    #[test]
    fn a_request_is_the_message_that_collectors_know() {
        let outbox = outbox(100, WhenFull::DropNew);
        for count in [1, 3] {
            outbox.put(spans(count));
        }
        let request = outbox.take(100, 1 << 20).request();
        let resource_spans = vec![spans(1), spans(3)];
        let expected = ExportTraceServiceRequest { resource_spans };
        assert_eq!(
            ExportTraceServiceRequest::decode(request).unwrap(),
            expected
        );
        assert_eq!(outbox.take(100, 1 << 20).request(), Bytes::new());
    }

    #[test]
    fn what_can_never_fit_takes_nobodys_place() {
        let outbox = outbox(4, WhenFull::DropOldest);
        for count in [2, 5, 1] {
            outbox.put(spans(count));
        }
        assert_eq!((outbox.account().waiting, outbox.account().lost[0]), (3, 5));
    }

    #[test]
    fn the_oldest_gives_way_where_it_is_worth_least() {
        let outbox = outbox(4, WhenFull::DropOldest);
        for count in [2, 1, 3] {
            outbox.put(spans(count));
        }
        let sending = outbox.take(10, 1 << 20);
        let counts: Vec<_> = sending.parcels().iter().map(Parcel::items).collect();
        assert_eq!(counts, [1, 3]);
        outbox.put(spans(9));
        sending.lost(OtlpLoss::GaveUp);
        let account = outbox.account();
        assert_eq!((account.lost[0], account.lost[3]), (11, 4));
        assert!(is_settled(&account));
    }

    #[test]
    fn one_request_has_no_more_than_it_may_and_what_is_dropped_is_told() {
        let outbox = outbox(100, WhenFull::DropNew);
        for count in [6, 3, 3] {
            outbox.put(spans(count));
        }
        assert_eq!(outbox.take(5, 1 << 20).items(), 6, "one at least");
        assert_eq!(outbox.account().lost[OtlpLoss::Shutdown as usize], 6);
        outbox.take(4, 1 << 20).sent(0);
        outbox.close();
        outbox.put(spans(1));
        let account = outbox.account();
        assert_eq!((account.sent, account.waiting, account.lost[4]), (3, 3, 7));
        assert!(is_settled(&account));
    }
}
