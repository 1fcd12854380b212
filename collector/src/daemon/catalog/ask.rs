//! Asks the daemon for its catalog.
//!
//! In: an address. Out: what the daemon there says, whole and understood, or why not. HTTP/1.0, where
//! an answer is a head, a body, and the end of the connection.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use serde::Deserialize;

use crate::export::listing::{CatalogDocument, ContainerDocument, SCHEMA};

/// The daemon is on this host, or near.
const CONNECT: Duration = Duration::from_secs(1);

/// From the connection to the last byte. The largest catalog takes a second or two.
const ANSWER: Duration = Duration::from_secs(10);

/// More than the largest catalog, all of whose paths are as long as can be.
const MAX_ANSWER: usize = 256 << 20;

/// The daemon does not tell.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// Nobody listens.
    #[error("no daemon answers at {address} (--listen says where it does)")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It stopped halfway, or took too long.
    #[error("no daemon answers in time at {address}")]
    Exchange {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is no catalog: of another program, or of an older cgscope.
    #[error("what answers at {address} does not give a catalog ({found})")]
    Refused {
        /// Where.
        address: SocketAddr,
        /// The first line of the answer, or what is wrong with it.
        found: String,
    },
    /// It is not understood.
    #[error("what answers at {address} gives a catalog that is not understood")]
    Unknown {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// It is of another cgscope.
    #[error(
        "the daemon at {address} gives a catalog of schema {schema}, and this cgscope knows {SCHEMA}; \
         use the cgscope that is running there"
    )]
    Schema {
        /// Where.
        address: SocketAddr,
        /// Which.
        schema: u32,
    },
}

/// The first thing to know of a catalog.
#[derive(Deserialize)]
struct SchemaOnly {
    schema: u32,
}

/// The catalog of the daemon at `address`, and its text.
pub(super) fn ask(address: SocketAddr) -> Result<(CatalogDocument, Vec<u8>), AskError> {
    let answer = exchange(address, "/catalog.json")?;
    let body = body(&answer).map_err(|found| AskError::Refused { address, found })?;
    let unknown = |source| AskError::Unknown { address, source };
    let SchemaOnly { schema } = serde_json::from_slice(body).map_err(unknown)?;
    if schema != SCHEMA {
        return Err(AskError::Schema { address, schema });
    }
    let document = serde_json::from_slice(body).map_err(unknown)?;
    Ok((document, body.to_vec()))
}

/// What the daemon at `address` says of one container, and its text; `None` when there is none, or more than
/// one.
pub(super) fn ask_of_one(
    address: SocketAddr,
    query: &str,
) -> Result<Option<(ContainerDocument, Vec<u8>)>, AskError> {
    let answer = exchange(address, &format!("/container.json?{query}"))?;
    let body = match body(&answer) {
        Ok(body) => body,
        Err(found) if found.contains(" 404 ") => return Ok(None),
        Err(found) => return Err(AskError::Refused { address, found }),
    };
    let unknown = |source| AskError::Unknown { address, source };
    let document = serde_json::from_slice(body).map_err(unknown)?;
    Ok(Some((document, body.to_vec())))
}

fn exchange(address: SocketAddr, target: &str) -> Result<Vec<u8>, AskError> {
    let mut stream = TcpStream::connect_timeout(&address, CONNECT)
        .map_err(|source| AskError::Connect { address, source })?;
    let failed = |source| AskError::Exchange { address, source };
    let deadline = Instant::now() + ANSWER;
    stream.set_write_timeout(Some(ANSWER)).map_err(failed)?;
    write!(
        stream,
        "GET {target} HTTP/1.0\r\nHost: {address}\r\nAccept: application/json\r\n\r\n"
    )
    .map_err(failed)?;
    let mut answer = Vec::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(failed(io::ErrorKind::TimedOut.into()));
        }
        stream.set_read_timeout(Some(left)).map_err(failed)?;
        let read = match stream.read(&mut piece) {
            Ok(0) => return Ok(answer),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        };
        if answer.len() + read > MAX_ANSWER {
            let found = format!("more than {} MiB", MAX_ANSWER >> 20);
            return Err(AskError::Refused { address, found });
        }
        answer.extend_from_slice(&piece[..read]);
    }
}

