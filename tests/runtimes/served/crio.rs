//! CRI-O: the Container Runtime Interface with its words.
//!
//! As CRI-O documents and writes them: the runtime's name is `cri-o`; a container's verbose information is
//! one JSON text under `info` with `sandboxID`, `pid` and the whole `runtimeSpec`, in whose annotations are
//! `io.kubernetes.cri-o.*`; its cgroup is `crio-<id>` below the pod's, with the systemd driver
//! `crio-<id>.scope`.

use std::collections::HashMap;

use k8s_cri::v1::{
    ContainerMetadata, ContainerState, ContainerStatus, ImageSpec, PodSandboxMetadata,
    PodSandboxState, PodSandboxStatus,
};
use serde_json::json;

use super::{
    Occupied,
    cri::{CriServer, Has, InSandbox, Sandbox},
    only_reads,
};
use crate::{
    named::{Expected, IN_TIME, Names, daemon_of, info},
    parents::Parents,
};

const UID: &str = "0c7a4f0e-5b1d-4c70-8f35-d1b9e0b3a0f1";
const SANDBOX: &str = "134b58ab2e0cfd7432a9db818b1b4ec52fdc747333f0ba2c9342860dc2ea7c50";
const NGINX: &str = "2f0c1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7";
const SIDECAR: &str = "3a9b8c7d6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b";
const IMAGE: &str = "registry.test/library/nginx:1.27";

/// When everything was made.
const CREATED: i64 = 1_700_000_000_000_000_000;

