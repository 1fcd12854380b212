//! What each path answers.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    sync::Arc,
    thread,
};

use super::{Numbers, Running};
use crate::{
    export::{
        Format,
        listing::{CatalogDocument, tests::listing},
        tests::{encoded, full_snapshot},
    },
    window::Device,
};

#[test]
fn each_path_answers() {
    let endpoint = Running::start(Arc::new(Numbers::of(full_snapshot())));
    let health = endpoint.get("/healthz");
    assert_eq!((health.status, health.text()), (200, "ok"));
    let readiness = endpoint.get("/readyz");
    assert_eq!((readiness.status, readiness.text()), (200, "ready"));
    let index = endpoint.get("/");
    assert_eq!(index.status, 200);
    assert_eq!(
        index.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    for linked in [
        "\"/metrics\"",
        "\"/catalog.json\"",
        "\"/healthz\"",
        "\"/readyz\"",
        env!("CARGO_PKG_VERSION"),
    ] {
        assert!(index.text().contains(linked), "{linked}");
    }
    assert!(!index.text().contains("http"), "no resource from elsewhere");
    for unknown in ["/metrics/", "/favicon.ico", "/../etc/passwd", "/%00"] {
        assert_eq!(endpoint.get(unknown).status, 404, "{unknown}");
    }
    endpoint.stop();
}

#[test]
fn nothing_but_reading_is_allowed() {
    let endpoint = Running::start(Arc::new(Numbers::of(full_snapshot())));
    for path in ["/", "/metrics", "/catalog.json", "/healthz", "/readyz"] {
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let answer = endpoint.ask(&format!("{method} {path} HTTP/1.1\r\nContent-Length: 0"));
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), Some("GET,HEAD"), "{method} {path}");
        }
        let head = endpoint.ask(&format!("HEAD {path} HTTP/1.1"));
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
    }
    endpoint.stop();
}

#[test]
fn ready_without_a_signal_says_which_and_why() {
    let mut numbers = Numbers::of(full_snapshot());
    numbers.readiness = Ok(vec!["oom: off, because not asked for".to_owned()]);
    let endpoint = Running::start(Arc::new(numbers));
    let readiness = endpoint.get("/readyz");
    assert_eq!(
        (readiness.status, readiness.text()),
        (200, "ready\noom: off, because not asked for")
    );
    endpoint.stop();
}

#[test]
fn not_ready_says_why_and_still_serves_metrics() {
    let reason = "block_io: waiting for the first snapshot";
    let mut numbers = Numbers::of(full_snapshot());
    numbers.readiness = Err(reason.to_owned());
    let endpoint = Running::start(Arc::new(numbers));
    let readiness = endpoint.get("/readyz");
    assert_eq!((readiness.status, readiness.text()), (503, reason));
    assert_eq!(endpoint.get("/healthz").status, 200);
    assert_eq!(endpoint.get("/metrics").status, 200);
    endpoint.stop();
}

#[test]
fn a_scraper_gets_the_format_that_it_asks_for() {
    let mut snapshot = full_snapshot();
    snapshot
        .cgroups
        .iter_mut()
        .for_each(|cgroup| cgroup.block.clear());
    let endpoint = Running::start(Arc::new(Numbers::of(snapshot.clone())));
    for format in Format::ALL {
        let accept = format.content_type();
        let answer = endpoint.ask(&format!("GET /metrics HTTP/1.1\r\nAccept: {accept}"));
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some(accept));
        assert_eq!(answer.header("content-encoding"), None);
        assert_eq!(answer.body, encoded(snapshot.clone(), format));
    }
    let unasked = endpoint.get("/metrics");
    assert_eq!(
        unasked.header("content-type"),
        Some(Format::PrometheusText.content_type())
    );
    endpoint.stop();
}

#[test]
fn disks_without_a_name_are_told_apart_from_too_many_disks() {
    let mut snapshot = full_snapshot();
    let rows = &mut snapshot.cgroups[0].block;
    rows[0].device.major = 4_000;
    let mut overflow = rows[0].clone();
    overflow.device = Device { major: 0, minor: 0 };
    rows.push(overflow);
    let endpoint = Running::start(Arc::new(Numbers::of(snapshot)));
    let answer = endpoint.get("/metrics");
    for labels in [
        "device=\"4000:0\",operation=\"write\"",
        "device=\"~other\",operation=\"write\"",
    ] {
        assert!(answer.text().contains(labels), "{labels}");
    }
    endpoint.stop();
}

#[test]
fn gzip_is_used_when_it_is_accepted() {
    let endpoint = Running::start(Arc::new(Numbers::of(full_snapshot())));
    let plain = endpoint.ask("GET /metrics HTTP/1.1\r\nAccept-Encoding: gzip;q=0");
    let packed = endpoint.ask("GET /metrics HTTP/1.1\r\nAccept-Encoding: br, gzip;q=0.5");
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(
        packed.body.len() * 4 < plain.body.len(),
        "{} bytes",
        packed.body.len()
    );
    assert_eq!(
        String::from_utf8(gunzip(packed.body)).expect("text"),
        plain.text()
    );
    endpoint.stop();
}

#[test]
fn the_catalog_is_served_as_json_plain_and_packed() {
    let endpoint = Running::start(Arc::new(Numbers::of(full_snapshot())));
    let plain = endpoint.get("/catalog.json");
    assert_eq!(plain.status, 200);
    assert_eq!(plain.header("content-type"), Some("application/json"));
    assert_eq!(plain.header("content-encoding"), None);
    let expected = CatalogDocument::of(listing()).encode().expect("JSON");
    assert_eq!(plain.body, expected);
    let packed = endpoint.ask("GET /catalog.json HTTP/1.1\r\nAccept-Encoding: gzip");
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(gunzip(packed.body), expected);
    endpoint.stop();
}

#[test]
fn a_container_is_told_with_what_is_known_and_what_is_not() {
    let endpoint = Running::start(Arc::new(Numbers::of(full_snapshot())));
    let answer = endpoint.get("/container.json?name=web");
    assert_eq!(answer.status, 200);
    let text = answer.text();
    for part in [
        r#""container":{"id":"c0ffee","runtime":"docker"}"#,
        r#""reading":{"how":"running","time_seconds":1700000000.0,"cpu_seconds":1.5}"#,
        r#""pids":[42,43]"#,
        r#""errors":{"network stats":"no namespace"}"#,
    ] {
        assert!(text.contains(part), "{part} not in {text}");
    }
    assert!(!text.contains("open_files"), "{text}");
    for (query, status) in [
        ("", 400),
        ("?name=other", 404),
        ("?name=busy", 503),
        ("?pid=1", 502),
    ] {
        let answer = endpoint.get(&format!("/container.json{query}"));
        assert_eq!(answer.status, status, "{query}: {}", answer.text());
    }
    endpoint.stop();
}

fn gunzip(packed: Vec<u8>) -> Vec<u8> {
    let mut gzip = Command::new("gzip")
        .args(["--decompress", "--stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("gzip runs");
    let mut input = gzip.stdin.take().expect("its input");
    let writer = thread::spawn(move || input.write_all(&packed));
    let output = gzip.wait_with_output().expect("gzip ends");
    writer.join().expect("no panic").expect("gzip reads");
    assert!(output.status.success());
    output.stdout
}
