//! containerd's own API.

use std::{collections::HashMap, sync::Arc, time::Duration};

use containerd_client::{
    events::TaskExit,
    services::v1::{
        Container, GetContainerResponse, GetResponse, ListContainerMessage, ListContainersResponse,
        ListNamespacesResponse, ListTasksResponse, Namespace, VersionResponse,
    },
    types::{
        Envelope,
        v1::{Process, Status},
    },
};
use prost::Message as _;

use super::{
    connectors,
    server::{Answer, Call, Server},
};
use crate::catalog::{
    Flavor, Role, RuntimeContainer, RuntimeState,
    runtime_container::MAX_TEXT,
    runtimes::{ContainerRef, RuntimeClient, RuntimeEvent},
};

const SANDBOX: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const ID: &str = "4f1e7e2c6a9b3d5f8c0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60";

/// All that is asked for, and it only reads.
const READS: [&str; 7] = [
    "Version/Version",
    "Namespaces/List",
    "Tasks/List",
    "Tasks/Get",
    "Containers/ListStream",
    "Containers/List",
    "Containers/Get",
];

/// What every containerd says, and else what `answer` says.
fn server(answer: impl Fn(&Call) -> Option<Answer> + Send + Sync + 'static) -> Server {
    Server::start(move |call| {
        if let Some(answer) = answer(call) {
            return answer;
        }
        match method(call) {
            "Version/Version" => Answer::one(&VersionResponse {
                version: "v2.0.0".to_owned(),
                ..VersionResponse::default()
            }),
            "Namespaces/List" => Answer::one(&ListNamespacesResponse {
                namespaces: ["moby", "k8s.io"]
                    .map(|name| Namespace {
                        name: name.to_owned(),
                        ..Namespace::default()
                    })
                    .into(),
            }),
            "Tasks/List" => Answer::one(&ListTasksResponse::default()),
            "Containers/ListStream" => Answer::Messages(Vec::new()),
            "Tasks/Get" | "Containers/Get" => Answer::NOT_FOUND,
            _ => Answer::UNIMPLEMENTED,
        }
    })
}

/// The service's last word and the method.
fn method(call: &Call) -> &str {
    call.path.rsplit('.').next().unwrap_or_default()
}

async fn client(server: &Server) -> Arc<dyn RuntimeClient> {
    let [containerd, _] = connectors(server.address());
    containerd.connect().await.unwrap()
}

fn container(id: &str) -> Container {
    Container {
        id: id.to_owned(),
        ..Container::default()
    }
}

fn texts<const N: usize>(texts: [(&str, &str); N]) -> HashMap<String, String> {
    texts
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// A pod's sandbox in a virtual machine, and its container, as containerd's CRI records them.
fn pod() -> [Container; 2] {
    let mut sandbox = container(SANDBOX);
    sandbox.image = "registry.k8s.io/pause:3.9".to_owned();
    sandbox.runtime.get_or_insert_default().name = "io.containerd.kata-qemu.v2".to_owned();
    sandbox.labels = texts([
        ("io.cri-containerd.kind", "sandbox"),
        ("io.kubernetes.pod.name", "web-0"),
        ("io.kubernetes.pod.namespace", "shop"),
        ("io.kubernetes.pod.uid", "u-1"),
        ("app", "web"),
    ]);
    sandbox.spec.get_or_insert_default().value = br#"{
        "annotations": {"io.kubernetes.cri.container-type": "sandbox"},
        "linux": {"namespaces": [{"type": "pid"}]}
    }"#
    .to_vec();

    let mut inside = container(ID);
    inside.image =
        "sha256:c5e9ac5f4ac0718b7e4e36117adff60d0a9b6a952342ba2aa8d0548f608ed36a".to_owned();
    inside.labels = texts([
        ("io.cri-containerd.kind", "container"),
        ("io.kubernetes.container.name", "app"),
        ("team", "red"),
        ("app", "of the container"),
    ]);
    inside.spec.get_or_insert_default().value = format!(
        r#"{{"annotations": {{
            "io.kubernetes.cri.container-type": "container",
            "io.kubernetes.cri.image-name": "registry/web:1",
            "io.kubernetes.cri.sandbox-id": "{SANDBOX}"
        }}, "linux": {{
            "cgroupsPath": "/kubepods/pod1/{ID}",
            "namespaces": [{{"type": "network", "path": "/proc/7/ns/net"}}]
        }}}}"#
    )
    .into_bytes();
    let note = br#"{"Version":"v1","Metadata":{"Config":{"metadata":{"name":"app","attempt":4}}}}"#;
    let key = "io.cri-containerd.container.metadata".to_owned();
    inside.extensions.entry(key).or_default().value = note.to_vec();
    [inside, sandbox]
}

