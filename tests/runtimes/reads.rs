//! What cgscope asks real runtimes: nothing but to be told.

use std::{collections::BTreeMap, thread, time::Duration};

use collector_tests::{
    daemon::{free_address, get},
    exposition::Exposition,
    note,
};

use crate::{
    Container,
    commands::{Podman, ctr, docker, docker_run, import},
    image::{IMAGE, Image},
    named::{Expected, Names, daemon_of},
    parents::Parents,
    run,
    served::{only_reads, witness::Witness},
    server::Server,
};

/// Long enough for a list, an event, and what is asked again and again.
const WATCHED: Duration = Duration::from_secs(8);

#[test]
fn docker_and_podman_are_asked_only_by_get() {
    let _parents = Parents::of(&["docker", "libpod_parent/conmon", "libpod_parent"]);
    let image = Image::new();
    let dockerd = Server::dockerd();
    run(docker(&dockerd)
        .arg("load")
        .arg("--input")
        .arg(image.archive()));
    let podman = Podman::new(&image);
    let podman_server = podman.server(None);
    let witnesses = [&dockerd, &podman_server].map(|server| Witness::of(server.socket()));
    let [of_docker, of_podman] = witnesses.each_ref().map(|of| of.socket().display());
    let endpoints = [format!("docker={of_docker}"), format!("podman={of_podman}")];
    let daemon = daemon_of(&endpoints, &[]);
    let made = Container {
        id: run(docker_run(&dockerd, "watched").args([IMAGE, "/bin/busybox", "sleep", "60"])),
        remove: || {
            let mut remove = docker(&dockerd);
            remove.args(["rm", "--force"]);
            remove
        },
    };
    Expected {
        path: &format!("/docker/{}", made.id),
        id: &made.id,
        runtime: "docker",
        names: Names {
            name: "watched",
            image: IMAGE,
            ..Names::default()
        },
    }
    .see(&daemon);
    thread::sleep(WATCHED);
    for (witness, runtime) in witnesses.iter().zip(["Docker", "Podman"]) {
        let calls = witness.calls();
        note(&format!("{runtime} was asked {calls:?}"));
        assert!(!calls.is_empty(), "{runtime} was not asked");
        assert!(calls.iter().all(|call| only_reads(call)), "{calls:?}");
    }
}

/// How often each method was called, by containerd's own counters.
fn counted(metrics: &str) -> BTreeMap<String, f64> {
    let (status, body) = get(metrics, "/v1/metrics").expect("containerd's metrics");
    assert_eq!(status, 200, "{body}");
    let counters = Exposition::parse(&body);
    let started = counters.find("grpc_server_started_total", &[]);
    started
        .map(|sample| {
            let of = |label: &str| sample.labels[label].as_str();
            let method = format!("{}/{}", of("grpc_service"), of("grpc_method"));
            (method, sample.value)
        })
        .collect()
}

#[test]
fn containerd_is_asked_only_what_reads() {
    let namespace = "cgscope-reads";
    let _parents = Parents::of(&[namespace]);
    let image = Image::new();
    let metrics = free_address();
    let server = Server::containerd_with_metrics(&metrics);
    import(&server, namespace, &image.archive());
    let start = |id: &str| {
        run(ctr(&server, namespace)
            .args(["run", "--detach", "--snapshotter=native", IMAGE, id])
            .args(["/bin/busybox", "sleep", "60"]));
    };
    start("watched");
    let before = counted(&metrics);
    let socket = server.socket().display();
    let endpoints = [format!("containerd={socket}"), format!("cri={socket}")];
    let daemon = daemon_of(&endpoints, &[]);
    Expected {
        path: &format!("/{namespace}/watched"),
        id: "watched",
        runtime: "containerd",
        names: Names {
            name: "watched",
            image: IMAGE,
            namespace,
            ..Names::default()
        },
    }
    .see(&daemon);
    thread::sleep(WATCHED);
    let asked: BTreeMap<_, _> = counted(&metrics)
        .into_iter()
        .map(|(method, count)| {
            let count = count - before.get(&method).copied().unwrap_or_default();
            (method, count)
        })
        .filter(|(_, count)| *count > 0.0)
        .collect();
    for words in [
        ["task", "delete", "--force", "watched"],
        ["container", "delete", "--", "watched"],
    ] {
        run(ctr(&server, namespace).args(words));
    }
    note(&format!("containerd was asked {asked:?}"));
    assert!(!asked.is_empty());
    let reads = |method: &String| {
        let (_, call) = method.rsplit_once('/').unwrap();
        only_reads(call) || call == "Subscribe" || call == "Plugins" || call == "Server"
    };
    assert!(asked.keys().all(reads), "{asked:?}");
}
