//! Spans of Kata's agents over real `AF_VSOCK`, where a machine can speak to itself by it (`vsock_loopback`).

use std::{io::ErrorKind, time::Duration};

use collector_tests::{
    daemon::cgscope_binary,
    is_emulated,
    kata_agent::{BEGIN_NS, TraceForwarder, frame, span, trace_id},
    note, skipped,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};
use tokio_vsock::{VMADDR_CID_ANY, VMADDR_CID_LOCAL, VsockAddr, VsockListener, VsockStream};

/// Whether this kernel can.
async fn has_loopback() -> bool {
    let Ok(listener) = VsockListener::bind(VsockAddr::new(VMADDR_CID_ANY, u32::MAX)) else {
        return false;
    };
    let Ok(address) = listener.local_addr() else {
        return false;
    };
    let to = VsockAddr::new(VMADDR_CID_LOCAL, address.port());
    let connected = timeout(Duration::from_secs(5), VsockStream::connect(to)).await;
    matches!(connected, Ok(Ok(_)))
}

/// The machines of `cargo xtask vm` have it: a test that is skipped there too would be run nowhere.
fn skipped_here(why: &str) {
    assert!(!is_emulated(), "{why}, and no other machine can");
    skipped(why);
}

async fn agent(port: u32) -> VsockStream {
    let to = VsockAddr::new(VMADDR_CID_LOCAL, port);
    VsockStream::connect(to).await.expect("a forwarder")
}

#[tokio::test]
async fn agents_that_speak_at_once_over_vsock_are_heard_each_and_a_hostile_one_is_ended() {
    if !has_loopback().await {
        skipped_here("this kernel has no vsock_loopback: the virtual machines' kernels do");
        return;
    }
    let port = 20_240 + std::process::id() % 10_000;
    let forwarder = TraceForwarder::start(&["--dump-only", "--vsock-port", &port.to_string()])
        .expect("it runs");
    assert_eq!(forwarder.status("CapEff"), "0000000000000000");
    let mut agents = Vec::new();
    for guest in 1..=4_u64 {
        agents.push((guest, agent(port).await));
    }
    // Each in two pieces, that of one between those of others.
    let frames: Vec<_> = (1..=4)
        .map(|guest| frame(&span(guest, guest + 1)))
        .collect();
    for part in 0..2 {
        for (guest, stream) in &mut agents {
            let frame = &frames[usize::try_from(*guest).expect("small") - 1];
            let (front, rest) = frame.split_at(frame.len() / 2 + 3);
            let piece = if part == 0 { front } else { rest };
            stream.write_all(piece).await.expect("it is read");
        }
    }
    let mut hostile = agent(port).await;
    // It may be ended before it is done.
    drop(hostile.write_all(&(1_u64 << 63).to_be_bytes()).await);
    let mut byte = [0];
    let ended = timeout(Duration::from_secs(20), hostile.read(&mut byte)).await;
    match ended.expect("it is ended") {
        Ok(count) => assert_eq!(count, 0),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    let mut seen = Vec::new();
    for _ in 0..4 {
        let line = forwarder.line();
        let of = &line["resourceSpans"][0];
        let attributes = of["resource"]["attributes"].as_array().expect("a list");
        let value = |key: &str| {
            let found = attributes.iter().find(|of| of["key"] == key);
            found.map(|of| of["value"].clone()).unwrap_or_default()
        };
        assert_eq!(value("service.name")["stringValue"], "kata-agent");
        assert_eq!(value("cgscope.vsock.cid")["intValue"], "1");
        let said = &of["scopeSpans"][0]["spans"][0];
        let guest: u64 = said["attributes"][0]["value"]["intValue"]
            .as_str()
            .and_then(|text| text.parse().ok())
            .expect("which guest");
        assert_eq!(said["traceId"], format!("{:032x}", trace_id(guest)));
        assert_eq!(said["spanId"], format!("{:016x}", guest + 1));
        assert_eq!(said["parentSpanId"], format!("{guest:016x}"));
        assert_eq!(said["startTimeUnixNano"], BEGIN_NS.to_string());
        assert_eq!(said["endTimeUnixNano"], (BEGIN_NS + guest + 1).to_string());
        assert_eq!(said["status"]["message"], "boom");
        assert_eq!(said["events"][0]["name"], "ev");
        seen.push(guest);
    }
    seen.sort_unstable();
    assert_eq!(seen, [1, 2, 3, 4]);
    // An agent that ends at a frame's end has done nothing wrong, and the others go on.
    let (_, mut last) = agents.pop().expect("four");
    last.write_all(&frame(&span(9, 9)))
        .await
        .expect("it is read");
    drop((last, agents));
    let line = forwarder.line();
    assert_eq!(
        line["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"],
        "rpc 9"
    );
    let (status, took) = forwarder.stop();
    assert!(
        status.success() && took < Duration::from_secs(10),
        "{status} in {took:?}"
    );
    note("over AF_VSOCK, to the CID 1");
}

#[tokio::test]
async fn root_without_capabilities_takes_spans_over_vsock_and_is_not_let_beside_a_sandbox() {
    if VsockListener::bind(VsockAddr::new(VMADDR_CID_ANY, u32::MAX)).is_err() {
        skipped_here("this kernel has no VSOCK: the virtual machines' kernels do");
        return;
    }
    let bare = || {
        let mut command = std::process::Command::new("setpriv");
        command
            .args(["--bounding-set=-all", "--inh-caps=-all"])
            .arg(cgscope_binary());
        command
    };
    let port = (30_240 + std::process::id() % 10_000).to_string();
    let forwarder = TraceForwarder::launch(bare(), &["--dump-only", "--vsock-port", &port]);
    let forwarder = forwarder.expect("it runs");
    assert_eq!(forwarder.status("CapEff"), "0000000000000000");
    let (status, took) = forwarder.stop();
    assert!(status.success(), "{status} in {took:?}");
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("clh.sock").display().to_string();
    let refused = TraceForwarder::launch(bare(), &["--dump-only", "--socket-path", &socket]);
    let (code, said) = refused.expect_err("its privileges cannot be dropped");
    assert_eq!(code, Some(77), "{said}");
    assert!(said.contains("CAP_SETUID"), "{said}");
}
