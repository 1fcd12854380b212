//! Garden's client and a server that answers as Garden does.

use std::sync::Arc;

use super::{Server, response, short};
use crate::catalog::{
    LabelSelection, Runtime, RuntimeState,
    runtimes::{Connector as _, ContainerRef, Protocol, RuntimeClient, garden::GardenConnector},
};

const APP: &str = "0f6a2bd1-5d4e-4a7c-7a35-2f0c";

fn info() -> String {
    let log_config = serde_json::json!({
        "guid": "app-guid", "index": 1, "source_name": "APP/PROC/WEB",
        "tags": {"app_id": "app-guid", "app_name": "shop", "space_name": "dev",
                 "organization_name": "org", "filler": "x".repeat(1000)},
    })
    .to_string();
    serde_json::json!({
        "State": "active", "Events": null, "HostIP": "10.254.0.1", "ContainerIP": "10.254.0.2",
        "ContainerPath": "/var/vcap/data/garden/depot/x", "ProcessIDs": ["p"],
        "Properties": {"log_config": log_config, "network.app_id": "app-guid",
                       "network.space_id": "space-guid", "team": "a"},
        "MappedPorts": [{"HostPort": 61000, "ContainerPort": 8080}],
    })
    .to_string()
}

async fn client(server: &Server) -> Arc<dyn RuntimeClient> {
    server.json("/ping", "{}");
    let labels = LabelSelection {
        container: vec!["team".to_owned(), "organization_name".to_owned()],
        pod: Vec::new(),
    };
    GardenConnector::with_limits(server.endpoint(Protocol::Garden), Arc::new(labels), short())
        .connect()
        .await
        .unwrap()
}

#[tokio::test]
async fn containers_are_named_for_their_applications() {
    let server = Server::start();
    server.json(
        "/containers",
        &format!(r#"{{"Handles":["{APP}","check","broken","../x","{APP}"]}}"#),
    );
    let stopped = r#"{"State":"stopped","Properties":{"network.app_id":"id","log_config":"none"}}"#;
    let body = format!(
        r#"{{"{APP}":{{"Info":{},"Err":null}},"check":{{"Info":{stopped}}},"broken":{{"Err":{{"Type":"","Message":"gone"}}}},"other":{{"Info":{stopped}}}}}"#,
        info()
    );
    server.json("/containers/bulk_info", &body);
    server.json(&format!("/containers/{APP}/info"), &info());
    let client = client(&server).await;
    assert_eq!(client.runtime(), Runtime::Garden);
    assert!(client.events().await.unwrap().is_none());
    let listed = client.list().await.unwrap();
    assert_eq!(listed.left_out, 2, "an id that is none, and one twice");
    let [app, check, broken] = &listed.containers[..] else {
        panic!("{listed:?}");
    };
    let names = &app.names;
    assert_eq!(
        (
            &*names.name,
            &*names.namespace,
            &*names.pod,
            &*names.container
        ),
        (APP, "dev", "shop", "APP/PROC/WEB/1")
    );
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(
        app.labels,
        [label("team", "a"), label("organization_name", "org")]
    );
    assert_eq!(app.state, RuntimeState::Running);
    assert_eq!(
        (check.state, &*check.names.pod),
        (RuntimeState::Exited, "id")
    );
    assert_eq!(
        (broken.state, &*broken.names.name),
        (RuntimeState::Unknown, "broken")
    );

    let of = |id: &str| ContainerRef {
        id_namespace: String::new(),
        id: id.to_owned(),
    };
    assert_eq!(client.inspect(&of(APP)).await.unwrap().as_ref(), Some(app));
    assert_eq!(client.inspect(&of("gone")).await.unwrap(), None);
    let asked = server.asked();
    assert!(
        asked.iter().all(|call| call.starts_with("GET ")),
        "{asked:?}"
    );
    let bulk = format!("GET /containers/bulk_info?handles={APP}%2Ccheck%2Cbroken");
    assert!(asked.contains(&bulk), "{asked:?}");
}

#[tokio::test]
async fn many_containers_are_asked_for_in_pieces() {
    let server = Server::start();
    let handles: Vec<_> = (0..250).map(|handle| format!("\"h{handle}\"")).collect();
    server.json(
        "/containers",
        &format!("{{\"Handles\":[{}]}}", handles.join(",")),
    );
    server.json(
        "/containers/bulk_info",
        "{\"h249\":{\"Info\":{\"State\":\"active\"}}}",
    );
    let client = client(&server).await;
    server.asked();
    let listed = client.list().await.unwrap();
    assert_eq!(listed.containers.len(), 250);
    assert_eq!(listed.containers[249].state, RuntimeState::Running);
    assert_eq!(server.asked().len(), 1 + 3);

    server.json("/containers", "{\"Handles\":null}");
    assert_eq!(client.list().await.unwrap().containers, []);
    server.bytes("/containers", &response("500 Internal Server Error", "no"));
    assert_eq!(client.list().await.unwrap_err().name(), "refused");
}
