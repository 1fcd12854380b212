//! The task metadata endpoint of Amazon ECS on Fargate, version 4, as Amazon documents it.
//!
//! The shapes are those of "Amazon ECS task metadata v4 examples for tasks on Fargate": the base path
//! answers with the asking container, `/task` with the task, `/task/stats` with Docker's statistics by the
//! container's id. A container's id is its task's and a number; its cgroup is `/ecs/<task>/<id>`.

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

const TASK: &str = "8f03e41243824aea923aca126495f665";
const BASE: &str = "/v4/8f03e41243824aea923aca126495f665-0179205828";
const CONTAINERS: [(&str, &str); 2] = [
    ("8f03e41243824aea923aca126495f665-0179205828", "curl"),
    ("8f03e41243824aea923aca126495f665-2495160603", "log_router"),
];

fn arn(of: &str) -> String {
    format!("arn:aws:ecs:us-west-2:111122223333:{of}")
}

fn image(name: &str) -> String {
    format!("111122223333.dkr.ecr.us-west-2.amazonaws.com/{name}:latest")
}

fn container((id, name): (&str, &str)) -> Value {
    json!({
        "DockerId": id,
        "Name": name,
        "DockerName": name,
        "Image": image(name),
        "ImageID": "sha256:25f3695bedfb454a50f12d127839a68ad3caf91e451c1da073db34c542c4d2cb",
        "Labels": {
            "com.amazonaws.ecs.cluster": arn("cluster/default"),
            "com.amazonaws.ecs.container-name": name,
            "com.amazonaws.ecs.task-arn": arn(&format!("task/default/{TASK}")),
            "com.amazonaws.ecs.task-definition-family": "curltest",
            "com.amazonaws.ecs.task-definition-version": "3",
            "team": "blue",
        },
        "DesiredStatus": "RUNNING",
        "KnownStatus": "RUNNING",
        "Limits": {"CPU": 10, "Memory": 128},
        "CreatedAt": "2026-11-20T22:09:05.512381262Z",
        "StartedAt": "2026-11-20T22:09:05.512381262Z",
        "Type": "NORMAL",
        "LogDriver": "awslogs",
        "LogOptions": {
            "awslogs-group": "/ecs/curltest",
            "awslogs-region": "us-west-2",
            "awslogs-stream": format!("ecs/{name}/{TASK}"),
        },
        "ContainerARN": arn(&format!("container/default/{TASK}/05966557-f16c-49cb-9352-24b3a0dcd0e1")),
        "Networks": [{
            "NetworkMode": "awsvpc",
            "IPv4Addresses": ["10.0.2.106"],
            "AttachmentIndex": 0,
            "MACAddress": "0e:9e:32:c7:48:85",
            "IPv4SubnetCIDRBlock": "10.0.2.0/24",
            "PrivateDNSName": "ip-10-0-2-106.us-west-2.compute.internal",
            "SubnetGatewayIpv4Address": "10.0.2.1/24",
        }],
        "Snapshotter": "overlayfs",
    })
}

fn task() -> Value {
    json!({
        "Cluster": arn("cluster/default"),
        "TaskARN": arn(&format!("task/default/{TASK}")),
        "Family": "curltest",
        "Revision": "3",
        "DesiredStatus": "RUNNING",
        "KnownStatus": "RUNNING",
        "Limits": {"CPU": 0.25, "Memory": 512},
        "PullStartedAt": "2026-11-20T22:08:55.617481122Z",
        "PullStoppedAt": "2026-11-20T22:09:05.336481098Z",
        "AvailabilityZone": "us-west-2d",
        "LaunchType": "FARGATE",
        "Containers": CONTAINERS.map(container),
        "ClockDrift": {
            "ClockErrorBound": 0.545_823,
            "ReferenceTimestamp": "2026-11-20T22:09:04Z",
            "ClockSynchronizationStatus": "SYNCHRONIZED",
        },
        "EphemeralStorageMetrics": {"Utilized": 261, "Reserved": 20496},
    })
}

/// Docker's statistics, of which a container that has just started has `null`.
fn statistics() -> Value {
    let [(first, name), (second, _)] = CONTAINERS;
    json!({
        first: {
            "read": "2026-11-20T22:10:00.123456789Z",
            "preread": "2026-11-20T22:09:50.123456789Z",
            "pids_stats": {"current": 1},
            "cpu_stats": {
                "cpu_usage": {"total_usage": 360_968_065_u64, "usage_in_kernelmode": 80_000_000, "usage_in_usermode": 280_000_000},
                "system_cpu_usage": 1_627_440_000_000_u64,
                "online_cpus": 2,
                "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
            },
            "memory_stats": {"usage": 2_191_360, "max_usage": 6_770_688, "limit": 9_223_372_036_854_771_712_u64, "stats": {"rss": 1_000_000}},
            "name": name,
            "id": first,
            "networks": {"eth1": {"rx_bytes": 564_655_295_u64, "rx_packets": 384_960, "tx_bytes": 3_043_269, "tx_packets": 54_355}},
            "network_rate_stats": {"rx_bytes_per_sec": 0, "tx_bytes_per_sec": 0},
        },
        second: null,
    })
}

fn endpoint() -> Http {
    Http::on_loopback(Arc::new(|call: &str, to: &mut dyn std::io::Write| {
        let path = call.strip_prefix("GET ").unwrap_or_default();
        let answer = match path.strip_prefix(BASE) {
            Some("" | "/") => container(CONTAINERS[0]),
            Some("/task") => task(),
            Some("/task/stats") => statistics(),
            Some("/stats") => statistics()[CONTAINERS[0].0].clone(),
            _ => return http::json(to, 404, b"404 page not found\n"),
        };
        http::json(to, 200, answer.to_string().as_bytes())
    }))
}

#[test]
fn containers_of_a_fargate_task_have_their_names_and_images() {
    let _parents = Parents::of(&[]);
    let paths = CONTAINERS.map(|(id, _)| format!("/ecs/{TASK}/{id}"));
    let _occupied = Occupied::at(&paths);
    let server = endpoint();
    let address = format!("ecs={}{BASE}", server.address());
    let daemon = daemon_of(&[address], &["--container-labels=team"]);
    for (path, (id, name)) in paths.iter().zip(CONTAINERS) {
        let expected = Expected {
            path,
            id,
            runtime: "ecsfargate",
            names: Names {
                name,
                image: &image(name),
                // The cluster, and the task.
                namespace: "default",
                pod: TASK,
                container: name,
            },
        };
        let (info, _) = expected.see(&daemon);
        assert_eq!(info.labels["container_label_team"], "blue", "{info:?}");
    }
    let calls = server.calls();
    assert!(
        calls.iter().any(|call| call.ends_with("/task")),
        "{calls:?}"
    );
    assert!(calls.iter().all(|call| only_reads(call)), "{calls:?}");
}
