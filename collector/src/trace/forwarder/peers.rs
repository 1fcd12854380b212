//! How much each guest may have: connections, and spans a second.
//!
//! In: who connects, and what was read. Out: whether it is taken, and how long the next read waits. Never here: a socket.
//!
//! A guest that sends more than its share is read more slowly, and its agent waits: nothing is lost for that on the host,
//! and the guest takes neither the CPU nor the queue from others.

use std::{
    collections::HashMap,
    fmt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{discovery::MAX_SANDBOXES, tally::Tally};
use crate::reconcile::forwarding::AgentError;

/// The most connections of one guest. Its agent makes one, once in its life.
const MAX_CONNECTIONS_OF_ONE: usize = 8;

/// The most connections of all guests, beyond the first of each: that one is the guest's own, so that others cannot
/// have its place however long they stay. What a common process may have open (1,024 files) has room for these.
const MAX_FURTHER: usize = 256;

/// The most guests that are known: those with a connection, and those that have not earned back yet what they spent.
const MAX_GUESTS: usize = 4096;

// The agent of each sandbox that is listened for must be heard.
const _: () = assert!(MAX_GUESTS > MAX_SANDBOXES);

/// What a guest may spend: a span costs one, and one more for each [`BYTES_OF_ONE`] of its frame.
const BURST: f64 = 16_384.0;

/// What comes back of it each second.
const PER_SECOND: f64 = 4_096.0;

/// Bytes of a frame that cost as much as a span.
const BYTES_OF_ONE: usize = 4_096;

/// How often the log is told of one guest.
const TELL_AGAIN: Duration = Duration::from_secs(10);

/// What a connection costs: whose it is is looked up.
const CONNECTION: f64 = 400.0;

/// Who connects: as the kernel says, not the guest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// A guest, by its context id.
    Cid(u32),
    /// Who uses this socket: the monitor of one virtual machine.
    Socket(Arc<Path>),
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cid(cid) => write!(formatter, "the guest with the CID {cid}"),
            Self::Socket(path) => write!(
                formatter,
                "the guest at {}",
                path.display().to_string().escape_debug()
            ),
        }
    }
}

/// All guests.
#[derive(Debug, Default)]
pub(super) struct Peers {
    inner: Mutex<Inner>,
    pub(super) tally: Arc<Tally>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Connections beyond the first of each guest.
    further: usize,
    shares: HashMap<Peer, Share>,
}

#[derive(Debug)]
struct Share {
    connections: usize,
    /// What it may spend; below zero it waits.
    left: f64,
    at: Instant,
    /// For its large frames, one after the other: else few guests could have all that there is for such.
    large: Arc<Semaphore>,
    /// When the log was told of it last.
    told: Option<Instant>,
}

/// A connection that was taken; it counts until it is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    peers: Arc<Peers>,
    peer: Peer,
}

impl Peers {
    /// Counts there.
    pub(super) fn new(tally: Arc<Tally>) -> Self {
        Self {
            inner: Mutex::default(),
            tally,
        }
    }

