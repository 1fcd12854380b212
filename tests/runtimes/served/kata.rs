//! Kata Containers: a sandbox that is a virtual machine, and its shim's own metrics.
//!
//! As Kata's documentation says: the sandbox's handler is one that the administrator has named, by custom
//! `kata-<hypervisor>`; with `sandbox_cgroup_only` all of the machine is in one cgroup below the pod's,
//! `kata_<sandbox id>`; the shim serves Prometheus' text at `/metrics` of
//! `/run/vc/sbs/<sandbox id>/shim-monitor.sock`. What runs within the machine has no cgroup here.

use std::{fs, io::Write as _, os::unix::net::UnixStream, path::PathBuf, sync::Arc};

use collector_tests::{
    kata_agent::{frame, span},
    otel_collector::OtelCollector,
    skipped,
};
use opentelemetry_proto::tonic::{common::v1::any_value::Value, resource::v1::Resource};

use super::{
    Occupied,
    cri::{CriServer, Has},
    crio::sandbox,
    http::Http,
    only_reads,
};
use crate::{
    named::{IN_TIME, daemon_of, info},
    parents::Parents,
};

const UID: &str = "a1e8c2d4-9f37-4b6a-8c50-3e2d1f0b9a87";
const SANDBOX: &str = "5c4b3a29181716f5e4d3c2b1a09f8e7d6c5b4a39281706f5e4d3c2b1a0918f7e";

/// Where the shims of this host have their folders.
const SHIMS: &str = "/run/vc/sbs";

/// What a shim tells, a part of it.
const TOLD: &str = "# HELP kata_shim_fds Open FDs for shim.\n\
    # TYPE kata_shim_fds gauge\n\
    kata_shim_fds 11\n\
    # HELP kata_hypervisor_threads Guest's VM threads.\n\
    # TYPE kata_hypervisor_threads gauge\n\
    kata_hypervisor_threads 7\n";

/// A shim's folder, gone with those above it that were not there.
struct Shim {
    made: Vec<PathBuf>,
    server: Http,
}

impl Shim {
    /// `None` on a host that has Kata.
    fn new() -> Option<Self> {
        let folder = PathBuf::from(SHIMS).join(SANDBOX);
        let mut made: Vec<_> = folder
            .ancestors()
            .take_while(|ancestor| !ancestor.exists())
            .map(PathBuf::from)
            .collect();
        if made.len() == 1 {
            return None;
        }
        fs::create_dir_all(&folder).unwrap();
        let socket = folder.join("shim-monitor.sock");
        made.insert(0, socket.clone());
        let handler = |call: &str, to: &mut dyn std::io::Write| {
            let (status, body) = match call {
                "GET /metrics" => ("200 OK", TOLD),
                _ => ("404 Not Found", ""),
            };
            let length = body.len();
            write!(
                to,
                "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\n\
                 Content-Length: {length}\r\n\r\n{body}"
            )
        };
        let server = Http::at_socket(tempfile::tempdir().unwrap(), &socket, Arc::new(handler));
        Some(Self { made, server })
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        for path in &self.made {
            drop(fs::remove_file(path));
            drop(fs::remove_dir(path));
        }
    }
}

fn pod_of_kata() -> (Has, String) {
    let mut has = Has::default();
    let of_pod = sandbox(SANDBOX, "vm-0", UID, "kata-qemu");
    has.sandboxes.push(of_pod);
    let cgroup = format!("/kubepods/burstable/pod{UID}/kata_{SANDBOX}");
    (has, cgroup)
}