fn check(container: &RuntimeContainer) {
    assert_eq!(container.id, ID);
    assert_eq!(container.names.container, "app");
    assert_eq!(container.names.pod, "web-0");
    assert_eq!(container.names.namespace, "shop");
    assert_eq!(container.names.image, "registry/web:1");
    assert_eq!(container.pod_uid, "u-1");
    assert_eq!(container.sandbox, SANDBOX);
    assert_eq!(container.runtime.flavor, Flavor::Kata);
    assert_eq!(container.restarts, Some(4));
    assert_eq!(container.host_network, Some(true));
    assert_eq!(container.labels, [("team".to_owned(), "red".to_owned())]);
    assert_eq!(container.pod_labels, [("app".to_owned(), "web".to_owned())]);
    assert_eq!(
        container.cgroup_path.as_deref(),
        Some(format!("/kubepods/pod1/{ID}").as_str())
    );
}

#[tokio::test]
async fn a_container_has_what_its_sandbox_tells_in_a_list_and_alone() {
    let server = server(|call| match method(call) {
        "Containers/ListStream" => {
            Some(Answer::all(&pod().map(|container| ListContainerMessage {
                container: Some(container),
            })))
        }
        "Containers/Get" => {
            let [inside, sandbox] = pod();
            let is_sandbox = call.message.ends_with(SANDBOX.as_bytes());
            Some(Answer::one(&GetContainerResponse {
                container: Some(if is_sandbox { sandbox } else { inside }),
            }))
        }
        "Tasks/Get" => Some(Answer::one(&GetResponse {
            process: Some(Process {
                pid: 7,
                status: Status::Running.into(),
                ..Process::default()
            }),
        })),
        _ => None,
    });
    let client = client(&server).await;
    assert_eq!(client.version(), "v2.0.0");
    let listed = client.list().await.unwrap();
    assert_eq!((listed.containers.len(), listed.left_out), (2, 0));
    check(&listed.containers[0]);
    assert_eq!(listed.containers[0].state, RuntimeState::Unknown);
    assert_eq!(listed.containers[1].role, Role::Sandbox);

    let of = ContainerRef {
        id: ID.to_owned(),
        ..ContainerRef::default()
    };
    let alone = client.inspect(&of).await.unwrap().unwrap();
    check(&alone);
    assert_eq!((alone.state, alone.pid), (RuntimeState::Running, Some(7)));

    let calls = server.calls();
    assert!(calls.iter().all(|call| call.namespace != "moby"));
    for call in &calls {
        assert!(READS.contains(&method(call)), "{}", call.path);
    }
}

