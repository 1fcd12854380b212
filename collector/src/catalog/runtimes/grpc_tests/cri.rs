//! The Container Runtime Interface.

use std::{collections::HashMap, sync::Arc};

use k8s_cri::v1::{
    Container, ContainerEventResponse, ContainerEventType, ContainerMetadata, ContainerState,
    ContainerStatus, ContainerStatusResponse, ImageSpec, LinuxPodSandboxStatus,
    ListContainersResponse, ListPodSandboxResponse, Namespace, NamespaceMode, NamespaceOption,
    PodSandbox, PodSandboxMetadata, PodSandboxState, PodSandboxStatus, PodSandboxStatusResponse,
    VersionResponse,
};
use prost::Message as _;

use super::{
    connectors,
    server::{Answer, Call, Server},
};
use crate::catalog::{
    Flavor, Role, Runtime, RuntimeState,
    provider::Unavailable,
    runtimes::{ContainerRef, RuntimeClient, RuntimeEvent},
};

const SANDBOX: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const ID: &str = "4f1e7e2c6a9b3d5f8c0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60";
const DIGEST: &str = "c5e9ac5f4ac0718b7e4e36117adff60d0a9b6a952342ba2aa8d0548f608ed36a";

fn method(call: &Call) -> &str {
    call.path.rsplit('/').next().unwrap_or_default()
}

fn version(runtime_name: &str) -> Answer {
    Answer::one(&VersionResponse {
        version: "0.1.0".to_owned(),
        runtime_name: runtime_name.to_owned(),
        runtime_version: "1.28.4".to_owned(),
        runtime_api_version: "v1".to_owned(),
    })
}

/// A runtime of that name, with these containers in one sandbox.
fn server(runtime: &'static str, ids: Vec<String>) -> Server {
    Server::start(move |call| match method(call) {
        "Version" => version(runtime),
        "ListPodSandbox" => Answer::one(&ListPodSandboxResponse {
            items: vec![sandbox()],
        }),
        "ListContainers" => Answer::one(&ListContainersResponse {
            containers: ids.iter().map(|id| container(id)).collect(),
        }),
        "ContainerStatus" => Answer::one(&ContainerStatusResponse {
            status: Some(status(ContainerState::ContainerRunning)),
            ..ContainerStatusResponse::default()
        }),
        "PodSandboxStatus" => Answer::one(&PodSandboxStatusResponse {
            status: Some(sandbox_status()),
            ..PodSandboxStatusResponse::default()
        }),
        _ => Answer::UNIMPLEMENTED,
    })
}

async fn client(server: &Server) -> Arc<dyn RuntimeClient> {
    let [_, cri] = connectors(server.address());
    cri.connect().await.unwrap()
}

