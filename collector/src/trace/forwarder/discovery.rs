//! The sockets of virtual machines that come and go, at the places where Kata puts them.
//!
//! In: directories below the host's `/`. Out: sockets to listen beside, and those that are gone. Never here: a socket
//! that is opened.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Accepting, Forwarder, Place, attempt::Attempt};
use crate::catalog::runtimes::told_json::is_id;

/// Where there is a directory for each sandbox, and a monitor's socket in it: Cloud Hypervisor's, Firecracker's, and
/// those that the shim in Rust starts.
const PLACES: [(&str, &str); 5] = [
    ("run/vc/vm", "clh.sock"),
    ("run/vc/firecracker", "root/kata.hvsock"),
    ("run/kata", "root/kata.hvsock"),
    ("run/kata", "ch-vm.sock"),
    ("run/kata/firecracker", "root/kata.hvsock"),
];

/// The most sandboxes that are listened for.
pub(super) const MAX_SANDBOXES: usize = 1024;

/// How often is looked. An agent connects when its kernel has booted, and not twice.
const INTERVAL: Duration = Duration::from_millis(100);

/// Listens for each sandbox while it is there.
#[derive(Debug)]
pub struct Discovery {
    host_root: PathBuf,
    port: u32,
    sockets: BTreeMap<PathBuf, Socket>,
}

#[derive(Debug)]
enum Socket {
    Listening(Accepting),
    Missing(Attempt),
}

impl Discovery {
    /// Of the host whose `/` is there.
    #[must_use]
    pub const fn new(host_root: PathBuf, port: u32) -> Self {
        Self {
            host_root,
            port,
            sockets: BTreeMap::new(),
        }
    }

