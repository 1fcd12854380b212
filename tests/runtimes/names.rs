//! All real runtimes at once: every container has its names.

use std::{path::Path, process::Command};

use collector_tests::{daemon::Daemon, skipped};

use crate::{
    Container,
    commands::{Podman, ctr, docker, docker_run, import},
    cri::{Cri, Pod},
    image::{IMAGE, Image},
    named::{Expected, IN_TIME, Names, info},
    parents::Parents,
    run,
    server::Server,
};

/// Where runtimes have their sockets.
const KNOWN_PLACES: [&str; 3] = [
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/podman/podman.sock",
];

const NAMESPACES: [&str; 2] = ["cgscope-blue", "cgscope-green"];

const SLEEP: [&str; 3] = ["/bin/busybox", "sleep", "300"];

const UID: &str = "7d0a1f6e-3b52-4c1e-9a55-1c9f5ad0c0de";

/// A task of containerd; gone with its container when this is dropped.
struct Task<'a> {
    server: &'a Server,
    namespace: &'a str,
    id: &'a str,
}

impl<'a> Task<'a> {
    fn start(server: &'a Server, namespace: &'a str, id: &'a str) -> Self {
        run(ctr(server, namespace)
            .args(["run", "--detach", "--snapshotter=native", IMAGE, id])
            .args(SLEEP));
        Self {
            server,
            namespace,
            id,
        }
    }
}

impl Drop for Task<'_> {
    fn drop(&mut self) {
        for words in [["task", "delete", "--force"], ["container", "delete", "--"]] {
            let mut delete = ctr(self.server, self.namespace);
            drop(delete.args(words).arg(self.id).output());
        }
    }
}

/// Starts a container of Docker.
fn in_docker<'a>(
    server: &'a Server,
    name: &str,
    more: &[&str],
) -> Container<impl Fn() -> Command + use<'a>> {
    let mut command = docker_run(server, name);
    Container {
        id: run(command.args(more).arg(IMAGE).args(SLEEP)),
        remove: move || {
            let mut remove = docker(server);
            remove.args(["rm", "--force"]);
            remove
        },
    }
}

/// Starts a container of Podman.
fn in_podman<'a>(
    podman: &'a Podman,
    name: &str,
    more: &[&str],
) -> Container<impl Fn() -> Command + use<'a>> {
    let mut command = podman.run(name);
    command.args(more).arg("localhost/busybox").args(SLEEP);
    Container {
        id: run(&mut command),
        remove: move || {
            let mut remove = podman.command();
            remove.args(["rm", "--force", "--time=0"]);
            remove
        },
    }
}

/// One that was there before cgscope, and one that came later, with labels of which one was chosen.
fn see_dockers(daemon: &Daemon, earlier: &str, later: &str) {
    let see = |id: &str, name: &str| {
        let names = Names {
            name,
            image: IMAGE,
            ..Names::default()
        };
        let expected = Expected {
            path: &format!("/docker/{id}"),
            id,
            runtime: "docker",
            names,
        };
        expected.see(daemon).0
    };
    see(earlier, "earlier");
    let shown = see(later, "later");
    assert_eq!(shown.labels["container_label_team"], "blue", "{shown:?}");
    let is_secret = |value: &String| value == "s";
    assert!(
        !shown.labels.values().any(is_secret),
        "not chosen: {shown:?}"
    );
}

/// The same id in two namespaces.
fn see_containerds(daemon: &Daemon, id: &str) {
    for namespace in NAMESPACES {
        let names = Names {
            name: id,
            image: IMAGE,
            namespace,
            ..Names::default()
        };
        let expected = Expected {
            path: &format!("/{namespace}/{id}"),
            id,
            runtime: "containerd",
            names,
        };
        expected.see(daemon);
    }
}

/// One that is alone, and one in a pod.
fn see_podmans(daemon: &Daemon, single: &str, podded: &str) {
    for (id, name, pod) in [(single, "single", ""), (podded, "podded", "web-pod")] {
        let names = Names {
            name,
            image: "localhost/busybox:latest",
            pod,
            // What it is called in its pod.
            container: if pod.is_empty() { "" } else { name },
            ..Names::default()
        };
        let expected = Expected {
            path: &format!("/libpod-{id}"),
            id,
            runtime: "podman",
            names,
        };
        expected.see(daemon);
    }
}

