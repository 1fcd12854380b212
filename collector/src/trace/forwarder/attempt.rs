//! Sockets that cannot be listened on yet.
//!
//! In: places where agents may come. Out: sockets that are listened on, each as soon as it can be. Never here: an error
//! that the log is told of twice.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use tokio::time::{Instant, sleep};

use super::{Accepting, Forwarder, ListenError, Listener};
use crate::error_chain;

/// How often each is tried: a kernel's module, a directory or a port may come later.
const RETRY: Duration = Duration::from_secs(10);

/// The most errors of one place that are remembered as told.
const MAX_TOLD: usize = 16;

/// Where agents may come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A port of `AF_VSOCK`.
    Vsock {
        /// Of this host's; any when `None`.
        cid: Option<u32>,
        /// Which.
        port: u32,
    },
    /// Beside the socket of a virtual machine's monitor.
    Hybrid {
        /// The monitor's.
        socket_path: PathBuf,
        /// Which port of the host its guest connects to.
        port: u32,
    },
}

/// A place that is not listened on yet.
#[derive(Debug)]
pub(super) struct Attempt {
    place: Place,
    due: Instant,
    told: BTreeSet<String>,
}

/// Listens on all of these, and tries those again that fail; ends when none is left.
pub async fn listen_on(places: Vec<Place>, forwarder: &Forwarder) {
    let mut left: Vec<_> = places.into_iter().map(Attempt::new).collect();
    loop {
        let mut failed = Vec::new();
        for mut attempt in left {
            if attempt.listen(forwarder).await.is_none() {
                failed.push(attempt);
            }
        }
        if failed.is_empty() {
            return;
        }
        left = failed;
        sleep(RETRY).await;
    }
}

impl Place {
    async fn listener(&self) -> Result<Listener, ListenError> {
        match self {
            Self::Vsock { cid, port } => Listener::vsock(*cid, *port),
            Self::Hybrid { socket_path, port } => Listener::hybrid(socket_path, *port).await,
        }
    }
}

impl Attempt {
    /// It can be made at once.
    pub(super) fn new(place: Place) -> Self {
        Self {
            place,
            due: Instant::now(),
            told: BTreeSet::new(),
        }
    }

    /// Tries, if it is time to.
    pub(super) async fn listen(&mut self, forwarder: &Forwarder) -> Option<Accepting> {
        if Instant::now() < self.due {
            return None;
        }
        match self.place.listener().await {
            Ok(listener) => Some(forwarder.listen(listener)),
            Err(error) => {
                self.due = Instant::now() + RETRY;
                let text = error_chain(&error);
                if self.is_new(&text) {
                    let seconds = RETRY.as_secs();
                    tracing::warn!("{text}; it is tried again every {seconds} s");
                }
                None
            }
        }
    }

    fn is_new(&mut self, text: &str) -> bool {
        self.told.len() < MAX_TOLD && self.told.insert(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::net::{UnixListener, UnixStream},
    };

    use super::*;
    use crate::trace::forwarder::{hybrid_path, tests::forwarder};

    const PORT: u32 = 9;

    #[tokio::test(start_paused = true)]
    async fn a_place_is_listened_on_once_it_is_there_and_nobody_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let [ready, later, held] =
            ["ready", "later/there", "held"].map(|of| folder.path().join(of));
        let holder = UnixListener::bind(hybrid_path(&held, PORT)).unwrap();
        let (forwarder, tally) = forwarder();
        let places = [&ready, &later, &held].map(|path| Place::Hybrid {
            socket_path: path.clone(),
            port: PORT,
        });
        let sockets = || tally.figures().sockets;
        let changes = async {
            sleep(RETRY * 3).await;
            assert_eq!(sockets(), 1, "one was there at once");
            fs::create_dir(later.parent().unwrap()).unwrap();
            sleep(RETRY * 2).await;
            assert_eq!(sockets(), 2);
            drop(holder);
        };
        let both = async { tokio::join!(listen_on(places.to_vec(), &forwarder), changes) };
        let ended = tokio::time::timeout(RETRY * 10, both).await;
        assert!(ended.is_ok(), "all are listened on");
        for path in [&ready, &later, &held] {
            assert!(UnixStream::connect(hybrid_path(path, PORT)).is_ok());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_log_is_told_once_of_each_error() {
        let folder = tempfile::tempdir().unwrap();
        let socket_path = folder.path().join("later/there");
        let (forwarder, _) = forwarder();
        let mut attempt = Attempt::new(Place::Hybrid {
            socket_path: socket_path.clone(),
            port: PORT,
        });
        for _ in 0..3 {
            assert!(attempt.listen(&forwarder).await.is_none());
            sleep(RETRY).await;
        }
        assert_eq!(attempt.told.len(), 1, "{:?}", attempt.told);
        assert!(!attempt.is_new(&attempt.told.first().unwrap().clone()));
        fs::create_dir(socket_path.parent().unwrap()).unwrap();
        fs::write(hybrid_path(&socket_path, PORT), "precious").unwrap();
        assert!(attempt.listen(&forwarder).await.is_none());
        assert_eq!(attempt.told.len(), 2, "{:?}", attempt.told);
        fs::remove_file(hybrid_path(&socket_path, PORT)).unwrap();
        assert!(attempt.listen(&forwarder).await.is_none(), "it is not due");
        sleep(RETRY).await;
        assert!(attempt.listen(&forwarder).await.is_some());
    }
}
