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
