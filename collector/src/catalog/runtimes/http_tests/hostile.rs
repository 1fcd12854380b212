//! Servers that are broken, or mean harm: bounded time, bounded memory, one error.

use std::{
    io::{Read as _, Write as _},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{STREAM_HEAD, Server, chunk, name, response, short};
use crate::catalog::{
    provider::Unavailable,
    runtimes::{
        MAX_ANSWER,
        http::{CallLimits, HttpClient, not_there},
    },
};

/// Longer than anything here should take, so that a test fails and does not hang.
const LONG: Duration = Duration::from_secs(20);

fn client(server: &Server, limits: CallLimits) -> HttpClient {
    HttpClient::new(server.socket.to_str().unwrap(), limits).unwrap()
}

#[tokio::test]
async fn a_server_that_does_not_answer_in_time_costs_that_time() {
    let server = Server::start();
    server.with("/silent", |stream| {
        stream.read_exact(&mut [0])?;
        Ok(())
    });
    server.with("/slow", |stream| {
        for byte in response("200 OK", &" ".repeat(1000)) {
            stream.write_all(&[byte])?;
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    });
    server.with("/slow_body", |stream| {
        stream.write_all(STREAM_HEAD)?;
        loop {
            stream.write_all(&chunk(" "))?;
            thread::sleep(Duration::from_millis(10));
        }
    });
    let client = client(&server, short());
    for path in ["/silent", "/slow", "/slow_body"] {
        let start = Instant::now();
        assert_eq!(name(client.get(path).await), "timeout", "{path}");
        let took = start.elapsed();
        assert!(
            took >= short().answer && took < short().answer * 4,
            "{path}: {took:?}"
        );
    }
    assert_eq!(name(client.objects("/silent").await), "timeout");
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_kept() {
    let server = Server::start();
    let piece = vec![b' '; 1 << 20];
    let of_length = piece.clone();
    server.with("/length", move |stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")?;
        (0..100).try_for_each(|_| stream.write_all(&of_length))
    });
    server.with("/endless", move |stream| {
        stream.write_all(STREAM_HEAD)?;
        loop {
            stream.write_all(b"100000\r\n")?;
            stream.write_all(&piece)?;
            stream.write_all(b"\r\n")?;
        }
    });
    server.with("/head", |stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nX: ")?;
        loop {
            stream.write_all(&[b'x'; 4096])?;
        }
    });
    server.with("/headers", |stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
        loop {
            stream.write_all(b"X: y\r\n")?;
        }
    });
    let client = client(&server, CallLimits::default());
    let before = peak_memory();
    assert_eq!(name(client.get("/length").await), "too_large");
    assert_eq!(name(client.get("/endless").await), "too_large");
    assert_eq!(name(client.get("/head").await), "malformed");
    assert_eq!(name(client.get("/headers").await), "malformed");
    let mut objects = client.objects("/endless").await.unwrap();
    // Blanks between objects are nothing, but not for ever; none is kept.
    let ended = objects.next().await.unwrap_err();
    assert_eq!(ended.name(), "too_large");
    let grown = peak_memory() - before;
    assert!(grown < 6 * MAX_ANSWER, "{grown}");
}

/// The most memory that this process has had.
fn peak_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<usize>().unwrap() << 10
}

