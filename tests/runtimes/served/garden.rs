//! Garden, of Cloud Foundry, as its API is documented.
//!
//! The routes are those of `doc/garden-api.md` and `routes/routes.go` in github.com/cloudfoundry/garden,
//! the answers its structs `ContainerInfo` and `ContainerInfoEntry`; it has no stream of events. Guardian
//! puts a container at `/garden/<handle>`, and with its CPU entitlement at `/garden/good/<handle>`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    Occupied,
    http::{self, Http},
    only_reads,
};
use crate::{
    named::{Expected, Names, daemon_of},
    parents::Parents,
};

const HANDLES: [&str; 2] = [
    "1f9c3a52-6a3e-4a31-5d52-3c5e",
    "f3b0a7a4-88c1-4f6f-47b1-9e0d",
];

const APP: &str = "9e1f7a30-0d52-4c6e-a8f1-5a2f40d5f0aa";

/// A container's information.
fn information(handle: &str) -> Value {
    // Cloud Foundry's executor keeps here, as text, how the output of a process is marked.
    let log_config = json!({
        "guid": APP,
        "index": 0,
        "source_name": "APP/PROC/WEB",
        "tags": {"app_name": "checkout", "app_id": APP, "space_name": "shop", "organization_name": "acme"},
    });
    json!({
        "State": "active",
        "Events": [],
        "HostIP": "10.254.0.1",
        "ContainerIP": "10.254.0.2",
        "ExternalIP": "10.0.16.5",
        "ContainerPath": format!("/var/vcap/data/garden/depot/{handle}"),
        "ProcessIDs": ["6d5fe6fb-7f3c-4b0e-6d3c-1b9a"],
        "Properties": {
            "network.app_id": APP,
            "network.space_id": "b1a2f5be-7b61-49b7-9c7e-9cf3f4c2a3a4",
            "executor:owner": "executor",
            "log_config": log_config.to_string(),
            "team": "blue",
        },
        "MappedPorts": [{"HostPort": 61001, "ContainerPort": 8080}],
    })
}

/// Answers as Garden does.
fn garden() -> Http {
    Http::on_socket(Arc::new(|call: &str, to: &mut dyn std::io::Write| {
        let (route, query) = call.split_once('?').unwrap_or((call, ""));
        let one = route
            .strip_prefix("GET /containers/")
            .and_then(|rest| rest.split_once('/'));
        let known = |handle: &str| HANDLES.contains(&handle);
        let answer = match (route, one) {
            ("GET /ping", _) => json!({}),
            ("GET /capacity", _) => {
                json!({"memory_in_bytes": 8_u64 << 30, "disk_in_bytes": 64_u64 << 30, "max_containers": 250})
            }
            ("GET /containers", _) => json!({"Handles": HANDLES}),
            ("GET /containers/bulk_info", _) => {
                let asked = query.strip_prefix("handles=").unwrap_or_default();
                let asked = asked.replace("%2C", ",").replace("%2c", ",");
                let entries = asked.split(',').map(|handle| {
                    let entry = if known(handle) {
                        json!({"Info": information(handle), "Err": null})
                    } else {
                        json!({"Info": {}, "Err": {"Type": "ContainerNotFoundError", "Handle": handle}})
                    };
                    (handle.to_owned(), entry)
                });
                Value::Object(entries.collect())
            }
            (_, Some((handle, "info"))) if known(handle) => information(handle),
            (_, Some((handle, "properties"))) if known(handle) => {
                information(handle)["Properties"].clone()
            }
            _ => {
                let error = json!({"Type": "ContainerNotFoundError", "Message": "unknown handle"});
                return http::json(to, 404, error.to_string().as_bytes());
            }
        };
        http::json(to, 200, answer.to_string().as_bytes())
    }))
}

#[test]
fn containers_of_garden_are_called_by_their_handles_and_by_the_application_in_them() {
    let _parents = Parents::of(&[]);
    let [plain, entitled] = HANDLES;
    let paths = [
        format!("/garden/{plain}"),
        format!("/garden/good/{entitled}"),
    ];
    let _occupied = Occupied::at(&paths);
    let server = garden();
    let endpoint = format!("garden={}", server.address());
    let daemon = daemon_of(&[endpoint], &["--container-labels=team"]);
    for (path, handle) in paths.iter().zip(HANDLES) {
        let expected = Expected {
            path,
            id: handle,
            runtime: "garden",
            names: Names {
                name: handle,
                namespace: "shop",
                pod: "checkout",
                container: "APP/PROC/WEB/0",
                ..Names::default()
            },
        };
        let (info, _) = expected.see(&daemon);
        assert_eq!(info.labels["container_label_team"], "blue", "{info:?}");
    }
    let calls = server.calls();
    assert!(!calls.is_empty());
    assert!(calls.iter().all(|call| only_reads(call)), "{calls:?}");
}
