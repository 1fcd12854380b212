//! Podman's client and a server that answers as Podman 4.3 does.

use std::sync::Arc;

use super::{STREAM_HEAD, Server, at, chunk, response, short};
use crate::catalog::{
    LabelSelection, Role, Runtime, RuntimeState,
    provider::Unavailable,
    runtimes::{Connector as _, ContainerRef, Protocol, RuntimeEvent, podman::PodmanConnector},
};

const WEB: &str = "90f00d922161921b841108cb5e6b9db327079c0e4e3636c1bee8e6664e7e3850";
const INFRA: &str = "01f103b01924b2fa19537927007c6213fe4b035a16f3463e012e252c869c3c26";
const POD: &str = "fa2f87222ede34405bb2e36f2eee8e24befabc63743188fdebcc8860122cd043";

const VERSION: &str = r#"{"Components":[{"Name":"Podman Engine","Version":"4.3.1","Details":{"APIVersion":"4.3.1","MinAPIVersion":"4.0.0"}}],"Version":"4.3.1","ApiVersion":"1.41","MinAPIVersion":"1.24"}"#;

fn server() -> Server {
    let server = Server::start();
    server.json("/version", VERSION);
    server.json("/v4.0.0/libpod/containers/json", &format!(
        r#"[{{"AutoRemove":false,"Command":["sleep"],"Exited":false,"ExitedAt":-62135596800,"ExitCode":0,"Id":"{WEB}","Image":"localhost/busybox:latest","IsInfra":false,"Labels":{{"team":"b"}},"Names":["mypod-web"],"Pid":4005,"Pod":"{POD}","PodName":"mypod","Ports":null,"StartedAt":1795293759,"State":"running"}},
        {{"Exited":true,"ExitedAt":1795293760,"ExitCode":3,"Id":"{INFRA}","Image":"localhost/pause","IsInfra":true,"Labels":null,"Names":["fa2f87222ede-infra"],"Pid":0,"Pod":"{POD}","PodName":"mypod","StartedAt":1795293759,"State":"exited"}}]"#
    ));
    server.json(&format!("/v4.0.0/libpod/containers/{WEB}/json"), &format!(
        r#"{{"Id":"{WEB}","State":{{"OciVersion":"1.0.2-dev","Status":"running","Pid":4005,"ConmonPid":3995,"ExitCode":0,"StartedAt":"2026-11-21T22:42:39.026010349+02:00","FinishedAt":"0001-01-01T00:00:00Z","CgroupPath":"/libpod_parent/libpod-{WEB}"}},"Image":"be89","ImageName":"localhost/busybox:latest","Pod":"{POD}","OCIRuntime":"/usr/bin/runc","Name":"mypod-web","RestartCount":2,"IsInfra":false,"Config":{{"Image":"localhost/busybox:latest","Labels":{{"team":"b"}}}},"HostConfig":{{"NetworkMode":"host","Runtime":"oci"}}}}"#
    ));
    server.json(&format!("/v4.0.0/libpod/pods/{POD}/json"), &format!(
        r#"{{"Id":"{POD}","Name":"mypod","State":"Running","Labels":{{"app":"x"}},"InfraContainerID":"{INFRA}","Containers":[]}}"#
    ));
    server
}

fn connector(server: &Server) -> PodmanConnector {
    let labels = LabelSelection {
        container: vec!["team".to_owned()],
        pod: vec!["app".to_owned()],
    };
    PodmanConnector::with_limits(server.endpoint(Protocol::Podman), Arc::new(labels), short())
}

