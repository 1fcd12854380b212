//! HTTP/1.1 over a UNIX socket or TCP, as little of it as a client that reads needs.

use std::{
    io::{self, BufRead as _, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// A connection of either kind.
pub(crate) trait Connection: Read + Write + Send {}

impl<T: Read + Write + Send> Connection for T {}

/// What a server does with a request, `GET /path?query`; an error closes the connection.
pub(crate) type Handler = dyn Fn(&str, &mut dyn Write) -> io::Result<()> + Send + Sync;

/// A server, until it is dropped; its open connections last until their clients close them.
pub(crate) struct Http {
    address: Address,
    calls: Arc<Mutex<Vec<String>>>,
    ended: Arc<AtomicBool>,
    _folder: tempfile::TempDir,
}

enum Address {
    Socket(PathBuf),
    Tcp(String),
}

impl Http {
    /// On a UNIX socket.
    pub(crate) fn on_socket(handler: Arc<Handler>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("api.sock");
        Self::at_socket(folder, &socket, handler)
    }

    /// On a UNIX socket at a place; `folder` goes with the server.
    pub(crate) fn at_socket(
        folder: tempfile::TempDir,
        socket: &Path,
        handler: Arc<Handler>,
    ) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let server = Self::new(Address::Socket(socket.to_owned()), folder);
        server.serve(handler, move || {
            let (connection, _) = listener.accept()?;
            Ok((Box::new(connection.try_clone()?), Box::new(connection)))
        });
        server
    }

    /// On a port of the loopback interface.
    pub(crate) fn on_loopback(handler: Arc<Handler>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = Self::new(Address::Tcp(address), tempfile::tempdir().unwrap());
        server.serve(handler, move || {
            let (connection, _) = listener.accept()?;
            Ok((Box::new(connection.try_clone()?), Box::new(connection)))
        });
        server
    }

    fn new(address: Address, folder: tempfile::TempDir) -> Self {
        Self {
            address,
            calls: Arc::default(),
            ended: Arc::default(),
            _folder: folder,
        }
    }

    fn serve<F>(&self, handler: Arc<Handler>, mut accept: F)
    where
        F: FnMut() -> io::Result<(Box<dyn Connection>, Box<dyn Connection>)> + Send + 'static,
    {
        let (calls, ended) = (Arc::clone(&self.calls), Arc::clone(&self.ended));
        thread::spawn(move || {
            while let Ok((reader, writer)) = accept() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let (calls, handler) = (Arc::clone(&calls), Arc::clone(&handler));
                thread::spawn(move || {
                    // A client may go at any time.
                    drop(converse(reader, writer, &calls, &*handler));
                });
            }
        });
    }

    /// Where it is: a socket's path, or `http://127.0.0.1:<port>`.
    pub(crate) fn address(&self) -> String {
        match &self.address {
            Address::Socket(socket) => socket.display().to_string(),
            Address::Tcp(address) => format!("http://{address}"),
        }
    }

    /// All calls so far, as `GET /path?query`.
    pub(crate) fn calls(&self) -> Vec<String> {
        let calls = self.calls.lock();
        calls.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // The thread that waits for connections gets one more.
        match &self.address {
            Address::Socket(socket) => drop(UnixStream::connect(socket)),
            Address::Tcp(address) => drop(TcpStream::connect(address)),
        }
    }
}

/// One request after the other.
fn converse(
    reader: Box<dyn Connection>,
    mut writer: Box<dyn Connection>,
    calls: &Mutex<Vec<String>>,
    handler: &Handler,
) -> io::Result<()> {
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut words = line.split_whitespace();
        let call = [words.next(), words.next()].map(Option::unwrap_or_default);
        let call = call.join(" ");
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            if header.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = header.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        io::copy(&mut (&mut reader).take(length), &mut io::sink())?;
        let mut noted = calls.lock().unwrap_or_else(PoisonError::into_inner);
        noted.push(call.clone());
        drop(noted);
        handler(&call, &mut *writer)?;
    }
}

/// An answer of JSON.
pub(crate) fn json(to: &mut dyn Write, status: u16, body: &[u8]) -> io::Result<()> {
    let reason = if status == 200 { "OK" } else { "Not Found" };
    let length = body.len();
    write!(
        to,
        "HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )?;
    to.write_all(body)?;
    to.flush()
}

/// An answer that begins, and whose body has no end.
pub(crate) fn stream(to: &mut dyn Write) -> io::Result<()> {
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    to.write_all(head.as_bytes())?;
    to.flush()
}
