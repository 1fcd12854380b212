//! Between a client and a real runtime's HTTP socket: passes all on, and notes what was asked.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// Until its process ends; a test's is not long.
pub(crate) struct Witness {
    socket: PathBuf,
    calls: Arc<Mutex<Vec<String>>>,
    _folder: tempfile::TempDir,
}

impl Witness {
    /// Of what is asked of the runtime at this socket.
    pub(crate) fn of(runtime: &Path) -> Self {
        Self::who_acts(runtime, |_| {})
    }

    /// The same, who does something about a call before passing it on.
    pub(crate) fn who_acts(runtime: &Path, act: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let act = Arc::new(act);
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("witness.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let calls = Arc::<Mutex<Vec<String>>>::default();
        let (runtime, noted) = (runtime.to_owned(), Arc::clone(&calls));
        thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, UnixStream::connect(&runtime)) else {
                    continue;
                };
                let (noted, act) = (Arc::clone(&noted), Arc::clone(&act));
                let on_call = move |call: String| {
                    act(&call);
                    let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
                    noted.push(call);
                };
                // Either may go at any time.
                thread::spawn(move || drop(pass_on(&client, &server, on_call)));
            }
        });
        Self {
            socket,
            calls,
            _folder: folder,
        }
    }

    /// Where to ask.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// All calls so far, as `GET /path?query`.
    pub(crate) fn calls(&self) -> Vec<String> {
        let calls = self.calls.lock();
        calls.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn pass_on(client: &UnixStream, server: &UnixStream, on_call: impl Fn(String)) -> io::Result<()> {
    let (mut answers, mut to_client) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        drop(io::copy(&mut answers, &mut to_client));
        drop(to_client.shutdown(Shutdown::Both));
    });
    let mut questions = BufReader::new(client);
    let mut to_server = server;
    loop {
        let mut head = String::new();
        let mut length = 0;
        loop {
            let start = head.len();
            if questions.read_line(&mut head)? == 0 {
                return server.shutdown(Shutdown::Both);
            }
            let line = head[start..].trim();
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let call: Vec<_> = head.split_whitespace().take(2).collect();
        on_call(call.join(" "));
        to_server.write_all(head.as_bytes())?;
        io::copy(&mut (&mut questions).take(length), &mut to_server)?;
    }
}
