//! The client of ECS and a server that answers as its task metadata endpoint does.

use std::{sync::Arc, time::Duration};

use super::{Server, at, short};
use crate::catalog::{
    LabelSelection, Role, Runtime, RuntimeState,
    provider::figures::Figures,
    runtimes::{
        ContainerRef, Protocol, RuntimeClient as _,
        ecs::stats::{EcsCpu, EcsDevice},
        ecs::{EcsConnector, endpoint_in},
    },
};

const ID: &str = "8a7b0d6d0c9f4a6fb2a1e6a3c0a0a0a0-2495160603";

fn task(launch_type: &str) -> String {
    format!(
        r#"{{"Cluster":"arn:aws:ecs:us-east-1:012345678910:cluster/shop","TaskARN":"arn:aws:ecs:us-east-1:012345678910:task/shop/8a7b0d6d0c9f4a6fb2a1e6a3c0a0a0a0","Family":"web","Revision":"4","DesiredStatus":"RUNNING","KnownStatus":"RUNNING","Limits":{{"CPU":0.25,"Memory":512}},"LaunchType":"{launch_type}","Containers":[
        {{"DockerId":"{ID}","Name":"web","DockerName":"web","Image":"nginx:1","ImageID":"sha256:25f3","Labels":{{"com.amazonaws.ecs.cluster":"c","team":"a"}},"DesiredStatus":"RUNNING","KnownStatus":"RUNNING","Limits":{{"CPU":2}},"CreatedAt":"2020-10-08T20:09:11.44527186Z","StartedAt":"2020-10-08T20:09:11.44527186Z","Type":"NORMAL","Networks":[{{"NetworkMode":"awsvpc","IPv4Addresses":["192.0.2.3"]}}]}},
        {{"DockerId":"pause","Name":"~internal~ecs~pause","DockerName":"p","Type":"CNI_PAUSE","KnownStatus":"RESOURCES_PROVISIONED"}},
        {{"DockerId":"job","Name":"job","KnownStatus":"STOPPED","ExitCode":1,"FinishedAt":"2020-10-08T20:10:00Z","RestartCount":2}},
        {{"Name":"none"}}]}}"#
    )
}

/// Docker's of a container with cgroup v1.
const STATS: &str = r#"{"read":"2020-10-08T21:24:44.938937019Z","num_procs":0,"cpu_stats":{"cpu_usage":{"total_usage":1137691504,"percpu_usage":[696479228,441212276],"usage_in_kernelmode":80000000,"usage_in_usermode":810000000},"system_cpu_usage":9393210000000,"online_cpus":2,"throttling_data":{"periods":5,"throttled_periods":1,"throttled_time":7}},"blkio_stats":{"io_service_bytes_recursive":[{"major":202,"minor":26368,"op":"Read","value":638976},{"major":202,"minor":26368,"op":"Write","value":0},{"major":202,"minor":26368,"op":"Total","value":638976}],"io_serviced_recursive":[{"major":202,"minor":26368,"op":"read","value":12}],"sectors_recursive":[]},"memory_stats":{"usage":6504448,"max_usage":8458240,"limit":9223372036854771712,"stats":{"cache":651264,"rss":5275648,"inactive_file":4,"total_inactive_file":8}},"pids_stats":{"current":3},"networks":{"eth1":{"rx_bytes":84,"rx_packets":2,"rx_errors":0,"tx_bytes":5,"tx_packets":1,"tx_dropped":9}},"network_rate_stats":{"rx_bytes_per_sec":0.1}}"#;

fn connector(server: &Server) -> EcsConnector {
    let labels = LabelSelection {
        container: vec!["team".to_owned()],
        pod: Vec::new(),
    };
    EcsConnector::with_limits(server.endpoint(Protocol::Ecs), Arc::new(labels), short())
}

