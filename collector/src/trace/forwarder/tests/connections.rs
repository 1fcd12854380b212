//! Guests that say what they like, connected by hand.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use opentelemetry_proto::tonic::{common::v1::any_value::Value, trace::v1::ResourceSpans};
use tokio::{
    io::{AsyncWriteExt as _, DuplexStream, duplex},
    sync::Semaphore,
    task::JoinHandle,
};

use super::FIXTURES;
use crate::{
    export::otlp::{Bounds, Outbox, OwnResource, WhenFull},
    reconcile::forwarding::AgentError,
    trace::forwarder::{
        connection::{Connection, GuestFailure, LARGE_FRAMES, PERMIT, Shared},
        guest::{Known, NoSandboxes, Said},
        peers::{Peer, Peers},
        sink::SpanSink,
        tally::Tally,
    },
};

fn framed(payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u64).to_be_bytes().to_vec();
    frame.extend_from_slice(payload);
    frame
}

/// A forwarder's inside, to which guests are connected by hand.
struct Bench {
    peers: Arc<Peers>,
    shared: Arc<Shared>,
    outbox: Arc<Outbox<ResourceSpans>>,
}

type Ended = JoinHandle<Result<(), GuestFailure>>;

impl Bench {
    fn new() -> Self {
        let outbox = Arc::new(Outbox::new(Bounds {
            items: 100_000,
            bytes: 1 << 30,
            when_full: WhenFull::DropNew,
        }));
        let shared = Shared {
            said: Said::new("kata-agent", &Arc::new(OwnResource::default())),
            sandboxes: Arc::new(NoSandboxes),
            sink: SpanSink::to_collector(Arc::clone(&outbox)),
            large_frames: Arc::new(Semaphore::new(LARGE_FRAMES / PERMIT)),
        };
        Self {
            peers: Arc::new(Peers::new(Arc::new(Tally::default()))),
            shared: Arc::new(shared),
            outbox,
        }
    }

    fn connect(&self, cid: u32) -> (DuplexStream, Ended) {
        let (guest, host) = duplex(64 << 10);
        let admitted = self.peers.admit(&Peer::Cid(cid)).unwrap();
        let shared = Arc::clone(&self.shared);
        let ended = tokio::spawn(async move {
            let known = Known {
                cid: Some(cid),
                ..Known::default()
            };
            let connection = Connection {
                shared: &shared,
                admitted: &admitted,
                known,
                looked: None,
            };
            connection.read(host).await
        });
        (guest, ended)
    }

    fn spans(&self) -> u64 {
        self.outbox.account().waiting
    }
}

async fn kind_of(ended: Ended) -> Option<AgentError> {
    ended.await.unwrap().err().map(|failure| failure.kind())
}

