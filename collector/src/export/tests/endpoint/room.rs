//! What a client can take, and what it gives back.

use std::{
    io::{Read as _, Write as _},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{Answer, Numbers, PATIENCE, Running, wait_for};
use crate::{
    catalog::Identity,
    export::{
        Format, NameSets,
        connection::Limits,
        encode,
        http::LIMITS,
        tests::{full_snapshot, unknown_cgroup},
    },
    host::block_devices,
    reconcile::snapshot::CgroupStats,
};

#[test]
fn those_who_look_at_the_catalog_do_not_keep_a_scrape_from_its_place() {
    let numbers = Arc::new(Numbers::with_closed_gate());
    let endpoint = Arc::new(Running::start(Arc::clone(&numbers)));
    let ask = |path: &'static str| {
        let endpoint = Arc::clone(&endpoint);
        thread::spawn(move || endpoint.get(path))
    };
    let mut first = vec![ask("/catalog.json"), ask("/catalog.json")];
    numbers.wait_until(|gate| gate.waiting == 2);
    let third = endpoint.get("/catalog.json");
    assert_eq!(
        (third.status, third.header("retry-after")),
        (503, Some("1"))
    );
    first.extend([ask("/metrics"), ask("/metrics")]);
    numbers.wait_until(|gate| gate.waiting == 4);
    numbers.change_gate(|gate| gate.open = true);
    for answer in first {
        assert_eq!(answer.join().expect("an answer").status, 200);
    }
}

#[test]
fn two_scrapes_run_at_once_and_a_third_is_told_to_come_back() {
    let numbers = Arc::new(Numbers::with_closed_gate());
    let endpoint = Arc::new(Running::start(Arc::clone(&numbers)));
    let scrapes = [(); 2].map(|()| {
        let endpoint = Arc::clone(&endpoint);
        thread::spawn(move || endpoint.get("/metrics"))
    });
    numbers.wait_until(|gate| gate.waiting == 2);
    let third = endpoint.get("/metrics");
    assert_eq!(
        (third.status, third.header("retry-after")),
        (503, Some("1"))
    );
    assert_eq!(
        endpoint.get("/healthz").status,
        200,
        "the endpoint stays responsive"
    );
    numbers.change_gate(|gate| gate.open = true);
    for scrape in scrapes {
        let answer = scrape.join().expect("no panic");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body.len(), encoded_length());
    }
    assert_eq!(endpoint.get("/metrics").status, 200, "there is room again");
    Arc::into_inner(endpoint).expect("the last one").stop();
}

fn encoded_length() -> usize {
    let named = encode(
        full_snapshot(),
        Format::PrometheusText,
        NameSets::default(),
        |device| block_devices::name(device.major, device.minor),
    );
    named.expect("the snapshot can be encoded").len()
}

#[test]
fn a_client_that_leaves_while_its_scrape_runs_keeps_the_room_until_the_work_is_done() {
    let numbers = Arc::new(Numbers::with_closed_gate());
    let endpoint = Running::start(Arc::clone(&numbers));
    for scrapes in 1..=2 {
        let mut connection = endpoint.connect();
        write!(connection, "GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n").expect("sent");
        numbers.wait_until(|gate| gate.waiting == scrapes);
    }
    // Both connections are closed by now. Had they given their room back, work would pile up.
    thread::sleep(Duration::from_millis(100));
    assert_eq!(endpoint.get("/metrics").status, 503);
    numbers.change_gate(|gate| gate.open = true);
    numbers.wait_until(|gate| gate.waiting == 0);
    wait_for(|| endpoint.get("/metrics").status == 200);
    endpoint.stop();
}

#[test]
fn half_a_request_is_not_waited_for() {
    let limits = Limits {
        request: Duration::from_millis(300),
        ..LIMITS
    };
    let endpoint = Running::start_within(limits, Arc::new(Numbers::of(full_snapshot())));
    let mut connection = endpoint.connect();
    let start = Instant::now();
    let mut cut = false;
    // A byte now and then does not help.
    for byte in b"GET /metrics HTTP/1.1\r\nX-Slow: "
        .iter()
        .chain(std::iter::repeat(&b'a'))
    {
        if connection.write_all(&[*byte]).is_err() {
            cut = true;
            break;
        }
        if start.elapsed() > PATIENCE {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    assert!(cut, "the connection is still open");
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(endpoint.get("/healthz").status, 200);
    endpoint.stop();
}

#[test]
fn an_answer_that_is_not_read_gives_its_room_back() {
    let limits = Limits {
        response: Duration::from_secs(5),
        ..LIMITS
    };
    // Too much for the buffers of a socket.
    let mut snapshot = full_snapshot();
    snapshot.cgroups = (0..5_000).map(with_long_path).collect();
    let endpoint = Running::start_within(limits, Arc::new(Numbers::of(snapshot)));
    let mut lazy = [endpoint.connect(), endpoint.connect()];
    for connection in &mut lazy {
        write!(connection, "GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n").expect("sent");
    }
    for connection in &mut lazy {
        connection
            .read_exact(&mut [0; 1])
            .expect("the answer begins");
    }
    assert_eq!(endpoint.get("/metrics").status, 503);
    wait_for(|| endpoint.ask("HEAD /metrics HTTP/1.1").status == 200);
    drop(lazy);
    endpoint.stop();
}

fn with_long_path(number: usize) -> CgroupStats {
    let mut cgroup = unknown_cgroup();
    let path = format!("/{number}/{}", "long".repeat(250));
    cgroup.identity = Identity {
        path,
        ..(*cgroup.identity).clone()
    }
    .into();
    cgroup
}

#[test]
fn connections_beyond_the_bound_wait_for_a_place() {
    let limits = Limits {
        connections: 2,
        ..LIMITS
    };
    let endpoint = Running::start_within(limits, Arc::new(Numbers::of(full_snapshot())));
    let held = [endpoint.connect(), endpoint.connect()];
    let mut third = endpoint.connect();
    write!(
        third,
        "GET /healthz HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
    )
    .expect("sent");
    third
        .set_read_timeout(Some(Duration::from_millis(200)))
        .expect("a timeout");
    assert!(
        third.read(&mut [0; 1]).is_err(),
        "answered beyond the bound"
    );
    drop(held);
    third.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    assert_eq!(Answer::read(&mut third).status, 200);
    endpoint.stop();
}