#[tokio::test]
async fn what_is_not_http_or_not_text_is_not_understood() {
    let server = Server::start();
    server.bytes("/garbage", b"\x00\xff\x13garbage\r\n\r\n");
    server.bytes("/nothing", b"");
    server.bytes("/half", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{");
    server.bytes(
        "/text",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\"\xff\xfe\"",
    );
    server.bytes("/chunks", &[STREAM_HEAD, b"zz\r\n{}\r\n0\r\n\r\n"].concat());
    let client = client(&server, short());
    for path in ["/garbage", "/nothing", "/half", "/text", "/chunks"] {
        assert_eq!(name(client.get(path).await), "malformed", "{path}");
    }
}

#[tokio::test]
async fn a_refusal_is_told_bounded_and_a_redirect_is_not_followed() {
    let server = Server::start();
    server.bytes(
        "/refuses",
        &response(
            "500 Internal Server Error",
            &format!("{{\"message\":\"no\u{202e}\"}}{}", "x".repeat(10_000)),
        ),
    );
    server.bytes(
        "/moved",
        b"HTTP/1.1 301 Moved Permanently\r\nLocation: /refuses\r\nContent-Length: 0\r\n\r\n",
    );
    let client = client(&server, short());
    let refused = client.get("/refuses").await.unwrap_err();
    assert_eq!(refused.name(), "refused");
    let text = refused.to_string();
    assert!(
        text.contains("500 Internal Server Error {\"message\":\"no\\xe2"),
        "{text}"
    );
    assert!(text.len() < 1000, "{text}");
    assert_eq!(name(client.get("/moved").await), "refused");
    assert_eq!(name(client.objects("/moved").await), "refused");
    assert_eq!(client.get("/absent").await.unwrap(), None);
    assert_eq!(name(client.objects("/absent").await), "refused");
    assert_eq!(server.asked().len(), 5);
}

#[tokio::test]
async fn a_stream_ends_with_an_object_that_is_too_long_or_half() {
    let server = Server::start();
    server.bytes(
        "/half",
        &[STREAM_HEAD, &chunk("{}{\"a\":"), b"0\r\n\r\n"].concat(),
    );
    server.bytes("/cut", &[STREAM_HEAD, &chunk("{}")].concat());
    server.bytes("/other", &[STREAM_HEAD, &chunk("{}[]")].concat());
    server.with("/long", |stream| {
        stream.write_all(STREAM_HEAD)?;
        stream.write_all(&chunk("{}{\"a\":\""))?;
        let piece = chunk(&"x".repeat(1 << 20));
        (0..100).try_for_each(|_| stream.write_all(&piece))
    });
    let client = client(&server, CallLimits::default());
    let before = peak_memory();
    for (path, expected) in [
        ("/half", "malformed"),
        ("/cut", "ended"),
        ("/other", "malformed"),
        ("/long", "too_large"),
    ] {
        let mut objects = client.objects(path).await.unwrap();
        assert_eq!(objects.next().await.unwrap(), "{}", "{path}");
        assert_eq!(name(objects.next().await), expected, "{path}");
        assert!(objects.next().await.is_err(), "{path}");
    }
    assert!(peak_memory() - before < 6 * MAX_ANSWER);
}

#[tokio::test]
async fn who_stops_to_wait_for_an_object_loses_none() {
    let server = Server::start();
    let given_up = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&given_up);
    server.with("/objects", move |stream| {
        // Of what was given up since now, the second time was begun since now.
        let wait = || {
            let (start, before) = (Instant::now(), seen.load(Ordering::Relaxed));
            while seen.load(Ordering::Relaxed) < before + 2 && start.elapsed() < LONG {
                thread::sleep(Duration::from_millis(1));
            }
        };
        // Podman answers with the first object only.
        wait();
        stream.write_all(STREAM_HEAD)?;
        for number in 0..20 {
            let text = format!("{{\"number\":{number}}}");
            let (head, tail) = text.split_at(5);
            stream.write_all(&chunk(head))?;
            wait();
            stream.write_all(&chunk(tail))?;
        }
        Ok(())
    });
    let client = client(&server, short());
    let mut objects = client.objects_later("/objects").await.unwrap();
    let mut told = Vec::new();
    while told.len() < 20 {
        match tokio::time::timeout(Duration::from_millis(1), objects.next()).await {
            Ok(object) => told.push(object.unwrap()),
            Err(_) => {
                given_up.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    let expected: Vec<_> = (0..20)
        .map(|number| format!("{{\"number\":{number}}}"))
        .collect();
    assert_eq!(told, expected);
    let given_up = given_up.load(Ordering::Relaxed);
    assert!(given_up >= 20, "{given_up}");
}

#[tokio::test]
async fn who_is_not_there_is_told_with_what_helps() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sock");
    let client = HttpClient::new(path.to_str().unwrap(), short()).unwrap();
    let error = client.get("/version").await.unwrap_err();
    assert_eq!(error.name(), "unreachable");
    let why = not_there(&error);
    assert!(matches!(why.why, Unavailable::NotYet { .. }));
    assert!(why.to_string().contains(path.to_str().unwrap()), "{why}");
    assert!(
        why.to_string().contains("is the runtime installed"),
        "{why}"
    );
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let why = not_there(&client.get("/version").await.unwrap_err());
    assert!(why.to_string().contains("is the runtime started"), "{why}");
}

#[tokio::test]
async fn an_address_that_is_none_never_will_be_one() {
    for address in [
        "",
        "docker.sock",
        "https://host",
        "http://",
        "http://h/a b",
        "http://h/?q",
    ] {
        let why = HttpClient::new(address, short()).unwrap_err();
        assert!(matches!(why, Unavailable::Never { .. }), "{address}");
    }
    for address in [
        "/run/docker.sock",
        "unix:///run/docker.sock",
        "http://h",
        "tcp://[::1]:2375",
        "http://h:1/base/",
    ] {
        HttpClient::new(address, short()).unwrap();
    }
}