#[tokio::test(start_paused = true)]
async fn a_silent_agent_is_left_alone_and_half_a_frame_is_not_waited_for() {
    let bench = Bench::new();
    let frame = framed(FIXTURES.lines().next().unwrap().as_bytes());
    let (mut silent, silent_ended) = bench.connect(3);
    silent.write_all(&frame).await.unwrap();
    let halves = [3, 8, 100].map(|cut| (cut, bench.connect(4)));
    for (cut, (mut guest, ended)) in halves {
        guest.write_all(&frame[..cut]).await.unwrap();
        assert_eq!(kind_of(ended).await, Some(AgentError::Timeout), "at {cut}");
    }
    // A byte now and then is not enough.
    let (mut trickle, ended) = bench.connect(5);
    for byte in &frame {
        if trickle.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    assert_eq!(kind_of(ended).await, Some(AgentError::Timeout));
    tokio::time::sleep(Duration::from_hours(24)).await;
    silent.write_all(&frame).await.unwrap();
    drop(silent);
    assert_eq!(kind_of(silent_ended).await, None);
    assert_eq!(bench.spans(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_hostile_guest_is_disconnected_and_what_it_said_before_counts() {
    let bench = Bench::new();
    let frame = framed(FIXTURES.lines().next().unwrap().as_bytes());
    let (mut good, good_ended) = bench.connect(3);
    for (rest, expected) in [
        ((1_u64 << 63).to_be_bytes().to_vec(), AgentError::BadLength),
        (vec![0; 8], AgentError::BadLength),
        (framed(b"not json"), AgentError::Malformed),
        (framed(&[0xff; 4096]), AgentError::Malformed),
        (
            framed("[".repeat(1 << 20).as_bytes()),
            AgentError::Malformed,
        ),
    ] {
        let before = bench.spans();
        let (mut guest, ended) = bench.connect(4);
        guest.write_all(&frame).await.unwrap();
        // It may be disconnected before it has said all.
        drop(guest.write_all(&rest).await);
        drop(guest.write_all(&frame).await);
        assert_eq!(kind_of(ended).await, Some(expected));
        assert_eq!(bench.spans(), before + 1);
    }
    for cut in [20, 7] {
        let (mut guest, ended) = bench.connect(5);
        guest.write_all(&frame[..cut]).await.unwrap();
        drop(guest);
        assert_eq!(kind_of(ended).await, Some(AgentError::Truncated));
    }
    let before = bench.spans();
    good.write_all(&frame).await.unwrap();
    drop(good);
    assert_eq!(kind_of(good_ended).await, None);
    assert_eq!(bench.spans(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_read_is_given_on_before_anything_is_waited_for() {
    let bench = Bench::new();
    let frame = framed(FIXTURES.lines().next().unwrap().as_bytes());
    // Another connection of the same guest has the turn for large frames, and keeps it.
    let busy = bench.peers.admit(&Peer::Cid(3)).unwrap();
    let turn = busy.turn().await;
    let (mut guest, ended) = bench.connect(3);
    let spaces = " ".repeat(100_000);
    let large = framed((FIXTURES.lines().next().unwrap().to_owned() + &spaces).as_bytes());
    let bytes = [frame.as_slice(), &frame, &large].concat();
    guest.write_all(&bytes[..10_000]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(bench.spans(), 2);
    drop(turn);
    guest.write_all(&bytes[10_000..]).await.unwrap();
    drop(guest);
    assert_eq!(kind_of(ended).await, None);
    assert_eq!(bench.spans(), 3);
}

#[tokio::test(start_paused = true)]
async fn frames_of_guests_that_speak_at_once_are_not_mixed_up() {
    let bench = Bench::new();
    let frames: Vec<_> = FIXTURES.lines().map(|of| framed(of.as_bytes())).collect();
    let mut guests: Vec<_> = (3..19).map(|cid| bench.connect(cid)).collect();
    let longest = frames.iter().map(Vec::len).max().unwrap();
    for piece in 0..longest.div_ceil(11) {
        for (at, (guest, _)) in guests.iter_mut().enumerate() {
            let frame = &frames[at % 2];
            let from = (piece * 11).min(frame.len());
            let to = (from + 11).min(frame.len());
            guest.write_all(&frame[from..to]).await.unwrap();
        }
        tokio::task::yield_now().await;
    }
    for (guest, ended) in guests {
        drop(guest);
        assert_eq!(kind_of(ended).await, None);
    }
    let sending = bench.outbox.take(u64::MAX, u64::MAX);
    let mut seen = BTreeMap::new();
    for parcel in sending.parcels() {
        let attributes = parcel.resource.unwrap().attributes;
        let cid = attributes.iter().find(|of| of.key == "cgscope.vsock.cid");
        let Some(Value::IntValue(cid)) = cid.unwrap().value.clone().unwrap().value else {
            panic!("no CID");
        };
        for span in &parcel.scope_spans[0].spans {
            seen.insert(cid, span.name.clone());
        }
    }
    let name = |cid| {
        if cid % 2 == 1 {
            "rpc_create_container"
        } else {
            "root-span"
        }
    };
    let expected: BTreeMap<_, _> = (3..19).map(|cid| (cid, name(cid).to_owned())).collect();
    assert_eq!(seen, expected);
}