/// The body of a good answer; else what is wrong with it.
fn body(answer: &[u8]) -> Result<&[u8], String> {
    const END_OF_HEAD: &[u8] = b"\r\n\r\n";
    /// More than a daemon's head is long.
    const MAX_HEAD: usize = 16 << 10;
    let start = &answer[..answer.len().min(MAX_HEAD)];
    let end = start
        .windows(END_OF_HEAD.len())
        .position(|window| window == END_OF_HEAD)
        .ok_or("it is not HTTP")?;
    let head = String::from_utf8_lossy(&answer[..end]);
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default();
    let mut words = status.split_ascii_whitespace();
    if !words
        .next()
        .is_some_and(|protocol| protocol.starts_with("HTTP/1."))
    {
        return Err("it is not HTTP".to_owned());
    }
    if words.next() != Some("200") {
        return Err(status.escape_debug().take(80).collect());
    }
    let body = &answer[end + END_OF_HEAD.len()..];
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, length)| length.trim().parse::<usize>().ok());
    match length {
        Some(length) if length != body.len() => {
            Err(format!("{} of {length} bytes came", body.len()))
        }
        _ => Ok(body),
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use proptest::prelude::*;

    use super::*;

    /// What comes of asking one who answers this.
    fn answered(answer: &'static [u8]) -> Result<(CatalogDocument, Vec<u8>), AskError> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            stream.write_all(answer).unwrap();
            String::from_utf8(request).unwrap()
        });
        let asked = ask(address);
        let request = server.join().unwrap();
        assert!(
            request.starts_with("GET /catalog.json HTTP/1.0\r\n"),
            "{request}"
        );
        asked
    }

    #[test]
    fn a_catalog_is_taken_with_keys_that_are_not_known_and_its_text_is_kept() {
        let (document, text) = answered(
            b"HTTP/1.0 200 OK\r\ncontent-length: 119\r\n\r\n{\"schema\":1,\"source\":\"daemon\",\
              \"version\":\"9\",\"taken_seconds\":1.5,\"hierarchies\":[],\"cgroups\":[],\
              \"left_out\":2,\"more\":[1]}\n",
        )
        .unwrap();
        assert_eq!((document.left_out, document.version.as_str()), (2, "9"));
        assert!(text.ends_with(b"\"more\":[1]}\n"), "{text:?}");
    }

    #[test]
    fn what_is_no_whole_catalog_is_refused_and_why_is_told() {
        for (answer, part) in [
            (&b""[..], "not HTTP"),
            (b"SSH-2.0-OpenSSH\r\n\r\n", "not HTTP"),
            (b"HTTP/1.1 404 Not Found\r\n\r\n", "404 Not Found"),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"schema\":1",
                "11 of 50 bytes",
            ),
            (b"HTTP/1.0 200 OK\r\n\r\n<html>", "not understood"),
            (b"HTTP/1.0 200 OK\r\n\r\n{\"schema\":1}", "not understood"),
            (b"HTTP/1.0 200 OK\r\n\r\n{\"schema\":7}", "schema 7"),
        ] {
            let error = answered(answer).unwrap_err().to_string();
            assert!(error.contains(part), "{part:?} not in {error:?}");
        }
    }

    proptest! {
        #[test]
        fn a_body_is_the_end_of_its_answer_whatever_came_before(
            head in proptest::collection::vec(any::<u8>(), 0..200),
            tail in proptest::collection::vec(any::<u8>(), 0..50),
            good in any::<bool>(),
        ) {
            let start: &[u8] = if good { b"HTTP/1.1 200 OK\r\nx: " } else { b"" };
            let answer = [start, &head, b"\r\n\r\n", &tail].concat();
            if let Ok(body) = body(&answer) {
                prop_assert!(answer.ends_with(body) && body.len() >= tail.len());
            }
        }
    }

    #[test]
    fn that_nobody_listens_is_told_with_the_address() {
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let error = ask(address).unwrap_err();
        assert!(matches!(error, AskError::Connect { .. }), "{error}");
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}
