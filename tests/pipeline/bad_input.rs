//! Each mistake gets an exit code of its kind and a message that names it.

use std::{fs, net::TcpListener, process::Command};

use collector_tests::daemon::{Daemon, run_to_end};

/// Runs `cgscope run` with a lock file of its own.
fn run(arguments: &[&str]) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let lock = folder.path().join("lock");
    let lock = lock.to_str().unwrap();
    run_to_end(
        &[
            &["run", "--listen", "127.0.0.1:0", "--lock-file", lock],
            arguments,
        ]
        .concat(),
    )
}

#[test]
fn flags_that_are_not_understood() {
    for (arguments, expected) in [
        (&["--nonsense"][..], "--nonsense"),
        (&["--listen", "nowhere"], "nowhere"),
        (&["--interval", "soon"], "soon"),
        (&["--interval", "1ms"], "1s to 1h"),
        (&["--signals", "sched,disk"], "disk"),
        (&["--samples-ring", "5MiB"], "power of two"),
        (&["--log", "a=b=c"], "a=b=c"),
        (&["--max-cgroups", "0"], "max_cgroups"),
    ] {
        let (code, message) = run_to_end(&[&["run"], arguments].concat());
        assert_eq!(code, 64, "{arguments:?}: {message}");
        assert!(message.contains(expected), "{arguments:?}: {message}");
    }
}

#[test]
fn a_configuration_that_cannot_be_read_or_understood() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cgscope.toml");
    let path = path.to_str().unwrap();
    let (code, message) = run(&["--config", path]);
    assert_eq!(code, 64);
    assert!(
        message.contains(path) && message.contains("No such file"),
        "{message}"
    );
    for (text, expected) in [
        (
            "interval = '10s'\nlissten = ':1'",
            &["line 2", "lissten"][..],
        ),
        ("[", &["line 1"]),
    ] {
        fs::write(path, text).unwrap();
        let (code, message) = run(&["--config", path]);
        assert_eq!(code, 64);
        assert!(message.contains(path), "{message}");
        assert!(
            expected.iter().all(|part| message.contains(part)),
            "{message}"
        );
    }
}

#[test]
fn a_port_in_use_and_a_second_instance() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, message) = run(&["--listen", &address]);
    assert_eq!(code, 69, "{message}");
    assert!(
        message.contains(&address) && message.contains("--listen"),
        "{message}"
    );

    let folder = tempfile::tempdir().unwrap();
    let lock = folder.path().join("lock");
    let lock = lock.to_str().unwrap();
    let first = Daemon::start(&["--lock-file", lock]);
    let (code, message) = run(&["--lock-file", lock]);
    assert_eq!(code, 69, "{message}");
    let pid = format!("pid {}", first.pid());
    assert!(
        message.contains(&pid) && message.contains("--lock-file"),
        "{message}"
    );
}

#[test]
fn a_host_without_types_or_cgroups() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "this is not BTF").unwrap();
    let path = file.path().to_str().unwrap();
    let (code, message) = run(&["--btf", path]);
    assert_eq!(code, 69, "{message}");
    assert!(
        message.contains(path) && message.contains("--btf"),
        "{message}"
    );

    let (code, message) = run(&["--cgroup-root", "/nowhere"]);
    assert_eq!(code, 69, "{message}");
    assert!(
        message.contains("/nowhere") && message.contains("--cgroup-root"),
        "{message}"
    );

    let (code, _) = run_to_end(&["doctor", "--btf", path]);
    assert_eq!(code, 2);

    fs::write(file.path(), b"\x7fELF").unwrap();
    for (given, reason) in [
        (path, "objcopy"),
        ("/nonexistent/types", "does not exist"),
        ("/dev/zero", "not a file"),
    ] {
        let (code, message) = run(&["--btf", given]);
        assert_eq!(code, 69, "{message}");
        for part in [given, reason, "--btf"] {
            assert!(message.contains(part), "{part} not in {message}");
        }
    }
}

#[test]
fn a_user_who_may_not() {
    let folder = tempfile::tempdir().unwrap();
    // Where another user can execute it.
    let binary = folder.path().join("cgscope");
    fs::copy(collector_tests::daemon::cgscope_binary(), &binary).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(folder.path(), open).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(&binary)
        .args(["run", "--listen", "127.0.0.1:0", "--lock-file"])
        .arg(folder.path().join("lock"))
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(77), "{message}");
    assert!(
        message.contains("CAP_BPF") && message.contains("root"),
        "{message}"
    );
}

#[test]
fn a_limit_of_open_files_that_cannot_do() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("prlimit")
        .arg("--nofile=64:64")
        .arg(collector_tests::daemon::cgscope_binary())
        .args(["run", "--listen", "127.0.0.1:0", "--lock-file"])
        .arg(folder.path().join("lock"))
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "{message}");
    for part in ["64 files", "256", "LimitNOFILE="] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn signals_that_are_not_asked_for_are_off_and_the_rest_runs() {
    let daemon = Daemon::start(&["--signals", "sched"]);
    let exposition = daemon.scrape_until("a switch", std::time::Duration::from_secs(5), |of| {
        of.sum("cgscope_events_recorded_total", &[("signal", "sched")]) > Some(0.0)
    });
    assert_eq!(
        exposition.sum("cgscope_events_observed_total", &[("signal", "block_io")]),
        None
    );
    let (status, _, log) = daemon.stop();
    assert!(status.success());
    assert!(
        log.contains("block_io: off, because not asked for"),
        "{log}"
    );
}