fn texts(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

/// A sandbox of a pod, as CRI-O tells of it.
pub(super) fn sandbox(id: &str, pod: &str, uid: &str, handler: &str) -> Sandbox {
    Sandbox {
        status: PodSandboxStatus {
            id: id.to_owned(),
            metadata: Some(PodSandboxMetadata {
                name: pod.to_owned(),
                uid: uid.to_owned(),
                namespace: "shop".to_owned(),
                attempt: 0,
            }),
            state: PodSandboxState::SandboxReady.into(),
            created_at: CREATED,
            labels: texts(&[
                ("io.kubernetes.container.name", "POD"),
                ("io.kubernetes.pod.name", pod),
                ("io.kubernetes.pod.namespace", "shop"),
                ("io.kubernetes.pod.uid", uid),
                ("app", "web"),
            ]),
            annotations: texts(&[
                ("kubernetes.io/config.seen", "2026-11-20T10:00:00Z"),
                ("kubernetes.io/config.source", "api"),
            ]),
            runtime_handler: handler.to_owned(),
            ..PodSandboxStatus::default()
        },
        info: HashMap::new(),
    }
}

/// A container, as CRI-O tells of it.
fn container(id: &str, name: &str, attempt: u32, cgroup: &str, pid: u32) -> InSandbox {
    let spec = json!({
        "ociVersion": "1.2.0",
        "annotations": {
            "io.container.manager": "cri-o",
            "io.kubernetes.container.name": name,
            "io.kubernetes.cri-o.Annotations": "{}",
            "io.kubernetes.cri-o.ContainerID": id,
            "io.kubernetes.cri-o.ContainerName": format!("k8s_{name}_web-0_shop_{UID}_{attempt}"),
            "io.kubernetes.cri-o.ContainerType": "container",
            "io.kubernetes.cri-o.ImageName": IMAGE,
            "io.kubernetes.cri-o.SandboxID": SANDBOX,
            "io.kubernetes.cri-o.SandboxName": format!("k8s_web-0_shop_{UID}_0"),
            "io.kubernetes.pod.name": "web-0",
            "io.kubernetes.pod.namespace": "shop",
            "io.kubernetes.pod.uid": UID,
        },
        "linux": {"cgroupsPath": cgroup},
    });
    let more = json!({
        "sandboxID": SANDBOX,
        "pid": pid,
        "runtimeSpec": spec,
        "privileged": false,
    });
    let attempts = attempt.to_string();
    InSandbox {
        sandbox: SANDBOX.to_owned(),
        status: ContainerStatus {
            id: id.to_owned(),
            metadata: Some(ContainerMetadata {
                name: name.to_owned(),
                attempt,
            }),
            state: ContainerState::ContainerRunning.into(),
            created_at: CREATED,
            started_at: CREATED + 1,
            image: Some(ImageSpec {
                image: IMAGE.to_owned(),
                ..ImageSpec::default()
            }),
            image_ref: format!("registry.test/library/nginx@sha256:{id}"),
            image_id: id.to_owned(),
            labels: texts(&[
                ("io.kubernetes.container.name", name),
                ("io.kubernetes.pod.name", "web-0"),
                ("io.kubernetes.pod.namespace", "shop"),
                ("io.kubernetes.pod.uid", UID),
            ]),
            annotations: texts(&[
                ("io.kubernetes.container.hash", "cfada9cb"),
                ("io.kubernetes.container.restartCount", &attempts),
            ]),
            ..ContainerStatus::default()
        },
        info: HashMap::from([("info".to_owned(), more.to_string())]),
    }
}

/// Follows a pod whose cgroup is at `pod`, with `crio-<id>` and this behind it in that. systemd's driver
/// is told of cgroups otherwise than they are called.
fn follow(pod: &str, behind: &str, told: impl Fn(&str) -> String) {
    let _parents = Parents::of(&[]);
    let path = |id: &str| format!("{pod}/crio-{id}{behind}");
    let paths = [SANDBOX, NGINX].map(path);
    let occupied = Occupied::at(&paths);
    let mut has = Has::default();
    has.sandboxes.push(sandbox(SANDBOX, "web-0", UID, ""));
    let nginx = container(NGINX, "nginx", 0, &told(NGINX), occupied.pid(1));
    has.containers.push(nginx);
    let server = CriServer::start("cri-o", "1.31.2", has);
    let daemon = daemon_of(&[server.endpoint()], &["--pod-labels=app"]);
    let see = |id: &str, name: &str, restarts: f64| {
        let (info, _) = Expected {
            path: &path(id),
            id,
            runtime: "cri-o",
            names: Names {
                name: id,
                image: IMAGE,
                namespace: "shop",
                pod: "web-0",
                container: name,
            },
        }
        .see(&daemon);
        assert_eq!(info.labels["pod_uid"], UID, "{info:?}");
        assert_eq!(info.labels["qos"], "Burstable", "{info:?}");
        assert_eq!(info.labels["pod_label_app"], "web", "{info:?}");
        let of = [("id", info.labels["id"].as_str())];
        let counted = daemon.scrape().sum("cgscope_container_restarts_total", &of);
        assert_eq!(counted, Some(restarts), "{name}");
    };
    see(NGINX, "nginx", 0.0);
    let exposition = daemon.scrape_until("the sandbox", IN_TIME, |exposition| {
        info(exposition, &paths[0]).is_some_and(|info| info.labels["pod"] == "web-0")
    });
    let of_sandbox = info(&exposition, &paths[0]).unwrap();
    assert_eq!(of_sandbox.labels["namespace"], "shop", "{of_sandbox:?}");
    assert_eq!(of_sandbox.labels["container"], "", "{of_sandbox:?}");

    // One more, of which an event tells.
    let later = Occupied::at(&[path(SIDECAR)]);
    let sidecar = container(SIDECAR, "sidecar", 3, &told(SIDECAR), later.pid(0));
    server.add(sidecar);
    see(SIDECAR, "sidecar", 3.0);

    let calls = server.calls();
    assert!(
        calls.iter().any(|call| call == "GetContainerEvents"),
        "{calls:?}"
    );
    assert!(calls.iter().all(|call| only_reads(call)), "{calls:?}");
}

#[test]
fn containers_of_crio_with_the_cgroupfs_driver_have_their_pods_names() {
    let pod = format!("/kubepods/burstable/pod{UID}");
    follow(&pod, "", |id| format!("{pod}/crio-{id}"));
}

#[test]
fn containers_of_crio_with_the_systemd_driver_have_their_pods_names() {
    let slice = format!("kubepods-burstable-pod{}.slice", UID.replace('-', "_"));
    let pod = format!("/kubepods.slice/kubepods-burstable.slice/{slice}");
    follow(&pod, ".scope", |id| format!("{slice}:crio:{id}"));
}
