//! What signals do to the daemon.

use std::{net::TcpListener, process::Command, thread, time::Duration};

use collector_tests::daemon::{Daemon, cgscope, cgscope_binary};
use nix::sys::signal::Signal;

#[test]
fn a_terminal_that_is_gone_ends_it_in_good_order_but_not_where_that_is_ignored() {
    // Whoever runs the tests may have it ignored.
    let mut command = Command::new("env");
    command.arg("--default-signal=HUP").arg(cgscope_binary());
    let daemon = Daemon::launch(command, &[], "/readyz");
    daemon.signal(Signal::SIGHUP);
    let (status, log) = daemon.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("stopped"), "{log}");

    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' HUP; exec \"$0\" \"$@\""])
        .arg(cgscope_binary());
    let daemon = Daemon::launch(command, &[], "/readyz");
    daemon.signal(Signal::SIGHUP);
    thread::sleep(Duration::from_millis(500));
    assert_eq!(daemon.get("/readyz").unwrap().0, 200);
    let (status, _, log) = daemon.stop();
    assert_eq!(status.code(), Some(0), "{log}");
}

/// As a shell tells of a process that SIGTERM ended.
const TERMINATED: i32 = 128 + 15;

#[test]
fn the_second_signal_does_not_wait_for_what_the_first_waits_for() {
    // It takes connections and answers nothing: what waits to be sent has its time at the end.
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", collector.local_addr().unwrap());
    // The end is short all the same, and the second signal may come too late or together with the first.
    let codes = (0..5).map(|_| {
        let mut command = cgscope();
        command
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)
            .env("OTEL_METRIC_EXPORT_INTERVAL", "1000");
        let daemon = Daemon::launch(command, &["--export-otlp"], "/readyz");
        thread::sleep(Duration::from_secs(2));
        daemon.signal(Signal::SIGTERM);
        thread::sleep(Duration::from_millis(150));
        daemon.signal(Signal::SIGTERM);
        let (status, log) = daemon.end();
        let code = status.code().unwrap();
        assert!([0, TERMINATED].contains(&code), "{status}: {log}");
        code
    });
    let codes: Vec<_> = codes.collect();
    assert!(codes.contains(&TERMINATED), "{codes:?}");
}
