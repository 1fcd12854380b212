//! The Container Runtime Interface, version 1, served over a UNIX socket.
//!
//! What it is asked, it answers from what it was given, as `api.proto` of k8s.io/cri-api says. A call that
//! changes something is refused, and all calls are noted.

use std::{
    collections::HashMap,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use k8s_cri::v1::{
    self as cri, Container, ContainerEventResponse, ContainerEventType, ContainerStatus,
    PodSandbox, PodSandboxStatus,
    runtime_service_server::{RuntimeService, RuntimeServiceServer},
};
use tokio::{
    net::UnixListener,
    sync::{mpsc, oneshot},
};
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::{Request, Response, Status, transport};

/// A sandbox, with what it says when it is asked for more.
#[derive(Clone, Default)]
pub(crate) struct Sandbox {
    pub(crate) status: PodSandboxStatus,
    pub(crate) info: HashMap<String, String>,
}

/// A container of a sandbox, with what it says when it is asked for more.
#[derive(Clone, Default)]
pub(crate) struct InSandbox {
    pub(crate) sandbox: String,
    pub(crate) status: ContainerStatus,
    pub(crate) info: HashMap<String, String>,
}

/// What the runtime has.
#[derive(Default)]
pub(crate) struct Has {
    pub(crate) sandboxes: Vec<Sandbox>,
    pub(crate) containers: Vec<InSandbox>,
    listeners: Vec<mpsc::Sender<Result<ContainerEventResponse, Status>>>,
    calls: Vec<String>,
}

/// A runtime, until it is dropped.
pub(crate) struct CriServer {
    has: Arc<Mutex<Has>>,
    socket: PathBuf,
    _folder: tempfile::TempDir,
    _end: oneshot::Sender<()>,
}

#[derive(Clone)]
struct Service {
    name: &'static str,
    version: &'static str,
    has: Arc<Mutex<Has>>,
}

impl CriServer {
    /// Of a name and a version.
    pub(crate) fn start(name: &'static str, version: &'static str, has: Has) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("cri.sock");
        let has = Arc::new(Mutex::new(has));
        let service = Service {
            name,
            version,
            has: Arc::clone(&has),
        };
        let (end, ended) = oneshot::channel();
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let incoming = UnixListenerStream::new(UnixListener::from_std(listener).unwrap());
                let serve = transport::Server::builder()
                    .add_service(RuntimeServiceServer::new(service))
                    .serve_with_incoming(incoming);
                tokio::select! {
                    served = serve => served.unwrap(),
                    _ended = ended => {}
                }
            });
        });
        Self {
            has,
            socket,
            _folder: folder,
            _end: end,
        }
    }

    /// Where it is.
    pub(crate) fn endpoint(&self) -> String {
        format!("cri={}", self.socket.display())
    }

    /// All calls so far, by their names.
    pub(crate) fn calls(&self) -> Vec<String> {
        lock(&self.has).calls.clone()
    }

    /// Adds a container and tells who listens.
    pub(crate) fn add(&self, container: InSandbox) {
        let mut has = lock(&self.has);
        let sandbox = has
            .sandboxes
            .iter()
            .find(|sandbox| sandbox.status.id == container.sandbox);
        let sandbox = sandbox.map(|sandbox| sandbox.status.clone());
        let event = |kind: ContainerEventType| ContainerEventResponse {
            container_id: container.status.id.clone(),
            container_event_type: kind.into(),
            created_at: container.status.created_at,
            pod_sandbox_status: sandbox.clone(),
            containers_statuses: vec![container.status.clone()],
        };
        let events = [
            ContainerEventType::ContainerCreatedEvent,
            ContainerEventType::ContainerStartedEvent,
        ]
        .map(event);
        has.containers.push(container);
        has.listeners.retain(|listener| {
            events
                .iter()
                .all(|event| listener.try_send(Ok(event.clone())).is_ok())
        });
    }
}

fn lock(has: &Mutex<Has>) -> MutexGuard<'_, Has> {
    has.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Service {
    fn note(&self, call: &str) -> MutexGuard<'_, Has> {
        let mut has = lock(&self.has);
        has.calls.push(call.to_owned());
        has
    }
}

type Answer<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;