    /// Takes a connection, or says that there are too many.
    pub(super) fn admit(self: &Arc<Self>, peer: &Peer) -> Result<Admitted, AgentError> {
        let now = Instant::now();
        let mut inner = self.inner();
        if inner.shares.len() >= MAX_GUESTS {
            inner.shares.retain(|_, share| {
                share.earn(now);
                share.connections > 0 || share.left < BURST
            });
        }
        let known = inner.shares.get(peer);
        let is_first = known.is_none_or(|share| share.connections == 0);
        let has_room = if is_first {
            known.is_some() || inner.shares.len() < MAX_GUESTS
        } else {
            inner.further < MAX_FURTHER
        };
        if !has_room {
            return Err(AgentError::TooManyConnections);
        }
        let share = inner.shares.entry(peer.clone()).or_insert_with(|| Share {
            connections: 0,
            left: BURST,
            at: now,
            large: Arc::new(Semaphore::new(1)),
            told: None,
        });
        share.earn(now);
        if share.connections >= MAX_CONNECTIONS_OF_ONE || share.left < CONNECTION {
            return Err(AgentError::TooManyConnections);
        }
        share.left -= CONNECTION;
        share.connections += 1;
        inner.further += usize::from(!is_first);
        drop(inner);
        self.tally.opened();
        Ok(Admitted {
            peers: Arc::clone(self),
            peer: peer.clone(),
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    fn earn(&mut self, now: Instant) {
        let seconds = now.duration_since(self.at).as_secs_f64();
        self.left = (self.left + seconds * PER_SECOND).min(BURST);
        self.at = now;
    }
}

impl Admitted {
    /// Where what comes of it is counted.
    pub(super) fn tally(&self) -> &Tally {
        &self.peers.tally
    }

    /// Who it is.
    pub(super) const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Whether the log may be told of the guest: not as often as that may do something wrong.
    pub(super) fn may_tell(&self) -> bool {
        let now = Instant::now();
        let mut inner = self.peers.inner();
        let share = inner.shares.get_mut(&self.peer);
        share.is_some_and(|share| {
            let may = share
                .told
                .is_none_or(|told| now.duration_since(told) >= TELL_AGAIN);
            if may {
                share.told = Some(now);
            }
            may
        })
    }

    /// Waits for the guest's turn to send a large frame, which lasts until what is returned is dropped.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        let large = {
            let inner = self.peers.inner();
            Arc::clone(&inner.shares.get(&self.peer)?.large)
        };
        // It is never closed.
        large.acquire_owned().await.ok()
    }

    /// Pays for a frame, and says how long to wait before the next.
    pub(super) fn pay(&self, bytes: usize) -> Duration {
        let mut inner = self.peers.inner();
        let Some(share) = inner.shares.get_mut(&self.peer) else {
            return Duration::ZERO;
        };
        share.earn(Instant::now());
        let cost = u32::try_from(1 + bytes / BYTES_OF_ONE).unwrap_or(u32::MAX);
        share.left -= f64::from(cost);
        Duration::from_secs_f64((-share.left / PER_SECOND).max(0.0))
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut inner = self.peers.inner();
        if let Some(share) = inner.shares.get_mut(&self.peer) {
            share.connections -= 1;
            let was_last = share.connections == 0;
            inner.further -= usize::from(!was_last);
        }
        drop(inner);
        self.peers.tally.closed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_guest_takes_no_more_than_its_share_of_connections() {
        let peers = Arc::new(Peers::default());
        let mut of_one: Vec<_> = (0..MAX_CONNECTIONS_OF_ONE)
            .map(|_| peers.admit(&Peer::Cid(3)).unwrap())
            .collect();
        assert!(peers.admit(&Peer::Cid(3)).is_err());
        let other = peers.admit(&Peer::Cid(4));
        assert!(other.is_ok());
        of_one.pop();
        assert!(peers.admit(&Peer::Cid(3)).is_ok());
        drop((of_one, other));
        // Who comes and goes all the time is held up too.
        let count = (0..1000)
            .take_while(|_| peers.admit(&Peer::Cid(3)).is_ok())
            .count();
        assert!((20..40).contains(&count), "{count}");
        tokio::time::advance(Duration::from_secs(4)).await;
        assert!(peers.admit(&Peer::Cid(3)).is_ok());
        assert_eq!(peers.tally.figures().open, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_guest_cannot_fill_the_log_or_take_the_turns_of_others() {
        let peers = Arc::new(Peers::default());
        let [first, second, other] = [3, 3, 4].map(|cid| peers.admit(&Peer::Cid(cid)).unwrap());
        assert!(first.may_tell() && other.may_tell());
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(!first.may_tell() && !second.may_tell());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(second.may_tell() && !first.may_tell());
        let turn = first.turn().await;
        assert!(turn.is_some());
        let wait = Duration::from_secs(9);
        assert!(tokio::time::timeout(wait, second.turn()).await.is_err());
        assert!(tokio::time::timeout(wait, other.turn()).await.is_ok());
        drop(turn);
        assert!(tokio::time::timeout(wait, second.turn()).await.is_ok());
    }

    /// All that a guest is let have.
    fn most_of(peers: &Arc<Peers>, cid: u32) -> Vec<Admitted> {
        let of_guest = (0..2 * MAX_CONNECTIONS_OF_ONE).map(|_| peers.admit(&Peer::Cid(cid)));
        of_guest.filter_map(Result::ok).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn guests_that_hold_all_they_can_keep_no_other_from_its_first_connection() {
        let peers = Arc::new(Peers::default());
        let hostile = (0..)
            .take(MAX_SANDBOXES)
            .flat_map(|cid| most_of(&peers, cid));
        let mut hostile: Vec<_> = hostile.collect();
        assert_eq!(hostile.len(), MAX_SANDBOXES + MAX_FURTHER);
        // However long they stay.
        tokio::time::advance(Duration::from_hours(1)).await;
        let late = most_of(&peers, u32::MAX);
        assert_eq!(late.len(), 1, "its own, and no room for more");
        // As much as goes may come: of a guest that keeps one, in any order.
        drop(hostile.swap_remove(0));
        assert_eq!(peers.inner().further, MAX_FURTHER - 1);
        let more = most_of(&peers, u32::MAX);
        assert_eq!(more.len(), 1);
        drop(late);
        assert_eq!(peers.inner().further, MAX_FURTHER - 1);
        drop((hostile, more));
        assert_eq!(peers.inner().further, 0);
        assert_eq!(peers.tally.figures().open, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn guests_are_told_apart_by_their_cid_or_the_socket_of_their_monitor() {
        let peers = Arc::new(Peers::default());
        let socket = |path: &str| Peer::Socket(Path::new(path).into());
        let (one, other) = (socket("/run/vc/vm/a/s"), socket("/run/vc/vm/b/s"));
        let of_one: Vec<_> = (0..MAX_CONNECTIONS_OF_ONE)
            .map(|_| peers.admit(&one).unwrap())
            .collect();
        // The same path is the same guest, whoever has it in hand.
        assert!(peers.admit(&socket("/run/vc/vm/a/s")).is_err());
        assert!(peers.admit(&other).is_ok() && peers.admit(&Peer::Cid(3)).is_ok());
        drop(of_one);
        assert!(peers.admit(&one).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn all_guests_together_have_a_bound() {
        let peers = Arc::new(Peers::default());
        let admitted: Vec<_> = (0..)
            .take(2 * MAX_GUESTS)
            .map_while(|cid| peers.admit(&Peer::Cid(cid)).ok())
            .collect();
        assert_eq!(admitted.len(), MAX_GUESTS);
        drop(admitted);
        for cid in (0..).take(3 * MAX_GUESTS) {
            drop(peers.admit(&Peer::Cid(cid)));
        }
        assert!(peers.inner().shares.len() <= MAX_GUESTS);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(peers.admit(&Peer::Cid(u32::MAX)).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_too_much_waits_and_who_does_not_does_not() {
        let peers = Arc::new(Peers::default());
        let [busy, other] = [3, 4].map(|cid| peers.admit(&Peer::Cid(cid)).unwrap());
        let start = Instant::now();
        for _ in 0..50_000 {
            tokio::time::sleep(busy.pay(1000)).await;
        }
        let took = start.elapsed().as_secs_f64();
        let expected = (50_000.0 - BURST + CONNECTION) / PER_SECOND;
        assert!((took - expected).abs() < 1.0, "{took} s, not {expected}");
        assert_eq!(other.pay(1000), Duration::ZERO);
        // Large frames cost more.
        let waits: Duration = (0..100).map(|_| other.pay(1 << 20)).max().unwrap();
        assert!(waits > Duration::from_secs(1), "{waits:?}");
    }
}