#[tokio::test]
async fn a_list_has_the_pods_too() {
    let server = server();
    let client = connector(&server).connect().await.unwrap();
    assert_eq!(
        (client.runtime(), client.version()),
        (Runtime::Podman, "4.3.1")
    );
    let listed = client.list().await.unwrap();
    let [web, infra] = &listed.containers[..] else {
        panic!("{listed:?}");
    };
    let names = &web.names;
    assert_eq!(
        (&*names.name, &*names.image, &*names.pod, &*names.container),
        ("mypod-web", "localhost/busybox:latest", "mypod", "web")
    );
    assert_eq!(web.sandbox, INFRA);
    assert_eq!(web.pod_labels, [("app".to_owned(), "x".to_owned())]);
    assert_eq!(web.labels, [("team".to_owned(), "b".to_owned())]);
    assert_eq!(
        (web.state, web.pid, web.restarts),
        (RuntimeState::Running, Some(4005), Some(2))
    );
    assert_eq!(
        (web.started, web.finished),
        (Some(at(1_795_293_759, 26_010_349)), None)
    );
    assert_eq!(web.host_network, Some(true));
    let cgroup = web.cgroup_path.as_deref().unwrap();
    assert_eq!(cgroup.strip_suffix(WEB), Some("/libpod_parent/libpod-"));

    // Nothing is told of it alone: what the list tells stays.
    assert_eq!(infra.role, Role::Sandbox);
    assert_eq!((&*infra.names.pod, &*infra.names.container), ("mypod", ""));
    assert_eq!(
        (infra.state, infra.exit_code),
        (RuntimeState::Exited, Some(3))
    );
    assert_eq!(infra.finished, Some(at(1_795_293_760, 0)));
    let asked = server.asked();
    assert!(
        asked.iter().all(|call| call.starts_with("GET ")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn events_are_told_in_the_words_of_old_and_new_podman() {
    let server = server();
    let of = ContainerRef {
        id_namespace: String::new(),
        id: WEB.to_owned(),
    };
    let event = |action: &str| {
        let text = format!(
            r#"{{"status":"{action}","id":"{WEB}","Type":"container","Action":"{action}","Actor":{{"ID":"{WEB}","Attributes":{{"containerExitCode":"1","image":"localhost/busybox:latest","name":"mypod-web","podId":"{POD}","team":"b"}}}},"scope":"local","time":1795293759,"timeNano":1795293759411740241}}"#
        );
        chunk(&format!("{text}\n"))
    };
    let body: Vec<_> = ["start", "health_status", "died", "die", "remove", "destroy"]
        .iter()
        .flat_map(|action| event(action))
        .collect();
    server.bytes("/v4.0.0/libpod/events", &[STREAM_HEAD, &body].concat());
    let client = connector(&server).connect().await.unwrap();
    client.inspect(&of).await.unwrap().unwrap();
    let mut events = client.events().await.unwrap().unwrap();
    let RuntimeEvent::Changed {
        told: Some(told), ..
    } = events.next().await.unwrap()
    else {
        panic!("not a change");
    };
    assert_eq!((&*told.names.container, &*told.names.pod), ("web", "mypod"));
    assert_eq!(told.labels, [("team".to_owned(), "b".to_owned())]);
    assert_eq!(told.started, Some(at(1_795_293_759, 411_740_241)));
    for _ in 0..2 {
        let exited = RuntimeEvent::Exited {
            of: of.clone(),
            code: Some(1),
            at: Some(at(1_795_293_759, 411_740_241)),
        };
        assert_eq!(events.next().await.unwrap(), exited);
    }
    for _ in 0..2 {
        let removed = RuntimeEvent::Removed { of: of.clone() };
        assert_eq!(events.next().await.unwrap(), removed);
    }
    assert_eq!(events.next().await.unwrap_err().name(), "ended");
}

#[tokio::test]
async fn a_container_that_goes_while_podman_looks_is_gone() {
    let server = server();
    let path = format!("/v4.0.0/libpod/containers/{WEB}/json");
    let client = connector(&server).connect().await.unwrap();
    let of = ContainerRef {
        id_namespace: String::new(),
        id: WEB.to_owned(),
    };
    let gone = format!(
        r#"{{"cause":"no such container","message":"container {WEB} does not exist in database: no such container","response":500}}"#
    );
    server.bytes(&path, &response("500 Internal Server Error", &gone));
    assert_eq!(client.inspect(&of).await.unwrap(), None);
    let other = r#"{"cause":"database is locked","message":"no such container","response":500}"#;
    server.bytes(&path, &response("500 Internal Server Error", other));
    assert_eq!(client.inspect(&of).await.unwrap_err().name(), "refused");
}

#[tokio::test]
async fn docker_is_not_taken_for_podman() {
    let server = Server::start();
    server.json(
        "/version",
        r#"{"Components":[{"Name":"Engine"}],"ApiVersion":"1.41"}"#,
    );
    let why = connector(&server).connect().await.unwrap_err();
    assert!(matches!(why.why, Unavailable::NotYet { .. }), "{why:?}");
    assert!(why.to_string().contains("not Podman's"), "{why}");
}
