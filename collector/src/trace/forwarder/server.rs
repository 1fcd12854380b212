//! Takes connections from all sockets at once, each on its own.
//!
//! In: sockets that are listened on. Out: connections that are read until they end. Never here: what is read.

use std::{
    collections::HashMap,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    task::{AbortHandle, JoinSet},
    time::Instant,
};

use super::{
    connection::{Connection, LARGE_FRAMES, PERMIT, Shared},
    guest::{Known, Said, Sandboxes, sandbox_of_socket},
    listen::{Listener, Stream},
    monitor::sandbox_of_cid,
    peers::{Admitted, Peer, Peers},
    sink::SpanSink,
    tally::Tally,
};
use crate::{error_chain, export::otlp::OwnResource, reconcile::forwarding::AgentError};

/// How long nothing is accepted when it fails: there may be no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// How long it is remembered which sandbox a guest is: one that connects again and again costs one look through all
/// processes in that time. A virtual machine takes longer to start, so that nobody else can have its CID.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What a forwarder is made of.
pub struct ForwarderSettings {
    /// The `service.name` of all spans.
    pub trace_name: String,
    /// What is said of the host.
    pub own: Arc<OwnResource>,
    /// Who knows of sandboxes.
    pub sandboxes: Arc<dyn Sandboxes>,
    /// Where the host's processes are.
    pub proc: PathBuf,
    /// Where spans go.
    pub sink: SpanSink,
    /// Where what comes of it is counted.
    pub tally: Arc<Tally>,
}

/// Takes spans from agents. What it has begun ends when it is dropped.
pub struct Forwarder {
    core: Arc<Core>,
    listeners: JoinSet<()>,
}

/// When it was looked for a guest's sandbox, and which was found.
type Seen = (Instant, Option<String>);

struct Core {
    peers: Arc<Peers>,
    shared: Shared,
    proc: PathBuf,
    /// The sandboxes of guests that connected a moment ago, and when they were looked for.
    seen: Mutex<HashMap<u32, Seen>>,
}

impl fmt::Debug for ForwarderSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ForwarderSettings")
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Forwarder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Forwarder").finish_non_exhaustive()
    }
}

impl Forwarder {
    /// Listens nowhere yet.
    #[must_use]
    pub fn new(settings: ForwarderSettings) -> Self {
        let shared = Shared {
            said: Said::new(&settings.trace_name, &settings.own),
            sandboxes: settings.sandboxes,
            sink: settings.sink,
            large_frames: Arc::new(Semaphore::new(LARGE_FRAMES / PERMIT)),
        };
        Self {
            core: Arc::new(Core {
                peers: Arc::new(Peers::new(settings.tally)),
                shared,
                proc: settings.proc,
                seen: Mutex::default(),
            }),
            listeners: JoinSet::new(),
        }
    }

    /// Takes connections from a socket too, until the handle is used.
    pub fn listen(&mut self, listener: Listener) -> AbortHandle {
        while self.listeners.try_join_next().is_some() {}
        tracing::info!("takes spans of Kata's agents at {}", listener.place);
        self.listeners
            .spawn(accept_all(Arc::clone(&self.core), listener))
    }
}

/// Counts a socket for as long as it is listened on.
struct Listening<'a>(&'a Tally);

impl<'a> Listening<'a> {
    fn new(tally: &'a Tally) -> Self {
        tally.listening();
        Self(tally)
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.0.no_longer_listening();
    }
}

async fn accept_all(core: Arc<Core>, listener: Listener) {
    let _listening = Listening::new(&core.peers.tally);
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, peer)) => match core.peers.admit(&peer) {
                Ok(admitted) => {
                    connections.spawn(serve(Arc::clone(&core), stream, peer, admitted));
                }
                Err(error) => core.refused(&peer, error),
            },
            Err(error) => {
                core.peers.tally.error(AgentError::Connection);
                tracing::warn!("cannot accept a connection at {}: {error}", listener.place);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl Core {
    /// The sandbox of a guest: as was seen a moment ago, or by a look through all processes.
    async fn sandbox_of(&self, cid: u32) -> Option<String> {
        {
            let mut seen = self.seen();
            seen.retain(|_, (at, _)| at.elapsed() < LOOK_AGAIN);
            if let Some((_, sandbox)) = seen.get(&cid) {
                return sandbox.clone();
            }
        }
        let proc = self.proc.clone();
        let looked = tokio::task::spawn_blocking(move || sandbox_of_cid(&proc, cid));
        let sandbox = looked.await.ok().flatten();
        self.seen().insert(cid, (Instant::now(), sandbox.clone()));
        sandbox
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<u32, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self, peer: &Peer, error: AgentError) {
        self.peers.tally.error(error);
        tracing::debug!("a connection of {peer} is refused: there are too many");
    }
}

async fn serve(core: Arc<Core>, stream: Stream, peer: Peer, admitted: Admitted) {
    let known = known(&core, &peer).await;
    let connection = Connection {
        shared: &core.shared,
        admitted: &admitted,
        known,
        looked: None,
    };
    if let Err(failure) = connection.read(stream).await {
        core.peers.tally.error(failure.kind());
        let why = error_chain(&failure);
        if admitted.may_tell() {
            tracing::warn!("{peer} is disconnected: {why}");
        } else {
            tracing::debug!("{peer} is disconnected again: {why}");
        }
    }
}

/// What is known of a guest from the first.
async fn known(core: &Arc<Core>, peer: &Peer) -> Known {
    match peer {
        Peer::Socket(path) => Known {
            sandbox: sandbox_of_socket(path),
            ..Known::default()
        },
        Peer::Cid(cid) => {
            let sandbox = core.sandbox_of(*cid).await;
            Known {
                cid: Some(*cid),
                sandbox,
                found: None,
            }
        }
    }
}