    /// Looks again and again; never ends.
    pub async fn run(mut self, forwarder: &Forwarder) {
        loop {
            self.look(forwarder).await;
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Looks once. Where it cannot look, what was there stays.
    pub async fn look(&mut self, forwarder: &Forwarder) {
        let (there, unseen) = sockets(&self.host_root);
        self.sockets.retain(|path, socket| {
            let is_unseen = || unseen.iter().any(|directory| path.starts_with(directory));
            let stays = there.contains(path) || is_unseen();
            if !stays && let Socket::Listening(accepting) = socket {
                // What its agent said last may not be read yet.
                accepting.end();
            }
            stays
        });
        for path in there {
            let socket = self.sockets.entry(path).or_insert_with_key(|path| {
                Socket::Missing(Attempt::new(Place::Hybrid {
                    socket_path: path.clone(),
                    port: self.port,
                }))
            });
            if let Socket::Missing(attempt) = socket
                && let Some(accepting) = attempt.listen(forwarder).await
            {
                *socket = Socket::Listening(accepting);
            }
        }
    }
}

/// The sockets that are there, and the directories that cannot be looked into.
fn sockets(host_root: &Path) -> (BTreeSet<PathBuf>, Vec<PathBuf>) {
    let (mut there, mut unseen) = (BTreeSet::new(), Vec::new());
    for (directory, socket) in PLACES {
        let directory = host_root.join(directory);
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    unseen.push(directory);
                }
                continue;
            }
        };
        let sockets = entries.filter_map(Result::ok).filter_map(|entry| {
            let is_sandbox = entry.file_name().to_str().is_some_and(is_id);
            let path = entry.path().join(socket);
            let is_socket =
                fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.file_type().is_socket());
            (is_sandbox && is_socket).then_some(path)
        });
        there.extend(sockets.take(MAX_SANDBOXES - there.len()));
    }
    (there, unseen)
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        os::unix::net::{UnixListener, UnixStream},
    };

    use super::*;
    use crate::trace::forwarder::{hybrid_path, tests::forwarder};

    const PORT: u32 = 9;

    fn monitor(root: &Path, socket: &str) -> PathBuf {
        let path = root.join(socket);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        drop(UnixListener::bind(&path).unwrap());
        path
    }

    fn takes_spans(socket: &Path) -> bool {
        UnixStream::connect(hybrid_path(socket, PORT)).is_ok()
    }

    #[tokio::test]
    async fn sandboxes_are_listened_for_while_they_are_there_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let (forwarder, tally) = forwarder();
        let mut discovery = Discovery::new(root.to_owned(), PORT);
        discovery.look(&forwarder).await;
        assert!(discovery.sockets.is_empty(), "there is no such place yet");
        let sockets = [
            "run/vc/vm/a/clh.sock",
            "run/vc/firecracker/b/root/kata.hvsock",
            "run/kata/c/root/kata.hvsock",
            "run/kata/d/ch-vm.sock",
        ]
        .map(|socket| monitor(root, socket));
        let others = [
            monitor(root, "run/vc/vm/a/other.sock"),
            monitor(root, "run/vc/vm/e f/clh.sock"),
        ];
        fs::create_dir(root.join("run/vc/vm/g")).unwrap();
        fs::write(root.join("run/vc/vm/g/clh.sock"), "a file").unwrap();
        // In the way of one: the others are listened for, and it stays.
        let taken = monitor(root, "run/vc/vm/h/clh.sock");
        fs::write(root.join("run/vc/vm/h/clh.sock_9"), "precious").unwrap();
        for _ in 0..2 {
            discovery.look(&forwarder).await;
        }
        assert!(sockets.iter().all(|socket| takes_spans(socket)));
        assert!(!others.iter().chain([&taken]).any(|of| takes_spans(of)));
        tokio::task::yield_now().await;
        assert_eq!(tally.figures().sockets, 4);
        let left = fs::read_to_string(root.join("run/vc/vm/h/clh.sock_9"));
        assert_eq!(left.unwrap(), "precious");

        fs::remove_file(&sockets[0]).unwrap();
        discovery.look(&forwarder).await;
        while tally.figures().sockets == 4 {
            tokio::task::yield_now().await;
        }
        assert!(!takes_spans(&sockets[0]) && takes_spans(&sockets[1]));
        // One that comes again is another.
        monitor(root, "run/vc/vm/a/clh.sock");
        discovery.look(&forwarder).await;
        assert!(takes_spans(&sockets[0]));
        // What is in the way no more is not for ever.
        fs::remove_file(root.join("run/vc/vm/h/clh.sock_9")).unwrap();
        discovery.look(&forwarder).await;
        assert!(!takes_spans(&taken), "it was tried a moment ago");
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(10)).await;
        discovery.look(&forwarder).await;
        assert!(takes_spans(&taken));
    }

    #[tokio::test]
    async fn where_nobody_can_look_what_was_there_stays_and_other_places_are_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let (forwarder, tally) = forwarder();
        let mut discovery = Discovery::new(root.to_owned(), PORT);
        let known = monitor(root, "run/vc/vm/a/clh.sock");
        fs::write(root.join("run/vc/firecracker"), "no directory").unwrap();
        discovery.look(&forwarder).await;
        assert!(takes_spans(&known));
        fs::rename(root.join("run/vc/vm"), root.join("run/vc/moved")).unwrap();
        fs::write(root.join("run/vc/vm"), "no directory").unwrap();
        discovery.look(&forwarder).await;
        tokio::task::yield_now().await;
        assert_eq!((discovery.sockets.len(), tally.figures().sockets), (1, 1));
        fs::remove_file(root.join("run/vc/vm")).unwrap();
        discovery.look(&forwarder).await;
        assert!(discovery.sockets.is_empty());
    }

    #[tokio::test]
    async fn what_an_agent_said_before_its_sandbox_went_is_read_to_the_end() {
        const EACH: u64 = 50;
        let span = include_str!("fixtures/kata-agent-spans.jsonl")
            .lines()
            .next()
            .unwrap();
        let mut frame = (span.len() as u64).to_be_bytes().to_vec();
        frame.extend_from_slice(span.as_bytes());
        let folder = tempfile::tempdir().unwrap();
        let (forwarder, tally) = forwarder();
        let mut discovery = Discovery::new(folder.path().to_owned(), PORT);
        let socket = monitor(folder.path(), "run/vc/vm/a/clh.sock");
        discovery.look(&forwarder).await;
        let agent = || UnixStream::connect(hybrid_path(&socket, PORT)).unwrap();
        let figures_soon = async |is_so: &dyn Fn() -> bool| {
            let soon = Duration::from_secs(20);
            let so = async {
                while !is_so() {
                    tokio::task::yield_now().await;
                }
            };
            let waited = tokio::time::timeout(soon, so).await;
            assert!(waited.is_ok(), "{:?}", tally.figures());
        };
        // One that is read already, and one that the forwarder has not accepted when its monitor goes.
        let mut known = agent();
        known.write_all(&frame).unwrap();
        figures_soon(&|| tally.figures().spans == 1).await;
        let mut late = agent();
        for _ in 0..EACH {
            known.write_all(&frame).unwrap();
            late.write_all(&frame).unwrap();
        }
        drop(late);
        fs::remove_file(&socket).unwrap();
        discovery.look(&forwarder).await;
        figures_soon(&|| tally.figures().sockets == 0).await;
        assert!(!takes_spans(&socket));
        figures_soon(&|| tally.figures().spans == 2 * EACH + 1).await;
        // It may even go on.
        known.write_all(&frame).unwrap();
        drop(known);
        figures_soon(&|| tally.figures().open == 0).await;
        let figures = tally.figures();
        assert_eq!((figures.accepted, figures.spans), (2, 2 * EACH + 2));
        assert_eq!(figures.errors.iter().sum::<u64>(), 0);
        // What is left ends with the forwarder.
        let socket = monitor(folder.path(), "run/vc/vm/b/clh.sock");
        discovery.look(&forwarder).await;
        let _silent = UnixStream::connect(hybrid_path(&socket, PORT)).unwrap();
        figures_soon(&|| tally.figures().open == 1).await;
        drop(forwarder);
        figures_soon(&|| (tally.figures().open, tally.figures().sockets) == (0, 0)).await;
    }
}