fn texts<const N: usize>(texts: [(&str, &str); N]) -> HashMap<String, String> {
    texts
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

fn sandbox_metadata() -> PodSandboxMetadata {
    PodSandboxMetadata {
        name: "web-0".to_owned(),
        uid: "u-1".to_owned(),
        namespace: "shop".to_owned(),
        attempt: 1,
    }
}

fn sandbox() -> PodSandbox {
    PodSandbox {
        id: SANDBOX.to_owned(),
        metadata: Some(sandbox_metadata()),
        state: PodSandboxState::SandboxReady.into(),
        labels: texts([("app", "web"), ("pod-template-hash", "5d4f")]),
        runtime_handler: "kata-qemu".to_owned(),
        ..PodSandbox::default()
    }
}

fn sandbox_status() -> PodSandboxStatus {
    let options = NamespaceOption {
        network: NamespaceMode::Node.into(),
        ..NamespaceOption::default()
    };
    PodSandboxStatus {
        id: SANDBOX.to_owned(),
        metadata: Some(sandbox_metadata()),
        labels: sandbox().labels,
        runtime_handler: "kata-qemu".to_owned(),
        linux: Some(LinuxPodSandboxStatus {
            namespaces: Some(Namespace {
                options: Some(options),
            }),
        }),
        ..PodSandboxStatus::default()
    }
}

fn metadata() -> ContainerMetadata {
    ContainerMetadata {
        name: "app".to_owned(),
        attempt: 4,
    }
}

/// As CRI-O lists one: the image by its id, and as the user named it.
fn container(id: &str) -> Container {
    Container {
        id: id.to_owned(),
        pod_sandbox_id: SANDBOX.to_owned(),
        metadata: Some(metadata()),
        image: Some(ImageSpec {
            image: DIGEST.to_owned(),
            user_specified_image: "registry/web:1".to_owned(),
            ..ImageSpec::default()
        }),
        image_ref: DIGEST.to_owned(),
        state: ContainerState::ContainerRunning.into(),
        created_at: 1_700_000_000_000_000_000,
        labels: texts([("io.kubernetes.container.name", "app"), ("team", "red")]),
        annotations: texts([("io.kubernetes.cri-o.Name", "k8s_app_web-0_shop_u-1_4")]),
        ..Container::default()
    }
}

fn status(state: ContainerState) -> ContainerStatus {
    ContainerStatus {
        id: ID.to_owned(),
        metadata: Some(metadata()),
        state: state.into(),
        started_at: 1_700_000_001_000_000_000,
        finished_at: 1_700_000_002_000_000_000,
        exit_code: 3,
        image: container(ID).image,
        labels: container(ID).labels,
        annotations: container(ID).annotations,
        ..ContainerStatus::default()
    }
}

fn of(id: &str) -> ContainerRef {
    ContainerRef {
        id: id.to_owned(),
        ..ContainerRef::default()
    }
}

#[tokio::test]
async fn a_pod_of_cri_o_is_told_with_its_container() {
    let server = server("cri-o", vec![ID.to_owned(), ID.to_owned(), String::new()]);
    let client = client(&server).await;
    assert_eq!(
        (client.runtime(), client.version()),
        (Runtime::CriO, "1.28.4")
    );
    let listed = client.list().await.unwrap();
    assert_eq!((listed.containers.len(), listed.left_out), (2, 2));
    let [sandbox, app] = &listed.containers[..] else {
        panic!()
    };
    assert_eq!(
        (sandbox.role, sandbox.state),
        (Role::Sandbox, RuntimeState::Running)
    );
    assert_eq!(app.names.name, "k8s_app_web-0_shop_u-1_4");
    assert_eq!(app.names.image, "registry/web:1");
    assert_eq!(app.names.container, "app");
    assert_eq!(app.state, RuntimeState::Running);
    for told in [sandbox, app] {
        assert_eq!(told.runtime.flavor, Flavor::Kata);
        assert_eq!(told.names.pod, "web-0");
        assert_eq!(told.names.namespace, "shop");
        assert_eq!(told.pod_uid, "u-1");
        assert_eq!(told.pod_labels, [("app".to_owned(), "web".to_owned())]);
    }
    assert_eq!(app.sandbox, SANDBOX);
    assert_eq!(app.labels, [("team".to_owned(), "red".to_owned())]);
    assert_eq!((app.restarts, app.host_network), (Some(4), None));
}

#[tokio::test]
async fn a_list_of_500_is_two_calls_and_keeps_what_was_asked_for() {
    let ids = (0..500).map(|n| format!("{n:064x}")).chain([ID.to_owned()]);
    let server = server("cri-o", ids.collect());
    let client = client(&server).await;
    server.calls();
    client.list().await.unwrap();
    assert_eq!(server.calls().len(), 2);

    let alone = client.inspect(&of(ID)).await.unwrap().unwrap();
    assert!(alone.started.is_some());
    assert_eq!((alone.exit_code, alone.finished), (None, None));
    assert_eq!(alone.host_network, Some(true));
    for call in server.calls() {
        let is_read = ["List", "ContainerStatus", "PodSandboxStatus"]
            .iter()
            .any(|read| method(&call).starts_with(read));
        assert!(is_read, "{}", call.path);
    }
    let listed = client.list().await.unwrap();
    assert_eq!(server.calls().len(), 2);
    assert_eq!(listed.containers.last(), Some(&alone));
    // Its sandbox is known too now, for the others in it.
    assert_eq!(listed.containers[1].host_network, Some(true));
}

#[tokio::test]
async fn what_is_not_there_is_none_and_no_status_is_asked_for() {
    let server = server("cri-o", Vec::new());
    let client = client(&server).await;
    server.calls();
    assert_eq!(client.inspect(&of(ID)).await.unwrap(), None);
    let calls = server.calls();
    let calls: Vec<_> = calls.iter().map(method).collect();
    assert_eq!(calls, ["ListContainers", "ListPodSandbox"]);
}

#[tokio::test]
async fn events_of_cri_o_bring_the_status_and_containerds_are_the_kubelets() {
    let event = |kind: ContainerEventType, state| {
        ContainerEventResponse {
            container_id: ID.to_owned(),
            container_event_type: kind.into(),
            created_at: 1_700_000_002_000_000_000,
            pod_sandbox_status: Some(sandbox_status()),
            containers_statuses: vec![status(state)],
        }
        .encode_to_vec()
    };
    let messages = vec![
        event(
            ContainerEventType::ContainerStartedEvent,
            ContainerState::ContainerRunning,
        ),
        event(
            ContainerEventType::ContainerStoppedEvent,
            ContainerState::ContainerExited,
        ),
        event(
            ContainerEventType::ContainerDeletedEvent,
            ContainerState::ContainerExited,
        ),
    ];
    let server = Server::start(move |call| match method(call) {
        "Version" => version("cri-o"),
        "GetContainerEvents" => Answer::Messages(messages.clone()),
        _ => Answer::UNIMPLEMENTED,
    });
    let mut events = client(&server).await.events().await.unwrap().unwrap();
    let started = events.next().await.unwrap();
    let RuntimeEvent::Changed {
        of,
        told: Some(told),
    } = started
    else {
        panic!("{started:?}");
    };
    assert_eq!(of.id, ID);
    assert_eq!(
        (told.names.pod.as_str(), told.names.container.as_str()),
        ("web-0", "app")
    );
    assert_eq!(told.host_network, Some(true));
    let stopped = events.next().await.unwrap();
    assert!(
        matches!(
            stopped,
            RuntimeEvent::Exited {
                code: Some(3),
                at: Some(_),
                ..
            }
        ),
        "{stopped:?}"
    );
    let removed = events.next().await.unwrap();
    assert!(
        matches!(removed, RuntimeEvent::Removed { .. }),
        "{removed:?}"
    );
    assert_eq!(events.next().await.unwrap_err().name(), "ended");

    for runtime in ["containerd", "cri-o"] {
        let server = self::server(runtime, Vec::new());
        let client = client(&server).await;
        server.calls();
        assert!(client.events().await.unwrap().is_none());
        let asks = server
            .calls()
            .iter()
            .any(|call| method(call) == "GetContainerEvents");
        assert_eq!(asks, runtime == "cri-o");
    }
}

#[tokio::test]
async fn who_speaks_for_docker_is_left_to_docker() {
    let server = server("docker", Vec::new());
    let [_, cri] = connectors(server.address());
    let error = cri.connect().await.unwrap_err();
    assert!(matches!(error.why, Unavailable::Never { .. }), "{error:?}");
}

#[tokio::test]
async fn a_list_that_would_be_large_only_when_it_is_decoded_is_too_large() {
    let server = Server::start(|call| match method(call) {
        "Version" => version("cri-o"),
        // Empty containers of two bytes each.
        "ListContainers" => Answer::Messages(vec![[0x0a, 0].repeat(1 << 20)]),
        _ => Answer::Messages(vec![Vec::new()]),
    });
    let error = client(&server).await.list().await.unwrap_err();
    assert_eq!(error.name(), "too_large", "{error}");
}
