//! What Kata's shims tell of their virtual machines.
//!
//! In: the sockets of the shims on this host. Out: their metrics, by sandbox. Never here: which pod a sandbox
//! is, or a call that does more than read.
//!
//! A shim is asked, and it asks the agent in its virtual machine in turn: an answer can fail to come for
//! reasons inside it, and costs nobody else's.

use std::{
    fs,
    os::{fd::AsRawFd as _, unix::fs::FileTypeExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::{Request, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{net::UnixStream, time::timeout};

use super::metrics::ShimMetrics;
use crate::catalog::{
    runtime_container::told_text,
    runtimes::{CallError, told_json::is_id},
};

/// Where shims keep a directory for each sandbox, below the host's `/`: the one in Go, the one in Rust.
const DIRECTORIES: [&str; 2] = ["run/vc/sbs", "run/kata"];

/// The name of the socket in it.
const SOCKET: &str = "shim-monitor.sock";

/// The most sandboxes of a host that are looked for: each is a virtual machine.
const MAX_SANDBOXES: usize = 1024;

/// The most bytes of one answer; shims have some 100 kB to tell.
const MAX_ANSWER: usize = 1 << 20;

/// From connecting to the last byte.
const ANSWER_TIME: Duration = Duration::from_secs(2);

/// The call.
const CALL: &str = "GET /metrics";

/// A sandbox's shim.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shim {
    /// The sandbox's id in its runtime.
    pub sandbox: String,
    socket: PathBuf,
}

/// The shims of the host whose `/` is at `host_root`.
#[must_use]
pub fn shims(host_root: &Path) -> Vec<Shim> {
    let mut found: Vec<Shim> = DIRECTORIES
        .iter()
        .filter_map(|directory| fs::read_dir(host_root.join(directory)).ok())
        .flat_map(|entries| entries.take(MAX_SANDBOXES).filter_map(Result::ok))
        .filter_map(|entry| {
            let sandbox = entry.file_name().into_string().ok()?;
            // A link could lead anywhere.
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let socket = entry.path().join(SOCKET);
            let is_socket = fs::symlink_metadata(&socket)
                .is_ok_and(|metadata| metadata.file_type().is_socket());
            (is_directory && is_socket && is_id(&sandbox)).then_some(Shim { sandbox, socket })
        })
        .take(MAX_SANDBOXES)
        .collect();
    found.sort_unstable();
    found.dedup_by(|one, other| one.sandbox == other.sandbox);
    found
}

impl Shim {
    /// Asks for its metrics.
    pub async fn metrics(&self) -> Result<ShimMetrics, CallError> {
        let answer = timeout(ANSWER_TIME, self.answer())
            .await
            .map_err(|_elapsed| CallError::Timeout {
                address: self.address(),
                call: CALL.to_owned(),
                limit: ANSWER_TIME,
            })??;
        let text = std::str::from_utf8(&answer).map_err(|error| self.malformed(&error))?;
        Ok(ShimMetrics::read(text))
    }

    async fn answer(&self) -> Result<Bytes, CallError> {
        // A socket's address has 107 bytes, and its path more below a deep `host_root`.
        let directory = self.socket.parent().unwrap_or(&self.socket);
        let directory = fs::File::open(directory).map_err(|error| self.unreachable(error))?;
        let address = short_address(&directory);
        let stream = UnixStream::connect(address)
            .await
            .map_err(|error| self.unreachable(error))?;
        let (mut sender, connection) = http1::Builder::new()
            .max_headers(64)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.unreachable(error))?;
        let exchange = async {
            let request = Request::get("/metrics")
                .header(header::HOST, "localhost")
                .header(header::ACCEPT, "text/plain")
                .body(Empty::<Bytes>::new())
                .map_err(|error| self.malformed(&error))?;
            let answer = sender
                .send_request(request)
                .await
                .map_err(|error| self.unreachable(error))?;
            if !answer.status().is_success() {
                return Err(CallError::Refused {
                    address: self.address(),
                    call: CALL.to_owned(),
                    answer: answer.status().to_string(),
                });
            }
            match Limited::new(answer.into_body(), MAX_ANSWER).collect().await {
                Ok(body) => Ok(body.to_bytes()),
                Err(error) if error.is::<LengthLimitError>() => Err(CallError::TooLarge {
                    address: self.address(),
                    call: CALL.to_owned(),
                    limit: MAX_ANSWER,
                }),
                Err(error) => Err(CallError::Unreachable {
                    address: self.address(),
                    source: error,
                }),
            }
        };
        // The connection is driven here, and gone when this is.
        let mut driven = std::pin::pin!(connection);
        let mut exchange = std::pin::pin!(exchange);
        tokio::select! {
            answer = &mut exchange => return answer,
            _closed = &mut driven => {}
        }
        // What it brought before it was closed may still be taken.
        exchange.await
    }

    fn address(&self) -> String {
        told_text(&self.socket.to_string_lossy())
    }

    fn unreachable(&self, error: impl std::error::Error + Send + Sync + 'static) -> CallError {
        CallError::Unreachable {
            address: self.address(),
            source: Box::new(error),
        }
    }

    fn malformed(&self, error: &dyn std::error::Error) -> CallError {
        CallError::Malformed {
            address: self.address(),
            call: CALL.to_owned(),
            reason: error.to_string(),
        }
    }
}

/// The socket in a directory, by a path that is always short.
pub(super) fn short_address(directory: &fs::File) -> PathBuf {
    Path::new("/proc/self/fd")
        .join(directory.as_raw_fd().to_string())
        .join(SOCKET)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::UnixListener,
    };

    use super::*;

    const SANDBOX: &str = "4f1e7e2c6a9b3d5f8c0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60";

    /// A host with one sandbox whose shim answers so; nothing, if there is no answer.
    fn host(directory: &str, answer: Option<Vec<u8>>) -> (tempfile::TempDir, Shim) {
        let host = tempfile::tempdir().unwrap();
        let of_sandbox = host.path().join(directory).join(SANDBOX);
        fs::create_dir_all(&of_sandbox).unwrap();
        let opened = fs::File::open(&of_sandbox).unwrap();
        let listener = UnixListener::bind(short_address(&opened)).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"GET /metrics HTTP/1.1\r\n"));
            match answer {
                // Who has heard enough hangs up.
                Some(answer) => drop(stream.write_all(&answer).await),
                None => std::future::pending().await,
            }
        });
        let [shim] = shims(host.path()).try_into().unwrap();
        (host, shim)
    }

    fn answer(body: &[u8]) -> Vec<u8> {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    }

    #[tokio::test]
    async fn a_shims_metrics_are_read_wherever_it_keeps_its_socket() {
        for directory in DIRECTORIES {
            let text = b"# TYPE kata_shim_threads gauge\nkata_shim_threads 11\n";
            let (_host, shim) = host(directory, Some(answer(text)));
            assert_eq!(shim.sandbox, SANDBOX);
            let metrics = shim.metrics().await.unwrap();
            assert_eq!(metrics.families.len(), 1);
            assert!((metrics.families[0].samples[0].value - 11.0).abs() < f64::EPSILON);
        }
    }

    #[tokio::test]
    async fn a_shim_that_misbehaves_is_one_error_in_bounded_time() {
        let cases = [
            (None, "timeout"),
            (Some(answer(&vec![b'#'; MAX_ANSWER + 1])), "too_large"),
            (Some(answer(b"kata_x\xff 1\n")), "malformed"),
            (Some(b"HTTP/1.1 500 Oh\r\n\r\n".to_vec()), "refused"),
            (Some(b"SSH-2.0-OpenSSH\r\n".to_vec()), "unreachable"),
            (Some(Vec::new()), "unreachable"),
        ];
        for (answer, name) in cases {
            let (_host, shim) = host(DIRECTORIES[0], answer);
            let start = Instant::now();
            let error = shim.metrics().await.unwrap_err();
            assert_eq!(error.name(), name, "{error}");
            assert!(start.elapsed() < 2 * ANSWER_TIME);
        }
    }

    #[test]
    fn only_sockets_in_directories_of_their_own_are_shims() {
        let host = tempfile::tempdir().unwrap();
        assert_eq!(shims(host.path()), []);
        let sandboxes = host.path().join(DIRECTORIES[0]);
        fs::create_dir_all(sandboxes.join("no-socket")).unwrap();
        fs::create_dir_all(sandboxes.join("a-file")).unwrap();
        fs::write(sandboxes.join("a-file").join(SOCKET), "").unwrap();
        let elsewhere = host.path().join("elsewhere");
        fs::create_dir_all(&elsewhere).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(elsewhere.join(SOCKET)).unwrap();
        std::os::unix::fs::symlink(&elsewhere, sandboxes.join("a-link")).unwrap();
        assert_eq!(shims(host.path()), []);
    }
}