/// Two containers of a pod, one of which is started again, the sandbox, and the pod's own cgroup.
fn see_pod(daemon: &Daemon, pod: &Pod<'_>) {
    let in_pod = Names {
        image: IMAGE,
        namespace: "shop",
        pod: "web-0",
        ..Names::default()
    };
    let see = |id: &str, container: &str, restarts: f64| {
        let expected = Expected {
            path: &format!("{}/{id}", pod.cgroup),
            id,
            runtime: "containerd",
            names: Names {
                name: id,
                container,
                ..in_pod
            },
        };
        let (info, _) = expected.see(daemon);
        assert_eq!(info.labels["pod_label_app"], "web", "{info:?}");
        assert_eq!(info.labels["pod_uid"], UID, "{info:?}");
        assert_eq!(info.labels["qos"], "Burstable", "{info:?}");
        let of = [("id", info.labels["id"].as_str())];
        let counted = daemon.scrape().sum("cgscope_container_restarts_total", &of);
        assert_eq!(counted, Some(restarts), "{container}");
    };
    let nginx = pod.start("nginx", 0);
    see(&nginx, "nginx", 0.0);
    see(&pod.start("sidecar", 2), "sidecar", 2.0);
    // The kubelet starts a container again by making another one.
    pod.remove(&nginx);
    see(&pod.start("nginx", 1), "nginx", 1.0);

    // Of the sandbox's other names nothing is said.
    let sandbox = format!("{}/{}", pod.cgroup, pod.sandbox);
    for path in [&sandbox, &pod.cgroup] {
        let shown = daemon.scrape_until(path, IN_TIME, |exposition| {
            info(exposition, path).is_some_and(|info| info.labels["pod"] == "web-0")
        });
        let shown = info(&shown, path).unwrap();
        assert_eq!(shown.labels["namespace"], "shop", "{shown:?}");
        assert_eq!(shown.labels["container"], "", "{shown:?}");
        assert_eq!(shown.labels["pod_uid"], UID, "{shown:?}");
    }
}

#[test]
fn every_container_of_three_runtimes_and_of_a_pod_has_its_names_in_time() {
    let _parents = Parents::of(&[
        "docker",
        "libpod_parent/conmon",
        "libpod_parent",
        &format!("kubepods/burstable/pod{UID}"),
        "kubepods/burstable",
        "kubepods",
        NAMESPACES[0],
        NAMESPACES[1],
    ]);
    if let Some(taken) = KNOWN_PLACES.into_iter().find(|at| Path::new(at).exists()) {
        skipped(&format!("a runtime of this host's own is at {taken}"));
        return;
    }
    let [docker_socket, containerd_socket, podman_socket] = KNOWN_PLACES.map(Path::new);
    let image = Image::new();
    let archive = image.archive();
    let containerd = Server::containerd_with_cri(Some(containerd_socket));
    // On the host's containerd, as Debian has it: that one knows Docker's containers too, by less.
    let dockerd = Server::dockerd_on(&containerd, docker_socket);
    let podman = Podman::new(&image);
    let _podman_server = podman.server(Some(podman_socket));
    run(docker(&dockerd).arg("load").arg("--input").arg(&archive));
    for namespace in NAMESPACES.into_iter().chain(["k8s.io"]) {
        import(&containerd, namespace, &archive);
    }
    let mut make_pod = podman.command();
    run(make_pod.args(["pod", "create", "--infra=false", "--name=web-pod"]));

    let earlier = in_docker(&dockerd, "earlier", &[]);
    let daemon = Daemon::start(&["--container-labels=team", "--pod-labels=app"]);
    let later = in_docker(
        &dockerd,
        "later",
        &["--label=team=blue", "--label=secret=s"],
    );
    see_dockers(&daemon, &earlier.id, &later.id);
    let _tasks = NAMESPACES.map(|namespace| Task::start(&containerd, namespace, "same"));
    see_containerds(&daemon, "same");
    let single = in_podman(&podman, "single", &[]);
    let podded = in_podman(&podman, "podded", &["--pod=web-pod"]);
    see_podmans(&daemon, &single.id, &podded.id);
    let cri = Cri::new(&containerd);
    see_pod(&daemon, &cri.pod("shop", "web-0", UID));
    // All of them still, with the others beside them.
    see_dockers(&daemon, &earlier.id, &later.id);
    see_containerds(&daemon, "same");
    see_podmans(&daemon, &single.id, &podded.id);
}
