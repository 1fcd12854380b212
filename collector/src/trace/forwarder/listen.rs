//! The sockets that agents come to.
//!
//! In: a port of `AF_VSOCK`, or the path of a virtual machine's socket. Out: connections, and who is at their other end.
//! Never here: what is said on them.

use std::{
    fs, io,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
};

use tokio::{
    io::AsyncRead,
    net::{UnixListener, UnixStream},
};
use tokio_vsock::{VMADDR_CID_ANY, VsockAddr, VsockListener};

use super::peers::Peer;

/// The most connections that wait to be accepted where a socket ends: as many as the system keeps for one.
const MAX_WAITING: usize = 1024;

/// A connection that can be read.
pub(super) type Stream = Pin<Box<dyn AsyncRead + Send>>;

/// A socket that is listened on.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    /// For people.
    pub place: String,
}

#[derive(Debug)]
enum Socket {
    Vsock(VsockListener),
    Hybrid(UnixListener, SocketFile),
}

/// A socket's file; it goes when nobody listens any more.
#[derive(Debug)]
struct SocketFile(Arc<Path>);

/// A socket cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// `AF_VSOCK`.
    #[error(
        "cannot listen on port {port} of {cid}; the host's kernel must have VSOCK (`modprobe vhost_vsock`), \
         the CID be any or one of this host's (2), and only one can listen on a port (one below 1024 needs root): \
         choose another with --vsock-port"
    )]
    Vsock {
        /// Which port.
        port: u32,
        /// Which context id, for people.
        cid: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What is at the path is not a socket; it is left alone.
    #[error("{path:?} is there and is not a socket; remove it, or name another with --socket-path")]
    NotASocket {
        /// Which.
        path: PathBuf,
    },
    /// Somebody else listens there.
    #[error("another program listens on {path:?}; there can be one forwarder for a sandbox")]
    Taken {
        /// Which.
        path: PathBuf,
    },
    /// It cannot be made.
    #[error(
        "cannot listen on {path:?}; its directory must be there (`mkdir -p`), and the path have 107 bytes at most"
    )]
    Hybrid {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ListenError {
    /// Whether it is for want of privileges.
    #[must_use]
    pub fn is_not_permitted(&self) -> bool {
        match self {
            Self::Vsock { source, .. } | Self::Hybrid { source, .. } => {
                source.kind() == io::ErrorKind::PermissionDenied
            }
            Self::NotASocket { .. } | Self::Taken { .. } => false,
        }
    }
}

impl Listener {
    /// Listens on a port of `AF_VSOCK`; of any of this host's CIDs if `cid` is `None`.
    pub fn vsock(cid: Option<u32>, port: u32) -> Result<Self, ListenError> {
        let address = VsockAddr::new(cid.unwrap_or(VMADDR_CID_ANY), port);
        let cid = cid.map_or_else(|| "any CID".to_owned(), |cid| format!("CID {cid}"));
        let place = format!("VSOCK port {port} of {cid}");
        let socket = VsockListener::bind(address).map_err(|source| ListenError::Vsock {
            port,
            cid,
            source,
        })?;
        Ok(Self {
            socket: Socket::Vsock(socket),
            place,
        })
    }

    /// Listens where the monitor of a virtual machine connects to when its guest connects to `port`: beside its own
    /// socket. A socket that is there and that nobody listens on is removed first.
    pub async fn hybrid(socket_path: &Path, port: u32) -> Result<Self, ListenError> {
        let path = hybrid_path(socket_path, port);
        make_room(&path).await?;
        let socket = UnixListener::bind(&path).map_err(|source| ListenError::Hybrid {
            path: path.clone(),
            source,
        })?;
        Ok(Self {
            place: path.display().to_string(),
            socket: Socket::Hybrid(socket, SocketFile(path.into())),
        })
    }

    /// Listens no more; what comes out are the connections that nobody accepted yet.
    pub(super) fn close(self) -> impl Iterator<Item = (Stream, Peer)> {
        let closed = match self.socket {
            // It ends with the forwarder alone, and so do its connections.
            Socket::Vsock(_) => None,
            Socket::Hybrid(socket, file) => {
                let path = Arc::clone(&file.0);
                // First: then nobody can connect any more.
                drop(file);
                // What has come is there at once; tokio would have to be told of it.
                socket.into_std().ok().map(|socket| (socket, path))
            }
        };
        closed.into_iter().flat_map(|(socket, path)| {
            (0..MAX_WAITING).map_while(move |_| {
                let (stream, _) = socket.accept().ok()?;
                stream.set_nonblocking(true).ok()?;
                let stream: Stream = Box::pin(UnixStream::from_std(stream).ok()?);
                Some((stream, Peer::Socket(Arc::clone(&path))))
            })
        })
    }

    pub(super) async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match &self.socket {
            Socket::Vsock(socket) => {
                let (stream, address) = socket.accept().await?;
                Ok((Box::pin(stream), Peer::Cid(address.cid())))
            }
            Socket::Hybrid(socket, SocketFile(path)) => {
                let (stream, _) = socket.accept().await?;
                Ok((Box::pin(stream), Peer::Socket(Arc::clone(path))))
            }
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Without privileges it stays, and the next forwarder removes it.
        drop(fs::remove_file(&self.0));
    }
}

/// `PATH_PORT`.
#[must_use]
pub fn hybrid_path(socket_path: &Path, port: u32) -> PathBuf {
    let mut path = socket_path.as_os_str().to_owned();
    path.push(format!("_{port}"));
    path.into()
}

async fn make_room(path: &Path) -> Result<(), ListenError> {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    let path = path.to_owned();
    if !metadata.file_type().is_socket() {
        return Err(ListenError::NotASocket { path });
    }
    match UnixStream::connect(&path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(&path).map_err(|source| ListenError::Hybrid { path, source })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // One with so many waiting that it takes no more is listened on, too.
        _ => Err(ListenError::Taken { path }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net;

    use super::*;

    #[tokio::test]
    async fn only_a_socket_that_nobody_listens_on_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("clh.sock");
        let path = hybrid_path(&socket, 9);
        let listening = net::UnixListener::bind(&path).unwrap();
        let is_taken = async || {
            let refused = Listener::hybrid(&socket, 9).await.err();
            matches!(refused, Some(ListenError::Taken { .. }))
        };
        assert!(is_taken().await);
        // Nobody accepts, until there is no place to wait any more.
        let mut waiting = Vec::new();
        while let Ok(Ok(stream)) = tokio::time::timeout(
            std::time::Duration::from_millis(200),
            UnixStream::connect(&path),
        )
        .await
        {
            waiting.push(stream);
        }
        assert!(is_taken().await, "{} wait", waiting.len());
        assert!(path.exists());
        drop((listening, waiting));
        let mine = Listener::hybrid(&socket, 9).await.unwrap();
        drop(mine);
        assert!(!path.exists());
    }
}