#[tokio::test]
async fn a_task_is_a_pod_in_its_cluster() {
    let server = Server::start();
    server.json("/task", &task("FARGATE"));
    let client = connector(&server).connect_for_stats().await.unwrap();
    let listed = client.list().await.unwrap();
    assert_eq!(listed.left_out, 1);
    let [web, pause, job] = &listed.containers[..] else {
        panic!("{listed:?}");
    };
    let names = &web.names;
    assert_eq!(
        (
            &*names.name,
            &*names.image,
            &*names.namespace,
            &*names.pod,
            &*names.container
        ),
        (
            "web",
            "nginx:1",
            "shop",
            "8a7b0d6d0c9f4a6fb2a1e6a3c0a0a0a0",
            "web"
        )
    );
    assert_eq!((&*web.id, web.runtime.runtime), (ID, Runtime::EcsFargate));
    assert_eq!(web.labels, [("team".to_owned(), "a".to_owned())]);
    assert_eq!(
        (web.state, web.host_network),
        (RuntimeState::Running, Some(false))
    );
    assert_eq!(web.started, Some(at(1_602_187_751, 445_271_860)));
    assert_eq!(
        (pause.role, pause.state),
        (Role::Sandbox, RuntimeState::Running)
    );
    assert_eq!((job.exit_code, job.restarts), (Some(1), Some(2)));
    assert_eq!(job.finished, Some(at(1_602_187_800, 0)));

    server.json("/task", &task("EC2"));
    let listed = client.list().await.unwrap();
    assert_eq!(listed.containers[0].runtime.runtime, Runtime::Docker);
}

