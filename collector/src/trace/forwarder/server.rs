//! Takes connections from all sockets at once, each on its own.
//!
//! In: sockets that are listened on. Out: connections that are read until they end. Never here: what is read.

use std::{
    collections::HashMap,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore},
    task::{JoinHandle, JoinSet},
    time::Instant,
};

use super::{
    connection::{Connection, LARGE_FRAMES, PERMIT, Shared},
    guest::{Known, Said, Sandboxes, sandbox_of_socket},
    listen::{Listener, Stream},
    monitor::sandboxes,
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

/// How long a look may take. Guests are heard all the same, and without their sandboxes.
const LOOK: Duration = Duration::from_secs(5);

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
    /// Of sockets and of connections alike: a connection outlives the socket by which it came.
    tasks: Arc<Mutex<Tasks>>,
}

type Tasks = JoinSet<()>;

/// A socket that is listened on; it goes on being so when this is dropped.
#[derive(Debug)]
pub struct Accepting(Arc<Notify>);

/// The sandboxes that there were, by CID.
type Found = HashMap<u32, Option<String>>;

/// What was seen of the host's processes.
#[derive(Debug, Default)]
struct Seen {
    /// When it was looked last.
    at: Option<Instant>,
    found: Found,
    /// A look that takes too long, and that no other is begun beside.
    hanging: Option<JoinHandle<Found>>,
}

struct Core {
    peers: Arc<Peers>,
    shared: Shared,
    proc: PathBuf,
    /// Guests that connect at once wait for one look.
    seen: tokio::sync::Mutex<Seen>,
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
                seen: tokio::sync::Mutex::default(),
            }),
            tasks: Arc::default(),
        }
    }

    /// Takes connections from a socket too, until that is ended.
    pub fn listen(&self, listener: Listener) -> Accepting {
        tracing::info!("takes spans of Kata's agents at {}", listener.place);
        let end = Arc::new(Notify::new());
        let accept = Accept {
            core: Arc::clone(&self.core),
            tasks: Arc::downgrade(&self.tasks),
        };
        spawn(&self.tasks, accept.all(listener, Arc::clone(&end)));
        Accepting(end)
    }
}

impl Accepting {
    /// Takes no more connections; those that were made before are read to their ends.
    pub fn end(&self) {
        self.0.notify_one();
    }
}

/// Begins something that ends with the forwarder, and forgets what has ended.
fn spawn(tasks: &Mutex<Tasks>, task: impl Future<Output = ()> + Send + 'static) {
    let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
    while tasks.try_join_next().is_some() {}
    tasks.spawn(task);
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

/// One socket's connections.
struct Accept {
    core: Arc<Core>,
    /// Of the forwarder, which is not kept by what it began.
    tasks: Weak<Mutex<Tasks>>,
}

impl Accept {
    async fn all(self, listener: Listener, end: Arc<Notify>) {
        let _listening = Listening::new(&self.core.peers.tally);
        loop {
            let accepted = tokio::select! {
                biased;
                () = end.notified() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer),
                Err(error) => {
                    self.core.peers.tally.error(AgentError::Connection);
                    tracing::warn!("cannot accept a connection at {}: {error}", listener.place);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        // An agent may have connected, said all and gone by now.
        for (stream, peer) in listener.close() {
            self.admit(stream, peer);
        }
    }

    fn admit(&self, stream: Stream, peer: Peer) {
        match self.core.peers.admit(&peer) {
            Ok(admitted) => {
                if let Some(tasks) = self.tasks.upgrade() {
                    let core = Arc::clone(&self.core);
                    spawn(&tasks, serve(core, stream, peer, admitted));
                }
            }
            Err(error) => self.core.refused(&peer, error),
        }
    }
}

impl Core {
    /// The sandbox of a guest: as was seen a moment ago, or by a look through all processes.
    async fn sandbox_of(&self, cid: u32) -> Option<String> {
        let mut seen = self.seen.lock().await;
        let is_new = seen.at.is_some_and(|at| at.elapsed() < LOOK_AGAIN);
        if is_new && let Some(sandbox) = seen.found.get(&cid) {
            return sandbox.clone();
        }
        if let Some(look) = &seen.hanging
            && !look.is_finished()
        {
            return None;
        }
        let proc = self.proc.clone();
        let mut look = tokio::task::spawn_blocking(move || sandboxes(&proc));
        let Ok(found) = tokio::time::timeout(LOOK, &mut look).await else {
            tracing::warn!(
                "to look for the sandboxes of guests takes more than {LOOK:?}: their spans are without"
            );
            seen.hanging = Some(look);
            return None;
        };
        *seen = Seen {
            at: Some(Instant::now()),
            found: found.unwrap_or_default(),
            hanging: None,
        };
        // One that is none is not looked for again and again either.
        seen.found.entry(cid).or_default().clone()
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