#[test]
fn a_sandbox_of_kata_is_its_pods_and_of_that_flavor() {
    let _parents = Parents::of(&[]);
    let (has, cgroup) = pod_of_kata();
    let _occupied = Occupied::at(&[&cgroup]);
    let server = CriServer::start("containerd", "1.7.24", has);
    let daemon = daemon_of(&[server.endpoint()], &[]);
    let exposition = daemon.scrape_until("the sandbox", IN_TIME, |exposition| {
        info(exposition, &cgroup).is_some_and(|info| info.labels["pod"] == "vm-0")
    });
    let shown = info(&exposition, &cgroup).unwrap();
    for (label, value) in [
        ("runtime_flavor", "kata"),
        ("runtime", "containerd"),
        ("container_id", SANDBOX),
        ("namespace", "shop"),
        ("container", ""),
        ("pod_uid", UID),
    ] {
        assert_eq!(shown.labels[label], value, "{label} of {shown:?}");
    }
    let calls = server.calls();
    assert!(calls.iter().all(|call| only_reads(call)), "{calls:?}");
}

#[test]
fn what_the_shim_of_kata_tells_is_joined_to_the_pod() {
    let _parents = Parents::of(&[]);
    let Some(shim) = Shim::new() else {
        skipped(&format!("this host has Kata's own {SHIMS}"));
        return;
    };
    let (has, cgroup) = pod_of_kata();
    let _occupied = Occupied::at(&[&cgroup]);
    let server = CriServer::start("containerd", "1.7.24", has);
    let daemon = daemon_of(&[server.endpoint()], &[]);
    for (name, value) in [("kata_shim_fds", 11.0), ("kata_hypervisor_threads", 7.0)] {
        let of_pod = [("cri_name", "vm-0"), ("cri_namespace", "shop")];
        let _joined = daemon.scrape_until(name, IN_TIME * 2, |exposition| {
            exposition.sum(name, &of_pod) == Some(value)
        });
    }
    let calls = shim.server.calls();
    assert!(calls.iter().all(|call| only_reads(call)), "{calls:?}");
}

fn text(resource: &Resource, key: &str) -> Option<String> {
    let found = resource.attributes.iter().find(|of| of.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn spans_of_the_agent_in_a_sandbox_have_its_pod_in_their_resource() {
    let _parents = Parents::of(&[]);
    let (has, cgroup) = pod_of_kata();
    let _occupied = Occupied::at(&[&cgroup]);
    let server = CriServer::start("containerd", "1.7.24", has);
    let collector = OtelCollector::start();
    let folder = tempfile::tempdir().unwrap();
    let of_sandbox = folder.path().join("vc/vm").join(SANDBOX);
    fs::create_dir_all(&of_sandbox).unwrap();
    let config = folder.path().join("cgscope.toml");
    let lines = format!(
        "[export.otlp.traces]\nendpoint = {:?}\nprotocol = \"grpc\"\nbatch_delay = \"100ms\"\n\
         [trace.forwarder]\nenable_tracing = true\nvsock = false\nsocket_paths = [{:?}]\n",
        collector.grpc_endpoint(),
        of_sandbox.join("clh.sock"),
    );
    fs::write(&config, lines).unwrap();
    let config = config.display().to_string();
    let daemon = daemon_of(&[server.endpoint()], &["--config", &config]);
    let _named = daemon.scrape_until("the sandbox", IN_TIME, |exposition| {
        info(exposition, &cgroup).is_some_and(|info| info.labels["pod"] == "vm-0")
    });
    let mut agent = UnixStream::connect(of_sandbox.join("clh.sock_10240")).unwrap();
    agent.write_all(&frame(&span(1, 2))).unwrap();
    let resource = collector.wait_for("the span", IN_TIME * 2, |recorded| {
        let mut spans = recorded.spans().into_iter();
        let of_agent = spans.find(|(_, _, span)| span.name == "rpc 2");
        of_agent.map(|(resource, _, _)| resource)
    });
    for (key, value) in [
        ("service.name", "kata-agent"),
        ("cgscope.kata.sandbox.id", SANDBOX),
        ("k8s.pod.name", "vm-0"),
        ("k8s.namespace.name", "shop"),
        ("k8s.pod.uid", UID),
    ] {
        assert_eq!(text(&resource, key).as_deref(), Some(value), "{key}");
    }
}