#[tokio::test]
async fn what_a_hostile_user_names_is_bounded_and_costs_no_other() {
    let server = server(|call| {
        (method(call) == "Containers/List")
            .then(|| {
                let mut bomb = container(ID);
                bomb.labels = (0..10_000)
                    .map(|n| (format!("label-{n}"), "x".repeat(100)))
                    .collect();
                bomb.labels.insert("team".to_owned(), "y".repeat(1 << 20));
                bomb.image = "z\n".repeat(1 << 19);
                bomb.spec.get_or_insert_default().value = b"{\"linux\": [".to_vec();
                let long = container(&"i".repeat(5000));
                let containers = [bomb, container("b"), container("b"), long, container("")];
                Answer::one(&ListContainersResponse {
                    containers: containers.into(),
                })
            })
            .or_else(|| match method(call) {
                // An older containerd has no stream.
                "Containers/ListStream" => Some(Answer::UNIMPLEMENTED),
                "Tasks/List" => Some(Answer::one(&ListTasksResponse {
                    tasks: vec![Process {
                        id: "b".to_owned(),
                        pid: 9,
                        status: Status::Stopped.into(),
                        exit_status: 137,
                        ..Process::default()
                    }],
                })),
                _ => None,
            })
    });
    let listed = client(&server).await.list().await.unwrap();
    assert_eq!((listed.containers.len(), listed.left_out), (2, 3));
    let [bomb, other] = &listed.containers[..] else {
        panic!()
    };
    assert_eq!(bomb.labels.len(), 1);
    assert!(bomb.labels[0].1.len() <= MAX_TEXT && bomb.names.image.len() <= MAX_TEXT);
    assert_eq!((bomb.state, bomb.pid), (RuntimeState::Unknown, None));
    assert_eq!((other.state, other.pid), (RuntimeState::Exited, None));
    assert_eq!(other.exit_code, Some(137));
}

#[tokio::test]
async fn an_answer_that_cannot_be_used_is_one_error() {
    for (answer, name) in [
        (Answer::Endless(100 << 20), "too_large"),
        // A container whose id is not text.
        (
            Answer::Messages(vec![vec![0x0a, 4, 0x0a, 2, 0xff, 0xfe]]),
            "malformed",
        ),
        (Answer::Error(7), "refused"),
        (Answer::Error(14), "unreachable"),
    ] {
        let answer = std::sync::Mutex::new(Some(answer));
        let server = server(move |call| {
            (method(call) == "Containers/ListStream")
                .then(|| answer.lock().unwrap().take().unwrap())
        });
        let client = client(&server).await;
        let error = client.list().await.unwrap_err();
        assert_eq!(error.name(), name, "{error}");
        // The connection is as good as before.
        if name != "too_large" {
            let none = client.inspect(&ContainerRef::default()).await.unwrap();
            assert_eq!(none, None);
        }
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_is_a_timeout() {
    let server = server(|call| (method(call) == "Namespaces/List").then_some(Answer::Silence));
    let client = client(&server).await;
    tokio::time::pause();
    assert_eq!(client.list().await.unwrap_err().name(), "timeout");
}

#[tokio::test]
async fn events_come_though_the_server_says_nothing_before_the_first() {
    let server = server(|call| {
        (method(call) == "Events/Subscribe").then(|| {
            let exit = TaskExit {
                container_id: "web".to_owned(),
                id: "web".to_owned(),
                exit_status: 3,
                ..TaskExit::default()
            };
            let mut envelope = Envelope {
                namespace: "shop".to_owned(),
                topic: "/tasks/exit".to_owned(),
                ..Envelope::default()
            };
            envelope.event.get_or_insert_default().value = exit.encode_to_vec();
            Answer::After(Duration::from_millis(300), vec![envelope.encode_to_vec()])
        })
    });
    let mut events = client(&server).await.events().await.unwrap().unwrap();
    // A wait that is given up loses nothing.
    let wait = tokio::time::timeout(Duration::from_millis(10), events.next()).await;
    assert!(wait.is_err());
    let event = events.next().await.unwrap();
    assert!(
        matches!(&event, RuntimeEvent::Exited { of, code: Some(3), .. } if of.id == "web"),
        "{event:?}"
    );
    assert_eq!(events.next().await.unwrap_err().name(), "ended");
}

#[tokio::test]
async fn a_stream_of_a_server_that_hangs_ends_with_a_timeout() {
    let hangs = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_hanging = Arc::clone(&hangs);
    let server = server(move |call| {
        let hangs = is_hanging.load(std::sync::atomic::Ordering::Relaxed);
        (hangs || method(call) == "Events/Subscribe").then_some(Answer::Silence)
    });
    let mut events = client(&server).await.events().await.unwrap().unwrap();
    hangs.store(true, std::sync::atomic::Ordering::Relaxed);
    tokio::time::pause();
    assert_eq!(events.next().await.unwrap_err().name(), "timeout");
}
