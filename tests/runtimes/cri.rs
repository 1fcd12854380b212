//! Pods, made as the kubelet makes them: through the Container Runtime Interface.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use hyper_util::rt::TokioIo;
use k8s_cri::v1::{
    ContainerConfig, ContainerMetadata, CreateContainerRequest, ImageSpec,
    LinuxContainerSecurityContext, LinuxPodSandboxConfig, LinuxSandboxSecurityContext,
    NamespaceMode, NamespaceOption, PodSandboxConfig, PodSandboxMetadata, RemoveContainerRequest,
    RemovePodSandboxRequest, RunPodSandboxRequest, StartContainerRequest, StopContainerRequest,
    StopPodSandboxRequest, runtime_service_client::RuntimeServiceClient,
};
use tokio::{net::UnixStream, runtime::Runtime};
use tonic::{
    Status,
    transport::{Channel, Endpoint, Uri},
};
use tower::service_fn;

use crate::{image::IMAGE, server::Server};

/// Speaks to a runtime.
pub(crate) struct Cri {
    runtime: Runtime,
    client: RuntimeServiceClient<Channel>,
}

/// A pod with the host's network, so that no network plug-in is needed; gone when this is dropped.
pub(crate) struct Pod<'a> {
    cri: &'a Cri,
    config: PodSandboxConfig,
    /// The id of its sandbox.
    pub(crate) sandbox: String,
    /// Its own cgroup.
    pub(crate) cgroup: String,
    /// Where its logs are.
    _logs: tempfile::TempDir,
}

impl Cri {
    /// Connects.
    pub(crate) fn new(server: &Server) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let client = RuntimeServiceClient::new(connect(&runtime, server.socket()));
        Self { runtime, client }
    }

    /// Does as the kubelet does for a new pod of the class Burstable.
    pub(crate) fn pod(&self, namespace: &str, name: &str, uid: &str) -> Pod<'_> {
        let logs = tempfile::tempdir().unwrap();
        let cgroup = format!("/kubepods/burstable/pod{uid}");
        let labels = [
            ("io.kubernetes.pod.name", name),
            ("io.kubernetes.pod.namespace", namespace),
            ("io.kubernetes.pod.uid", uid),
            ("app", "web"),
        ];
        let context = LinuxSandboxSecurityContext {
            namespace_options: Some(hosts_network()),
            ..LinuxSandboxSecurityContext::default()
        };
        let config = PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: name.to_owned(),
                uid: uid.to_owned(),
                namespace: namespace.to_owned(),
                attempt: 0,
            }),
            log_directory: logs.path().display().to_string(),
            labels: owned(labels),
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: cgroup.clone(),
                security_context: Some(context),
                ..LinuxPodSandboxConfig::default()
            }),
            ..PodSandboxConfig::default()
        };
        let request = RunPodSandboxRequest {
            config: Some(config.clone()),
            runtime_handler: String::new(),
        };
        // An image that `ctr` has brought is known to the CRI a moment later.
        let start = Instant::now();
        let sandbox = loop {
            let mut client = self.client.clone();
            match self
                .runtime
                .block_on(client.run_pod_sandbox(request.clone()))
            {
                Ok(answer) => break answer.into_inner().pod_sandbox_id,
                Err(error) => assert!(start.elapsed() < Duration::from_secs(10), "{error}"),
            }
            thread::sleep(Duration::from_millis(200));
        };
        Pod {
            cri: self,
            config,
            sandbox,
            cgroup,
            _logs: logs,
        }
    }
}

impl Pod<'_> {
    /// Starts a container in it, the `attempt`th of its name counted from 0; its id.
    pub(crate) fn start(&self, name: &str, attempt: u32) -> String {
        let metadata = self.config.metadata.as_ref().unwrap();
        let labels = [
            ("io.kubernetes.container.name", name),
            ("io.kubernetes.pod.name", &metadata.name),
            ("io.kubernetes.pod.namespace", &metadata.namespace),
            ("io.kubernetes.pod.uid", &metadata.uid),
        ];
        let attempts = attempt.to_string();
        let config = ContainerConfig {
            metadata: Some(ContainerMetadata {
                name: name.to_owned(),
                attempt,
            }),
            image: Some(ImageSpec {
                image: IMAGE.to_owned(),
                ..ImageSpec::default()
            }),
            labels: owned(labels),
            annotations: owned([("io.kubernetes.container.restartCount", attempts.as_str())]),
            log_path: format!("{name}_{attempt}.log"),
            linux: Some(k8s_cri::v1::LinuxContainerConfig {
                security_context: Some(LinuxContainerSecurityContext {
                    namespace_options: Some(hosts_network()),
                    ..LinuxContainerSecurityContext::default()
                }),
                ..k8s_cri::v1::LinuxContainerConfig::default()
            }),
            ..ContainerConfig::default()
        };
        let request = CreateContainerRequest {
            pod_sandbox_id: self.sandbox.clone(),
            config: Some(config),
            sandbox_config: Some(self.config.clone()),
        };
        let mut client = self.cri.client.clone();
        let start = async move {
            let container_id = client
                .create_container(request)
                .await?
                .into_inner()
                .container_id;
            client
                .start_container(StartContainerRequest {
                    container_id: container_id.clone(),
                })
                .await?;
            Ok::<_, Status>(container_id)
        };
        self.cri.runtime.block_on(start).unwrap()
    }

    /// Stops a container and removes it, as the kubelet does before it starts the next attempt.
    pub(crate) fn remove(&self, id: &str) {
        let mut client = self.cri.client.clone();
        let remove = async move {
            let container_id = id.to_owned();
            client
                .stop_container(StopContainerRequest {
                    container_id: container_id.clone(),
                    timeout: 0,
                })
                .await?;
            client
                .remove_container(RemoveContainerRequest { container_id })
                .await
        };
        self.cri.runtime.block_on(remove).unwrap();
    }
}

impl Drop for Pod<'_> {
    fn drop(&mut self) {
        let mut client = self.cri.client.clone();
        let pod_sandbox_id = self.sandbox.clone();
        // Removal takes its containers with it. The test may have stopped the runtime.
        drop(self.cri.runtime.block_on(async move {
            let stop = StopPodSandboxRequest {
                pod_sandbox_id: pod_sandbox_id.clone(),
            };
            client.stop_pod_sandbox(stop).await?;
            client
                .remove_pod_sandbox(RemovePodSandboxRequest { pod_sandbox_id })
                .await
        }));
    }
}

/// A channel to a socket.
fn connect(runtime: &Runtime, socket: &Path) -> Channel {
    let socket: PathBuf = socket.to_owned();
    let connector = service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://localhost").timeout(Duration::from_secs(30));
    runtime
        .block_on(endpoint.connect_with_connector(connector))
        .unwrap()
}

fn hosts_network() -> NamespaceOption {
    NamespaceOption {
        network: NamespaceMode::Node.into(),
        pid: NamespaceMode::Container.into(),
        ..NamespaceOption::default()
    }
}

fn owned<const N: usize>(pairs: [(&str, &str); N]) -> HashMap<String, String> {
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}
