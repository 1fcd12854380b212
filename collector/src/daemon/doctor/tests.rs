//! Inventory and daemons that answer, hang, and are not there.

use std::{
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixListener,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::runtimes::{Found, Inventory, Search};
use crate::catalog::runtimes::{CONNECT_TIME, Endpoint, Protocol};

const VERSION: &str = r#"{"Components":[{"Name":"Engine","Version":"20.10.24","Details":{"ApiVersion":"1.41","MinAPIVersion":"1.12"}}],"Version":"20.10.24","ApiVersion":"1.41","MinAPIVersion":"1.12","Os":"linux"}"#;

fn response(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn answer(mut stream: impl std::io::Read + std::io::Write, body: &str) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    stream.write_all(response(body).as_bytes()).unwrap();
}

/// A Docker that says who it is. Its thread ends with the process of the tests.
fn docker(socket: &Path) {
    let listener = UnixListener::bind(socket).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.unwrap(), VERSION);
        }
    });
}

/// A daemon that gives one catalog.
fn daemon(runtimes: &str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let body = format!(
        r#"{{"schema":1,"source":"daemon","version":"9","taken_seconds":1.5,"hierarchies":[],"cgroups":[],"left_out":0,"runtimes":[{runtimes}]}}"#
    );
    thread::spawn(move || answer(listener.accept().unwrap().0, &body));
    address
}

/// Where nobody listens.
fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

fn search(places: &[(Protocol, &Path)], listen: SocketAddr) -> Inventory {
    let places = places.iter().map(|(protocol, socket)| {
        let endpoint = Endpoint {
            protocol: *protocol,
            address: socket.to_str().unwrap().to_owned(),
        };
        (endpoint, Found::Configured)
    });
    let search = Search {
        places: places.collect(),
        discovery: true,
        listen,
    };
    search.run().unwrap()
}

#[test]
fn a_runtime_that_answers_is_told_with_its_version_and_the_daemon_adds_since_when() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    docker(&socket);
    let address = socket.to_str().unwrap();
    let of_daemon = format!(
        r#"{{"protocol":"docker","address":"{address}","runtime":"docker","version":"20.10.24","since_seconds":1700000000.5,"last_error":"no \u001b[31manswer","last_error_time_seconds":1699999000.0}},
        {{"protocol":"cri","address":"/run/crio/crio.sock","since_seconds":1e300}}"#
    );
    let found = search(&[(Protocol::Docker, &socket)], daemon(&of_daemon));
    let expected = format!(
        "\
docker       docker 20.10.24 answers
               at {address}, as configured
               answers the daemon since 2023-11-14T22:13:20Z
               the daemon's last error at 2023-11-14T21:56:40Z: no \\x1b[31manswer"
    );
    let lines = found.lines();
    let (docker, cri) = lines.split_at(4);
    // What had to be made fit for a terminal ends in a hash.
    assert!(docker.join("\n").starts_with(&expected), "{docker:#?}");
    assert_eq!(cri.len(), 3, "{cri:#?}");
    assert_eq!(cri[0], "cri          nobody answers");
    assert!(cri[1].contains("as the daemon tells"), "{cri:?}");
    assert!(cri[2].contains("does not answer the daemon"), "{cri:?}");
}

#[test]
fn without_a_daemon_it_is_said_that_only_a_daemon_knows_since_when() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    docker(&socket);
    let listen = nobody();
    let found = search(&[(Protocol::Docker, &socket)], listen);
    let lines = found.lines();
    let [who, _, last] = &lines[..] else {
        panic!("{lines:#?}");
    };
    assert_eq!(who, "docker       docker 20.10.24 answers");
    for part in [&*listen.to_string(), "only a daemon knows since when"] {
        assert!(last.contains(part), "{part:?} not in {last:?}");
    }
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["daemon"]["answers"], false);
    assert_eq!(json["runtimes"][0]["version"], "20.10.24");
    assert_eq!(json["runtimes"][0]["found"], "configured");
    assert!(json["runtimes"][0].get("followed").is_none(), "{json}");
}

#[test]
fn sockets_that_accept_and_never_answer_cost_their_time_once_and_others_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let hanging: Vec<_> = (0..8)
        .map(|number| folder.path().join(format!("{number}.sock")))
        .collect();
    let _listeners: Vec<_> = hanging
        .iter()
        .map(|socket| UnixListener::bind(socket).unwrap())
        .collect();
    let socket = folder.path().join("docker.sock");
    docker(&socket);
    let hanging_daemon = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut places: Vec<_> = hanging
        .iter()
        .zip(Protocol::ALL.iter().cycle())
        .filter(|(_, protocol)| **protocol != Protocol::Ecs)
        .map(|(socket, protocol)| (*protocol, &**socket))
        .collect();
    places.push((Protocol::Docker, &socket));
    let start = Instant::now();
    let found = search(&places, hanging_daemon.local_addr().unwrap());
    let took = start.elapsed();
    // The daemon has 5 s, a runtime 2: had they been asked in turn, it were 19.
    assert!(took < Duration::from_secs(5) + 2 * CONNECT_TIME, "{took:?}");
    assert!(!found.daemon.answers);
    let (last, others) = found.runtimes.split_last().unwrap();
    assert_eq!(last.runtime.as_deref(), Some("docker"));
    assert!(others.len() >= 6);
    for other in others {
        assert!(other.runtime.is_none());
        let reason = other.reason.as_deref().unwrap();
        assert!(reason.contains("within 2"), "{reason}");
        assert!(
            other.remedy.as_deref().unwrap().contains("log"),
            "{other:?}"
        );
    }
}

#[test]
fn of_one_that_cannot_be_used_why_and_the_remedy_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.sock");
    let left_over = folder.path().join("left.sock");
    drop(UnixListener::bind(&left_over).unwrap());
    let other = folder.path().join("docker.sock");
    docker(&other);
    let found = search(
        &[
            (Protocol::Docker, &missing),
            (Protocol::Containerd, &left_over),
            (Protocol::Podman, &other),
        ],
        nobody(),
    );
    let remedies = found
        .runtimes
        .iter()
        .map(|of| of.remedy.as_deref().unwrap());
    for (remedy, part) in remedies.zip(["--runtime-endpoint", "left over", "protocol"]) {
        assert!(remedy.contains(part), "{part:?} not in {remedy:?}");
    }
    for (of, address) in found.runtimes.iter().zip([&missing, &left_over]) {
        let reason = of.reason.as_deref().unwrap();
        assert!(reason.contains(address.to_str().unwrap()), "{reason}");
    }
}

#[test]
fn where_nothing_is_found_one_line_says_where_was_looked_and_what_names_others() {
    let found = search(&[], nobody());
    let lines = found.lines();
    for part in [
        "/run/docker.sock,",
        "/run/crio/crio.sock,",
        "/run/user/*/podman/podman.sock",
        "--runtime-endpoint",
    ] {
        assert!(lines[0].contains(part), "{part:?} not in {lines:#?}");
    }
    assert_eq!(
        lines[0].matches("/run/containerd/containerd.sock").count(),
        1
    );
}
