//! The sockets of virtual machines that come and go, at the places where Kata puts them.
//!
//! In: directories below the host's `/`. Out: sockets to listen beside, and those that are gone. Never here: a socket
//! that is opened.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::task::AbortHandle;

use super::{Forwarder, Listener};
use crate::{catalog::runtimes::told_json::is_id, error_chain};

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
const MAX_SANDBOXES: usize = 1024;

/// How often is looked. An agent connects when its kernel has booted, and not twice.
const INTERVAL: Duration = Duration::from_millis(100);

/// Listens for each sandbox while it is there.
#[derive(Debug)]
pub struct Discovery {
    host_root: PathBuf,
    port: u32,
    listening: BTreeMap<PathBuf, Option<AbortHandle>>,
}

impl Discovery {
    /// Of the host whose `/` is there.
    #[must_use]
    pub const fn new(host_root: PathBuf, port: u32) -> Self {
        Self {
            host_root,
            port,
            listening: BTreeMap::new(),
        }
    }

    /// Looks again and again; never ends.
    pub async fn run(mut self, forwarder: &mut Forwarder) {
        loop {
            self.look(forwarder).await;
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Looks once.
    pub async fn look(&mut self, forwarder: &mut Forwarder) {
        let there = sockets(&self.host_root);
        self.listening.retain(|path, handle| {
            let stays = there.contains(path);
            if !stays && let Some(handle) = handle {
                handle.abort();
            }
            stays
        });
        for path in there {
            if self.listening.contains_key(&path) {
                continue;
            }
            let handle = match Listener::hybrid(&path, self.port).await {
                Ok(listener) => Some(forwarder.listen(listener)),
                Err(error) => {
                    // Once: it is tried again when the sandbox is another.
                    tracing::warn!("{}", error_chain(&error));
                    None
                }
            };
            self.listening.insert(path, handle);
        }
    }
}

/// The sockets that are there.
fn sockets(host_root: &Path) -> BTreeSet<PathBuf> {
    let places = PLACES.iter().flat_map(|(directory, socket)| {
        let entries = fs::read_dir(host_root.join(directory))
            .into_iter()
            .flatten();
        let sandboxes = entries.take(MAX_SANDBOXES).filter_map(Result::ok);
        sandboxes.filter_map(move |entry| {
            let is_sandbox = entry.file_name().to_str().is_some_and(is_id);
            let path = entry.path().join(socket);
            let is_socket =
                fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.file_type().is_socket());
            (is_sandbox && is_socket).then_some(path)
        })
    });
    places.take(MAX_SANDBOXES).collect()
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::net::{UnixListener, UnixStream},
        sync::Arc,
    };

    use super::*;
    use crate::trace::forwarder::{ForwarderSettings, NoSandboxes, SpanSink, Tally, hybrid_path};

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
        let tally = Arc::new(Tally::default());
        let mut forwarder = Forwarder::new(ForwarderSettings {
            trace_name: "kata-agent".to_owned(),
            own: Arc::default(),
            sandboxes: Arc::new(NoSandboxes),
            proc: "/proc".into(),
            sink: SpanSink::standard_output(),
            tally: Arc::clone(&tally),
        });
        let mut discovery = Discovery::new(root.to_owned(), PORT);
        discovery.look(&mut forwarder).await;
        assert!(discovery.listening.is_empty(), "there is no such place yet");
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
            discovery.look(&mut forwarder).await;
        }
        assert!(sockets.iter().all(|socket| takes_spans(socket)));
        assert!(!others.iter().chain([&taken]).any(|of| takes_spans(of)));
        tokio::task::yield_now().await;
        assert_eq!(tally.figures().sockets, 4);
        let left = fs::read_to_string(root.join("run/vc/vm/h/clh.sock_9"));
        assert_eq!(left.unwrap(), "precious");

        fs::remove_file(&sockets[0]).unwrap();
        discovery.look(&mut forwarder).await;
        while tally.figures().sockets == 4 {
            tokio::task::yield_now().await;
        }
        assert!(!takes_spans(&sockets[0]) && takes_spans(&sockets[1]));
        // One that comes again is another.
        monitor(root, "run/vc/vm/a/clh.sock");
        discovery.look(&mut forwarder).await;
        assert!(takes_spans(&sockets[0]));
    }
}
