//! Where the sockets of container runtimes are.
//!
//! In: where the host's `/` is. Out: the places at which a runtime may be found, there or not. Never here:
//! a connection.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use nix::sys::statfs::{AUTOFS_SUPER_MAGIC, statfs};

use super::{Endpoint, Protocol};

/// Sockets below the host's `/`, and what is spoken there.
const SOCKETS: [(Protocol, &str); 25] = [
    (Protocol::Docker, "run/docker.sock"),
    (Protocol::Docker, "var/run/docker.sock"),
    (Protocol::Docker, "run/snap.docker/docker.sock"),
    (Protocol::Docker, "var/snap/docker/common/run/docker.sock"),
    // What Docker Desktop gives to its own containers.
    (Protocol::Docker, "run/guest-services/docker.sock"),
    (Protocol::Podman, "run/podman/podman.sock"),
    (Protocol::Podman, "var/run/podman/podman.sock"),
    (Protocol::Containerd, "run/containerd/containerd.sock"),
    (Protocol::Containerd, "var/run/containerd/containerd.sock"),
    // Docker's own, where it starts one.
    (
        Protocol::Containerd,
        "run/docker/containerd/containerd.sock",
    ),
    // k3s and RKE2.
    (Protocol::Containerd, "run/k3s/containerd/containerd.sock"),
    (Protocol::Containerd, "run/k0s/containerd.sock"),
    (
        Protocol::Containerd,
        "var/snap/microk8s/common/run/containerd.sock",
    ),
    (
        Protocol::Containerd,
        "var/snap/k8s/common/run/containerd.sock",
    ),
    (Protocol::Cri, "run/containerd/containerd.sock"),
    (Protocol::Cri, "var/run/containerd/containerd.sock"),
    (Protocol::Cri, "run/k3s/containerd/containerd.sock"),
    (Protocol::Cri, "run/k0s/containerd.sock"),
    (
        Protocol::Cri,
        "var/snap/microk8s/common/run/containerd.sock",
    ),
    (Protocol::Cri, "var/snap/k8s/common/run/containerd.sock"),
    (Protocol::Cri, "run/crio/crio.sock"),
    (Protocol::Cri, "var/run/crio/crio.sock"),
    (Protocol::Cri, "run/cri-dockerd.sock"),
    (Protocol::Garden, "var/vcap/data/garden/garden.sock"),
    (Protocol::Garden, "var/vcap/sys/run/garden/garden.sock"),
];

/// Sockets of users, below each of these folders' folders.
const USERS_SOCKETS: [(Protocol, &str, &str); 4] = [
    (Protocol::Docker, "run/user", "docker.sock"),
    (Protocol::Podman, "run/user", "podman/podman.sock"),
    (Protocol::Docker, HOMES, ".docker/desktop/docker.sock"),
    (Protocol::Docker, HOMES, ".docker/run/docker.sock"),
];

const HOMES: &str = "home";

/// Users that are looked at.
const MAX_USERS: usize = 256;

/// A socket that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where.
    pub endpoint: Endpoint,
    /// The user whose own it is; `None` for the host's.
    pub user: Option<u32>,
}

/// The host's sockets that are there, each once for each protocol: `/var/run` is `/run` on most hosts.
#[must_use]
pub fn found_of_host(host_root: &Path) -> Vec<Found> {
    let mut seen = HashSet::new();
    SOCKETS
        .iter()
        .map(|(protocol, socket)| (*protocol, host_root.join(socket)))
        .filter(|(_, socket)| is_socket(socket))
        .filter(|(protocol, socket)| {
            let canonical = fs::canonicalize(socket).unwrap_or_else(|_| socket.clone());
            seen.insert((*protocol, canonical))
        })
        .map(|(protocol, socket)| Found::new(protocol, &socket, None))
        .collect()
}

/// The sockets of users that are there. In a user's folder only that user's own count, and no links: anyone
/// could make one to another's. It can take as long as a file server that does not answer.
#[must_use]
pub fn found_of_users(host_root: &Path) -> Vec<Found> {
    let sockets = USERS_SOCKETS.iter().flat_map(|(protocol, of, socket)| {
        let folder = host_root.join(of);
        let folders = if *of == HOMES {
            homes(&folder)
        } else {
            folders(&folder)
        };
        folders.into_iter().filter_map(move |folder| {
            let socket = folder.join(socket);
            let user = owner_of_both(&folder, &socket)?;
            let user = (user != 0).then_some(user);
            Some(Found::new(*protocol, &socket, user))
        })
    });
    sockets.collect()
}