/// Calls that no client here may make, as the trait has them.
macro_rules! refused {
    ($($call:ident: $request:ident -> $response:ident,)*) => {
        $(
            fn $call<'a, 'b>(&'a self, _: Request<cri::$request>) -> Pin<Box<dyn Future<Output = Result<Response<cri::$response>, Status>> + Send + 'b>>
            where
                'a: 'b,
                Self: 'b,
            {
                drop(self.note(stringify!($call)));
                let answer: Answer<cri::$response> = Box::pin(async {
                    Err(Status::unimplemented("not by what only reads"))
                });
                answer
            }
        )*
    };
}

#[tonic::async_trait]
impl RuntimeService for Service {
    type GetContainerEventsStream = ReceiverStream<Result<ContainerEventResponse, Status>>;

    async fn version(
        &self,
        _: Request<cri::VersionRequest>,
    ) -> Result<Response<cri::VersionResponse>, Status> {
        drop(self.note("Version"));
        Ok(Response::new(cri::VersionResponse {
            version: "0.1.0".to_owned(),
            runtime_name: self.name.to_owned(),
            runtime_version: self.version.to_owned(),
            runtime_api_version: "v1".to_owned(),
        }))
    }

    async fn list_pod_sandbox(
        &self,
        request: Request<cri::ListPodSandboxRequest>,
    ) -> Result<Response<cri::ListPodSandboxResponse>, Status> {
        let wanted = request.into_inner().filter.map(|filter| filter.id);
        let wanted = wanted.unwrap_or_default();
        let has = self.note("ListPodSandbox");
        let items = has
            .sandboxes
            .iter()
            .map(|sandbox| sandbox.status.clone())
            .filter(|status| wanted.is_empty() || status.id == wanted)
            .map(|status| PodSandbox {
                id: status.id,
                metadata: status.metadata,
                state: status.state,
                created_at: status.created_at,
                labels: status.labels,
                annotations: status.annotations,
                runtime_handler: status.runtime_handler,
            })
            .collect();
        Ok(Response::new(cri::ListPodSandboxResponse { items }))
    }

    async fn pod_sandbox_status(
        &self,
        request: Request<cri::PodSandboxStatusRequest>,
    ) -> Result<Response<cri::PodSandboxStatusResponse>, Status> {
        let request = request.into_inner();
        let has = self.note("PodSandboxStatus");
        let found = has
            .sandboxes
            .iter()
            .find(|sandbox| sandbox.status.id == request.pod_sandbox_id)
            .ok_or_else(|| Status::not_found("no such sandbox"))?;
        Ok(Response::new(cri::PodSandboxStatusResponse {
            status: Some(found.status.clone()),
            info: if request.verbose {
                found.info.clone()
            } else {
                HashMap::new()
            },
            ..cri::PodSandboxStatusResponse::default()
        }))
    }

    async fn list_containers(
        &self,
        request: Request<cri::ListContainersRequest>,
    ) -> Result<Response<cri::ListContainersResponse>, Status> {
        let filter = request.into_inner().filter.unwrap_or_default();
        let has = self.note("ListContainers");
        let is_wanted = |container: &&InSandbox| {
            (filter.id.is_empty() || filter.id == container.status.id)
                && (filter.pod_sandbox_id.is_empty() || filter.pod_sandbox_id == container.sandbox)
        };
        let containers = has
            .containers
            .iter()
            .filter(is_wanted)
            .map(
                |InSandbox {
                     sandbox, status, ..
                 }| Container {
                    id: status.id.clone(),
                    pod_sandbox_id: sandbox.clone(),
                    metadata: status.metadata.clone(),
                    image: status.image.clone(),
                    image_ref: status.image_ref.clone(),
                    state: status.state,
                    created_at: status.created_at,
                    labels: status.labels.clone(),
                    annotations: status.annotations.clone(),
                    ..Container::default()
                },
            )
            .collect();
        Ok(Response::new(cri::ListContainersResponse { containers }))
    }

    async fn container_status(
        &self,
        request: Request<cri::ContainerStatusRequest>,
    ) -> Result<Response<cri::ContainerStatusResponse>, Status> {
        let request = request.into_inner();
        let has = self.note("ContainerStatus");
        let found = has
            .containers
            .iter()
            .find(|container| container.status.id == request.container_id)
            .ok_or_else(|| Status::not_found("no such container"))?;
        Ok(Response::new(cri::ContainerStatusResponse {
            status: Some(found.status.clone()),
            info: if request.verbose {
                found.info.clone()
            } else {
                HashMap::new()
            },
        }))
    }

    async fn get_container_events(
        &self,
        _: Request<cri::GetEventsRequest>,
    ) -> Result<Response<Self::GetContainerEventsStream>, Status> {
        let (sender, receiver) = mpsc::channel(64);
        self.note("GetContainerEvents").listeners.push(sender);
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn status(
        &self,
        _: Request<cri::StatusRequest>,
    ) -> Result<Response<cri::StatusResponse>, Status> {
        drop(self.note("Status"));
        Ok(Response::new(cri::StatusResponse::default()))
    }

    refused! {
        run_pod_sandbox: RunPodSandboxRequest -> RunPodSandboxResponse,
        stop_pod_sandbox: StopPodSandboxRequest -> StopPodSandboxResponse,
        remove_pod_sandbox: RemovePodSandboxRequest -> RemovePodSandboxResponse,
        create_container: CreateContainerRequest -> CreateContainerResponse,
        start_container: StartContainerRequest -> StartContainerResponse,
        stop_container: StopContainerRequest -> StopContainerResponse,
        remove_container: RemoveContainerRequest -> RemoveContainerResponse,
        update_container_resources: UpdateContainerResourcesRequest -> UpdateContainerResourcesResponse,
        reopen_container_log: ReopenContainerLogRequest -> ReopenContainerLogResponse,
        exec_sync: ExecSyncRequest -> ExecSyncResponse,
        exec: ExecRequest -> ExecResponse,
        attach: AttachRequest -> AttachResponse,
        port_forward: PortForwardRequest -> PortForwardResponse,
        container_stats: ContainerStatsRequest -> ContainerStatsResponse,
        list_container_stats: ListContainerStatsRequest -> ListContainerStatsResponse,
        pod_sandbox_stats: PodSandboxStatsRequest -> PodSandboxStatsResponse,
        list_pod_sandbox_stats: ListPodSandboxStatsRequest -> ListPodSandboxStatsResponse,
        update_runtime_config: UpdateRuntimeConfigRequest -> UpdateRuntimeConfigResponse,
        checkpoint_container: CheckpointContainerRequest -> CheckpointContainerResponse,
        list_metric_descriptors: ListMetricDescriptorsRequest -> ListMetricDescriptorsResponse,
        list_pod_sandbox_metrics: ListPodSandboxMetricsRequest -> ListPodSandboxMetricsResponse,
        runtime_config: RuntimeConfigRequest -> RuntimeConfigResponse,
    }
}
