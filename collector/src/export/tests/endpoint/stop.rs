//! How the endpoint ends.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::Arc,
    thread,
    time::Duration,
};

use super::{Answer, Numbers, Running, wait_for};
use crate::export::{
    http::{LIMITS, serve_within},
    tests::full_snapshot,
};

#[test]
fn a_stop_does_not_wait_for_idle_connections() {
    let endpoint = Running::start(Arc::new(Numbers::of(full_snapshot())));
    let unused = endpoint.connect();
    let mut half = endpoint.connect();
    write!(half, "GET /hea").expect("sent");
    let mut idle = endpoint.connect();
    write!(idle, "GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n").expect("sent");
    let mut answer = [0; 512];
    let length = idle.read(&mut answer).expect("an answer");
    assert_eq!(Answer::parse(&answer[..length]).text(), "ok");
    let address = endpoint.address;
    let took = endpoint.stop();
    assert!(took < Duration::from_millis(700), "{took:?}");
    for mut connection in [unused, half, idle] {
        let rest = connection.read(&mut answer);
        assert!(matches!(rest, Ok(0) | Err(_)), "still open: {rest:?}");
    }
    TcpStream::connect(address).expect_err("nobody listens any more");
}

#[test]
fn a_stop_lets_a_scrape_in_flight_finish() {
    let numbers = Arc::new(Numbers::with_closed_gate());
    let endpoint = Running::start(Arc::clone(&numbers));
    let mut connection = endpoint.connect();
    write!(connection, "GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n").expect("sent");
    numbers.wait_until(|gate| gate.waiting == 1);
    let opener = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        numbers.change_gate(|gate| gate.open = true);
    });
    let took = endpoint.stop();
    opener.join().expect("no panic");
    assert!(took < Duration::from_millis(700), "{took:?}");
    assert_eq!(Answer::read(&mut connection).status, 200);
}

#[test]
fn a_stop_does_not_wait_for_a_scrape_that_hangs() {
    let numbers = Arc::new(Numbers::with_closed_gate());
    let endpoint = Running::start(Arc::clone(&numbers));
    let mut connection = endpoint.connect();
    write!(connection, "GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n").expect("sent");
    numbers.wait_until(|gate| gate.waiting == 1);
    let took = endpoint.stop();
    numbers.change_gate(|gate| gate.open = true);
    assert!(took < Duration::from_millis(900), "{took:?}");
}

#[tokio::test]
async fn dropping_the_future_stops_the_endpoint() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let address = listener.local_addr().expect("an address");
    let numbers = Arc::new(Numbers::of(full_snapshot()));
    let serving = serve_within(LIMITS, listener, numbers, std::future::pending());
    tokio::time::timeout(Duration::from_millis(100), serving)
        .await
        .expect_err("it serves on");
    wait_for(|| TcpStream::connect(address).is_err());
}
