//! All real runtimes at once: every container has its names, and keeps up with what becomes of it.

use std::{path::Path, process::Command};

use collector_tests::skipped;

use crate::{
    Container,
    commands::{Podman, ctr, docker, docker_run, import},
    cri::Cri,
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

/// A container that is gone when this is dropped.
fn container<'a>(
    id: String,
    remove: &'a dyn Fn() -> Command,
) -> Container<impl Fn() -> Command + 'a> {
    Container { id, remove }
}

/// Removes a task of containerd, and its container.
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
    let remove_docker = || {
        let mut remove = docker(&dockerd);
        remove.args(["rm", "--force"]);
        remove
    };
    let remove_podman = || {
        let mut remove = podman.command();
        remove.args(["rm", "--force", "--time=0"]);
        remove
    };
    run(podman
        .command()
        .args(["pod", "create", "--infra=false", "--name=web-pod"]));

    // One that was there before, and all others come.
    let earlier = run(docker_run(&dockerd, "earlier").arg(IMAGE).args(SLEEP));
    let earlier = container(earlier, &remove_docker);
    let daemon =
        collector_tests::daemon::Daemon::start(&["--container-labels=team", "--pod-labels=app"]);
    let named = |id: &str, name: &str| {
        Expected {
            path: &format!("/docker/{id}"),
            id,
            runtime: "docker",
            names: Names {
                name,
                image: IMAGE,
                ..Names::default()
            },
        }
        .see(&daemon)
    };
    named(&earlier.id, "earlier");
    let later = run(docker_run(&dockerd, "later")
        .args(["--label=team=blue", "--label=secret=s", IMAGE])
        .args(SLEEP));
    let later = container(later, &remove_docker);
    let (shown, _) = named(&later.id, "later");
    assert_eq!(shown.labels["container_label_team"], "blue", "{shown:?}");
    assert!(
        shown.labels.values().all(|value| value != "s"),
        "not chosen: {shown:?}"
    );

    // The same id in two namespaces.
    let _tasks = NAMESPACES.map(|namespace| Task::start(&containerd, namespace, "same"));
    for namespace in NAMESPACES {
        Expected {
            path: &format!("/{namespace}/same"),
            id: "same",
            runtime: "containerd",
            names: Names {
                name: "same",
                image: IMAGE,
                namespace,
                ..Names::default()
            },
        }
        .see(&daemon);
    }

    let busybox = |name: &str, pod: &[&str]| {
        let mut command = podman.run(name);
        command.args(pod).arg("localhost/busybox").args(SLEEP);
        container(run(&mut command), &remove_podman)
    };
    let single = busybox("single", &[]);
    let podded = busybox("podded", &["--pod=web-pod"]);
    for (container, name, pod) in [(&single, "single", ""), (&podded, "podded", "web-pod")] {
        Expected {
            path: &format!("/libpod-{}", container.id),
            id: &container.id,
            runtime: "podman",
            names: Names {
                name,
                image: "localhost/busybox:latest",
                pod,
                ..Names::default()
            },
        }
        .see(&daemon);
    }

    let cri = Cri::new(&containerd);
    let pod = cri.pod("shop", "web-0", UID);
    let nginx = pod.start("nginx", 0);
    let in_pod = Names {
        namespace: "shop",
        pod: "web-0",
        ..Names::default()
    };
    let see_in_pod = |id: &str, container: &str, restarts: f64| {
        let (info, _) = Expected {
            path: &format!("{}/{id}", pod.cgroup),
            id,
            runtime: "containerd",
            names: Names {
                name: id,
                image: IMAGE,
                container,
                ..in_pod
            },
        }
        .see(&daemon);
        assert_eq!(info.labels["pod_label_app"], "web", "{info:?}");
        assert_eq!(info.labels["pod_uid"], UID, "{info:?}");
        assert_eq!(info.labels["qos"], "Burstable", "{info:?}");
        let of = [("id", info.labels["id"].as_str())];
        let counted = daemon.scrape().sum("cgscope_container_restarts_total", &of);
        assert_eq!(counted, Some(restarts), "{container}");
    };
    see_in_pod(&nginx, "nginx", 0.0);
    see_in_pod(&pod.start("sidecar", 2), "sidecar", 2.0);
    // The kubelet starts a container again by making another one.
    pod.remove(&nginx);
    see_in_pod(&pod.start("nginx", 1), "nginx", 1.0);
    // The sandbox, of whose other names nothing is said, and the pod's own cgroup.
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
