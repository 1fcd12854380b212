//! Docker's client and a server that answers as Docker 20.10 does.

use std::{
    io::{Read as _, Write as _},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{STREAM_HEAD, Server, at, chunk, response, short};
use crate::catalog::{
    Flavor, LabelSelection, Role, Runtime, RuntimeContainer, RuntimeState,
    provider::Unavailable,
    runtimes::{
        Connector as _, ContainerRef, Protocol, RuntimeClient, RuntimeEvent,
        docker::DockerConnector,
    },
};

const WEB: &str = "2281db105507f87fc33fb1893e2062774b4100ae685219c82a1f111e64e3bce9";
const SANDBOX: &str = "4868fe16b053b944c1705904c84ebc55639114438648e5389a68fca9cead8f95";

const VERSION: &str = r#"{"Platform":{"Name":""},"Components":[{"Name":"Engine","Version":"20.10.24+dfsg1","Details":{"ApiVersion":"1.41","MinAPIVersion":"1.12"}},{"Name":"containerd","Version":"1.6.20"}],"Version":"20.10.24+dfsg1","ApiVersion":"1.41","MinAPIVersion":"1.12","Os":"linux"}"#;

fn list() -> String {
    format!(
        r#"[{{"Id":"{WEB}","Names":["/other/alias","/web2"],"Image":"busybox","ImageID":"sha256:caa7","Command":"/bin/busybox sleep 300","Created":1795292952,"Ports":[],"Labels":{{"team":"a"}},"State":"running","Status":"Up 1 second","HostConfig":{{"NetworkMode":"host"}},"NetworkSettings":{{"Networks":{{}}}},"Mounts":[]}},
        {{"Id":"{SANDBOX}","Names":["/k8s_POD_web_default_u_0"],"Image":"pause","Labels":{{"io.kubernetes.docker.type":"podsandbox","io.kubernetes.pod.name":"web","io.kubernetes.pod.namespace":"default","io.kubernetes.pod.uid":"u","io.kubernetes.container.name":"POD","app":"shop"}},"State":"exited","HostConfig":{{"NetworkMode":"none"}}}}]"#
    )
}

fn web(state: &str, pid: u32) -> String {
    format!(
        r#"{{"Id":"{WEB}","Created":"2026-11-21T20:29:12.818764455Z","State":{{"Status":"{state}","Running":true,"Pid":{pid},"ExitCode":137,"Error":"","StartedAt":"2026-11-21T20:29:14.183455285Z","FinishedAt":"0001-01-01T00:00:00Z"}},"Image":"sha256:caa7","Name":"/web2","RestartCount":3,"HostConfig":{{"NetworkMode":"host","Runtime":"runc","PidsLimit":null}},"Config":{{"Hostname":"vm","Image":"busybox","Labels":{{"team":"a","secret":"s"}}}}}}"#
    )
}

fn sandbox() -> String {
    format!(
        r#"{{"Id":"{SANDBOX}","State":{{"Status":"exited","Pid":0,"ExitCode":2,"StartedAt":"2026-11-21T20:29:13.5Z","FinishedAt":"2026-11-21T22:29:14+02:00"}},"Name":"/k8s_POD_web_default_u_0","RestartCount":0,"HostConfig":{{"NetworkMode":"none","Runtime":"kata-qemu"}},"Config":{{"Image":"pause","Labels":{{"io.kubernetes.docker.type":"podsandbox","io.kubernetes.pod.name":"web","io.kubernetes.pod.namespace":"default","io.kubernetes.pod.uid":"u","app":"shop","team":"a"}}}}}}"#
    )
}

fn server() -> Server {
    let server = Server::start();
    server.json("/version", VERSION);
    server.json("/v1.41/containers/json", &list());
    server.json(
        &format!("/v1.41/containers/{WEB}/json"),
        &web("running", 12534),
    );
    server.json(&format!("/v1.41/containers/{SANDBOX}/json"), &sandbox());
    server
}

fn connector(server: &Server) -> DockerConnector {
    let labels = LabelSelection {
        container: vec!["team".to_owned()],
        pod: vec!["app".to_owned()],
    };
    DockerConnector::with_limits(server.endpoint(Protocol::Docker), Arc::new(labels), short())
}