impl Found {
    fn new(protocol: Protocol, socket: &Path, user: Option<u32>) -> Self {
        Self {
            endpoint: Endpoint {
                protocol,
                address: socket.to_string_lossy().into_owned(),
            },
            user,
        }
    }
}

/// The places that are looked at, for people; what is below `/var/run` is below `/run` too.
pub fn looked_at() -> impl Iterator<Item = String> {
    let mut seen = HashSet::new();
    let fixed = SOCKETS
        .iter()
        .map(|(_, socket)| *socket)
        .filter(|socket| !socket.starts_with("var/run/"))
        .filter(move |socket| seen.insert(*socket))
        .map(|socket| format!("/{socket}"));
    let of_users = USERS_SOCKETS
        .iter()
        .map(|(_, folder, socket)| format!("/{folder}/*/{socket}"));
    fixed.chain(of_users)
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).take(MAX_USERS).collect()
}

/// Homes that lie where all do. To look into one that is mounted by itself asks its server, and into one that is
/// not yet mounted mounts it.
fn homes(folder: &Path) -> Vec<PathBuf> {
    use std::os::unix::fs::MetadataExt as _;
    let mounts_on_demand =
        statfs(folder).is_ok_and(|of| of.filesystem_type() == AUTOFS_SUPER_MAGIC);
    let device = fs::symlink_metadata(folder).map(|of| of.dev());
    let Some(device) = device.ok().filter(|_| !mounts_on_demand) else {
        return Vec::new();
    };
    let mut homes = folders(folder);
    homes.retain(|home| fs::symlink_metadata(home).is_ok_and(|of| of.dev() == device));
    homes
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

/// Whose own a socket is that was named: of those in the folders of users, the one who made it.
#[must_use]
pub fn user_of(host_root: &Path, address: &str) -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    let is_in = |folder| Path::new(address).starts_with(host_root.join(folder));
    let is_users = ["run/user", HOMES].into_iter().any(is_in);
    let owner = fs::metadata(address).ok().filter(|_| is_users)?.uid();
    (owner != 0).then_some(owner)
}

/// Whose a folder and a socket in it are, if both are the same one's.
fn owner_of_both(folder: &Path, socket: &Path) -> Option<u32> {
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
    let folder = fs::symlink_metadata(folder).ok()?;
    let socket = fs::symlink_metadata(socket).ok()?;
    let is_own = folder.is_dir() && socket.file_type().is_socket() && folder.uid() == socket.uid();
    is_own.then(|| folder.uid())
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::symlink, net::UnixListener};

    use super::*;

    #[test]
    fn sockets_are_found_where_they_are_each_once_and_nothing_else_is() {
        let host = tempfile::tempdir().unwrap();
        let root = host.path();
        let found = |root| [found_of_host(root), found_of_users(root)].concat();
        assert_eq!(found(root), []);
        fs::create_dir_all(root.join("run/user/1000/podman")).unwrap();
        fs::create_dir_all(root.join("run/k3s/containerd")).unwrap();
        fs::create_dir_all(root.join("var")).unwrap();
        fs::create_dir_all(root.join("home/somebody/.docker/run")).unwrap();
        symlink("../run", root.join("var/run")).unwrap();
        let bind = |socket: &str| UnixListener::bind(root.join(socket)).unwrap();
        let _listeners = [
            bind("run/docker.sock"),
            bind("run/user/1000/podman/podman.sock"),
            bind("home/somebody/.docker/run/docker.sock"),
            bind("run/k3s/containerd/containerd.sock"),
        ];
        fs::create_dir_all(root.join("run/crio")).unwrap();
        fs::write(root.join("run/crio/crio.sock"), "no socket").unwrap();
        let found: Vec<_> = found(root)
            .into_iter()
            .map(|Found { endpoint: of, user }| {
                assert_eq!(user, None, "root's own");
                let below = Path::new(&of.address).strip_prefix(root).unwrap();
                (of.protocol, below.to_str().unwrap().to_owned())
            })
            .collect();
        let expected = [
            (Protocol::Docker, "run/docker.sock"),
            (Protocol::Containerd, "run/k3s/containerd/containerd.sock"),
            (Protocol::Cri, "run/k3s/containerd/containerd.sock"),
            (Protocol::Podman, "run/user/1000/podman/podman.sock"),
            (Protocol::Docker, "home/somebody/.docker/run/docker.sock"),
        ];
        let expected = expected.map(|(protocol, socket)| (protocol, socket.to_owned()));
        assert_eq!(found, expected);
    }
}