#[tokio::test]
async fn what_containers_have_used_is_told_and_what_is_not_told_is_absent() {
    let server = Server::start();
    server.json("/task", &task("FARGATE"));
    let body = format!(r#"{{"{ID}":{STATS},"new":null,"bad":[],"empty":{{}}}}"#);
    server.json("/task/stats", &body);
    let client = connector(&server).connect_for_stats().await.unwrap();
    let stats = client.stats().await.unwrap();
    let [(id, web), (empty, none)] = &stats[..] else {
        panic!("{stats:?}");
    };
    assert_eq!((&**id, &**empty), (ID, "empty"));
    assert_eq!(
        *none,
        crate::catalog::runtimes::ecs::stats::EcsStats::default()
    );
    let cpu = EcsCpu {
        total: Some(1_137_691_504),
        user: Some(810_000_000),
        system: Some(80_000_000),
        online: Some(2),
        periods: Some(5),
        throttled_periods: Some(1),
        throttled: Some(7),
    };
    assert_eq!(web.cpu, cpu);
    let device = EcsDevice {
        device: (202, 26368),
        read_bytes: Some(638_976),
        written_bytes: Some(0),
        reads: Some(12),
        writes: None,
    };
    assert_eq!(web.devices, [device]);
    let memory = &web.memory;
    assert_eq!(
        (memory.usage, memory.max),
        (Some(6_504_448), Some(8_458_240))
    );
    assert_eq!(
        (memory.cache, memory.inactive_file),
        (Some(651_264), Some(8))
    );
    let eth1 = &web.interfaces[0];
    assert_eq!(
        (&*eth1.name, eth1.rx_bytes, eth1.tx_dropped),
        ("eth1", Some(84), Some(9))
    );
    assert_eq!(eth1.rx_dropped, None);
    assert_eq!(web.tasks, Some(3));
}

#[tokio::test]
async fn collectors_tell_of_each_container_of_the_task_with_one_call() {
    let server = Server::start();
    server.json("/task", &task("FARGATE"));
    server.json(
        "/task/stats",
        &format!(r#"{{"{ID}":{STATS},"empty":{{}},"new":null}}"#),
    );
    let client = connector(&server).connect_for_stats().await.unwrap();
    let collectors = client.collectors(10);
    let of = |id: &str| ContainerRef {
        id_namespace: String::new(),
        id: id.to_owned(),
    };
    let stats = collectors.container_stats.unwrap().collector;
    let web = stats.container_stats(&of(ID)).await.unwrap().unwrap();
    assert_eq!(web.at, at(1_602_192_284, 938_937_019));
    let figures = web.figures;
    assert_eq!(figures.cpu_ns, Some(1_137_691_504));
    assert_eq!(figures.cpu_throttled_ns, Some(7));
    assert_eq!(
        (figures.memory_peak_bytes, figures.memory_limit_bytes),
        (Some(8_458_240), None)
    );
    assert_eq!(figures.memory_working_set_bytes, Some(6_504_448 - 8));
    assert_eq!(
        (figures.io_read_bytes, figures.io_reads, figures.io_writes),
        (Some(638_976), Some(12), None)
    );
    assert_eq!((figures.threads, figures.cpu_limit_cores), (Some(3), None));
    assert_eq!(
        figures.network_received_bytes, None,
        "that is another question"
    );
    assert_eq!(web.devices[0].bytes.write, Some(0));

    let networks = collectors.network_stats.unwrap().collector;
    let network = networks.network_stats(&of(ID)).await.unwrap().unwrap();
    assert_eq!(network.figures.network_received_bytes, Some(84));
    assert_eq!(network.figures.network_sent_packets, Some(1));
    assert_eq!(network.interfaces, [], "not all of it is told");

    // Nothing is told of it, and that is no zero; of others nobody knows.
    let empty = stats.container_stats(&of("empty")).await.unwrap().unwrap();
    assert_eq!(empty.figures, Figures::default());
    assert_eq!(networks.network_stats(&of("empty")).await.unwrap(), None);
    for other in ["new", "elsewhere"] {
        assert_eq!(stats.container_stats(&of(other)).await.unwrap(), None);
    }
    let is_stats = |call: &&String| call.ends_with("/task/stats");
    let calls = |asked: Vec<String>| asked.iter().filter(is_stats).count();
    assert_eq!(calls(server.asked()), 1);

    // An error is an answer for everybody, and after its time they ask again.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    server.json("/task/stats", "[");
    stats.container_stats(&of(ID)).await.unwrap_err();
    networks.network_stats(&of(ID)).await.unwrap_err();
    assert_eq!(calls(server.asked()), 1);
}

#[test]
fn only_fargate_has_an_address_in_its_environment() {
    let from = |kind: &'static str, address: Option<&'static str>| {
        endpoint_in(|key: &str| match key {
            "AWS_EXECUTION_ENV" => Some(kind.to_owned()),
            "ECS_CONTAINER_METADATA_URI_V4" => address.map(str::to_owned),
            _ => None,
        })
    };
    let address = "http://169.254.170.2/v4/8a7b0d6d-2495160603";
    let endpoint = from("AWS_ECS_FARGATE", Some(address)).unwrap();
    assert_eq!(
        (endpoint.protocol, endpoint.address.as_str()),
        (Protocol::Ecs, address)
    );
    assert_eq!(from("AWS_ECS_EC2", Some(address)), None);
    assert_eq!(from("AWS_ECS_FARGATE", None), None);
    assert_eq!(endpoint_in(|_| None), None);
}

#[tokio::test]
async fn the_endpoint_has_a_path_of_its_own() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let mut calls = Vec::new();
        for body in [task("FARGATE"), format!("{{\"DockerId\":\"{ID}\"}}")] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1024];
            let length = stream.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..length]).into_owned();
            calls.push(head.lines().next().unwrap().to_owned());
            stream
                .write_all(&super::response("200 OK", &body))
                .await
                .unwrap();
        }
        calls
    });
    let mut endpoint = Server::start().endpoint(Protocol::Ecs);
    endpoint.address = format!("http://127.0.0.1:{port}/v4/8a7b");
    let connector = EcsConnector::with_limits(endpoint, Arc::default(), short());
    let client = connector.connect_for_stats().await.unwrap();
    let own = client.collectors(10).own_container.unwrap().collector;
    assert_eq!(own.own_container().await.unwrap().unwrap().id, ID);
    assert_eq!(
        server.await.unwrap(),
        ["GET /v4/8a7b/task HTTP/1.1", "GET /v4/8a7b HTTP/1.1"]
    );
}