async fn client(server: &Server) -> Arc<dyn RuntimeClient> {
    connector(server).connect().await.unwrap()
}

fn of(id: &str) -> ContainerRef {
    ContainerRef {
        id_namespace: String::new(),
        id: id.to_owned(),
    }
}

#[tokio::test]
async fn a_list_has_what_is_told_of_each_container_alone() {
    let server = server();
    let client = client(&server).await;
    assert_eq!(
        (client.runtime(), client.version()),
        (Runtime::Docker, "20.10.24+dfsg1")
    );
    let listed = client.list().await.unwrap();
    assert_eq!(listed.left_out, 0);
    let [web, sandbox] = &listed.containers[..] else {
        panic!("{listed:?}");
    };
    assert_eq!(web.names.name, "web2");
    assert_eq!(web.names.image, "busybox");
    assert_eq!(web.labels, [("team".to_owned(), "a".to_owned())]);
    assert_eq!((web.state, web.pid), (RuntimeState::Running, Some(12534)));
    assert_eq!(web.started, Some(at(1_795_292_954, 183_455_285)));
    // It runs: that code is of the time before.
    assert_eq!((web.finished, web.exit_code), (None, None));
    assert_eq!((web.restarts, web.host_network), (Some(3), Some(true)));
    assert_eq!(
        (web.role, web.runtime.flavor),
        (Role::Container, Flavor::Default)
    );

    assert_eq!(sandbox.role, Role::Sandbox);
    assert_eq!(sandbox.runtime.flavor, Flavor::Kata);
    assert_eq!(
        (
            &*sandbox.names.pod,
            &*sandbox.names.namespace,
            &*sandbox.names.container
        ),
        ("web", "default", "")
    );
    assert_eq!(sandbox.pod_uid, "u");
    assert_eq!(sandbox.pod_labels, [("app".to_owned(), "shop".to_owned())]);
    assert_eq!((sandbox.state, sandbox.pid), (RuntimeState::Exited, None));
    assert_eq!(sandbox.exit_code, Some(2));
    assert_eq!(sandbox.finished, Some(at(1_795_292_954, 0)));
    assert_eq!(sandbox.host_network, Some(false));
    let asked = server.asked();
    assert!(
        asked.iter().all(|call| call.starts_with("GET ")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn while_events_come_a_list_costs_one_call() {
    let server = server();
    let (tell, told) = std::sync::mpsc::sync_channel::<String>(1);
    let told = std::sync::Mutex::new(told);
    server.with("/v1.41/events", move |stream| {
        stream.write_all(STREAM_HEAD)?;
        for text in told.lock().unwrap().iter() {
            stream.write_all(&chunk(&text))?;
        }
        Ok(())
    });
    let client = client(&server).await;
    client.list().await.unwrap();
    assert_eq!(
        server.asked().len(),
        4,
        "the version, the list, and two containers"
    );
    client.list().await.unwrap();
    assert_eq!(
        server.asked().len(),
        3,
        "nobody tells of changes: it is asked again"
    );

    let mut events = client.events().await.unwrap().unwrap();
    let first = client.list().await.unwrap();
    assert_eq!(
        server.asked().len(),
        4,
        "the stream, the list, and two containers"
    );
    assert_eq!(client.list().await.unwrap(), first);
    assert_eq!(server.asked().len(), 1);

    server.json(
        &format!("/v1.41/containers/{WEB}/json"),
        &web("running", 99),
    );
    tell.send(event("start", "\"name\":\"web2\"")).unwrap();
    events.next().await.unwrap();
    let after = client.list().await.unwrap();
    assert_eq!(after.containers[0].pid, Some(99));
    assert_eq!(
        server.asked().len(),
        2,
        "the list, and the one that was started"
    );

    drop(events);
    client.list().await.unwrap();
    assert_eq!(server.asked().len(), 3, "nobody tells of changes any more");
}

fn event(action: &str, attributes: &str) -> String {
    format!(
        r#"{{"status":"{action}","id":"{WEB}","from":"busybox","Type":"container","Action":"{action}","Actor":{{"ID":"{WEB}","Attributes":{{{attributes}}}}},"scope":"local","time":1795292953,"timeNano":1795292953441946364}}"#
    )
}

#[tokio::test]
async fn events_name_a_container_that_is_gone_before_it_is_looked_at() {
    let server = server();
    let attributes = r#""image":"busybox","name":"short","team":"a","io.kubernetes.pod.name":"p","io.kubernetes.container.name":"c""#;
    let text = [
        event("create", attributes),
        event("exec_create: /bin/true", attributes),
        event("start", attributes),
        format!(
            "{}\n",
            event("die", &format!("\"exitCode\":\"1\",{attributes}"))
        ),
        r#"{"Type":"network","Action":"connect","Actor":{"ID":"n","Attributes":null}}"#.to_owned(),
        event("destroy", attributes),
    ]
    .concat();
    let (head, tail) = text.split_at(700);
    let body = [STREAM_HEAD.to_vec(), chunk(head), chunk(tail)].concat();
    server.bytes("/v1.41/events", &body);
    let client = client(&server).await;
    let mut events = client.events().await.unwrap().unwrap();
    let asked = server.asked().pop().unwrap();
    assert!(
        asked.contains("&filters=%7B%22event%22:%5B%22create%22"),
        "{asked}"
    );

    let mut told = Vec::new();
    for expected in [RuntimeState::Created, RuntimeState::Running] {
        let RuntimeEvent::Changed {
            of,
            told: Some(container),
        } = events.next().await.unwrap()
        else {
            panic!("not a change");
        };
        assert_eq!((&*of.id, container.state), (WEB, expected));
        told.push(*container);
    }
    let RuntimeContainer {
        names,
        labels,
        started,
        ..
    } = &told[1];
    assert_eq!((&*names.name, &*names.image), ("short", "busybox"));
    assert_eq!((&*names.pod, &*names.container), ("p", "c"));
    assert_eq!(labels, &[("team".to_owned(), "a".to_owned())]);
    assert_eq!(*started, Some(at(1_795_292_953, 441_946_364)));
    assert_eq!(
        events.next().await.unwrap(),
        RuntimeEvent::Exited {
            of: of(WEB),
            code: Some(1),
            at: Some(at(1_795_292_953, 441_946_364)),
        }
    );
    assert_eq!(
        events.next().await.unwrap(),
        RuntimeEvent::Removed { of: of(WEB) }
    );
    assert_eq!(events.next().await.unwrap_err().name(), "ended");
    assert_eq!(events.next().await.unwrap_err().name(), "ended");
}

#[tokio::test]
async fn a_container_that_is_not_there_is_none() {
    let server = server();
    let client = client(&server).await;
    assert_eq!(client.inspect(&of("gone")).await.unwrap(), None);
    server.asked();
    assert_eq!(client.inspect(&of("../images")).await.unwrap(), None);
    assert_eq!(server.asked(), [""; 0], "no such path is asked for");
}

#[tokio::test]
async fn one_container_that_cannot_be_read_keeps_what_the_list_tells() {
    let server = server();
    server.json(&format!("/v1.41/containers/{WEB}/json"), "[]");
    let client = client(&server).await;
    let listed = client.list().await.unwrap();
    assert_eq!(listed.containers[0].names.name, "web2");
    assert_eq!(listed.containers[0].pid, None);
    assert_eq!(listed.containers[1].exit_code, Some(2));
}

#[tokio::test]
async fn the_newest_version_that_both_know_is_spoken() {
    for (oldest, newest, expected) in [
        ("1.12", "1.41", "/v1.41/"),
        ("1.44", "1.52", "/v1.44/"),
        ("1.24", "1.55", "/v1.41/"),
        ("1.12", "1.40", "/v1.40/"),
    ] {
        let server = Server::start();
        server.json(
            "/version",
            &format!(r#"{{"ApiVersion":"{newest}","MinAPIVersion":"{oldest}"}}"#),
        );
        let client = client(&server).await;
        assert!(client.list().await.is_err());
        let asked = server.asked().pop().unwrap();
        assert!(asked.contains(expected), "{asked}");
    }
}

#[tokio::test]
async fn who_is_not_docker_is_not_yet_there() {
    let server = Server::start();
    let podman = r#"{"Components":[{"Name":"Podman Engine"}],"Version":"4.3.1","ApiVersion":"1.41","MinAPIVersion":"1.24"}"#;
    for (version, reason) in [
        (podman, "Podman's socket"),
        ("{}", "does not tell which versions"),
        ("hello", "not understood"),
    ] {
        server.json("/version", version);
        let why = connector(&server).connect().await.unwrap_err();
        assert!(matches!(why.why, Unavailable::NotYet { .. }), "{why:?}");
        assert!(why.to_string().contains(reason), "{why}");
    }
}

#[tokio::test]
async fn a_daemon_that_stops_to_answer_during_a_listing_costs_no_names() {
    let server = server();
    for id in [WEB, SANDBOX] {
        server.with(&format!("/v1.41/containers/{id}/json"), |stream| {
            stream.read_exact(&mut [0])?;
            Ok(())
        });
    }
    let client = client(&server).await;
    let start = Instant::now();
    let listed = client.list().await.unwrap();
    assert!(
        start.elapsed() < short().answer * 3,
        "{:?}",
        start.elapsed()
    );
    let names: Vec<_> = listed.containers.iter().map(|of| &*of.names.name).collect();
    assert_eq!(names, ["web2", "k8s_POD_web_default_u_0"]);
}

#[tokio::test]
async fn what_was_told_before_it_changed_is_not_kept() {
    let server = server();
    let (tell, told) = std::sync::mpsc::sync_channel::<String>(1);
    let told = std::sync::Mutex::new(told);
    server.with("/v1.41/events", move |stream| {
        stream.write_all(STREAM_HEAD)?;
        for text in told.lock().unwrap().iter() {
            stream.write_all(&chunk(&text))?;
        }
        Ok(())
    });
    server.with(&format!("/v1.41/containers/{WEB}/json"), move |stream| {
        // It is started again before the answer comes.
        tell.send(event("start", "")).unwrap();
        thread::sleep(Duration::from_millis(200));
        stream.write_all(&response("200 OK", &web("running", 1)))
    });
    let client = client(&server).await;
    let mut events = client.events().await.unwrap().unwrap();
    let (first, event) = tokio::join!(client.list(), events.next());
    assert_eq!(first.unwrap().containers[0].pid, Some(1));
    assert_eq!(event.unwrap().of(), &of(WEB));
    server.json(&format!("/v1.41/containers/{WEB}/json"), &web("running", 2));
    assert_eq!(client.list().await.unwrap().containers[0].pid, Some(2));
    server.asked();
    client.list().await.unwrap();
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_container_with_a_bomb_of_labels_has_its_name_and_costs_no_other() {
    let server = server();
    let mut labels: Vec<_> = (0..10_000)
        .map(|label| format!("\"l{label}\":\"\""))
        .collect();
    labels.extend((0..3).map(|label| format!("\"big{label}\":\"{}\"", "x".repeat(1 << 20))));
    labels.push(format!("\"team\":\"{}\"", "t".repeat(1 << 20)));
    labels.push(format!(
        "\"io.kubernetes.pod.name\":\"{}\"",
        "p".repeat(1 << 20)
    ));
    let bomb = format!(
        r#"[{{"Id":"bomb","Names":["/bomb"],"State":"running","Labels":{{{}}}}},{}"#,
        labels.join(","),
        list().strip_prefix('[').unwrap()
    );
    server.json("/v1.41/containers/json", &bomb);
    let inspected = format!(
        r#"{{"Id":"bomb","State":{{"Status":"running","Pid":7}},"Config":{{"Labels":{{{}}}}}}}"#,
        labels.join(",")
    );
    server.json("/v1.41/containers/bomb/json", &inspected);
    let client = client(&server).await;
    let listed = client.list().await.unwrap();
    let bomb = &listed.containers[0];
    assert_eq!((&*bomb.names.name, bomb.names.pod.len()), ("bomb", 512));
    assert_eq!((bomb.labels.len(), bomb.labels[0].1.len()), (1, 512));
    // Alone it has more bytes than one may have.
    assert_eq!(bomb.pid, None);
    assert_eq!(
        client.inspect(&of("bomb")).await.unwrap_err().name(),
        "too_large"
    );
    assert_eq!(listed.containers[1].pid, Some(12534));
}
